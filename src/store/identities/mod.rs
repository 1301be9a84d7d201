//! Who comes back from single sign-on: which person an identity of the provider's is, and what its
//! groups give that person here.

mod given;

use std::collections::BTreeMap;
use std::net::IpAddr;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;

use self::given::{apply_admin, apply_owners, owners_of, sees_something};
use super::audit::{self, Event};
use super::changes::Actor;
use super::schema::{audit as audit_rows, identities, users};
use super::scope::All;
use super::users::{check_name, has_password};
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
                Err(refused) => return turned_away(conn, arrival, None, refused).await,
            },
        };
        let (name, disabled, admin): (String, bool, bool) = users::table
            .find(user)
            .select((users::name, users::disabled_at.is_not_null(), users::admin))
            .for_update()
            .first(conn)
            .await?;
        if disabled {
            let by = actor(user, &name, arrival, admin);
            return turned_away(conn, arrival, Some(by), Arrived::Disabled).await;
        }
        let by = actor(user, &name, arrival, admin || arrival.given.admin);
        apply_admin(conn, &by, user, arrival.given.admin).await?;
        apply_owners(conn, &by, user, &arrival.given.owners).await?;
        if !sees_something(conn, user).await? {
            return turned_away(conn, arrival, Some(by), Arrived::Nothing).await;
        }
        Ok(Arrived::In(user))
    })
    .await
}

/// Notes that somebody whom the provider has proved is not let in, once an hour: the audit is kept for ever.
async fn turned_away(
    conn: &mut AsyncPgConnection,
    arrival: Arrival<'_>,
    by: Option<Actor>,
    refused: Arrived,
) -> Result<Arrived> {
    const ACTION: &str = "session.refused";
    let name = arrival.names.iter().find_map(|name| check_name(name).ok());
    let by = by.unwrap_or_else(|| {
        let name = name.as_deref().unwrap_or("somebody");
        Actor { from: arrival.from, through: THROUGH.into(), ..Actor::program(name) }
    });
    let why = match &refused {
        Arrived::In(_) => return Ok(refused),
        Arrived::Nothing => "nothing was given to them",
        Arrived::NameTaken(_) => "the name is a local account's",
        Arrived::Disabled => "the account is disabled",
    };
    let lately = audit_rows::table
        .filter(audit_rows::action.eq(ACTION).and(audit_rows::user_name.eq(&by.name)))
        .filter(sql::<Bool>("new->>'subject' = ").bind::<Text, _>(arrival.subject))
        .filter(sql::<Bool>("at > now() - interval '1 hour'"));
    if !diesel::select(diesel::dsl::exists(lately)).get_result::<bool>(conn).await? {
        let event = Event::new(ACTION, &by.name).made(json!({"why": why, "subject": arrival.subject}));
        let event = if let Some(id) = by.id { event.id(id) } else { event };
        audit::note(conn, &by, event).await?;
    }
    Ok(refused)
}

fn actor(user: i64, name: &str, arrival: Arrival<'_>, staff: bool) -> Actor {
    Actor { id: Some(user), name: name.to_owned(), from: arrival.from, through: THROUGH.into(), staff }
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
    audit::note(conn, &actor(user, &name, arrival, arrival.given.admin), event).await?;
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
        let has_password: bool =
            users::table.find(user).select(has_password()).for_update().first(conn).await?;
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
