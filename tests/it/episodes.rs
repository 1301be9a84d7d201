//! From reports to episodes: whatever Alertmanager says, how often, and in which order.

use std::sync::Arc;

use rand::seq::SliceRandom;
use serde_json::json;

use crate::alertmanager::{Alert, alert, delivery, notification};
use crate::house::House;
use crate::person::Person;

#[tokio::test(flavor = "multi_thread")]
async fn repeats_make_no_rows() {
    let house = House::empty(|_| {}).await;
    let first = house.told(&[alert("1"), alert("2")]).await;
    assert_eq!(first["opened"], 2);
    let before = house.column("select last_seen_at::text from alerts order by server_external_id").await;
    let again = house.told(&[alert("1").summary("now 97 %"), alert("2"), alert("3")]).await;
    assert_eq!((again["opened"].as_u64(), again["repeated"].as_u64()), (Some(1), Some(2)));
    assert_eq!(house.history().await, ["1 10:00-", "2 10:00-", "3 10:00-"]);
    assert_eq!(
        house.column("select annotations->>'summary' from alerts where server_external_id = '1'").await,
        ["now 97 %"]
    );
    let after = house.column("select last_seen_at::text from alerts order by server_external_id").await;
    assert!(before[0] < after[0], "it was not noted that it was seen again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolution_closes() {
    let house = House::empty(|_| {}).await;
    house.told(&[alert("1"), alert("2")]).await;
    let said = house.told(&[alert("1").ended("10:20"), alert("2")]).await;
    assert_eq!((said["closed"].as_u64(), said["repeated"].as_u64()), (Some(1), Some(1)));
    assert_eq!(house.history().await, ["1 10:00-10:20", "2 10:00-"]);
    assert_eq!(
        house.column("select close_reason from alerts order by server_external_id").await,
        ["resolved", ""]
    );
    // and said again by the other of a pair
    let again = house.told(&[alert("1").ended("10:20")]).await;
    assert_eq!(again["ignored"], 1);
    assert_eq!(house.history().await, ["1 10:00-10:20", "2 10:00-"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn firing_again_after_the_end_is_a_new_episode() {
    let house = House::empty(|_| {}).await;
    house.told(&[alert("1")]).await;
    house.told(&[alert("1").ended("10:20")]).await;
    let said = house.told(&[alert("1").began("10:30")]).await;
    assert_eq!(said["opened"], 1);
    assert_eq!(house.history().await, ["1 10:00-10:20", "1 10:30-"]);
    house.told(&[alert("1").began("10:30").ended("10:31")]).await;
    assert_eq!(house.history().await, ["1 10:00-10:20", "1 10:30-10:31"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_twin_does_not_reopen() {
    let house = House::empty(|_| {}).await;
    house.told(&[alert("1")]).await;
    house.told(&[alert("1").ended("10:20")]).await;
    for began in ["10:00", "10:10", "10:20", "09:00"] {
        let said = house.told(&[alert("1").began(began)]).await;
        assert_eq!(said["ignored"], 1, "firing since {began}");
    }
    assert_eq!(house.history().await, ["1 10:00-10:20"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_moves_back_moves_the_episode_back() {
    let house = House::empty(|_| {}).await;
    house.told(&[alert("1").began("10:05")]).await;
    house.told(&[alert("1").began("10:00")]).await;
    assert_eq!(house.history().await, ["1 10:00-"]);
    // after a restart of Prometheus it says a later one, which changes nothing
    house.told(&[alert("1").began("10:10")]).await;
    assert_eq!(house.history().await, ["1 10:00-"]);
    house.told(&[alert("1").began("09:50").ended("10:15")]).await;
    assert_eq!(house.history().await, ["1 09:50-10:15"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_without_a_beginning_is_kept_once() {
    let house = House::empty(|_| {}).await;
    let said = house.told(&[alert("1").ended("10:20")]).await;
    assert_eq!(said["inserted_closed"], 1);
    for (began, ended) in [("10:00", "10:20"), ("10:10", "10:15"), ("09:00", "10:00"), ("10:20", "11:00")] {
        let said = house.told(&[alert("1").began(began).ended(ended)]).await;
        assert_eq!(said["ignored"], 1, "{began} to {ended} overlaps");
    }
    // one before it that nobody had told of
    house.told(&[alert("1").began("08:00").ended("08:30")]).await;
    assert_eq!(house.history().await, ["1 08:00-08:30", "1 10:00-10:20"]);
    // the last end is still the later one
    assert_eq!(house.told(&[alert("1").began("10:10")]).await["ignored"], 1);
    assert_eq!(house.told(&[alert("1").began("10:21")]).await["opened"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_end_does_not_close_what_began_after_it() {
    let house = House::empty(|_| {}).await;
    house.told(&[alert("1").began("10:30")]).await;
    house.told(&[alert("1").began("10:00").ended("10:20")]).await;
    assert_eq!(house.history().await, ["1 10:00-10:20", "1 10:30-"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_delivery_may_say_several_things_of_one_alert() {
    let house = House::empty(|_| {}).await;
    let said = house
        .told(&[alert("1"), alert("1").ended("10:20"), alert("1").began("10:30"), alert("1").began("10:30")])
        .await;
    assert_eq!(house.history().await, ["1 10:00-10:20", "1 10:30-"]);
    assert_eq!(
        said,
        json!({"opened": 2, "closed": 1, "repeated": 1, "inserted_closed": 0, "ignored": 0, "quarantined": 0})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolution_without_a_time_ended_when_it_came() {
    let house = House::empty(|_| {}).await;
    house.told(&[alert("1"), alert("2")]).await;
    // one without an end, and one whose end is before its beginning
    house.told(&[alert("1").ended("0001-01-01T00:00:00Z"), alert("2").ended("09:00")]).await;
    assert_eq!(
        house.count("alerts where server_external_id = '1' and ended_at > now() - interval '1 minute'").await,
        1
    );
    assert_eq!(house.count("alerts where server_external_id = '2' and ended_at = started_at").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_at_the_same_moment_make_one_episode() {
    let house = Arc::new(House::empty(|_| {}).await);
    for round in 0..10 {
        let server = round.to_string();
        let alerts = [alert(&server), alert("all")];
        let (one, other) = tokio::join!(house.told(&alerts), house.told(&alerts));
        let opened = one["opened"].as_u64().unwrap() + other["opened"].as_u64().unwrap();
        assert_eq!(opened, if round == 0 { 2 } else { 1 });
    }
    assert_eq!(house.count("alerts").await, 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_senders_with_overlapping_groups_in_any_order_agree() {
    let house = House::empty(|_| {}).await;
    let twin = house.twin();
    let mut tasks = Vec::new();
    for sender in 0..50 {
        let mut group: Vec<Alert> = (0..40).map(|n| alert(&((sender + n) % 60).to_string())).collect();
        group.shuffle(&mut rand::rng());
        let app = if sender % 2 == 0 { house.app.clone() } else { twin.clone() };
        tasks.push(tokio::spawn(async move {
            let person = Person::new(&app);
            for _ in 0..3 {
                let body = notification(group.iter().map(Alert::json).collect()).to_string();
                person.send(delivery(body)).await.expect(200);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((house.count("alerts").await, house.count("alerts where ended_at is null").await), (60, 60));
    let led = "alert_heads h join alerts a on a.id = h.open_id and a.received_at = h.open_received_at and a.started_at = h.open_started_at";
    assert_eq!(house.count(led).await, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn firing_and_resolved_at_the_same_moment_leave_at_most_one_open() {
    let house = House::empty(|_| {}).await;
    let mut tasks = Vec::new();
    for sender in 0..30_u32 {
        let app = house.app.clone();
        tasks.push(tokio::spawn(async move {
            for step in 0..5 {
                let minute = step * 10 + sender % 3;
                let fires = alert("1").began(&format!("11:{minute:02}"));
                let report =
                    if sender % 2 == 0 { fires } else { fires.ended(&format!("11:{:02}", minute + 4)) };
                Person::new(&app)
                    .send(delivery(notification(vec![report.json()]).to_string()))
                    .await
                    .expect(200);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(house.count("alerts where ended_at is null").await <= 1);
    let overlap = "alerts a join alerts b on a.id < b.id and a.fingerprint = b.fingerprint \
        and a.started_at <= coalesce(b.ended_at, 'infinity') and b.started_at <= coalesce(a.ended_at, 'infinity')";
    assert_eq!(house.count(overlap).await, 0, "{:?}", house.history().await);
    let open = house.count("alerts where ended_at is null").await;
    assert_eq!(house.count("alert_heads where open_id is not null").await, open);
}
