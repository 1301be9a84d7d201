//! The second factor: an app's codes beside the password, and recovery codes for who has lost the app.

mod answer;
mod recovery_codes;

use diesel::prelude::*;
use diesel::sql_types::{Bigint, Binary, Nullable, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;

pub use self::answer::{Answer, bond, check};
use super::audit::{self, Event};
use super::changes::Actor;
use super::schema::{second_factors, users};
use super::scope::All;
use super::{Db, sessions};
use crate::error::{Error, Fields, Result};
use crate::totp::{Secret, Worth};
use crate::vault::Vault;

/// What the secrets are sealed for.
const PURPOSE: &str = "totp";

/// Somebody's second factor, as the account page shows it.
#[derive(Default)]
pub struct SecondFactor {
    /// Since when it is asked for.
    pub enabled_at: Option<Timestamp>,
    /// It is asked for, but no key opens its secret: only recovery codes let the person in.
    pub unreadable: bool,
    /// What is being set up, for an hour.
    pub pending: Option<Secret>,
    pub codes_left: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<Timestamptz>, deserialize_as = jiff_diesel::NullableTimestamp)]
    enabled_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Binary>)]
    secret: Option<Vec<u8>>,
    /// `None` when it is too old.
    #[diesel(sql_type = Nullable<Binary>)]
    pending: Option<Vec<u8>>,
}

const ROW: &str = "select enabled_at, secret, \
    case when pending_at > now() - interval '1 hour' then pending end as pending \
    from second_factors where user_id = $1";

/// The second factor of somebody who is signed in. `db` is the door's, here and below.
pub async fn of(db: &mut Db, vault: &Vault, user: i64) -> Result<SecondFactor> {
    let row: Option<Row> =
        diesel::sql_query(ROW).bind::<Bigint, _>(user).get_result(db.conn()).await.optional()?;
    let Some(row) = row else {
        return Ok(SecondFactor::default());
    };
    let opened = |sealed: Option<Vec<u8>>| vault.open(PURPOSE, user, &sealed?).map(Secret::from_bytes);
    Ok(SecondFactor {
        enabled_at: row.enabled_at,
        unreadable: row.enabled_at.is_some() && opened(row.secret).is_none(),
        pending: opened(row.pending),
        codes_left: recovery_codes::left(db.conn(), user).await?,
    })
}

/// Begins to set one up, or another one; asks nobody for anything before [`confirm`]. `Conflict` where
/// there is no key to seal it with.
pub async fn begin(db: &mut Db, vault: &Vault, user: i64) -> Result<()> {
    let sealed = vault.seal(PURPOSE, user, Secret::generate().as_bytes())?;
    diesel::sql_query(
        "insert into second_factors (user_id, pending, pending_at) values ($1, $2, now()) \
         on conflict (user_id) do update set pending = excluded.pending, pending_at = excluded.pending_at",
    )
    .bind::<Bigint, _>(user)
    .bind::<Binary, _>(sealed)
    .execute(db.conn())
    .await?;
    Ok(())
}

/// Turns on what is being set up, as somebody has given a code of it, and ends the person's sessions: they
/// were opened without it. Returns new recovery codes. `Invalid` at `code`; `Conflict` when nothing is being
/// set up any more.
pub async fn confirm(
    db: &mut Db,
    vault: &Vault,
    user: i64,
    code: &str,
    at: Timestamp,
    by: &Actor,
) -> Result<Vec<String>> {
    db.transaction(async |conn| {
        let row: Option<Row> = diesel::sql_query(format!("{ROW} for update"))
            .bind::<Bigint, _>(user)
            .get_result(conn)
            .await
            .optional()?;
        let again = row.as_ref().is_some_and(|row| row.enabled_at.is_some());
        let pending = row.and_then(|row| vault.open(PURPOSE, user, &row.pending?));
        let Some(secret) = pending.map(Secret::from_bytes) else {
            return Err(Error::Conflict("Nothing is being set up any more. Begin anew.".into()));
        };
        let Worth::Holds(step) = secret.worth(&without_blanks(code), at, 0)? else {
            return Err(Error::Invalid(Fields::one(
                "code",
                "This is not what the app should show now. Is the clock of the phone right?",
            )));
        };
        diesel::sql_query(
            "update second_factors set secret = pending, enabled_at = now(), last_step = $2, \
                   wrong = 0, blocked_until = null, pending = null, pending_at = null where user_id = $1",
        )
        .bind::<Bigint, _>(user)
        .bind::<Bigint, _>(step)
        .execute(conn)
        .await?;
        sessions::end_all(conn, user).await?;
        let action = if again { "second_factor.replaced" } else { "second_factor.enabled" };
        audit::note(conn, by, Event::new(action, &by.name).id(user)).await?;
        recovery_codes::renew(conn, user).await
    })
    .await
}

