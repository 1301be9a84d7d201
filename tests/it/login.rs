//! Logging in and out.

use axum::body::Body;
use axum::http::Request;
use prommgr::store::changes::Actor;
use prommgr::store::scope::All;
use prommgr::store::users;

use crate::house::{House, PASSWORD};
use crate::page::Page;
use crate::person::Person;

async fn log_in(person: &Person, name: &str, password: &str) -> Page {
    person.post("/login", &[("username", name), ("password", password)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_password_opens_the_door() {
    let house = House::new().await;
    let somebody = house.anyone();
    let form = somebody.get("/login").await.expect(200);
    assert_eq!(form.one("h1"), "Log in");
    let in_ = somebody.presses(&form, "Log in", &[("username", "Alice"), ("password", PASSWORD)]).await;
    assert_eq!(in_.leads_to(), "/");
    assert_eq!(somebody.get("/").await.expect(200).one(".menu.user .name"), "alice");
    assert_eq!(house.count("users where name = 'alice' and last_login_at is not null").await, 1);
    let cookie = in_.set_cookie("prommgr");
    for part in ["HttpOnly", "SameSite=Lax", "Path=/;"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_cookie_is_secure() {
    let house = House::with(|settings| settings.public_url = Some("https://prommgr.test".into())).await;
    let in_ = log_in(&house.anyone(), "alice", PASSWORD).await;
    for name in ["prommgr", "known_browser"] {
        assert!(in_.set_cookie(name).ends_with("; Secure") || in_.set_cookie(name).contains("; Secure;"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_an_unknown_name_and_a_disabled_person_get_the_same_answer() {
    let house = House::new().await;
    house.db.execute("update users set disabled_at = now() where name = 'bob'", &[]).await.unwrap();
    let mut answers = Vec::new();
    for (name, password) in [
        ("alice", "wrong"),
        ("nobody", "wrong"),
        ("nobody", PASSWORD),
        ("bob", PASSWORD),
        ("", ""),
        ("alice\0", PASSWORD),
    ] {
        let somebody = house.anyone();
        let refused = log_in(&somebody, name, password).await.expect(422);
        assert!(somebody.cookie("prommgr").is_empty());
        assert_eq!(refused.typed("password"), "");
        answers.push((refused.one("[role=alert]"), refused.typed("username") == name || name.contains('\0')));
    }
    answers.dedup();
    assert_eq!(answers, [("That name and password do not belong together.".to_owned(), true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_disabled_is_out_at_once() {
    let house = House::new().await;
    let alice = house.alice();
    alice.get("/servers").await.expect(200);
    let all = All::operator();
    let mut db = house.app.db(all).await.unwrap();
    let user = users::by_name(&mut db, "alice").await.unwrap().unwrap();
    users::disable(&mut db, all, user.id, &Actor::command_line()).await.unwrap();
    assert_eq!(alice.get("/servers").await.leads_to(), "/login?next=%2Fservers");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_ends_every_session() {
    let house = House::new().await;
    let alice = house.alice();
    users::set_password(
        &mut house.app.db(All::operator()).await.unwrap(),
        All::operator(),
        "alice",
        "quite another one".into(),
        &Actor::command_line(),
    )
    .await
    .unwrap();
    alice.get("/").await.leads_to();
    log_in(&alice, "alice", PASSWORD).await.expect(422);
    log_in(&alice, "alice", "quite another one").await.leads_to();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_login_has_another_session_id_and_the_old_one_is_worth_nothing() {
    let house = House::new().await;
    let alice = house.anyone();
    log_in(&alice, "alice", PASSWORD).await.leads_to();
    let first = alice.cookie("prommgr");
    log_in(&alice, "alice", PASSWORD).await.leads_to();
    assert_ne!(alice.cookie("prommgr"), first);
    let thief = house.anyone();
    thief.plant("prommgr", &first);
    thief.get("/").await.leads_to();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_session_id_is_not_adopted() {
    let house = House::new().await;
    // one that never was, and one that charlie has
    for planted in [house.invented_cookie(), house.charlie().cookie("prommgr")] {
        let alice = house.anyone();
        alice.plant("prommgr", &planted);
        log_in(&alice, "alice", PASSWORD).await.leads_to();
        assert_ne!(alice.cookie("prommgr"), planted);
        assert_eq!(alice.get("/").await.one(".menu.user .name"), "alice");
        let planter = house.anyone();
        planter.plant("prommgr", &planted);
        planter.get("/").await.leads_to();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_in_the_cookie_is_nobody() {
    let house = House::new().await;
    for value in ["", "x", "../../etc/passwd", "AAAAAAAAAAAAAAAAAAAAAA", "%00"] {
        let somebody = house.anyone();
        somebody.plant("prommgr", value);
        somebody.get("/").await.leads_to();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_ends_the_session_in_the_database() {
    let house = House::new().await;
    let (alice, before) = (house.alice(), house.count("sessions").await);
    let kept = alice.cookie("prommgr");
    let page = alice.get("/").await;
    assert_eq!(alice.presses(&page, "Log out", &[]).await.leads_to(), "/login");
    assert_eq!(house.count("sessions").await, before - 1);
    assert!(alice.cookie("prommgr").is_empty());
    alice.plant("prommgr", &kept);
    alice.get("/").await.leads_to();
    // nobody is signed out twice
    assert_eq!(alice.post("/logout", &[]).await.leads_to(), "/login");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_its_time_is_over() {
    let house = House::new().await;
    let alice = house.alice();
    house.db.batch_execute("update sessions set expires_at = now() - interval '1 second'").await.unwrap();
    alice.get("/").await.leads_to();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_leads_back_to_where_somebody_was_going() {
    let house = House::new().await;
    let alice = house.anyone();
    let login = alice.get("/alerts?state=open&q=a%20b").await.leads_to();
    let form = alice.get(&login).await.expect(200);
    let to =
        alice.presses(&form, "Log in", &[("username", "alice"), ("password", PASSWORD)]).await.leads_to();
    assert_eq!(to, "/alerts?state=open&q=a%20b");
    // also after a mistake
    let form = log_in_from(&house, "/servers").await.expect(422);
    assert_eq!(form.typed("next"), "/servers");
}

async fn log_in_from(house: &House, next: &str) -> Page {
    house.anyone().post("/login", &[("username", "alice"), ("password", "wrong"), ("next", next)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_leads_nowhere_else() {
    let house = House::new().await;
    for next in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
    ] {
        let form = [("username", "alice"), ("password", PASSWORD), ("next", next)];
        assert_eq!(house.anyone().post("/login", &form).await.leads_to(), "/", "{next:?}");
        let query: String =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
        assert_eq!(house.anyone().get(&format!("/login?{query}")).await.typed("next"), "/", "{next:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_htmx_request_without_a_session_sends_the_whole_page_to_the_login() {
    let house = House::new().await;
    let answer = house.anyone().fragment("/alerts").await.expect(204);
    assert_eq!(answer.header("hx-redirect"), "/login");
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_from_other_sites_are_refused() {
    let house = House::new().await;
    let post = async |headers: &[(&str, &str)]| {
        let mut request = Request::post("/logout");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        house.alice().send(request.body(Body::empty()).unwrap()).await
    };
    for headers in [
        &[("Sec-Fetch-Site", "cross-site")][..],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
        &[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")],
    ] {
        let refused = post(headers).await.expect(403);
        assert!(refused.has("h1"), "not a page: {}", refused.text);
    }
    house.alice().get("/").await.expect(200);
    for headers in [&[("Sec-Fetch-Site", "same-origin")][..], &[("Origin", "http://prommgr.test")], &[]] {
        post(headers).await.leads_to();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_lost_while_a_body_is_held_back_are_lost() {
    let house = House::new().await;
    let (alice, root) = (house.alice(), house.root());
    for (person, name, path, form) in [
        (&alice, "alice", "/servers", "owner_id=101&name=late&address=10.0.0.9&enabled=true"),
        (&root, "root", "/users", "name=backdoor&admin=true"),
    ] {
        let (asked, wanted) = tokio::sync::oneshot::channel();
        let (release, held) = tokio::sync::oneshot::channel::<()>();
        let body = futures_util::stream::once(async move {
            asked.send(()).unwrap();
            held.await.unwrap();
            Ok::<_, std::convert::Infallible>(form)
        });
        let request = Request::post(path)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Sec-Fetch-Site", "same-origin")
            .body(Body::from_stream(body))
            .unwrap();
        let meanwhile = async {
            wanted.await.unwrap();
            house.db.execute("update users set disabled_at = now() where name = $1", &[&name]).await.unwrap();
            release.send(()).unwrap();
        };
        let (answer, ()) = tokio::join!(person.send(request), meanwhile);
        assert!(answer.leads_to().starts_with("/login"), "{path}: {}", answer.status);
    }
    assert_eq!((house.count("servers").await, house.count("users where name = 'backdoor'").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_under_way_while_the_password_changes_opens_nothing() {
    let house = House::new().await;
    let somebody = house.anyone();
    log_in(&somebody, "alice", PASSWORD).await.leads_to();
    somebody.get("/servers").await.expect(200);
    // as if the session had been written a moment after the change had ended all that there were
    house.db.batch_execute("update passwords set hash = hash || 'x' where user_id = (select id from users where name = 'alice')").await.unwrap();
    assert_eq!(somebody.get("/servers").await.leads_to(), "/login?next=%2Fservers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_cannot_be_saved_says_that_the_database_fails() {
    let house = House::new().await;
    house.db.batch_execute("create function full_disk() returns trigger language plpgsql as $$ begin raise exception 'no space left on device'; end $$; create trigger full_disk before insert on sessions for each row execute function full_disk()").await.unwrap();
    let somebody = house.anyone();
    let page = log_in(&somebody, "alice", PASSWORD).await.expect(503);
    assert_eq!(page.header("retry-after"), "5");
    assert!(page.has("h1") && !page.text.contains("no space left"));
    assert_eq!(somebody.cookie("prommgr"), "");
}
