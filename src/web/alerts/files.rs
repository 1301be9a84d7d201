//! The history as a file, with the page's filters and in its order.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::Filters;
use crate::app::App;
use crate::auth::User;
use crate::error::Result;
use crate::face::Query;
use crate::import::record;
use crate::store::alerts::{self, Filter, Named, Place};
use crate::web::Look;
use crate::web::files::{BATCH, Form, List, Row, send, text};

/// `GET /alerts.csv`
pub async fn csv(
    State(app): State<App>,
    user: User,
    look: Look,
    Query(filters): Query<Filters>,
) -> Result<Response> {
    send(Episodes { app, user, filter: filters.filter(&look.zone) }, Form::Csv).await
}

/// `GET /alerts.json`
pub async fn json(
    State(app): State<App>,
    user: User,
    look: Look,
    Query(filters): Query<Filters>,
) -> Result<Response> {
    send(Episodes { app, user, filter: filters.filter(&look.zone) }, Form::Json).await
}

struct Episodes {
    app: App,
    user: User,
    filter: Filter,
}

impl List for Episodes {
    const NAME: &'static str = "alerts";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "started_at",
        "ended_at",
        "last_seen_at",
        "close_reason",
        "rule",
        "severity",
        "owner",
        "owner_id",
        "server",
        "server_id",
        "instance",
        "summary",
        "fingerprint",
        "labels",
        "annotations",
    ];
    type Row = Named;
    type Place = Place;

    async fn batch(&self, after: Option<Place>) -> Result<(Vec<Named>, Option<Place>)> {
        let mut db = self.app.db(&self.user).await?;
        alerts::batch(&mut db, &self.user.scope(), &self.filter, after, BATCH).await
    }
}

/// An episode, by the names of its columns.
#[derive(Serialize)]
struct Line<'a> {
    id: i64,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    last_seen_at: Timestamp,
    close_reason: Option<&'a str>,
    rule: &'a str,
    severity: &'a str,
    owner: Option<&'a str>,
    owner_id: Option<i64>,
    server: Option<&'a str>,
    server_id: Option<i64>,
    instance: &'a str,
    summary: Option<&'a str>,
    fingerprint: &'a str,
    labels: &'a Value,
    annotations: &'a Value,
}

impl<'a> Line<'a> {
    fn new(named: &'a Named) -> Self {
        let alert = &named.alert;
        Self {
            id: alert.id,
            started_at: alert.started_at,
            ended_at: alert.ended_at,
            last_seen_at: alert.last_seen_at,
            close_reason: alert.close_reason.as_deref(),
            rule: &alert.rule,
            severity: &alert.severity,
            owner: named.owner.as_ref().map(|owner| owner.name.as_str()),
            owner_id: alert.owner_id,
            server: named.server.as_ref().map(|server| server.name.as_str()),
            server_id: alert.server_id,
            instance: &alert.instance,
            summary: alert.annotations.get("summary").and_then(Value::as_str),
            fingerprint: &alert.fingerprint,
            labels: &alert.labels,
            annotations: &alert.annotations,
        }
    }
}

impl Row for Named {
    fn csv(&self) -> String {
        let line = Line::new(self);
        record([
            line.id.to_string().as_str(),
            &line.started_at.to_string(),
            &text(line.ended_at),
            &line.last_seen_at.to_string(),
            line.close_reason.unwrap_or_default(),
            line.rule,
            line.severity,
            line.owner.unwrap_or_default(),
            &text(line.owner_id),
            line.server.unwrap_or_default(),
            &text(line.server_id),
            line.instance,
            line.summary.unwrap_or_default(),
            line.fingerprint,
            &line.labels.to_string(),
            &line.annotations.to_string(),
        ])
    }

    fn json(&self) -> impl Serialize {
        Line::new(self)
    }
}
