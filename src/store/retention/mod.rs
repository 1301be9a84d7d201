//! How long the history is kept. Its months are partitions, made ahead; a month of which nothing is to be kept goes as a
//! whole, of others what is over for long enough goes row by row. An episode's time counts from its end, or from
//! when it was heard of where that was later; what is open stays.

mod months;

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Bool, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use jiff::{SignedDuration, Timestamp};
use jiff_diesel::ToDiesel;

pub use self::months::make_partitions;
use self::months::{Is, Month, is};
use super::scope::All;
use super::{Db, alerts};
use crate::error::{Error, Result};

/// Rows that one step deletes.
const STEP: usize = 5000;
/// How long what an alert was is known beyond its last episode, at the least: late reports of it come and open nothing.
const LATE: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Who waits for a lock on the history holds everybody up who comes later, so they give way soon and come again.
const GIVE_WAY: &str = "set local lock_timeout = '300ms'";

/// To compile a plan over all months takes seconds, to follow it milliseconds.
const NO_JIT: &str = "set local jit = off";

/// The last of the alerts that were looked at, by cluster and fingerprint.
pub type Place = (i32, String);

/// What became of months that are over.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Partitions that are gone.
    pub months: Vec<String>,
    /// Somebody was reading or writing for too long; the rest is for another time.
    pub gave_way: bool,
}

