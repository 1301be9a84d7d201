//! Servers in lists: filtered, paged, counted, with what is wrong with each.

use std::collections::HashMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Bool, Text};
use diesel_async::RunQueryDsl;
use serde::Deserialize;

use super::{Query, Server, visible};
use crate::error::Result;
use crate::page::{At, Page, Seek};
use crate::store::owners::Owner;
use crate::store::schema::{owners, server_health, servers};
use crate::store::scope::Scope;
use crate::store::{Db, like};

/// A server in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    pub server: Server,
    pub owner_name: String,
    /// Whether Prometheus reaches it; `None`: not known.
    pub up: Option<bool>,
    pub alerts: OpenAlerts,
}

/// Open alerts of a server.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAlerts {
    pub count: i64,
    /// One of them is critical.
    pub critical: bool,
}

/// What a list of servers is narrowed to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Part of the name, address, external id or comment.
    pub q: String,
    /// An owner's id.
    pub owner: String,
    /// `up`, `down`, `unknown` or `paused`.
    pub state: String,
    /// The whole external id, of the server and of its owner, and the address in its one form: programs ask for them.
    #[serde(skip)]
    pub external_id: Option<String>,
    #[serde(skip)]
    pub owner_external_id: Option<String>,
    #[serde(skip)]
    pub address: Option<String>,
}

/// What the scope may see of what the filter leaves.
fn narrowed<'a>(scope: &'a Scope, filter: &'a Filter) -> Query<'a> {
    let mut query = visible(scope);
    let q = filter.q.trim();
    if !q.is_empty() {
        let pattern = like(q);
        query = query.filter(
            servers::name
                .ilike(pattern.clone())
                .or(servers::address.ilike(pattern.clone()))
                .or(servers::external_id.ilike(pattern.clone()))
                .or(servers::comment.ilike(pattern)),
        );
    }
    if !filter.owner.is_empty() {
        query = query.filter(servers::owner_id.eq(filter.owner.parse().unwrap_or(0)));
    }
    if let Some(external_id) = &filter.external_id {
        query = query.filter(servers::external_id.eq(external_id));
    }
    if let Some(external_id) = &filter.owner_external_id {
        query = query.filter(owners::external_id.eq(external_id));
    }
    if let Some(address) = &filter.address {
        query = query.filter(servers::address.eq(address));
    }
    match filter.state.as_str() {
        "paused" => query.filter(servers::enabled.eq(false)),
        "up" => query.filter(servers::enabled.and(server_health::up.nullable().eq(true))),
        "down" => query.filter(servers::enabled.and(server_health::up.nullable().eq(false))),
        "unknown" => query.filter(servers::enabled.and(server_health::server_id.nullable().is_null())),
        _ => query,
    }
}

/// Servers by name.
pub async fn list(db: &mut Db, scope: &Scope, filter: &Filter, at: &At) -> Result<Page<Listed>> {
    let seek = at.seek::<(String, i64)>();
    let query = match &seek {
        Seek::Start => narrowed(scope, filter).order((sql::<Text>("lower(servers.name)"), servers::id)),
        Seek::After((name, id)) => narrowed(scope, filter)
            .filter(
                sql::<Bool>("(lower(servers.name), servers.id) > (")
                    .bind::<Text, _>(name.clone())
                    .sql(", ")
                    .bind::<Bigint, _>(id)
                    .sql(")"),
            )
            .order((sql::<Text>("lower(servers.name)"), servers::id)),
        Seek::Before((name, id)) => narrowed(scope, filter)
            .filter(
                sql::<Bool>("(lower(servers.name), servers.id) < (")
                    .bind::<Text, _>(name.clone())
                    .sql(", ")
                    .bind::<Bigint, _>(id)
                    .sql(")"),
            )
            .order((sql::<Text>("lower(servers.name) desc"), servers::id.desc())),
    };
    type Row = (Server, String, Option<bool>, String);
    let rows: Vec<Row> = query
        .limit(at.rows())
        .select((
            Server::as_select(),
            owners::name,
            server_health::up.nullable(),
            sql::<Text>("lower(servers.name)"),
        ))
        .load(db.conn())
        .await?;
    let page = Page::sized(at.size, rows, &seek, |(server, _, _, key)| (key.clone(), server.id));
    let alerts = open_alerts(db, page.items.iter().map(|(server, ..)| server.id).collect()).await?;
    let items = page.items.into_iter().map(|(server, owner_name, up, _)| {
        let alerts = alerts.get(&server.id).copied().unwrap_or_default();
        Listed { server, owner_name, up, alerts }
    });
    Ok(Page { items: items.collect(), prev: page.prev, next: page.next })
}

/// Servers by id, beyond one, each with whether Prometheus reaches it; at most `limit`. For who reads all of them: a new name
/// moves none past the reader, and the database finds the place of any id at once.
pub async fn batch(
    db: &mut Db,
    scope: &Scope,
    filter: &Filter,
    after: Option<i64>,
    limit: i64,
) -> Result<Vec<(Server, Option<bool>)>> {
    let mut query = narrowed(scope, filter);
    if let Some(after) = after {
        query = query.filter(servers::id.gt(after));
    }
    Ok(query
        .order(servers::id)
        .limit(limit)
        .select((Server::as_select(), server_health::up.nullable()))
        .load(db.conn())
        .await?)
}

/// As [`batch`], each with its owner's external id.
pub async fn export(
    db: &mut Db,
    scope: &Scope,
    filter: &Filter,
    after: Option<i64>,
    limit: i64,
) -> Result<Vec<(Server, String)>> {
    let mut query = narrowed(scope, filter);
    if let Some(after) = after {
        query = query.filter(servers::id.gt(after));
    }
    Ok(query
        .order(servers::id)
        .limit(limit)
        .select((Server::as_select(), owners::external_id))
        .load(db.conn())
        .await?)
}

/// Open alerts of servers that were found through a scope.
async fn open_alerts(db: &mut Db, ids: Vec<i64>) -> Result<HashMap<i64, OpenAlerts>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bigint)]
        server_id: i64,
        #[diesel(sql_type = Bigint)]
        count: i64,
        #[diesel(sql_type = Bool)]
        critical: bool,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "select server_id, count(*) as count, bool_or(severity = 'critical') as critical \
         from alerts where server_id = any($1) and ended_at is null group by server_id",
    )
    .bind::<Array<Bigint>, _>(ids)
    .load(db.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.server_id, OpenAlerts { count: row.count, critical: row.critical }))
        .collect())
}

/// How many servers are in each state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub up: i64,
    pub down: i64,
    pub unknown: i64,
    pub paused: i64,
}

/// Counts the servers that the scope may see, of one owner where one is given.
pub async fn counts(db: &mut Db, scope: &Scope, owner: Option<&Owner>) -> Result<Counts> {
    let mut query = visible(scope);
    if let Some(owner) = owner {
        query = query.filter(servers::owner_id.eq(owner.id));
    }
    let (up, down, unknown, paused) = query
        .select((
            sql::<Bigint>("count(*) filter (where servers.enabled and server_health.up)"),
            sql::<Bigint>("count(*) filter (where servers.enabled and not server_health.up)"),
            sql::<Bigint>("count(*) filter (where servers.enabled and server_health.up is null)"),
            sql::<Bigint>("count(*) filter (where not servers.enabled)"),
        ))
        .first(db.conn())
        .await?;
    Ok(Counts { up, down, unknown, paused })
}
