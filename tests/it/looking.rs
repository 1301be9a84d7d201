//! Looking at one owner alone, and as a customer.

use crate::house::House;
use crate::strangers::Scene;

/// alice also manages Südstern.
async fn alice_has_two(house: &House) {
    house.db.batch_execute("insert into memberships (user_id, owner_id, role) select id, 102, 'viewer' from users where name = 'alice'").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_two_owners_sees_them_together_or_one_alone() {
    let house = House::new().await;
    alice_has_two(&house).await;
    house.server(101, "1", "nord-web", "10.0.0.1").await;
    let mail = house.server(102, "1", "stern-mail", "10.0.0.1").await;
    let alice = house.alice();
    let names = async || alice.get("/servers").await.expect(200).all("tbody th a.through");
    assert_eq!(names().await, ["nord-web", "stern-mail"]);
    let page = alice.get("/view").await.expect(200);
    assert!(!page.text.contains("Look as"));
    let page = alice.does("/view", &[("owner", "101")]).await;
    assert_eq!(page.one(".looking b"), "Nordwind");
    assert_eq!(names().await, ["nord-web"]);
    alice.get(&format!("/servers/{mail}")).await.expect(404);
    // and still manages it
    alice
        .post(
            "/servers",
            &[("owner_id", "101"), ("name", "more"), ("address", "10.0.0.7"), ("enabled", "true")],
        )
        .await
        .expect(303);
    let page = alice.does("/view", &[("owner", "")]).await;
    assert!(!page.has(".looking"));
    assert_eq!(names().await, ["more", "nord-web", "stern-mail"]);
    // the choice holds no longer than the membership
    alice.does("/view", &[("owner", "102")]).await;
    house.db.batch_execute("delete from memberships where owner_id = 102 and role = 'viewer'").await.unwrap();
    assert_eq!(names().await, ["more", "nord-web"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_one_owner_has_nothing_to_choose() {
    let house = House::new().await;
    assert!(!house.bob().get("/").await.has("a[href='/view']"));
    house.charlie().post("/view", &[("owner", "101")]).await.expect(404);
    house.charlie().post("/view", &[("owner", "x")]).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_looks_as_a_customer_and_changes_nothing() {
    let scene = Scene::new().await;
    let house = &scene.house;
    let mail = house.server(102, "1", "stern-mail", "10.0.0.1").await;
    let root = house.root();
    root.does("/view", &[("owner", "101")]).await;
    let page = root.get("/servers").await.expect(200);
    assert_eq!(page.all("tbody th a.through"), ["nord-web"]);
    assert_eq!(page.one(".looking.customer b"), "Nordwind");
    // what a customer does not see, they do not see
    for path in [
        "/publications",
        "/owners/102",
        "/owners/101/edit",
        "/alerts/quarantine",
        &format!("/servers/{mail}"),
    ] {
        root.get(path).await.expect(404);
    }
    assert!(!page.has("nav a[href='/publications']"));
    // and nothing can be changed, whatever the page
    for (path, form) in [
        (format!("/servers/{}/removal", scene.server), vec![]),
        ("/servers".into(), vec![("owner_id", "101"), ("name", "x"), ("address", "10.0.0.9")]),
        (
            "/thresholds".into(),
            vec![("rule", "service_down"), ("severity", "warning"), ("hold", "1m"), ("owner_id", "101")],
        ),
        ("/owners".into(), vec![("name", "x")]),
        ("/publications".into(), vec![]),
        ("/owners/102/removal".into(), vec![]),
    ] {
        root.post(&path, &form).await.expect(403);
    }
    assert_eq!(house.count("servers where removed_at is null").await, 2);
    let noted = house
        .column("select user_name || ' ' || action || ' ' || object || ' ' || owner_id from audit")
        .await;
    assert_eq!(noted, ["root owner.viewed Nordwind 101"]);
    root.does("/view", &[("owner", "")]).await;
    root.get("/publications").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_as_a_customer_finds_no_form_of_their_own_account() {
    let house = House::with(|settings| {
        settings.sso_issuer = Some("http://127.0.0.1:9".into());
        settings.sso_client_id = Some("x".into());
    })
    .await;
    let root = house.root();
    root.does("/account", &[("time_zone", "Asia/Tokyo")]).await;
    root.does("/view", &[("owner", "101")]).await;
    for path in ["/account/password", "/account/second-factor", "/account/identity", "/account/tokens/new"] {
        root.get(path).await.expect(403);
        assert!(!root.get("/account").await.expect(200).has(&format!("main a[href='{path}']")));
    }
    let page = root.get("/view").await.expect(200);
    assert_eq!(page.one("h1"), "Look as a customer");
    let words = page.one(".looking.customer p");
    let end = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::get("Asia/Tokyo").unwrap());
    let near = (29..=30).map(|minutes| end.saturating_add(jiff::Span::new().minutes(minutes)));
    let said: Vec<_> = near.map(|at| at.strftime("nothing, until %H:%M.").to_string()).collect();
    assert!(said.iter().any(|said| words.ends_with(said)), "{words}, not {said:?}");
    // another customer can be chosen from there
    root.does("/view", &[("owner", "102")]).await;
    assert_eq!(root.get("/view").await.one(".looking b"), "Südstern");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_as_a_customer_ends_by_itself() {
    let house = House::new().await;
    let root = house.root();
    root.does("/view", &[("owner", "101")]).await;
    root.get("/publications").await.expect(404);
    house
        .db
        .execute("update sessions set data = jsonb_set(data, '{view,until}', to_jsonb('2026-01-01T00:00:00Z'::text)) where data ? 'view'", &[])
        .await
        .unwrap();
    let page = root.get("/publications").await.expect(200);
    assert!(!page.has(".looking"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_login_begins_without_a_look() {
    let house = House::new().await;
    let root = house.root();
    root.does("/view", &[("owner", "101")]).await;
    root.post("/login", &[("username", "root"), ("password", crate::house::PASSWORD)]).await.expect(303);
    root.get("/publications").await.expect(200);
}
