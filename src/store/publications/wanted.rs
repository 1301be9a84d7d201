//! What is to be published, read at one moment: the servers of those owners only whose files have to be made anew.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::TryStreamExt;

use super::latest_id;
use crate::catalogue::Catalogue;
use crate::error::Result;
use crate::store::schema::{
    files_in_force, owners, pending_changes, publication_files, publications, servers, thresholds,
    unpublished_rows,
};
use crate::store::scope::All;
use crate::store::statement::Prepare;
use crate::store::thresholds::Threshold;
use crate::store::{Db, kinds};

/// An enabled server as it is scraped.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = servers)]
pub struct Scraped {
    pub owner_id: i64,
    pub external_id: String,
    pub address: String,
    pub port: i32,
    pub job: String,
    pub scheme: String,
    pub metrics_path: String,
    pub labels: serde_json::Value,
}

/// An owner that exists.
#[derive(Clone, Debug)]
pub struct PublishedOwner {
    pub external_id: String,
    /// Counts the changes of what is published of it.
    pub changes: i64,
}

/// A file in force.
#[derive(Clone, Debug)]
pub struct InForce {
    pub sha256: Vec<u8>,
    /// Of its owner when it was made; `None`: it was not made of an owner's servers as they were then.
    pub changes: Option<i64>,
    pub servers: i32,
}

/// What the new files are compared with, and whose they are.
#[derive(Clone, Debug)]
pub struct Base {
    /// The last publication that was in force somewhere.
    pub publication: Option<i64>,
    /// What its target files were made by.
    pub recipe: String,
    pub files: BTreeMap<String, InForce>,
    /// What publications wrote that came later and not into force: one that died may have left it in the folder.
    pub left: HashSet<(String, Vec<u8>)>,
    /// By id, those that exist.
    pub owners: BTreeMap<i64, PublishedOwner>,
}

/// Everything that is to be published but for the servers, which are handed on as they come.
#[derive(Debug)]
pub struct Wanted {
    pub base: Base,
    /// Every kind.
    pub kinds: Catalogue,
    /// Thresholds of the default layer, and of owners and servers that exist.
    pub thresholds: Vec<Threshold>,
    /// Server id to external id, of the servers that exist and have a threshold of their own.
    pub server_ids: BTreeMap<i64, String>,
    /// Of these external ids those that another owner uses, too.
    pub shared_server_ids: BTreeSet<String>,
    /// The changes that this moment includes.
    pub(super) notes: Vec<i64>,
    pub(super) rows: Vec<i64>,
}

impl Wanted {
    /// For a publication that brings none of the changes that wait.
    pub fn without_changes(self) -> Self {
        Self { notes: Vec::new(), rows: Vec::new(), ..self }
    }
}

/// Reads what is to be published. `stale` says whose servers are needed; `each` is given them owner by owner, and owners
/// without enabled servers not at all.
pub async fn wanted(
    db: &mut Db,
    _: All,
    stale: impl FnOnce(&Base) -> Vec<i64>,
    each: impl FnMut(i64, &PublishedOwner, Vec<Scraped>) -> Result<()>,
) -> Result<Wanted> {
    db.transaction_as("begin isolation level repeatable read read only", async |conn| {
        read(conn, stale, each).await
    })
    .await
}

/// The notes and the rows that wait.
pub(super) async fn waiting(conn: &mut AsyncPgConnection) -> Result<(Vec<i64>, Vec<i64>)> {
    let notes = pending_changes::table.filter(pending_changes::publication_id.is_null());
    let notes = notes.select(pending_changes::id).load(conn).await?;
    Ok((notes, unpublished_rows::table.select(unpublished_rows::id).load(conn).await?))
}

