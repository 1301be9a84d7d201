//! The history is compared with what Alertmanager has: what it names and we lack comes in by
//! [`super::intake`], the rest is here. Its moments are the database's, so that they can be compared with
//! those that intake wrote.

mod close;

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

pub use self::close::{Asked, doubt, gone};
use super::Db;
use super::schema::reconciliations;
use super::scope::All;
use crate::error::Result;

/// How the last reconciliation of a cluster went.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = reconciliations)]
pub struct Reconciliation {
    /// When the last one began that came to its end.
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    pub began_at: Option<Timestamp>,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub tried_at: Timestamp,
    /// Why the last try did not come to its end; empty: it did.
    pub error: String,
}

/// A reconciliation that has begun.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    /// The database's time.
    pub at: Timestamp,
    /// When the last one began that came to its end.
    pub previous: Option<Timestamp>,
}

/// How it went, as far as is known; `None`: none was tried yet.
pub async fn last(db: &mut Db, _: All, cluster: i32) -> Result<Option<Reconciliation>> {
    let found = reconciliations::table.find(cluster).select(Reconciliation::as_select());
    Ok(found.first(db.conn()).await.optional()?)
}

/// Notes that one begins, before Alertmanager is asked. `None` when another one began less than `apart` seconds ago.
pub async fn begin(db: &mut Db, _: All, cluster: i32, apart: i64) -> Result<Option<Begun>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Timestamptz, deserialize_as = jiff_diesel::Timestamp)]
        at: Timestamp,
        #[diesel(sql_type = Nullable<Timestamptz>, deserialize_as = jiff_diesel::NullableTimestamp)]
        previous: Option<Timestamp>,
    }
    let begun = diesel::sql_query(
        "insert into reconciliations as r (cluster_id) values ($1) \
         on conflict (cluster_id) do update set tried_at = now() where r.tried_at <= now() - make_interval(secs => $2) \
         returning tried_at as at, began_at as previous",
    )
    .bind::<Integer, _>(cluster)
    .bind::<Bigint, _>(apart);
    let row: Option<Row> = db.transaction(async |conn| Ok(begun.get_result(conn).await.optional()?)).await?;
    Ok(row.map(|row| Begun { at: row.at, previous: row.previous }))
}

/// Notes how it went: who answered and how many alerts it named, or why it did not come to its end.
pub async fn end(
    db: &mut Db,
    _: All,
    cluster: i32,
    begun: Begun,
    went: Result<(&str, usize), &str>,
) -> Result<()> {
    let (alertmanager, alerts, error) = match went {
        Ok((alertmanager, alerts)) => (alertmanager, i32::try_from(alerts).unwrap_or(i32::MAX), ""),
        Err(error) => ("", 0, error),
    };
    let ended = diesel::sql_query(
        "update reconciliations set error = $2, began_at = case when $2 = '' then $3 else began_at end, \
           alertmanager = case when $2 = '' then $4 else alertmanager end, alerts = case when $2 = '' then $5 else alerts end \
         where cluster_id = $1",
    )
    .bind::<Integer, _>(cluster)
    .bind::<Text, _>(error)
    .bind::<Timestamptz, _>(begun.at.to_diesel())
    .bind::<Text, _>(alertmanager)
    .bind::<Integer, _>(alerts);
    db.transaction(async |conn| {
        ended.execute(conn).await?;
        // a report takes the mark away as well, and an end keeps it
        diesel::sql_query(
            "update suppressions s set until = coalesce((select a.ended_at from alerts a \
               where a.id = s.alert_id and a.received_at = s.received_at), now()) \
             where s.until is null and not exists (select from alerts a \
               where a.id = s.alert_id and a.received_at = s.received_at and a.ended_at is null and a.suppressed = s.why)",
        )
        .execute(conn)
        .await?;
        Ok(())
    })
    .await
}

#[derive(QueryableByName)]
struct Print {
    #[diesel(sql_type = Text)]
    fingerprint: String,
}

#[derive(QueryableByName)]
struct Marked {
    #[diesel(sql_type = Bigint)]
    count: i64,
}

/// Those of the fingerprints that have no open episode.
pub async fn not_open(db: &mut Db, _: All, cluster: i32, fingerprints: &[&str]) -> Result<Vec<String>> {
    let rows: Vec<Print> = diesel::sql_query(
        "select f as fingerprint from unnest($2) f where not exists ( \
           select from alert_heads h where h.cluster_id = $1 and h.fingerprint = f collate \"C\" and h.open_id is not null)",
    )
    .bind::<Integer, _>(cluster)
    .bind::<Array<Text>, _>(fingerprints)
    .load(db.conn())
    .await?;
    Ok(rows.into_iter().map(|row| row.fingerprint).collect())
}

/// Locks heads as intake does, in key order, so that neither deadlocks the other.
async fn lock(conn: &mut AsyncPgConnection, cluster: i32, fingerprints: &[&str]) -> Result<()> {
    diesel::sql_query(
        "select fingerprint from alert_heads where cluster_id = $1 and fingerprint = any($2) order by fingerprint for update",
    )
    .bind::<Integer, _>(cluster)
    .bind::<Array<Text>, _>(fingerprints)
    .load::<Print>(conn)
    .await?;
    Ok(())
}

