//! What admins do with people: make, rename, promote, lock out, let in again and remove them. The last admin who
//! can log in stays one.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;

use super::links::{self, Made};
use super::members::{self, Role};
use super::{NewUser, User};
use crate::error::{Error, Fields, Result};
use crate::store::audit::{self, Event};
use crate::store::changes::Actor;
use crate::store::owners::Owner;
use crate::store::schema::{memberships, owners, users};
use crate::store::scope::{All, Writable};
use crate::store::{Db, now, on_constraint, sessions};

/// The person with that id, disabled or not.
pub async fn find(db: &mut Db, _: All, id: i64) -> Result<User> {
    Ok(users::table.find(id).select(User::as_select()).first(db.conn()).await?)
}

/// Makes a person, with their roles. `Invalid` at `owner` when one of the owners is not there.
pub async fn create(db: &mut Db, _: All, new: NewUser, by: &Actor) -> Result<i64> {
    db.transaction(async |conn| {
        let (name, admin, roles) = (new.name.clone(), new.admin, new.roles.clone());
        let id = super::insert(conn, new).await?;
        let fields = json!({"name": name, "admin": admin});
        audit::note(conn, by, Event::new("user.added", &name).id(id).made(fields)).await?;
        for (external_id, role) in roles {
            let owner = owners::table
                .filter(owners::external_id.eq(&external_id).and(owners::removed_at.is_null()))
                .select(owners::id);
            let owner: i64 = owner.first(conn).await.optional()?.ok_or_else(|| {
                Error::Invalid(Fields::one("owner", format!("No owner has the external id {external_id}.")))
            })?;
            members::put(conn, owner, (id, &name), role, by).await?;
        }
        Ok(id)
    })
    .await
}

/// Makes a person who has no password yet, and the link by which they choose one.
pub async fn invite(
    db: &mut Db,
    _: All,
    new: NewUser,
    membership: Option<(Writable<Owner>, Role)>,
    by: &Actor,
) -> Result<(i64, Made)> {
    let new = NewUser { password_hash: None, ..new };
    db.transaction(async |conn| {
        let (name, admin) = (new.name.clone(), new.admin);
        let id = super::insert(conn, new).await?;
        let fields = json!({"name": name, "admin": admin});
        audit::note(conn, by, Event::new("user.added", &name).id(id).made(fields)).await?;
        if let Some((owner, role)) = membership {
            members::put(conn, owner.id, (id, &name), role, by).await?;
        }
        let user: User = users::table.find(id).select(User::as_select()).first(conn).await?;
        Ok((id, links::insert_password_link(conn, &user, by).await?))
    })
    .await
}

/// The person, locked until the transaction ends.
async fn locked(conn: &mut AsyncPgConnection, id: i64) -> Result<User> {
    Ok(users::table.find(id).select(User::as_select()).for_update().first(conn).await?)
}

/// Gives a person another login name.
pub async fn rename(db: &mut Db, _: All, id: i64, name: &str, by: &Actor) -> Result<String> {
    let name = super::checked_name(name, "name")?;
    db.transaction(async |conn| {
        let old = locked(conn, id).await?;
        let renamed = diesel::update(users::table.find(id)).set(users::name.eq(&name)).execute(conn).await;
        on_constraint(renamed, &[("users_name_key", "name", "This name is taken.")])?;
        if old.name != name {
            let event = Event::new("user.renamed", &name).id(id);
            audit::note(conn, by, event.changed(json!({"name": old.name}), json!({"name": name}))).await?;
        }
        Ok(name)
    })
    .await
}

/// Makes an admin of a person, or takes that away; returns the name.
pub async fn set_admin(db: &mut Db, _: All, id: i64, admin: bool, by: &Actor) -> Result<String> {
    db.transaction(async |conn| {
        if !admin {
            spare_last_admin(conn, id).await?;
        }
        let old = locked(conn, id).await?;
        diesel::update(users::table.find(id))
            .set((users::admin.eq(admin), users::admin_by_sso.eq(false)))
            .execute(conn)
            .await?;
        if old.admin != admin {
            let event = Event::new("user.changed", &old.name).id(id);
            audit::note(conn, by, event.changed(json!({"admin": old.admin}), json!({"admin": admin})))
                .await?;
        }
        Ok(old.name)
    })
    .await
}

