//! Reports of Alertmanager become episodes. One transaction a delivery: lock the heads of the
//! alerts in key order, decide by [`super::episode`], write each kind of change as one statement
//! over arrays.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Integer, Jsonb, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use super::episode::{Action, Head, OpenEpisode, Times, decide};
use super::scope::All;
use super::{Db, alerts, quarantine};
use crate::error::Result;

/// What Alertmanager says of one alert, ready to be stored.
#[derive(Clone, Debug)]
pub struct Report {
    /// 16 hexadecimal digits.
    pub fingerprint: String,
    pub times: Times,
    pub rule: String,
    pub severity: String,
    pub instance: String,
    /// The owner label.
    pub owner: Option<String>,
    /// The server label.
    pub server: Option<String>,
    pub labels: serde_json::Value,
    pub annotations: serde_json::Value,
    pub generator_url: Option<String>,
}

/// What a delivery changed, in episodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    pub opened: usize,
    pub repeated: usize,
    pub closed: usize,
    /// Heard of only when it was over.
    pub inserted_closed: usize,
    /// Reports that say nothing new, late twins among them.
    pub ignored: usize,
    pub quarantined: usize,
    /// Of those ignored: they say firing what is known to have ended. A reconciliation tells.
    #[serde(skip)]
    pub late_twins: usize,
}

/// Stores a delivery whole or not at all. `bad` are (reason, text, truncated) of alerts that were
/// not understood. Several reports of one alert are taken in their order.
pub async fn store(
    db: &mut Db,
    _: All,
    cluster: i32,
    reports: Vec<Report>,
    bad: &[(String, String, bool)],
) -> Result<Outcome> {
    db.transaction(async |conn| {
        let mut outcome = Outcome { quarantined: bad.len(), ..Outcome::default() };
        if !bad.is_empty() {
            quarantine::keep_all(conn, cluster, bad).await?;
        }
        for wave in waves(reports) {
            store_wave(conn, cluster, &wave, &mut outcome).await?;
        }
        Ok(outcome)
    })
    .await
}

/// Splits reports so that no wave has two of one alert; each wave is in key order.
fn waves(reports: Vec<Report>) -> Vec<Vec<Report>> {
    let mut waves: Vec<BTreeMap<String, Report>> = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for report in reports {
        let nth = seen.entry(report.fingerprint.clone()).or_default();
        if waves.len() == *nth {
            waves.push(BTreeMap::new());
        }
        waves[*nth].insert(report.fingerprint.clone(), report);
        *nth += 1;
    }
    waves.into_iter().map(|wave| wave.into_values().collect()).collect()
}

async fn store_wave(
    conn: &mut AsyncPgConnection,
    cluster: i32,
    wave: &[Report],
    outcome: &mut Outcome,
) -> Result<()> {
    let heads = lock_heads(conn, cluster, wave).await?;
    let (mut open, mut touch, mut close, mut over) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for report in wave {
        let head = heads.get(&report.fingerprint).copied().unwrap_or_default();
        match decide(&head, report.times) {
            Action::Open { started_at } => open.push((report, started_at, None)),
            Action::Touch { id, started_at } => touch.push((report, id, started_at)),
            Action::Close { id, started_at, ended_at } => close.push((report, id, started_at, ended_at)),
            Action::InsertClosedIfNoOverlap { started_at, ended_at } => {
                over.push((report, started_at, Some(ended_at)))
            }
            Action::LateTwin => {
                outcome.ignored += 1;
                outcome.late_twins += 1;
            }
            Action::Ignore => outcome.ignored += 1,
        }
    }
    outcome.opened += insert(conn, cluster, &open).await?;
    outcome.repeated += self::touch(conn, cluster, &touch).await?;
    outcome.closed += self::close(conn, cluster, &close).await?;
    let inserted = insert(conn, cluster, &over).await?;
    outcome.inserted_closed += inserted;
    outcome.ignored += over.len() - inserted;
    Ok(())
}

