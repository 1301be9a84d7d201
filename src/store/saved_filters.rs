//! What people narrow the history to again and again, by a name of their own. All of it happens at the door, beside
//! the tenants' rows, and always for one person: what a filter finds is asked with that person's rights.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

use super::owners::check_line;
use super::schema::{saved_filters, users};
use super::statement::Prepare;
use super::{Db, on_constraint};
use crate::error::{Error, Fields, Result};

/// Saved filters of a person.
pub const MOST: i64 = 20;
/// Characters of a name.
pub const LONGEST_NAME: usize = 60;
/// Characters of the filters.
const LONGEST: usize = 1000;

/// Filters with a name.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = saved_filters)]
pub struct SavedFilter {
    pub id: i64,
    pub name: String,
    /// As they stand in the URL, without the question mark.
    pub query: String,
}

/// A name that was checked.
#[derive(Clone, Debug)]
pub struct NewName(String);

impl NewName {
    /// Checks the field `name`: one line, at most [`LONGEST_NAME`] characters.
    pub fn check(text: &str) -> Result<Self> {
        let mut fields = Fields::default();
        let name = check_line(text, LONGEST_NAME, &mut fields, "name");
        fields.into_result().map(|()| Self(name))
    }
}

const TAKEN: &[(&str, &str, &str)] =
    &[("saved_filters_user_id_name_key", "name", "You have saved filters of this name already.")];

/// Those of the person with that id, by name.
pub async fn of(db: &mut Db, user: i64) -> Result<Vec<SavedFilter>> {
    Ok(saved_filters::table
        .filter(saved_filters::user_id.eq(user))
        .order((sql::<Text>("lower(name)"), saved_filters::id))
        .select(SavedFilter::as_select())
        .prepared()
        .load(db.conn())
        .await?)
}

/// Saves filters for the person with that id. `Invalid` at `name` when there are none to save, they are too long, the
/// name is taken, or there are [`MOST`].
pub async fn save(db: &mut Db, user: i64, name: NewName, query: &str) -> Result<()> {
    let refused = |why: String| Err(Error::Invalid(Fields::one("name", why)));
    match query.chars().count() {
        0 => return refused("There is nothing to save: narrow the list first.".into()),
        n if n > LONGEST => return refused("These filters are too long to be saved.".into()),
        _ => {}
    }
    db.transaction(async |conn| {
        // two that are saved at the same moment are counted one after the other
        users::table.find(user).select(users::id).for_no_key_update().first::<i64>(conn).await?;
        let has: i64 =
            saved_filters::table.filter(saved_filters::user_id.eq(user)).count().get_result(conn).await?;
        if has >= MOST {
            return refused(format!("You have {MOST} already. Remove one first."));
        }
        let values = (
            saved_filters::user_id.eq(user),
            saved_filters::name.eq(&name.0),
            saved_filters::query.eq(query),
        );
        let saved = diesel::insert_into(saved_filters::table).values(values).execute(conn).await;
        on_constraint(saved, TAKEN).map(|_| ())
    })
    .await
}

/// Gives one of the person's own another name. `NotFound` when it is not theirs.
pub async fn rename(db: &mut Db, user: i64, id: i64, name: NewName) -> Result<()> {
    db.transaction(async |conn| {
        let own = saved_filters::table.find(id).filter(saved_filters::user_id.eq(user));
        let renamed = diesel::update(own).set(saved_filters::name.eq(&name.0)).execute(conn).await;
        if on_constraint(renamed, TAKEN)? == 0 { Err(Error::NotFound) } else { Ok(()) }
    })
    .await
}

/// Removes one of the person's own; returns its name. `NotFound` when it is not theirs.
pub async fn remove(db: &mut Db, user: i64, id: i64) -> Result<String> {
    db.transaction(async |conn| {
        let own = saved_filters::table.find(id).filter(saved_filters::user_id.eq(user));
        Ok(diesel::delete(own).returning(saved_filters::name).get_result(conn).await?)
    })
    .await
}
