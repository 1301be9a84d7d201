//! An Alertmanager, as far as we ask it: what it has, since when it runs, and what can go wrong.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use prommgr::server;
use prommgr::worker::{self, Compared};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::alertmanager::Alert;
use crate::house::House;

/// Ends when it is dropped.
pub struct Alertmanager {
    pub url: String,
    inner: Arc<Inner>,
    _stop: DropGuard,
}

struct Inner {
    alerts: Mutex<Vec<Value>>,
    age: Mutex<Duration>,
    group_interval: Mutex<String>,
    fails: Mutex<Option<StatusCode>>,
    breaks_off: Mutex<bool>,
    asked: Mutex<Vec<String>>,
    /// A list is sent once there is a permit.
    gate: Semaphore,
    reached: Semaphore,
}

impl Alertmanager {
    /// One that has run for a day and has nothing.
    pub async fn start() -> Self {
        let inner = Arc::new(Inner {
            alerts: Mutex::default(),
            age: Mutex::new(Duration::from_secs(86_400)),
            group_interval: Mutex::new("30s".into()),
            fails: Mutex::default(),
            breaks_off: Mutex::default(),
            asked: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            reached: Semaphore::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/api/v2/alerts", get(alerts))
            .route("/api/v2/status", get(status))
            .with_state(inner.clone());
        let stop = CancellationToken::new();
        tokio::spawn(server::serve(listener, router, 100, stop.clone()));
        Self { url, inner, _stop: stop.drop_guard() }
    }

    /// Has it these alerts, firing and notified.
    pub fn has(&self, alerts: &[Alert]) {
        self.has_so(alerts, json!({"state": "active", "silencedBy": [], "inhibitedBy": []}));
    }

    /// Has it these alerts, silenced.
    pub fn silences(&self, alerts: &[Alert]) {
        self.has_so(alerts, json!({"state": "suppressed", "silencedBy": ["a-silence"], "inhibitedBy": []}));
    }

    /// Has it these alerts, in this state.
    pub fn has_so(&self, alerts: &[Alert], status: Value) {
        let alerts = alerts.iter().map(|alert| {
            let mut alert = alert.json();
            alert["status"] = status.clone();
            alert["endsAt"] = "2126-11-01T00:00:00Z".into();
            alert
        });
        *self.inner.alerts.lock().unwrap() = alerts.collect();
    }

    /// Has it run only for so many seconds.
    pub fn started(&self, seconds: u64) {
        *self.inner.age.lock().unwrap() = Duration::from_secs(seconds);
    }

    /// Has it tell what is new in a group that often.
    pub fn tells_every(&self, group_interval: &str) {
        *self.inner.group_interval.lock().unwrap() = group_interval.into();
    }

    /// Has it answer so, or as it should.
    pub fn fails(&self, how: Option<StatusCode>) {
        *self.inner.fails.lock().unwrap() = how;
    }

    /// Has its list end in the middle.
    pub fn breaks_off(&self, whether: bool) {
        *self.inner.breaks_off.lock().unwrap() = whether;
    }

    /// Has it hold its lists back until [`Self::goes_on`], as they were when it was asked.
    pub fn holds_back(&self) {
        self.inner.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Waits until it has been asked for a list that it holds back.
    pub async fn is_asked(&self) {
        self.inner.reached.acquire().await.unwrap().forget();
    }

    pub fn goes_on(&self) {
        self.inner.gate.add_permits(1000);
    }

    /// The queries of the lists that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.inner.asked.lock().unwrap().clone()
    }
}

async fn status(State(inner): State<Arc<Inner>>) -> Response {
    if let Some(status) = *inner.fails.lock().unwrap() {
        return status.into_response();
    }
    let started = jiff::Timestamp::now() - *inner.age.lock().unwrap();
    let config =
        format!("route:\n  receiver: x\n  group_interval: {}\n", inner.group_interval.lock().unwrap());
    Json(json!({"uptime": started, "config": {"original": config}, "versionInfo": {}, "cluster": {"status": "disabled"}}))
        .into_response()
}

async fn alerts(State(inner): State<Arc<Inner>>, RawQuery(query): RawQuery) -> Response {
    if let Some(status) = *inner.fails.lock().unwrap() {
        return status.into_response();
    }
    let query = query.unwrap_or_default();
    inner.asked.lock().unwrap().push(query.clone());
    let heartbeat = query.contains("prommgr_heartbeat");
    let mut alerts = inner.alerts.lock().unwrap().clone();
    alerts.retain(|alert| (alert["labels"]["alertname"] == "prommgr_heartbeat") == heartbeat);
    let mut text = Value::from(alerts).to_string();
    if *inner.breaks_off.lock().unwrap() {
        text.truncate(text.len() / 2);
    }
    inner.reached.add_permits(1);
    inner.gate.acquire().await.unwrap().forget();
    text.into_response()
}

/// A house with such an Alertmanager.
pub async fn joined() -> (House, Alertmanager) {
    let alertmanager = Alertmanager::start().await;
    let house = House::with(|settings| settings.alertmanager_url = Some(alertmanager.url.clone())).await;
    (house, alertmanager)
}

impl House {
    /// Compares the history with Alertmanager now.
    pub async fn compares(&self) -> Compared {
        worker::reconcile(&self.app, 0).await.unwrap()
    }

    /// As if everything that is noted of the times of misses and comparisons had been so many minutes ago.
    pub async fn later(&self, minutes: i32) {
        let ago = format!("- interval '{minutes} minutes'");
        self.db
            .batch_execute(&format!(
                "update alert_misses set missed_at = missed_at {ago}, known_at = known_at {ago}; \
                 update reconciliations set began_at = began_at {ago}, tried_at = tried_at {ago}; \
                 update suppressions set since = since {ago}, until = until {ago}; \
                 update alerts set last_seen_at = last_seen_at {ago}"
            ))
            .await
            .unwrap();
    }

    /// The reasons of the ended, by server.
    pub async fn reasons(&self) -> Vec<String> {
        self.column(
            "select coalesce(server_external_id, '') || ' ' || coalesce(close_reason, 'open') || coalesce(' ' || suppressed, '') \
             from alerts order by server_external_id, started_at",
        )
        .await
    }
}
