//! Owners: the tenants. Only admins make, change and remove them.

mod change;
mod choices;
mod known;

use std::collections::HashMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Bool, Text};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use serde::Deserialize;

pub use self::change::{create, note_look, remove, remove_as_found, restore, update, update_as_found};
pub use self::choices::{among, by_external_ids_rw, choices, choices_rw, named, only_rw, suggestions};
pub use self::known::known_since;
use super::schema::owners;
use super::scope::{Scope, Writable, Writing};
use super::servers::OpenAlerts;
use super::{Db, like};
use crate::error::{Error, Fields, Result};
use crate::page::{At, Page, Seek};

/// An owner that has not been removed.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = owners)]
pub struct Owner {
    pub id: i64,
    pub external_id: String,
    pub name: String,
    pub comment: String,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub updated_at: Timestamp,
    /// For how many days alerts are kept after their end; 0: for ever; `None`: as the settings say.
    pub history_days: Option<i32>,
}

/// An owner as it is typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OwnerInput {
    pub name: String,
    /// Empty: one is generated, or the old one stays.
    pub external_id: String,
    pub comment: String,
    /// Empty: as the settings say.
    pub history_days: String,
}

/// An owner's fields, checked.
#[derive(Clone, Debug)]
pub struct NewOwner {
    name: String,
    external_id: Option<String>,
    comment: String,
    history_days: Option<i32>,
}

impl OwnerInput {
    /// Checks every field.
    pub fn check(&self) -> Result<NewOwner> {
        let mut fields = Fields::default();
        let name = check_line(&self.name, 200, &mut fields, "name");
        let external_id = check_external_id(&self.external_id, &mut fields);
        let comment = check_text(&self.comment, &mut fields, "comment");
        let history_days = check_days(&self.history_days, &mut fields);
        fields.into_result()?;
        Ok(NewOwner { name, external_id, comment, history_days })
    }
}

/// Days up to a hundred years; empty is `None`.
fn check_days(text: &str, fields: &mut Fields) -> Option<i32> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let days = text.parse().ok().filter(|days| (0..=36_500).contains(days));
    if days.is_none() {
        fields.add("history_days", "A whole number of days up to 36500, or nothing.");
    }
    days
}

/// A name: one line, not empty, at most `longest` characters.
pub(super) fn check_line(text: &str, longest: usize, fields: &mut Fields, field: &'static str) -> String {
    let text = text.trim();
    if text.is_empty() {
        fields.add(field, "Give a name.");
    } else if text.chars().count() > longest || text.chars().any(char::is_control) {
        fields.add(field, format!("At most {longest} characters, on one line."));
    }
    text.to_owned()
}

/// An external id: what a label value may be on one line, at most 200 characters; empty is `None`.
pub(super) fn check_external_id(text: &str, fields: &mut Fields) -> Option<String> {
    let text = text.trim();
    if text.chars().count() > 200 || text.chars().any(char::is_control) {
        fields.add("external_id", "At most 200 characters, on one line.");
    }
    // Prometheus loads a rule with this character and then fails at every evaluation, for everybody
    if text.contains(char::REPLACEMENT_CHARACTER) {
        fields.add("external_id", "It holds a character that was not understood (\u{fffd}); type it anew.");
    }
    (!text.is_empty()).then(|| text.to_owned())
}

/// A comment: at most 10,000 characters, line breaks allowed.
pub(super) fn check_text(text: &str, fields: &mut Fields, field: &'static str) -> String {
    let text = text.trim().replace("\r\n", "\n");
    if text.chars().count() > 10_000 || text.chars().any(|c| c == '\0') {
        fields.add(field, "At most 10,000 characters.");
    }
    text
}

/// Every owner that the scope may see.
fn visible(scope: &Scope) -> owners::BoxedQuery<'_, diesel::pg::Pg> {
    let query = owners::table.filter(owners::removed_at.is_null()).into_boxed();
    match scope.owners() {
        None => query,
        Some(ids) => query.filter(owners::id.eq_any(ids)),
    }
}

/// The owner, for reading.
pub async fn find(db: &mut Db, scope: &Scope, id: i64) -> Result<Owner> {
    Ok(visible(scope).filter(owners::id.eq(id)).select(Owner::as_select()).first(db.conn()).await?)
}

/// The owner, for changing what belongs to it. `Forbidden` when it may only be seen.
pub async fn find_rw(db: &mut Db, writing: &Writing, id: i64) -> Result<Writable<Owner>> {
    match find(db, &writing.changed, id).await {
        Ok(owner) => Ok(Writable::found(owner)),
        Err(Error::NotFound) => {
            find(db, &writing.seen, id).await?;
            Err(Error::Forbidden)
        }
        Err(error) => Err(error),
    }
}

