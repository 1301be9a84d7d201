//! Who may come in: users, members, and the links that are given away.

use serde_json::json;

use crate::World;
use crate::audit::{look_at, quiet};
use crate::browser::Browser;
use crate::journeys::{PASSWORD, log_in};

/// The path of the one-time link that is shown.
async fn link(browser: &Browser) -> String {
    let path =
        browser.script("return new URL(document.querySelector('#link').textContent).pathname", json!([]));
    path.await.as_str().unwrap().to_owned()
}

async fn log_out(browser: &Browser, name: &str) {
    browser.go("/").await;
    browser.press(name).await;
    browser.press("Log out").await;
    browser.at("/login").await;
}

/// An admin adds a manager, who invites a viewer; each comes in by a link.
pub async fn people(world: &World) {
    let browser = &world.browser;
    browser.go("/").await;
    browser.press("root").await;
    browser.press("Users").await;
    browser.reads("tbody a.through", &["root"]).await;
    browser.press("Add user").await;
    browser.at("/users/new").await;
    browser.fill("Name", "dora").await;
    browser.fill("Owner", "Ostwind").await;
    browser.press("Add user").await;
    assert!(browser.complaint("Owner").await.contains("`Ostwind`"));
    browser.holds_value("Name", "dora").await;
    look_at(browser, "user-bad").await;
    browser.fill("Owner", "11").await;
    browser.choose("Role", "Manager: sees and changes").await;
    browser.press("Add user").await;
    browser.says("dora is added").await;
    let password = link(browser).await;
    look_at(browser, "link").await;
    browser.press_in("main", "dora").await;
    browser.at_one_of("/users").await;
    browser.says("root made a link to choose a password").await;
    look_at(browser, "user-invited").await;
    browser.press("Remove for good…").await;
    browser.says("Remove dora for good?").await;
    look_at(browser, "user-dialog").await;
    browser.press("Cancel").await;
    browser.count("dialog", 0).await;
    log_out(browser, "root").await;

    browser.go(&password).await;
    browser.says("You log in as dora.").await;
    look_at(browser, "password").await;
    browser.fill("Password", PASSWORD).await;
    browser.fill("Password, once more", PASSWORD).await;
    browser.press("Set password").await;
    browser.says("Your password is set.").await;
    browser.go("/owners").await;
    browser.press_in("tbody", "Nordwind").await;
    browser.press("manage").await;
    browser.says("Members of Nordwind").await;
    browser.press("Invite").await;
    assert!(browser.complaint("Whom").await.starts_with("Say whom it is for"));
    browser.fill("Whom", "Emil from accounting").await;
    browser.press("Invite").await;
    browser.says("Invitation to Nordwind").await;
    let invitation = link(browser).await;
    // the script says what the server said
    browser.script("document.querySelector('time.ago').textContent = '?'; document.dispatchEvent(new Event('visibilitychange'))", json!([])).await;
    browser.reads("time.ago", &["in 7 days"]).await;
    browser.press("Members of Nordwind").await;
    browser.says("Emil from accounting").await;
    look_at(browser, "members-manager").await;
    browser.press("Revoke the invitation for Emil from accounting…").await;
    browser.says("Revoke the invitation for Emil from accounting?").await;
    look_at(browser, "invitation-dialog").await;
    browser.press("Cancel").await;
    browser.press("Actions for dora").await;
    browser.press("Leave…").await;
    browser.says("Leave Nordwind?").await;
    look_at(browser, "members-dialog").await;
    browser.press("Cancel").await;
    browser.go(&invitation).await;
    browser.says("You are manager of Nordwind already").await;
    look_at(browser, "join-already").await;
    log_out(browser, "dora").await;

    browser.go(&invitation).await;
    browser.says("dora invites you to see the servers and alerts of Nordwind").await;
    look_at(browser, "join").await;
    browser.fill("Choose a name", "emil").await;
    browser.fill("Choose a password", PASSWORD).await;
    browser.fill("The password, once more", "something else").await;
    browser.press("Join as viewer").await;
    assert_eq!(browser.complaint("The password, once more").await, "The two passwords differ.");
    browser.fill("Choose a password", PASSWORD).await;
    browser.fill("The password, once more", PASSWORD).await;
    browser.press("Join as viewer").await;
    browser.says("You are viewer of Nordwind now.").await;
    browser.press("list").await;
    browser.reads("tbody .through", &["dora", "emil"]).await;
    look_at(browser, "members-viewer").await;
    browser.go(&invitation).await;
    browser.says("This link does not work").await;
    look_at(browser, "link-used").await;
    log_out(browser, "emil").await;

    // somebody whom nobody has added to an owner yet
    log_in(browser, PASSWORD).await;
    browser.at("/").await;
    browser.go("/users/new").await;
    browser.fill("Name", "frida").await;
    browser.press("Add user").await;
    browser.says("frida is added").await;
    let password = link(browser).await;
    log_out(browser, "root").await;
    browser.go(&password).await;
    browser.fill("Password", PASSWORD).await;
    browser.fill("Password, once more", PASSWORD).await;
    browser.press("Set password").await;
    browser.says("You belong to no owner yet").await;
    look_at(browser, "dashboard-nothing").await;
    log_out(browser, "frida").await;
    log_in(browser, PASSWORD).await;
    browser.at("/").await;
    quiet(browser, &["422 (Unprocessable", "404 (Not Found)"]).await;
}
