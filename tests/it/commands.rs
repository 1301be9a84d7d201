//! The commands about people and tokens, as they are typed.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::house::{House, PASSWORD};

/// Runs one on the house's database; returns what it says on standard output, or its fault.
pub fn prommgr(house: &House, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prommgr"));
    command.args(args).env("DATABASE_URL", house.database_url());
    command.env("PROMMGR_WEBHOOK_TOKEN", "x".repeat(32)).env("PROMMGR_DATA_DIR", house.prom.join("data"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // who needs no password reads none
    let _ = child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes());
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    if output.status.success() { Ok(out) } else { Err(err) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_made_with_roles_listed_locked_out_and_let_in() {
    let house = House::new().await;
    let made = ["user", "create", "dora", "--role", "11=viewer", "--role", "12=manager"];
    assert_eq!(prommgr(&house, &made).unwrap(), "dora can log in.\n");
    let list = prommgr(&house, &["user", "list"]).unwrap();
    let line = |name: &str| list.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(
        line("dora").ends_with("active    never logged in, viewer of Nordwind, manager of Südstern"),
        "{list}"
    );
    assert!(line("root").contains("admin") && line("root").ends_with("never logged in"), "{list}");
    assert_eq!(
        house
            .column(
                "select concat_ws(' ', action, object, owner_id, new->>'role') from audit order by at, id"
            )
            .await,
        ["user.added dora", "membership.added dora 101 viewer", "membership.added dora 102 manager"]
    );
    for (args, said) in [
        (&["user", "create", "emil", "--role", "99=viewer"][..], "No owner has the external id 99."),
        (&["user", "create", "emil", "--role", "11=owner"], "a role is manager or viewer, not owner"),
        (&["user", "create", "emil", "--role", "11"], "EXTERNAL_ID=manager"),
        (&["user", "create", "emil", "--owner", "11", "--role", "11=viewer"], "the owner 11 is named twice"),
        (&["user", "set-password", "nobody"], "there is no user nobody"),
        (&["user", "enable", "nobody"], "there is no user nobody"),
    ] {
        let err = prommgr(&house, args).unwrap_err();
        assert!(err.contains(said), "{args:?}: {err}");
    }
    assert_eq!(house.count("users where name = 'emil'").await, 0);

    let log_in =
        async || house.anyone().post("/login", &[("username", "dora"), ("password", PASSWORD)]).await;
    log_in().await.leads_to();
    prommgr(&house, &["user", "disable", "dora"]).unwrap();
    log_in().await.expect(422);
    assert_eq!(prommgr(&house, &["user", "enable", "Dora"]).unwrap(), "Dora can log in again.\n");
    log_in().await.leads_to();
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_listed_and_revoked() {
    let house = House::new().await;
    let secret =
        prommgr(&house, &["token", "create", "--user", "alice", "--name", "billing", "--owner", "11"])
            .unwrap();
    prommgr(&house, &["token", "create", "--user", "root", "--name", "all", "--read-only"]).unwrap();
    let list = prommgr(&house, &["token", "list"]).unwrap();
    assert_eq!(list.lines().count(), 2);
    assert!(!list.contains(secret.trim()));
    let list = prommgr(&house, &["token", "list", "--user", "Alice"]).unwrap();
    assert!(list.contains(" alice ") && list.contains(" billing ") && list.contains(&secret[..12]), "{list}");
    assert!(list.trim_end().ends_with("write of Nordwind, never expires, never used"), "{list}");
    assert!(
        prommgr(&house, &["token", "list", "--user", "nobody"])
            .unwrap_err()
            .contains("there is no user nobody")
    );

    let id = list.split(' ').next().unwrap();
    let program = house.anyone().with_token(secret.trim());
    program.get("/api/v1/me").await.expect(200);
    assert_eq!(
        prommgr(&house, &["token", "revoke", id]).unwrap(),
        "The token billing of alice is revoked.\n"
    );
    program.get("/api/v1/me").await.expect(401);
    assert!(prommgr(&house, &["token", "revoke", id]).unwrap_err().contains("there is no token with the id"));
    assert_eq!(
        house.column("select concat_ws(' ', action, object, coalesce(new, old)->>'user', user_name) from audit where object = 'billing' order by at, id").await,
        ["token.added billing alice command line", "token.revoked billing alice command line"]
    );
}
