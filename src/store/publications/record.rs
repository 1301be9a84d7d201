//! A publication is noted when it begins and when it ends.

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Binary, Bool, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use jiff_diesel::ToDiesel;
use serde_json::json;

use super::Answer;
use super::wanted::Wanted;
use crate::error::Result;
use crate::store::Db;
use crate::store::audit::{self, Event};
use crate::store::changes::Actor;
use crate::store::schema::{drift, pending_changes, publications, unpublished_rows};
use crate::store::scope::All;
use crate::store::statement::Prepare;

/// A file that differs from what is in force.
#[derive(Clone, Copy, Debug)]
pub struct ChangedFile<'a> {
    pub path: &'a str,
    pub text: &'a str,
    pub sha256: &'a [u8],
    /// The hash of what is in force in its place.
    pub before: Option<&'a [u8]>,
}

/// A publication that begins.
#[derive(Clone, Debug)]
pub struct Beginning<'a> {
    /// SHA-256 over all files, in hexadecimal.
    pub revision: &'a str,
    /// What target files are made by.
    pub recipe: &'a str,
    pub servers: i32,
    /// How many files there are, changed or not.
    pub files: usize,
    pub changed: Vec<ChangedFile<'a>>,
    /// The publication whose files it brings back.
    pub copy_of: Option<i64>,
}

/// A file that was made of an owner's servers, whether it came out differently or not.
#[derive(Clone, Debug)]
pub struct Made {
    pub path: String,
    /// Of the owner, when its servers were read; `None`: it is to be made anew next time.
    pub changes: Option<i64>,
    pub servers: i32,
}

/// How a publication ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// As [`super::Publication::state`].
    pub state: &'static str,
    pub reason: String,
    /// When the files stood in the folder; `None`: they do not.
    pub written_at: Option<Timestamp>,
    pub answers: Vec<Answer>,
}

/// Notes that publishing begins, with every file that differs from what is in force.
pub async fn begin(db: &mut Db, _: All, by: &Actor, new: &Beginning<'_>) -> Result<i64> {
    db.transaction(async |conn| {
        // One that is left running by an instance that died: whoever holds the lock knows that it is over.
        diesel::update(publications::table.filter(publications::state.eq("running")))
            .set((
                publications::state.eq("failed"),
                publications::reason.eq("prommgr was stopped while it published."),
                publications::finished_at.eq(crate::store::now().nullable()),
            ))
            .execute(conn)
            .await?;
        let files = i32::try_from(new.files).unwrap_or(i32::MAX);
        let id: i64 = diesel::insert_into(publications::table)
            .values((
                publications::user_id.eq(by.id),
                publications::user_name.eq(&by.name),
                publications::revision.eq(new.revision),
                publications::recipe.eq(new.recipe),
                publications::state.eq("running"),
                publications::servers.eq(new.servers),
                publications::files.eq(files),
                publications::copy_of.eq(new.copy_of),
            ))
            .returning(publications::id)
            .get_result(conn)
            .await?;
        keep(conn, id, &new.changed).await?;
        let event = Event::new("publication.begun", &new.revision[..new.revision.len().min(12)]).id(id);
        let mut made = json!({"servers": new.servers, "files": files});
        if let Some(copy_of) = new.copy_of {
            made["files_of"] = json!(format!("№ {copy_of}"));
        }
        audit::note(conn, by, event.made(made)).await?;
        Ok(id)
    })
    .await
}

