//! A person's own account: password and sessions. The time zone is in `time_zone.rs`, tokens in `tokens.rs`.

use axum::body::Body;
use axum::http::{Request, header};

use crate::house::{House, PASSWORD};
use crate::page::Page;
use crate::person::Person;

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const NEW: &str = "quite another one";

/// Logs in with a browser that says what it is.
async fn log_in(house: &House, name: &str, password: &str, agent: &str) -> Person {
    let somebody = house.anyone().from("192.0.2.7");
    let form = format!("username={name}&password={}", password.replace(' ', "+"));
    let request = Request::post("/login")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::USER_AGENT, agent);
    somebody.send(request.body(Body::from(form)).unwrap()).await.leads_to();
    somebody
}

async fn change(person: &Person, fields: [&str; 3]) -> Page {
    let form = person.get("/account/password").await.expect(200);
    let names = ["current_password", "password", "password_again"];
    let fill: Vec<_> = names.into_iter().zip(fields).collect();
    person.presses(&form, "Change password", &fill).await
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_reads_what_they_may_see() {
    let house = House::new().await;
    house.db.execute("insert into memberships (user_id, owner_id, role) select id, 102, 'viewer' from users where name = 'alice'", &[]).await.unwrap();
    let page = house.alice().get("/account").await.expect(200);
    assert_eq!(page.one("h1"), "Account");
    assert_eq!(page.fact("Name"), "alice");
    assert_eq!(page.fact("You see"), "Nordwind (manager), Südstern (viewer)");
    assert_eq!(page.fact("API tokens"), "0 tokens");
    assert_eq!(page.fact("Second factor"), "Off · Set it up");
    assert_eq!(house.bob().get("/account").await.fact("You see"), "Nordwind (viewer)");
    assert_eq!(house.root().get("/account").await.fact("You see"), "Everything, as an admin");
    // looking at one owner alone does not change who one is
    let alice = house.alice();
    alice.post("/view", &[("owner", "102")]).await.leads_to();
    assert_eq!(alice.get("/account").await.fact("You see"), "Nordwind (manager), Südstern (viewer)");
    house.db.execute("delete from memberships where owner_id = 101", &[]).await.unwrap();
    assert!(house.bob().get("/account").await.fact("You see").starts_with("nothing yet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_ends_the_other_sessions_and_renews_this_one() {
    let house = House::new().await;
    let (here, there) = (log_in(&house, "alice", PASSWORD, FIREFOX).await, house.alice());
    let (bob, before) = (house.bob(), here.cookie("prommgr"));
    let token = house.program("alice", "deploy", true, None).await;
    assert_eq!(change(&here, [PASSWORD, NEW, NEW]).await.leads_to(), "/account");
    let page = here.get("/account").await.expect(200);
    assert_eq!(page.flash(), "Your password is changed. Your other session has ended.");
    assert_eq!(page.all("section[aria-labelledby=sessions] tbody tr").len(), 1);
    there.get("/").await.leads_to();
    // somebody may have seen its cookie
    assert_ne!(here.cookie("prommgr"), before);
    let thief = house.anyone();
    thief.plant("prommgr", &before);
    thief.get("/").await.leads_to();
    // what is not alice's stays, and so do her programs
    bob.get("/").await.expect(200);
    token.get("/api/v1/me").await.expect(200);
    house.anyone().post("/login", &[("username", "alice"), ("password", PASSWORD)]).await.expect(422);
    log_in(&house, "alice", NEW, FIREFOX).await;
    let noted = house.column("select user_name || ' ' || object || coalesce(old::text, '') || coalesce(new::text, '') from audit where action = 'user.password_changed'").await;
    assert_eq!(noted, ["alice alice"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_would_set_the_password_ends_with_it() {
    let house = House::new().await;
    let sql = "insert into one_time_links (hash, purpose, user_id, expires_at) select sha256(name::bytea), 'password', id, now() + interval '1 hour' from users where name in ('alice', 'bob')";
    house.db.execute(sql, &[]).await.unwrap();
    change(&house.alice(), [PASSWORD, NEW, NEW]).await.leads_to();
    let left = "select u.name from one_time_links l join users u on u.id = l.user_id";
    assert_eq!(house.column(left).await, ["bob"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_password_is_said_at_the_field() {
    let house = House::new().await;
    let (alice, there) = (house.alice(), house.another("alice").await);
    for (fields, wrong, said) in [
        (["wrong", NEW, NEW], "current_password", "That is not your password."),
        (["", NEW, NEW], "current_password", "That is not your password."),
        ([PASSWORD, "short", "short"], "password", "Use 10 characters or more."),
        ([PASSWORD, NEW, "quite another two"], "password_again", "The two passwords differ."),
    ] {
        let page = change(&alice, fields).await.expect(422);
        assert_eq!((page.error_at(wrong), page.errors()), (said.to_owned(), 1), "{fields:?}");
        // what was typed is not sent back
        assert!(!page.text.contains(NEW) && !page.text.contains(PASSWORD));
    }
    assert_eq!(change(&alice, ["wrong", "short", ""]).await.expect(422).errors(), 2);
    there.get("/").await.expect(200);
    assert_eq!(house.count("audit").await, 0);
    log_in(&house, "alice", PASSWORD, FIREFOX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_the_current_password_comes_to_an_end() {
    let house = House::new().await;
    let alice = house.alice();
    let guess = async || {
        alice
            .post(
                "/account/password",
                &[("current_password", "wrong"), ("password", NEW), ("password_again", NEW)],
            )
            .await
    };
    for _ in 0..10 {
        guess().await.expect(422);
    }
    let page = guess().await.expect(429);
    assert!(page.error_at("current_password").starts_with("Too many attempts."), "{}", page.one("main"));
    assert!(page.header("retry-after").parse::<u32>().unwrap() > 0);
    // the right one has to wait too, or the answers would tell
    change(&alice, [PASSWORD, NEW, NEW]).await.expect(429);
    assert_eq!(change(&house.bob(), [PASSWORD, NEW, NEW]).await.leads_to(), "/account");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_password_is_told_so() {
    let house = House::new().await;
    house
        .db
        .execute("delete from passwords where user_id = (select id from users where name = 'alice')", &[])
        .await
        .unwrap();
    let alice = house.alice();
    assert_eq!(alice.get("/account").await.fact("Password"), "None: you come by single sign-on");
    let page = alice.get("/account/password").await.expect(200);
    assert!(!page.offers("Change password"), "{}", page.one("main"));
    for current in ["", PASSWORD] {
        let form = [("current_password", current), ("password", NEW), ("password_again", NEW)];
        alice.post("/account/password", &form).await.expect(422);
    }
    assert_eq!(house.count("passwords join users on id = user_id where name = 'alice'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_told_apart_and_ended() {
    let house = House::new().await;
    let here = log_in(&house, "bob", PASSWORD, FIREFOX).await;
    let phone = log_in(&house, "bob", PASSWORD, "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1").await;
    let third = house.bob();
    let page = here.get("/account").await.expect(200);
    let rows = page.all("section[aria-labelledby=sessions] tbody th");
    assert_eq!(rows.len(), 3);
    assert!(rows[0].starts_with("Firefox on Linux this one 192.0.2.7"), "{rows:?}");
    assert!(rows.iter().any(|row| row.starts_with("Safari on iPhone 192.0.2.7")), "{rows:?}");
    assert!(rows[2].starts_with("An unknown browser unknown address"), "{rows:?}");
    // its own cannot be ended here: that is what logging out is for
    assert_eq!(page.all("section[aria-labelledby=sessions] tbody form").len(), 2);

    let ended = here.presses(&page, "End Safari on iPhone at 192.0.2.7", &[]).await;
    assert_eq!(ended.leads_to(), "/account");
    phone.get("/").await.leads_to();
    third.get("/").await.expect(200);
    let page = here.get("/account").await.expect(200);
    assert_eq!(page.flash(), "That session has ended.");
    assert_eq!(here.presses(&page, "End all others", &[]).await.leads_to(), "/account");
    third.get("/").await.leads_to();
    let page = here.get("/account").await.expect(200);
    assert_eq!(page.flash(), "The other session has ended.");
    assert!(!page.offers("End all others"));
    assert_eq!(
        house.column("select action from audit where action like 'session.%ended' order by at").await,
        ["session.ended", "session.others_ended"]
    );
    // colleagues were not touched
    house.alice().get("/").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_opens_no_door_and_ends_nobody_elses_session() {
    let house = House::new().await;
    house.bob().get("/account").await.expect(200);
    let handles = house.column("select encode(id_hash, 'hex') from sessions s join users u on u.id = s.user_id where u.name = 'bob'").await;
    for handle in [handles[0].as_str(), "", "x", "%00", "'; drop table sessions", &"a".repeat(10_000)] {
        let path = format!("/account/sessions/{}/end", handle.replace(' ', "%20"));
        let refused = house.alice().post(&path, &[]).await;
        assert!(matches!(refused.status, 400 | 404 | 405), "{handle}: {}", refused.status);
        let thief = house.anyone();
        thief.plant("prommgr", handle.get(..22).unwrap_or(handle));
        thief.get("/account").await.leads_to();
    }
    house.bob().get("/account").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_as_a_customer_an_admin_changes_nothing_of_their_own_either() {
    let house = House::new().await;
    let (root, there) = (house.root(), house.another("root").await);
    root.post("/view", &[("owner", "101")]).await.leads_to();
    let page = root.get("/account").await.expect(200);
    assert!(page.has(".looking.customer"), "the banner is missing");
    assert_eq!(page.fact("You see"), "Everything, as an admin");
    assert!(!page.offers("Save time zone") && !page.offers("End all others"));
    root.get("/account/tokens/new").await.expect(403);
    let passwords = [("current_password", PASSWORD), ("password", NEW), ("password_again", NEW)];
    for (path, form) in [
        ("/account", &[("time_zone", "UTC")][..]),
        ("/account/password", &passwords),
        ("/account/sessions/others/end", &[]),
        ("/account/tokens", &[("name", "x")]),
    ] {
        root.post(path, form).await.expect(403);
    }
    assert_eq!(house.count("tokens").await, 0);
    there.get("/").await.expect(200);
    root.post("/view", &[]).await.leads_to();
    assert_eq!(change(&root, [PASSWORD, NEW, NEW]).await.leads_to(), "/account");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_theme_is_chosen_here_too() {
    let house = House::new().await;
    let bob = house.bob();
    bob.post("/theme", &[("theme", "dark"), ("next", "/account#look")]).await.leads_to();
    let page = bob.get("/account").await.expect(200);
    assert_eq!(page.attrs("html", "data-theme"), ["dark"]);
    assert_eq!(page.all("main .themes [aria-pressed=true]"), ["Dark"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_very_many_sessions_those_end_that_nobody_uses() {
    let house = House::new().await;
    let alice = house.alice();
    // as many as there may be, used one after the other, hers the last but one
    house.db.batch_execute(
        "insert into sessions (id_hash, user_id, data, expires_at, created_at) \
           select sha256(n::text::bytea), u.id, jsonb_build_object('user', u.id, 'seen', n), now() + interval '1 day', now() - n * interval '1 minute' \
           from generate_series(1, 99) n, users u where u.name = 'alice'; \
         update sessions set data = data || '{\"seen\": 98}' where user_id = (select id from users where name = 'alice') and data->'seen' is null; \
         insert into sessions (id_hash, user_id, data, expires_at) select sha256('bob'), id, '{\"seen\": 0}', now() + interval '1 day' from users where name = 'bob'",
    ).await.unwrap();
    let count = "sessions where user_id = (select id from users where name = 'alice')";
    assert_eq!(house.count(count).await, 100);
    house.anyone().post("/login", &[("username", "alice"), ("password", PASSWORD)]).await.leads_to();
    assert_eq!(house.count(count).await, 100);
    assert_eq!(house.column("select min((data->>'seen')::bigint)::text from sessions where user_id = (select id from users where name = 'alice')").await, ["2"]);
    alice.get("/servers").await.expect(200);
    assert_eq!(house.count("sessions where user_id = (select id from users where name = 'bob')").await, 2);
}
