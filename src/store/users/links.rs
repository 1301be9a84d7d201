//! Links that work once. Only the SHA-256 of a link's secret is kept.

use std::net::IpAddr;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{NewUser, any, random_text};
use crate::error::{Error, Result};
use crate::store::Db;
use crate::store::audit::{self, Event};
use crate::store::changes::Actor;
use crate::store::schema::{one_time_links, users};
use crate::store::scope::All;

/// Held while the first admin is made, so that there is one.
const SETUP_LOCK: i64 = 0x7072_6f6d_6d67_7202;

/// Makes the secret of a link that lets its holder make the first admin, for one day.
pub async fn setup_link(db: &mut Db, _: All) -> Result<String> {
    let secret = random_text(32);
    diesel::sql_query(
        "insert into one_time_links (hash, purpose, expires_at) values ($1, 'setup', now() + interval '1 day')",
    )
    .bind::<diesel::sql_types::Bytea, _>(Sha256::digest(&secret).to_vec())
    .execute(db.conn())
    .await?;
    Ok(secret)
}

/// Whether a setup link still works: nobody exists, and it has not expired.
pub async fn setup_open(db: &mut Db, secret: &str) -> Result<bool> {
    let link = one_time_links::table
        .filter(one_time_links::hash.eq(Sha256::digest(secret).to_vec()))
        .filter(one_time_links::purpose.eq("setup"))
        .filter(one_time_links::expires_at.gt(diesel::dsl::now));
    let open: bool = diesel::select(diesel::dsl::exists(link)).get_result(db.conn()).await?;
    Ok(open && !any(db).await?)
}

/// Makes the first admin by a setup link; every such link is used up by it. `NotFound` when the
/// link does not work or somebody was quicker.
pub async fn set_up(db: &mut Db, secret: &str, new: NewUser, from: Option<IpAddr>) -> Result<i64> {
    if !setup_open(db, secret).await? {
        return Err(Error::NotFound);
    }
    db.transaction(async |conn| {
        diesel::sql_query(format!("select pg_advisory_xact_lock({SETUP_LOCK})")).execute(conn).await?;
        let somebody: bool =
            diesel::select(diesel::dsl::exists(users::table.select(users::id))).get_result(conn).await?;
        if somebody {
            return Err(Error::NotFound);
        }
        diesel::delete(one_time_links::table.filter(one_time_links::purpose.eq("setup")))
            .execute(conn)
            .await?;
        let name = new.name.clone();
        let id = super::insert(conn, NewUser { admin: true, ..new }).await?;
        let by = Actor { id: Some(id), name, from, through: "setup link".into() };
        let fields = json!({"name": by.name, "admin": true});
        audit::note(conn, &by, Event::new("user.added", &by.name).id(id).made(fields)).await?;
        Ok(id)
    })
    .await
}
