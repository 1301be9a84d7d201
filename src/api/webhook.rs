//! `POST /webhook/alertmanager`: what Alertmanager tells us, committed before it is answered.
//! Its answers steer Alertmanager: 2xx is done, 5xx is tried again, anything else is lost for good.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use jiff::Timestamp;

use crate::alertmanager::payload;
use crate::alertmanager::ready::prepare;
use crate::app::App;
use crate::auth::carries_token;
use crate::error::{Error, Result};
use crate::store::intake::{Admission, Outcome};
use crate::store::scope::All;
use crate::store::{heartbeats, quarantine};

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
        let ready = off_the_threads(large, read).await?;
        if !ready.heartbeats.is_empty() {
            heartbeats::note(&mut app.db(all).await?, all, DEFAULT_CLUSTER, &ready.heartbeats).await?;
        }
        outcome += app.intake().store(all, DEFAULT_CLUSTER, ready.reports, ready.bad).await?;
        from = to;
    }
    if outline.truncated > 0 || outcome.late_twins > 0 {
        app.reconcile_soon();
    }
    Ok(outcome)
}

async fn off_the_threads<T: Send + 'static>(
    large: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    if large { tokio::task::spawn_blocking(work).await.map_err(Error::internal) } else { Ok(work()) }
}
