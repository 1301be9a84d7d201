//! The history of alerts for programs.

use axum::Json;
use axum::extract::State as AppState;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::answer::Items;
use super::ask::{Query, page, place, there};
use crate::app::App;
use crate::auth::Client;
use crate::error::{Error, Fields, Result};
use crate::face::Path;
use crate::page::cursor;
use crate::store::alerts::{self, Filter, Named, Place, State, Whose};

/// An episode, from firing to resolved.
#[derive(Serialize, ToSchema)]
pub struct Alert {
    id: i64,
    status: Status,
    rule: String,
    severity: String,
    /// `null`: of an owner that is not known here.
    owner_id: Option<i64>,
    /// `null`: of a server that is not known here.
    server_id: Option<i64>,
    instance: String,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    labels: Value,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    annotations: Value,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    last_seen_at: Timestamp,
    /// Why it ended, such as `resolved`.
    close_reason: Option<String>,
    /// Why Alertmanager does not notify it: `silenced`, `inhibited` or `muted`.
    suppressed: Option<String>,
    /// Somebody said that they know of it.
    acknowledged: Option<Acknowledged>,
    /// Alertmanager's number of the alert, the same in each of its episodes.
    fingerprint: String,
}

/// Whether an episode has ended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Open,
    Closed,
}

/// Who knows of an episode.
#[derive(Serialize, ToSchema)]
pub struct Acknowledged {
    by: String,
    at: Timestamp,
}

impl From<Named> for Alert {
    fn from(named: Named) -> Self {
        let Named { alert, acknowledged, .. } = named;
        Self {
            id: alert.id,
            status: if alert.ended_at.is_some() { Status::Closed } else { Status::Open },
            rule: alert.rule,
            severity: alert.severity,
            owner_id: alert.owner_id,
            server_id: alert.server_id,
            instance: alert.instance,
            labels: alert.labels,
            annotations: alert.annotations,
            started_at: alert.started_at,
            ended_at: alert.ended_at,
            last_seen_at: alert.last_seen_at,
            close_reason: alert.close_reason,
            suppressed: alert.suppressed,
            acknowledged: acknowledged.map(|said| Acknowledged { by: said.by, at: said.at }),
            fingerprint: alert.fingerprint,
        }
    }
}

/// Which episodes by their state.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AlertState)]
pub enum Which {
    Open,
    /// Open, and nobody said that they know of it.
    Unacknowledged,
    Closed,
}

/// What the history is narrowed to.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    #[serde(deserialize_with = "there")]
    #[param(inline)]
    status: Option<Which>,
    rule: Option<String>,
    severity: Option<String>,
    #[serde(deserialize_with = "there")]
    owner_id: Option<i64>,
    /// `true`: those of owners that are not known here.
    #[serde(deserialize_with = "there")]
    unassigned: Option<bool>,
    #[serde(deserialize_with = "there")]
    server_id: Option<i64>,
    /// Episodes that were open at or after this moment.
    #[serde(deserialize_with = "there")]
    from: Option<Timestamp>,
    /// Episodes that began before this moment.
    #[serde(deserialize_with = "there")]
    to: Option<Timestamp>,
    /// Labels as `name=value`, and beginnings of words; all must hold.
    q: Option<String>,
    /// Items a page: 50 unless given, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl Wanted {
    fn filter(&self) -> Result<Filter> {
        let owner = match (self.owner_id, self.unassigned.unwrap_or_default()) {
            (None, false) => Whose::Any,
            (None, true) => Whose::Unassigned,
            (Some(id), false) => Whose::Owner(id),
            (Some(_), true) => {
                return Err(Error::Invalid(Fields::one("unassigned", "Not together with owner_id.")));
            }
        };
        Ok(Filter {
            state: match self.status {
                None => State::All,
                Some(Which::Open) => State::Open,
                Some(Which::Unacknowledged) => State::Unacknowledged,
                Some(Which::Closed) => State::Closed,
            },
            rule: self.rule.clone().unwrap_or_default(),
            severity: self.severity.clone().unwrap_or_default(),
            owner,
            server: self.server_id,
            from: self.from,
            to: self.to,
            q: self.q.clone().unwrap_or_default(),
        })
    }
}

/// `GET /api/v1/alerts`: those that the token reaches, the newest start first. A page may have fewer than are asked
/// for, or none, before the last one: where many alerts have what is searched for, so many at a time are looked through.
#[utoipa::path(get, path = "/api/v1/alerts", operation_id = "list_alerts", summary = "List alerts",
    description = "Those that the token reaches, the newest start first. A page may be short or empty before the last one, where many alerts have what is searched for.", tag = "alerts", params(Wanted),
    responses((status = 200, body = Items<Alert>)))]
pub async fn list(
    AppState(app): AppState<App>,
    client: Client,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Items<Alert>>> {
    let filter = wanted.filter()?;
    let after: Option<Place> = place(wanted.cursor.as_deref())?;
    let at = page(wanted.limit, None)?;
    let mut db = app.db(&client.user).await?;
    let (mut rows, mut next) =
        alerts::batch(&mut db, &client.user.scope(), &filter, after, at.rows()).await?;
    if rows.len() > at.size {
        rows.truncate(at.size);
        next = rows.last().map(|named| (named.alert.started_at, named.alert.id));
    }
    let next_cursor = next.as_ref().and_then(cursor);
    Ok(Json(Items { items: rows.into_iter().map(Alert::from).collect(), next_cursor }))
}

/// `GET /api/v1/alerts/{id}`
#[utoipa::path(get, path = "/api/v1/alerts/{id}", operation_id = "get_alert", summary = "Get an alert", tag = "alerts", params(("id" = i64, Path)),
    responses((status = 200, body = Alert)))]
pub async fn show(AppState(app): AppState<App>, client: Client, Path(id): Path<i64>) -> Result<Json<Alert>> {
    let found = alerts::find(&mut app.db(&client.user).await?, &client.user.scope(), id).await?;
    Ok(Json(found.into()))
}
