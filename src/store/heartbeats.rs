//! The heartbeat's arrival, and what each Alertmanager says of its own part of the way.

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Integer, Jsonb, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::Db;
use super::schema::{alertmanager_health, heartbeats};
use super::scope::All;
use crate::error::Result;

/// What is known of one Alertmanager.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = alertmanager_health)]
pub struct AlertmanagerHealth {
    /// Without credentials.
    pub url: String,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    pub seen_at: Option<Timestamp>,
    /// Why it does not answer; empty: it did when last asked.
    pub error: String,
    /// What the heartbeats that it has call their Prometheus: an array of texts.
    pub heartbeats: serde_json::Value,
}

impl AlertmanagerHealth {
    /// Whether it has the heartbeat of that Prometheus.
    pub fn has(&self, prometheus: &str) -> bool {
        self.heartbeats.as_array().is_some_and(|all| all.iter().any(|one| one == prometheus))
    }
}

/// A heartbeat as it came by the webhook.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = heartbeats)]
pub struct Heartbeat {
    /// The external URL of its Prometheus.
    pub prometheus: String,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub last_seen_at: Timestamp,
}

/// Notes that heartbeats came by the webhook.
pub async fn note(db: &mut Db, _: All, cluster: i32, prometheis: &[String]) -> Result<()> {
    if prometheis.is_empty() {
        return Ok(());
    }
    let noted = diesel::sql_query(
        "insert into heartbeats (cluster_id, prometheus) select distinct $1, p from unnest($2) p order by p \
         on conflict (cluster_id, prometheus) do update set last_seen_at = now()",
    )
    .bind::<Integer, _>(cluster)
    .bind::<Array<Text>, _>(prometheis);
    db.transaction(async |conn| Ok(noted.execute(conn).await.map(drop)?)).await
}

/// Forgets the heartbeats of Prometheis that are gone for a week. A step of the worker.
pub async fn sweep(db: &mut Db, _: All) -> Result<usize> {
    let old = diesel::sql_query("delete from heartbeats where last_seen_at < now() - interval '7 days'");
    db.transaction(async |conn| Ok(old.execute(conn).await?)).await
}

/// Every heartbeat that came lately.
pub async fn list(db: &mut Db, _: All) -> Result<Vec<Heartbeat>> {
    Ok(heartbeats::table.order(heartbeats::prometheus).select(Heartbeat::as_select()).load(db.conn()).await?)
}

/// When the heartbeat last came that has been missing for the longest, of those that should come; `None`:
/// none ever came. Everybody may ask.
pub async fn oldest(db: &mut Db) -> Result<Option<Timestamp>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<Timestamptz>, deserialize_as = jiff_diesel::NullableTimestamp)]
        at: Option<Timestamp>,
    }
    let row: Row = diesel::sql_query("select last_heartbeat() as at").get_result(db.conn()).await?;
    Ok(row.at)
}

/// Notes whether an Alertmanager answered: how many seconds it has been running and the heartbeats that it
/// has, or why it did not.
pub async fn note_alertmanager(
    db: &mut Db,
    _: All,
    url: &str,
    said: Result<(i64, Vec<String>), &str>,
) -> Result<()> {
    let (age, heartbeats, error) = match said {
        Ok((age, heartbeats)) => (Some(age), heartbeats, ""),
        Err(error) => (None, Vec::new(), error),
    };
    let noted = diesel::sql_query(
        "insert into alertmanager_health as h (url, seen_at, started_at, error, heartbeats) \
         values ($1, case when $3 = '' then now() end, now() - make_interval(secs => $2), $3, $4) \
         on conflict (url) do update set error = $3, heartbeats = $4, \
           seen_at = coalesce(excluded.seen_at, h.seen_at), started_at = coalesce(excluded.started_at, h.started_at)",
    )
    .bind::<Text, _>(url)
    .bind::<Nullable<Bigint>, _>(age)
    .bind::<Text, _>(error)
    .bind::<Jsonb, _>(serde_json::Value::from(heartbeats));
    db.transaction(async |conn| Ok(noted.execute(conn).await.map(drop)?)).await
}

/// Forgets Alertmanagers that are no longer configured.
pub async fn keep_only(db: &mut Db, _: All, urls: &[String]) -> Result<()> {
    let others = diesel::delete(alertmanager_health::table.filter(alertmanager_health::url.ne_all(urls)));
    db.transaction(async |conn| Ok(others.execute(conn).await.map(drop)?)).await
}

/// Every configured Alertmanager.
pub async fn alertmanagers(db: &mut Db, _: All) -> Result<Vec<AlertmanagerHealth>> {
    Ok(alertmanager_health::table
        .order(alertmanager_health::url)
        .select(AlertmanagerHealth::as_select())
        .load(db.conn())
        .await?)
}
