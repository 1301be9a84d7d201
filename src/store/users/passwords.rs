//! Passwords, in a table that only the door and the staff can read.

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::store::Db;
use crate::store::schema::{passwords, users};

/// Whether a row of users has one; for those who may see passwords.
#[diesel::dsl::auto_type]
pub(in crate::store) fn has_password() -> _ {
    exists(passwords::table.filter(passwords::user_id.eq(users::id)))
}

/// Gives a person a password, in PHC string format, in the place of the one before.
pub(super) async fn put(conn: &mut AsyncPgConnection, user: i64, hash: &str) -> Result<()> {
    diesel::insert_into(passwords::table)
        .values((passwords::user_id.eq(user), passwords::hash.eq(hash)))
        .on_conflict(passwords::user_id)
        .do_update()
        .set(passwords::hash.eq(excluded(passwords::hash)))
        .execute(conn)
        .await?;
    Ok(())
}

/// What a session is tied to: the SHA-256 of the password's hash, in hexadecimal.
pub fn bond(password_hash: &str) -> String {
    Sha256::digest(password_hash).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of a person's password; `None`: there is no such person, or they have none. `db` is the door's.
pub async fn password_hash(db: &mut Db, id: i64) -> Result<Option<String>> {
    let hash = passwords::table
        .inner_join(users::table)
        .filter(users::id.eq(id).and(users::disabled_at.is_null()))
        .select(passwords::hash);
    Ok(hash.first(db.conn()).await.optional()?)
}
