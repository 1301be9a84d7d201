//! The files of publications: what one changed, and their bytes.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Bigint, Nullable, Text};
use diesel_async::RunQueryDsl;

use crate::error::Result;
use crate::store::Db;
use crate::store::schema::blobs;
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

/// Texts by their SHA-256; a hash that nobody knows is absent.
pub async fn contents(db: &mut Db, _: All, hashes: &[&[u8]]) -> Result<HashMap<Vec<u8>, String>> {
    let rows: Vec<(Vec<u8>, String)> =
        blobs::table.filter(blobs::sha256.eq_any(hashes)).load(db.conn()).await?;
    Ok(rows.into_iter().collect())
}
