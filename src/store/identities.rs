//! Who comes back from single sign-on: which person an identity of the provider's is, and what its
//! groups give that person here.

use std::collections::BTreeMap;
use std::net::IpAddr;

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;

use super::audit::{self, Event};
use super::changes::Actor;
use super::schema::{identities, memberships, owners, users};
use super::scope::All;
use super::users::check_name;
use super::{Db, on_constraint};
use crate::config::Given;
use crate::error::{Error, Result};

/// Held while somebody arrives, so that two browsers of one new person make one account.
const ARRIVAL_LOCK: i64 = 0x7072_6f6d_6d67_7206;
/// How the audit says that it was nobody's hand.
pub const THROUGH: &str = "single sign-on";

/// Somebody whom the provider has proved.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub issuer: &'a str,
    pub subject: &'a str,
    /// What a new person may be called, the best first.
    pub names: &'a [String],
    pub given: &'a Given,
    pub from: Option<IpAddr>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// This person may come in.
    In(i64),
    /// Neither groups nor people give this person anything.
    Nothing,
    /// A local person has this name already, and may be somebody else.
    NameTaken(String),
    /// This person is locked out.
    Disabled,
}

/// Finds the person of an identity, or makes one the first time, and applies what the groups give: what
/// they gave before and no longer give is taken away, and what people set by hand stays.
pub async fn arrive(db: &mut Db, _: All, arrival: Arrival<'_>) -> Result<Arrived> {
    db.transaction(async |conn| {
        diesel::sql_query(format!("select pg_advisory_xact_lock({ARRIVAL_LOCK})")).execute(conn).await?;
        let known: Option<i64> = identities::table
            .find((arrival.issuer, arrival.subject))
            .select(identities::user_id)
            .first(conn)
            .await
            .optional()?;
        let user = match known {
            Some(user) => user,
            None => match make(conn, arrival).await? {
                Ok(user) => user,
                Err(refused) => return Ok(refused),
            },
        };
        let (name, disabled): (String, bool) = users::table
            .find(user)
            .select((users::name, users::disabled_at.is_not_null()))
            .for_update()
            .first(conn)
            .await?;
        if disabled {
            return Ok(Arrived::Disabled);
        }
        let by = actor(user, &name, arrival.from);
        apply_admin(conn, &by, user, arrival.given.admin).await?;
        apply_owners(conn, &by, user, &arrival.given.owners).await?;
        Ok(if sees_something(conn, user).await? { Arrived::In(user) } else { Arrived::Nothing })
    })
    .await
}

fn actor(user: i64, name: &str, from: Option<IpAddr>) -> Actor {
    Actor { id: Some(user), name: name.to_owned(), from, through: THROUGH.into() }
}

/// A new person, unless there is nothing for them here, or the name is a local person's.
async fn make(conn: &mut AsyncPgConnection, arrival: Arrival<'_>) -> Result<Result<i64, Arrived>> {
    diesel::define_sql_function!(fn lower(text: Text) -> Text);
    if !arrival.given.admin && owners_of(conn, &arrival.given.owners).await?.is_empty() {
        return Ok(Err(Arrived::Nothing));
    }
    let Some(name) = arrival.names.iter().find_map(|name| check_name(name).ok()) else {
        return Err(Error::BadRequest("The single sign-on gives no name that can be used here.".into()));
    };
    let namesakes = users::table.filter(lower(users::name).eq(lower(&name)));
    if diesel::select(diesel::dsl::exists(namesakes)).get_result(conn).await? {
        return Ok(Err(Arrived::NameTaken(name)));
    }
    let made = diesel::insert_into(users::table)
        .values(users::name.eq(&name))
        .returning(users::id)
        .get_result::<i64>(conn)
        .await;
    let user = on_constraint(made, &[("users_name_key", "username", "This name is taken.")])?;
    let event = Event::new("user.added", &name).id(user).made(json!({"name": name}));
    audit::note(conn, &actor(user, &name, arrival.from), event).await?;
    add(conn, arrival.issuer, arrival.subject, user).await?;
    Ok(Ok(user))
}

async fn add(conn: &mut AsyncPgConnection, issuer: &str, subject: &str, user: i64) -> Result<()> {
    let added = diesel::insert_into(identities::table)
        .values((
            identities::issuer.eq(issuer),
            identities::subject.eq(subject),
            identities::user_id.eq(user),
        ))
        .execute(conn)
        .await;
    on_constraint(added, &[("identities_pkey", "identity", "It opens another account already.")])?;
    Ok(())
}

/// Makes an admin, or takes back what an earlier login made; never from the last admin who may log in.
async fn apply_admin(conn: &mut AsyncPgConnection, by: &Actor, user: i64, given: bool) -> Result<()> {
    let admins: Vec<(i64, bool)> = users::table
        .filter(users::admin.and(users::disabled_at.is_null()))
        .select((users::id, users::admin_by_sso))
        .order(users::id)
        .for_update()
        .load(conn)
        .await?;
    let was = admins.iter().find(|(id, _)| *id == user);
    match was {
        None if given => {}
        Some((_, true)) if !given && admins.len() > 1 => {}
        Some((_, true)) if !given => {
            tracing::warn!(
                name = by.name,
                "no group makes the last admin one any more, but somebody has to be"
            );
            return Ok(());
        }
        _ => return Ok(()),
    }
    diesel::update(users::table.find(user))
        .set((users::admin.eq(given), users::admin_by_sso.eq(given)))
        .execute(conn)
        .await?;
    let event = Event::new("user.changed", &by.name).id(user);
    audit::note(conn, by, event.changed(json!({"admin": !given}), json!({"admin": given}))).await
}