/// Makes new recovery codes in the place of the old. `Conflict` without a second factor.
pub async fn renew_codes(db: &mut Db, user: i64, by: &Actor) -> Result<Vec<String>> {
    db.transaction(async |conn| {
        // whoever uses one up waits, and then finds it gone
        let on = second_factors::table
            .find(user)
            .filter(second_factors::secret.is_not_null())
            .select(second_factors::user_id)
            .for_update();
        if on.first::<i64>(conn).await.optional()?.is_none() {
            return Err(Error::Conflict("The second factor is off.".into()));
        }
        audit::note(conn, by, Event::new("second_factor.codes_renewed", &by.name).id(user)).await?;
        recovery_codes::renew(conn, user).await
    })
    .await
}

/// Turns somebody's second factor off, and forgets what is being set up. Says whether it was on.
pub async fn remove(db: &mut Db, user: i64, by: &Actor) -> Result<bool> {
    db.transaction(async |conn| {
        let was_on = delete(conn, user).await?;
        if was_on {
            audit::note(conn, by, Event::new("second_factor.disabled", &by.name).id(user)).await?;
        }
        Ok(was_on)
    })
    .await
}

/// Turns off the second factor of somebody who has lost it, and ends the person's sessions: whoever has the
/// phone may have one. Says whether it was on. `db` is an admin's.
pub async fn reset(db: &mut Db, _: All, user: i64, by: &Actor) -> Result<bool> {
    db.transaction(async |conn| {
        let was_on = delete(conn, user).await?;
        if was_on {
            sessions::end_all(conn, user).await?;
            let name: String = users::table.find(user).select(users::name).first(conn).await?;
            audit::note(conn, by, Event::new("second_factor.reset", &name).id(user)).await?;
        }
        Ok(was_on)
    })
    .await
}

async fn delete(conn: &mut AsyncPgConnection, user: i64) -> Result<bool> {
    let was: Option<Option<jiff_diesel::Timestamp>> = diesel::delete(second_factors::table.find(user))
        .returning(second_factors::enabled_at)
        .get_result(conn)
        .await
        .optional()?;
    Ok(was.flatten().is_some())
}

/// Since when somebody has a second factor; `None`: not at all. `db` is an admin's.
pub async fn since(db: &mut Db, _: All, user: i64) -> Result<Option<Timestamp>> {
    let since: Option<Option<jiff_diesel::Timestamp>> = second_factors::table
        .find(user)
        .select(second_factors::enabled_at)
        .first(db.conn())
        .await
        .optional()?;
    Ok(since.flatten().map(|at| at.to_jiff()))
}

/// Everybody who has a second factor. `db` is an admin's.
pub async fn people(db: &mut Db, _: All) -> Result<Vec<i64>> {
    let on = second_factors::table.filter(second_factors::secret.is_not_null());
    Ok(on.select(second_factors::user_id).load(db.conn()).await?)
}

/// What was typed without the blanks that apps show between digits.
fn without_blanks(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// What [`reseal`] found.
#[derive(Debug, PartialEq, Eq)]
pub struct Resealed {
    /// Brought under the first key.
    pub renewed: usize,
    /// Of people whom no key serves.
    pub unreadable: usize,
}

/// Brings every secret under the vault's first key, so that older keys can be taken away.
pub async fn reseal(db: &mut Db, vault: &Vault) -> Result<Resealed> {
    let rows: Vec<(i64, Vec<u8>)> = second_factors::table
        .filter(second_factors::secret.is_not_null())
        .select((second_factors::user_id, second_factors::secret.assume_not_null()))
        .load(db.conn())
        .await?;
    let mut resealed = Resealed { renewed: 0, unreadable: 0 };
    for (user, sealed) in rows {
        if let Some(renewed) = vault.renewed(PURPOSE, user, &sealed) {
            // another instance may have been quicker, or the person may have another one by now
            let same = second_factors::table.find(user).filter(second_factors::secret.eq(&sealed));
            resealed.renewed +=
                diesel::update(same).set(second_factors::secret.eq(renewed)).execute(db.conn()).await?;
        } else if vault.open(PURPOSE, user, &sealed).is_none() {
            resealed.unreadable += 1;
        }
    }
    Ok(resealed)
}
