//! `POST /webhook/alertmanager`: what Alertmanager tells us, committed before it is answered.
//! Its answers steer Alertmanager: 2xx is done, 5xx is tried again, anything else is lost for good.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use jiff::Timestamp;

use crate::alertmanager::payload;
use crate::alertmanager::ready::prepare;
use crate::app::App;
use crate::auth::carries_token;
use crate::error::{Error, Result};
use crate::store::intake::{self, Outcome};
use crate::store::scope::All;
use crate::store::{heartbeats, quarantine};

/// Alertmanager caps nothing, and a 413 would be loss.
pub const BODY_LIMIT: usize = 64 << 20;
/// How long storing may take until Alertmanager is told to try again; a repeat makes no second row.
const PATIENCE: Duration = Duration::from_secs(20);
/// The cluster that `PROMMGR_WEBHOOK_TOKEN` names.
const DEFAULT_CLUSTER: i32 = 1;

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
        let parsed = payload::parse(&bytes, received)
            .map(|delivery| (delivery.truncated, delivery.group_key.clone(), prepare(delivery, &ours)));
        (bytes, parsed)
    })
    .await
    .map_err(Error::internal)?;
    // what must finish does not live in the request's future, which ends when the client goes
    let stored = tokio::spawn(async move {
        let all = All::operator();
        let mut db = app.db(all).await?;
        match parsed {
            Ok((truncated, group, ready)) => {
                heartbeats::note(&mut db, all, DEFAULT_CLUSTER, &ready.heartbeats).await?;
                let outcome = intake::store(&mut db, all, DEFAULT_CLUSTER, ready.reports, &ready.bad).await?;
                if truncated > 0 {
                    tracing::warn!(truncated, group, "Alertmanager left alerts out; set max_alerts to 0");
                }
                if truncated > 0 || outcome.late_twins > 0 {
                    app.reconcile_soon();
                }
                Ok(outcome)
            }
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
