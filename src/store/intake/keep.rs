//! What keeps the history in order beside the intake: alerts find owners that came later.

use diesel::prelude::*;
use diesel::sql_types::{Bigint, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

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
