//! Owners are made, changed, removed and brought back, by admins; each is noted for publishing and in the audit.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;

use super::{NewOwner, Owner};
use crate::error::{Error, Result};
use crate::store::audit::{self, Event};
use crate::store::changes::{Actor, note};
use crate::store::schema::owners;
use crate::store::scope::All;
use crate::store::{Db, intake, on_constraint, users};

/// What the audit keeps of an owner.
fn fields(name: &str, external_id: &str, comment: &str, history_days: Option<i32>) -> serde_json::Value {
    json!({"name": name, "external_id": external_id, "comment": comment, "history_days": history_days})
}

const TAKEN: &[(&str, &str, &str)] =
    &[("owners_external_id_key", "external_id", "Another owner has this external id.")];

/// Makes an owner and gives it the unassigned alerts that carry its external id.
pub async fn create(db: &mut Db, _: All, new: NewOwner, by: &Actor) -> Result<i64> {
    let external_id = new.external_id.unwrap_or_else(|| users::random_text(10));
    db.transaction(async |conn| {
        let inserted = diesel::insert_into(owners::table)
            .values((
                owners::external_id.eq(&external_id),
                owners::name.eq(&new.name),
                owners::comment.eq(&new.comment),
                owners::history_days.eq(new.history_days),
            ))
            .returning(owners::id)
            .get_result::<i64>(conn)
            .await;
        let id = on_constraint(inserted, TAKEN)?;
        intake::adopt(conn, Some(id)).await?;
        note(conn, by, Some(id), format!("Owner {} added", new.name)).await?;
        let fields = fields(&new.name, &external_id, &new.comment, new.history_days);
        audit::note(conn, by, Event::new("owner.added", &new.name).owner(id).id(id).made(fields)).await?;
        Ok(id)
    })
    .await
}

/// Changes an owner. `NotFound` when it was removed meanwhile.
pub async fn update(db: &mut Db, _: All, id: i64, new: NewOwner, by: &Actor) -> Result<()> {
    db.transaction(async |conn| {
        let old = current(conn, id).await?;
        change(conn, old, new, by).await
    })
    .await
}

/// As [`update`], for what was made of the owner as it was found; `Stale` when it was changed since.
pub async fn update_as_found(db: &mut Db, _: All, found: &Owner, new: NewOwner, by: &Actor) -> Result<()> {
    db.transaction(async |conn| {
        let old = as_found(conn, found).await?;
        change(conn, old, new, by).await
    })
    .await
}

/// The owner as it is now, held until the end of the transaction.
async fn current(conn: &mut AsyncPgConnection, id: i64) -> Result<Owner> {
    let row = owners::table.filter(owners::id.eq(id).and(owners::removed_at.is_null()));
    Ok(row.select(Owner::as_select()).for_update().first(conn).await?)
}

/// As [`current`]; `Stale` when it was changed since it was found.
async fn as_found(conn: &mut AsyncPgConnection, found: &Owner) -> Result<Owner> {
    let now = current(conn, found.id).await?;
    if now.updated_at == found.updated_at { Ok(now) } else { Err(Error::Stale) }
}

async fn change(conn: &mut AsyncPgConnection, old: Owner, new: NewOwner, by: &Actor) -> Result<()> {
    let external_id = new.external_id.unwrap_or_else(|| old.external_id.clone());
    let before = fields(&old.name, &old.external_id, &old.comment, old.history_days);
    let after = fields(&new.name, &external_id, &new.comment, new.history_days);
    if before == after {
        return Ok(());
    }
    let updated = diesel::update(owners::table.find(old.id))
        .set((
            owners::name.eq(&new.name),
            owners::comment.eq(&new.comment),
            owners::external_id.eq(&external_id),
            owners::history_days.eq(new.history_days),
            owners::updated_at.eq(diesel::dsl::now),
        ))
        .execute(conn)
        .await;
    on_constraint(updated, TAKEN)?;
    if external_id != old.external_id {
        intake::adopt(conn, Some(old.id)).await?;
        let summary =
            format!("Owner {}: external id {} instead of {}", new.name, external_id, old.external_id);
        note(conn, by, Some(old.id), summary).await?;
    }
    audit::note(
        conn,
        by,
        Event::new("owner.changed", &new.name).owner(old.id).id(old.id).changed(before, after),
    )
    .await
}

/// Notes that an admin looks as this customer.
pub async fn note_look(db: &mut Db, _: All, owner: &Owner, by: &Actor) -> Result<()> {
    let event = Event::new("owner.viewed", &owner.name).owner(owner.id).id(owner.id);
    db.transaction(async |conn| audit::note(conn, by, event).await).await
}

/// Removes an owner: its servers are no longer published and its people see nothing of it any
/// more. Its alerts stay. Returns its name.
pub async fn remove(db: &mut Db, _: All, id: i64, by: &Actor) -> Result<String> {
    db.transaction(async |conn| take_away(conn, id, by).await).await
}

async fn take_away(conn: &mut AsyncPgConnection, id: i64, by: &Actor) -> Result<String> {
    let Owner { name, external_id, comment, history_days, .. } =
        diesel::update(owners::table.find(id).filter(owners::removed_at.is_null()))
            .set((
                owners::removed_at.eq(crate::store::now().nullable()),
                owners::updated_at.eq(diesel::dsl::now),
            ))
            .returning(Owner::as_returning())
            .get_result(conn)
            .await?;
    note(conn, by, Some(id), format!("Owner {name} removed")).await?;
    let event = Event::new("owner.removed", &name).owner(id).id(id);
    audit::note(conn, by, event.gone(fields(&name, &external_id, &comment, history_days))).await?;
    Ok(name)
}

/// As [`remove`]; `Stale` when it was changed since it was found.
pub async fn remove_as_found(db: &mut Db, _: All, found: &Owner, by: &Actor) -> Result<()> {
    db.transaction(async |conn| {
        as_found(conn, found).await?;
        take_away(conn, found.id, by).await.map(drop)
    })
    .await
}

/// Brings a removed owner back. `Conflict` when its external id was given away meanwhile.
pub async fn restore(db: &mut Db, _: All, id: i64, by: &Actor) -> Result<String> {
    db.transaction(async |conn| {
        let restored = diesel::update(owners::table.find(id).filter(owners::removed_at.is_not_null()))
            .set((
                owners::removed_at.eq(None::<jiff_diesel::Timestamp>),
                owners::updated_at.eq(diesel::dsl::now),
            ))
            .returning(owners::name)
            .get_result::<String>(conn)
            .await;
        let name = on_constraint(restored, TAKEN).map_err(|error| match error {
            Error::Invalid(_) => Error::Conflict(
                "Another owner has its external id now. Change that one first, then undo.".into(),
            ),
            other => other,
        })?;
        note(conn, by, Some(id), format!("Owner {name} restored")).await?;
        audit::note(conn, by, Event::new("owner.restored", &name).owner(id).id(id)).await?;
        Ok(name)
    })
    .await
}