/// As [`wanted`], in a transaction that sees one moment.
pub(super) async fn read(
    conn: &mut AsyncPgConnection,
    stale: impl FnOnce(&Base) -> Vec<i64>,
    each: impl FnMut(i64, &PublishedOwner, Vec<Scraped>) -> Result<()>,
) -> Result<Wanted> {
    let (notes, rows) = waiting(conn).await?;
    let base = base(conn).await?;
    let owners = stale(&base);
    if !owners.is_empty() {
        servers_of(conn, &base, owners, each).await?;
    }
    let thresholds: Vec<Threshold> =
        thresholds::table.order(thresholds::id).select(Threshold::as_select()).load(conn).await?;
    let own = servers::table
        .filter(
            servers::id.eq_any(
                thresholds::table
                    .filter(thresholds::server_id.is_not_null())
                    .select(thresholds::server_id.assume_not_null()),
            ),
        )
        .filter(servers::removed_at.is_null());
    let server_ids: Vec<(i64, String)> = own.select((servers::id, servers::external_id)).load(conn).await?;
    Ok(Wanted {
        base,
        kinds: kinds::read(conn).await?,
        thresholds,
        server_ids: server_ids.into_iter().collect(),
        shared_server_ids: shared(conn).await?,
        notes,
        rows,
    })
}

async fn base(conn: &mut AsyncPgConnection) -> Result<Base> {
    let publication = latest_id(conn).await?;
    let recipe = match publication {
        Some(id) => publications::table.find(id).select(publications::recipe).first(conn).await?,
        None => String::new(),
    };
    let left: Vec<(String, Vec<u8>)> = publication_files::table
        .filter(publication_files::publication_id.gt(publication.unwrap_or_default()))
        .select((publication_files::path, publication_files::sha256))
        .load(conn)
        .await?;
    let files: Vec<(String, Vec<u8>, Option<i64>, i32)> = files_in_force::table.load(conn).await?;
    let owners: Vec<(i64, String, i64)> = owners::table
        .filter(owners::removed_at.is_null())
        .select((owners::id, owners::external_id, owners::changes))
        .load(conn)
        .await?;
    let in_force = |(path, sha256, changes, servers)| (path, InForce { sha256, changes, servers });
    let owner = |(id, external_id, changes)| (id, PublishedOwner { external_id, changes });
    Ok(Base {
        publication,
        recipe,
        files: files.into_iter().map(in_force).collect(),
        left: left.into_iter().collect(),
        owners: owners.into_iter().map(owner).collect(),
    })
}

/// A hundred thousand servers are never in memory at once.
async fn servers_of(
    conn: &mut AsyncPgConnection,
    base: &Base,
    owners: Vec<i64>,
    mut each: impl FnMut(i64, &PublishedOwner, Vec<Scraped>) -> Result<()>,
) -> Result<()> {
    let rows = servers::table
        .filter(servers::owner_id.eq_any(owners))
        .filter(servers::removed_at.is_null().and(servers::enabled))
        .order((servers::owner_id, servers::id))
        .select(Scraped::as_select());
    let mut rows = rows.load_stream::<Scraped>(conn).await?;
    let mut some: Vec<Scraped> = Vec::new();
    let mut hand_on = |some: Vec<Scraped>| match some.last().map(|server| server.owner_id) {
        Some(id) => base.owners.get(&id).map_or(Ok(()), |owner| each(id, owner, some)),
        None => Ok(()),
    };
    while let Some(server) = rows.try_next().await? {
        if some.last().is_some_and(|last| last.owner_id != server.owner_id) {
            hand_on(std::mem::take(&mut some))?;
        }
        some.push(server);
    }
    hand_on(some)
}

/// External ids of servers with a threshold of their own that another owner's server has, too.
async fn shared(conn: &mut AsyncPgConnection) -> Result<BTreeSet<String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        external_id: String,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "select distinct s.external_id from servers s \
         where s.removed_at is null and s.id in (select server_id from thresholds where server_id is not null) \
           and exists (select from servers o where o.external_id = s.external_id and o.removed_at is null and o.owner_id <> s.owner_id)",
    )
    .prepared()
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.external_id).collect())
}
