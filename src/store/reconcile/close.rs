//! Episodes that Alertmanager no longer names, and why they ended.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Bool, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use super::{Begun, lock, tell};
use crate::error::Result;
use crate::store::Db;
use crate::store::scope::All;

/// Episodes that are closed in one transaction.
const BATCH: i64 = 1000;
/// How long after its start an Alertmanager may lack what fires: Prometheus sends again each minute, unless
/// its `--rules.alert.resend-delay` or a rule's interval is longer.
const SETTLED: Duration = Duration::from_secs(300);
/// What is waited for beyond Alertmanager's `group_interval`.
const SLACK: Duration = Duration::from_secs(30);
/// What is waited for at the most, however long that is.
const LONGEST: Duration = Duration::from_secs(900);

/// Who was asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// How long it had been running.
    pub age: Duration,
    /// How long it may keep the end of an alert to itself.
    pub group_interval: Duration,
    /// It is the only one of its cluster. Others may have told us what it has not heard itself.
    pub alone: bool,
}

/// Notes which open episodes are missing among what Alertmanager named, and closes those that have been for
/// long enough: its word of the end, which is exact, goes before. Only those with an owner label are looked at, since
/// only those were asked for. An Alertmanager that has run for less than five minutes closes nothing but
/// what was heard of in its own time. Returns how many were closed.
///
/// The end is the moment when the episode was first found missing, the latest that it can have been. The reason is
/// the first that holds:
/// - `server_removed`: its server or owner is no longer here;
/// - `rule_changed`: a threshold of its rule that applies to it was changed while it was open, and a publication
///   that changed the rule's file was in force somewhere when it ended or up to six minutes before;
/// - `silenced`, `inhibited`, `muted`: so it was marked when it was last seen, and of those Alertmanager tells no end;
/// - `prometheus_down`: its Prometheus did not answer, see [`doubt`];
/// - `forgotten`: Alertmanager was started after the episode was last heard of; it keeps alerts in memory only;
/// - `resolved_unheard`: none of these, so it ended, and the message about that did not arrive.
pub async fn gone(
    db: &mut Db,
    all: All,
    cluster: i32,
    begun: Begun,
    named: &[String],
    asked: Asked,
) -> Result<usize> {
    note_misses(db, cluster, begun, named).await?;
    let seconds = |length: Duration| i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
    let started = begun.at - jiff::SignedDuration::from_secs(seconds(asked.age).min(100 * 365 * 86_400));
    let wait = (asked.group_interval + SLACK).min(LONGEST);
    let before = begun.at - jiff::SignedDuration::from_secs(seconds(wait));
    let mut closed = 0;
    loop {
        let some: Vec<Due> = diesel::sql_query(
            "select alert_id, fingerprint from alert_misses where cluster_id = $1 and missed_at <= $2 \
             and ($3 or $4 and known_at >= $5) order by fingerprint limit $6",
        )
        .bind::<Integer, _>(cluster)
        .bind::<Timestamptz, _>(before.to_diesel())
        .bind::<Bool, _>(asked.age >= SETTLED)
        .bind::<Bool, _>(asked.alone)
        .bind::<Timestamptz, _>(started.to_diesel())
        .bind::<Bigint, _>(BATCH)
        .load(db.conn())
        .await?;
        if some.is_empty() {
            break;
        }
        closed += db.transaction(async |conn| close(conn, cluster, begun, started, &some).await).await?;
    }
    doubt(db, all).await?;
    Ok(closed)
}

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Bigint)]
    alert_id: i64,
    #[diesel(sql_type = Text)]
    fingerprint: String,
}

/// Those that are there again are forgotten. What was heard of since Alertmanager was asked is not missing.
async fn note_misses(db: &mut Db, cluster: i32, begun: Begun, named: &[String]) -> Result<()> {
    let noted = diesel::sql_query(
        "with missing as ( \
           select a.id, a.fingerprint, greatest(a.last_seen_at, case when a.received_at < $3 then $3 end) as known_at \
           from alerts a where a.ended_at is null and a.cluster_id = $1 and a.owner_external_id <> '' and a.last_seen_at < $2 \
             and not exists (select from unnest($4) n(f) where n.f collate \"C\" = a.fingerprint) \
         ), found as ( \
           delete from alert_misses m where m.cluster_id = $1 and not exists (select from missing where missing.id = m.alert_id) \
         ) insert into alert_misses (alert_id, cluster_id, fingerprint, known_at, missed_at) \
         select id, $1, fingerprint, known_at, $2 from missing order by id on conflict (alert_id) do nothing",
    )
    .bind::<Integer, _>(cluster)
    .bind::<Timestamptz, _>(begun.at.to_diesel())
    .bind::<Nullable<Timestamptz>, _>(begun.previous.map(|at| at.to_diesel()))
    .bind::<Array<Text>, _>(named);
    db.transaction(async |conn| Ok(noted.execute(conn).await.map(drop)?)).await
}

