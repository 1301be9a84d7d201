//! Thresholds in three layers over the catalogue: default, owner, server. The narrowest layer
//! that says something of a rule and severity replaces it as a whole.

mod affected;
mod effective;
mod input;
mod overrides;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;

pub use self::affected::{Affected, Server as AffectedServer, affected};
pub use self::effective::{Effective, SetBy, effective};
pub use self::input::{
    NewThreshold, ThresholdInput, format_duration, in_words, limit_in_words, parse_duration,
};
pub use self::overrides::{OfServers, Overrides, overrides};
use super::Db;
use super::audit::{self, Event};
use super::changes::{Actor, note};
use super::owners::Owner;
use super::schema::thresholds;
use super::scope::{All, Writable};
use super::servers::Server;
use crate::catalogue::{RuleKind, Setting, Severity};
use crate::error::{Error, Result};

/// What somebody has set, in whichever layer.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = thresholds)]
pub struct Threshold {
    pub rule: String,
    pub severity: String,
    pub owner_id: Option<i64>,
    pub server_id: Option<i64>,
    pub value: Option<f64>,
    pub hold_seconds: i32,
    pub enabled: bool,
}

impl Threshold {
    /// As the catalogue's settings are.
    pub fn setting(&self) -> Setting {
        Setting { value: self.value, hold: self.hold_seconds.unsigned_abs(), enabled: self.enabled }
    }

    fn layer(&self) -> Layer {
        match (self.owner_id, self.server_id) {
            (None, _) => Layer::Default,
            (Some(_), None) => Layer::Owner,
            (Some(_), Some(_)) => Layer::Server,
        }
    }
}

/// Where a setting comes from, from the widest to the narrowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    BuiltIn,
    Default,
    Owner,
    Server,
}

/// Whose thresholds are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    Default,
    Owner(&'a Owner),
    Server(&'a Server),
}

impl Place<'_> {
    fn layer(&self) -> Layer {
        match self {
            Self::Default => Layer::Default,
            Self::Owner(_) => Layer::Owner,
            Self::Server(_) => Layer::Server,
        }
    }

    fn ids(&self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::Default => (None, None),
            Self::Owner(owner) => (Some(owner.id), None),
            Self::Server(server) => (Some(server.owner_id), Some(server.id)),
        }
    }
}

/// How many thresholds were set for an owner and its servers that exist.
pub async fn count_own(db: &mut Db, owner: &Owner) -> Result<i64> {
    use super::schema::servers;
    Ok(thresholds::table
        .left_join(servers::table.on(thresholds::server_id.eq(servers::id.nullable())))
        .filter(thresholds::owner_id.eq(owner.id))
        .filter(servers::removed_at.is_null())
        .count()
        .get_result(db.conn())
        .await?)
}

/// Sets a threshold for everybody.
pub async fn set_default(db: &mut Db, _: All, new: NewThreshold, by: &Actor) -> Result<()> {
    set(db, Place::Default, "everybody", new, by).await
}

/// Goes back to the catalogue for everybody.
pub async fn reset_default(db: &mut Db, _: All, which: (&RuleKind, Severity), by: &Actor) -> Result<()> {
    reset(db, Place::Default, "everybody", which, by).await
}

impl Writable<Owner> {
    /// Sets a threshold for the owner's servers.
    pub async fn set_threshold(&self, db: &mut Db, new: NewThreshold, by: &Actor) -> Result<()> {
        set(db, Place::Owner(self), &self.name, new, by).await
    }

    /// Lets the owner's servers inherit again.
    pub async fn reset_threshold(&self, db: &mut Db, which: (&RuleKind, Severity), by: &Actor) -> Result<()> {
        reset(db, Place::Owner(self), &self.name, which, by).await
    }
}

impl Writable<Server> {
    /// Sets a threshold for this server.
    pub async fn set_threshold(&self, db: &mut Db, new: NewThreshold, by: &Actor) -> Result<()> {
        set(db, Place::Server(self), &self.name, new, by).await
    }

    /// Lets this server inherit again.
    pub async fn reset_threshold(&self, db: &mut Db, which: (&RuleKind, Severity), by: &Actor) -> Result<()> {
        reset(db, Place::Server(self), &self.name, which, by).await
    }
}

