//! What the groups of a person give: applied at each login, but for what people set by hand.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;

use crate::error::Result;
use crate::store::audit::{self, Event};
use crate::store::changes::Actor;
use crate::store::schema::{memberships, owners, users};

/// Makes an admin, or takes back what an earlier login made; never from the last admin who may log in.
pub(super) async fn apply_admin(
    conn: &mut AsyncPgConnection,
    by: &Actor,
    user: i64,
    given: bool,
) -> Result<()> {
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

pub(super) async fn apply_owners(
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
pub(super) async fn owners_of(
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

pub(super) async fn sees_something(conn: &mut AsyncPgConnection, user: i64) -> Result<bool> {
    let memberships = memberships::table
        .inner_join(owners::table)
        .filter(memberships::user_id.eq(user))
        .filter(owners::removed_at.is_null());
    let member: bool = diesel::select(diesel::dsl::exists(memberships)).get_result(conn).await?;
    let admin: bool = users::table.find(user).select(users::admin).first(conn).await?;
    Ok(admin || member)
}
