//! Since when an owner has the number that Prometheus' series carry.

use diesel::prelude::*;
use diesel::sql_types::{Bigint, Nullable, Timestamptz};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::Owner;
use crate::error::Result;
use crate::store::Db;

/// Since when Prometheus knows the owner under its external id: what it recorded under that before may be another's.
/// `None`: nothing was in force since the owner has it.
pub async fn known_since(db: &mut Db, owner: &Owner) -> Result<Option<Timestamp>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<Timestamptz>, deserialize_as = jiff_diesel::NullableTimestamp)]
        at: Option<Timestamp>,
    }
    let row: Row = diesel::sql_query(
        "select published_since(greatest(o.created_at, (select max(a.at) from audit a where a.owner_id = o.id \
           and a.action = 'owner.changed' and a.old->>'external_id' is distinct from a.new->>'external_id'))) as at \
         from owners o where o.id = $1",
    )
    .bind::<Bigint, _>(owner.id)
    .get_result(db.conn())
    .await?;
    Ok(row.at)
}
