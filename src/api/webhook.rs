//! `POST /webhook/alertmanager`: what Alertmanager tells us, committed before it is answered.
//! Its answers steer Alertmanager: 2xx is done, 5xx is tried again, anything else is lost for good.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use jiff::Timestamp;

use crate::alertmanager::fingerprint;
use crate::alertmanager::payload::{self, Delivery};
use crate::app::App;
use crate::auth::carries_token;
use crate::error::{Error, Result};
use crate::store::episode::Times;
use crate::store::intake::{self, Outcome, Report};
use crate::store::quarantine;
use crate::store::scope::All;

/// Alertmanager caps nothing, and a 413 would be loss.
pub const BODY_LIMIT: usize = 64 << 20;
/// How long storing may take until Alertmanager is told to try again; a repeat makes no second row.
const PATIENCE: Duration = Duration::from_secs(20);
/// The cluster that `PROMMGR_WEBHOOK_TOKEN` names.
const DEFAULT_CLUSTER: i32 = 1;
/// Reports of one alert that a delivery may hold; Alertmanager sends one.
const MOST_REPORTS: usize = 16;
/// Characters of what names an alert; longer ones are cut, as they match nothing of ours.
const LONGEST_KEY: usize = 500;

/// Stores a delivery. 400 for a body that is not understood, which is kept; 401 without the token;
/// 503 while the database does not answer.
pub async fn alertmanager(State(app): State<App>, headers: HeaderMap, body: Body) -> Result<Json<Outcome>> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if !carries_token(authorization, &app.config().webhook_tokens) {
        return Err(Error::Unauthorized);
    }
    let bytes = axum::body::to_bytes(body, BODY_LIMIT).await.map_err(|error| {
        tracing::warn!(%error, "a delivery could not be read");
        Error::TooLarge
    })?;
    let ours = [app.config().owner_label.clone(), app.config().server_label.clone()];
    let received = Timestamp::now();
    let (bytes, parsed) = tokio::task::spawn_blocking(move || {
        let parsed = payload::parse(&bytes, received).map(|delivery| prepare(delivery, &ours));
        (bytes, parsed)
    })
    .await
    .map_err(Error::internal)?;
    // what must finish does not live in the request's future, which ends when the client goes
    let stored = tokio::spawn(async move {
        let all = All::operator();
        let mut db = app.db(all).await?;
        match parsed {
            Ok((reports, bad)) => intake::store(&mut db, all, DEFAULT_CLUSTER, reports, &bad).await,
            Err(refused) => {
                quarantine::keep(&mut db, DEFAULT_CLUSTER, &refused.to_string(), &bytes).await?;
                Err(Error::BadRequest(refused.to_string()))
            }
        }
    });
    // whatever went wrong on our side, Alertmanager is to try again
    let stored = tokio::time::timeout(PATIENCE, stored)
        .await
        .map_err(|_| Error::Unavailable("The delivery could not be stored in time; send it again.".into()))?;
    match stored.map_err(Error::internal)? {
        Ok(outcome) => {
            tracing::debug!(?outcome, "delivery stored");
            Ok(Json(outcome))
        }
        Err(error) => Err(error),
    }
}

type Bad = (String, String, bool);

fn prepare(delivery: Delivery, ours: &[String; 2]) -> (Vec<Report>, Vec<Bad>) {
    if delivery.truncated > 0 {
        tracing::warn!(
            truncated = delivery.truncated,
            group = delivery.group_key,
            "Alertmanager left alerts out; set max_alerts to 0"
        );
    }
    let mut bad: Vec<Bad> = Vec::new();
    for one in delivery.bad {
        let truncated = one.raw.len() >= payload::RAW_MAX;
        bad.push((format!("alert {} of the delivery: {}", one.index + 1, one.reason), one.raw, truncated));
    }
    let mut seen: HashMap<u64, usize> = HashMap::new();
    let mut reports = Vec::with_capacity(delivery.alerts.len());
    for report in delivery.alerts {
        let times = seen.entry(report.fingerprint).or_default();
        *times += 1;
        if *times > MOST_REPORTS {
            let reason = format!("more than {MOST_REPORTS} reports of one alert in one delivery");
            bad.push((reason, object(&report.labels).to_string(), false));
        } else {
            reports.push(ready(report, ours));
        }
    }
    (reports, bad)
}

fn ready(report: payload::Report, [owner, server]: &[String; 2]) -> Report {
    let key = |name: &str| report.labels.get(name).map(|value| cut(value));
    Report {
        fingerprint: fingerprint::hex(report.fingerprint),
        times: Times { starts_at: report.starts_at, ends_at: report.ends_at },
        rule: key("alertname").unwrap_or_default(),
        severity: key("severity").unwrap_or_default(),
        instance: key("instance").unwrap_or_default(),
        owner: key(owner),
        server: key(server),
        labels: object(&report.labels),
        annotations: object(&report.annotations),
        generator_url: report.generator_url,
    }
}

fn object(texts: &BTreeMap<String, String>) -> serde_json::Value {
    texts.iter().map(|(name, value)| (name.clone(), serde_json::Value::from(value.as_str()))).collect()
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_KEY).collect()
}
