//! A plan is done: all of it, or nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::change::{TAKEN, values};
use super::{Changed, Plan, Server};
use crate::error::{Error, Result};
use crate::store::audit::{self, Event};
use crate::store::changes::{Actor, note};
use crate::store::schema::servers;
use crate::store::scope::Writable;
use crate::store::{Db, alerts, intake, now, on_constraint, users};

/// Rows that a statement adds; PostgreSQL takes 65,535 values.
const AT_ONCE: usize = 1000;

/// What a plan did to one owner's servers.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    added: usize,
    changed: usize,
    removed: usize,
    /// External ids are new, so alerts may be theirs.
    named: bool,
}

impl Done {
    /// `3 servers added, 1 changed`
    fn in_words(self) -> String {
        let parts = [(self.added, "added"), (self.changed, "changed"), (self.removed, "removed")];
        let parts: Vec<_> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        format!("Servers imported: {}", parts.join(", "))
    }
}

impl Plan {
    /// Does what the plan says, in one transaction. `Stale` when a server was changed since; `Conflict` when the database finds
    /// two that are the same, as where two servers change places. Then nothing is done.
    /// Counts the servers that are written in `written`.
    pub async fn apply(&self, db: &mut Db, by: &Actor, written: &AtomicUsize) -> Result<()> {
        db.transaction(async |conn| {
            let mut done: BTreeMap<i64, Done> = BTreeMap::new();
            let met = self.changed.iter().map(|changed| &changed.server).chain(&self.removed);
            self.as_planned(conn, met).await?;
            self.remove(conn, by, &mut done).await?;
            written.store(self.removed.len(), Ordering::Relaxed);
            self.change(conn, by, &mut done, written).await?;
            self.add(conn, by, &mut done, written).await?;
            for (owner, done) in done {
                if done.named {
                    intake::adopt(conn, Some(owner)).await?;
                }
                let name = self.owners.get(&owner).map(|owner| owner.name.as_str()).unwrap_or_default();
                note(conn, by, Some(owner), format!("{} ({name})", done.in_words())).await?;
            }
            Ok(())
        })
        .await
        .map_err(|error| match error {
            Error::Invalid(fields) => {
                Error::Conflict(fields.0.into_values().next().unwrap_or_default() + " Nothing was changed.")
            }
            other => other,
        })
    }

    /// Holds these servers until the end of the transaction.
    async fn as_planned(
        &self,
        conn: &mut AsyncPgConnection,
        met: impl Iterator<Item = &Writable<Server>> + Clone,
    ) -> Result<()> {
        let ids: Vec<i64> = met.clone().map(|server| server.id).collect();
        let now: Vec<Server> = servers::table
            .filter(servers::id.eq_any(ids).and(servers::removed_at.is_null()))
            .order(servers::id)
            .select(Server::as_select())
            .for_update()
            .load(conn)
            .await?;
        let now: HashMap<i64, &Server> = now.iter().map(|server| (server.id, server)).collect();
        for server in met {
            if now.get(&server.id).is_none_or(|now| now.fields() != server.fields()) {
                return Err(Error::Stale);
            }
        }
        Ok(())
    }

    async fn remove(
        &self,
        conn: &mut AsyncPgConnection,
        by: &Actor,
        done: &mut BTreeMap<i64, Done>,
    ) -> Result<()> {
        let ids: Vec<i64> = self.removed.iter().map(|server| server.id).collect();
        diesel::update(servers::table.filter(servers::id.eq_any(ids)))
            .set((servers::removed_at.eq(now().nullable()), servers::updated_at.eq(diesel::dsl::now)))
            .execute(conn)
            .await?;
        for some in self.removed.chunks(AT_ONCE) {
            let event = |server: &Writable<Server>| {
                done.entry(server.owner_id).or_default().removed += 1;
                (server.name.clone(), server.owner_id, server.id, server.fields())
            };
            let events: Vec<_> = some.iter().map(event).collect();
            let events = events.iter().map(|(name, owner, id, old)| {
                Event::new("server.removed", name).owner(*owner).id(*id).gone(old.clone())
            });
            audit::note_all(conn, by, events.collect()).await?;
        }
        Ok(())
    }

    async fn change(
        &self,
        conn: &mut AsyncPgConnection,
        by: &Actor,
        done: &mut BTreeMap<i64, Done>,
        written: &AtomicUsize,
    ) -> Result<()> {
        for some in self.changed.chunks(AT_ONCE) {
            let mut events = Vec::new();
            for Changed { server, new, .. } in some {
                let external_id = new.external_id.as_ref().unwrap_or(&server.external_id);
                let updated = diesel::update(servers::table.find(server.id))
                    .set((
                        servers::external_id.eq(external_id),
                        values(new),
                        servers::updated_at.eq(diesel::dsl::now),
                    ))
                    .execute(conn)
                    .await;
                on_constraint(updated, TAKEN)?;
                written.fetch_add(1, Ordering::Relaxed);
                if new.name != server.name {
                    alerts::renamed(conn, server.owner_id, server.id, &new.name).await?;
                }
                let done = done.entry(server.owner_id).or_default();
                done.changed += 1;
                done.named |= *external_id != server.external_id;
                let event = Event::new("server.changed", &new.name).owner(server.owner_id).id(server.id);
                events.push(event.changed(server.fields(), new.fields(external_id)));
            }
            audit::note_all(conn, by, events).await?;
        }
        Ok(())
    }

    async fn add(
        &self,
        conn: &mut AsyncPgConnection,
        by: &Actor,
        done: &mut BTreeMap<i64, Done>,
        written: &AtomicUsize,
    ) -> Result<()> {
        for some in self.added.chunks(AT_ONCE) {
            let ids: Vec<String> = some
                .iter()
                .map(|added| added.new.external_id.clone().unwrap_or_else(|| users::random_text(10)))
                .collect();
            let rows: Vec<_> = some
                .iter()
                .zip(&ids)
                .map(|(added, id)| {
                    (servers::owner_id.eq(added.owner_id), servers::external_id.eq(id), values(&added.new))
                })
                .collect();
            let inserted = diesel::insert_into(servers::table)
                .values(rows)
                .returning((servers::id, servers::owner_id, servers::external_id))
                .get_results::<(i64, i64, String)>(conn)
                .await;
            let inserted: HashMap<(i64, String), i64> = on_constraint(inserted, TAKEN)?
                .into_iter()
                .map(|(id, owner, external_id)| ((owner, external_id), id))
                .collect();
            written.fetch_add(some.len(), Ordering::Relaxed);
            let mut events = Vec::new();
            for (added, external_id) in some.iter().zip(ids) {
                let done = done.entry(added.owner_id).or_default();
                done.added += 1;
                done.named = true;
                let event = Event::new("server.added", &added.new.name).owner(added.owner_id);
                let event = event.made(added.new.fields(&external_id));
                events.push(match inserted.get(&(added.owner_id, external_id)) {
                    Some(id) => event.id(*id),
                    None => event,
                });
            }
            audit::note_all(conn, by, events).await?;
        }
        Ok(())
    }
}
