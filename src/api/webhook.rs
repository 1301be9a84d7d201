//! `POST /webhook/alertmanager`: what Alertmanager tells us, committed before it is answered.
//! Its answers steer Alertmanager: 2xx is done, 5xx is tried again, anything else is lost for good.

use std::collections::HashMap;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use jiff::Timestamp;

use crate::alertmanager::fingerprint;
use crate::alertmanager::payload::{self, BadAlert, Outline};
use crate::app::App;
use crate::auth::carries_token;
use crate::error::{Error, Result};
use crate::store::episode::Times;
use crate::store::intake::{Admission, Bad, Outcome, Report};
use crate::store::quarantine;
use crate::store::scope::All;

/// Alertmanager caps nothing, and a 413 would be loss.
pub const BODY_LIMIT: usize = 64 << 20;
/// How long storing may take until Alertmanager is told to try again; a repeat makes no second row.
const PATIENCE: Duration = Duration::from_secs(50);
/// Alerts of a delivery that are stored together; small deliveries of others come in between.
const AT_ONCE: usize = 1000;
/// Bytes from which on reading a body would keep others waiting.
const LARGE: usize = 256 << 10;
/// The cluster that `PROMMGR_WEBHOOK_TOKEN` names.
const DEFAULT_CLUSTER: i32 = 1;
/// Reports of one alert that are stored together; Alertmanager sends one.
const MOST_REPORTS: usize = 16;
/// Characters of what names an alert; longer ones are cut, as they match nothing of ours.
const LONGEST_KEY: usize = 500;

/// Stores a delivery. 400 for a body that is not understood, which is kept; 401 without the token;
/// 503 while the database does not answer, or when there is more than can be taken in.
pub async fn alertmanager(State(app): State<App>, headers: HeaderMap, body: Body) -> Result<Json<Outcome>> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if !carries_token(authorization, &app.config().webhook_tokens) {
        return Err(Error::Unauthorized);
    }
    let mut place = app.intake().admit()?;
    let bytes = read(body, &mut place).await?;
    // what must finish does not live in the request's future, which ends when the client goes
    let stored = tokio::spawn(async move {
        let _place = place;
        take_in(&app, bytes).await
    });
    // whatever went wrong on our side, Alertmanager is to try again
    let stored = tokio::time::timeout(PATIENCE, stored)
        .await
        .map_err(|_| Error::Unavailable("The delivery could not be stored in time; send it again.".into()))?;
    let outcome = stored.map_err(Error::internal)??;
    tracing::debug!(?outcome, "delivery stored");
    Ok(Json(outcome))
}

/// Reads a body for which there is room.
async fn read(body: Body, place: &mut Admission) -> Result<Bytes> {
    let expected = body.size_hint().exact().and_then(|size| usize::try_from(size).ok()).unwrap_or_default();
    if expected > BODY_LIMIT {
        return Err(Error::TooLarge);
    }
    place.grow(expected)?;
    let mut bytes = Vec::with_capacity(expected);
    let mut frames = body.into_data_stream();
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|error| {
            tracing::warn!(%error, "a delivery could not be read");
            Error::BadRequest("The request ended before its body did.".into())
        })?;
        if bytes.len() + frame.len() > BODY_LIMIT {
            return Err(Error::TooLarge);
        }
        place.grow((bytes.len() + frame.len()).saturating_sub(expected.max(bytes.len())))?;
        bytes.extend_from_slice(&frame);
    }
    Ok(bytes.into())
}

async fn take_in(app: &App, body: Bytes) -> Result<Outcome> {
    let all = All::operator();
    let received = Timestamp::now();
    let large = body.len() > LARGE;
    let text = body.clone();
    let outline = match off_the_threads(large, move || payload::outline(&text)).await? {
        Ok(outline) => outline,
        Err(refused) => {
            quarantine::keep(&mut app.db(all).await?, DEFAULT_CLUSTER, &refused.to_string(), &body).await?;
            return Err(Error::BadRequest(refused.to_string()));
        }
    };
    if outline.truncated > 0 {
        tracing::warn!(
            truncated = outline.truncated,
            group = outline.group_key,
            "Alertmanager left alerts out; set max_alerts to 0"
        );
    }
    let mut outcome = Outcome::default();
    let mut from = 0;
    let outline = std::sync::Arc::new(outline);
    while from < outline.alerts.len() {
        let to = outline.alerts.len().min(from + AT_ONCE);
        let (body, outline, ours) = (body.clone(), outline.clone(), app.clone());
        let read = move || prepare(&body, &outline, from..to, received, ours.our_labels());
        let (reports, bad) = off_the_threads(large, read).await?;
        outcome += app.intake().store(all, DEFAULT_CLUSTER, reports, bad).await?;
        from = to;
    }
    Ok(outcome)
}

async fn off_the_threads<T: Send + 'static>(
    large: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    if large { tokio::task::spawn_blocking(work).await.map_err(Error::internal) } else { Ok(work()) }
}

/// Reads some of the alerts of a body.
fn prepare(
    body: &[u8],
    outline: &Outline,
    which: std::ops::Range<usize>,
    received: Timestamp,
    ours: [&str; 2],
) -> (Vec<Report>, Vec<Bad>) {
    let mut bad: Vec<Bad> = Vec::new();
    let mut seen: HashMap<u64, usize> = HashMap::with_capacity(which.len());
    let mut reports = Vec::with_capacity(which.len());
    for index in which {
        let read = match payload::alert(body, index, outline.alerts[index].clone(), received) {
            Ok(read) => read,
            Err(BadAlert { index, reason, raw }) => {
                let truncated = raw.len() >= payload::RAW_MAX;
                let reason = format!("alert {} of the delivery: {reason}", index + 1);
                bad.push(Bad { reason, text: raw, truncated });
                continue;
            }
        };
        let times = seen.entry(read.fingerprint).or_default();
        *times += 1;
        let many = *times > MOST_REPORTS;
        let report = ready(read, ours);
        if many {
            let reason = format!("more than {MOST_REPORTS} reports of one alert in one delivery");
            bad.push(Bad { reason, text: report.to_json(), truncated: false });
        } else {
            reports.push(report);
        }
    }
    (reports, bad)
}

fn ready(report: payload::Report, [owner, server]: [&str; 2]) -> Report {
    let key = |name: &str| report.labels.get(name).map(|value| cut(value));
    Report {
        fingerprint: fingerprint::hex(report.fingerprint),
        times: Times { starts_at: report.starts_at, ends_at: report.ends_at },
        rule: key("alertname").unwrap_or_default(),
        severity: key("severity").unwrap_or_default(),
        instance: key("instance").unwrap_or_default(),
        owner: key(owner),
        server: key(server),
        labels: (&report.labels).into(),
        annotations: (&report.annotations).into(),
        generator_url: report.generator_url,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_KEY).collect()
}