/// Makes the heads that are missing and locks all of them, in key order, so that two deliveries
/// with the same alerts wait for each other and cannot deadlock.
async fn lock_heads(
    conn: &mut AsyncPgConnection,
    cluster: i32,
    wave: &[Report],
) -> Result<HashMap<String, Head>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        fingerprint: String,
        #[diesel(sql_type = Nullable<Bigint>)]
        open_id: Option<i64>,
        #[diesel(sql_type = Nullable<Timestamptz>, deserialize_as = jiff_diesel::NullableTimestamp)]
        open_started_at: Option<Timestamp>,
        #[diesel(sql_type = Nullable<Timestamptz>, deserialize_as = jiff_diesel::NullableTimestamp)]
        last_end: Option<Timestamp>,
    }
    let keys: Vec<&str> = wave.iter().map(|report| report.fingerprint.as_str()).collect();
    diesel::sql_query(
        "insert into alert_heads (cluster_id, fingerprint) select $1, f from unnest($2) f order by f on conflict do nothing",
    )
    .bind::<Integer, _>(cluster)
    .bind::<Array<Text>, _>(&keys)
    .execute(conn)
    .await?;
    let rows: Vec<Row> = diesel::sql_query(
        "select fingerprint, open_id, open_started_at, last_end from alert_heads \
         where cluster_id = $1 and fingerprint = any($2) order by fingerprint for update",
    )
    .bind::<Integer, _>(cluster)
    .bind::<Array<Text>, _>(&keys)
    .load(conn)
    .await?;
    let heads = rows.into_iter().map(|row| {
        let open =
            row.open_id.zip(row.open_started_at).map(|(id, started_at)| OpenEpisode { id, started_at });
        (row.fingerprint, Head { open, last_end: row.last_end })
    });
    Ok(heads.collect())
}

/// Inserts episodes, open (no end) or over, and brings their heads up to date. One that is over is
/// left out when an episode that is known overlaps it. Returns how many were inserted.
async fn insert(
    conn: &mut AsyncPgConnection,
    cluster: i32,
    rows: &[(&Report, Timestamp, Option<Timestamp>)],
) -> Result<usize> {
    if rows.is_empty() {
        return Ok(0);
    }
    // The head keeps the episode that ended last: replays of old ones must not move it back.
    let inserted: i64 = diesel::sql_query(
        "with report as ( \
           select * from unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             r(fingerprint, owner, server, rule, severity, instance, labels, annotations, generator_url, started_at, ended_at) \
         ), fresh as ( \
           insert into alerts (cluster_id, fingerprint, owner_id, server_id, owner_external_id, server_external_id, \
             rule, severity, instance, labels, annotations, generator_url, started_at, ended_at, last_seen_at, close_reason) \
           select $1, r.fingerprint, o.id, s.id, r.owner, r.server, r.rule, r.severity, r.instance, r.labels, \
             r.annotations, r.generator_url, r.started_at, r.ended_at, now(), case when r.ended_at is not null then 'resolved' end \
           from report r \
           left join owners o on o.external_id = r.owner and o.removed_at is null \
           left join servers s on s.owner_id = o.id and s.external_id = r.server and s.removed_at is null \
           where r.ended_at is null or not exists ( \
             select from alerts a where a.cluster_id = $1 and a.fingerprint = r.fingerprint \
               and a.started_at <= r.ended_at and (a.ended_at is null or a.ended_at >= r.started_at)) \
           returning id, received_at, fingerprint, started_at, ended_at \
         ), headed as ( \
           update alert_heads h set \
             open_id = case when f.ended_at is null then f.id else h.open_id end, \
             open_received_at = case when f.ended_at is null then f.received_at else h.open_received_at end, \
             open_started_at = case when f.ended_at is null then f.started_at else h.open_started_at end, \
             last_end = greatest(h.last_end, f.ended_at) \
           from fresh f where h.cluster_id = $1 and h.fingerprint = f.fingerprint \
         ) select count(*) as n from fresh",
    )
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
    .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.1.to_diesel()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(rows.iter().map(|row| row.2.map(|end| end.to_diesel())).collect::<Vec<_>>())
    .get_result::<Count>(conn)
    .await?
    .n;
    Ok(usize::try_from(inserted).unwrap_or_default())
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = Bigint)]
    n: i64,
}

