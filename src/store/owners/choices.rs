//! Choosing an owner: from a list, or by what somebody types.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel_async::RunQueryDsl;

use super::{Owner, visible};
use crate::error::{Error, Fields, Result};
use crate::store::Db;
use crate::store::schema::owners;
use crate::store::scope::{All, Scope, Writable, Writing};
use crate::store::statement::Prepare;

/// Id and name of at most 1,000 owners that may be changed or seen, by name, for a choice.
pub async fn choices(db: &mut Db, scope: &Scope) -> Result<Vec<(i64, String)>> {
    Ok(visible(scope)
        .order((sql::<Text>("lower(owners.name)"), owners::id))
        .limit(1000)
        .select((owners::id, owners::name))
        .prepared()
        .load(db.conn())
        .await?)
}

/// Those of these owners that the scope may see, by name.
pub async fn among(db: &mut Db, scope: &Scope, ids: &[i64]) -> Result<Vec<Owner>> {
    Ok(visible(scope)
        .filter(owners::id.eq_any(ids))
        .order((sql::<Text>("lower(owners.name)"), owners::id))
        .select(Owner::as_select())
        .prepared()
        .load(db.conn())
        .await?)
}

/// Those of these external ids that may be changed.
pub async fn by_external_ids_rw(
    db: &mut Db,
    writing: &Writing,
    external_ids: Vec<String>,
) -> Result<Vec<Writable<Owner>>> {
    let found: Vec<Owner> = visible(&writing.changed)
        .filter(owners::external_id.eq_any(external_ids))
        .select(Owner::as_select())
        .load(db.conn())
        .await?;
    Ok(found.into_iter().map(Writable::found).collect())
}

/// The external id of the only owner that may be changed; `None` where there are several, or none.
pub async fn only_rw(db: &mut Db, writing: &Writing) -> Result<Option<String>> {
    let some: Vec<String> =
        visible(&writing.changed).limit(2).select(owners::external_id).load(db.conn()).await?;
    Ok(some.into_iter().next().filter(|_| writing.changed.owners().is_some_and(|ids| ids.len() == 1)))
}

/// External id and name of at most 500 owners, by name, to be suggested while one types.
pub async fn suggestions(db: &mut Db, all: All) -> Result<Vec<(String, String)>> {
    Ok(visible(&all.into())
        .order((sql::<Text>("lower(owners.name)"), owners::id))
        .limit(500)
        .select((owners::external_id, owners::name))
        .prepared()
        .load(db.conn())
        .await?)
}

/// As [`choices`], of the owners whose servers and thresholds may be changed.
pub async fn choices_rw(db: &mut Db, writing: &Writing) -> Result<Vec<(i64, String)>> {
    choices(db, &writing.changed).await
}

/// The owner that somebody means by its external id or its name, in whatever case. The message is for the field `owner`.
pub async fn named(db: &mut Db, all: All, text: &str) -> Result<Writable<Owner>> {
    let text = text.trim();
    let mut found: Vec<Owner> = visible(&all.into())
        .filter(owners::external_id.eq(text.to_owned()))
        .select(Owner::as_select())
        .prepared()
        .load(db.conn())
        .await?;
    if found.is_empty() {
        found = visible(&all.into())
            .filter(sql::<Bool>("lower(owners.name) = lower(").bind::<Text, _>(text.to_owned()).sql(")"))
            .limit(2)
            .select(Owner::as_select())
            .prepared()
            .load(db.conn())
            .await?;
    }
    let message = match found.len() {
        1 => return found.pop().map(Writable::found).ok_or(Error::NotFound),
        0 if text.is_empty() => "Say which owner.".into(),
        0 => format!("No owner has the name or external id `{text}`."),
        _ => format!("Several owners are called `{text}`: give the external id."),
    };
    Err(Error::Invalid(Fields::one("owner", message)))
}
