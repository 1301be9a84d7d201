//! Counts for pictures. They are of episodes that began in a range, and bounded: of a range with more than
//! [`MOST`] the newest are counted.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Bool, Integer, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use jiff::{SignedDuration, Timestamp};
use jiff_diesel::ToDiesel;

use super::select::{Order, Reach, Wanted};
use super::{Filter, Name, Named, narrowed};
use crate::error::Result;
use crate::store::Db;
use crate::store::scope::Scope;
use crate::store::statement::{Prepare, Statement};

/// Episodes that are counted for one picture, of each owner.
pub const MOST: i64 = 100_000;
/// Servers and rules in a list of the noisiest.
pub const TOP: i64 = 10;

/// Counts of a range.
#[derive(Debug, Default)]
pub struct Figures {
    /// Beginnings by quarter of an hour and whether they are critical.
    pub quarters: Vec<(Timestamp, bool, i64)>,
    /// The rules with the most.
    pub rules: Vec<(String, i64)>,
    /// The servers with the most; they may have been removed.
    pub servers: Vec<(Name, i64)>,
    /// There are more; these are the newest.
    pub capped: bool,
    /// Only episodes back to this beginning were looked through: many have what was searched for.
    pub searched_to: Option<Timestamp>,
}

/// The filter's owner, server, state and search; its days are no days of beginnings.
fn searched(filter: &Filter) -> Filter {
    Filter {
        state: filter.state,
        owner: filter.owner,
        server: filter.server,
        q: filter.q.clone(),
        ..Filter::default()
    }
}

/// Counts episodes that began from `from` to before `to` and that the filter leaves but for its days.
pub async fn figures(
    db: &mut Db,
    scope: &Scope,
    filter: &Filter,
    from: Timestamp,
    to: Timestamp,
) -> Result<Figures> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<Timestamptz>, deserialize_as = jiff_diesel::NullableTimestamp)]
        quarter: Option<Timestamp>,
        #[diesel(sql_type = Nullable<Bool>)]
        critical: Option<bool>,
        #[diesel(sql_type = Nullable<Text>)]
        rule: Option<String>,
        #[diesel(sql_type = Nullable<Bigint>)]
        server_id: Option<i64>,
        #[diesel(sql_type = Nullable<Text>)]
        name: Option<String>,
        #[diesel(sql_type = Bool)]
        removed: bool,
        #[diesel(sql_type = Bigint)]
        n: i64,
        #[diesel(sql_type = Bigint)]
        walked: i64,
    }
    let within = Filter { to: Some(to), ..searched(filter) };
    let wanted = Wanted {
        since: Some(from),
        ..Wanted::new(Reach::of(scope, filter.owner), &within, Order::Newest, MOST)
    };
    let wanted = narrowed(db, wanted).await?;
    if wanted.reach.is_empty() {
        return Ok(Figures::default());
    }
    let mut statement = Statement::new(
        "select d.quarter, d.critical, d.rule, d.server_id, d.n, d.walked, s.name, coalesce(s.removed_at is not null, false) as removed from ( \
           select c.*, row_number() over (partition by c.part order by c.n desc, c.rule, c.server_id) as place from ( \
             select grouping(quarter, rule, server_id) as part, quarter, critical, rule, server_id, \
               count(*) filter (where fits) as n, count(*) as walked from ( \
               select date_bin('15 minutes', a.started_at, '2000-01-01 00:00:00+00') as quarter, a.severity = 'critical' as critical, \
                 a.rule, a.server_id, (",
    );
    statement.value::<Text, _>(filter.rule.clone()).text(" in ('', a.rule) and ");
    statement.value::<Text, _>(filter.severity.clone()).text(" in ('', a.severity)) as fits from ");
    wanted.source(&mut statement, "a.severity, a.rule, a.server_id, a.started_at, a.id", 0);
    statement
        .text(
            ") b group by grouping sets ((quarter, critical), (rule), (server_id))) c \
             where c.part = 3 or (c.n > 0 and (c.part = 5 or c.server_id is not null))) d \
             left join lateral (select name, removed_at from servers where id = d.server_id limit 1) s on true \
             where d.part = 3 or d.place <= ",
        )
        .value::<Bigint, _>(TOP)
        .text(" order by d.part, d.place");
    let rows: Vec<Row> = statement.load(db.conn()).await?;
    let mut figures = Figures::default();
    let mut walked = 0;
    for row in rows {
        match (row.quarter, row.rule, row.server_id) {
            (Some(quarter), ..) => {
                walked += row.walked;
                figures.quarters.push((quarter, row.critical.unwrap_or_default(), row.n));
            }
            (_, Some(rule), _) => figures.rules.push((rule, row.n)),
            (_, _, Some(id)) => {
                let name = row.name.unwrap_or_default();
                figures.servers.push((Name { id, name, removed: row.removed }, row.n));
            }
            _ => {}
        }
    }
    figures.capped = walked >= MOST;
    figures.searched_to = wanted.within.map(|(began, _)| began);
    Ok(figures)
}