fn column<'a, T>(
    rows: &[(&'a Report, Timestamp, Option<Timestamp>)],
    of: impl Fn(&'a Report) -> T,
) -> Vec<T> {
    rows.iter().map(|row| of(row.0)).collect()
}

/// Notes that open episodes still fire: when it was said, the annotations, an earlier start.
async fn touch(
    conn: &mut AsyncPgConnection,
    cluster: i32,
    rows: &[(&Report, i64, Timestamp)],
) -> Result<usize> {
    if rows.is_empty() {
        return Ok(0);
    }
    diesel::sql_query(
        "with report as (select * from unnest($2, $3, $4, $5) r(fingerprint, id, annotations, started_at)), \
         moved as ( \
           update alert_heads h set open_started_at = r.started_at from report r \
           where h.cluster_id = $1 and h.fingerprint = r.fingerprint and h.open_started_at <> r.started_at \
         ) update alerts a set last_seen_at = now(), annotations = r.annotations, started_at = r.started_at, suppressed = null \
         from report r join alert_heads h on h.cluster_id = $1 and h.fingerprint = r.fingerprint \
         where a.id = r.id and a.received_at = h.open_received_at",
    )
    .bind::<Integer, _>(cluster)
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.0.fingerprint.as_str()).collect::<Vec<_>>())
    .bind::<Array<Bigint>, _>(rows.iter().map(|row| row.1).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(rows.iter().map(|row| &row.0.annotations).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.2.to_diesel()).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(rows.len())
}

/// Closes open episodes because Alertmanager says that they are resolved.
async fn close(
    conn: &mut AsyncPgConnection,
    cluster: i32,
    rows: &[(&Report, i64, Timestamp, Timestamp)],
) -> Result<usize> {
    if rows.is_empty() {
        return Ok(0);
    }
    diesel::sql_query(
        "with report as (select * from unnest($2, $3, $4, $5, $6) r(fingerprint, id, annotations, started_at, ended_at)), \
         closed as ( \
           update alerts a set last_seen_at = now(), annotations = r.annotations, started_at = r.started_at, \
             ended_at = r.ended_at, close_reason = 'resolved' \
           from report r join alert_heads h on h.cluster_id = $1 and h.fingerprint = r.fingerprint \
           where a.id = r.id and a.received_at = h.open_received_at \
         ) update alert_heads h set open_id = null, open_received_at = null, open_started_at = null, \
             last_end = greatest(h.last_end, r.ended_at) \
         from report r where h.cluster_id = $1 and h.fingerprint = r.fingerprint",
    )
    .bind::<Integer, _>(cluster)
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.0.fingerprint.as_str()).collect::<Vec<_>>())
    .bind::<Array<Bigint>, _>(rows.iter().map(|row| row.1).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(rows.iter().map(|row| &row.0.annotations).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.2.to_diesel()).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.3.to_diesel()).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(rows.len())
}

/// Gives alerts that carry an owner's or a server's external id to it: of one owner, or of all.
pub(super) async fn adopt(conn: &mut AsyncPgConnection, owner: Option<i64>) -> Result<usize> {
    #[derive(QueryableByName)]
    struct Adopted {
        #[diesel(sql_type = Integer)]
        cluster_id: i32,
        #[diesel(sql_type = Text)]
        fingerprint: String,
        #[diesel(sql_type = Bigint)]
        owner_id: i64,
    }
    let adopted: Vec<Adopted> = diesel::sql_query(
        "with adopted as ( \
           update alerts a set owner_id = o.id from owners o \
           where a.owner_id is null and a.owner_external_id = o.external_id and o.removed_at is null \
             and ($1 is null or o.id = $1) \
           returning a.cluster_id, a.fingerprint, a.owner_id \
         ) select distinct * from adopted",
    )
    .bind::<Nullable<Bigint>, _>(owner)
    .load(conn)
    .await?;
    let owned = adopted.len();
    if owned > 0 {
        let adopted: Vec<_> =
            adopted.into_iter().map(|row| (row.cluster_id, row.fingerprint, row.owner_id)).collect();
        alerts::adopt(conn, &adopted).await?;
    }
    let served = diesel::sql_query(
        "update alerts a set server_id = s.id from servers s \
         where a.owner_id = s.owner_id and a.server_id is null and a.server_external_id = s.external_id \
           and s.removed_at is null and ($1 is null or s.owner_id = $1)",
    )
    .bind::<Nullable<Bigint>, _>(owner)
    .execute(conn)
    .await?;
    Ok(owned + served)
}

/// Adopts what came in while its owner or server was being made. A step of the worker.
pub async fn adopt_all(db: &mut Db, _: All) -> Result<usize> {
    db.transaction(async |conn| adopt(conn, None).await).await
}

/// Makes a partition. It is reached through its table only: the policies are there.
async fn make_partition(conn: &mut AsyncPgConnection, name: &str, from: &str, to: &str) -> Result<()> {
    #[derive(QueryableByName)]
    struct There {
        #[diesel(sql_type = diesel::sql_types::Bool)]
        there: bool,
    }
    let there: There = diesel::sql_query("select to_regclass($1) is not null as there")
        .bind::<Text, _>(name)
        .get_result(conn)
        .await?;
    if there.there {
        return Ok(());
    }
    for sql in [
        format!(
            "create table if not exists {name} partition of alerts for values from ('{from} 00:00:00+00') to ('{to} 00:00:00+00')"
        ),
        format!("alter table {name} enable row level security"),
        format!("alter table {name} force row level security"),
    ] {
        diesel::sql_query(sql).execute(conn).await?;
    }
    Ok(())
}

/// Makes the month partitions of the history for this month and the next two. A step of the worker.
pub async fn make_partitions(db: &mut Db, _: All, now: Timestamp) -> Result<()> {
    let mut month = now.to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month();
    for _ in 0..3 {
        let next = month.saturating_add(jiff::ToSpan::month(1));
        let name = format!("alerts_{:04}_{:02}", month.year(), month.month());
        db.transaction(async |conn| make_partition(conn, &name, &month.to_string(), &next.to_string()).await)
            .await?;
        month = next;
    }
    Ok(())
}
