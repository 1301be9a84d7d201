//! Links that work once. Only the SHA-256 of a link's secret is kept.

use std::net::IpAddr;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::{SignedDuration, Timestamp};
use jiff_diesel::ToDiesel;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{NewUser, User, any, passwords, random_text};
use crate::error::{Error, Fields, Result};
use crate::store::audit::{self, Event};
use crate::store::changes::Actor;
use crate::store::schema::{one_time_links, users};
use crate::store::scope::All;
use crate::store::{Db, sessions};

/// Held while the first admin is made, so that there is one.
const SETUP_LOCK: i64 = 0x7072_6f6d_6d67_7202;
/// How long a person who never had a password has to choose one, and an invitation is open, hours.
pub(super) const WELCOME_HOURS: i64 = 7 * 24;
/// How long somebody has who forgot theirs.
const RESET_HOURS: i64 = 24;

/// A link just made. Its secret cannot be shown again.
#[derive(Clone, Debug)]
pub struct Made {
    pub secret: String,
    pub expires_at: Timestamp,
}

impl Made {
    pub(super) fn new(hours: i64) -> Self {
        let expires_at = Timestamp::now().saturating_add(SignedDuration::from_hours(hours));
        Self { secret: random_text(32), expires_at: expires_at.unwrap_or(Timestamp::MAX) }
    }

    /// What is kept of the secret.
    pub(super) fn hash(&self) -> Vec<u8> {
        hash(&self.secret)
    }
}

pub(super) fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret).to_vec()
}

/// Makes the secret of a link that lets its holder make the first admin, for one day.
pub async fn setup_link(db: &mut Db, _: All) -> Result<String> {
    let made = Made::new(24);
    diesel::insert_into(one_time_links::table)
        .values((
            one_time_links::hash.eq(made.hash()),
            one_time_links::purpose.eq("setup"),
            one_time_links::expires_at.eq(made.expires_at.to_diesel()),
        ))
        .execute(db.conn())
        .await?;
    Ok(made.secret)
}

/// Whether a setup link still works: nobody exists, and it has not expired.
pub async fn setup_open(db: &mut Db, secret: &str) -> Result<bool> {
    let link = one_time_links::table
        .filter(one_time_links::hash.eq(hash(secret)))
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
        let by = Actor { id: Some(id), name, from, through: "setup link".into(), staff: true };
        let fields = json!({"name": by.name, "admin": true});
        audit::note(conn, &by, Event::new("user.added", &by.name).id(id).made(fields)).await?;
        Ok(id)
    })
    .await
}

/// Makes a link by which a person chooses a password: for a week when they never had one, else for a day.
/// It takes the place of the one before. The old password stays good until the link is used: it may get lost
/// on its way, and making one must not lock anybody out. `Conflict` when the person is disabled.
pub async fn password_link(db: &mut Db, _: All, user: i64, by: &Actor) -> Result<Made> {
    db.transaction(async |conn| {
        let found: User =
            users::table.find(user).select(User::as_select()).for_no_key_update().first(conn).await?;
        if found.disabled_at.is_some() {
            return Err(Error::Conflict(format!("{} is disabled: no link would work.", found.name)));
        }
        insert_password_link(conn, &found, by).await
    })
    .await
}

pub(super) async fn insert_password_link(
    conn: &mut AsyncPgConnection,
    user: &User,
    by: &Actor,
) -> Result<Made> {
    let made = Made::new(if user.has_password { RESET_HOURS } else { WELCOME_HOURS });
    forget(conn, user.id).await?;
    diesel::insert_into(one_time_links::table)
        .values((
            one_time_links::hash.eq(made.hash()),
            one_time_links::purpose.eq("password"),
            one_time_links::expires_at.eq(made.expires_at.to_diesel()),
            one_time_links::user_id.eq(user.id),
            one_time_links::made_by.eq(&by.name),
            one_time_links::made_by_id.eq(by.id),
        ))
        .execute(conn)
        .await?;
    let event = Event::new("user.password_link", &user.name).id(user.id);
    audit::note(conn, by, event.made(json!({"expires_at": made.expires_at}))).await?;
    Ok(made)
}

/// Forgets the links by which a person may choose a password.
pub(super) async fn forget(conn: &mut AsyncPgConnection, user: i64) -> Result<()> {
    diesel::delete(
        one_time_links::table
            .filter(one_time_links::purpose.eq("password").and(one_time_links::user_id.eq(user))),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Who made the link that a person may choose a password by, and when it expires, where there is one.
pub async fn open_password_link(db: &mut Db, _: All, user: i64) -> Result<Option<(String, Timestamp)>> {
    let found: Option<(String, jiff_diesel::Timestamp)> = one_time_links::table
        .filter(one_time_links::purpose.eq("password").and(one_time_links::user_id.eq(user)))
        .filter(one_time_links::expires_at.gt(diesel::dsl::now))
        .select((one_time_links::made_by, one_time_links::expires_at))
        .first(db.conn())
        .await
        .optional()?;
    Ok(found.map(|(by, at)| (by, at.to_jiff())))
}

/// The name of the person whose password a link sets. `NotFound` when it does not work. `db` is the door's.
pub async fn password_open(db: &mut Db, secret: &str) -> Result<String> {
    Ok(one_time_links::table
        .inner_join(users::table.on(one_time_links::user_id.eq(users::id.nullable())))
        .filter(one_time_links::hash.eq(hash(secret)).and(one_time_links::purpose.eq("password")))
        .filter(one_time_links::expires_at.gt(diesel::dsl::now))
        .filter(users::disabled_at.is_null())
        .select(users::name)
        .first(db.conn())
        .await?)
}

/// Sets a password by a link, which is used up, and ends the person's sessions; returns the person's id.
/// `NotFound` when the link does not work or somebody was quicker. `db` is the door's.
pub async fn choose_password(
    db: &mut Db,
    secret: &str,
    password: String,
    from: Option<IpAddr>,
) -> Result<i64> {
    // before the work of hashing
    password_open(db, secret).await?;
    super::check_password(&password).map_err(|why| Error::Invalid(Fields::one("password", why)))?;
    let new = crate::password::hash(password).await?;
    db.transaction(async |conn| {
        let link = one_time_links::table
            .filter(one_time_links::hash.eq(hash(secret)).and(one_time_links::purpose.eq("password")))
            .filter(one_time_links::expires_at.gt(diesel::dsl::now));
        let user: Option<i64> =
            diesel::delete(link).returning(one_time_links::user_id).get_result(conn).await?;
        let user = user.ok_or(Error::NotFound)?;
        let (name, staff): (String, bool) = users::table
            .find(user)
            .filter(users::disabled_at.is_null())
            .select((users::name, users::admin))
            .for_no_key_update()
            .first(conn)
            .await?;
        passwords::put(conn, user, &new).await?;
        forget(conn, user).await?;
        sessions::end_all(conn, user).await?;
        let through = "one-time link".into();
        let by = Actor { id: Some(user), name: name.clone(), from, through, staff };
        audit::note(conn, &by, Event::new("user.password_set", &name).id(user)).await?;
        Ok(user)
    })
    .await
}
