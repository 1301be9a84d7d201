//! The history by server or by rule: how many episodes of each there are, how many are open, the newest.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Bool, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::select::{LONG, Order, Reach, Wanted};
use super::{Filter, Name, narrowed};
use crate::error::Result;
use crate::store::Db;
use crate::store::scope::Scope;
use crate::store::statement::Statement;

/// Groups that are told of.
pub const MOST: usize = 50;
/// The newest episodes that are counted, so that a page takes a bounded time whatever the range.
const COUNTED: i64 = 20_000;
/// As many where each of them is asked whether it has what is searched for.
const ASKED: i64 = 10_000;

/// What episodes are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Server,
    Rule,
}

/// Episodes with something in common.
#[derive(Clone, Debug)]
pub struct Group {
    /// By server: `None` where they are of no server of ours.
    pub server: Option<Name>,
    /// By server: whose it is; `None`: unassigned.
    pub owner: Option<Name>,
    /// By rule.
    pub rule: String,
    pub count: i64,
    pub open: i64,
    pub newest: Timestamp,
}

/// The groups that have most.
#[derive(Clone, Debug)]
pub struct Groups {
    /// Those with open episodes first, then by their number; at most [`MOST`].
    pub groups: Vec<Group>,
    /// There are more groups.
    pub more: bool,
    /// So many of the newest episodes were counted, and there are more.
    pub counted: Option<i64>,
}

type Key = (Option<i64>, Option<i64>, String);

/// Groups what the filter leaves.
pub async fn groups(db: &mut Db, scope: &Scope, filter: &Filter, by: By) -> Result<Groups> {
    let reach = Reach::of(scope, filter.owner);
    let wanted = Wanted::new(reach, filter, Order::Newest, COUNTED);
    let mut wanted = narrowed(db, wanted).await?;
    if wanted.identities.is_none() {
        wanted.limit = if wanted.terms.is_empty() { COUNTED } else { ASKED };
        // of several owners as far back for each as for the one that has most
        let edge = wanted.edge(db, wanted.limit).await?;
        let from = filter.from.and_then(|from| from.checked_sub(LONG).ok());
        wanted.within = edge.filter(|(started, _)| from.is_none_or(|from| *started >= from));
    }
    let mut found: HashMap<Key, Group> = HashMap::new();
    let mut all = 0;
    for part in wanted.parts().into_iter().flatten().filter(|part| !part.reach.is_empty()) {
        for row in counts(&part, db, by).await? {
            all += row.count;
            let newest = row.newest;
            let group = found.entry((row.owner_id, row.server_id, row.rule)).or_insert_with_key(|key| {
                Group { server: None, owner: None, rule: key.2.clone(), count: 0, open: 0, newest }
            });
            group.count += row.count;
            group.open += row.open;
            group.newest = group.newest.max(newest);
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_key(|(key, group)| {
        (group.open == 0, std::cmp::Reverse((group.count, group.newest)), key.clone())
    });
    let more = found.len() > MOST;
    found.truncate(MOST);
    if by == By::Server {
        name(db, &mut found).await?;
    }
    let edge = wanted.within.is_some() || all >= wanted.limit;
    Ok(Groups {
        groups: found.into_iter().map(|(_, group)| group).collect(),
        more,
        counted: edge.then_some(all),
    })
}

#[derive(QueryableByName)]
struct Counts {
    #[diesel(sql_type = Nullable<Bigint>)]
    owner_id: Option<i64>,
    #[diesel(sql_type = Nullable<Bigint>)]
    server_id: Option<i64>,
    #[diesel(sql_type = Text)]
    rule: String,
    #[diesel(sql_type = Bigint)]
    count: i64,
    #[diesel(sql_type = Bigint)]
    open: i64,
    #[diesel(sql_type = Timestamptz, deserialize_as = jiff_diesel::Timestamp)]
    newest: Timestamp,
}

async fn counts(part: &Wanted<'_>, db: &mut Db, by: By) -> Result<Vec<Counts>> {
    let (key, columns) = match by {
        By::Server => (
            "select a.owner_id, a.server_id, '' as rule",
            "a.owner_id, a.server_id, a.started_at, a.ended_at, a.id",
        ),
        By::Rule => (
            "select null::bigint as owner_id, null::bigint as server_id, a.rule",
            "a.rule, a.started_at, a.ended_at, a.id",
        ),
    };
    let mut statement = Statement::new(key);
    statement.text(
        ", count(*) as count, count(*) filter (where a.ended_at is null) as open, max(a.started_at) as newest from (select a.* from ",
    );
    part.source(&mut statement, columns, 0);
    // of several owners each has its own limit
    statement.text(part.order.text()).value::<Bigint, _>(part.limit);
    statement.text(") a group by 1, 2, 3");
    Ok(statement.load(db.conn()).await?)
}

/// Puts the names of servers and owners to groups.
async fn name(db: &mut Db, groups: &mut [(Key, Group)]) -> Result<()> {
    #[derive(QueryableByName)]
    struct Named {
        #[diesel(sql_type = Bigint)]
        id: i64,
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Bool)]
        removed: bool,
    }
    let mut names = async |sql: &'static str, ids: HashSet<i64>| -> Result<HashMap<i64, Name>> {
        let mut statement = Statement::new(sql);
        statement.value::<Array<Bigint>, _>(ids.into_iter().collect::<Vec<_>>()).text(")");
        let rows: Vec<Named> = statement.load(db.conn()).await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.id, Name { id: row.id, name: row.name, removed: row.removed }))
            .collect())
    };
    // rows of a scope name only owners and servers of it
    let servers = names(
        "select s.id, s.name, coalesce(s.removed_at, o.removed_at) is not null as removed \
         from servers s join owners o on o.id = s.owner_id where s.id = any(",
        groups.iter().filter_map(|(key, _)| key.1).collect(),
    )
    .await?;
    let owners = names(
        "select id, name, removed_at is not null as removed from owners where id = any(",
        groups.iter().filter_map(|(key, _)| key.0).collect(),
    )
    .await?;
    for (key, group) in groups {
        group.owner = key.0.and_then(|id| owners.get(&id).cloned());
        group.server = key.1.and_then(|id| servers.get(&id).cloned());
    }
    Ok(())
}
