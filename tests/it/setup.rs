//! The first admin, by a link that works once.

use prommgr::store::scope::All;
use prommgr::store::users;

use crate::house::{House, PASSWORD};

const FIRST: [(&str, &str); 3] = [("username", "ada"), ("password", PASSWORD), ("password_again", PASSWORD)];

async fn link(house: &House) -> String {
    let secret = users::setup_link(&mut house.app.door().await.unwrap(), All::operator()).await.unwrap();
    format!("/setup/{secret}")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_makes_the_first_admin_once() {
    let house = House::empty(|_| {}).await;
    let (link, other) = (link(&house).await, link(&house).await);
    let ada = house.anyone();
    let form = ada.get(&link).await.expect(200);
    assert_eq!(ada.presses(&form, "Make the first admin", &FIRST).await.leads_to(), "/");
    let dashboard = ada.get("/").await.expect(200);
    assert_eq!(dashboard.one(".menu.user .name"), "ada");
    assert!(dashboard.flash().starts_with("Welcome"));
    ada.get("/publications").await.expect(200);
    for used in [&link, &other] {
        house.anyone().get(used).await.expect(404);
        house
            .anyone()
            .post(used, &[("username", "eve"), ("password", PASSWORD), ("password_again", PASSWORD)])
            .await
            .expect(404);
    }
    assert_eq!(house.column("select name from users").await, ["ada"]);
    assert_eq!(house.count("one_time_links").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_at_the_field() {
    let house = House::empty(|_| {}).await;
    let link = link(&house).await;
    let ada = house.anyone();
    let differ =
        ada.post(&link, &[FIRST[0], FIRST[1], ("password_again", "another one entirely")]).await.expect(422);
    assert_eq!(
        (differ.error_at("password_again"), differ.typed("username")),
        ("The two passwords differ.".into(), "ada".into())
    );
    assert_eq!(differ.typed("password"), "");
    let short = ada
        .post(&link, &[("username", " "), ("password", "short"), ("password_again", "short")])
        .await
        .expect(422);
    assert_eq!(short.error_at("password"), "Use 10 characters or more.");
    assert_eq!(short.error_at("username"), "Give a name.");
    assert_eq!(house.count("users").await, 0);
    ada.post(&link, &FIRST).await.leads_to();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_somebody_exists_no_link_works() {
    let house = House::new().await;
    let link = link(&house).await;
    house.anyone().get(&link).await.expect(404);
    house.anyone().post(&link, &FIRST).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_never_made_or_is_too_old_does_not_work() {
    let house = House::empty(|_| {}).await;
    house.anyone().get("/setup/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").await.expect(404);
    let link = link(&house).await;
    house.db.batch_execute("update one_time_links set expires_at = now()").await.unwrap();
    house.anyone().get(&link).await.expect(404);
    house.anyone().post(&link, &FIRST).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_the_same_moment_one_is_the_first() {
    let house = House::empty(|_| {}).await;
    let (one, other) = (link(&house).await, link(&house).await);
    let (ada, eve) = (house.anyone(), house.anyone());
    let eves = [("username", "eve"), ("password", PASSWORD), ("password_again", PASSWORD)];
    let (first, second) = tokio::join!(ada.post(&one, &FIRST), eve.post(&other, &eves));
    let mut answers = [first.status, second.status];
    answers.sort_unstable();
    assert_eq!(answers, [303, 404]);
    assert_eq!(house.count("users where admin").await, 1);
}
