//! The months of the history are partitions, made before they begin.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use jiff_diesel::ToDiesel;

use super::GIVE_WAY;
use crate::error::{Error, Result};
use crate::store::Db;
use crate::store::scope::All;

/// Months whose partitions are there before they begin.
const AHEAD: i32 = 3;
/// Room in each page for new versions of rows, which repeats write.
const ROOM: &str = "(fillfactor = 85)";

/// A month, its bounds, and the name of its partition.
pub(super) struct Month {
    pub name: String,
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Month {
    fn of(day: Date) -> Result<Self> {
        let first = day.first_of_month();
        let start = |day: Date| day.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
        let next = first.saturating_add(1.month());
        Ok(Self {
            name: format!("alerts_{:04}_{:02}", first.year(), first.month()),
            from: start(first).map_err(Error::internal)?,
            to: start(next).map_err(Error::internal)?,
        })
    }

    /// By the name of its partition; `None`: it is none of ours.
    pub(super) fn named(name: &str) -> Option<Self> {
        let (year, month) = name.strip_prefix("alerts_")?.split_once('_')?;
        let month = Self::of(Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()?).ok()?;
        (month.name == name).then_some(month)
    }
}

#[derive(QueryableByName)]
pub(super) struct Is {
    #[diesel(sql_type = Bool)]
    pub so: bool,
}

pub(super) async fn is(conn: &mut AsyncPgConnection, sql: &str, month: &Month) -> Result<bool> {
    let query = diesel::sql_query(sql)
        .bind::<Timestamptz, _>(month.from.to_diesel())
        .bind::<Timestamptz, _>(month.to.to_diesel());
    Ok(query.get_result::<Is>(conn).await?.so)
}

/// Makes the partitions of this month and of the next three. A step of the worker.
pub async fn make_partitions(db: &mut Db, _: All, now: Timestamp) -> Result<()> {
    let today = now.to_zoned(TimeZone::UTC).date();
    for n in 0..=AHEAD {
        let month = Month::of(today.first_of_month().saturating_add(n.months()))?;
        db.transaction(async |conn| make_partition(conn, &month).await).await?;
    }
    Ok(())
}

/// Makes a partition, with what of its month is in the default one by now. It is reached through its table only: the
/// policies are there.
async fn make_partition(conn: &mut AsyncPgConnection, month: &Month) -> Result<()> {
    let Month { name, from, to } = month;
    let there: Is = diesel::sql_query("select to_regclass($1) is not null as so")
        .bind::<Text, _>(name)
        .get_result(conn)
        .await?;
    if there.so {
        return Ok(());
    }
    conn.batch_execute(GIVE_WAY).await?;
    conn.batch_execute("lock table only alerts in access exclusive mode").await?;
    let strayed = "select exists(select from alerts where received_at >= $1 and received_at < $2) as so";
    let values = format!("for values from ('{from}') to ('{to}')");
    if is(conn, strayed, month).await? {
        let moved = format!(
            "create table {name} (like alerts including defaults including constraints) with {ROOM}; \
             with moved as (delete from alerts where received_at >= '{from}' and received_at < '{to}' returning *) \
             insert into {name} select * from moved; \
             alter table alerts attach partition {name} {values}"
        );
        conn.batch_execute(&moved).await?;
    } else {
        conn.batch_execute(&format!("create table {name} partition of alerts {values} with {ROOM}")).await?;
    }
    let walls =
        format!("alter table {name} enable row level security; alter table {name} force row level security");
    Ok(conn.batch_execute(&walls).await?)
}
