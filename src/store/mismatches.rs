//! Alerts whose labels contradict each other: the owner label names one owner, the server label a server that
//! only another one has. They belong to whom the owner label names; that something is wrong, admins see.

use diesel::prelude::*;
use diesel::sql_types::{Bigint, Text};
use diesel_async::RunQueryDsl;

use super::Db;
use super::alerts::Alert;
use super::scope::All;
use crate::error::Result;

/// What the labels name, and whose it is.
#[derive(Clone, Debug, QueryableByName)]
pub struct Mismatch {
    /// An alert that has these labels.
    #[diesel(sql_type = Bigint)]
    pub alert: i64,
    #[diesel(sql_type = Text)]
    pub owner_label: String,
    #[diesel(sql_type = Text)]
    pub server_label: String,
    /// The one server that has the server label's id.
    #[diesel(sql_type = Bigint)]
    pub server: i64,
    #[diesel(sql_type = Text)]
    pub server_name: String,
    /// The server's owner.
    #[diesel(sql_type = Bigint)]
    pub owner: i64,
    #[diesel(sql_type = Text)]
    pub owner_name: String,
}

// A server's id is unique within its owner only: where several owners use it, nothing can be said.
const FROM: &str = "from alerts a join servers s on s.external_id = a.server_external_id and s.removed_at is null \
    join owners o on o.id = s.owner_id and o.removed_at is null \
    where a.owner_id is not null and a.server_id is null and a.server_external_id <> '' and s.owner_id <> a.owner_id \
      and not exists (select from servers t where t.external_id = s.external_id and t.id <> s.id and t.removed_at is null)";
const WHAT: &str = "a.id as alert, a.owner_external_id as owner_label, a.server_external_id as server_label, \
    s.id as server, s.name as server_name, o.id as owner, o.name as owner_name";

/// Whether an alert's labels contradict each other.
pub async fn of(db: &mut Db, _: All, alert: &Alert) -> Result<Option<Mismatch>> {
    if alert.server_id.is_some() || alert.owner_id.is_none() {
        return Ok(None);
    }
    let found = diesel::sql_query(format!("select {WHAT} {FROM} and a.id = $1 limit 1"))
        .bind::<Bigint, _>(alert.id)
        .get_result(db.conn())
        .await;
    Ok(found.optional()?)
}

/// Pairs of labels that contradict each other, with the newest alert of each of the last 30 days, at most `limit`.
pub async fn list(db: &mut Db, _: All, limit: i64) -> Result<Vec<Mismatch>> {
    let found = diesel::sql_query(format!(
        "select * from (select distinct on (a.owner_id, a.server_external_id) {WHAT} {FROM} \
           and a.received_at > now() - interval '30 days' order by a.owner_id, a.server_external_id, a.id desc) m \
         order by alert desc limit $1"
    ))
    .bind::<Bigint, _>(limit);
    Ok(found.load(db.conn()).await?)
}
