//! Sessions of browsers, kept in Postgres for tower-sessions, so that every instance knows them.
//! Only the SHA-256 of the id is stored. Saving never brings an ended session back.

use std::fmt;

use async_trait::async_trait;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use jiff_diesel::ToDiesel;
use sha2::{Digest, Sha256};
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error as StoreError, Result as StoreResult};

use super::audit::{self, Event};
use super::changes::Actor;
use super::schema::sessions;
use super::{Db, Store};
use crate::error::{Error, Result};

/// The key of the signed-in person's id in a session's data.
pub const USER_KEY: &str = "user";
/// Of when it was last used, seconds.
pub const SEEN_KEY: &str = "seen";
/// Of the address that the person logged in from.
pub const FROM_KEY: &str = "from";
/// Of the browser's `User-Agent`.
pub const AGENT_KEY: &str = "agent";

/// Sessions that a person may have.
const MOST: i64 = 100;

/// tower-sessions' store over ours.
#[derive(Clone)]
pub struct Sessions(pub Store);

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

fn hash(id: &Id) -> Vec<u8> {
    Sha256::digest(id.0.to_be_bytes()).to_vec()
}

fn backend(error: impl fmt::Display) -> StoreError {
    StoreError::Backend(error.to_string())
}

type Values = (
    diesel::dsl::Eq<sessions::user_id, Option<i64>>,
    diesel::dsl::Eq<sessions::data, serde_json::Value>,
    diesel::dsl::Eq<sessions::expires_at, jiff_diesel::Timestamp>,
);

fn values(record: &Record) -> StoreResult<Values> {
    let expires = Timestamp::from_second(record.expiry_date.unix_timestamp())
        .map_err(|error| StoreError::Encode(error.to_string()))?;
    let data = serde_json::to_value(&record.data).map_err(|error| StoreError::Encode(error.to_string()))?;
    Ok((
        sessions::user_id.eq(record.data.get(USER_KEY).and_then(serde_json::Value::as_i64)),
        sessions::data.eq(data),
        sessions::expires_at.eq(expires.to_diesel()),
    ))
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> StoreResult<()> {
        let mut db = self.0.door().await.map_err(backend)?;
        let values = (sessions::id_hash.eq(hash(&record.id)), values(record)?);
        db.transaction(async |conn| {
            diesel::insert_into(sessions::table).values(values).execute(conn).await?;
            end_surplus(conn, &hash(&record.id)).await
        })
        .await
        .map_err(backend)
    }

    async fn save(&self, record: &Record) -> StoreResult<()> {
        let mut db = self.0.door().await.map_err(backend)?;
        diesel::update(sessions::table.find(hash(&record.id)))
            .set(values(record)?)
            .execute(db.conn())
            .await
            .map_err(backend)?;
        Ok(())
    }

    async fn load(&self, id: &Id) -> StoreResult<Option<Record>> {
        let mut db = self.0.door().await.map_err(backend)?;
        let found: Option<(serde_json::Value, jiff_diesel::Timestamp)> = sessions::table
            .find(hash(id))
            .filter(sessions::expires_at.gt(diesel::dsl::now))
            .select((sessions::data, sessions::expires_at))
            .first(db.conn())
            .await
            .optional()
            .map_err(backend)?;
        let Some((data, expires)) = found else {
            return Ok(None);
        };
        let decode = |error: String| StoreError::Decode(error);
        Ok(Some(Record {
            id: *id,
            data: serde_json::from_value(data).map_err(|error| decode(error.to_string()))?,
            expiry_date: time::OffsetDateTime::from_unix_timestamp(expires.to_jiff().as_second())
                .map_err(|error| decode(error.to_string()))?,
        }))
    }

    async fn delete(&self, id: &Id) -> StoreResult<()> {
        let mut db = self.0.door().await.map_err(backend)?;
        diesel::delete(sessions::table.find(hash(id))).execute(db.conn()).await.map_err(backend)?;
        Ok(())
    }
}

/// Ends every session of a person.
pub(super) async fn end_all(conn: &mut AsyncPgConnection, user: i64) -> Result<()> {
    diesel::delete(sessions::table.filter(sessions::user_id.eq(user))).execute(conn).await?;
    Ok(())
}

