//! The clock's jobs, a step each.

use prommgr::store::scope::All;
use prommgr::store::users;
use prommgr::worker;

use crate::alertmanager::alert;
use crate::house::House;
use crate::prometheus::wired;

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_says_which_servers_it_reaches() {
    let (house, prometheus) = wired().await;
    for name in ["web", "db", "new"] {
        house.server(house.nordwind, name, name, &format!("{name}.example")).await;
    }
    // the same external id, of another owner
    house.server(house.suedstern, "db", "mail", "mail.example").await;
    let (alice, charlie) = (house.alice(), house.charlie());
    let states = async || alice.get("/servers").await.all("tbody td.first .state");
    assert_eq!(states().await, ["Unknown", "Unknown", "Unknown"]);
    prometheus.sees(&[("11", "web", true), ("11", "db", false), ("12", "db", true), ("99", "x", true)]);
    worker::watch(&house.app).await.unwrap();
    // by name: db, new, web
    assert_eq!(states().await, ["Down", "Unknown", "Up"]);
    assert_eq!(charlie.get("/servers").await.all("tbody td.first .state"), ["Up"]);
    assert_eq!(alice.get("/").await.all("#live .counts li"), ["1 up", "1 down", "1 unknown", "0 paused"]);
    // what is no longer scraped is not known
    prometheus.sees(&[("11", "db", true)]);
    worker::watch(&house.app).await.unwrap();
    assert_eq!(states().await, ["Up", "Unknown", "Unknown"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_prometheus_does_not_answer_what_is_known_grows_old() {
    let (house, prometheus) = wired().await;
    house.server(house.nordwind, "web", "web", "web.example").await;
    prometheus.sees(&[("11", "web", true)]);
    worker::watch(&house.app).await.unwrap();
    drop(prometheus);
    crate::house::eventually("Prometheus is gone", async || {
        worker::watch(&house.app).await.unwrap();
        (house.count("prometheus_health where error <> ''").await == 1).then_some(())
    })
    .await;
    let alice = house.alice();
    assert_eq!(alice.get("/servers").await.all("tbody td.first .state"), ["Up"]);
    house
        .db
        .batch_execute("update prometheus_health set seen_at = now() - interval '5 minutes'")
        .await
        .unwrap();
    assert_eq!(alice.get("/servers").await.all("tbody td.first .state"), ["Unknown"]);
    assert_eq!(
        alice.get("/").await.one(".verdict"),
        "No alert is open, but Prometheus has not answered for a while."
    );
    assert!(house.root().get("/").await.one(".verdict").contains("cannot be reached"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_is_forgotten_and_what_came_meanwhile_is_adopted() {
    let house = House::new().await;
    users::setup_link(&mut house.app.door().await.unwrap(), All::operator()).await.unwrap();
    house.posted("no JSON").await.expect(400);
    house.told(&[alert("1").owner("99")]).await;
    house.db.batch_execute(
        "update sessions set expires_at = now() - interval '1 second' where user_id = (select id from users where name = 'bob'); \
         update one_time_links set expires_at = now() - interval '1 second'; \
         update quarantine set received_at = now() - interval '31 days'; \
         insert into owners (external_id, name) values ('99', 'Late')",
    )
    .await
    .unwrap();
    worker::tidy(&house.app).await.unwrap();
    let left =
        [house.count("sessions").await, house.count("one_time_links").await, house.count("quarantine").await];
    assert_eq!(left, [3, 0, 0]);
    assert_eq!(house.count("alerts where owner_id is not null").await, 1);
    // and twice is no harm
    worker::tidy(&house.app).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_a_partition_for_this_month_and_the_next_three() {
    let house = House::empty(|_| {}).await;
    worker::tidy(&house.app).await.unwrap();
    let partitions = "pg_inherits where inhparent = 'alerts'::regclass";
    assert!(house.count(partitions).await >= 5);
    house.told(&[alert("1").began("2017-01-12T14:44:37.805Z")]).await;
    assert_eq!(house.count("only alerts_default").await, 0);
}
