//! The files of publications: what one changed, and their bytes.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use diesel::sql_types::{Bigint, Binary, Nullable, Text};
use diesel_async::RunQueryDsl;

use crate::error::{Error, Result};
use crate::store::Db;
use crate::store::schema::{blobs, publications};
use crate::store::scope::All;

/// A file that a publication changed: path, content before (if any) and after.
pub type Changed = (String, Option<String>, String);

/// The files that a publication changed against what was in force when it began, at most `limit`, by path; and how many it
/// changed.
pub async fn changed_files(db: &mut Db, _: All, id: i64, limit: i64) -> Result<(Vec<Changed>, i64)> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        path: String,
        #[diesel(sql_type = Nullable<Text>)]
        before: Option<String>,
        #[diesel(sql_type = Text)]
        after: String,
        #[diesel(sql_type = Bigint)]
        total: i64,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "select f.path, old.content as before, new.content as after, count(*) over () as total from publication_files f \
         join blobs new on new.sha256 = f.sha256 left join blobs old on old.sha256 = f.before \
         where f.publication_id = $1 order by f.path limit $2",
    )
    .bind::<Bigint, _>(id)
    .bind::<Bigint, _>(limit)
    .load(db.conn())
    .await?;
    let all = rows.last().map_or(0, |row| row.total);
    Ok((rows.into_iter().map(|row| (row.path, row.before, row.after)).collect(), all))
}

/// Every file of a publication by path, as it was in force then or would have been; `None`: it was not there yet. `NotFound` where
/// its files are no longer kept.
pub async fn state(db: &mut Db, _: All, id: i64) -> Result<BTreeMap<String, Option<Vec<u8>>>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        path: String,
        #[diesel(sql_type = Nullable<Binary>)]
        sha256: Option<Vec<u8>>,
    }
    let kept: bool = publications::table.find(id).select(publications::kept).first(db.conn()).await?;
    if !kept {
        return Err(Error::NotFound);
    }
    // back from what is in force, by what the first of the later ones found in each place
    let rows: Vec<Row> = diesel::sql_query(
        "select path, case when later.path is null then f.sha256 else later.before end as sha256 \
         from files_in_force f full join (select distinct on (d.path) d.path, d.before from publication_files d \
           join publications p on p.id = d.publication_id and p.state in ('in_force', 'partly') \
           where p.id > $1 order by d.path, d.publication_id) later using (path) \
         where not exists (select from publications p join publication_files d on d.publication_id = p.id and d.path = coalesce(f.path, later.path) \
           where p.id = $1 and p.state not in ('in_force', 'partly')) \
         union all select path, sha256 from publication_files d join publications p on p.id = d.publication_id \
         where p.id = $1 and p.state not in ('in_force', 'partly')",
    )
    .bind::<Bigint, _>(id)
    .load(db.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.path, row.sha256)).collect())
}

/// Texts by their SHA-256; a hash that nobody knows is absent.
pub async fn contents(db: &mut Db, _: All, hashes: &[&[u8]]) -> Result<HashMap<Vec<u8>, String>> {
    let rows: Vec<(Vec<u8>, String)> =
        blobs::table.filter(blobs::sha256.eq_any(hashes)).load(db.conn()).await?;
    Ok(rows.into_iter().collect())
}
