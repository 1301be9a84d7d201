//! Servers: the scrape targets of an owner.

mod change;
mod import;
mod input;
mod list;
mod plan;

use std::collections::HashSet;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use serde_json::json;

pub use self::change::restore;
pub use self::input::{NewServer, ServerInput, label_lines};
pub use self::list::{Counts, Filter, Listed, OpenAlerts, batch, counts, export, list};
pub use self::plan::{Added, Changed, Difference, Fault, Line, Plan, Terms, plan};
use super::Db;
use super::owners::Owner;
use super::schema::{owners, server_health, servers};
use super::scope::{All, Scope, Writable, Writing};
use crate::error::{Error, Result};

/// A server that has not been removed, of an owner that has not been removed.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = servers)]
pub struct Server {
    pub id: i64,
    pub owner_id: i64,
    pub external_id: String,
    pub name: String,
    pub address: String,
    pub port: i32,
    pub job: String,
    pub scheme: String,
    pub metrics_path: String,
    pub labels: serde_json::Value,
    pub comment: String,
    pub enabled: bool,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub updated_at: Timestamp,
}

impl Server {
    /// `10.0.0.5:9100`, `[2001:db8::5]:9100`.
    pub fn endpoint(&self) -> String {
        endpoint(&self.address, self.port)
    }

    /// What the audit keeps of it.
    fn fields(&self) -> serde_json::Value {
        json!({
            "name": self.name, "external_id": self.external_id, "address": self.address, "port": self.port, "job": self.job,
            "scheme": self.scheme, "metrics_path": self.metrics_path, "labels": self.labels, "comment": self.comment,
            "enabled": self.enabled,
        })
    }

    /// Its labels as they are typed, `name=value` a line.
    pub fn label_lines(&self) -> String {
        let pairs = self.labels.as_object().into_iter().flatten();
        let lines: Vec<_> =
            pairs.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
        lines.join("\n")
    }
}

fn endpoint(address: &str, port: i32) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

type Query<'a> = diesel::helper_types::IntoBoxed<
    'a,
    diesel::dsl::LeftJoin<diesel::dsl::InnerJoin<servers::table, owners::table>, server_health::table>,
    diesel::pg::Pg,
>;

/// Every server that the scope may see.
fn visible(scope: &Scope) -> Query<'_> {
    let query = servers::table.inner_join(owners::table).left_join(server_health::table).into_boxed();
    let query = query.filter(servers::removed_at.is_null()).filter(owners::removed_at.is_null());
    match scope.owners() {
        None => query,
        Some(ids) => query.filter(servers::owner_id.eq_any(ids)),
    }
}

/// The server, for reading.
pub async fn find(db: &mut Db, scope: &Scope, id: i64) -> Result<Server> {
    Ok(visible(scope).filter(servers::id.eq(id)).select(Server::as_select()).first(db.conn()).await?)
}

/// The server, for changing it. `Forbidden` when it may only be seen.
pub async fn find_rw(db: &mut Db, writing: &Writing, id: i64) -> Result<Writable<Server>> {
    match find(db, &writing.changed, id).await {
        Ok(server) => Ok(Writable::found(server)),
        Err(Error::NotFound) => {
            find(db, &writing.seen, id).await?;
            Err(Error::Forbidden)
        }
        Err(error) => Err(error),
    }
}

/// The owner's server with that external id, for changing it.
pub async fn by_external_id_rw(
    db: &mut Db,
    owner: &Writable<Owner>,
    external_id: &str,
) -> Result<Option<Writable<Server>>> {
    let found = servers::table
        .filter(servers::owner_id.eq(owner.id).and(servers::external_id.eq(external_id)))
        .filter(servers::removed_at.is_null())
        .select(Server::as_select())
        .first(db.conn())
        .await
        .optional()?;
    Ok(found.map(Writable::found))
}

/// The server with that pair of external ids.
pub async fn by_external_ids(db: &mut Db, all: All, owner: &str, server: &str) -> Result<Option<Server>> {
    Ok(visible(&all.into())
        .filter(owners::external_id.eq(owner.to_owned()).and(servers::external_id.eq(server.to_owned())))
        .select(Server::as_select())
        .first(db.conn())
        .await
        .optional()?)
}

/// Which of these servers are there still.
pub async fn existing(db: &mut Db, scope: &Scope, ids: Vec<i64>) -> Result<HashSet<i64>> {
    let found: Vec<i64> =
        visible(scope).filter(servers::id.eq_any(ids)).select(servers::id).load(db.conn()).await?;
    Ok(found.into_iter().collect())
}

/// Whether Prometheus reaches the server; `None`: not known.
pub async fn up(db: &mut Db, server: &Server) -> Result<Option<bool>> {
    Ok(server_health::table.find(server.id).select(server_health::up).first(db.conn()).await.optional()?)
}

/// Id and name of at most 1,000 servers of an owner, by name, for a choice.
pub async fn choices(db: &mut Db, owner: &Owner) -> Result<Vec<(i64, String)>> {
    Ok(servers::table
        .filter(servers::owner_id.eq(owner.id).and(servers::removed_at.is_null()))
        .order((sql::<Text>("lower(servers.name)"), servers::id))
        .limit(1000)
        .select((servers::id, servers::name))
        .load(db.conn())
        .await?)
}