/// Drops each month of which nothing is to be kept. A step of the worker.
///
/// They are dropped without being detached first: that would lock owners and servers, too.
pub async fn drop_months(db: &mut Db, _: All, default_days: i32, now: Timestamp) -> Result<Dropped> {
    #[derive(QueryableByName)]
    struct Shortest {
        #[diesel(sql_type = Nullable<Integer>)]
        days: Option<i32>,
    }
    #[derive(QueryableByName)]
    struct Partition {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let mut dropped = Dropped::default();
    db.conn().batch_execute(NO_JIT).await?;
    let shortest: Shortest = diesel::sql_query(
        "select least(nullif($1, 0), (select min(nullif(history_days, 0)) from owners)) as days",
    )
    .bind::<Integer, _>(default_days)
    .get_result(db.conn())
    .await?;
    let Some(before) = shortest.days.map(|days| ago(now, days)).transpose()? else { return Ok(dropped) };
    let partitions: Vec<Partition> = diesel::sql_query(
        "select c.relname::text as name from pg_inherits i join pg_class c on c.oid = i.inhrelid \
         where i.inhparent = 'alerts'::regclass order by 1",
    )
    .load(db.conn())
    .await?;
    let months = partitions.iter().filter_map(|partition| Month::named(&partition.name));
    for month in months.filter(|month| month.to <= before) {
        let kept: Is = diesel::sql_query(
            "select exists(select from alerts a left join owners o on o.id = a.owner_id \
               where a.received_at >= $1 and a.received_at < $2 and (a.ended_at is null \
                 or coalesce(o.history_days, $3) = 0 \
                 or greatest(a.ended_at, a.received_at) >= $4 - make_interval(days => coalesce(o.history_days, $3)))) as so",
        )
        .bind::<Timestamptz, _>(month.from.to_diesel())
        .bind::<Timestamptz, _>(month.to.to_diesel())
        .bind::<Integer, _>(default_days)
        .bind::<Timestamptz, _>(now.to_diesel())
        .get_result(db.conn())
        .await?;
        if kept.so {
            continue;
        }
        let gone = db.transaction(async |conn| drop_month(conn, &month).await).await;
        match gone {
            Ok(true) => dropped.months.push(month.name),
            Ok(false) => {}
            Err(error) if gave_way(&error) => {
                dropped.gave_way = true;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(dropped)
}

/// `false`: an episode in it was opened again meanwhile.
async fn drop_month(conn: &mut AsyncPgConnection, month: &Month) -> Result<bool> {
    conn.batch_execute(GIVE_WAY).await?;
    conn.batch_execute("lock table only alerts in access exclusive mode").await?;
    let open = "select exists(select from alerts where ended_at is null and received_at >= $1 and received_at < $2) as so";
    if is(conn, open, month).await? {
        return Ok(false);
    }
    conn.batch_execute(&format!("drop table {}", month.name)).await?;
    Ok(true)
}

/// Deletes what is over for long enough, of owners and of what has none, some thousand rows; returns how many there were,
/// and whether there may be more. A step of the worker.
pub async fn delete_ended(db: &mut Db, _: All, default_days: i32, now: Timestamp) -> Result<(usize, bool)> {
    // owner by owner, so that an index gives the rows
    let owned = "select a.id, a.received_at from (select id, coalesce(history_days, $1) as days from owners) o, lateral ( \
           select a.id, a.received_at from alerts a where a.owner_id = o.id \
             and a.started_at < $2 - make_interval(days => o.days) and a.ended_at < $2 - make_interval(days => o.days) \
             and a.received_at < $2 - make_interval(days => o.days) \
           order by a.started_at, a.id limit $3 for update skip locked) a where o.days > 0 limit $3";
    let unassigned = "select a.id, a.received_at from alerts a where a.owner_id is null and $1 > 0 \
             and a.started_at < $2 - make_interval(days => $1) and a.ended_at < $2 - make_interval(days => $1) \
             and a.received_at < $2 - make_interval(days => $1) \
           order by a.started_at, a.id limit $3 for update skip locked";
    let (mut deleted, mut more) = (0, false);
    for found in [owned, unassigned] {
        let some = db.transaction(async |conn| delete_some(conn, found, default_days, now).await).await?;
        deleted += some;
        more |= some == STEP;
    }
    Ok((deleted, more))
}

async fn delete_some(
    conn: &mut AsyncPgConnection,
    found: &str,
    default_days: i32,
    now: Timestamp,
) -> Result<usize> {
    #[derive(QueryableByName)]
    struct Key {
        #[diesel(sql_type = Bigint)]
        id: i64,
        #[diesel(sql_type = Timestamptz, deserialize_as = jiff_diesel::Timestamp)]
        received_at: Timestamp,
    }
    conn.batch_execute(NO_JIT).await?;
    let keys: Vec<Key> = diesel::sql_query(found)
        .bind::<Integer, _>(default_days)
        .bind::<Timestamptz, _>(now.to_diesel())
        .bind::<Bigint, _>(i64::try_from(STEP).unwrap_or(i64::MAX))
        .load(conn)
        .await?;
    let received = || keys.iter().map(|key| key.received_at);
    let Some((first, last)) = received().min().zip(received().max()) else { return Ok(0) };
    // by key, and in the months that they are of: joined with the rows found, all would be read
    let deleted =
        diesel::sql_query("delete from alerts where id = any($1) and received_at between $2 and $3")
            .bind::<Array<Bigint>, _>(keys.iter().map(|key| key.id).collect::<Vec<_>>())
            .bind::<Timestamptz, _>(first.to_diesel())
            .bind::<Timestamptz, _>(last.to_diesel())
            .execute(conn)
            .await?;
    Ok(deleted)
}

/// Forgets alerts that have no episode any more and whose last end is long ago, with what they are found by. It looks at
/// the next some thousand after `place`, and says up to where; `None`: that was the end. A step of the worker.
pub async fn forget_alerts(
    db: &mut Db,
    _: All,
    now: Timestamp,
    place: Option<Place>,
) -> Result<Option<Place>> {
    #[derive(QueryableByName)]
    struct Head {
        #[diesel(sql_type = Integer)]
        cluster_id: i32,
        #[diesel(sql_type = Text)]
        fingerprint: String,
        #[diesel(sql_type = Bool)]
        gone: bool,
    }
    let before = now.checked_sub(LATE).map_err(Error::internal)?;
    db.conn().batch_execute(NO_JIT).await?;
    let (cluster, fingerprint) = place.unwrap_or((i32::MIN, String::new()));
    // asked one by one: as a join it would read all of the history
    let heads: Vec<Head> = diesel::sql_query(
        "select h.cluster_id, h.fingerprint, h.open_id is null and coalesce(h.last_end < $3, true) \
           and (select true from alerts a where a.fingerprint = h.fingerprint and a.cluster_id = h.cluster_id limit 1) is null as gone \
         from (select * from alert_heads where (cluster_id, fingerprint) > ($1, $2) order by cluster_id, fingerprint limit $4) h \
         order by h.cluster_id, h.fingerprint",
    )
    .bind::<Integer, _>(cluster)
    .bind::<Text, _>(fingerprint)
    .bind::<Timestamptz, _>(before.to_diesel())
    .bind::<Bigint, _>(i64::try_from(STEP).unwrap_or(i64::MAX))
    .load(db.conn())
    .await?;
    let next =
        heads.last().filter(|_| heads.len() == STEP).map(|head| (head.cluster_id, head.fingerprint.clone()));
    let (clusters, fingerprints): (Vec<i32>, Vec<String>) =
        heads.into_iter().filter(|head| head.gone).map(|head| (head.cluster_id, head.fingerprint)).unzip();
    if clusters.is_empty() {
        return Ok(next);
    }
    db.transaction(async |conn| {
        conn.batch_execute(GIVE_WAY).await?;
        // nobody gives terms to one that is being forgotten
        alerts::adopting(conn).await?;
        let gone: Vec<Gone> = diesel::sql_query(
            "delete from alert_heads h using unnest($1, $2) g(cluster, fingerprint) \
             where h.cluster_id = g.cluster and h.fingerprint = g.fingerprint and h.open_id is null and coalesce(h.last_end < $3, true) \
               and (select true from alerts a where a.fingerprint = h.fingerprint and a.cluster_id = h.cluster_id limit 1) is null \
             returning h.cluster_id, h.fingerprint",
        )
        .bind::<Array<Integer>, _>(&clusters)
        .bind::<Array<Text>, _>(&fingerprints)
        .bind::<Timestamptz, _>(before.to_diesel())
        .load(conn)
        .await?;
        let (clusters, fingerprints): (Vec<i32>, Vec<String>) =
            gone.into_iter().map(|gone| (gone.cluster_id, gone.fingerprint)).unzip();
        diesel::sql_query(
            "delete from alert_terms t using unnest($1, $2) g(cluster, fingerprint) \
             where t.cluster_id = g.cluster and t.fingerprint = g.fingerprint",
        )
        .bind::<Array<Integer>, _>(&clusters)
        .bind::<Array<Text>, _>(&fingerprints)
        .execute(conn)
        .await?;
        Ok(())
    })
    .await?;
    Ok(next)
}

#[derive(QueryableByName)]
struct Gone {
    #[diesel(sql_type = Integer)]
    cluster_id: i32,
    #[diesel(sql_type = Text)]
    fingerprint: String,
}

fn ago(now: Timestamp, days: i32) -> Result<Timestamp> {
    now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).map_err(Error::internal)
}

/// What a lock that is not to be had becomes.
fn gave_way(error: &Error) -> bool {
    matches!(error, Error::Unavailable(_))
}
