//! Files of servers that people have handed in, kept until they are imported. All of it happens at the door, beside the tenants'
//! rows, and always for one person: what a file would change is found out with that person's rights.

use diesel::prelude::*;
use diesel::sql_types::{Bigint, Bool, Integer, Text};
use diesel_async::RunQueryDsl;

use super::Db;
use super::schema::imports;
use crate::error::{Error, Result};

/// Files that are kept of a person.
const MOST: i64 = 5;

/// A file, and what became of it.
#[derive(Clone, Debug, QueryableByName)]
pub struct Import {
    #[diesel(sql_type = Bigint)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Empty while it is under way, when nobody needs it.
    #[diesel(sql_type = Text)]
    pub content: String,
    /// Servers that are not in it are to be removed.
    #[diesel(sql_type = Bool)]
    pub remove: bool,
    /// `ready`, `under_way`, `done`, `failed`; `broken_off` when nobody has worked on it for half a minute.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// How it ended, for people.
    #[diesel(sql_type = Text)]
    pub said: String,
    /// Servers that were written, of so many.
    #[diesel(sql_type = Integer)]
    pub done: i32,
    #[diesel(sql_type = Integer)]
    pub all: i32,
}

/// Keeps a file of a person, and forgets that person's oldest.
pub async fn save(db: &mut Db, user: i64, name: &str, content: &str, remove: bool) -> Result<i64> {
    db.transaction(async |conn| {
        let new = (imports::user_id.eq(user), imports::name.eq(name), imports::content.eq(content));
        let id = diesel::insert_into(imports::table)
            .values((new, imports::remove.eq(remove)))
            .returning(imports::id)
            .get_result(conn)
            .await?;
        diesel::sql_query(
            "delete from imports where id in (select id from imports where user_id = $1 and state <> 'under_way' \
             order by created_at desc, id offset $2)",
        )
        .bind::<Bigint, _>(user)
        .bind::<Bigint, _>(MOST)
        .execute(conn)
        .await?;
        Ok(id)
    })
    .await
}

/// The file of that person.
pub async fn find(db: &mut Db, user: i64, id: i64) -> Result<Import> {
    Ok(diesel::sql_query(
        "select id, name, case now when 'under_way' then '' else content end as content, remove, said, done, \"all\", now as state \
         from (select i.*, case when state = 'under_way' and updated_at < now() - interval '30 seconds' then 'broken_off' \
           else i.state end as now from imports i where user_id = $1 and id = $2) i",
    )
    .bind::<Bigint, _>(user)
    .bind::<Bigint, _>(id)
    .get_result(db.conn())
    .await?)
}

/// Takes it in hand. `Conflict` when it is under way or done.
pub async fn begin(db: &mut Db, user: i64, id: i64) -> Result<()> {
    let begun = db
        .transaction(async |conn| {
            Ok(diesel::sql_query(
                "update imports set state = 'under_way', done = 0, updated_at = now() where user_id = $1 and id = $2 \
                 and (state in ('ready', 'failed') or state = 'under_way' and updated_at < now() - interval '30 seconds')",
            )
            .bind::<Bigint, _>(user)
            .bind::<Bigint, _>(id)
            .execute(conn)
            .await?)
        })
        .await?;
    match begun {
        0 => Err(Error::Conflict("It is under way already, or done.".into())),
        _ => Ok(()),
    }
}

/// Tells how far it is, and that somebody works on it.
pub async fn progress(db: &mut Db, id: i64, done: usize, all: usize) -> Result<()> {
    let count = |n| i32::try_from(n).unwrap_or(i32::MAX);
    db.transaction(async |conn| {
        diesel::update(imports::table.find(id))
            .set((
                imports::done.eq(count(done)),
                imports::all.eq(count(all)),
                imports::updated_at.eq(diesel::dsl::now),
            ))
            .execute(conn)
            .await?;
        Ok(())
    })
    .await
}

/// Ends it: `done`, or `failed` and to be tried again.
pub async fn end(db: &mut Db, id: i64, done: bool, said: &str) -> Result<()> {
    let state = if done { "done" } else { "failed" };
    db.transaction(async |conn| {
        diesel::update(imports::table.find(id))
            .set((imports::state.eq(state), imports::said.eq(said), imports::updated_at.eq(diesel::dsl::now)))
            .execute(conn)
            .await?;
        // what was imported is in the audit
        if done {
            diesel::update(imports::table.find(id)).set(imports::content.eq("")).execute(conn).await?;
        }
        Ok(())
    })
    .await
}
