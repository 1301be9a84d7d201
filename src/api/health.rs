//! For whoever watches prommgr: does the process live, and can it serve?

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::app::App;
use crate::error::{Error, Result};
use crate::store;

/// How long the database may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the probes answer.
#[derive(Serialize)]
pub struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'static str>,
}

/// `GET /healthz`: the process lives.
pub async fn alive() -> Json<Health> {
    Json(Health { status: "ok", warnings: Vec::new() })
}

/// `GET /readyz`: the database answers and its migrations are done; 503 otherwise.
pub async fn ready(State(app): State<App>) -> Result<Json<Health>> {
    let asked = async { store::health_of(&mut app.door().await?).await };
    let health = tokio::time::timeout(PATIENCE, asked)
        .await
        .map_err(|_| Error::Unavailable("The database does not answer in time.".into()))??;
    if !health.migrated {
        return Err(Error::Unavailable(
            "Migrations have not all run; start prommgr serve or prommgr migrate.".into(),
        ));
    }
    let warnings = if health.unbound {
        vec!["the database role is a superuser or bypasses row-level security; use an ordinary role"]
    } else {
        Vec::new()
    };
    Ok(Json(Health { status: "ok", warnings }))
}
