//! The audit for programs: admins' tokens read all of it, managers' what was done to what they manage.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::answer::Items;
use super::ask::{Query, page, place, there};
use crate::app::App;
use crate::auth::Client;
use crate::error::Result;
use crate::page::cursor;
use crate::store::audit::{self, Filter, Place, STAFF, Who};

/// Something that was done.
#[derive(Serialize, ToSchema)]
pub struct AuditEntry {
    id: i64,
    at: Timestamp,
    /// Who did it; `Staff` to customers, for one of the staff.
    user: String,
    user_id: Option<i64>,
    /// `browser`, a token's name or the command line.
    through: Option<String>,
    address: Option<String>,
    owner_id: Option<i64>,
    /// The kind of object and what was done.
    #[schema(example = "server.changed")]
    action: String,
    /// What the object was called.
    object: String,
    object_id: Option<i64>,
    /// What differs, before.
    old: Option<Value>,
    /// What differs, after.
    new: Option<Value>,
}

impl From<audit::Entry> for AuditEntry {
    fn from(entry: audit::Entry) -> Self {
        let who = entry.who.as_ref();
        Self {
            id: entry.id,
            at: entry.at,
            user: who.map_or(STAFF, |who| &who.name).to_owned(),
            user_id: who.and_then(|who| who.id),
            through: who.map(Who::how).map(str::to_owned),
            address: who.and_then(|who| who.address.clone()),
            owner_id: entry.owner.map(|owner| owner.id),
            action: entry.action,
            object: entry.object,
            object_id: entry.object_id,
            old: entry.old,
            new: entry.new,
        }
    }
}

/// What the audit is narrowed to.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Part of who did it.
    who: String,
    /// Part of what the object was called.
    object: String,
    #[serde(deserialize_with = "there")]
    owner_id: Option<i64>,
    /// Not before this moment.
    #[serde(deserialize_with = "there")]
    from: Option<Timestamp>,
    /// Before this moment.
    #[serde(deserialize_with = "there")]
    to: Option<Timestamp>,
    /// Items a page: 50 unless given, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// `GET /api/v1/audit`: the newest first.
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "list_audit", summary = "Read the audit",
    description = "The newest first: admins read all of it, managers what was done to what they manage, viewers nothing.",
    tag = "audit", params(Wanted), responses((status = 200, body = Items<AuditEntry>)))]
pub async fn list(
    State(app): State<App>,
    client: Client,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Items<AuditEntry>>> {
    let after: Option<Place> = place(wanted.cursor.as_deref())?;
    let at = page(wanted.limit, None)?;
    let filter = Filter {
        who: wanted.who,
        object: wanted.object,
        kinds: None,
        owner: wanted.owner_id,
        from: wanted.from,
        to: wanted.to,
    };
    let mut db = app.db(&client.user).await?;
    let mut rows = audit::batch(&mut db, &client.user.writing(), &filter, after, at.rows()).await?;
    let more = rows.len() > at.size;
    rows.truncate(at.size);
    let next_cursor = rows.last().filter(|_| more).and_then(|entry| cursor(&entry.place()));
    Ok(Json(Items { items: rows.into_iter().map(AuditEntry::from).collect(), next_cursor }))
}
