//! What keeps the history in order beside the intake: alerts find owners that came later, and each month has
//! its partition.

use diesel::prelude::*;
use diesel::sql_types::{Bigint, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;

use crate::error::Result;
use crate::store::scope::All;
use crate::store::{Db, alerts};

/// Gives alerts that carry an owner's or a server's external id to it: of one owner, or of all.
pub(in crate::store) async fn adopt(conn: &mut AsyncPgConnection, owner: Option<i64>) -> Result<usize> {
    #[derive(QueryableByName)]
    struct Adopted {
        #[diesel(sql_type = Integer)]
        cluster_id: i32,
        #[diesel(sql_type = Text)]
        fingerprint: String,
        #[diesel(sql_type = Bigint)]
        owner_id: i64,
    }
    alerts::adopting(conn).await?;
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
            "create table if not exists {name} partition of alerts for values from ('{from} 00:00:00+00') to ('{to} 00:00:00+00') with (fillfactor = 85)"
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
