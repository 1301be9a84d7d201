//! Thresholds in three layers over the catalogue: default, owner, server. The narrowest layer
//! that says something of a rule and severity replaces it as a whole.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;

use super::Db;
use super::changes::{Actor, note};
use super::owners::Owner;
use super::schema::thresholds;
use super::scope::{All, Writable};
use super::servers::Server;
use crate::catalogue::{self, RuleKind, Setting, Severity};
use crate::error::{Error, Fields, Result};

/// The longest hold, seconds: a week.
const LONGEST_HOLD: u32 = 7 * 24 * 3600;

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

/// What applies at a place after the layers.
#[derive(Clone, Copy, Debug)]
pub struct Effective {
    pub kind: &'static RuleKind,
    pub severity: Severity,
    pub setting: Setting,
    pub layer: Layer,
    /// What would apply without what was set at this very place.
    pub inherited: Setting,
}

/// Every rule kind and severity as it applies at a place, in the catalogue's order.
pub async fn effective(db: &mut Db, place: Place<'_>) -> Result<Vec<Effective>> {
    let (owner, server) = place.ids();
    let rows: Vec<Threshold> = thresholds::table
        .filter(
            thresholds::owner_id
                .is_null()
                .or(thresholds::owner_id.is_not_distinct_from(owner).and(thresholds::server_id.is_null()))
                .or(thresholds::server_id.is_not_null().and(thresholds::server_id.is_not_distinct_from(server))),
        )
        .select(Threshold::as_select())
        .load(db.conn())
        .await?;
    Ok(layered(&rows, place.layer()))
}

fn layered(rows: &[Threshold], asked: Layer) -> Vec<Effective> {
    let mut all = Vec::with_capacity(catalogue::KINDS.len() * 2);
    for kind in &catalogue::KINDS {
        for severity in Severity::ALL {
            let built_in = kind.default_setting(severity);
            let (mut setting, mut layer, mut inherited) = (built_in, Layer::BuiltIn, built_in);
            for step in [Layer::Default, Layer::Owner, Layer::Server] {
                let row = rows.iter().find(|row| {
                    row.rule == kind.name && row.severity == severity.as_str() && layer_of(row) == step
                });
                if let Some(row) = row {
                    (setting, layer) = (row.setting(), step);
                    if step < asked {
                        inherited = setting;
                    }
                }
            }
            all.push(Effective { kind, severity, setting, layer, inherited });
        }
    }
    all
}

fn layer_of(row: &Threshold) -> Layer {
    match (row.owner_id, row.server_id) {
        (None, _) => Layer::Default,
        (Some(_), None) => Layer::Owner,
        (Some(_), Some(_)) => Layer::Server,
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

/// A threshold as it is typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ThresholdInput {
    pub rule: String,
    pub severity: String,
    pub value: String,
    /// A duration as Prometheus writes it: `5m`, `1h30m`.
    pub hold: String,
    /// A checkbox: present or not.
    pub enabled: Option<String>,
}

/// A threshold, checked.
#[derive(Clone, Copy, Debug)]
pub struct NewThreshold {
    kind: &'static RuleKind,
    severity: Severity,
    setting: Setting,
}

impl NewThreshold {
    /// `High CPU use (warning) for Nordwind: above 85 % for 5m`.
    pub fn in_words(&self, whose: &str) -> String {
        format!("{} ({}) for {whose}: {}", self.kind.title, self.severity, in_words(self.kind, self.setting))
    }
}

impl ThresholdInput {
    /// The rule and severity that are meant.
    pub fn which(&self) -> Result<(&'static RuleKind, Severity)> {
        let mut fields = Fields::default();
        let kind = catalogue::kind(&self.rule);
        if kind.is_none() {
            fields.add("rule", "There is no such rule kind.");
        }
        let severity = self.severity.parse();
        if severity.is_err() {
            fields.add("severity", "Choose warning or critical.");
        }
        match (kind, severity) {
            (Some(kind), Ok(severity)) => Ok((kind, severity)),
            _ => Err(Error::Invalid(fields)),
        }
    }

    /// Checks every field.
    pub fn check(&self) -> Result<NewThreshold> {
        let (kind, severity) = self.which()?;
        let mut fields = Fields::default();
        let value = kind.bounds.and_then(|bounds| {
            let typed = self.value.trim().replace(',', ".").parse::<f64>().ok();
            if !typed.is_some_and(|value| bounds.contains(value)) {
                fields.add("value", format!("A number from {} to {}.", bounds.min, bounds.max));
            }
            typed
        });
        let hold = parse_duration(&self.hold).filter(|hold| *hold <= LONGEST_HOLD).unwrap_or_else(|| {
            fields.add("hold", "A duration such as 90s, 5m or 1h30m, a week at the most.");
            0
        });
        fields.into_result()?;
        Ok(NewThreshold { kind, severity, setting: Setting { value, hold, enabled: self.enabled.is_some() } })
    }
}

/// Seconds of a duration as Prometheus writes it (units d, h, m, s, each at most once, in this order).
pub fn parse_duration(text: &str) -> Option<u32> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(0);
    }
    let (mut total, mut last) = (0u32, u32::MAX);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u32 = rest[..digits].parse().ok()?;
        let unit = match &rest[digits..].chars().next()? {
            'd' => 86_400,
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        if unit >= last {
            return None;
        }
        last = unit;
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (last != u32::MAX).then_some(total)
}

