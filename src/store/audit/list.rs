//! Reading the audit: admins all of it, managers what was done to the owners that they manage.

use std::collections::HashSet;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Bool, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::ToDiesel;
use serde_json::Value;

use crate::error::Result;
use crate::page::{At, Page, SIZE, Seek};
use crate::store::alerts::Name;
use crate::store::schema::{audit, owners};
use crate::store::scope::Writing;
use crate::store::{Db, alerts, like, servers, users};

/// Something that was done.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: i64,
    pub at: Timestamp,
    /// `None`: the staff, to whom is none of it.
    pub who: Option<Who>,
    /// Whose it was; `None`: nobody's in particular.
    pub owner: Option<Name>,
    /// The kind of object and what was done, as `server.changed`.
    pub action: String,
    /// What the object was called.
    pub object: String,
    pub object_id: Option<i64>,
    /// What differs, before.
    pub old: Option<Value>,
    /// What differs, after.
    pub new: Option<Value>,
}

/// Who did it, how and from where.
#[derive(Clone, Debug)]
pub struct Who {
    /// `None`: the command line or the program itself.
    pub id: Option<i64>,
    pub name: String,
    /// Empty: by a browser.
    pub through: String,
    pub address: Option<String>,
}

impl Who {
    /// How, in words; empty for the program itself.
    pub fn how(&self) -> &str {
        if self.through.is_empty() && self.id.is_some() { "browser" } else { &self.through }
    }
}

/// What customers read instead of the name of one of the staff.
pub const STAFF: &str = "Staff";

/// What the audit is narrowed to. Empty texts narrow nothing.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Part of who did it; customers find the staff as [`STAFF`].
    pub who: String,
    /// Part of what the object was called.
    pub object: String,
    /// Kinds of objects, as `server`; none of them finds nothing.
    pub kinds: Option<&'static [&'static str]>,
    pub owner: Option<i64>,
    /// Not before this moment.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
}

/// Where an entry stands in the order, the newest first.
pub type Place = (Timestamp, i64);

impl Entry {
    /// Its place in the order.
    pub fn place(&self) -> Place {
        (self.at, self.id)
    }
}

type Query<'a> =
    diesel::helper_types::IntoBoxed<'a, diesel::dsl::LeftJoin<audit::table, owners::table>, diesel::pg::Pg>;

/// Every entry that somebody may read: who may not change an owner has no audit of it.
fn visible(writing: &Writing) -> Query<'_> {
    let query = audit::table.left_join(owners::table).into_boxed();
    match writing.changed.owners() {
        None => query,
        // compared with one value, the index over owner and time gives the order as well
        Some([one]) => query.filter(audit::owner_id.eq(one)),
        Some(ids) => query.filter(audit::owner_id.eq_any(ids)),
    }
}

fn filtered<'a>(writing: &'a Writing, filter: &Filter) -> Query<'a> {
    let mut query = visible(writing);
    let who = filter.who.trim();
    if !who.is_empty() {
        // the name of one of the staff is not to be found out by searching either
        let name = if writing.changed.sees_all() {
            "audit.user_name".into()
        } else {
            format!("(case when audit.staff then '{STAFF}' else audit.user_name end)")
        };
        query = query.filter(sql::<Bool>(&format!("{name} ilike ")).bind::<Text, _>(like(who)));
    }
    let object = filter.object.trim();
    if !object.is_empty() {
        query = query.filter(audit::object.ilike(like(object)));
    }
    if let Some(kinds) = filter.kinds {
        let patterns: Vec<_> = kinds.iter().map(|kind| format!("{}.%", kind.replace('_', "\\_"))).collect();
        query = query.filter(sql::<Bool>("audit.action like any(").bind::<Array<Text>, _>(patterns).sql(")"));
    }
    if let Some(owner) = filter.owner {
        query = query.filter(audit::owner_id.eq(owner));
    }
    if let Some(from) = filter.from {
        query = query.filter(audit::at.ge(from.to_diesel()));
    }
    if let Some(to) = filter.to {
        query = query.filter(audit::at.lt(to.to_diesel()));
    }
    query
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = audit)]
struct Row {
    id: i64,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    at: Timestamp,
    user_id: Option<i64>,
    user_name: String,
    staff: bool,
    through: String,
    address: Option<String>,
    action: String,
    object: String,
    object_id: Option<i64>,
    old: Option<Value>,
    new: Option<Value>,
}

/// Id, name, and whether it was removed.
type Owned = Option<(i64, String, bool)>;

