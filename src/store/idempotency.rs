//! What POSTs were answered that came with an `Idempotency-Key`, as
//! <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/> has it. All of it happens at the door, and
//! always for one token.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Db;
use super::schema::idempotency_keys;
use super::scope::All;
use crate::error::Result;

/// For so long the same answer is given.
const KEPT: &str = "24 hours";

/// An answer that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = idempotency_keys)]
pub struct Answer {
    pub status: Option<i32>,
    pub location: Option<String>,
    pub etag: Option<String>,
    pub body: Option<String>,
}

/// What becomes of a request with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is the first one: to be done, and to be [`finish`]ed.
    First,
    /// Another one is under way, or was when prommgr was stopped.
    UnderWay,
    /// The key is of another request.
    Another,
    /// It was done, and answered so.
    Done(Answer),
}

/// Takes the key for a request, unless it is taken.
pub async fn begin(db: &mut Db, token: i64, key: &str, request: &[u8]) -> Result<Begun> {
    db.transaction(async |conn| {
        diesel::sql_query(format!(
            "delete from idempotency_keys where token_id = $1 and key = $2 and begun_at < now() - interval '{KEPT}'"
        ))
        .bind::<diesel::sql_types::BigInt, _>(token)
        .bind::<diesel::sql_types::Text, _>(key)
        .execute(conn)
        .await?;
        let taken = diesel::insert_into(idempotency_keys::table)
            .values((
                idempotency_keys::token_id.eq(token),
                idempotency_keys::key.eq(key),
                idempotency_keys::request.eq(request),
            ))
            .on_conflict_do_nothing()
            .execute(conn)
            .await?;
        if taken > 0 {
            return Ok(Begun::First);
        }
        let found: Option<(Vec<u8>, Answer)> = idempotency_keys::table
            .find((token, key))
            .select((idempotency_keys::request, Answer::as_select()))
            .first(conn)
            .await
            .optional()?;
        Ok(match found {
            // it failed just now
            None => Begun::UnderWay,
            Some((other, _)) if other != request => Begun::Another,
            Some((_, answer)) if answer.status.is_some() => Begun::Done(answer),
            Some(_) => Begun::UnderWay,
        })
    })
    .await
}

/// Keeps what a request was answered; `None`: it failed, and may be tried again with the same key.
pub async fn finish(db: &mut Db, token: i64, key: &str, answer: Option<Answer>) -> Result<()> {
    let row = idempotency_keys::table.find((token, key));
    db.transaction(async |conn| {
        match answer {
            Some(answer) => {
                diesel::update(row)
                    .set((
                        idempotency_keys::status.eq(answer.status),
                        idempotency_keys::location.eq(answer.location),
                        idempotency_keys::etag.eq(answer.etag),
                        idempotency_keys::body.eq(answer.body),
                    ))
                    .execute(conn)
                    .await?
            }
            None => diesel::delete(row).execute(conn).await?,
        };
        Ok(())
    })
    .await
}

/// Forgets what is old. A step of the worker.
pub async fn sweep(db: &mut Db, _: All) -> Result<usize> {
    let old =
        diesel::sql_query(format!("delete from idempotency_keys where begun_at < now() - interval '{KEPT}'"));
    db.transaction(async |conn| Ok(old.execute(conn).await?)).await
}
