//! Servers for programs: found by the numbers that others use, added, changed, put and removed.

mod body;
pub(super) mod change;

use axum::Json;
use axum::extract::State as AppState;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

pub use self::body::ServerBody;
pub use self::change::{change, create, put, remove};
use super::answer::{Items, one};
use super::ask::{Query, page, place, there};
use crate::address::Address;
use crate::app::App;
use crate::auth::Client;
use crate::error::{Error, Fields, Result};
use crate::face::Path;
use crate::page::cursor;
use crate::store::servers::{self, Filter};
use crate::store::{Db, health};

/// A server.
#[derive(Serialize, ToSchema)]
pub struct Server {
    id: i64,
    owner_id: i64,
    external_id: String,
    name: String,
    address: String,
    port: i32,
    job: String,
    scheme: String,
    metrics_path: String,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    labels: Value,
    comment: String,
    /// Not paused.
    enabled: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
    health: Health,
}

/// Whether Prometheus reaches a server.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Up,
    Down,
    /// Prometheus has not said, or not for a while.
    Unknown,
}

impl Health {
    fn new(up: Option<bool>, fresh: bool) -> Self {
        match up.filter(|_| fresh) {
            Some(true) => Self::Up,
            Some(false) => Self::Down,
            None => Self::Unknown,
        }
    }
}

impl Server {
    fn new(server: servers::Server, up: Option<bool>, fresh: bool) -> Self {
        Self {
            health: Health::new(up, fresh),
            id: server.id,
            owner_id: server.owner_id,
            external_id: server.external_id,
            name: server.name,
            address: server.address,
            port: server.port,
            job: server.job,
            scheme: server.scheme,
            metrics_path: server.metrics_path,
            labels: server.labels,
            comment: server.comment,
            enabled: server.enabled,
            created_at: server.created_at,
            updated_at: server.updated_at,
        }
    }

    async fn of(db: &mut Db, server: servers::Server) -> Result<Self> {
        let up = servers::up(db, &server).await?;
        Ok(Self::new(server, up, health::fresh(db).await?))
    }
}

/// What the list is narrowed to.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    #[serde(deserialize_with = "there")]
    external_id: Option<String>,
    /// In whatever notation.
    #[serde(deserialize_with = "there")]
    address: Option<String>,
    #[serde(deserialize_with = "there")]
    owner_external_id: Option<String>,
    #[serde(deserialize_with = "there")]
    owner_id: Option<i64>,
    /// Part of the name, address, external id or comment.
    q: Option<String>,
    /// Items a page: 50 unless given, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// `GET /api/v1/servers`: those that the token reaches, by id.
#[utoipa::path(get, path = "/api/v1/servers", operation_id = "list_servers", summary = "List servers",
    description = "Those that the token reaches, by id.", tag = "servers", params(Wanted),
    responses((status = 200, body = Items<Server>)))]
pub async fn list(
    AppState(app): AppState<App>,
    client: Client,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Items<Server>>> {
    let after: Option<i64> = place(wanted.cursor.as_deref())?;
    let at = page(wanted.limit, None)?;
    let address = wanted.address.as_deref().map(Address::parse).transpose();
    let address = address.map_err(|why| Error::Invalid(Fields::one("address", why)))?;
    let filter = Filter {
        q: wanted.q.unwrap_or_default(),
        owner: wanted.owner_id.map(|id| id.to_string()).unwrap_or_default(),
        external_id: wanted.external_id,
        owner_external_id: wanted.owner_external_id,
        address: address.map(|address| address.to_string()),
        ..Filter::default()
    };
    let mut db = app.db(&client.user).await?;
    let mut rows = servers::batch(&mut db, &client.user.scope(), &filter, after, at.rows()).await?;
    let more = rows.len() > at.size;
    rows.truncate(at.size);
    let next_cursor = rows.last().filter(|_| more).and_then(|(server, _)| cursor(&server.id));
    let fresh = health::fresh(&mut db).await?;
    let items = rows.into_iter().map(|(server, up)| Server::new(server, up, fresh));
    Ok(Json(Items { items: items.collect(), next_cursor }))
}

/// `GET /api/v1/servers/{id}`
#[utoipa::path(get, path = "/api/v1/servers/{id}", operation_id = "get_server", summary = "Get a server", tag = "servers", params(("id" = i64, Path)),
    responses((status = 200, body = Server, headers(("ETag" = String, description = "For If-Match.")))))]
pub async fn show(AppState(app): AppState<App>, client: Client, Path(id): Path<i64>) -> Result<Response> {
    let mut db = app.db(&client.user).await?;
    let server = servers::find(&mut db, &client.user.scope(), id).await?;
    let updated_at = server.updated_at;
    Ok(one(&Server::of(&mut db, server).await?, updated_at))
}
