//! The history of alerts: one row an episode.

pub mod figures;
mod groups;
mod handling;
mod open;
mod read;
mod select;
mod terms;

use std::collections::HashSet;

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;

pub use self::groups::{By, Group, Groups, MOST as MOST_GROUPS, groups};
pub use self::handling::{NewNote, Note, Said, Suppression, find_rw, notes, suppressions, sweep};
pub use self::open::{Open, open, open_count};
use self::select::{Identity, Order, Reach, Wanted};
use self::terms::Term;
pub use self::terms::index;
pub(super) use self::terms::{adopting, renamed};
use super::owners::Owner;
use super::schema::alerts;
use super::scope::Scope;
use super::servers::Server;
use super::statement::Statement;
use super::{Db, live};
use crate::error::{Error, Result};
use crate::page::{At, Page, SIZE, Seek};

/// An episode.
#[derive(Clone, Debug, QueryableByName)]
#[diesel(table_name = alerts)]
pub struct Alert {
    pub id: i64,
    pub fingerprint: String,
    pub cluster_id: i32,
    pub owner_id: Option<i64>,
    pub server_id: Option<i64>,
    pub owner_external_id: Option<String>,
    pub server_external_id: Option<String>,
    pub rule: String,
    pub severity: String,
    pub instance: String,
    pub labels: serde_json::Value,
    pub annotations: serde_json::Value,
    pub generator_url: Option<String>,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub started_at: Timestamp,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    pub ended_at: Option<Timestamp>,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub last_seen_at: Timestamp,
    /// When it was first heard of.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub received_at: Timestamp,
    pub close_reason: Option<String>,
    /// Why Alertmanager does not notify it, or did not when it ended: `silenced`, `inhibited` or `muted`.
    pub suppressed: Option<String>,
}

/// An episode with the names of what it belongs to.
#[derive(Clone, Debug)]
pub struct Named {
    pub alert: Alert,
    /// `None`: unassigned.
    pub owner: Option<Name>,
    /// `None`: no server of ours.
    pub server: Option<Name>,
    /// Somebody said that they know of it.
    pub acknowledged: Option<Said>,
}

/// What an owner or a server is called.
#[derive(Clone, Debug)]
pub struct Name {
    pub id: i64,
    pub name: String,
    /// It was removed meanwhile: there is no page of it.
    pub removed: bool,
}

/// Which episodes by their state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    All,
    Open,
    /// Open, and nobody said that they know of it.
    Unacknowledged,
    Closed,
}

/// Whose episodes, within the scope.
#[derive(Clone, Copy, Debug, Default)]
pub enum Whose {
    #[default]
    Any,
    Unassigned,
    Owner(i64),
}

/// What the history is narrowed to. Empty texts narrow nothing.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub state: State,
    pub rule: String,
    pub severity: String,
    pub owner: Whose,
    pub server: Option<i64>,
    /// Episodes that were open at or after this moment.
    pub from: Option<Timestamp>,
    /// Episodes that began before this moment.
    pub to: Option<Timestamp>,
    /// Labels as `name=value`, and beginnings of words of labels, annotations and server's names; all must hold.
    pub q: String,
}

/// Alerts with a searched term, up to which each of them is asked for its episodes.
const FEW: usize = 500;
/// Rows that a page is looked for in where that many alerts have what was searched for.
const WALK: i64 = 3000;

/// A page of the history.
#[derive(Debug)]
pub struct Found {
    pub page: Page<Named>,
    /// Only episodes back to this start were looked through; the next page goes on there.
    pub searched_to: Option<Timestamp>,
}

impl Found {
    /// Of what was not looked for.
    pub fn none() -> Self {
        Self { page: Page { items: Vec::new(), prev: None, next: None }, searched_to: None }
    }
}

/// Episodes, the newest start first.
pub async fn list(db: &mut Db, scope: &Scope, filter: &Filter, at: &At) -> Result<Found> {
    let seek = at.seek::<(Timestamp, i64)>();
    let (order, beyond) = match &seek {
        Seek::Start => (Order::Newest, None),
        Seek::After(key) => (Order::Newest, Some(*key)),
        Seek::Before(key) => (Order::Oldest, Some(*key)),
    };
    let (rows, edge) = walk(db, scope, filter, order, beyond, SIZE as i64 + 1).await?;
    let full = rows.len() > SIZE;
    let page = Page::new(rows, &seek, |named| (named.alert.started_at, named.alert.id));
    Ok(match edge {
        Some(edge) if !full => Found { page: page.up_to(&seek, edge), searched_to: Some(edge.0) },
        _ => Found { page, searched_to: None },
    })
}

/// Where an episode stands in the order of the list: its start and id.
pub type Place = select::Key;

/// The next rows of the list after a place, at most `limit`, and where to go on; `None`: that was all. There may be
/// fewer rows, or none, before the end.
pub async fn batch(
    db: &mut Db,
    scope: &Scope,
    filter: &Filter,
    after: Option<Place>,
    limit: i64,
) -> Result<(Vec<Named>, Option<Place>)> {
    let (rows, edge) = walk(db, scope, filter, Order::Newest, after, limit).await?;
    let full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= limit);
    let last = rows.last().map(|named| (named.alert.started_at, named.alert.id));
    Ok((rows, if full { last } else { edge }))
}