/// Seconds as Prometheus writes a duration: `5m`, `1h30m`, `0s`.
pub fn format_duration(seconds: u32) -> String {
    let mut text = String::new();
    let mut rest = seconds;
    for (unit, name) in [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')] {
        if rest >= unit {
            text.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// Sets a threshold for everybody.
pub async fn set_default(db: &mut Db, _: All, new: NewThreshold, by: &Actor) -> Result<()> {
    set(db, Place::Default, "everybody", new, by).await
}

/// Goes back to the catalogue for everybody.
pub async fn reset_default(db: &mut Db, _: All, which: (&'static RuleKind, Severity), by: &Actor) -> Result<()> {
    reset(db, Place::Default, "everybody", which, by).await
}

impl Writable<Owner> {
    /// Sets a threshold for the owner's servers.
    pub async fn set_threshold(&self, db: &mut Db, new: NewThreshold, by: &Actor) -> Result<()> {
        set(db, Place::Owner(self), &self.name, new, by).await
    }

    /// Lets the owner's servers inherit again.
    pub async fn reset_threshold(&self, db: &mut Db, which: (&'static RuleKind, Severity), by: &Actor) -> Result<()> {
        reset(db, Place::Owner(self), &self.name, which, by).await
    }
}

impl Writable<Server> {
    /// Sets a threshold for this server.
    pub async fn set_threshold(&self, db: &mut Db, new: NewThreshold, by: &Actor) -> Result<()> {
        set(db, Place::Server(self), &self.name, new, by).await
    }

    /// Lets this server inherit again.
    pub async fn reset_threshold(&self, db: &mut Db, which: (&'static RuleKind, Severity), by: &Actor) -> Result<()> {
        reset(db, Place::Server(self), &self.name, which, by).await
    }
}

async fn set(db: &mut Db, place: Place<'_>, whose: &str, new: NewThreshold, by: &Actor) -> Result<()> {
    let (owner, server) = place.ids();
    db.conn()
        .transaction(async |conn| {
            let updated = diesel::update(at(place, new.kind, new.severity))
                .set((
                    thresholds::value.eq(new.setting.value),
                    thresholds::hold_seconds.eq(new.setting.hold.cast_signed()),
                    thresholds::enabled.eq(new.setting.enabled),
                    thresholds::updated_at.eq(diesel::dsl::now),
                    thresholds::updated_by.eq(by.id),
                ))
                .execute(conn)
                .await?;
            if updated == 0 {
                diesel::insert_into(thresholds::table)
                    .values((
                        thresholds::rule.eq(new.kind.name),
                        thresholds::severity.eq(new.severity.as_str()),
                        thresholds::owner_id.eq(owner),
                        thresholds::server_id.eq(server),
                        thresholds::value.eq(new.setting.value),
                        thresholds::hold_seconds.eq(new.setting.hold.cast_signed()),
                        thresholds::enabled.eq(new.setting.enabled),
                        thresholds::updated_by.eq(by.id),
                    ))
                    .execute(conn)
                    .await
                    .map_err(|error| match error {
                        diesel::result::Error::DatabaseError(diesel::result::DatabaseErrorKind::UniqueViolation, _) => {
                            Error::Conflict("Somebody else set this threshold at the same moment. Look at it and try again.".into())
                        }
                        other => other.into(),
                    })?;
            }
            note(conn, by, owner, new.in_words(whose)).await
        })
        .await
}

async fn reset(
    db: &mut Db,
    place: Place<'_>,
    whose: &str,
    (kind, severity): (&'static RuleKind, Severity),
    by: &Actor,
) -> Result<()> {
    db.conn()
        .transaction(async |conn: &mut AsyncPgConnection| {
            if diesel::delete(at(place, kind, severity)).execute(conn).await? > 0 {
                let summary = format!("{} ({severity}) for {whose}: inherited again", kind.title);
                note(conn, by, place.ids().0, summary).await?;
            }
            Ok(())
        })
        .await
}

type At = diesel::helper_types::Filter<
    thresholds::table,
    diesel::dsl::And<
        diesel::dsl::And<
            diesel::dsl::And<diesel::dsl::Eq<thresholds::rule, &'static str>, diesel::dsl::Eq<thresholds::severity, &'static str>>,
            diesel::dsl::IsNotDistinctFrom<thresholds::owner_id, Option<i64>>,
        >,
        diesel::dsl::IsNotDistinctFrom<thresholds::server_id, Option<i64>>,
    >,
>;

/// The one row of a place, rule and severity.
fn at(place: Place<'_>, kind: &'static RuleKind, severity: Severity) -> At {
    let (owner, server) = place.ids();
    thresholds::table.filter(
        thresholds::rule
            .eq(kind.name)
            .and(thresholds::severity.eq(severity.as_str()))
            .and(thresholds::owner_id.is_not_distinct_from(owner))
            .and(thresholds::server_id.is_not_distinct_from(server)),
    )
}

/// `above 90 % for 5m`, `for 1m`, `off`.
pub fn in_words(kind: &RuleKind, setting: Setting) -> String {
    if !setting.enabled {
        return "off".into();
    }
    let hold = format!("for {}", format_duration(setting.hold));
    let limit = limit_in_words(kind, setting);
    if limit.is_empty() { hold } else { format!("{limit} {hold}") }
}

/// `above 90 %`; empty for a kind without a value.
pub fn limit_in_words(kind: &RuleKind, setting: Setting) -> String {
    setting.value.map(|value| format!("{} {value} {}", kind.direction.word(), kind.unit)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_prometheus_s() {
        for (text, seconds) in [("5m", 300), ("1h30m", 5400), ("90s", 90), ("0", 0), ("0s", 0), ("1d2h", 93_600)] {
            assert_eq!(parse_duration(text), Some(seconds), "{text}");
        }
        for text in ["", "5", "m", "5m5m", "5s5m", "-1m", "1.5h", "9999999999d", "5 m"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        for seconds in [0, 1, 60, 90, 3600, 5400, 93_600] {
            assert_eq!(parse_duration(&format_duration(seconds)), Some(seconds));
        }
    }

    #[test]
    fn the_narrowest_layer_replaces_as_a_whole() {
        let row = |owner_id, server_id, value, enabled| Threshold {
            rule: "cpu_threshold_exceeded".into(),
            severity: "warning".into(),
            owner_id,
            server_id,
            value: Some(value),
            hold_seconds: 60,
            enabled,
        };
        let rows = [row(None, None, 70.0, true), row(Some(1), None, 80.0, false), row(Some(1), Some(2), 90.0, true)];
        let cpu = |rows: &[Threshold], asked| {
            let all = layered(rows, asked);
            *all.iter().find(|one| one.kind.name == "cpu_threshold_exceeded" && one.severity == Severity::Warning).unwrap()
        };
        let server = cpu(&rows, Layer::Server);
        assert_eq!((server.layer, server.setting.value, server.inherited.enabled), (Layer::Server, Some(90.0), false));
        let owner = cpu(&rows[..2], Layer::Owner);
        assert_eq!((owner.layer, owner.setting.enabled, owner.inherited.value), (Layer::Owner, false, Some(70.0)));
        let built_in = cpu(&[], Layer::Server);
        assert_eq!((built_in.layer, built_in.setting.value), (Layer::BuiltIn, Some(85.0)));
    }
}
