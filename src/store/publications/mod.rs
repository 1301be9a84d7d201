//! Publications: what was written for Prometheus, by whom, and what each Prometheus answered.
//! The bytes live here, each content once; folders are outputs of the last publication.

mod discard;
mod drift;
mod files;
mod record;
mod wanted;

use diesel::prelude::*;
use diesel::sql_types::Bigint;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;

pub use self::discard::discard;
pub use self::drift::{
    Automatic, Due, QUIET, automatic, drifted, due, note_drift, notes_between, set_automatic,
};
pub use self::files::{Changed, changed_files, contents, state};
pub use self::record::{Beginning, ChangedFile, Ending, Made, begin, finish, prune, step, written};
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
    /// When its files stood in the folder; `None`: they do not.
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    pub written_at: Option<Timestamp>,
    /// The publication whose files it brought back.
    pub copy_of: Option<i64>,
}

/// How far one Prometheus has come with a publication, each step as it was seen.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = publication_results)]
pub struct Answer {
    /// Its URL without credentials.
    pub prometheus: String,
    /// Of the rules: `waiting`, `in_force`, `refused`, `unreachable` or `unverified`.
    pub state: String,
    pub reason: String,
    pub took_ms: i32,
    /// When it had read the files again; `None`: it did not, or had the rules already.
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    pub loaded_at: Option<Timestamp>,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    pub rules_at: Option<Timestamp>,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    pub targets_at: Option<Timestamp>,
    /// Why its targets were not seen to be those; empty: they were, or are waited for.
    pub targets: String,
}

impl Answer {
    /// Of one that was not asked yet.
    pub fn waiting(prometheus: String) -> Self {
        let (state, reason, targets) = ("waiting".to_owned(), String::new(), String::new());
        Self {
            prometheus,
            state,
            reason,
            took_ms: 0,
            loaded_at: None,
            rules_at: None,
            targets_at: None,
            targets,
        }
    }

    /// Its rules are in force, and of its targets that is not known yet.
    pub fn awaits_targets(&self) -> bool {
        self.state == "in_force" && self.targets_at.is_none() && self.targets.is_empty()
    }
}

/// Takes the lock of publishing, over all instances. `Unavailable` after 30 s of waiting.
pub(crate) async fn lock(store: &Store) -> Result<Locked> {
    let busy = "Somebody else is publishing just now. Wait for that to end and try again.";
    store.locked(PUBLISH_LOCK, std::time::Duration::from_secs(30), busy).await
}

/// Takes the lock of publishing where nobody has it.
pub(crate) async fn try_lock(store: &Store) -> Result<Option<Locked>> {
    store.try_locked(PUBLISH_LOCK).await
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

/// The last publication that was in force somewhere.
pub async fn latest(db: &mut Db, _: All) -> Result<Option<i64>> {
    latest_id(db.conn()).await
}

/// How many servers the last publication that was in force somewhere has; 0: there is none.
pub async fn latest_servers(db: &mut Db, _: All) -> Result<i32> {
    let Some(id) = latest_id(db.conn()).await? else {
        return Ok(0);
    };
    Ok(publications::table.find(id).select(publications::servers).first(db.conn()).await?)
}

/// Publications whose files can be compared, the newest first, at most `limit`.
pub async fn comparable(db: &mut Db, _: All, limit: i64) -> Result<Vec<Publication>> {
    let kept = publications::table.filter(publications::kept.and(publications::state.ne("running")));
    let rows = kept.order(publications::id.desc()).limit(limit).select(Publication::as_select());
    Ok(rows.load(db.conn()).await?)
}

/// The newest publication, however it went; `None`: there is none.
pub async fn newest(db: &mut Db, _: All) -> Result<Option<i64>> {
    Ok(publications::table.select(diesel::dsl::max(publications::id)).first(db.conn()).await?)
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
