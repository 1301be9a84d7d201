//! Publications: what was written for Prometheus, by whom, and what each Prometheus answered.
//! The bytes live here, each content once; folders are outputs of the last publication.

mod files;
mod record;
mod wanted;

use diesel::prelude::*;
use diesel::sql_types::Bigint;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;

pub use self::files::{Changed, changed_files, contents};
pub use self::record::{Beginning, ChangedFile, Ending, Made, begin, finish, prune};
pub use self::wanted::{Base, InForce, PublishedOwner, Scraped, Wanted, wanted};
use super::schema::{publication_results, publications};
use super::scope::All;
use super::statement::Prepare;
use super::{Db, Locked, Store};
use crate::error::Result;
use crate::page::{At, Page, SIZE, Seek};

/// Held by the one that publishes.
const PUBLISH_LOCK: i64 = 0x7072_6f6d_6d67_7203;

/// A publication.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = publications)]
pub struct Publication {
    pub id: i64,
    pub user_name: String,
    /// SHA-256 over all files, in hexadecimal.
    pub revision: String,
    /// `running`, `in_force`, `partly`, `refused` or `failed`.
    pub state: String,
    pub reason: String,
    pub servers: i32,
    /// How many files it has, changed by it or not.
    pub files: i32,
    /// Whether its files are still there.
    pub kept: bool,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    pub finished_at: Option<Timestamp>,
}

/// What one Prometheus answered.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = publication_results)]
pub struct Answer {
    /// Its URL without credentials.
    pub prometheus: String,
    /// `in_force`, `refused`, `unreachable` or `unverified`.
    pub state: String,
    pub reason: String,
    pub took_ms: i32,
}

/// Takes the lock of publishing, over all instances. `Unavailable` after 30 s of waiting.
pub(crate) async fn lock(store: &Store) -> Result<Locked> {
    let busy = "Somebody else is publishing just now. Wait for that to end and try again.";
    store.locked(PUBLISH_LOCK, std::time::Duration::from_secs(30), busy).await
}

pub(super) async fn latest_id(conn: &mut AsyncPgConnection) -> Result<Option<i64>> {
    Ok(publications::table
        .filter(publications::state.eq_any(["in_force", "partly"]))
        .order(publications::id.desc())
        .select(publications::id)
        .first(conn)
        .await
        .optional()?)
}

/// When the last publication that was in force somewhere began; `None`: there is none.
pub async fn last_at(db: &mut Db) -> Result<Option<Timestamp>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Timestamptz>, deserialize_as = jiff_diesel::NullableTimestamp)]
        at: Option<Timestamp>,
    }
    let row: Row =
        diesel::sql_query("select last_published() as at").prepared().get_result(db.conn()).await?;
    Ok(row.at)
}

/// How many servers the last publication that was in force somewhere has; 0: there is none.
pub async fn latest_servers(db: &mut Db, _: All) -> Result<i32> {
    let Some(id) = latest_id(db.conn()).await? else {
        return Ok(0);
    };
    Ok(publications::table.find(id).select(publications::servers).first(db.conn()).await?)
}

/// The publication.
pub async fn find(db: &mut Db, _: All, id: i64) -> Result<Publication> {
    Ok(publications::table.find(id).select(Publication::as_select()).first(db.conn()).await?)
}

/// What each Prometheus answered to a publication.
pub async fn answers(db: &mut Db, _: All, id: i64) -> Result<Vec<Answer>> {
    Ok(publication_results::table
        .filter(publication_results::publication_id.eq(id))
        .order(publication_results::prometheus)
        .select(Answer::as_select())
        .load(db.conn())
        .await?)
}

/// Publications, the newest first, with how many files each changed.
pub async fn list(db: &mut Db, _: All, at: &At) -> Result<Page<(Publication, i64)>> {
    let query = publications::table
        .limit(SIZE as i64 + 1)
        .select((
            Publication::as_select(),
            diesel::dsl::sql::<Bigint>(
                "(select count(*) from publication_files f where f.publication_id = publications.id)",
            ),
        ))
        .into_boxed();
    let seek = at.seek::<i64>();
    let query = match seek {
        Seek::Start => query.order(publications::id.desc()),
        Seek::After(id) => query.filter(publications::id.lt(id)).order(publications::id.desc()),
        Seek::Before(id) => query.filter(publications::id.gt(id)).order(publications::id.asc()),
    };
    let rows: Vec<(Publication, i64)> = query.load(db.conn()).await?;
    Ok(Page::new(rows, &seek, |(publication, _)| publication.id))
}
