//! Servers are added, changed, paused, removed and brought back; each is noted for publishing and in the audit.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;

use super::{NewServer, Server};
use crate::error::{Error, Result};
use crate::store::audit::{self, Event};
use crate::store::changes::{Actor, note};
use crate::store::owners::Owner;
use crate::store::schema::{owners, servers};
use crate::store::scope::{Scope, Writable, Writing};
use crate::store::{Db, alerts, intake, now, on_constraint, users};

pub(super) const TAKEN: &[(&str, &str, &str)] = &[
    ("servers_address_key", "address", "This owner already has a server with this address, port and job."),
    ("servers_external_id_key", "external_id", "This owner already has a server with this external id."),
];

impl Writable<Owner> {
    /// Adds a server to the owner and gives it the alerts that carry its external id.
    pub async fn add_server(&self, db: &mut Db, new: NewServer, by: &Actor) -> Result<i64> {
        let external_id = new.external_id.clone().unwrap_or_else(|| users::random_text(10));
        db.transaction(async |conn| {
            let inserted = diesel::insert_into(servers::table)
                .values((servers::owner_id.eq(self.id), servers::external_id.eq(&external_id), values(&new)))
                .returning(servers::id)
                .get_result::<i64>(conn)
                .await;
            let id = on_constraint(inserted, TAKEN)?;
            intake::adopt(conn, Some(self.id)).await?;
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
    pub(super) fn fields(&self, external_id: &str) -> serde_json::Value {
        json!({
            "name": self.name, "external_id": external_id, "address": self.address, "port": self.port, "job": self.job,
            "scheme": self.scheme, "metrics_path": self.metrics_path, "labels": self.labels, "comment": self.comment,
            "enabled": self.enabled,
        })
    }
}

/// The fields that Prometheus sees.
fn published(fields: &serde_json::Value) -> serde_json::Value {
    let mut fields = fields.clone();
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|name, _| !matches!(name.as_str(), "name" | "comment"));
    }
    fields
}

pub(super) type Values<'a> = (
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

pub(super) fn values(new: &NewServer) -> Values<'_> {
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
    /// The server as it is now, held until the end of the transaction. `NotFound` when it was removed meanwhile.
    async fn now(&self, conn: &mut AsyncPgConnection) -> Result<Server> {
        let row = servers::table.find(self.id).filter(servers::removed_at.is_null());
        Ok(row.select(Server::as_select()).for_update().first(conn).await?)
    }

    /// As [`Self::now`]; `Stale` when it was changed since it was found.
    async fn as_found(&self, conn: &mut AsyncPgConnection) -> Result<Server> {
        let now = self.now(conn).await?;
        if now.fields() == self.fields() { Ok(now) } else { Err(Error::Stale) }
    }

    /// Changes the server. `NotFound` when it was removed meanwhile.
    pub async fn update(&self, db: &mut Db, new: NewServer, by: &Actor) -> Result<()> {
        self.change(db, new, by, false).await
    }

    /// As [`Self::update`], for what was made of the server as it was found; `Stale` when it was changed since.
    pub async fn update_as_found(&self, db: &mut Db, new: NewServer, by: &Actor) -> Result<()> {
        self.change(db, new, by, true).await
    }

    async fn change(&self, db: &mut Db, new: NewServer, by: &Actor, as_found: bool) -> Result<()> {
        db.transaction(async |conn| {
            let old = if as_found { self.as_found(conn).await? } else { self.now(conn).await? };
            let external_id = new.external_id.as_ref().unwrap_or(&old.external_id);
            let (before, after) = (old.fields(), new.fields(external_id));
            if before == after {
                return Ok(());
            }
            let updated = diesel::update(servers::table.find(self.id))
                .set((
                    servers::external_id.eq(external_id),
                    values(&new),
                    servers::updated_at.eq(diesel::dsl::now),
                ))
                .execute(conn)
                .await;
            on_constraint(updated, TAKEN)?;
            if *external_id != old.external_id {
                intake::adopt(conn, Some(self.owner_id)).await?;
            }
            if published(&before) != published(&after) {
                note(conn, by, Some(self.owner_id), format!("Server {} changed", new.name)).await?;
            }
            if new.name != self.name {
                alerts::renamed(conn, self.owner_id, self.id, &new.name).await?;
            }
            let event = Event::new("server.changed", &new.name).owner(self.owner_id).id(self.id);
            audit::note(conn, by, event.changed(before, after)).await
        })
        .await
    }

    /// Pauses (`false`) or resumes it. `NotFound` when it was removed meanwhile.
    pub async fn enable(&self, db: &mut Db, enabled: bool, by: &Actor) -> Result<()> {
        db.transaction(async |conn| {
            let old = self.now(conn).await?;
            if old.enabled == enabled {
                return Ok(());
            }
            diesel::update(servers::table.find(self.id))
                .set((servers::enabled.eq(enabled), servers::updated_at.eq(diesel::dsl::now)))
                .execute(conn)
                .await?;
            let what = if enabled { "resumed" } else { "paused" };
            note(conn, by, Some(self.owner_id), format!("Server {} {what}", old.name)).await?;
            let event = if enabled {
                Event::new("server.resumed", &old.name)
            } else {
                Event::new("server.paused", &old.name)
            };
            audit::note(conn, by, event.owner(self.owner_id).id(self.id)).await
        })
        .await
    }

    /// Removes it; its address and external id can be used again, its alerts and thresholds stay.
    pub async fn remove(&self, db: &mut Db, by: &Actor) -> Result<()> {
        self.take_away(db, by, false).await
    }

    /// As [`Self::remove`]; `Stale` when it was changed since it was found.
    pub async fn remove_as_found(&self, db: &mut Db, by: &Actor) -> Result<()> {
        self.take_away(db, by, true).await
    }

    async fn take_away(&self, db: &mut Db, by: &Actor, as_found: bool) -> Result<()> {
        db.transaction(async |conn| {
            let old = if as_found { self.as_found(conn).await? } else { self.now(conn).await? };
            diesel::update(servers::table.find(self.id))
                .set((servers::removed_at.eq(now().nullable()), servers::updated_at.eq(diesel::dsl::now)))
                .execute(conn)
                .await?;
            note(conn, by, Some(self.owner_id), format!("Server {} removed", old.name)).await?;
            let event = Event::new("server.removed", &old.name).owner(self.owner_id).id(self.id);
            audit::note(conn, by, event.gone(old.fields())).await
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
        let restored = diesel::update(servers::table.find(id).filter(servers::removed_at.is_not_null()))
            .set((
                servers::removed_at.eq(None::<jiff_diesel::Timestamp>),
                servers::updated_at.eq(diesel::dsl::now),
            ))
            .execute(conn)
            .await;
        let restored = on_constraint(restored, TAKEN).map_err(|error| match error {
            Error::Invalid(_) => Error::Conflict(
                "Another server has its address or external id now. Change or remove that one first, then undo."
                    .into(),
            ),
            other => other,
        })?;
        if restored == 0 {
            return Err(Error::NotFound);
        }
        note(conn, by, Some(owner), format!("Server {name} restored")).await?;
        audit::note(conn, by, Event::new("server.restored", &name).owner(owner).id(id)).await?;
        Ok(name)
    })
    .await
}
