//! What stands around an error, and how one goes on after it.

use axum::body::Body;
use axum::http::{Method, Request};

use crate::house::{House, PASSWORD};
use crate::person::Person;

#[tokio::test(flavor = "multi_thread")]
async fn an_error_has_the_menu_of_who_is_signed_in() {
    let house = House::new().await;
    house.server(101, "1", "nord-web", "10.0.0.1").await;
    let put = Request::builder().method(Method::PUT).uri("/servers").body(Body::empty()).unwrap();
    let bob = house.bob();
    for (page, status) in [
        (bob.get("/servers/7").await, 404),
        (bob.get("/no/such/page").await, 404),
        (bob.get("/publications").await, 404),
        (bob.get("/servers/new").await, 403),
        (bob.send(put).await, 405),
        (bob.post("/account", &[("time_zone", &"x".repeat(2 << 20))]).await, 413),
        (house.root().post(&format!("/users/{}/removal", house.id_of("root").await), &[]).await, 409),
    ] {
        let page = page.expect(status);
        assert!(page.has("nav a[href='/alerts']"), "{status}: {}", page.text);
        assert_eq!(page.all(".fault h1").len(), 1);
    }
    let page = house.anyone().get("/no/such/page").await.expect(404);
    assert!(!page.has("nav") && page.offers("Log in"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_does_not_hide_that_one_looks_as_a_customer() {
    let house = House::new().await;
    let root = house.root();
    root.does("/view", &[("owner", "101")]).await;
    for page in [root.get("/owners/102").await.expect(404), root.post("/owners", &[]).await.expect(403)] {
        assert_eq!(page.one(".looking.customer b"), "Nordwind");
        assert!(page.offers("Stop") && !page.has("nav a[href='/publications']"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_stands_without_a_database_too() {
    let house = House::new().await;
    let nowhere = Person::new(&house.without_database());
    nowhere.plant("prommgr", &house.invented_cookie());
    for (path, status) in [("/servers", 503), ("/no/such/page", 404)] {
        let page = nowhere.get(path).await.expect(status);
        assert_eq!(page.one(".fault .status"), status.to_string());
        assert!(!page.has("nav"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_waits_is_shown_on_an_error_or_after_it_but_once() {
    let house = House::new().await;
    let alice = house.alice();
    alice.post("/account", &[("time_zone", "UTC")]).await.expect(303);
    assert_eq!(alice.get("/servers/7").await.expect(404).flash(), "Your time zone is saved.");
    assert!(!alice.get("/").await.has("#flash .flash"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_signed_out_meanwhile_is_told_and_comes_back_to_the_form() {
    let house = House::new().await;
    let alice = house.alice();
    house.db.batch_execute("delete from sessions").await.unwrap();
    for (from, to, next) in [
        ("/servers/new?owner=101", "/servers", "/servers/new?owner=101"),
        // a page with a secret in its path, or of another site, is not handed on: the form is found by where it went
        ("/join/s3cret", "/account/tokens", "/account/tokens"),
        ("https://evil.example/account", "/owners/101/invitations", "/owners/101/invitations"),
        ("https://prommgr.test//evil.example", "/account", "/account"),
    ] {
        let login = alice.posts_from(from, to, &[]).await.leads_to();
        let page = alice.get(&login).await.expect(200);
        assert!(page.one("[role=alert]").starts_with("Your session has ended"), "{login}");
        assert_eq!(page.typed("next"), next);
    }
    // reading is only led to the login
    let login = alice.get("/servers").await.leads_to();
    assert!(!alice.get(&login).await.expect(200).has("[role=alert]"));
    let sent = alice.posts_from("/account", "/account/sessions/others/end", &[]).await.leads_to();
    let page = alice.get(&sent).await;
    let form = [("username", "alice"), ("password", PASSWORD)];
    assert_eq!(alice.presses(&page, "Log in", &form).await.leads_to(), "/account");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_has_expired_says_so_as_one_that_never_was() {
    let house = House::new().await;
    house.db.batch_execute(
        "insert into one_time_links (hash, purpose, user_id, expires_at) \
           select sha256('s3cret'), 'password', id, now() - interval '1 minute' from users where name = 'bob'",
    ).await.unwrap();
    let (expired, guessed) =
        (house.anyone().get("/password/s3cret").await, house.anyone().get("/password/other").await);
    assert_eq!(expired.one("h1"), "This link does not work");
    assert!(expired.one(".fault").contains("it has expired. Ask whoever gave it to you for another one"));
    let shown = |page: &crate::page::Page| (page.status, page.one(".fault"));
    assert_eq!(shown(&expired), shown(&guessed));
    for path in ["/join/other", "/setup/other"] {
        let page = house.anyone().get(path).await.expect(404);
        assert!(page.one(".fault").contains("it has expired"), "{path}");
    }
}