/// Ends those of a person's sessions that were not used for the longest time, so that they have [`MOST`] with the
/// one that has just begun. Nobody's sessions are not counted: they end soon by themselves.
async fn end_surplus(conn: &mut AsyncPgConnection, begun: &[u8]) -> Result<()> {
    let sql = "delete from sessions where id_hash in (select other.id_hash from sessions this join sessions other \
         on other.user_id = this.user_id and other.id_hash <> this.id_hash where this.id_hash = $1 \
         order by (other.data->>'seen')::bigint desc nulls last, other.created_at desc offset $2)";
    diesel::sql_query(sql)
        .bind::<diesel::sql_types::Bytea, _>(begun)
        .bind::<diesel::sql_types::BigInt, _>(MOST - 1)
        .execute(conn)
        .await?;
    Ok(())
}

/// A session of somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Session {
    /// Names it to the person whose it is, and opens no door: the hash of its id, in hexadecimal.
    pub handle: String,
    pub started_at: Timestamp,
    pub seen_at: Option<Timestamp>,
    /// Where the person logged in from.
    pub from: String,
    /// The browser's `User-Agent`.
    pub agent: String,
}

fn handle(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The handle of the session with that id.
pub fn handle_of(id: &Id) -> String {
    handle(&hash(id))
}

/// A person's sessions, the one last used first. `db` is the door's.
pub async fn of(db: &mut Db, user: i64) -> Result<Vec<Session>> {
    type Row = (Vec<u8>, serde_json::Value, jiff_diesel::Timestamp);
    let rows: Vec<Row> = sessions::table
        .filter(sessions::user_id.eq(user).and(sessions::expires_at.gt(diesel::dsl::now)))
        .select((sessions::id_hash, sessions::data, sessions::created_at))
        .load(db.conn())
        .await?;
    let text = |data: &serde_json::Value, key| data[key].as_str().unwrap_or_default().to_owned();
    let session = |(hash, data, started): Row| Session {
        handle: handle(&hash),
        started_at: started.to_jiff(),
        seen_at: data[SEEN_KEY].as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok()),
        from: text(&data, FROM_KEY),
        agent: text(&data, AGENT_KEY),
    };
    let mut all: Vec<_> = rows.into_iter().map(session).collect();
    all.sort_by_key(|session| std::cmp::Reverse(session.seen_at));
    Ok(all)
}

/// Ends one session of the actor. `NotFound` when it is not theirs, or over. `db` is the door's.
pub async fn end(db: &mut Db, by: &Actor, handle: &str) -> Result<()> {
    db.transaction(async |conn| {
        let ended =
            diesel::sql_query("delete from sessions where user_id = $1 and encode(id_hash, 'hex') = $2")
                .bind::<diesel::sql_types::Nullable<diesel::sql_types::Bigint>, _>(by.id)
                .bind::<diesel::sql_types::Text, _>(handle)
                .execute(conn)
                .await?;
        if ended == 0 {
            return Err(Error::NotFound);
        }
        audit::note(conn, by, Event::new("session.ended", &by.name)).await
    })
    .await
}

/// Ends every session of the actor but the one with that handle; returns how many. `db` is the door's.
pub async fn end_others(db: &mut Db, by: &Actor, kept: &str) -> Result<usize> {
    db.transaction(async |conn| {
        let Some(user) = by.id else { return Ok(0) };
        let ended = end_all_but(conn, user, kept).await?;
        if ended > 0 {
            audit::note(conn, by, Event::new("session.others_ended", &by.name)).await?;
        }
        Ok(ended)
    })
    .await
}

/// Ends a person's sessions but the one with that handle.
pub(super) async fn end_all_but(conn: &mut AsyncPgConnection, user: i64, kept: &str) -> Result<usize> {
    Ok(diesel::sql_query("delete from sessions where user_id = $1 and encode(id_hash, 'hex') <> $2")
        .bind::<diesel::sql_types::Bigint, _>(user)
        .bind::<diesel::sql_types::Text, _>(kept)
        .execute(conn)
        .await?)
}

/// Forgets sessions and links that have expired. A step of the worker.
pub async fn sweep(store: &Store) -> Result<usize, Error> {
    use super::schema::one_time_links;
    let mut db = store.door().await?;
    let ended = diesel::delete(sessions::table.filter(sessions::expires_at.le(diesel::dsl::now)))
        .execute(db.conn())
        .await?;
    diesel::delete(one_time_links::table.filter(one_time_links::expires_at.le(diesel::dsl::now)))
        .execute(db.conn())
        .await?;
    Ok(ended)
}
