//! A batch in its transaction: lock the heads of the alerts in key order, plan, then write each kind of change as
//! one statement over arrays. Each statement is planned once a connection, perhaps while the tables are empty, so it
//! must say what the planner cannot know: a `limit` of a parameter counts as one row, and what is one row is looked up
//! by its key; bounds of `received_at` leave out the months that have none of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use super::plan::{Insert, Known, Said, Update, follow};
use super::report::{Bad, Outcome, Report};
use crate::error::Result;
use crate::store::episode::{Head, OpenEpisode};
use crate::store::quarantine;
use crate::store::statement::Prepare;

/// Owners that one notification names at the most; PostgreSQL takes 8,000 bytes.
const MOST_NAMED: usize = 300;

/// A delivery, or what one writer stores of it.
#[derive(Debug)]
pub(super) struct Part {
    pub cluster: i32,
    pub reports: Vec<Report>,
    pub bad: Vec<Bad>,
}

impl Part {
    /// Alerts, those that are not understood among them.
    pub(super) fn len(&self) -> usize {
        self.reports.len() + self.bad.len()
    }
}

/// What a batch changed.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// One a part.
    pub outcomes: Vec<Outcome>,
    /// Whose alerts changed; `None` when nothing did.
    pub owners: Option<BTreeSet<i64>>,
}

impl Stored {
    fn changed(&mut self, owners: Option<Vec<Option<i64>>>) {
        self.owners.get_or_insert_default().extend(owners.into_iter().flatten().flatten());
    }
}

/// Stores parts in the order given.
pub(super) async fn store(
    conn: &mut AsyncPgConnection,
    parts: &[&Part],
) -> Result<Stored, diesel::result::Error> {
    let mut stored = Stored { outcomes: vec![Outcome::default(); parts.len()], owners: None };
    let mut clusters: BTreeMap<i32, Vec<Said>> = BTreeMap::new();
    for (n, part) in parts.iter().enumerate() {
        if !part.bad.is_empty() {
            quarantine::keep_all(conn, part.cluster, &part.bad).await?;
            stored.outcomes[n].quarantined = part.bad.len();
        }
        clusters.entry(part.cluster).or_default().extend(part.reports.iter().map(|report| (n, report)));
    }
    for (cluster, mut said) in clusters {
        // keeps the order in which reports of one alert came
        said.sort_by(|a, b| a.1.fingerprint.cmp(&b.1.fingerprint));
        while !said.is_empty() {
            said = round(conn, cluster, said, &mut stored).await?;
        }
    }
    Ok(stored)
}

/// Tells who listens whose alerts changed, with the commit.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    owners: &Option<BTreeSet<i64>>,
) -> Result<(), diesel::result::Error> {
    match notification(owners) {
        Some(sql) => conn.batch_execute(&sql).await,
        None => Ok(()),
    }
}

pub(super) fn notification(owners: &Option<BTreeSet<i64>>) -> Option<String> {
    let owners = owners.as_ref()?;
    let names = if owners.len() > MOST_NAMED {
        "*".to_owned()
    } else {
        owners.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
    };
    Some(format!("notify {}, '{names}'", super::CHANNEL))
}

/// Returns what has to wait for the next round.
async fn round<'a>(
    conn: &mut AsyncPgConnection,
    cluster: i32,
    said: Vec<Said<'a>>,
    stored: &mut Stored,
) -> Result<Vec<Said<'a>>, diesel::result::Error> {
    let heads = lock_heads(conn, cluster, &said).await?;
    let (mut updates, mut inserts, mut newcomers, mut later) = (vec![], vec![], vec![], vec![]);
    for line in said.chunk_by(|a, b| a.1.fingerprint == b.1.fingerprint) {
        let known = heads.get(line[0].1.fingerprint.as_str());
        let (step, taken) = follow(known, line, &mut stored.outcomes);
        later.extend_from_slice(&line[taken..]);
        updates.extend(step.update);
        if known.is_some() { &mut inserts } else { &mut newcomers }.extend(step.insert);
    }
    if !updates.is_empty() {
        let owners = update(conn, cluster, &updates).await?;
        stored.changed(owners);
    }
    for (rows, are_new) in [(&inserts, false), (&newcomers, true)] {
        if !rows.is_empty() {
            insert(conn, cluster, rows, are_new, stored).await?;
        }
    }
    Ok(later)
}