async fn load(db: &mut Db, writing: &Writing, query: Query<'_>) -> Result<Vec<Entry>> {
    let rows: Vec<(Row, Owned)> = query
        .select((
            Row::as_select(),
            (owners::id, owners::name, sql::<Bool>("owners.removed_at is not null")).nullable(),
        ))
        .load(db.conn())
        .await?;
    let all = writing.changed.sees_all();
    let entry = |(row, owner): (Row, Owned)| Entry {
        who: (all || !row.staff).then_some(Who {
            id: row.user_id,
            name: row.user_name,
            through: row.through,
            address: row.address,
        }),
        id: row.id,
        at: row.at,
        owner: owner.map(|(id, name, removed)| Name { id, name, removed }),
        action: row.action,
        object: row.object,
        object_id: row.object_id,
        old: row.old,
        new: row.new,
    };
    Ok(rows.into_iter().map(entry).collect())
}

/// The rows before or after a place.
fn beside<'a>(query: Query<'a>, comparison: &str, (at, id): Place) -> Query<'a> {
    query.filter(
        sql::<Bool>(&format!("(audit.at, audit.id) {comparison} ("))
            .bind::<Timestamptz, _>(at.to_diesel())
            .sql(", ")
            .bind::<Bigint, _>(id)
            .sql(")"),
    )
}

/// A page of the audit, the newest first.
pub async fn list(db: &mut Db, writing: &Writing, filter: &Filter, at: &At) -> Result<Page<Entry>> {
    let seek = at.seek::<Place>();
    let query = filtered(writing, filter).limit(SIZE as i64 + 1);
    let query = match seek {
        Seek::Start => query.order((audit::at.desc(), audit::id.desc())),
        Seek::After(place) => beside(query, "<", place).order((audit::at.desc(), audit::id.desc())),
        Seek::Before(place) => beside(query, ">", place).order((audit::at.asc(), audit::id.asc())),
    };
    Ok(Page::new(load(db, writing, query).await?, &seek, Entry::place))
}

/// At most `limit` entries after a place, the newest first.
pub async fn batch(
    db: &mut Db,
    writing: &Writing,
    filter: &Filter,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Entry>> {
    let query = filtered(writing, filter).order((audit::at.desc(), audit::id.desc())).limit(limit);
    let query = match after {
        None => query,
        Some(place) => beside(query, "<", place),
    };
    load(db, writing, query).await
}

/// What was done to one object by some actions, the newest first; at most `limit`.
pub async fn of_object(
    db: &mut Db,
    writing: &Writing,
    actions: &[&str],
    id: i64,
    limit: i64,
) -> Result<Vec<Entry>> {
    let query = visible(writing).filter(audit::action.eq_any(actions)).filter(audit::object_id.eq(id));
    load(db, writing, query.order((audit::at.desc(), audit::id.desc())).limit(limit)).await
}

/// Counts what the filter leaves, up to `limit`, where that is cheap: `None` with a text search.
pub async fn count(db: &mut Db, writing: &Writing, filter: &Filter, limit: i64) -> Result<Option<i64>> {
    if !(filter.who.trim().is_empty() && filter.object.trim().is_empty()) {
        return Ok(None);
    }
    let ids: Vec<i64> = filtered(writing, filter).select(audit::id).limit(limit).load(db.conn()).await?;
    Ok(i64::try_from(ids.len()).ok())
}

/// Which of the objects of some entries are there still, for who reads them.
#[derive(Debug, Default)]
pub struct Living {
    pub alerts: HashSet<i64>,
    pub servers: HashSet<i64>,
    pub owners: HashSet<i64>,
    /// Admins only.
    pub users: HashSet<i64>,
}

/// Looks up what some entries name.
pub async fn living(db: &mut Db, writing: &Writing, entries: &[Entry]) -> Result<Living> {
    let ids = |kinds: &[&str]| -> Vec<i64> {
        let of = entries.iter().filter(|entry| kinds.contains(&kind(&entry.action)));
        of.filter_map(|entry| entry.object_id).collect()
    };
    let owners = entries.iter().filter_map(|entry| entry.owner.as_ref());
    Ok(Living {
        alerts: alerts::existing(db, &writing.changed, ids(&["alert"])).await?,
        servers: servers::existing(db, &writing.changed, ids(&["server", "threshold"])).await?,
        owners: owners.filter(|owner| !owner.removed).map(|owner| owner.id).collect(),
        users: if writing.changed.sees_all() {
            users::existing(db, ids(&["user", "membership", "second_factor", "session", "identity"])).await?
        } else {
            HashSet::new()
        },
    })
}

/// The kind of object of an action.
pub fn kind(action: &str) -> &str {
    action.split('.').next().unwrap_or_default()
}