async fn close(
    conn: &mut AsyncPgConnection,
    cluster: i32,
    begun: Begun,
    started: Timestamp,
    due: &[Due],
) -> Result<usize> {
    let fingerprints: Vec<_> = due.iter().map(|due| due.fingerprint.as_str()).collect();
    lock(conn, cluster, &fingerprints).await?;
    let closed = diesel::sql_query(format!(
        "with due as ( \
           delete from alert_misses m where m.alert_id = any($2) returning m.* \
         ), closing as ( \
           select a.id, a.received_at, a.fingerprint, greatest(a.started_at, d.missed_at) as ended_at, \
             case when {SERVER_REMOVED} then 'server_removed' \
               when {RULE_CHANGED} then 'rule_changed' \
               when a.suppressed is not null then a.suppressed \
               when {PROMETHEUS_DOWN} then 'prometheus_down' \
               when d.known_at < $4 then 'forgotten' \
               else 'resolved_unheard' end as reason \
           from due d join alert_heads h on h.cluster_id = $1 and h.fingerprint = d.fingerprint and h.open_id = d.alert_id \
           join alerts a on a.id = h.open_id and a.received_at = h.open_received_at \
           where a.ended_at is null and a.last_seen_at < $3 \
         ), closed as ( \
           update alerts a set ended_at = c.ended_at, close_reason = c.reason from closing c \
           where a.id = c.id and a.received_at = c.received_at \
         ) update alert_heads h set open_id = null, open_received_at = null, open_started_at = null, \
             last_end = greatest(h.last_end, c.ended_at) \
         from closing c where h.cluster_id = $1 and h.fingerprint = c.fingerprint"
    ))
    .bind::<Integer, _>(cluster)
    .bind::<Array<Bigint>, _>(due.iter().map(|due| due.alert_id).collect::<Vec<_>>())
    .bind::<Timestamptz, _>(begun.at.to_diesel())
    .bind::<Timestamptz, _>(started.to_diesel());
    let closed = closed.execute(conn).await?;
    tell(conn, closed).await?;
    Ok(closed)
}

const SERVER_REMOVED: &str = "\
    exists (select from servers s where s.id = a.server_id and s.removed_at is not null) \
    or exists (select from owners o where o.id = a.owner_id and o.removed_at is not null)";

// Owners share the files of rules, so that a file changed says nothing of one alert without the threshold.
const RULE_CHANGED: &str = "exists ( \
    select from publications p \
    join publication_files f on f.publication_id = p.id and f.path = 'rules/' || a.rule || '.yml' and f.change <> 'same' \
    join audit t on t.action in ('threshold.set', 'threshold.reset') and t.at < p.created_at and t.at >= a.started_at \
      and starts_with(t.object, a.rule || ' (' || a.severity || ') ') \
      and (t.owner_id is null or t.owner_id = a.owner_id) and (t.object_id is null or t.object_id = a.server_id) \
    where p.state in ('in_force', 'partly') \
      and p.finished_at between d.known_at - interval '6 minutes' and d.missed_at)";

// The address in the alert's own link tells which one sent it, where the link leads to one that is configured;
// else any could have.
const PROMETHEUS_DOWN: &str = "( \
    select bool_and(p.error <> '' and p.seen_at < coalesce(a.ended_at, now()) - interval '2 minutes') from prometheus_health p \
    where coalesce(starts_with(a.generator_url, rtrim(p.url, '/') || '/') \
        or starts_with(a.generator_url, rtrim(p.heartbeat, '/') || '/'), false) \
      or not exists (select from prometheus_health q where starts_with(a.generator_url, rtrim(q.url, '/') || '/') \
        or starts_with(a.generator_url, rtrim(q.heartbeat, '/') || '/')))";

/// Says `prometheus_down` of what was resolved in the last ten minutes when its Prometheus had not answered for two:
/// Alertmanager takes an alert that nobody renews for four minutes for resolved. Returns of how many.
pub async fn doubt(db: &mut Db, _: All) -> Result<usize> {
    // the alerts of a cluster are gone through only while a Prometheus is down
    let doubted = diesel::sql_query(format!(
        "update alerts a set close_reason = 'prometheus_down' from alert_heads h \
         where exists (select from prometheus_health where error <> '') \
           and h.last_end > now() - interval '10 minutes' and a.cluster_id = h.cluster_id and a.fingerprint = h.fingerprint \
           and a.ended_at = h.last_end and a.close_reason in ('resolved', 'resolved_unheard') and {PROMETHEUS_DOWN}"
    ));
    db.transaction(async |conn| Ok(doubted.execute(conn).await?)).await
}
