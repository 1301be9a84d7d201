//! What was changed since the last publication, in words, and by whom.

mod net;

use std::net::IpAddr;

use diesel::dsl::count;
use diesel::prelude::*;
use diesel::sql_types::Bigint;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;

pub(super) use self::net::all as all_net;
pub use self::net::{NetChange, net};
use super::Db;
use super::schema::{pending_changes, unpublished_rows};
use super::scope::{All, Scope};
use super::servers::Server;
use super::statement::Prepare;
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

/// Something that somebody did, in their words.
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

/// What people did that waits to be published, or that a publication brought; oldest first, at most `limit`.
pub async fn notes(db: &mut Db, _: All, publication: Option<i64>, limit: i64) -> Result<Vec<Change>> {
    Ok(pending_changes::table
        .filter(pending_changes::publication_id.is_not_distinct_from(publication))
        .order(pending_changes::id)
        .limit(limit)
        .select(Change::as_select())
        .load(db.conn())
        .await?)
}

/// How many things wait to be published, at most a thousand or so.
pub async fn pending(db: &mut Db, _: All) -> Result<i64> {
    let row: Counted = diesel::sql_query(
        "select (select count(*) from (select from unpublished_rows group by kind, key limit 1000) k) \
         + (select count(*) from (select from pending_changes p where publication_id is null \
              and not exists (select from unpublished_rows u where u.tx = p.tx) limit 1000) n) as n",
    )
    .prepared()
    .get_result(db.conn())
    .await?;
    Ok(row.n)
}

/// How many things that one may see wait to be published: of all owners that the scope has.
pub async fn waiting(db: &mut Db, scope: &Scope) -> Result<i64> {
    let rows = unpublished_rows::table.select(count(unpublished_rows::key).aggregate_distinct()).into_boxed();
    let rows = match scope.owners() {
        None => rows,
        Some(ids) => rows.filter(unpublished_rows::owner_id.eq_any(ids)),
    };
    Ok(rows.get_result(db.conn()).await?)
}

/// Whether something of a server itself waits to be published, its own thresholds included.
pub async fn server_waits(db: &mut Db, server: &Server) -> Result<bool> {
    let row: Counted = diesel::sql_query(
        "select count(*) as n from unpublished_rows where owner_id = $1 \
         and (kind = 'server' and key = $2::text or kind = 'threshold' and split_part(key, '/', 4) = $2::text)",
    )
    .bind::<Bigint, _>(server.owner_id)
    .bind::<Bigint, _>(server.id)
    .prepared()
    .get_result(db.conn())
    .await?;
    Ok(row.n > 0)
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = Bigint)]
    n: i64,
}
