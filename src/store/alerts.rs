//! The history of alerts: one row an episode.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bigint, Bool, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use super::owners::Owner;
use super::schema::{alerts, owners, servers};
use super::scope::Scope;
use super::servers::Server;
use super::{Db, like};
use crate::error::Result;
use crate::page::{At, Page, SIZE, Seek};

/// An episode.
#[derive(Clone, Debug, Queryable, Selectable)]
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
    pub close_reason: Option<String>,
}

/// An episode with the names of what it belongs to.
#[derive(Clone, Debug)]
pub struct Named {
    pub alert: Alert,
    /// `None`: unassigned.
    pub owner: Option<Name>,
    /// `None`: no server of ours.
    pub server: Option<Name>,
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
    /// Part of a label, an annotation, or a server's name.
    pub q: String,
}

type Query<'a> = diesel::helper_types::IntoBoxed<
    'a,
    diesel::dsl::LeftJoin<diesel::dsl::LeftJoin<alerts::table, owners::table>, servers::table>,
    diesel::pg::Pg,
>;

/// Every episode that the scope may see.
fn visible(scope: &Scope) -> Query<'_> {
    let query = alerts::table.left_join(owners::table).left_join(servers::table).into_boxed();
    match scope.owners() {
        None => query,
        Some(ids) => query.filter(alerts::owner_id.eq_any(ids)),
    }
}

fn filtered<'a>(scope: &'a Scope, filter: &'a Filter) -> Query<'a> {
    let mut query = visible(scope);
    query = match filter.state {
        State::All => query,
        State::Open => query.filter(alerts::ended_at.is_null()),
        State::Closed => query.filter(alerts::ended_at.is_not_null()),
    };
    if !filter.rule.is_empty() {
        query = query.filter(alerts::rule.eq(&filter.rule));
    }
    if !filter.severity.is_empty() {
        query = query.filter(alerts::severity.eq(&filter.severity));
    }
    query = match filter.owner {
        Whose::Any => query,
        Whose::Unassigned => query.filter(alerts::owner_id.is_null()),
        Whose::Owner(id) => query.filter(alerts::owner_id.eq(id)),
    };
    if let Some(server) = filter.server {
        query = query.filter(alerts::server_id.eq(server));
    }
    if let Some(from) = filter.from {
        query = query.filter(
            alerts::started_at
                .ge(from.to_diesel())
                .or(alerts::ended_at.is_null())
                .or(alerts::ended_at.ge(from.to_diesel()).assume_not_null()),
        );
    }
    if let Some(to) = filter.to {
        query = query.filter(alerts::started_at.lt(to.to_diesel()));
    }
    let q = filter.q.trim();
    if !q.is_empty() {
        let pattern = like(q);
        query = query.filter(
            sql::<Bool>("(alerts.labels::text ilike ")
                .bind::<Text, _>(pattern.clone())
                .sql(" or alerts.annotations::text ilike ")
                .bind::<Text, _>(pattern.clone())
                .sql(" or coalesce(servers.name ilike ")
                .bind::<Text, _>(pattern)
                .sql(", false))"),
        );
    }
    query
}

type Row = (Alert, Option<(i64, String, bool)>, Option<(i64, String, bool)>);

async fn load(db: &mut Db, query: Query<'_>) -> Result<Vec<Named>> {
    let rows: Vec<Row> = query
        .select((
            Alert::as_select(),
            (owners::id, owners::name, sql::<Bool>("owners.removed_at is not null")).nullable(),
            (
                servers::id,
                servers::name,
                sql::<Bool>("(servers.removed_at is not null or owners.removed_at is not null)"),
            )
                .nullable(),
        ))
        .load(db.conn())
        .await?;
    let name = |(id, name, removed)| Name { id, name, removed };
    Ok(rows
        .into_iter()
        .map(|(alert, owner, server)| Named { alert, owner: owner.map(name), server: server.map(name) })
        .collect())
}

