//! What waits to be published is set back to what was published last: all of it, or nothing.

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{Array, Bigint};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;

use super::wanted::{self, Base, PublishedOwner, Scraped, Wanted};
use crate::error::{Error, Result};
use crate::store::Db;
use crate::store::audit::{self, Event};
use crate::store::changes::{self, Actor, NetChange};
use crate::store::scope::All;

/// What is noted in the audit of each kind.
const TOLD: i64 = 1000;

/// Sets rows back to what they were when they were published. `stale` and `each` are as for [`super::wanted`], and `same` says of
/// what comes out whether it is what is in force: an error of it undoes everything.
pub async fn discard(
    db: &mut Db,
    _: All,
    by: &Actor,
    stale: impl FnOnce(&Base) -> Vec<i64>,
    each: impl FnMut(i64, &PublishedOwner, Vec<Scraped>) -> Result<()>,
    same: impl FnOnce(Wanted) -> Result<()>,
) -> Result<()> {
    // what others change meanwhile is not discarded unseen: it makes this fail
    db.transaction_as("begin isolation level repeatable read", async |conn| {
        let lost = changes::all_net(conn, TOLD).await?;
        let (notes, rows) = wanted::waiting(conn).await?;
        for statement in PUT_BACK {
            diesel::sql_query(statement).execute(conn).await.map_err(in_the_way)?;
        }
        same(wanted::read(conn, stale, each).await?)?;
        for change in &lost {
            note(conn, by, change).await?;
        }
        let text = format!("{} changes", lost.len());
        audit::note(
            conn,
            by,
            Event::new("publication.discarded", &text).made(json!({"changes": lost.len()})),
        )
        .await?;
        forget(conn, &notes, &rows).await
    })
    .await
}

/// First out of each other's way, then as they were: addresses and ids may have changed hands.
const PUT_BACK: [&str; 6] = [
    "update servers s set removed_at = now() from unpublished_rows r where r.kind = 'server' and s.id = r.key::bigint and s.removed_at is null",
    "update owners o set removed_at = now() from unpublished_rows r where r.kind = 'owner' and o.id = r.key::bigint and o.removed_at is null",
    "update owners o set external_id = b.before->>'external_id', removed_at = (b.before->>'removed_at')::timestamptz, updated_at = now() \
     from (select key::bigint as id, (array_agg(before order by id))[1] as before from unpublished_rows where kind = 'owner' group by key) b \
     where o.id = b.id and b.before is not null",
    "update servers s set external_id = b.before->>'external_id', address = b.before->>'address', port = (b.before->>'port')::integer, \
       job = b.before->>'job', scheme = b.before->>'scheme', metrics_path = b.before->>'metrics_path', labels = b.before->'labels', \
       enabled = (b.before->>'enabled')::boolean, removed_at = (b.before->>'removed_at')::timestamptz, updated_at = now() \
     from (select key::bigint as id, (array_agg(before order by id))[1] as before from unpublished_rows where kind = 'server' group by key) b \
     where s.id = b.id and b.before is not null",
    "delete from thresholds t using unpublished_rows r where r.kind = 'threshold' and threshold_key(t.rule, t.severity, t.owner_id, t.server_id) = r.key",
    // only the oldest of each: what this very transaction deletes is kept, too
    "insert into thresholds overriding system value select (jsonb_populate_record(null::thresholds, b.before)).* \
     from (select (array_agg(before order by id))[1] as before from unpublished_rows where kind = 'threshold' group by key) b \
     where b.before is not null",
];

fn in_the_way(error: DieselError) -> Error {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => Error::Conflict(
            "Somebody changed something of it at the same moment. Look again, then discard.".into(),
        ),
        DieselError::DatabaseError(
            DatabaseErrorKind::UniqueViolation | DatabaseErrorKind::ForeignKeyViolation,
            _,
        ) => Error::Conflict(
            "Something cannot be set back, because something else stands in its place. Nothing was discarded."
                .into(),
        ),
        other => other.into(),
    }
}

async fn note(conn: &mut AsyncPgConnection, by: &Actor, change: &NetChange) -> Result<()> {
    let action = match change.kind {
        "owner" => "owner.discarded",
        "server" => "server.discarded",
        "threshold" => "threshold.discarded",
        _ => return Ok(()),
    };
    audit::note(conn, by, Event::new(action, &change.text).owner(change.owner_id)).await
}

/// Nothing waits any more, of what was seen or done here.
async fn forget(conn: &mut AsyncPgConnection, notes: &[i64], rows: &[i64]) -> Result<()> {
    let sql = "delete from unpublished_rows where id = any($1) or tx = pg_current_xact_id()::text::bigint";
    diesel::sql_query(sql).bind::<Array<Bigint>, _>(rows).execute(conn).await?;
    let sql = "delete from pending_changes where id = any($1)";
    diesel::sql_query(sql).bind::<Array<Bigint>, _>(notes).execute(conn).await?;
    Ok(())
}
