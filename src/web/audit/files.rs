//! The audit as a file, with the page's filters.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{Filters, reader};
use crate::app::App;
use crate::auth::User;
use crate::error::Result;
use crate::face::Query;
use crate::import::record;
use crate::store::audit::{self, Entry, Filter, Place, STAFF, Who};
use crate::web::Look;
use crate::web::files::{BATCH, Form, List, Row, send, text};

/// `GET /audit.csv`
pub async fn csv(
    State(app): State<App>,
    user: User,
    look: Look,
    Query(filters): Query<Filters>,
) -> Result<Response> {
    reader(&user)?;
    let filter = filters.filter(&look.zone)?;
    send(Entries { app, user, filter }, Form::Csv).await
}

/// `GET /audit.json`
pub async fn json(
    State(app): State<App>,
    user: User,
    look: Look,
    Query(filters): Query<Filters>,
) -> Result<Response> {
    reader(&user)?;
    let filter = filters.filter(&look.zone)?;
    send(Entries { app, user, filter }, Form::Json).await
}

struct Entries {
    app: App,
    user: User,
    filter: Filter,
}

impl List for Entries {
    const NAME: &'static str = "audit";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "at",
        "user",
        "user_id",
        "through",
        "address",
        "owner",
        "owner_id",
        "action",
        "object",
        "object_id",
        "old",
        "new",
    ];
    type Row = Entry;
    type Place = Place;

    async fn batch(&self, after: Option<Place>) -> Result<(Vec<Entry>, Option<Place>)> {
        let mut db = self.app.db(&self.user).await?;
        let rows = audit::batch(&mut db, &self.user.writing(), &self.filter, after, BATCH).await?;
        let full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= BATCH);
        let last = rows.last().map(Entry::place);
        Ok((rows, last.filter(|_| full)))
    }
}

/// An entry, by the names of its columns.
#[derive(Serialize)]
struct Line<'a> {
    id: i64,
    at: Timestamp,
    user: &'a str,
    user_id: Option<i64>,
    through: Option<&'a str>,
    address: Option<&'a str>,
    owner: Option<&'a str>,
    owner_id: Option<i64>,
    action: &'a str,
    object: &'a str,
    object_id: Option<i64>,
    old: Option<&'a Value>,
    new: Option<&'a Value>,
}

impl<'a> Line<'a> {
    fn new(entry: &'a Entry) -> Self {
        let who = entry.who.as_ref();
        let owner = entry.owner.as_ref();
        Self {
            id: entry.id,
            at: entry.at,
            user: who.map_or(STAFF, |who| &who.name),
            user_id: who.and_then(|who| who.id),
            through: who.map(Who::how),
            address: who.and_then(|who| who.address.as_deref()),
            owner: owner.map(|owner| owner.name.as_str()),
            owner_id: owner.map(|owner| owner.id),
            action: &entry.action,
            object: &entry.object,
            object_id: entry.object_id,
            old: entry.old.as_ref(),
            new: entry.new.as_ref(),
        }
    }
}

impl Row for Entry {
    fn csv(&self) -> String {
        let line = Line::new(self);
        record([
            line.id.to_string().as_str(),
            &line.at.to_string(),
            line.user,
            &text(line.user_id),
            line.through.unwrap_or_default(),
            line.address.unwrap_or_default(),
            line.owner.unwrap_or_default(),
            &text(line.owner_id),
            line.action,
            line.object,
            &text(line.object_id),
            &text(line.old),
            &text(line.new),
        ])
    }

    fn json(&self) -> impl Serialize {
        Line::new(self)
    }
}