/// The owner with that external id, for reading.
pub async fn by_external_id(db: &mut Db, scope: &Scope, external_id: &str) -> Result<Owner> {
    Ok(visible(scope)
        .filter(owners::external_id.eq(external_id))
        .select(Owner::as_select())
        .first(db.conn())
        .await?)
}

/// What a list of owners is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Part of the name or external id.
    pub q: String,
    /// The whole external id.
    pub external_id: Option<String>,
    /// Those only that have thresholds of their own, or a server that has.
    pub differs: bool,
}

/// Owners by name.
pub async fn list(db: &mut Db, scope: &Scope, filter: &Filter, at: &At) -> Result<Page<Owner>> {
    let seek = at.seek::<(String, i64)>();
    let mut query = visible(scope);
    if let Some(external_id) = &filter.external_id {
        query = query.filter(owners::external_id.eq(external_id));
    }
    if filter.differs {
        query = query.filter(sql::<Bool>(
            "exists (select from thresholds t left join servers s on s.id = t.server_id \
             where t.owner_id = owners.id and s.removed_at is null)",
        ));
    }
    if !filter.q.trim().is_empty() {
        let pattern = like(filter.q.trim());
        query = query.filter(owners::name.ilike(pattern.clone()).or(owners::external_id.ilike(pattern)));
    }
    query = match &seek {
        Seek::Start => query.order((sql::<Text>("lower(owners.name)"), owners::id)),
        Seek::After((name, id)) => query
            .filter(
                sql::<Bool>("(lower(owners.name), owners.id) > (")
                    .bind::<Text, _>(name.clone())
                    .sql(", ")
                    .bind::<Bigint, _>(id)
                    .sql(")"),
            )
            .order((sql::<Text>("lower(owners.name)"), owners::id)),
        Seek::Before((name, id)) => query
            .filter(
                sql::<Bool>("(lower(owners.name), owners.id) < (")
                    .bind::<Text, _>(name.clone())
                    .sql(", ")
                    .bind::<Bigint, _>(id)
                    .sql(")"),
            )
            .order((sql::<Text>("lower(owners.name) desc"), owners::id.desc())),
    };
    let rows = query
        .limit(at.rows())
        .select((Owner::as_select(), sql::<Text>("lower(owners.name)")))
        .load::<(Owner, String)>(db.conn())
        .await?;
    let page = Page::sized(at.size, rows, &seek, |(owner, key)| (key.clone(), owner.id));
    Ok(Page {
        items: page.items.into_iter().map(|(owner, _)| owner).collect(),
        prev: page.prev,
        next: page.next,
    })
}

/// What an owner has.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnerCounts {
    pub servers: i64,
    /// Those that are not paused.
    pub enabled: i64,
    /// Those that are not paused and that Prometheus reaches.
    pub up: i64,
    pub open: OpenAlerts,
}

/// What each of these owners has, by the owner's id.
pub async fn counts(db: &mut Db, owners: &[Owner]) -> Result<HashMap<i64, OwnerCounts>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bigint)]
        id: i64,
        #[diesel(sql_type = Bigint)]
        servers: i64,
        #[diesel(sql_type = Bigint)]
        enabled: i64,
        #[diesel(sql_type = Bigint)]
        up: i64,
        #[diesel(sql_type = Bigint)]
        open: i64,
        #[diesel(sql_type = Bool)]
        critical: bool,
    }
    let ids: Vec<i64> = owners.iter().map(|owner| owner.id).collect();
    let rows: Vec<Row> = diesel::sql_query(
        "select o as id, s.*, a.* from unnest($1) o, \
         lateral (select count(*) as servers, count(*) filter (where enabled) as enabled, \
           count(*) filter (where enabled and h.up) as up from servers s left join server_health h on h.server_id = s.id \
           where s.owner_id = o and removed_at is null) s, \
         lateral (select count(*) as open, coalesce(bool_or(severity = 'critical'), false) as critical \
           from alerts where owner_id = o and ended_at is null) a",
    )
    .bind::<Array<Bigint>, _>(ids)
    .load(db.conn())
    .await?;
    let counts = |row: Row| OwnerCounts {
        servers: row.servers,
        enabled: row.enabled,
        up: row.up,
        open: OpenAlerts { count: row.open, critical: row.critical },
    };
    Ok(rows.into_iter().map(|row| (row.id, counts(row))).collect())
}