/// The next rows beyond a place, and where the search for them ended, if that was before the end.
async fn walk(
    db: &mut Db,
    scope: &Scope,
    filter: &Filter,
    order: Order,
    beyond: Option<Place>,
    limit: i64,
) -> Result<(Vec<Named>, Option<Place>)> {
    let reach = Reach::of(scope, filter.owner);
    let wanted = narrowed(db, Wanted { beyond, ..Wanted::new(reach, filter, order, limit) }).await?;
    Ok((wanted.rows(db).await?, wanted.within))
}

/// With what is searched for as alerts or, where many have it, as conditions on the next rows of the walk.
async fn narrowed<'a>(db: &mut Db, mut wanted: Wanted<'a>) -> Result<Wanted<'a>> {
    let filter = wanted.filter;
    let mut terms = Term::typed(&filter.q);
    for (name, value) in [("alertname", &filter.rule), ("severity", &filter.severity)] {
        if !value.is_empty() {
            terms.push(Term::label(name, value));
        }
    }
    if terms.is_empty() || wanted.reach.is_empty() {
        return Ok(wanted);
    }
    let mut few: Option<HashSet<Identity>> = None;
    for term in terms {
        let Some(found) = term.identities(db, &wanted.reach, FEW).await? else {
            wanted.terms.push(term);
            continue;
        };
        few = Some(match few {
            None => found,
            Some(before) => before.intersection(&found).cloned().collect(),
        });
    }
    match few {
        Some(few) => wanted.identities = Some(few.into_iter().collect()),
        None => wanted.within = wanted.edge(db, WALK).await?,
    }
    Ok(wanted)
}

/// The episode.
pub async fn find(db: &mut Db, scope: &Scope, id: i64) -> Result<Named> {
    read::by_id(db, scope, id).await?.ok_or(Error::NotFound)
}

/// Which of these episodes are there still.
pub async fn existing(db: &mut Db, scope: &Scope, ids: Vec<i64>) -> Result<HashSet<i64>> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = Bigint)]
        id: i64,
    }
    let mut statement = Statement::new("select a.id from alerts a where a.id = any(");
    statement.value::<Array<Bigint>, _>(ids).text(")");
    if let Some(owners) = scope.owners() {
        statement.text(" and a.owner_id = any(").value::<Array<Bigint>, _>(owners.to_vec()).text(")");
    }
    let rows: Vec<Id> = statement.load(db.conn()).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// What belongs to unassigned alerts goes with them to their owners: (cluster, fingerprint, owner).
pub(super) async fn adopt(conn: &mut AsyncPgConnection, adopted: &[(i32, String, i64)]) -> Result<()> {
    terms::adopt(conn, adopted).await?;
    handling::adopt(conn).await?;
    live::tell(conn, adopted.iter().map(|(.., owner)| Some(*owner))).await
}

/// Open episodes, critical ones first, then the longest; at most `limit`.
pub async fn worst(
    db: &mut Db,
    scope: &Scope,
    owner: Option<&Owner>,
    server: Option<&Server>,
    limit: i64,
) -> Result<Vec<Named>> {
    let filter = beside(State::Open, owner, server);
    Wanted::new(Reach::of(scope, filter.owner), &filter, Order::Worst, limit).rows(db).await
}

/// Closed episodes, the newest start first; at most `limit`.
pub async fn newest_closed(
    db: &mut Db,
    scope: &Scope,
    owner: Option<&Owner>,
    server: Option<&Server>,
    limit: i64,
) -> Result<Vec<Named>> {
    let filter = beside(State::Closed, owner, server);
    let wanted = Wanted::new(Reach::of(scope, filter.owner), &filter, Order::Newest, limit);
    wanted.rows(db).await
}

fn beside(state: State, owner: Option<&Owner>, server: Option<&Server>) -> Filter {
    let owner = owner.map(|owner| owner.id).or(server.map(|server| server.owner_id));
    Filter {
        state,
        owner: owner.map_or(Whose::Any, Whose::Owner),
        server: server.map(|server| server.id),
        ..Filter::default()
    }
}

/// Other episodes of the same alert, the newest first; at most `limit`.
pub async fn siblings(db: &mut Db, scope: &Scope, alert: &Alert, limit: i64) -> Result<Vec<Named>> {
    let filter = Filter::default();
    let wanted = Wanted::new(Reach::of(scope, Whose::Any), &filter, Order::Newest, limit);
    let identities = Some(vec![(alert.cluster_id, alert.fingerprint.clone())]);
    Wanted { identities, except: Some(alert.id), ..wanted }.rows(db).await
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Exactly(i64),
    MoreThan(i64),
    /// Not counted: it would have to be searched for.
    Unknown,
}

/// As far as a list is counted.
const MOST_COUNTED: i64 = 1_000;

/// Counts what the filter leaves as far as that is cheap: to 1,000. To 10,000 it took longer than all else on the page.
pub async fn count(db: &mut Db, scope: &Scope, filter: &Filter) -> Result<Count> {
    if !(filter.q.trim().is_empty() && filter.rule.is_empty() && filter.severity.is_empty()) {
        return Ok(Count::Unknown);
    }
    let reach = Reach::of(scope, filter.owner);
    let number = Wanted::new(reach, filter, Order::Any, MOST_COUNTED + 1).number(db).await?;
    Ok(if number > MOST_COUNTED { Count::MoreThan(MOST_COUNTED) } else { Count::Exactly(number) })
}
