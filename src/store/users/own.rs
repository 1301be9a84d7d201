//! What people change of their own account. All of it happens at the door.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel_async::RunQueryDsl;
use serde_json::json;

use crate::error::{Error, Result};
use crate::store::audit::{self, Event};
use crate::store::changes::Actor;
use crate::store::schema::{one_time_links, passwords, users};
use crate::store::{Db, sessions};

/// Gives the actor another password, in PHC string format, and ends the actor's sessions but the one with that
/// handle; links that would set a password no longer work. Returns how many sessions ended. `Conflict` for
/// who has none to change, or no longer the one of the `bond`.
pub async fn change_password(db: &mut Db, by: &Actor, bond: &str, hash: String, kept: &str) -> Result<usize> {
    db.transaction(async |conn| {
        let id = by.id.ok_or(Error::NotFound)?;
        let same =
            sql::<Bool>("encode(sha256(convert_to(passwords.hash, 'UTF8')), 'hex') = ").bind::<Text, _>(bond);
        let whose = passwords::table.find(id).filter(same);
        let changed = diesel::update(whose).set(passwords::hash.eq(hash)).execute(conn).await?;
        if changed == 0 {
            return Err(Error::Conflict(
                "The password was changed meanwhile, or this account has none: log in again and look.".into(),
            ));
        }
        let links = one_time_links::table.filter(one_time_links::user_id.eq(id));
        diesel::delete(links).execute(conn).await?;
        let ended = sessions::end_all_but(conn, id, kept).await?;
        audit::note(conn, by, Event::new("user.password_changed", &by.name).id(id)).await?;
        Ok(ended)
    })
    .await
}

/// Gives the actor another time zone, by its IANA name; empty: as the browser says.
pub async fn set_time_zone(db: &mut Db, by: &Actor, name: &str) -> Result<()> {
    db.transaction(async |conn| {
        let id = by.id.ok_or(Error::NotFound)?;
        let old: String = users::table.find(id).select(users::time_zone).for_update().first(conn).await?;
        if old == name {
            return Ok(());
        }
        diesel::update(users::table.find(id)).set(users::time_zone.eq(name)).execute(conn).await?;
        let event = Event::new("user.changed", &by.name).id(id);
        let event = event.changed(json!({"time_zone": old}), json!({"time_zone": name}));
        audit::note(conn, by, event).await
    })
    .await
}