/// Locks the heads of the alerts that have one, in key order, so that two batches with the same alerts wait for
/// each other and cannot deadlock.
async fn lock_heads(
    conn: &mut AsyncPgConnection,
    cluster: i32,
    said: &[Said<'_>],
) -> Result<HashMap<String, Known>, diesel::result::Error> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        fingerprint: String,
        #[diesel(sql_type = Nullable<BigInt>)]
        open_id: Option<i64>,
        #[diesel(sql_type = Nullable<Timestamptz>, deserialize_as = jiff_diesel::NullableTimestamp)]
        open_received_at: Option<Timestamp>,
        #[diesel(sql_type = Nullable<Timestamptz>, deserialize_as = jiff_diesel::NullableTimestamp)]
        open_started_at: Option<Timestamp>,
        #[diesel(sql_type = Nullable<Timestamptz>, deserialize_as = jiff_diesel::NullableTimestamp)]
        last_end: Option<Timestamp>,
    }
    let lines = said.chunk_by(|a, b| a.1.fingerprint == b.1.fingerprint);
    let keys: Vec<&str> = lines.map(|line| line[0].1.fingerprint.as_str()).collect();
    let rows: Vec<Row> = diesel::sql_query(
        "select fingerprint, open_id, open_received_at, open_started_at, last_end from alert_heads \
         where cluster_id = $1 and fingerprint = any($2) order by fingerprint for update",
    )
    .bind::<Integer, _>(cluster)
    .bind::<Array<Text>, _>(keys)
    .prepared()
    .load(conn)
    .await?;
    let heads = rows.into_iter().map(|row| {
        let open = row.open_id.zip(row.open_started_at);
        let open = open.map(|(id, started_at)| OpenEpisode { id, started_at });
        let head = Head { open, last_end: row.last_end };
        (row.fingerprint, Known { head, received_at: row.open_received_at })
    });
    Ok(heads.collect())
}

#[derive(QueryableByName)]
struct Owners {
    #[diesel(sql_type = Nullable<Array<Nullable<BigInt>>>)]
    owners: Option<Vec<Option<i64>>>,
}

