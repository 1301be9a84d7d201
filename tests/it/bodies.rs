//! What comes through Alertmanager's door: whatever is in a body, nothing is lost and nothing spoils the rest.

use serde_json::json;

use crate::alertmanager::{Alert, alert, notification};
use crate::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_notification_is_a_400_and_kept_for_admins() {
    let house = House::new().await;
    for body in ["", "no JSON <b>at all</b>", "[]", "{\"alerts\": 7}", "{\"alerts\": [{]}", "nul \u{0} here"]
    {
        let refused = house.posted(body).await.expect(400);
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert!(!refused.json()["detail"].as_str().unwrap().is_empty());
    }
    house.posted(vec![0xff_u8, 0xfe, b'{']).await.expect(400);
    assert_eq!((house.count("alerts").await, house.count("quarantine").await), (0, 7));
    let root = house.root();
    assert!(root.get("/alerts").await.offers("7 not understood"));
    let kept = root.get("/alerts/quarantine").await.expect(200);
    assert!(kept.all("details pre").contains(&"no JSON <b>at all</b>".to_owned()));
    house.alice().get("/alerts/quarantine").await.expect(404);
    assert!(!house.alice().get("/alerts").await.offers("7 not understood"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_body_without_end_the_first_megabyte_is_kept() {
    let house = House::empty(|_| {}).await;
    house.posted("x".repeat(3 << 20)).await.expect(400);
    assert_eq!(house.count("quarantine where truncated and length(body) = 1 << 20").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_alert_is_kept_aside_and_the_rest_is_stored() {
    let house = House::empty(|_| {}).await;
    let bad = [
        json!(7),
        json!({"status": "firing", "labels": {}, "startsAt": "2026-11-01T10:00:00Z"}),
        json!({"status": "firing", "labels": {"alertname": "x"}, "startsAt": "yesterday"}),
        json!({"status": "sleeping", "labels": {"alertname": "x"}, "startsAt": "2026-11-01T10:00:00Z"}),
        json!({"status": "firing", "labels": {"alertname": "x".repeat(10_000)}, "startsAt": "2026-11-01T10:00:00Z"}),
        json!({"status": "firing", "labels": {"alertname": 5}, "startsAt": "2026-11-01T10:00:00Z"}),
    ];
    let mut all = vec![alert("1").json()];
    all.extend(bad.clone());
    all.push(alert("2").json());
    let said = house.posted(notification(all).to_string()).await.expect(200).json();
    assert_eq!((said["opened"].as_u64(), said["quarantined"].as_u64()), (Some(2), Some(6)));
    assert_eq!(house.history().await, ["1 10:00-", "2 10:00-"]);
    let kept = house.column("select body from quarantine order by id").await;
    assert_eq!(
        kept.iter().map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap()).collect::<Vec<_>>(),
        bad
    );
    assert!(
        house.column("select reason from quarantine order by id limit 1").await[0]
            .starts_with("alert 2 of the delivery")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_texts_are_kept_as_they_are() {
    let house = House::empty(|_| {}).await;
    let odd = "Größe ✓ \"q\" \\ \u{1f525} <script>alert(1)</script> {{ $value }} '; drop table alerts; --";
    house
        .told(&[
            alert("1").label("note", odd).summary(odd),
            alert("2").label("note", "a\u{0}b").summary("c\u{0}d"),
        ])
        .await;
    assert_eq!(
        house.column("select labels->>'note' from alerts order by server_external_id").await,
        [odd, "a\u{fffd}b"]
    );
    assert_eq!(
        house.column("select annotations->>'summary' from alerts order by server_external_id").await,
        [odd, "c\u{fffd}d"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_tell_is_fine() {
    let house = House::empty(|_| {}).await;
    for body in [notification(Vec::new()).to_string(), "{}".into(), "{\"alerts\": null}".into()] {
        let said = house.posted(body).await.expect(200).json();
        assert_eq!(said["opened"], 0);
    }
    assert_eq!((house.count("alerts").await, house.count("quarantine").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_3_megabytes_is_taken_whole() {
    let house = House::empty(|_| {}).await;
    let alerts: Vec<Alert> = (0..3000).map(|n| alert(&n.to_string()).summary(&"long ".repeat(160))).collect();
    let body = notification(alerts.iter().map(Alert::json).collect()).to_string();
    assert!(body.len() > 3 << 20, "{}", body.len());
    let said = house.posted(body).await.expect(200).json();
    assert_eq!(said["opened"], 3000);
    assert_eq!(house.count("alerts where ended_at is null").await, 3000);
    assert_eq!(house.count("alert_heads where open_id is not null").await, 3000);
}