async fn keep(conn: &mut AsyncPgConnection, id: i64, changed: &[ChangedFile<'_>]) -> Result<()> {
    let hashes: Vec<&[u8]> = changed.iter().map(|file| file.sha256).collect();
    let texts: Vec<&str> = changed.iter().map(|file| file.text).collect();
    diesel::sql_query(
        "insert into blobs (sha256, content) select * from unnest($1, $2) on conflict do nothing",
    )
    .bind::<Array<Binary>, _>(&hashes)
    .bind::<Array<Text>, _>(texts)
    .prepared()
    .execute(conn)
    .await?;
    diesel::sql_query(
        "insert into publication_files (publication_id, path, sha256, before, change) \
         select $1, path, sha256, before, case when before is null then 'added' else 'changed' end \
         from unnest($2, $3, $4) given(path, sha256, before)",
    )
    .bind::<Bigint, _>(id)
    .bind::<Array<Text>, _>(changed.iter().map(|file| file.path).collect::<Vec<_>>())
    .bind::<Array<Binary>, _>(&hashes)
    .bind::<Array<Nullable<Binary>>, _>(changed.iter().map(|file| file.before).collect::<Vec<_>>())
    .prepared()
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes how publishing ended. What was in force somewhere is what is in force now, and takes its changes off the pending ones.
pub async fn finish(
    db: &mut Db,
    _: All,
    id: i64,
    ending: &Ending,
    made: &[Made],
    wanted: &Wanted,
) -> Result<()> {
    db.transaction(async |conn| {
        diesel::update(publications::table.find(id))
            .set((
                publications::state.eq(ending.state),
                publications::reason.eq(&ending.reason),
                publications::written_at.eq(ending.written_at.map(|at| at.to_diesel())),
                publications::finished_at.eq(crate::store::now().nullable()),
            ))
            .execute(conn)
            .await?;
        for answer in &ending.answers {
            put_step(conn, id, answer).await?;
        }
        if matches!(ending.state, "in_force" | "partly") {
            put_in_force(conn, id, made).await?;
            take_over(conn, id, wanted).await?;
            diesel::delete(drift::table).execute(conn).await?;
        }
        Ok(())
    })
    .await
}

/// Notes that the files stand in the folder.
pub async fn written(db: &mut Db, _: All, id: i64, at: Timestamp) -> Result<()> {
    db.transaction(async |conn| {
        let row = publications::table.find(id);
        diesel::update(row).set(publications::written_at.eq(at.to_diesel())).execute(conn).await?;
        Ok(())
    })
    .await
}

/// Notes how far one Prometheus has come.
pub async fn step(db: &mut Db, _: All, id: i64, answer: &Answer) -> Result<()> {
    db.transaction(async |conn| put_step(conn, id, answer).await).await
}

async fn put_step(conn: &mut AsyncPgConnection, id: i64, answer: &Answer) -> Result<()> {
    use crate::store::schema::publication_results as t;
    let values = (
        t::state.eq(&answer.state),
        t::reason.eq(&answer.reason),
        t::took_ms.eq(answer.took_ms),
        t::loaded_at.eq(answer.loaded_at.map(|at| at.to_diesel())),
        t::rules_at.eq(answer.rules_at.map(|at| at.to_diesel())),
        t::targets_at.eq(answer.targets_at.map(|at| at.to_diesel())),
        t::targets.eq(&answer.targets),
    );
    diesel::insert_into(t::table)
        .values((t::publication_id.eq(id), t::prometheus.eq(&answer.prometheus), values))
        .on_conflict((t::publication_id, t::prometheus))
        .do_update()
        .set(values)
        .execute(conn)
        .await?;
    Ok(())
}

/// What the snapshot saw does not wait any more.
async fn take_over(conn: &mut AsyncPgConnection, id: i64, wanted: &Wanted) -> Result<()> {
    diesel::update(pending_changes::table.filter(pending_changes::id.eq_any(&wanted.notes)))
        .set(pending_changes::publication_id.eq(id))
        .execute(conn)
        .await?;
    diesel::delete(unpublished_rows::table.filter(unpublished_rows::id.eq_any(&wanted.rows)))
        .execute(conn)
        .await?;
    Ok(())
}

async fn put_in_force(conn: &mut AsyncPgConnection, id: i64, made: &[Made]) -> Result<()> {
    diesel::sql_query(
        "insert into files_in_force (path, sha256) select path, sha256 from publication_files where publication_id = $1 \
         on conflict (path) do update set sha256 = excluded.sha256",
    )
    .bind::<Bigint, _>(id)
    .prepared()
    .execute(conn)
    .await?;
    diesel::sql_query(
        "update files_in_force f set changes = made.changes, servers = made.servers \
         from unnest($1, $2, $3) made(path, changes, servers) where f.path = made.path",
    )
    .bind::<Array<Text>, _>(made.iter().map(|made| made.path.as_str()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Bigint>>, _>(made.iter().map(|made| made.changes).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(made.iter().map(|made| made.servers).collect::<Vec<_>>())
    .prepared()
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes away the files of publications that are older than the newest `keep` and not in force, and the bytes that nobody
/// has any more. Returns of how many; none while somebody publishes.
pub async fn prune(db: &mut Db, _: All, keep: i64) -> Result<usize> {
    #[derive(QueryableByName)]
    struct Alone {
        #[diesel(sql_type = Bool)]
        alone: bool,
    }
    db.transaction(async |conn| {
        // who publishes counts on bytes that are there
        let lock: Alone = diesel::sql_query("select pg_try_advisory_xact_lock($1) as alone")
            .bind::<Bigint, _>(super::PUBLISH_LOCK)
            .get_result(conn)
            .await?;
        if !lock.alone {
            return Ok(0);
        }
        let pruned = diesel::sql_query(
            "update publications set kept = false where kept and id < least( \
               (select min(id) from (select id from publications order by id desc limit $1) newest), \
               (select max(id) from publications where state in ('in_force', 'partly')))",
        )
        .bind::<Bigint, _>(keep)
        .execute(conn)
        .await?;
        if pruned > 0 {
            diesel::sql_query(
                "delete from publication_files f using publications p where p.id = f.publication_id and not p.kept",
            )
            .execute(conn)
            .await?;
            diesel::sql_query(
                "delete from blobs b where not exists (select from publication_files f where f.sha256 = b.sha256) \
                   and not exists (select from publication_files f where f.before = b.sha256) \
                   and not exists (select from files_in_force f where f.sha256 = b.sha256)",
            )
            .execute(conn)
            .await?;
        }
        Ok(pruned)
    })
    .await
}