/// Episodes, the newest start first.
pub async fn list(db: &mut Db, scope: &Scope, filter: &Filter, at: &At) -> Result<Page<Named>> {
    let seek = at.seek::<(Timestamp, i64)>();
    let query = filtered(scope, filter).limit(SIZE as i64 + 1);
    let beside = |comparison: &str, started: &Timestamp, id: i64| {
        sql::<Bool>(&format!("(alerts.started_at, alerts.id) {comparison} ("))
            .bind::<Timestamptz, _>(started.to_diesel())
            .sql(", ")
            .bind::<Bigint, _>(id)
            .sql(")")
    };
    let query = match &seek {
        Seek::Start => query.order((alerts::started_at.desc(), alerts::id.desc())),
        Seek::After((started, id)) => {
            query.filter(beside("<", started, *id)).order((alerts::started_at.desc(), alerts::id.desc()))
        }
        Seek::Before((started, id)) => {
            query.filter(beside(">", started, *id)).order((alerts::started_at.asc(), alerts::id.asc()))
        }
    };
    Ok(Page::new(load(db, query).await?, &seek, |named| (named.alert.started_at, named.alert.id)))
}

/// The episode.
pub async fn find(db: &mut Db, scope: &Scope, id: i64) -> Result<Named> {
    let found = load(db, visible(scope).filter(alerts::id.eq(id))).await?;
    found.into_iter().next().ok_or(crate::error::Error::NotFound)
}

/// Open episodes, critical ones first, then the longest; at most `limit`.
pub async fn worst(
    db: &mut Db,
    scope: &Scope,
    owner: Option<&Owner>,
    server: Option<&Server>,
    limit: i64,
) -> Result<Vec<Named>> {
    let query = beside(visible(scope), owner, server)
        .filter(alerts::ended_at.is_null())
        .order((sql::<Bool>("alerts.severity <> 'critical'"), alerts::started_at, alerts::id))
        .limit(limit);
    load(db, query).await
}

/// Closed episodes, the newest end first among the newest starts; at most `limit`.
pub async fn newest_closed(
    db: &mut Db,
    scope: &Scope,
    owner: Option<&Owner>,
    server: Option<&Server>,
    limit: i64,
) -> Result<Vec<Named>> {
    let query = beside(visible(scope), owner, server)
        .filter(alerts::ended_at.is_not_null())
        .order((alerts::started_at.desc(), alerts::id.desc()))
        .limit(limit);
    load(db, query).await
}

fn beside<'a>(query: Query<'a>, owner: Option<&Owner>, server: Option<&Server>) -> Query<'a> {
    let query = match owner {
        None => query,
        Some(owner) => query.filter(alerts::owner_id.eq(owner.id)),
    };
    match server {
        None => query,
        Some(server) => {
            query.filter(alerts::owner_id.eq(server.owner_id).and(alerts::server_id.eq(server.id)))
        }
    }
}

/// Other episodes of the same alert, the newest first; at most `limit`.
pub async fn siblings(db: &mut Db, scope: &Scope, alert: &Alert, limit: i64) -> Result<Vec<Named>> {
    let query = visible(scope)
        .filter(alerts::fingerprint.eq(alert.fingerprint.clone()))
        .filter(alerts::cluster_id.eq(alert.cluster_id))
        .filter(alerts::id.ne(alert.id))
        .order((alerts::started_at.desc(), alerts::id.desc()))
        .limit(limit);
    load(db, query).await
}

/// How many open episodes the scope may see.
pub async fn open_count(db: &mut Db, scope: &Scope) -> Result<i64> {
    Ok(visible(scope).filter(alerts::ended_at.is_null()).count().get_result(db.conn()).await?)
}

/// How many open critical and other episodes the scope may see.
pub async fn open_by_severity(db: &mut Db, scope: &Scope) -> Result<(i64, i64)> {
    Ok(visible(scope)
        .filter(alerts::ended_at.is_null())
        .select((
            sql::<Bigint>("count(*) filter (where alerts.severity = 'critical')"),
            sql::<Bigint>("count(*) filter (where alerts.severity <> 'critical')"),
        ))
        .first(db.conn())
        .await?)
}

/// Counts what the filter leaves, up to `limit`, where that is cheap: `None` with a text search.
pub async fn count(db: &mut Db, scope: &Scope, filter: &Filter, limit: i64) -> Result<Option<i64>> {
    if !filter.q.trim().is_empty() {
        return Ok(None);
    }
    let ids: Vec<i64> = filtered(scope, filter).select(alerts::id).limit(limit).load(db.conn()).await?;
    Ok(i64::try_from(ids.len()).ok())
}