async fn apply_owners(
    conn: &mut AsyncPgConnection,
    by: &Actor,
    user: i64,
    given: &BTreeMap<String, bool>,
) -> Result<()> {
    let mut wanted = owners_of(conn, given).await?;
    let has: Vec<(i64, String, Option<String>)> = memberships::table
        .filter(memberships::user_id.eq(user))
        .select((memberships::owner_id, memberships::role, memberships::sso_role))
        .order(memberships::owner_id)
        .for_update()
        .load(conn)
        .await?;
    for (owner, old, sso_role) in has {
        let new = wanted.remove(&owner);
        // a role that no group gave was set by hand
        if sso_role.as_ref() != Some(&old) || new == Some(old.as_str()) {
            continue;
        }
        let row = memberships::table.find((user, owner));
        let event = |action| Event::new(action, &by.name).id(user).owner(owner);
        let event = if let Some(new) = new {
            diesel::update(row)
                .set((memberships::role.eq(new), memberships::sso_role.eq(new)))
                .execute(conn)
                .await?;
            event("membership.changed").changed(json!({"role": old}), json!({"role": new}))
        } else {
            diesel::delete(row).execute(conn).await?;
            event("membership.removed").gone(json!({"role": old}))
        };
        audit::note(conn, by, event).await?;
    }
    for (owner, role) in wanted {
        diesel::insert_into(memberships::table)
            .values((
                memberships::user_id.eq(user),
                memberships::owner_id.eq(owner),
                memberships::role.eq(role),
                memberships::sso_role.eq(role),
            ))
            .execute(conn)
            .await?;
        let event =
            Event::new("membership.added", &by.name).id(user).owner(owner).made(json!({"role": role}));
        audit::note(conn, by, event).await?;
    }
    Ok(())
}

/// Those of the owners who exist, with the role.
async fn owners_of(
    conn: &mut AsyncPgConnection,
    given: &BTreeMap<String, bool>,
) -> Result<BTreeMap<i64, &'static str>> {
    let found: Vec<(i64, String)> = owners::table
        .filter(owners::external_id.eq_any(given.keys()))
        .filter(owners::removed_at.is_null())
        .select((owners::id, owners::external_id))
        .load(conn)
        .await?;
    let role = |external_id: &str| if given.get(external_id) == Some(&true) { "manager" } else { "viewer" };
    Ok(found.into_iter().map(|(id, external_id)| (id, role(&external_id))).collect())
}

async fn sees_something(conn: &mut AsyncPgConnection, user: i64) -> Result<bool> {
    let memberships = memberships::table
        .inner_join(owners::table)
        .filter(memberships::user_id.eq(user))
        .filter(owners::removed_at.is_null());
    let member: bool = diesel::select(diesel::dsl::exists(memberships)).get_result(conn).await?;
    let admin: bool = users::table.find(user).select(users::admin).first(conn).await?;
    Ok(admin || member)
}

/// The person of an identity, disabled or not. `db` is the door's.
pub async fn user_of(db: &mut Db, issuer: &str, subject: &str) -> Result<Option<i64>> {
    let user = identities::table.find((issuer, subject)).select(identities::user_id);
    Ok(user.first(db.conn()).await.optional()?)
}

/// Whether a person can log in with a provider. `db` is the door's.
pub async fn is_linked(db: &mut Db, issuer: &str, user: i64) -> Result<bool> {
    let linked = identities::table.filter(identities::issuer.eq(issuer)).filter(identities::user_id.eq(user));
    Ok(diesel::select(diesel::dsl::exists(linked)).get_result(db.conn()).await?)
}

/// Has an identity open the account of the actor from now on. `Conflict` when it opens another one. `db` is
/// the door's.
pub async fn link(db: &mut Db, by: &Actor, issuer: &str, subject: &str) -> Result<()> {
    let user = by.id.ok_or(Error::Forbidden)?;
    match user_of(db, issuer, subject).await? {
        Some(other) if other == user => return Ok(()),
        Some(_) => return Err(Error::Conflict("This identity opens another account already.".into())),
        None => {}
    }
    db.transaction(async |conn| {
        add(conn, issuer, subject, user).await?;
        audit::note(conn, by, Event::new("identity.added", &by.name).id(user).made(json!({"issuer": issuer})))
            .await
    })
    .await
}

/// Has a provider no longer open the account of the actor, and takes back what its groups gave. `Conflict` when
/// nothing else opens it.
pub async fn unlink(db: &mut Db, _: All, by: &Actor, issuer: &str) -> Result<()> {
    let user = by.id.ok_or(Error::Forbidden)?;
    db.transaction(async |conn| {
        let has_password: bool = users::table
            .find(user)
            .select(users::password_hash.is_not_null())
            .for_update()
            .first(conn)
            .await?;
        if !has_password {
            return Err(Error::Conflict(
                "You have no password, so nothing else would open your account.".into(),
            ));
        }
        let theirs =
            identities::table.filter(identities::issuer.eq(issuer)).filter(identities::user_id.eq(user));
        if diesel::delete(theirs).execute(conn).await? == 0 {
            return Err(Error::NotFound);
        }
        let event = Event::new("identity.removed", &by.name).id(user).gone(json!({"issuer": issuer}));
        audit::note(conn, by, event).await?;
        apply_admin(conn, by, user, false).await?;
        apply_owners(conn, by, user, &BTreeMap::new()).await
    })
    .await
}
