//! What Alertmanager sent and could not be understood, kept for admins.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use serde_json::json;

use super::Db;
use super::audit::{self, Event};
use super::changes::Actor;
use super::intake::Bad;
use super::schema::{clusters, quarantine};
use super::scope::All;
use crate::error::Result;
use crate::page::{At, Page, SIZE, Seek};

/// Bytes of a body that are kept.
const LONGEST_BODY: usize = 1 << 20;
/// What of a body is read for a list.
const BODY_SHOWN: &str = "left(quarantine.body, 4097)";
/// Rows that are kept, the newest.
const MOST: i64 = 1000;

/// One body or alert.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = quarantine)]
pub struct Kept {
    pub id: i64,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub received_at: Timestamp,
    pub reason: String,
    /// Its first characters, as many as a page shows and one.
    #[diesel(select_expression = sql(BODY_SHOWN), select_expression_type = SqlLiteral<Text>)]
    pub body: String,
    pub truncated: bool,
}

/// Keeps a body with the reason why it was not understood.
pub async fn keep(db: &mut Db, cluster: i32, reason: &str, body: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(&body[..body.len().min(LONGEST_BODY)]).into_owned();
    let bad = [Bad { reason: reason.to_owned(), text, truncated: body.len() > LONGEST_BODY }];
    db.transaction(async |conn| Ok(keep_all(conn, cluster, &bad).await?)).await
}

/// Keeps several, in the transaction of the rest of their delivery.
pub(super) async fn keep_all(
    conn: &mut AsyncPgConnection,
    cluster: i32,
    bad: &[Bad],
) -> Result<(), diesel::result::Error> {
    // Postgres takes no NUL in a text
    let clean = |text: &str| text.replace('\0', "\u{fffd}");
    let rows: Vec<_> = bad
        .iter()
        .take(usize::try_from(MOST).unwrap_or_default())
        .map(|bad| {
            (
                quarantine::cluster_id.eq(cluster),
                quarantine::reason.eq(clean(&bad.reason)),
                quarantine::body.eq(clean(&bad.text)),
                quarantine::truncated.eq(bad.truncated),
            )
        })
        .collect();
    diesel::insert_into(quarantine::table).values(rows).execute(conn).await?;
    diesel::sql_query(format!(
        "delete from quarantine where id <= (select id from quarantine order by id desc offset {MOST} limit 1)"
    ))
    .execute(conn)
    .await?;
    Ok(())
}

/// How many are kept.
pub async fn count(db: &mut Db, _: All) -> Result<i64> {
    Ok(quarantine::table.count().get_result(db.conn()).await?)
}

/// With the cluster's name, newest first.
pub async fn list(db: &mut Db, _: All, at: &At) -> Result<Page<(Kept, String)>> {
    let query = quarantine::table
        .inner_join(clusters::table.on(clusters::id.eq(quarantine::cluster_id)))
        .limit(SIZE as i64 + 1)
        .select((Kept::as_select(), clusters::name))
        .into_boxed();
    let seek = at.seek::<i64>();
    let query = match seek {
        Seek::Start => query.order(quarantine::id.desc()),
        Seek::After(id) => query.filter(quarantine::id.lt(id)).order(quarantine::id.desc()),
        Seek::Before(id) => query.filter(quarantine::id.gt(id)).order(quarantine::id.asc()),
    };
    let rows: Vec<(Kept, String)> = query.load(db.conn()).await?;
    Ok(Page::new(rows, &seek, |(kept, _)| kept.id))
}

/// One, with the cluster's name.
pub async fn find(db: &mut Db, _: All, id: i64) -> Result<(Kept, String)> {
    Ok(quarantine::table
        .inner_join(clusters::table.on(clusters::id.eq(quarantine::cluster_id)))
        .filter(quarantine::id.eq(id))
        .select((Kept::as_select(), clusters::name))
        .first(db.conn())
        .await?)
}

/// What is to be read again: cluster, the body, and whether it is only a beginning.
pub async fn body(db: &mut Db, _: All, id: i64) -> Result<(i32, String, bool)> {
    Ok(quarantine::table
        .find(id)
        .select((quarantine::cluster_id, quarantine::body, quarantine::truncated))
        .first(db.conn())
        .await?)
}

/// The ids of all, the oldest first.
pub async fn ids(db: &mut Db, _: All) -> Result<Vec<i64>> {
    Ok(quarantine::table.order(quarantine::id).select(quarantine::id).load(db.conn()).await?)
}

/// Notes what came of reading some again: those that were understood go, the others have a new reason.
pub async fn replayed(
    db: &mut Db,
    _: All,
    understood: &[i64],
    refused: &[(i64, String)],
    by: &Actor,
) -> Result<()> {
    db.transaction(async |conn| {
        diesel::delete(quarantine::table.filter(quarantine::id.eq_any(understood))).execute(conn).await?;
        for (id, reason) in refused {
            let reason = reason.replace('\0', "\u{fffd}");
            diesel::update(quarantine::table.find(id))
                .set(quarantine::reason.eq(reason))
                .execute(conn)
                .await?;
        }
        let object = entries(understood.iter().chain(refused.iter().map(|(id, _)| id)));
        let new = json!({"understood": understood.len(), "not_understood": refused.len()});
        audit::note(conn, by, Event::new("quarantine.replayed", &object).made(new)).await
    })
    .await
}

/// Removes those that are there; returns how many.
pub async fn remove(db: &mut Db, _: All, ids: &[i64], by: &Actor) -> Result<usize> {
    db.transaction(async |conn| {
        let removed: Vec<i64> = diesel::delete(quarantine::table.filter(quarantine::id.eq_any(ids)))
            .returning(quarantine::id)
            .get_results(conn)
            .await?;
        if !removed.is_empty() {
            let object = entries(removed.iter());
            audit::note(conn, by, Event::new("quarantine.removed", &object)).await?;
        }
        Ok(removed.len())
    })
    .await
}

/// How the audit calls some of them.
fn entries<'a>(ids: impl Iterator<Item = &'a i64> + Clone) -> String {
    match (ids.clone().count(), ids.min()) {
        (1, Some(id)) => format!("№ {id}"),
        (many, _) => format!("{many} deliveries"),
    }
}

/// Forgets what is older than 30 days. A step of the worker.
pub async fn sweep(db: &mut Db, _: All) -> Result<usize> {
    let old = diesel::sql_query("delete from quarantine where received_at < now() - interval '30 days'");
    db.transaction(async |conn| Ok(old.execute(conn).await?)).await
}
