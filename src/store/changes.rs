//! What was changed since the last publication, in words, and by whom.

use std::net::IpAddr;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;

use super::Db;
use super::schema::pending_changes;
use super::scope::All;
use crate::error::Result;

/// Who changes something.
#[derive(Clone, Debug)]
pub struct Actor {
    /// `None`: the command line or the program itself.
    pub id: Option<i64>,
    pub name: String,
    /// Where the request came from; `None`: not over the network.
    pub from: Option<IpAddr>,
    /// How: empty in a browser, else as `token deploy` or `command line`.
    pub through: String,
    /// An admin, whatever they look at or their token is restricted to, or the program: customers read of them
    /// that it was the staff.
    pub staff: bool,
}

impl Actor {
    /// Somebody at the operator's shell.
    pub fn command_line() -> Self {
        Self { through: "command line".into(), ..Self::program("command line") }
    }

    /// A part of the program that acts on nobody's behalf; counts as staff.
    pub fn program(name: &str) -> Self {
        Self { id: None, name: name.to_owned(), from: None, through: String::new(), staff: true }
    }
}

/// A change that is saved and not yet published.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = pending_changes)]
pub struct Change {
    pub id: i64,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub at: Timestamp,
    pub user_name: String,
    pub summary: String,
}

/// Notes a change, in the transaction that makes it.
pub(super) async fn note(
    conn: &mut AsyncPgConnection,
    by: &Actor,
    owner: Option<i64>,
    summary: String,
) -> Result<()> {
    diesel::insert_into(pending_changes::table)
        .values((
            pending_changes::owner_id.eq(owner),
            pending_changes::user_name.eq(&by.name),
            pending_changes::summary.eq(summary),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// The pending changes, oldest first, at most `limit`.
pub async fn pending(db: &mut Db, _: All, limit: i64) -> Result<Vec<Change>> {
    Ok(pending_changes::table
        .order(pending_changes::id)
        .limit(limit)
        .select(Change::as_select())
        .load(db.conn())
        .await?)
}

/// Whether anything waits to be published.
pub async fn any(db: &mut Db, _: All) -> Result<bool> {
    Ok(diesel::select(diesel::dsl::exists(pending_changes::table.select(pending_changes::id)))
        .get_result(db.conn())
        .await?)
}
