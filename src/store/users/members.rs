//! Members of an owner, and what each may do. A `Writable<Owner>` is the permission to change them.

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;

use crate::error::{Error, Fields, Result};
use crate::store::Db;
use crate::store::audit::{self, Event};
use crate::store::changes::Actor;
use crate::store::owners::Owner;
use crate::store::schema::{memberships, owners, users};
use crate::store::scope::{All, Writable};

/// What a member may do; a manager may do more than a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Sees what is the owner's.
    Viewer,
    /// Also changes it, and who its members are.
    Manager,
}

impl Role {
    /// As it is stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Manager => "manager",
        }
    }

    /// Reads the field `role`: `manager` or `viewer`, and nothing else.
    pub fn check(text: &str) -> Result<Self> {
        Self::parse(text).ok_or_else(|| Error::Invalid(Fields::one("role", "A role is manager or viewer.")))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Viewer, Self::Manager].into_iter().find(|role| role.as_str() == text)
    }
}

/// A member.
#[derive(Clone, Debug, Queryable)]
pub struct Member {
    pub id: i64,
    pub name: String,
    pub role: String,
    pub disabled: bool,
}

impl Member {
    /// Whether this is a manager who can log in.
    pub fn manages(&self) -> bool {
        self.role == Role::Manager.as_str() && !self.disabled
    }
}

/// The members of an owner, by name, at most 1,000.
pub async fn of(db: &mut Db, owner: &Owner) -> Result<Vec<Member>> {
    Ok(memberships::table
        .inner_join(users::table)
        .filter(memberships::owner_id.eq(owner.id))
        .order(users::name)
        .limit(1000)
        .select((users::id, users::name, memberships::role, users::disabled_at.is_not_null()))
        .load(db.conn())
        .await?)
}

/// Id and name of a person's owners and the role in each, by name.
pub async fn of_user(db: &mut Db, _: All, user: i64) -> Result<Vec<(i64, String, String)>> {
    Ok(memberships::table
        .inner_join(owners::table)
        .filter(memberships::user_id.eq(user).and(owners::removed_at.is_null()))
        .order((owners::name, owners::id))
        .select((owners::id, owners::name, memberships::role))
        .load(db.conn())
        .await?)
}

pub(super) async fn name_of(conn: &mut AsyncPgConnection, user: i64) -> Result<String> {
    Ok(users::table.find(user).select(users::name).first(conn).await?)
}

/// The role that a person has, locked until the transaction ends.
pub(super) async fn role_of(conn: &mut AsyncPgConnection, owner: i64, user: i64) -> Result<Option<Role>> {
    let role: Option<String> = memberships::table
        .find((user, owner))
        .select(memberships::role)
        .for_update()
        .first(conn)
        .await
        .optional()?;
    Ok(role.as_deref().and_then(Role::parse))
}

/// Makes a person a member, or changes the role of one, and notes it. `name` is the person's.
pub(super) async fn put(
    conn: &mut AsyncPgConnection,
    owner: i64,
    (user, name): (i64, &str),
    role: Role,
    by: &Actor,
) -> Result<()> {
    let before = role_of(conn, owner, user).await?;
    if before == Some(role) {
        return Ok(());
    }
    diesel::insert_into(memberships::table)
        .values((
            memberships::user_id.eq(user),
            memberships::owner_id.eq(owner),
            memberships::role.eq(role.as_str()),
        ))
        .on_conflict((memberships::user_id, memberships::owner_id))
        .do_update()
        .set(memberships::role.eq(excluded(memberships::role)))
        .execute(conn)
        .await?;
    let now = json!({"role": role.as_str()});
    let event = match before {
        None => Event::new("membership.added", name).made(now),
        Some(before) => Event::new("membership.changed", name).changed(json!({"role": before.as_str()}), now),
    };
    audit::note(conn, by, event.owner(owner).id(user)).await
}

