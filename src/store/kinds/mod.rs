//! The rule kinds that admins made. Everybody reads them, as everybody's thresholds are of them; only admins change them.

mod input;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use serde_json::json;

pub use self::input::{KindInput, NewKind};
use super::Db;
use super::audit::{self, Event};
use super::changes::{Actor, note};
use super::schema::{alerts, rule_kinds, thresholds};
use super::scope::All;
use crate::catalogue::{Bounds, Catalogue, Direction, Origin, RuleKind, Setting};
use crate::error::{Error, Fields, Result};

/// A kind that an admin made.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = rule_kinds)]
pub struct OwnKind {
    /// The alert's name.
    pub name: String,
    pub title: String,
    pub description: String,
    pub unit: String,
    /// `above` or `below`.
    pub direction: String,
    pub promql: String,
    /// The metrics that it reads, by `|`.
    pub needs: String,
    pub least: f64,
    pub most: f64,
    pub summary: String,
    pub warning_value: f64,
    pub warning_hold_seconds: i32,
    pub warning_enabled: bool,
    pub critical_value: f64,
    pub critical_hold_seconds: i32,
    pub critical_enabled: bool,
    /// Since when it is no longer published.
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    pub retired_at: Option<Timestamp>,
}

impl OwnKind {
    fn kind(self) -> RuleKind {
        let setting = |value: f64, hold: i32, enabled: bool| Setting {
            value: Some(value),
            hold: hold.unsigned_abs(),
            enabled,
        };
        RuleKind {
            series: format!("prommgr:own:{}", self.name),
            direction: if self.direction == "below" { Direction::Below } else { Direction::Above },
            recording: Some(self.promql),
            renamed: &[],
            needs: self.needs,
            interval: None,
            bounds: Some(Bounds { min: self.least, max: self.most, step: 0.1 }),
            parameters: &[],
            warning: setting(self.warning_value, self.warning_hold_seconds, self.warning_enabled),
            critical: setting(self.critical_value, self.critical_hold_seconds, self.critical_enabled),
            origin: if self.retired_at.is_some() { Origin::Retired } else { Origin::Own },
            name: self.name,
            title: self.title,
            description: self.description,
            unit: self.unit,
            summary: self.summary,
        }
    }
}

/// Every kind there is.
pub async fn catalogue(db: &mut Db) -> Result<Catalogue> {
    read(db.conn()).await
}

/// Every kind there is, as a transaction sees it.
pub(super) async fn read(conn: &mut AsyncPgConnection) -> Result<Catalogue> {
    let own = rule_kinds::table.order(rule_kinds::name).select(OwnKind::as_select()).load(conn).await?;
    Ok(Catalogue::with(own.into_iter().map(OwnKind::kind).collect()))
}

/// Those that admins made, by name.
pub async fn list(db: &mut Db, _: All) -> Result<Vec<OwnKind>> {
    Ok(rule_kinds::table.order(rule_kinds::name).select(OwnKind::as_select()).load(db.conn()).await?)
}

/// The one of that name.
pub async fn find(db: &mut Db, _: All, name: &str) -> Result<OwnKind> {
    Ok(rule_kinds::table.find(name).select(OwnKind::as_select()).first(db.conn()).await?)
}

/// Adds one. `Invalid` where there is one of that name, also a retired one.
pub async fn create(db: &mut Db, _: All, new: NewKind, by: &Actor) -> Result<()> {
    db.transaction(async |conn| {
        let added = diesel::insert_into(rule_kinds::table)
            .values((rule_kinds::name.eq(&new.name), values(&new)))
            .on_conflict_do_nothing()
            .execute(conn)
            .await?;
        if added == 0 {
            return Err(Error::Invalid(Fields::one(
                "name",
                "There is one of this name, maybe a retired one.",
            )));
        }
        note(conn, by, None, format!("Rule kind {}: added", new.title)).await?;
        audit::note(conn, by, Event::new("rule_kind.added", &new.name).made(new.fields())).await
    })
    .await
}

/// Changes the one of that name, whatever name the new fields have.
pub async fn update(db: &mut Db, _: All, name: &str, new: NewKind, by: &Actor) -> Result<()> {
    db.transaction(async |conn| {
        let before =
            rule_kinds::table.find(name).select(OwnKind::as_select()).for_update().first(conn).await?;
        let (old, fields) = (fields(&before), new.fields());
        if old == fields {
            return Ok(());
        }
        diesel::update(rule_kinds::table.find(name))
            .set((values(&new), rule_kinds::updated_at.eq(diesel::dsl::now)))
            .execute(conn)
            .await?;
        note(conn, by, None, format!("Rule kind {}: changed", new.title)).await?;
        audit::note(conn, by, Event::new("rule_kind.changed", name).changed(old, fields)).await
    })
    .await
}