/// An alert that begins again and again.
#[derive(Debug, QueryableByName)]
pub struct Flapping {
    /// Of its newest episode.
    #[diesel(sql_type = Bigint)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub rule: String,
    #[diesel(sql_type = Text)]
    pub instance: String,
    /// Its beginnings since then.
    #[diesel(sql_type = Bigint)]
    pub n: i64,
}

/// Alerts that began `least` times or more since `since`, the worst first; at most [`TOP`].
pub async fn flapping(
    db: &mut Db,
    scope: &Scope,
    filter: &Filter,
    since: Timestamp,
    least: i64,
) -> Result<Vec<Flapping>> {
    let within = searched(filter);
    let wanted = Wanted {
        since: Some(since),
        ..Wanted::new(Reach::of(scope, filter.owner), &within, Order::Newest, MOST)
    };
    let wanted = narrowed(db, wanted).await?;
    if wanted.reach.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = Statement::new(
        "select (array_agg(a.id order by a.started_at desc))[1] as id, min(a.rule) as rule, min(a.instance) as instance, count(*) as n from ",
    );
    let columns = "a.cluster_id, a.fingerprint, a.rule, a.severity, a.instance, a.started_at, a.id";
    wanted.source(&mut statement, columns, 0);
    statement.text(" where ").value::<Text, _>(filter.rule.clone()).text(" in ('', a.rule) and ");
    statement.value::<Text, _>(filter.severity.clone()).text(" in ('', a.severity)");
    statement.text(" group by a.cluster_id, a.fingerprint having count(*) >= ").value::<Bigint, _>(least);
    statement.text(" order by 4 desc, 1 limit ").value::<Bigint, _>(TOP);
    Ok(statement.load(db.conn()).await?)
}

/// Which of these episodes, by their ids, flap: their alert began `least` times or more in the 24 hours up to their own
/// beginning, that one included. Only what the scope may see is counted.
pub async fn flapping_among<'a>(
    db: &mut Db,
    scope: &Scope,
    rows: impl IntoIterator<Item = &'a Named>,
    least: i64,
) -> Result<HashSet<i64>> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = Bigint)]
        id: i64,
    }
    let day = SignedDuration::from_hours(24);
    let (mut ids, mut clusters, mut fingerprints) = (vec![], vec![], vec![]);
    let (mut since, mut until, mut from, mut to) = (vec![], vec![], vec![], vec![]);
    for Named { alert, .. } in rows {
        let began = alert.started_at.checked_sub(day).ok();
        // receipts say which months: an earlier one is not heard of more than a day after a later one
        let first = began.and_then(|began| began.checked_sub(day).ok());
        let Some(((began, first), last)) = began.zip(first).zip(alert.received_at.checked_add(day).ok())
        else {
            continue;
        };
        ids.push(alert.id);
        clusters.push(alert.cluster_id);
        fingerprints.push(alert.fingerprint.as_str());
        since.push(began.to_diesel());
        until.push(alert.started_at.to_diesel());
        from.push(first.to_diesel());
        to.push(last.to_diesel());
    }
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let owners = scope.owners().map(<[i64]>::to_vec);
    let found: Vec<Id> = diesel::sql_query(
        "select u.id from unnest($1, $2, $3, $4, $5, $6, $7) u(id, cluster, fingerprint, since, until, first, last), \
         lateral (select count(*) as n from (select 1 from alerts a \
           where a.fingerprint = u.fingerprint and a.cluster_id = u.cluster and a.started_at > u.since and a.started_at <= u.until \
             and a.received_at >= u.first and a.received_at < u.last and ($9::bigint[] is null or a.owner_id = any($9)) \
           limit $8) b) c where c.n >= $8",
    )
    .bind::<Array<Bigint>, _>(ids)
    .bind::<Array<Integer>, _>(clusters)
    .bind::<Array<Text>, _>(fingerprints)
    .bind::<Array<Timestamptz>, _>(since)
    .bind::<Array<Timestamptz>, _>(until)
    .bind::<Array<Timestamptz>, _>(from)
    .bind::<Array<Timestamptz>, _>(to)
    .bind::<Bigint, _>(least)
    .bind::<Nullable<Array<Bigint>>, _>(owners)
    .prepared()
    .load(db.conn())
    .await?;
    Ok(found.into_iter().map(|row| row.id).collect())
}

