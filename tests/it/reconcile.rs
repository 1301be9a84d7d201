//! The history is brought in line with what Alertmanager has.

use axum::http::StatusCode;
use prommgr::worker::{self, Compared};

use crate::alertmanager::{alert, notification};
use crate::house::{House, eventually};
use crate::other_end::{Alertmanager, joined};
use crate::prometheus::nobody;

#[tokio::test(flavor = "multi_thread")]
async fn what_no_webhook_told_comes_in_once() {
    let (house, alertmanager) = joined().await;
    house.server(house.nordwind, "1", "web", "10.0.0.1").await;
    house.told(&[alert("1").began("10:00")]).await;
    alertmanager.has(&[alert("1").began("10:00"), alert("2").began("10:05")]);
    assert_eq!(house.compares().await, Compared { named: 2, opened: 1, ..Compared::default() });
    assert_eq!(house.history().await, ["1 10:00-", "2 10:05-"]);
    assert_eq!(house.compares().await, Compared { named: 2, ..Compared::default() });
    // asked for what has the owner label, and nothing else
    assert_eq!(alertmanager.asked()[0], "filter=cloudnet_owner_id%21%3D%22%22");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_waits_for_the_exact_end_and_then_closes() {
    let (house, alertmanager) = joined().await;
    house.told(&[alert("1"), alert("2")]).await;
    alertmanager.has(&[]);
    assert_eq!(house.compares().await.closed, 0);
    // the webhook tells of one of them
    house.told(&[alert("1").ended("10:20")]).await;
    house.later(2).await;
    assert_eq!(house.compares().await.closed, 1);
    assert_eq!(house.reasons().await, ["1 resolved", "2 resolved_unheard"]);
    assert_eq!(house.history().await[0], "1 10:00-10:20");
    // it had ended when it was first missing
    assert_eq!(house.count("alerts where server_external_id = '2' and ended_at between now() - interval '3 minutes' and now() - interval '1 minute'").await, 1);
    assert_eq!(
        house.count("alert_heads where open_id is not null").await + house.count("alert_misses").await,
        0
    );
    // and fires again as another episode
    let again = jiff::Timestamp::now().to_string();
    assert_eq!(house.told(&[alert("2").began(&again)]).await["opened"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_missing_and_is_there_again_begins_to_wait_anew() {
    let (house, alertmanager) = joined().await;
    house.told(&[alert("1")]).await;
    house.compares().await;
    assert_eq!(house.count("alert_misses").await, 1);
    alertmanager.has(&[alert("1")]);
    house.later(2).await;
    house.compares().await;
    assert_eq!(house.count("alert_misses").await, 0);
    alertmanager.has(&[]);
    house.later(2).await;
    assert_eq!(house.compares().await.closed, 0);
    assert_eq!(house.history().await, ["1 10:00-"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_that_tells_seldom_is_waited_for_longer() {
    let (house, alertmanager) = joined().await;
    alertmanager.tells_every("5m");
    house.told(&[alert("1")]).await;
    house.compares().await;
    house.later(5).await;
    assert_eq!(house.compares().await.closed, 0);
    house.later(1).await;
    assert_eq!(house.compares().await.closed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_none_closes_nothing() {
    let (house, alertmanager) = joined().await;
    house.told(&[alert("1"), alert("2")]).await;
    alertmanager.has(&[]);
    house.compares().await;
    house.later(10).await;
    alertmanager.fails(Some(StatusCode::INTERNAL_SERVER_ERROR));
    assert!(worker::reconcile(&house.app, 0).await.unwrap_err().to_string().contains("answered 500"));
    alertmanager.fails(None);
    alertmanager.has(&[alert("1"), alert("2")]);
    alertmanager.breaks_off(true);
    assert!(worker::reconcile(&house.app, 0).await.unwrap_err().to_string().contains("broke off"));
    assert_eq!(house.history().await, ["1 10:00-", "2 10:00-"]);
    assert!(house.column("select error from reconciliations").await[0].contains("broke off"));
    alertmanager.breaks_off(false);
    house.compares().await;
    assert_eq!(house.column("select error from reconciliations").await, [""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_cluster_are_asked_until_one_answers() {
    let alertmanager = Alertmanager::start().await;
    let urls = format!("{}, {}", nobody().await, alertmanager.url);
    let house = House::with(|settings| settings.alertmanager_url = Some(urls)).await;
    alertmanager.has(&[alert("1")]);
    assert_eq!(house.compares().await.opened, 1);
    assert_eq!(
        house.column("select alertmanager from reconciliations").await,
        [format!("{}/", alertmanager.url)]
    );
    // one that is young may never have heard what another posted to us
    alertmanager.started(100);
    alertmanager.has(&[]);
    house.told(&[alert("1")]).await;
    house.compares().await;
    house.later(2).await;
    assert_eq!(house.compares().await.closed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_owner_label_was_not_asked_for_and_stays() {
    let (house, alertmanager) = joined().await;
    house.told(&[alert("1").owner("")]).await;
    alertmanager.has(&[]);
    house.compares().await;
    house.later(10).await;
    assert_eq!(house.compares().await.closed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_webhook_opens_meanwhile_is_not_closed() {
    let (house, alertmanager) = joined().await;
    house.told(&[alert("old")]).await;
    house.compares().await;
    house.later(2).await;
    alertmanager.holds_back();
    let app = house.app.clone();
    let comparing = tokio::spawn(async move { worker::reconcile(&app, 0).await.unwrap() });
    // the first list went through before the gate was shut
    alertmanager.is_asked().await;
    alertmanager.is_asked().await;
    house.told(&[alert("new"), alert("old")]).await;
    alertmanager.goes_on();
    assert_eq!(comparing.await.unwrap(), Compared::default());
    assert_eq!(house.history().await, ["new 10:00-", "old 10:00-"]);
    assert_eq!(house.count("alert_misses").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_webhook_resolves_meanwhile_is_not_opened_again() {
    let (house, alertmanager) = joined().await;
    house.told(&[alert("1")]).await;
    alertmanager.has(&[alert("1")]);
    alertmanager.holds_back();
    let app = house.app.clone();
    let comparing = tokio::spawn(async move { worker::reconcile(&app, 0).await.unwrap() });
    alertmanager.is_asked().await;
    house.told(&[alert("1").ended("10:20")]).await;
    alertmanager.goes_on();
    assert_eq!(comparing.await.unwrap().reopened, 0);
    assert_eq!(house.history().await, ["1 10:00-10:20"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_for_over_and_is_not_goes_on() {
    let (house, alertmanager) = joined().await;
    house.told(&[alert("1").began("08:00").ended("09:00")]).await;
    house.told(&[alert("1").began("10:00")]).await;
    house.told(&[alert("1").began("10:00").ended("10:20")]).await;
    alertmanager.has(&[alert("1").began("10:00")]);
    assert_eq!(house.compares().await.reopened, 1);
    assert_eq!(house.history().await, ["1 08:00-09:00", "1 10:00-"]);
    assert_eq!(house.count("alert_heads where open_id is not null and to_char(last_end at time zone 'UTC', 'HH24:MI') = '09:00'").await, 1);
    assert_eq!(house.compares().await, Compared { named: 1, ..Compared::default() });
    // and ends as any other
    house.told(&[alert("1").began("10:00").ended("10:40")]).await;
    assert_eq!(house.history().await, ["1 08:00-09:00", "1 10:00-10:40"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_twins_and_deliveries_that_were_cut_ask_for_a_comparison() {
    let (house, alertmanager) = joined().await;
    house.told(&[alert("1")]).await;
    house.told(&[alert("1").ended("10:20")]).await;
    alertmanager.has(&[alert("1"), alert("2")]);
    let stop = tokio_util::sync::CancellationToken::new();
    let working = tokio::spawn(worker::work(house.app.clone(), stop.clone()));
    // the one at the start
    eventually("the first comparison", async || {
        (house.history().await == ["1 10:00-", "2 10:00-"]).then_some(())
    })
    .await;
    house.told(&[alert("1").ended("10:30")]).await;
    house.told(&[alert("1")]).await;
    eventually("the late twin's", async || (house.history().await[0] == "1 10:00-").then_some(())).await;
    alertmanager.has(&[alert("1"), alert("2"), alert("3")]);
    let mut cut = notification(vec![alert("1").json()]);
    cut["truncatedAlerts"] = 1.into();
    house.posted(cut.to_string()).await.expect(200);
    eventually("the cut delivery's", async || (house.history().await.len() == 3).then_some(())).await;
    stop.cancel();
    working.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_take_turns() {
    let (house, alertmanager) = joined().await;
    alertmanager.has(&[alert("1")]);
    assert_eq!(worker::reconcile(&house.app, 45).await.unwrap().named, 1);
    assert_eq!(worker::reconcile(&house.twin(), 45).await.unwrap().named, 0);
    house.later(1).await;
    assert_eq!(worker::reconcile(&house.twin(), 45).await.unwrap().named, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_compared_in_bounded_pieces() {
    let (house, alertmanager) = joined().await;
    let alerts: Vec<_> = (0..2500).map(|n| alert(&n.to_string())).collect();
    alertmanager.has(&alerts);
    assert_eq!(house.compares().await, Compared { named: 2500, opened: 2500, ..Compared::default() });
    alertmanager.has(&alerts[..10]);
    house.compares().await;
    house.later(2).await;
    assert_eq!(house.compares().await.closed, 2490);
    assert_eq!(house.count("alert_heads where open_id is not null").await, 10);
}