async fn set(db: &mut Db, place: Place<'_>, whose: &str, new: NewThreshold, by: &Actor) -> Result<()> {
    let (owner, server) = place.ids();
    // customers read it
    let set_by = if by.staff { "" } else { &by.name };
    db.transaction(async |conn| {
        let before: Option<Threshold> = at(place, &new.kind, new.severity)
            .select(Threshold::as_select())
            .for_update()
            .first(conn)
            .await
            .optional()?;
        if before.as_ref().is_some_and(|before| before.setting() == new.setting) {
            return Ok(());
        }
        let updated = diesel::update(at(place, &new.kind, new.severity))
            .set((
                thresholds::value.eq(new.setting.value),
                thresholds::hold_seconds.eq(new.setting.hold.cast_signed()),
                thresholds::enabled.eq(new.setting.enabled),
                thresholds::updated_at.eq(diesel::dsl::now),
                thresholds::updated_by.eq(by.id),
                thresholds::set_by.eq(set_by),
            ))
            .execute(conn)
            .await?;
        if updated == 0 {
            diesel::insert_into(thresholds::table)
                .values((
                    thresholds::rule.eq(&new.kind.name),
                    thresholds::severity.eq(new.severity.as_str()),
                    thresholds::owner_id.eq(owner),
                    thresholds::server_id.eq(server),
                    thresholds::value.eq(new.setting.value),
                    thresholds::hold_seconds.eq(new.setting.hold.cast_signed()),
                    thresholds::enabled.eq(new.setting.enabled),
                    thresholds::updated_by.eq(by.id),
                    thresholds::set_by.eq(set_by),
                ))
                .execute(conn)
                .await
                .map_err(|error| match error {
                    diesel::result::Error::DatabaseError(
                        diesel::result::DatabaseErrorKind::UniqueViolation,
                        _,
                    ) => Error::Conflict(
                        "Somebody else set this threshold at the same moment. Look at it and try again."
                            .into(),
                    ),
                    other => other.into(),
                })?;
        }
        note(conn, by, owner, new.in_words(whose)).await?;
        let object = format!("{} ({}) of {whose}", new.kind.name, new.severity);
        let event = beside(Event::new("threshold.set", &object), place);
        let event = match before {
            Some(before) => event.changed(fields(before.setting()), fields(new.setting)),
            None => event.made(fields(new.setting)),
        };
        audit::note(conn, by, event).await
    })
    .await
}

async fn reset(
    db: &mut Db,
    place: Place<'_>,
    whose: &str,
    (kind, severity): (&RuleKind, Severity),
    by: &Actor,
) -> Result<()> {
    db.transaction(async |conn: &mut AsyncPgConnection| {
        let gone: Option<Threshold> = diesel::delete(at(place, kind, severity))
            .returning(Threshold::as_returning())
            .get_result(conn)
            .await
            .optional()?;
        if let Some(gone) = gone {
            let summary = format!("{} ({severity}) for {whose}: inherited again", kind.title);
            note(conn, by, place.ids().0, summary).await?;
            let object = format!("{} ({severity}) of {whose}", kind.name);
            let event = beside(Event::new("threshold.reset", &object), place);
            audit::note(conn, by, event.gone(fields(gone.setting()))).await?;
        }
        Ok(())
    })
    .await
}

/// An event of a threshold, with whose it is.
fn beside<'a>(event: Event<'a>, place: Place<'_>) -> Event<'a> {
    let (owner, server) = place.ids();
    let event = event.owner(owner);
    match server {
        Some(server) => event.id(server),
        None => event,
    }
}

/// What the audit keeps of a threshold.
fn fields(setting: Setting) -> serde_json::Value {
    json!({"value": setting.value, "hold_seconds": setting.hold, "enabled": setting.enabled})
}

type At = diesel::helper_types::Filter<
    thresholds::table,
    diesel::dsl::And<
        diesel::dsl::And<
            diesel::dsl::And<
                diesel::dsl::Eq<thresholds::rule, String>,
                diesel::dsl::Eq<thresholds::severity, &'static str>,
            >,
            diesel::dsl::IsNotDistinctFrom<thresholds::owner_id, Option<i64>>,
        >,
        diesel::dsl::IsNotDistinctFrom<thresholds::server_id, Option<i64>>,
    >,
>;

/// The one row of a place, rule and severity.
fn at(place: Place<'_>, kind: &RuleKind, severity: Severity) -> At {
    let (owner, server) = place.ids();
    thresholds::table.filter(
        thresholds::rule
            .eq(kind.name.clone())
            .and(thresholds::severity.eq(severity.as_str()))
            .and(thresholds::owner_id.is_not_distinct_from(owner))
            .and(thresholds::server_id.is_not_distinct_from(server)),
    )
}
