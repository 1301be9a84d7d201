//! The audit as a file, with the page's filters: every row, however many. It is read in batches while it is
//! sent, each in a short transaction of its own, so that neither memory nor the database holds much.

use std::collections::VecDeque;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{Filters, reader};
use crate::app::App;
use crate::auth::User;
use crate::error::{Error, Result};
use crate::face::Query;
use crate::store::audit::{self, Entry, Filter, STAFF, Who};
use crate::web::{Look, csv};

/// Rows that are read at once.
const BATCH: i64 = 1000;

#[derive(Clone, Copy)]
enum Form {
    Csv,
    Json,
}

/// `GET /audit.csv`
pub async fn csv(
    State(app): State<App>,
    user: User,
    look: Look,
    Query(filters): Query<Filters>,
) -> Result<Response> {
    file(app, user, &filters, &look, Form::Csv).await
}

/// `GET /audit.json`: one array, a row a line.
pub async fn json(
    State(app): State<App>,
    user: User,
    look: Look,
    Query(filters): Query<Filters>,
) -> Result<Response> {
    file(app, user, &filters, &look, Form::Json).await
}

async fn file(app: App, user: User, filters: &Filters, look: &Look, form: Form) -> Result<Response> {
    reader(&user)?;
    let filter = filters.filter(&look.zone)?;
    let mut sending = Sending { app, user, filter, form, entries: VecDeque::new(), part: Part::First };
    // what goes wrong at once has a page of its own
    sending.read(None).await?;
    let name = format!("prommgr-audit-{}", Timestamp::now().strftime("%Y-%m-%d"));
    let (kind, ending) = match form {
        Form::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
        Form::Json => ("application/json", "json"),
    };
    let mut response = Body::from_stream(stream::try_unfold(sending, Sending::next)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}.{ending}\""));
    headers.insert(header::CONTENT_DISPOSITION, disposition.map_err(Error::internal)?);
    Ok(response)
}

struct Sending {
    app: App,
    user: User,
    filter: Filter,
    form: Form,
    /// Read and not yet sent.
    entries: VecDeque<Entry>,
    part: Part,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    First,
    Middle,
    End,
}

impl Sending {
    async fn read(&mut self, after: Option<audit::Place>) -> Result<()> {
        let mut db = self.app.db(&self.user).await?;
        self.entries = audit::batch(&mut db, &self.user.writing(), &self.filter, after, BATCH).await?.into();
        Ok(())
    }

    /// The next piece of the file, a batch long. An error cuts the answer off, so that nobody takes half
    /// of a file for the whole.
    async fn next(mut self) -> Result<Option<(String, Self)>> {
        if self.part == Part::End {
            return Ok(None);
        }
        let mut text = String::new();
        if self.part == Part::First {
            text.push_str(&self.head());
        }
        let last = self.entries.back().map(Entry::place);
        let full = i64::try_from(self.entries.len()).is_ok_and(|rows| rows == BATCH);
        for (n, entry) in std::mem::take(&mut self.entries).iter().enumerate() {
            match self.form {
                Form::Csv => text.push_str(&Line::new(entry).record()),
                Form::Json => {
                    text.push_str(if self.part == Part::First && n == 0 { "" } else { ",\n" });
                    text.push_str(&serde_json::to_string(&Line::new(entry)).map_err(Error::internal)?);
                }
            }
        }
        self.part = Part::Middle;
        if full {
            self.read(last).await.inspect_err(|error| tracing::warn!(%error, "an export was cut off"))?;
        }
        if self.entries.is_empty() {
            self.part = Part::End;
            if matches!(self.form, Form::Json) {
                text.push_str("\n]\n");
            }
        }
        Ok(Some((text, self)))
    }

    fn head(&self) -> String {
        match self.form {
            Form::Csv => csv::record(COLUMNS),
            Form::Json => "[\n".into(),
        }
    }
}

const COLUMNS: [&str; 13] = [
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

    /// In the order of [`COLUMNS`].
    fn record(&self) -> String {
        let id = |id: Option<i64>| id.map_or_else(String::new, |id| id.to_string());
        let json = |value: Option<&Value>| value.map_or_else(String::new, Value::to_string);
        let cells = [
            &self.id.to_string(),
            &self.at.to_string(),
            self.user,
            &id(self.user_id),
            self.through.unwrap_or_default(),
            self.address.unwrap_or_default(),
            self.owner.unwrap_or_default(),
            &id(self.owner_id),
            self.action,
            self.object,
            &id(self.object_id),
            &json(self.old),
            &json(self.new),
        ];
        csv::record(cells)
    }
}
