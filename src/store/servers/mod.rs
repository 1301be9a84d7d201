//! Servers: the scrape targets of an owner.

mod input;
mod list;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use serde_json::json;

pub use self::input::{NewServer, ServerInput};
pub use self::list::{Counts, Filter, Listed, OpenAlerts, counts, list};
use super::audit::{self, Event};
use super::changes::{Actor, note};
use super::owners::Owner;
use super::schema::{owners, server_health, servers};
use super::scope::{All, Scope, Writable, Writing};
use super::{Db, on_constraint};
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
}

impl Server {
    /// `10.0.0.5:9100`, `[2001:db8::5]:9100`.
    pub fn endpoint(&self) -> String {
        if self.address.contains(':') {
            format!("[{}]:{}", self.address, self.port)
        } else {
            format!("{}:{}", self.address, self.port)
        }
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

/// The server with that pair of external ids.
pub async fn by_external_ids(db: &mut Db, all: All, owner: &str, server: &str) -> Result<Option<Server>> {
    Ok(visible(&all.into())
        .filter(owners::external_id.eq(owner.to_owned()).and(servers::external_id.eq(server.to_owned())))
        .select(Server::as_select())
        .first(db.conn())
        .await
        .optional()?)
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

const TAKEN: &[(&str, &str, &str)] = &[
    ("servers_address_key", "address", "This owner already has a server with this address, port and job."),
    ("servers_external_id_key", "external_id", "This owner already has a server with this external id."),
];

impl Writable<Owner> {
    /// Adds a server to the owner and gives it the alerts that carry its external id.
    pub async fn add_server(&self, db: &mut Db, new: NewServer, by: &Actor) -> Result<i64> {
        let external_id = new.external_id.clone().unwrap_or_else(|| super::users::random_text(10));
        db.transaction(async |conn| {
            let inserted = diesel::insert_into(servers::table)
                .values((servers::owner_id.eq(self.id), servers::external_id.eq(&external_id), values(&new)))
                .returning(servers::id)
                .get_result::<i64>(conn)
                .await;
            let id = on_constraint(inserted, TAKEN)?;
            super::intake::adopt(conn, Some(self.id)).await?;
            note(conn, by, Some(self.id), format!("Server {} added to {}", new.name, self.name)).await?;
            let event = Event::new("server.added", &new.name).owner(self.id).id(id);
            audit::note(conn, by, event.made(new.fields(&external_id))).await?;
            Ok(id)
        })
        .await
    }
}

impl NewServer {
    /// As [`Server::fields`].
    fn fields(&self, external_id: &str) -> serde_json::Value {
        json!({
            "name": self.name, "external_id": external_id, "address": self.address, "port": self.port, "job": self.job,
            "scheme": self.scheme, "metrics_path": self.metrics_path, "labels": self.labels, "comment": self.comment,
            "enabled": self.enabled,
        })
    }
}

type Values<'a> = (
    diesel::dsl::Eq<servers::name, &'a String>,
    diesel::dsl::Eq<servers::address, &'a String>,
    diesel::dsl::Eq<servers::port, i32>,
    diesel::dsl::Eq<servers::job, &'a String>,
    diesel::dsl::Eq<servers::scheme, &'a String>,
    diesel::dsl::Eq<servers::metrics_path, &'a String>,
    diesel::dsl::Eq<servers::labels, &'a serde_json::Value>,
    diesel::dsl::Eq<servers::comment, &'a String>,
    diesel::dsl::Eq<servers::enabled, bool>,
);

fn values(new: &NewServer) -> Values<'_> {
    (
        servers::name.eq(&new.name),
        servers::address.eq(&new.address),
        servers::port.eq(new.port),
        servers::job.eq(&new.job),
        servers::scheme.eq(&new.scheme),
        servers::metrics_path.eq(&new.metrics_path),
        servers::labels.eq(&new.labels),
        servers::comment.eq(&new.comment),
        servers::enabled.eq(new.enabled),
    )
}

impl Writable<Server> {
    /// Changes the server. `NotFound` when it was removed meanwhile.
    pub async fn update(&self, db: &mut Db, new: NewServer, by: &Actor) -> Result<()> {
        let external_id = new.external_id.as_ref().unwrap_or(&self.external_id);
        db.transaction(async |conn| {
            let updated = diesel::update(servers::table.find(self.id).filter(servers::removed_at.is_null()))
                .set((
                    servers::external_id.eq(external_id),
                    values(&new),
                    servers::updated_at.eq(diesel::dsl::now),
                ))
                .execute(conn)
                .await;
            if on_constraint(updated, TAKEN)? == 0 {
                return Err(Error::NotFound);
            }
            if *external_id != self.external_id {
                super::intake::adopt(conn, Some(self.owner_id)).await?;
            }
            note(conn, by, Some(self.owner_id), format!("Server {} changed", new.name)).await?;
            let event = Event::new("server.changed", &new.name).owner(self.owner_id).id(self.id);
            audit::note(conn, by, event.changed(self.fields(), new.fields(external_id))).await
        })
        .await
    }

