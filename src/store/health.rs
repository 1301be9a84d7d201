//! What Prometheus says of the servers, kept so that lists can filter by it and every instance
//! and every page sees the same, also while Prometheus does not answer.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Double, Integer, Nullable, Text};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::Db;
use super::schema::prometheus_health;
use super::scope::All;
use crate::error::Result;

/// How long what Prometheus said counts, seconds.
const FRESH: i64 = 120;

/// What is known of one Prometheus.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = prometheus_health)]
pub struct PrometheusHealth {
    /// Without credentials.
    pub url: String,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    pub seen_at: Option<Timestamp>,
    /// Why it does not answer; empty: it did when last asked.
    pub error: String,
    /// What its heartbeat calls it; `None`: it does not fire there, or nobody knows.
    pub heartbeat: Option<String>,
    /// How many Alertmanagers it sends to; `None`: nobody knows.
    pub alertmanagers: Option<i32>,
    /// Alerts that it could not send in the five minutes before it was asked.
    pub dropped: Option<f64>,
}

/// Notes the `up` of servers by their pair (owner's, server's external id). Servers that are not
/// named become unknown. Only what changed is written.
pub async fn note(db: &mut Db, _: All, up: &HashMap<(String, String), bool>) -> Result<()> {
    let mut owners = Vec::with_capacity(up.len());
    let mut servers = Vec::with_capacity(up.len());
    let mut states = Vec::with_capacity(up.len());
    for ((owner, server), state) in up {
        owners.push(owner);
        servers.push(server);
        states.push(*state);
    }
    db.transaction(async |conn| {
            diesel::sql_query(
                "create temporary table seen on commit drop as \
                 select s.id, s.owner_id, x.up from unnest($1, $2, $3) x(owner, server, up) \
                 join owners o on o.external_id = x.owner and o.removed_at is null \
                 join servers s on s.owner_id = o.id and s.external_id = x.server and s.removed_at is null",
            )
            .bind::<Array<Text>, _>(owners)
            .bind::<Array<Text>, _>(servers)
            .bind::<Array<Bool>, _>(states)
            .execute(conn)
            .await?;
            diesel::sql_query(
                "insert into server_health (server_id, owner_id, up) select id, owner_id, up from seen order by id \
                 on conflict (server_id) do update set up = excluded.up, changed_at = now() \
                 where server_health.up is distinct from excluded.up",
            )
            .execute(conn)
            .await?;
            diesel::sql_query(
                "delete from server_health h where not exists (select from seen where id = h.server_id)",
            )
            .execute(conn)
            .await?;
            Ok(())
        })
        .await
}

/// Notes whether a Prometheus answered.
pub async fn note_prometheus(db: &mut Db, _: All, url: &str, error: Option<&str>) -> Result<()> {
    let noted = diesel::sql_query(
        "insert into prometheus_health (url, seen_at, error) values ($1, case when $2 = '' then now() end, $2) \
         on conflict (url) do update set error = $2, seen_at = case when $2 = '' then now() else prometheus_health.seen_at end",
    )
    .bind::<Text, _>(url)
    .bind::<Text, _>(error.unwrap_or(""));
    db.transaction(async |conn| Ok(noted.execute(conn).await.map(drop)?)).await
}

/// Notes what a Prometheus says of the way of its alerts to Alertmanager.
pub async fn note_sending(
    db: &mut Db,
    _: All,
    url: &str,
    heartbeat: Option<&str>,
    alertmanagers: i32,
    dropped: f64,
) -> Result<()> {
    let noted = diesel::sql_query(
        "insert into prometheus_health (url, heartbeat, alertmanagers, dropped) values ($1, $2, $3, $4) \
         on conflict (url) do update set heartbeat = $2, alertmanagers = $3, dropped = $4",
    )
    .bind::<Text, _>(url)
    .bind::<Nullable<Text>, _>(heartbeat)
    .bind::<Integer, _>(alertmanagers)
    .bind::<Double, _>(dropped);
    db.transaction(async |conn| Ok(noted.execute(conn).await.map(drop)?)).await
}

/// Forgets Prometheis that are no longer configured.
pub async fn keep_only(db: &mut Db, _: All, urls: &[String]) -> Result<()> {
    let others = diesel::delete(prometheus_health::table.filter(prometheus_health::url.ne_all(urls)));
    db.transaction(async |conn| Ok(others.execute(conn).await.map(drop)?)).await
}

/// Every configured Prometheus.
pub async fn prometheis(db: &mut Db) -> Result<Vec<PrometheusHealth>> {
    Ok(prometheus_health::table
        .order(prometheus_health::url)
        .select(PrometheusHealth::as_select())
        .load(db.conn())
        .await?)
}

/// As [`is_fresh`], asked of the database now.
pub async fn fresh(db: &mut Db) -> Result<bool> {
    Ok(is_fresh(&prometheis(db).await?, Timestamp::now()))
}

/// Whether what is known of the servers is recent enough to be shown as true.
pub fn is_fresh(prometheis: &[PrometheusHealth], now: Timestamp) -> bool {
    prometheis.iter().filter_map(|one| one.seen_at).any(|seen| now.as_second() - seen.as_second() < FRESH)
}
