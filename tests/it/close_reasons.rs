//! Why an episode ended of which no webhook told, and why one is told to nobody.

use prommgr::worker::Compared;
use serde_json::json;

use crate::alertmanager::alert;
use crate::other_end::joined;

#[tokio::test(flavor = "multi_thread")]
async fn silenced_ones_are_marked_stay_open_and_end_as_silenced() {
    let (house, alertmanager) = joined().await;
    house.server(house.nordwind, "1", "web", "10.0.0.1").await;
    house.told(&[alert("1")]).await;
    alertmanager.silences(&[alert("1"), alert("2")]);
    assert_eq!(house.compares().await, Compared { named: 2, opened: 1, marked: 2, ..Compared::default() });
    assert_eq!(house.reasons().await, ["1 open silenced", "2 open silenced"]);
    let open = house.alice().get("/alerts?state=open").await.expect(200);
    assert_eq!(open.all("tbody .state"), ["Silenced", "Silenced"]);
    // it fires again: by what Alertmanager says, and by a webhook at once
    alertmanager.has(&[alert("1"), alert("2")]);
    assert_eq!(house.compares().await.marked, 2);
    alertmanager.silences(&[alert("1"), alert("2")]);
    house.compares().await;
    house.told(&[alert("1")]).await;
    assert_eq!(house.reasons().await, ["1 open", "2 open silenced"]);
    alertmanager.has(&[alert("1")]);
    house.compares().await;
    house.later(2).await;
    assert_eq!(house.compares().await.closed, 1);
    assert_eq!(house.reasons().await, ["1 open", "2 silenced silenced"]);

    // the course of each tells when nobody was told
    let course = async |fingerprint: &str| {
        let sql =
            format!("select id::text from alerts where labels->>'cloudnet_server_id' = '{fingerprint}'");
        let id = house.column(&sql).await.remove(0);
        house.charlie().get(&format!("/alerts/{id}")).await.expect(404);
        let lines =
            house.alice().get(&format!("/alerts/{id}")).await.expect(200).all("#live .moments li span");
        lines.into_iter().filter(|line| line.contains("ilenced")).collect::<Vec<_>>()
    };
    let (begun, over) = ("Silenced: nobody was told of it from here on.", "No longer silenced.");
    assert_eq!(course("1").await, [begun, over, begun, over]);
    let ended = "It ended. It ended while it was silenced, so Alertmanager told no exact time.";
    assert_eq!(course("2").await, [begun, over, begun, ended]);
    assert_eq!(house.count("suppressions where until is null").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inhibited_and_the_muted_are_told_apart() {
    let (house, alertmanager) = joined().await;
    for (status, mark) in [
        (json!({"state": "suppressed", "inhibitedBy": ["x"], "silencedBy": []}), "1 open inhibited"),
        (
            json!({"state": "suppressed", "mutedBy": ["night"], "inhibitedBy": [], "silencedBy": []}),
            "1 open muted",
        ),
        (json!({"state": "unprocessed"}), "1 open"),
    ] {
        alertmanager.has_so(&[alert("1")], status);
        house.compares().await;
        assert_eq!(house.reasons().await, [mark]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_says_why() {
    let (house, alertmanager) = joined().await;
    let gone = house.server(house.nordwind, "gone", "gone", "10.0.0.1").await;
    for name in ["changed", "other"] {
        house.server(house.nordwind, name, name, &format!("{name}.example")).await;
    }
    house
        .told(&[
            alert("gone"),
            alert("changed"),
            alert("other").severity("warning"),
            alert("unheard").owner("12"),
        ])
        .await;
    alertmanager.has(&[
        alert("gone"),
        alert("changed"),
        alert("other").severity("warning"),
        alert("unheard").owner("12"),
    ]);
    house.compares().await;
    house.db.batch_execute(&format!(
        "update servers set removed_at = now() where id = {gone}; \
         insert into audit (at, user_name, staff, owner_id, action, object) values (now() - interval '1 minute', 'alice', false, 101, 'threshold.set', 'service_down (critical) of Nordwind'); \
         insert into blobs values ('\\x01', ''); \
         insert into publications (user_name, revision, state, servers, created_at, finished_at) values ('root', 'x', 'in_force', 1, now(), now()); \
         insert into publication_files select id, 'rules/service_down.yml', '\\x01', 'changed' from publications"
    )).await.unwrap();
    alertmanager.has(&[]);
    house.compares().await;
    house.later(2).await;
    // the publication was before that too
    house
        .db
        .batch_execute("update publications set finished_at = now() - interval '150 seconds'")
        .await
        .unwrap();
    assert_eq!(house.compares().await.closed, 4);
    // a threshold of another severity, and one of another owner, are no reason
    assert_eq!(
        house.reasons().await,
        ["changed rule_changed", "gone server_removed", "other resolved_unheard", "unheard resolved_unheard"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_that_has_just_started_closes_nothing() {
    let (house, alertmanager) = joined().await;
    house.told(&[alert("1")]).await;
    house.later(30).await;
    alertmanager.started(240);
    house.compares().await;
    house.later(3).await;
    alertmanager.started(290);
    assert_eq!(house.compares().await.closed, 0);
    // Prometheus had the time to say everything again
    alertmanager.started(301);
    assert_eq!(house.compares().await.closed, 1);
    assert_eq!(house.reasons().await, ["1 forgotten"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_young_alertmanager_told_us_itself_it_knows() {
    let (house, alertmanager) = joined().await;
    house.told(&[alert("1")]).await;
    alertmanager.started(100);
    house.compares().await;
    house
        .db
        .batch_execute("update alert_misses set missed_at = missed_at - interval '70 seconds'")
        .await
        .unwrap();
    assert_eq!(house.compares().await.closed, 1);
    assert_eq!(house.reasons().await, ["1 resolved_unheard"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_prometheus_was_silent_is_doubted() {
    let (house, alertmanager) = joined().await;
    let url = "http://prometheus.example:9090/";
    house.db.execute("insert into prometheus_health (url, seen_at, error) values ($1, now() - interval '5 minutes', 'gone')", &[&url]).await.unwrap();
    let (began, ended) =
        (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1), jiff::Timestamp::now());
    house.told(&[alert("1").began(&began.to_string())]).await;
    house.told(&[alert("1").began(&began.to_string()).ended(&ended.to_string())]).await;
    alertmanager.has(&[]);
    house.compares().await;
    assert_eq!(house.reasons().await, ["1 prometheus_down"]);
    // another one is silent, and not the one that the alert's link leads to
    house.db.batch_execute("update prometheus_health set error = '', seen_at = now(); insert into prometheus_health (url, seen_at, error) values ('http://other:9090/', now() - interval '5 minutes', 'gone')").await.unwrap();
    house.told(&[alert("2").began(&began.to_string()).ended(&ended.to_string())]).await;
    house.compares().await;
    assert_eq!(house.reasons().await[1], "2 resolved");
}