/// Those of a person's owners, not removed, that nobody else manages who can log in.
pub async fn alone_in(db: &mut Db, _: All, user: i64) -> Result<Vec<i64>> {
    let (theirs, others) = diesel::alias!(memberships as theirs, memberships as others);
    let another = others
        .inner_join(users::table.on(users::id.eq(others.field(memberships::user_id))))
        .filter(others.field(memberships::owner_id).eq(theirs.field(memberships::owner_id)))
        .filter(others.field(memberships::role).eq("manager"))
        .filter(others.field(memberships::user_id).ne(user).and(users::disabled_at.is_null()));
    Ok(theirs
        .inner_join(owners::table.on(owners::id.eq(theirs.field(memberships::owner_id))))
        .filter(theirs.field(memberships::user_id).eq(user).and(owners::removed_at.is_null()))
        .filter(theirs.field(memberships::role).eq("manager"))
        .filter(not(exists(another)))
        .select(owners::id)
        .load(db.conn())
        .await?)
}

/// Makes anybody a member; returns the person's name. Only the staff know who exists. `Invalid` at `owner` for a
/// member, whose role it would change unseen.
pub async fn add(
    db: &mut Db,
    _: All,
    owner: &Writable<Owner>,
    user: i64,
    role: Role,
    by: &Actor,
) -> Result<String> {
    let owner = owner.id;
    db.transaction(async |conn| {
        let name = name_of(conn, user).await?;
        if let Some(has) = role_of(conn, owner, user).await? {
            let why = format!("{name} is {} there already: change the role in the list.", has.as_str());
            return Err(Error::Invalid(Fields::one("owner", why)));
        }
        put(conn, owner, (user, &name), role, by).await?;
        Ok(name)
    })
    .await
}

/// Gives a member another role; returns the person's name. `NotFound` when the person is no member, `Conflict`
/// when it would leave the owner without a manager, which only the staff (`all`) may do.
pub async fn change(
    db: &mut Db,
    all: Option<All>,
    owner: &Writable<Owner>,
    user: i64,
    role: Role,
    by: &Actor,
) -> Result<String> {
    let owner = owner.id;
    db.transaction(async |conn| {
        if all.is_none() && role != Role::Manager {
            spare_last_manager(conn, owner, user).await?;
        }
        role_of(conn, owner, user).await?.ok_or(Error::NotFound)?;
        let name = name_of(conn, user).await?;
        put(conn, owner, (user, &name), role, by).await?;
        Ok(name)
    })
    .await
}

/// Takes a member away; returns the person's name. Errors as [`change`].
pub async fn remove(
    db: &mut Db,
    all: Option<All>,
    owner: &Writable<Owner>,
    user: i64,
    by: &Actor,
) -> Result<String> {
    let owner = owner.id;
    db.transaction(async |conn| {
        if all.is_none() {
            spare_last_manager(conn, owner, user).await?;
        }
        role_of(conn, owner, user).await?.ok_or(Error::NotFound)?;
        // once the membership is gone, a manager sees the name no longer
        let name = name_of(conn, user).await?;
        take(conn, owner, (user, &name), by).await?;
        Ok(name)
    })
    .await
}

/// Ends a membership and notes it.
pub(super) async fn take(
    conn: &mut AsyncPgConnection,
    owner: i64,
    (user, name): (i64, &str),
    by: &Actor,
) -> Result<()> {
    let theirs = memberships::table.find((user, owner));
    let role: String = theirs.select(memberships::role).for_update().first(conn).await?;
    diesel::delete(theirs).execute(conn).await?;
    let event = Event::new("membership.removed", name).owner(owner).id(user);
    audit::note(conn, by, event.gone(json!({"role": role}))).await
}

/// `Conflict` when this is the only manager who is not disabled. Locks the managers, so that two cannot demote each other.
async fn spare_last_manager(conn: &mut AsyncPgConnection, owner: i64, user: i64) -> Result<()> {
    let managers: Vec<i64> = memberships::table
        .filter(memberships::owner_id.eq(owner).and(memberships::role.eq("manager")))
        .order(memberships::user_id)
        .select(memberships::user_id)
        .for_update()
        .load(conn)
        .await?;
    if !managers.contains(&user) {
        return Ok(());
    }
    let others: Vec<i64> = managers.into_iter().filter(|manager| *manager != user).collect();
    let able = users::table.filter(users::id.eq_any(others).and(users::disabled_at.is_null()));
    if diesel::select(exists(able)).get_result(conn).await? {
        return Ok(());
    }
    Err(Error::Conflict("This is the last manager. Make somebody else a manager first.".into()))
}