/// Tells who listens that alerts changed, with the commit. It happens seldom, so that nobody is named.
async fn tell(conn: &mut AsyncPgConnection, changed: usize) -> Result<()> {
    if changed > 0 {
        conn.batch_execute(&format!("notify {}, '*'", super::intake::CHANNEL)).await?;
    }
    Ok(())
}

/// Marks open episodes with why they are not notified, or takes the mark away. What was heard of from `before`
/// on, since which it may have fired, gets no mark. Returns how many changed.
pub async fn mark(
    db: &mut Db,
    _: All,
    cluster: i32,
    before: Option<Timestamp>,
    named: &[(&str, Option<&str>)],
) -> Result<usize> {
    let fingerprints: Vec<_> = named.iter().map(|(fingerprint, _)| *fingerprint).collect();
    let marks: Vec<_> = named.iter().map(|(_, mark)| *mark).collect();
    let differs = "from unnest($2, $3) n(f, mark) join alert_heads h on h.cluster_id = $1 and h.fingerprint = n.f collate \"C\"";
    let of = "a.id = h.open_id and a.received_at = h.open_received_at and a.suppressed is distinct from n.mark \
        and (n.mark is null or $4 is null or a.last_seen_at < $4)";
    let changed: Vec<Print> =
        diesel::sql_query(format!("select h.fingerprint {differs} join alerts a on {of}"))
            .bind::<Integer, _>(cluster)
            .bind::<Array<Text>, _>(&fingerprints)
            .bind::<Array<Nullable<Text>>, _>(&marks)
            .bind::<Nullable<Timestamptz>, _>(before.map(|at| at.to_diesel()))
            .load(db.conn())
            .await?;
    if changed.is_empty() {
        return Ok(0);
    }
    let update = diesel::sql_query(format!(
        "with marked as ( \
           update alerts a set suppressed = n.mark {differs} where {of} returning a.id, a.received_at, a.owner_id, a.suppressed \
         ), over as ( \
           update suppressions s set until = now() from marked m \
           where s.alert_id = m.id and s.received_at = m.received_at and s.until is null \
         ), begun as ( \
           insert into suppressions (alert_id, received_at, owner_id, why) \
           select id, received_at, owner_id, suppressed from marked where suppressed is not null \
         ) select count(*) as count from marked"
    ))
        .bind::<Integer, _>(cluster)
        .bind::<Array<Text>, _>(&fingerprints)
        .bind::<Array<Nullable<Text>>, _>(&marks)
        .bind::<Nullable<Timestamptz>, _>(before.map(|at| at.to_diesel()));
    db.transaction(async |conn| {
        let changed: Vec<_> = changed.iter().map(|row| row.fingerprint.as_str()).collect();
        lock(conn, cluster, &changed).await?;
        let Marked { count } = update.get_result(conn).await?;
        let marked = usize::try_from(count).unwrap_or_default();
        tell(conn, marked).await?;
        Ok(marked)
    })
    .await
}

/// Opens again the last episodes of alerts that Alertmanager names although they are known to have ended:
/// they began before that end, so no new episode could be made of them. Those that were closed after
/// Alertmanager was asked stay closed. Returns how many were opened.
pub async fn reopen(
    db: &mut Db,
    _: All,
    cluster: i32,
    begun: Begun,
    named: &[(String, Timestamp)],
) -> Result<usize> {
    if named.is_empty() {
        return Ok(0);
    }
    db.transaction(async |conn| {
        let fingerprints: Vec<_> = named.iter().map(|(fingerprint, _)| fingerprint.as_str()).collect();
        lock(conn, cluster, &fingerprints).await?;
        let reopened = diesel::sql_query(
            "with latest as ( \
               select h.fingerprint, a.id, a.received_at, a.started_at from unnest($2, $3) n(f, since) \
               join alert_heads h on h.cluster_id = $1 and h.fingerprint = n.f collate \"C\" \
               join lateral ( \
                 select * from alerts a where a.cluster_id = $1 and a.fingerprint = h.fingerprint and a.ended_at = h.last_end \
                 order by a.started_at desc, a.id desc limit 1) a on true \
               where h.open_id is null and n.since <= h.last_end and a.last_seen_at < $4 \
             ), opened as ( \
               update alerts a set ended_at = null, close_reason = null, last_seen_at = now() \
               from latest l where a.id = l.id and a.received_at = l.received_at \
             ) update alert_heads h set open_id = l.id, open_received_at = l.received_at, open_started_at = l.started_at, \
                 last_end = (select max(o.ended_at) from alerts o where o.cluster_id = $1 and o.fingerprint = h.fingerprint and o.id <> l.id) \
             from latest l where h.cluster_id = $1 and h.fingerprint = l.fingerprint",
        )
        .bind::<Integer, _>(cluster)
        .bind::<Array<Text>, _>(&fingerprints)
        .bind::<Array<Timestamptz>, _>(named.iter().map(|(_, since)| since.to_diesel()).collect::<Vec<_>>())
        .bind::<Timestamptz, _>(begun.at.to_diesel());
        let reopened = reopened.execute(conn).await?;
        tell(conn, reopened).await?;
        Ok(reopened)
    })
    .await
}