/// An episode of a server, as far as a strip of time shows it.
#[derive(Clone, Debug)]
pub struct Shown {
    pub severity: String,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// What fired on these servers at some time since `since`, by the server's id.
pub async fn of_servers(
    db: &mut Db,
    scope: &Scope,
    servers: &[i64],
    since: Timestamp,
) -> Result<HashMap<i64, Vec<Shown>>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bigint)]
        server_id: i64,
        #[diesel(sql_type = Text)]
        severity: String,
        #[diesel(sql_type = Timestamptz, deserialize_as = jiff_diesel::Timestamp)]
        started_at: Timestamp,
        #[diesel(sql_type = Nullable<Timestamptz>, deserialize_as = jiff_diesel::NullableTimestamp)]
        ended_at: Option<Timestamp>,
    }
    let day = SignedDuration::from_hours(24);
    let Some((early, received)) = since.checked_sub(day).ok().zip(since.checked_sub(day * 2).ok()) else {
        return Ok(HashMap::new());
    };
    // three parts, each with an index: begun lately, open since long, and over lately but long
    let owners = scope.owners().map(<[i64]>::to_vec);
    let rows: Vec<Row> = diesel::sql_query(
        "with s as materialized (select id, owner_id from servers where id = any($1) and ($4::bigint[] is null or owner_id = any($4))) \
         select a.* from s, lateral (select a.server_id, a.severity, a.started_at, a.ended_at from alerts a \
           where a.server_id = s.id and a.owner_id = s.owner_id and a.started_at >= $3 and a.received_at >= $5 \
             and (a.ended_at is null or a.ended_at >= $2) order by a.started_at desc, a.id desc limit 500) a \
         union all \
         select a.* from (select distinct owner_id from s) o, lateral (select a.server_id, a.severity, a.started_at, a.ended_at from alerts a \
           where a.owner_id = o.owner_id and a.ended_at is null and a.started_at < $3 and a.server_id = any($1) order by a.started_at desc, a.id desc limit 500) a \
         union all \
         select a.server_id, a.severity, a.started_at, a.ended_at from (select * from alerts a \
           where a.ended_at - a.started_at >= interval '24 hours' and a.ended_at >= $2 and a.started_at < $3 offset 0) a \
           join s on s.id = a.server_id and s.owner_id = a.owner_id",
    )
    .bind::<Array<Bigint>, _>(servers)
    .bind::<Timestamptz, _>(since.to_diesel())
    .bind::<Timestamptz, _>(early.to_diesel())
    .bind::<Nullable<Array<Bigint>>, _>(owners)
    .bind::<Timestamptz, _>(received.to_diesel())
    .prepared()
    .load(db.conn())
    .await?;
    let mut found: HashMap<i64, Vec<Shown>> = HashMap::new();
    for Row { server_id, severity, started_at, ended_at } in rows {
        found.entry(server_id).or_default().push(Shown { severity, started_at, ended_at });
    }
    Ok(found)
}
