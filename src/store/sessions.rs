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

use super::Store;
use super::schema::sessions;
use crate::error::{Error, Result};

/// The key of the signed-in person's id in a session's data.
pub const USER_KEY: &str = "user";

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
        let mut db = self.0.db().await.map_err(backend)?;
        diesel::insert_into(sessions::table)
            .values((sessions::id_hash.eq(hash(&record.id)), values(record)?))
            .execute(db.conn())
            .await
            .map_err(backend)?;
        Ok(())
    }

    async fn save(&self, record: &Record) -> StoreResult<()> {
        let mut db = self.0.db().await.map_err(backend)?;
        diesel::update(sessions::table.find(hash(&record.id)))
            .set(values(record)?)
            .execute(db.conn())
            .await
            .map_err(backend)?;
        Ok(())
    }

    async fn load(&self, id: &Id) -> StoreResult<Option<Record>> {
        let mut db = self.0.db().await.map_err(backend)?;
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
        let mut db = self.0.db().await.map_err(backend)?;
        diesel::delete(sessions::table.find(hash(id))).execute(db.conn()).await.map_err(backend)?;
        Ok(())
    }
}

/// Ends every session of a person.
pub(super) async fn end_all(conn: &mut AsyncPgConnection, user: i64) -> Result<()> {
    diesel::delete(sessions::table.filter(sessions::user_id.eq(user))).execute(conn).await?;
    Ok(())
}

/// Forgets sessions and links that have expired. A step of the worker.
pub async fn sweep(store: &Store) -> Result<usize, Error> {
    use super::schema::one_time_links;
    let mut db = store.db().await?;
    let ended = diesel::delete(sessions::table.filter(sessions::expires_at.le(diesel::dsl::now)))
        .execute(db.conn())
        .await?;
    diesel::delete(one_time_links::table.filter(one_time_links::expires_at.le(diesel::dsl::now)))
        .execute(db.conn())
        .await?;
    Ok(ended)
}