    /// Pauses (`false`) or resumes it.
    pub async fn enable(&self, db: &mut Db, enabled: bool, by: &Actor) -> Result<()> {
        db.transaction(async |conn| {
            diesel::update(servers::table.find(self.id))
                .set((servers::enabled.eq(enabled), servers::updated_at.eq(diesel::dsl::now)))
                .execute(conn)
                .await?;
            let what = if enabled { "resumed" } else { "paused" };
            note(conn, by, Some(self.owner_id), format!("Server {} {what}", self.name)).await?;
            let action = if enabled { "server.resumed" } else { "server.paused" };
            audit::note(conn, by, Event::new(action, &self.name).owner(self.owner_id).id(self.id)).await
        })
        .await
    }

    /// Removes it; its address and external id can be used again, its alerts and thresholds stay.
    pub async fn remove(&self, db: &mut Db, by: &Actor) -> Result<()> {
        db.transaction(async |conn| {
            let removed = diesel::update(servers::table.find(self.id).filter(servers::removed_at.is_null()))
                .set((
                    servers::removed_at.eq(super::now().nullable()),
                    servers::updated_at.eq(diesel::dsl::now),
                ))
                .execute(conn)
                .await?;
            if removed == 0 {
                return Err(Error::NotFound);
            }
            note(conn, by, Some(self.owner_id), format!("Server {} removed", self.name)).await?;
            let event = Event::new("server.removed", &self.name).owner(self.owner_id).id(self.id);
            audit::note(conn, by, event.gone(self.fields())).await
        })
        .await
    }
}

/// Brings a removed server back and returns its name. `Conflict` when its address or external id
/// was used again meanwhile.
pub async fn restore(db: &mut Db, writing: &Writing, id: i64, by: &Actor) -> Result<String> {
    let removed = |scope: &Scope| {
        let query = servers::table.inner_join(owners::table).into_boxed();
        let query = query
            .filter(servers::id.eq(id).and(servers::removed_at.is_not_null()))
            .filter(owners::removed_at.is_null());
        match scope.owners() {
            None => query,
            Some(ids) => query.filter(servers::owner_id.eq_any(ids.to_vec())),
        }
        .select((servers::owner_id, servers::name))
    };
    let found: Option<(i64, String)> = removed(&writing.changed).first(db.conn()).await.optional()?;
    let Some((owner, name)) = found else {
        removed(&writing.seen).first::<(i64, String)>(db.conn()).await?;
        return Err(Error::Forbidden);
    };
    db.transaction(async |conn| {
            let restored = diesel::update(servers::table.find(id))
                .set((servers::removed_at.eq(None::<jiff_diesel::Timestamp>), servers::updated_at.eq(diesel::dsl::now)))
                .execute(conn)
                .await;
            on_constraint(restored, TAKEN).map_err(|error| match error {
                Error::Invalid(_) => {
                    Error::Conflict("Another server has its address or external id now. Change or remove that one first, then undo.".into())
                }
                other => other,
            })?;
            note(conn, by, Some(owner), format!("Server {name} restored")).await?;
            audit::note(conn, by, Event::new("server.restored", &name).owner(owner).id(id)).await?;
            Ok(name)
        })
        .await
}
