//! What another hand has changed in the folder, as it was found last; and whether changes are published by themselves.

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Bool, Integer, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use serde_json::json;

use crate::error::Result;
use crate::store::Db;
use crate::store::audit::{self, Event};
use crate::store::changes::Actor;
use crate::store::schema::{drift, publishing};
use crate::store::scope::All;
use crate::store::statement::Prepare;

/// Notes which files are not as they were published, by path and what was done to them; what is as it was again is forgotten.
pub async fn note_drift(db: &mut Db, _: All, found: &[(String, &'static str)]) -> Result<()> {
    let (paths, changes): (Vec<&str>, Vec<&str>) =
        found.iter().map(|(path, change)| (path.as_str(), *change)).unzip();
    db.transaction(async |conn| {
        diesel::delete(drift::table.filter(drift::path.ne_all(&paths))).execute(conn).await?;
        diesel::sql_query(
            "insert into drift (path, change) select * from unnest($1, $2) on conflict (path) do update set change = excluded.change",
        )
        .bind::<Array<Text>, _>(&paths)
        .bind::<Array<Text>, _>(&changes)
        .execute(conn)
        .await?;
        Ok(())
    })
    .await
}

/// How many files were not as they were published when it was looked last.
pub async fn drifted(db: &mut Db, _: All) -> Result<i64> {
    Ok(drift::table.count().get_result(db.conn()).await?)
}

/// Whether changes are published by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = publishing)]
pub struct Automatic {
    pub automatic: bool,
    /// After so many seconds without a change.
    pub quiet_seconds: i32,
}

/// The shortest and the longest of [`Automatic::quiet_seconds`].
pub const QUIET: std::ops::RangeInclusive<i32> = 5..=3600;

/// As it is set.
pub async fn automatic(db: &mut Db, _: All) -> Result<Automatic> {
    Ok(publishing::table.select(Automatic::as_select()).first(db.conn()).await?)
}

/// Sets it.
pub async fn set_automatic(db: &mut Db, _: All, new: Automatic, by: &Actor) -> Result<()> {
    let fields = |of: Automatic| json!({"automatic": of.automatic, "quiet_seconds": of.quiet_seconds});
    db.transaction(async |conn| {
        let old = publishing::table.select(Automatic::as_select()).for_update().first(conn).await?;
        diesel::update(publishing::table)
            .set((publishing::automatic.eq(new.automatic), publishing::quiet_seconds.eq(new.quiet_seconds)))
            .execute(conn)
            .await?;
        let event = Event::new("publication.automatic_set", "automatic publishing");
        audit::note(conn, by, event.changed(fields(old), fields(new))).await
    })
    .await
}

/// What the automatic publishing goes by.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub struct Due {
    /// Something waits, and nothing was changed for long enough; or it has waited for ten times as long.
    #[diesel(sql_type = Bool)]
    pub due: bool,
    /// Whoever published last brought old files back: what comes next is for people to decide.
    #[diesel(sql_type = Bool)]
    pub copied: bool,
    /// The newest publication did not come into force within the last five minutes, and nothing was changed since it began.
    #[diesel(sql_type = Bool)]
    pub refused: bool,
}

/// Whether it is time to publish by itself.
pub async fn due(db: &mut Db, _: All, automatic: Automatic, now: Timestamp) -> Result<Due> {
    use jiff_diesel::ToDiesel;
    Ok(diesel::sql_query(
        "with waits as (select min(p.at) as first, max(p.at) as last from pending_changes p where p.publication_id is null), \
         newest as (select * from publications order by id desc limit 1) \
         select coalesce(w.last < $1 - make_interval(secs => $2) or w.first < $1 - make_interval(secs => $2 * 10), false) as due, \
           coalesce((select copy_of is not null from publications where state in ('in_force', 'partly') order by id desc limit 1), false) as copied, \
           coalesce((select state in ('refused', 'failed') and created_at > greatest(w.last, $1 - interval '5 minutes') from newest), false) as refused from waits w",
    )
    .bind::<Timestamptz, _>(now.to_diesel())
    .bind::<Integer, _>(automatic.quiet_seconds)
    .prepared()
    .get_result(db.conn())
    .await?)
}

/// What people did that publications after one and up to another brought; oldest first, at most `limit`.
pub async fn notes_between(db: &mut Db, _: All, after: i64, to: i64, limit: i64) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        text: String,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "select summary || ' (' || user_name || ')' as text from pending_changes \
         where publication_id > $1 and publication_id <= $2 order by id limit $3",
    )
    .bind::<Bigint, _>(after)
    .bind::<Bigint, _>(to)
    .bind::<Bigint, _>(limit)
    .load(db.conn())
    .await?;
    Ok(rows.into_iter().map(|row| row.text).collect())
}
