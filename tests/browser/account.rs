//! A person's own account, and what a program does with a token of theirs.

use std::process::Command;

use serde_json::json;

use crate::audit::{look_at, quiet};
use crate::journeys::{PASSWORD, log_in};
use crate::{World, person};

/// Makes a token by the command, beside the prommgr that runs.
fn by_command(world: &World) -> String {
    let dir = &world.stack.dir;
    let mut command = Command::new(env!("CARGO_BIN_EXE_prommgr"));
    command.args(["token", "create", "--user", "root", "--name", "cli", "--read-only"]);
    command.arg(format!("--data-dir={}", dir.join("data").display()));
    command.arg(format!("--webhook-token={}", world.stack.webhook_token));
    let made = command.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// What the API answers to a token.
async fn me(world: &World, token: &str) -> u16 {
    let url = format!("http://{}/api/v1/me", world.stack.prommgr);
    person::http().get(url).bearer_auth(token).send().await.unwrap().status().as_u16()
}

async fn change_password(world: &World, from: &str, to: &str) {
    let browser = &world.browser;
    browser.go("/account").await;
    browser.press("Change it").await;
    browser.fill("Current password", from).await;
    browser.fill("New password", to).await;
    browser.fill("New password, once more", to).await;
    browser.press("Change password").await;
}

pub async fn account(world: &World) {
    let (browser, plain) = (&world.browser, &world.plain);
    // the password was given just now
    browser.go("/").await;
    browser.press("root").await;
    browser.press("Log out").await;
    browser.at("/login").await;
    log_in(browser, PASSWORD).await;
    browser.at("/").await;
    browser.go("/account").await;
    browser.says("Everything, as an admin").await;
    browser.count("section[aria-labelledby=sessions] tbody tr", 2).await;
    browser.choose("Time zone", "UTC").await;
    browser.press("Save time zone").await;
    browser.says("Your time zone is saved.").await;
    browser.holds("document.querySelector('#f-time_zone-hint').textContent.endsWith(' UTC.')").await;

    browser.go("/account/tokens").await;
    look_at(browser, "tokens-none").await;
    browser.press("Make a token").await;
    browser.holds("!document.querySelector('#f-expires_in_custom').checkVisibility()").await;
    browser.choose("It expires", "In another time").await;
    browser.fill("In another time", "soon").await;
    browser.fill("Name", "billing").await;
    browser.press("Make token").await;
    assert!(browser.complaint("In another time").await.starts_with("A time such as 90d"));
    look_at(browser, "token-wrong").await;
    browser.fill("In another time", "45d").await;
    browser.press("Make token").await;
    browser.says("billing is made").await;
    look_at(browser, "token-made").await;
    let secret = browser.script("return document.querySelector('#token').textContent", json!([])).await;
    let secret = secret.as_str().unwrap();
    browser.press("Copy").await;
    browser.holds(&format!("getSelection().toString() === '{secret}'")).await;
    browser.count("#flash .flash.ok", 1).await;
    assert_eq!(me(world, secret).await, 200);
    // a reload sends the form again, and makes no second one
    browser.reload().await;
    assert!(browser.complaint("Name").await.starts_with("There is a token of this name already."));

    let other = by_command(world);
    assert_eq!(me(world, &other).await, 200);
    browser.go("/account/tokens").await;
    browser.count("tbody tr", 2).await;
    browser.press("Revoke billing…").await;
    browser.says("Revoke billing?").await;
    browser.press("Revoke token").await;
    browser.says("billing is revoked").await;
    assert_eq!((me(world, secret).await, me(world, &other).await), (401, 200));
    let log = std::fs::read_to_string(world.stack.dir.join("prommgr.log")).unwrap();
    assert!(!log.contains(&secret[12..]) && !log.contains(&other[12..]), "a token is in the log");

    // the browser without scripts is signed out by another password
    plain.go("/account").await;
    plain.at("/account").await;
    change_password(world, "wrong", "quite another one").await;
    assert_eq!(browser.complaint("Current password").await, "That is not your password.");
    look_at(browser, "password-wrong").await;
    change_password(world, PASSWORD, "quite another one").await;
    browser.says("Your password is changed. Your other session has ended.").await;
    plain.go("/account").await;
    plain.at("/login?next=%2Faccount").await;
    log_in(plain, "quite another one").await;
    plain.at("/account").await;
    browser.go("/account").await;
    browser.press("End all others").await;
    browser.says("The other session has ended.").await;
    change_password(world, "quite another one", PASSWORD).await;
    browser.says("Your password is changed.").await;
    quiet(browser, &["422 (Unprocessable"]).await;
}
