//! Publications: what was written for Prometheus, by whom, and what each Prometheus answered.
//! The bytes live here, each content once; folders are outputs of the last publication.

use std::collections::{BTreeMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::Bigint;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::audit::{self, Event};
use super::changes::Actor;
use super::schema::{
    blobs, owners, pending_changes, publication_files, publication_results, publications, servers, thresholds,
};
use super::scope::All;
use super::servers::Server;
use super::statement::Prepare;
use super::thresholds::Threshold;
use super::{Db, Locked, Store, kinds};
use crate::catalogue::Catalogue;
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

/// Everything that is to be published, read at one moment.
#[derive(Debug)]
pub struct Wanted {
    /// Every kind.
    pub kinds: Catalogue,
    /// Enabled servers, with their owner's external id.
    pub servers: Vec<(Server, String)>,
    /// Thresholds of the default layer, and of owners and servers that exist.
    pub thresholds: Vec<Threshold>,
    /// Owner id to external id, of the owners that exist.
    pub owners: BTreeMap<i64, String>,
    /// Server id to external id, of the servers that exist.
    pub server_ids: BTreeMap<i64, String>,
    /// External ids of servers that more than one owner uses.
    pub shared_server_ids: HashSet<String>,
    /// The changes that this moment includes.
    changes: Vec<i64>,
}

/// Takes the lock of publishing, over all instances. `Unavailable` after 30 s of waiting.
pub(crate) async fn lock(store: &Store) -> Result<Locked> {
    let busy = "Somebody else is publishing just now. Wait for that to end and try again.";
    store.locked(PUBLISH_LOCK, std::time::Duration::from_secs(30), busy).await
}

/// Reads what is to be published.
pub async fn wanted(db: &mut Db, _: All) -> Result<Wanted> {
    db.transaction_as("begin isolation level repeatable read read only", async |conn| {
        let changes = pending_changes::table.select(pending_changes::id).load(conn).await?;
        let owners: BTreeMap<i64, String> = owners::table
            .filter(owners::removed_at.is_null())
            .select((owners::id, owners::external_id))
            .load::<(i64, String)>(conn)
            .await?
            .into_iter()
            .collect();
        let all: Vec<Server> = servers::table
            .inner_join(owners::table)
            .filter(servers::removed_at.is_null().and(owners::removed_at.is_null()))
            .order((servers::owner_id, servers::id))
            .select(Server::as_select())
            .load(conn)
            .await?;
        let thresholds: Vec<Threshold> =
            thresholds::table.order(thresholds::id).select(Threshold::as_select()).load(conn).await?;
        let (mut seen, mut shared) = (HashSet::new(), HashSet::new());
        for server in &all {
            if !seen.insert(server.external_id.as_str()) {
                shared.insert(server.external_id.clone());
            }
        }
        let server_ids = all.iter().map(|server| (server.id, server.external_id.clone())).collect();
        let servers = all.into_iter().filter(|server| server.enabled).filter_map(|server| {
            let owner = owners.get(&server.owner_id)?.clone();
            Some((server, owner))
        });
        Ok(Wanted {
            kinds: kinds::read(conn).await?,
            servers: servers.collect(),
            thresholds,
            owners,
            server_ids,
            shared_server_ids: shared,
            changes,
        })
    })
    .await
}

/// Notes that publishing begins, with every file and how it differs from the last publication.
pub async fn begin(
    db: &mut Db,
    _: All,
    by: &Actor,
    revision: &str,
    servers: usize,
    files: &BTreeMap<String, String>,
) -> Result<i64> {
    let before = latest_files(db).await?;
    db.transaction(async |conn| {
        // One that is left running by an instance that died: whoever holds the lock knows that it is over.
        diesel::update(publications::table.filter(publications::state.eq("running")))
            .set((
                publications::state.eq("failed"),
                publications::reason.eq("prommgr was stopped while it published."),
                publications::finished_at.eq(super::now().nullable()),
            ))
            .execute(conn)
            .await?;
        let id: i64 = diesel::insert_into(publications::table)
            .values((
                publications::user_id.eq(by.id),
                publications::user_name.eq(&by.name),
                publications::revision.eq(revision),
                publications::state.eq("running"),
                publications::servers.eq(i32::try_from(servers).unwrap_or(i32::MAX)),
            ))
            .returning(publications::id)
            .get_result(conn)
            .await?;
        let hashed: Vec<_> =
            files.iter().map(|(path, text)| (path, text, Sha256::digest(text).to_vec())).collect();
        for chunk in hashed.chunks(5000) {
            let fresh = chunk.iter().filter(|(path, _, sha)| before.get(*path) != Some(sha));
            let contents: Vec<_> = fresh
                .map(|(_, text, sha)| (blobs::sha256.eq(sha), blobs::content.eq(text.as_str())))
                .collect();
            diesel::insert_into(blobs::table).values(contents).on_conflict_do_nothing().execute(conn).await?;
            let rows: Vec<_> = chunk
                .iter()
                .map(|(path, _, sha)| {
                    let change = match before.get(*path) {
                        None => "added",
                        Some(old) if old == sha => "same",
                        Some(_) => "changed",
                    };
                    (
                        publication_files::publication_id.eq(id),
                        publication_files::path.eq(*path),
                        publication_files::sha256.eq(sha),
                        publication_files::change.eq(change),
                    )
                })
                .collect();
            diesel::insert_into(publication_files::table).values(rows).execute(conn).await?;
        }
        let event = Event::new("publication.begun", &revision[..revision.len().min(12)]).id(id);
        audit::note(conn, by, event.made(json!({"servers": servers, "files": files.len()}))).await?;
        Ok(id)
    })
    .await
}

/// Notes how publishing ended. What was in force somewhere takes its changes off the pending ones.
pub async fn finish(
    db: &mut Db,
    _: All,
    id: i64,
    state: &str,
    reason: &str,
    answers: &[Answer],
    wanted: &Wanted,
) -> Result<()> {
    db.transaction(async |conn| {
        diesel::update(publications::table.find(id))
            .set((
                publications::state.eq(state),
                publications::reason.eq(reason),
                publications::finished_at.eq(super::now().nullable()),
            ))
            .execute(conn)
            .await?;
        let rows: Vec<_> = answers
            .iter()
            .map(|answer| (publication_results::publication_id.eq(id), answer.clone()))
            .collect();
        diesel::insert_into(publication_results::table).values(rows).execute(conn).await?;
        if matches!(state, "in_force" | "partly") {
            diesel::delete(pending_changes::table.filter(pending_changes::id.eq_any(&wanted.changes)))
                .execute(conn)
                .await?;
        }
        Ok(())
    })
    .await
}

/// The hash of each file of the last publication that was in force somewhere.
async fn latest_files(db: &mut Db) -> Result<BTreeMap<String, Vec<u8>>> {
    let Some(id) = latest_id(db).await? else {
        return Ok(BTreeMap::new());
    };
    Ok(publication_files::table
        .filter(publication_files::publication_id.eq(id))
        .select((publication_files::path, publication_files::sha256))
        .load::<(String, Vec<u8>)>(db.conn())
        .await?
        .into_iter()
        .collect())
}

async fn latest_id(db: &mut Db) -> Result<Option<i64>> {
    Ok(publications::table
        .filter(publications::state.eq_any(["in_force", "partly"]))
        .order(publications::id.desc())
        .select(publications::id)
        .first(db.conn())
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

/// The files of the last publication that was in force somewhere, by path; `None`: there is none.
pub async fn latest(db: &mut Db, _: All) -> Result<Option<BTreeMap<String, String>>> {
    let Some(id) = latest_id(db).await? else {
        return Ok(None);
    };
    let files: Vec<(String, String)> = publication_files::table
        .inner_join(blobs::table)
        .filter(publication_files::publication_id.eq(id))
        .select((publication_files::path, blobs::content))
        .load(db.conn())
        .await?;
    Ok(Some(files.into_iter().collect()))
}

/// How many servers the last publication that was in force somewhere has; 0: there is none.
pub async fn latest_servers(db: &mut Db, _: All) -> Result<i32> {
    let Some(id) = latest_id(db).await? else {
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

/// A file that a publication changed: path, content before (if any) and after.
pub type Changed = (String, Option<String>, String);

/// The files that a publication changed against the one before it that was in force, at most
/// `limit`, and how many stayed as they were.
pub async fn changed_files(db: &mut Db, _: All, id: i64, limit: i64) -> Result<(Vec<Changed>, i64)> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Text)]
        path: String,
        #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
        before: Option<String>,
        #[diesel(sql_type = diesel::sql_types::Text)]
        after: String,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "select f.path, old.content as before, new.content as after from publication_files f \
         join blobs new on new.sha256 = f.sha256 \
         left join publication_files p on p.path = f.path and p.publication_id = \
           (select max(id) from publications where id < $1 and state in ('in_force', 'partly')) \
         left join blobs old on old.sha256 = p.sha256 \
         where f.publication_id = $1 and f.change <> 'same' order by f.path limit $2",
    )
    .bind::<Bigint, _>(id)
    .bind::<Bigint, _>(limit)
    .load(db.conn())
    .await?;
    let same = publication_files::table
        .filter(publication_files::publication_id.eq(id).and(publication_files::change.eq("same")))
        .count()
        .get_result(db.conn())
        .await?;
    Ok((rows.into_iter().map(|row| (row.path, row.before, row.after)).collect(), same))
}

/// Publications, the newest first, with how many files each changed.
pub async fn list(db: &mut Db, _: All, at: &At) -> Result<Page<(Publication, i64)>> {
    let query = publications::table
        .limit(SIZE as i64 + 1)
        .select((
            Publication::as_select(),
            diesel::dsl::sql::<Bigint>(
                "(select count(*) from publication_files f where f.publication_id = publications.id and f.change <> 'same')",
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