fn many(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Changes open episodes: when they were last heard of, their annotations, an earlier start, an end.
async fn update(
    conn: &mut AsyncPgConnection,
    cluster: i32,
    rows: &[Update<'_>],
) -> Result<Option<Vec<Option<i64>>>, diesel::result::Error> {
    let changed: Owners = diesel::sql_query(
        "with report as (select * from unnest($1, $2, $3, $4, $5) r(id, received_at, annotations, started_at, ended_at) limit $8), \
         changed as ( \
           update alerts a set last_seen_at = now(), annotations = r.annotations, started_at = r.started_at, \
             ended_at = r.ended_at, close_reason = case when r.ended_at is not null then 'resolved' end, \
             suppressed = case when r.ended_at is not null then a.suppressed end \
           from report r where a.id = r.id and a.received_at = r.received_at and a.received_at >= $6 and a.received_at <= $7 \
           returning a.owner_id \
         ) select array_agg(distinct owner_id) as owners from changed",
    )
    .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.id).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.received_at.to_diesel()).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(rows.iter().map(|row| &row.said.annotations).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.started_at.to_diesel()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(
        rows.iter().map(|row| row.ended_at.map(|end| end.to_diesel())).collect::<Vec<_>>(),
    )
    .bind::<Nullable<Timestamptz>, _>(rows.iter().map(|row| row.received_at).min().map(|at| at.to_diesel()))
    .bind::<Nullable<Timestamptz>, _>(rows.iter().map(|row| row.received_at).max().map(|at| at.to_diesel()))
    .bind::<BigInt, _>(many(rows.len()))
    .prepared()
    .get_result(conn)
    .await?;
    let headed: Vec<_> = rows.iter().filter(|row| row.moved || row.ended_at.is_some()).collect();
    if !headed.is_empty() {
        diesel::sql_query(
            "update alert_heads h set last_end = greatest(h.last_end, r.ended_at), \
               open_id = case when r.ended_at is null then h.open_id end, \
               open_received_at = case when r.ended_at is null then h.open_received_at end, \
               open_started_at = case when r.ended_at is null then r.started_at end \
             from (select * from unnest($2, $3, $4) r(fingerprint, started_at, ended_at) limit $5) r \
             where h.cluster_id = $1 and h.fingerprint = r.fingerprint",
        )
        .bind::<Integer, _>(cluster)
        .bind::<Array<Text>, _>(headed.iter().map(|row| row.said.fingerprint.as_str()).collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(
            headed.iter().map(|row| row.started_at.to_diesel()).collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<Timestamptz>>, _>(
            headed.iter().map(|row| row.ended_at.map(|end| end.to_diesel())).collect::<Vec<_>>(),
        )
        .bind::<BigInt, _>(many(headed.len()))
        .prepared()
        .execute(conn)
        .await?;
    }
    Ok(changed.owners)
}

/// Inserts; `{known}` leaves rows out, `{headed}` brings the heads up to date. A server is looked up by itself: a join would
/// read all of its owner's.
const INSERT: &str = "with report as ( \
       select * from unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
         r(fingerprint, owner, server, rule, severity, instance, labels, annotations, generator_url, started_at, ended_at, sure) \
       limit $14 \
     ), fresh as ( \
       insert into alerts (cluster_id, fingerprint, owner_id, server_id, owner_external_id, server_external_id, \
         rule, severity, instance, labels, annotations, generator_url, started_at, ended_at, last_seen_at, close_reason) \
       select $1, r.fingerprint, o.id, \
         (select s.id from servers s where s.owner_id = o.id and s.external_id = r.server and s.removed_at is null), r.owner, r.server, r.rule, r.severity, r.instance, r.labels, \
         r.annotations, r.generator_url, r.started_at, r.ended_at, now(), case when r.ended_at is not null then 'resolved' end \
       from report r \
       left join owners o on o.external_id = r.owner and o.removed_at is null \
       where r.sure {known} \
       returning id, received_at, fingerprint, owner_id, started_at, ended_at \
     ), headed as ({headed}) \
     select array_agg(distinct owner_id) as owners, \
       array_agg(fingerprint) filter (where ended_at is not null) as ended from fresh";

/// Looks at every month, so it is only asked where something may be known.
const KNOWN: &str = "or not exists ( \
       select from alerts a where a.cluster_id = $1 and a.fingerprint = r.fingerprint \
         and a.started_at <= r.ended_at and (a.ended_at is null or a.ended_at >= r.started_at))";

/// The head keeps the episode that ended last: replays of old ones must not move it back.
const HEADED: &str = "update alert_heads h set last_end = greatest(h.last_end, f.ended_at), \
       open_id = case when f.ended_at is null then f.id else h.open_id end, \
       open_received_at = case when f.ended_at is null then f.received_at else h.open_received_at end, \
       open_started_at = case when f.ended_at is null then f.started_at else h.open_started_at end \
     from fresh f where h.cluster_id = $1 and h.fingerprint = f.fingerprint";

/// Of alerts that had no head when they were locked. Who comes second meets the unique key, and tries again.
const FIRST_HEADED: &str = "insert into alert_heads (cluster_id, fingerprint, open_id, open_received_at, open_started_at, last_end) \
     select $1, fingerprint, case when ended_at is null then id end, case when ended_at is null then received_at end, \
       case when ended_at is null then started_at end, ended_at from fresh order by fingerprint";

/// Inserts episodes and brings their heads up to date.
async fn insert(
    conn: &mut AsyncPgConnection,
    cluster: i32,
    rows: &[Insert<'_>],
    are_new: bool,
    stored: &mut Stored,
) -> Result<(), diesel::result::Error> {
    #[derive(QueryableByName)]
    struct Inserted {
        #[diesel(embed)]
        owners: Owners,
        #[diesel(sql_type = Nullable<Array<Text>>)]
        ended: Option<Vec<String>>,
    }
    fn column<'a, T>(rows: &[Insert<'a>], of: impl Fn(&'a Report) -> T) -> Vec<T> {
        rows.iter().map(|row| of(row.said)).collect()
    }
    let sure = rows.iter().all(|row| row.unless_known.is_none());
    let sql = INSERT
        .replace("{known}", if sure { "" } else { KNOWN })
        .replace("{headed}", if are_new { FIRST_HEADED } else { HEADED });
    let inserted: Inserted = diesel::sql_query(sql)
        .bind::<Integer, _>(cluster)
        .bind::<Array<Text>, _>(column(rows, |report| report.fingerprint.as_str()))
        .bind::<Array<Nullable<Text>>, _>(column(rows, |report| report.owner.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(column(rows, |report| report.server.as_deref()))
        .bind::<Array<Text>, _>(column(rows, |report| report.rule.as_str()))
        .bind::<Array<Text>, _>(column(rows, |report| report.severity.as_str()))
        .bind::<Array<Text>, _>(column(rows, |report| report.instance.as_str()))
        .bind::<Array<Jsonb>, _>(column(rows, |report| &report.labels))
        .bind::<Array<Jsonb>, _>(column(rows, |report| &report.annotations))
        .bind::<Array<Nullable<Text>>, _>(column(rows, |report| report.generator_url.as_deref()))
        .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.started_at.to_diesel()).collect::<Vec<_>>())
        .bind::<Array<Nullable<Timestamptz>>, _>(
            rows.iter().map(|row| row.ended_at.map(|end| end.to_diesel())).collect::<Vec<_>>(),
        )
        .bind::<Array<Bool>, _>(rows.iter().map(|row| row.unless_known.is_none()).collect::<Vec<_>>())
        .bind::<BigInt, _>(many(rows.len()))
        .prepared()
        .get_result(conn)
        .await?;
    stored.changed(inserted.owners.owners);
    let ended: BTreeSet<String> = inserted.ended.unwrap_or_default().into_iter().collect();
    for row in rows {
        if let Some(delivery) = row.unless_known {
            let outcome = &mut stored.outcomes[delivery];
            let there = ended.contains(&row.said.fingerprint);
            *if there { &mut outcome.inserted_closed } else { &mut outcome.ignored } += 1;
        }
    }
    Ok(())
}
