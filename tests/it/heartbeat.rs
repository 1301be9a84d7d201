//! The alert that always fires: it is no row of the history, and when it stays away the dashboard says where.

use prommgr::worker;
use serde_json::json;

use crate::alertmanager::{Alert, alert, notification};
use crate::house::House;
use crate::other_end::Alertmanager;
use crate::prometheus::{Prometheus, nobody};

const PROMETHEUS: &str = "http://prom-a:9090/";

fn heartbeat() -> Alert {
    alert("1").only(&[("alertname", "prommgr_heartbeat"), ("prometheus", PROMETHEUS)])
}

/// Prometheus and Alertmanager of our own, something published an hour ago, and the heartbeat on its way.
async fn whole() -> (House, Prometheus, Alertmanager) {
    let (prometheus, alertmanager) = (Prometheus::start().await, Alertmanager::start().await);
    let house = House::with(|settings| {
        settings.prometheus_url = Some(prometheus.url.clone());
        settings.alertmanager_url = Some(alertmanager.url.clone());
    })
    .await;
    house.db.batch_execute("insert into publications (user_name, revision, state, servers, created_at, finished_at) values ('root', 'x', 'in_force', 1, now() - interval '1 hour', now())").await.unwrap();
    prometheus.sends(Some(PROMETHEUS), 1, 0.0);
    alertmanager.has(&[heartbeat()]);
    (house, prometheus, alertmanager)
}

async fn looked_at(house: &House) -> Vec<String> {
    worker::watch(&house.app).await.unwrap();
    worker::watch_path(&house.app).await.unwrap();
    house.root().get("/").await.expect(200).all(".path li")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_seen_and_is_no_row_of_the_history() {
    let (house, _prometheus, _alertmanager) = whole().await;
    let said = house.told(&[heartbeat(), alert("1")]).await;
    assert_eq!((said["opened"].as_u64(), said["quarantined"].as_u64()), (Some(1), Some(0)));
    assert_eq!(house.history().await, ["1 10:00-"]);
    house.told(&[heartbeat()]).await;
    assert_eq!(house.column("select prometheus from heartbeats").await, [PROMETHEUS]);
    let said = looked_at(&house).await.remove(0);
    assert!(
        said.starts_with("Alerts reach prommgr: the heartbeat came ") && said.ends_with(" ago."),
        "{said}"
    );
    // one that ended says nothing
    house.db.batch_execute("delete from heartbeats").await.unwrap();
    house.told(&[heartbeat().ended("10:20")]).await;
    assert_eq!(house.count("heartbeats").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_says_where_the_way_is_broken() {
    let (house, prometheus, alertmanager) = whole().await;
    let one = async |house: &House| looked_at(house).await.remove(0);
    // the webhook
    assert!(one(&house).await.starts_with("Alertmanager has the heartbeat of Prometheus at "));
    // between Prometheus and Alertmanager
    alertmanager.has(&[]);
    prometheus.sends(Some(PROMETHEUS), 1, 7.0);
    let line = one(&house).await;
    assert!(
        line.contains("does not arrive at Alertmanager") && line.contains("It could not send 7 alerts"),
        "{line}"
    );
    prometheus.sends(Some(PROMETHEUS), 0, 0.0);
    assert!(one(&house).await.contains("knows no Alertmanager"));
    // Prometheus
    prometheus.sends(None, 1, 0.0);
    assert!(one(&house).await.contains("does not evaluate the heartbeat's rule"));
    // Alertmanager, though the heartbeat came a moment ago
    prometheus.sends(Some(PROMETHEUS), 1, 0.0);
    house.told(&[heartbeat()]).await;
    alertmanager.fails(Some(axum::http::StatusCode::BAD_GATEWAY));
    let lines = looked_at(&house).await;
    assert!(lines[0].contains("Alertmanager at ") && lines[0].contains("answered 502"), "{lines:?}");
    assert_eq!(lines[1], "The heartbeat last came 0 seconds ago.");
    // and Prometheus itself is away
    alertmanager.fails(None);
    drop(prometheus);
    crate::house::eventually("Prometheus is gone", async || {
        one(&house).await.contains("cannot be reached").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_each_has_its_own() {
    let (first, second, alertmanager) =
        (Prometheus::start().await, Prometheus::start().await, Alertmanager::start().await);
    let house = House::with(|settings| {
        settings.prometheus_url = Some(format!("{}, {}", first.url, second.url));
        settings.alertmanager_url = Some(alertmanager.url.clone());
    })
    .await;
    house.db.batch_execute("insert into publications (user_name, revision, state, servers, created_at, finished_at) values ('root', 'x', 'in_force', 1, now() - interval '1 hour', now())").await.unwrap();
    first.sends(Some(PROMETHEUS), 1, 0.0);
    second.sends(Some("http://prom-b:9090/"), 1, 0.0);
    house.told(&[heartbeat()]).await;
    let lines = looked_at(&house).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains(&second.url) && lines[0].contains("does not arrive"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_read_a_plain_sentence_and_no_address() {
    let (house, _prometheus, _alertmanager) = whole().await;
    house.told(&[heartbeat()]).await;
    looked_at(&house).await;
    let alice = house.alice();
    assert!(!alice.get("/").await.has(".path"));
    house
        .db
        .batch_execute("update heartbeats set last_seen_at = now() - interval '4 minutes'")
        .await
        .unwrap();
    let page = alice.get("/").await.expect(200);
    assert_eq!(page.one(".path"), "New alerts may come late just now; we are looking into it.");
    assert!(!page.text.contains("prom-a") && !page.text.contains("127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_before_the_first_publication_and_just_after_one() {
    let house = House::with(|settings| settings.prometheus_url = Some("http://127.0.0.1:9".into())).await;
    assert!(looked_at(&house).await.is_empty());
    let (house, prometheus, _alertmanager) = whole().await;
    prometheus.sends(None, 1, 0.0);
    house.db.batch_execute("update publications set created_at = now()").await.unwrap();
    assert_eq!(looked_at(&house).await, ["The heartbeat is on its way."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_configured_is_forgotten() {
    let (house, _prometheus, _alertmanager) = whole().await;
    looked_at(&house).await;
    house.told(&[heartbeat()]).await;
    let elsewhere = nobody().await;
    let twin = house.twin_with(|settings| settings.alertmanager_url = Some(elsewhere.clone()));
    worker::watch_path(&twin).await.unwrap();
    assert_eq!(house.column("select url from alertmanager_health").await, [format!("{elsewhere}/")]);
    house.db.batch_execute("update heartbeats set last_seen_at = now() - interval '8 days'").await.unwrap();
    worker::tidy(&house.app).await.unwrap();
    assert_eq!(house.count("heartbeats").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_of_a_heartbeat_are_anybodys_and_harmless() {
    let (house, _prometheus, _alertmanager) = whole().await;
    let mut odd = heartbeat().json();
    odd["labels"]["prometheus"] = json!("x".repeat(5000));
    house.posted(notification(vec![odd]).to_string()).await.expect(200);
    assert_eq!(house.count("heartbeats where length(prometheus) = 500").await, 1);
}