/// What became of a kind that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is no more.
    Deleted,
    /// Thresholds or open alerts are of it, so it only is no longer published, and can be brought back.
    Retired,
}

/// Deletes one that nothing is of, else retires it.
pub async fn remove(db: &mut Db, _: All, name: &str, by: &Actor) -> Result<Removed> {
    db.transaction(async |conn| {
        let kind = rule_kinds::table.find(name).select(OwnKind::as_select()).for_update().first(conn).await?;
        let used: bool = diesel::select(
            diesel::dsl::exists(thresholds::table.filter(thresholds::rule.eq(name)).select(thresholds::id))
                .or(diesel::dsl::exists(
                    alerts::table
                        .filter(alerts::rule.eq(name).and(alerts::ended_at.is_null()))
                        .select(alerts::id),
                )),
        )
        .get_result(conn)
        .await?;
        if used && kind.retired_at.is_some() {
            return Ok(Removed::Retired);
        }
        let action = if used {
            diesel::update(rule_kinds::table.find(name))
                .set(rule_kinds::retired_at.eq(super::now().nullable()))
                .execute(conn)
                .await?;
            "rule_kind.retired"
        } else {
            diesel::delete(rule_kinds::table.find(name)).execute(conn).await?;
            "rule_kind.removed"
        };
        note(conn, by, None, format!("Rule kind {}: removed", kind.title)).await?;
        let event = Event::new(action, name);
        let event = if used { event } else { event.gone(fields(&kind)) };
        audit::note(conn, by, event).await?;
        Ok(if used { Removed::Retired } else { Removed::Deleted })
    })
    .await
}

/// Takes a retired one into use again; returns its title.
pub async fn restore(db: &mut Db, _: All, name: &str, by: &Actor) -> Result<String> {
    db.transaction(async |conn| {
        let retired = rule_kinds::table.find(name).filter(rule_kinds::retired_at.is_not_null());
        let kind = retired.select(OwnKind::as_select()).for_update().first(conn).await.optional()?;
        let Some(kind) = kind else { return Err(Error::NotFound) };
        diesel::update(rule_kinds::table.find(name))
            .set(rule_kinds::retired_at.eq(None::<jiff_diesel::Timestamp>))
            .execute(conn)
            .await?;
        note(conn, by, None, format!("Rule kind {}: in use again", kind.title)).await?;
        audit::note(conn, by, Event::new("rule_kind.restored", name)).await?;
        Ok(kind.title)
    })
    .await
}

/// What the audit keeps of one.
fn fields(kind: &OwnKind) -> serde_json::Value {
    let words = |value: f64, hold: i32, enabled: bool| {
        let on = if enabled { "on" } else { "off" };
        format!("{value} for {}, {on}", super::thresholds::format_duration(hold.unsigned_abs()))
    };
    json!({
        "title": kind.title, "description": kind.description, "unit": kind.unit, "direction": kind.direction,
        "promql": kind.promql, "min": kind.least, "max": kind.most, "summary": kind.summary,
        "warning": words(kind.warning_value, kind.warning_hold_seconds, kind.warning_enabled),
        "critical": words(kind.critical_value, kind.critical_hold_seconds, kind.critical_enabled),
    })
}

#[derive(AsChangeset, Insertable)]
#[diesel(table_name = rule_kinds)]
struct Values<'a> {
    title: &'a str,
    description: &'a str,
    unit: &'a str,
    direction: &'a str,
    promql: &'a str,
    needs: &'a str,
    least: f64,
    most: f64,
    summary: &'a str,
    warning_value: f64,
    warning_hold_seconds: i32,
    warning_enabled: bool,
    critical_value: f64,
    critical_hold_seconds: i32,
    critical_enabled: bool,
}

fn values(new: &NewKind) -> Values<'_> {
    Values {
        title: &new.title,
        description: &new.description,
        unit: &new.unit,
        direction: new.direction,
        promql: &new.promql,
        needs: &new.needs,
        least: new.least,
        most: new.most,
        summary: &new.summary,
        warning_value: new.warning.value.unwrap_or_default(),
        warning_hold_seconds: new.warning.hold.cast_signed(),
        warning_enabled: new.warning.enabled,
        critical_value: new.critical.value.unwrap_or_default(),
        critical_hold_seconds: new.critical.hold.cast_signed(),
        critical_enabled: new.critical.enabled,
    }
}