/// Locks a person out, ending the person's sessions; tokens are refused from now on, and no link lets in. The last
/// admin who can log in cannot be. Returns the name.
pub async fn disable(db: &mut Db, _: All, id: i64, by: &Actor) -> Result<String> {
    db.transaction(async |conn| {
        spare_last_admin(conn, id).await?;
        let old = locked(conn, id).await?;
        diesel::update(users::table.find(id))
            .set(users::disabled_at.eq(now().nullable()))
            .execute(conn)
            .await?;
        links::forget(conn, id).await?;
        sessions::end_all(conn, id).await?;
        if old.disabled_at.is_none() {
            audit::note(conn, by, Event::new("user.disabled", &old.name).id(id)).await?;
        }
        Ok(old.name)
    })
    .await
}

/// Lets a person in again; returns the name.
pub async fn enable(db: &mut Db, _: All, id: i64, by: &Actor) -> Result<String> {
    db.transaction(async |conn| {
        let old = locked(conn, id).await?;
        if old.disabled_at.is_some() {
            diesel::update(users::table.find(id))
                .set(users::disabled_at.eq(None::<jiff_diesel::Timestamp>))
                .execute(conn)
                .await?;
            audit::note(conn, by, Event::new("user.enabled", &old.name).id(id)).await?;
        }
        Ok(old.name)
    })
    .await
}

/// Ends every session of a person; returns the name.
pub async fn end_sessions(db: &mut Db, _: All, id: i64, by: &Actor) -> Result<String> {
    db.transaction(async |conn| {
        let user = locked(conn, id).await?;
        sessions::end_all(conn, id).await?;
        audit::note(conn, by, Event::new("user.logged_out", &user.name).id(id)).await?;
        Ok(user.name)
    })
    .await
}

/// Removes a person for good, with sessions, tokens, memberships and the invitations that they made. What they did
/// stays in the audit under their name. The last admin who can log in cannot be. Returns the name.
pub async fn remove(db: &mut Db, _: All, id: i64, by: &Actor) -> Result<String> {
    db.transaction(async |conn| {
        spare_last_admin(conn, id).await?;
        let user = locked(conn, id).await?;
        let of: Vec<i64> = memberships::table
            .filter(memberships::user_id.eq(id))
            .select(memberships::owner_id)
            .load(conn)
            .await?;
        // the managers of each owner may read in their audit where a colleague went
        for owner in of {
            members::take(conn, owner, (id, &user.name), by).await?;
        }
        diesel::delete(users::table.find(id)).execute(conn).await?;
        let fields = json!({"name": user.name, "admin": user.admin});
        audit::note(conn, by, Event::new("user.removed", &user.name).id(id).gone(fields)).await?;
        Ok(user.name)
    })
    .await
}

/// `Conflict` when nobody else who is an admin can log in: is not disabled, and has a password or came in without
/// one before. Locks the admins, so that two cannot demote each other.
async fn spare_last_admin(conn: &mut AsyncPgConnection, id: i64) -> Result<()> {
    let able = super::has_password().or(users::last_login_at.is_not_null());
    let admins: Vec<(i64, bool)> = users::table
        .filter(users::admin.and(users::disabled_at.is_null()))
        .order(users::id)
        .select((users::id, able))
        .for_update()
        .load(conn)
        .await?;
    let (these, others): (Vec<_>, Vec<_>) = admins.into_iter().partition(|(admin, _)| *admin == id);
    if !these.is_empty() && !others.iter().any(|(_, able)| *able) {
        return Err(Error::Conflict("This is the last admin who can log in.".into()));
    }
    Ok(())
}
