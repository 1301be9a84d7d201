//! A list as a file: every row, however many. It is read in batches while it is sent, each in a short
//! transaction of its own, so that neither memory nor the database holds much.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jiff::Timestamp;
use serde::Serialize;

use crate::error::{Error, Result};

/// Rows that are read at once.
pub const BATCH: i64 = 1000;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// RFC 4180 with a header, safe in a spreadsheet.
    Csv,
    /// One array, a row a line.
    Json,
}

/// A list that is read in batches.
pub trait List: Send + 'static {
    /// `prommgr-NAME-2026-11-22.csv`
    const NAME: &'static str;
    const COLUMNS: &'static [&'static str];
    type Row: Row;

    /// The next rows, about [`BATCH`]; `None` after the last ones.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<Self::Row>>>> + Send;
}

/// A row of a list.
pub trait Row: Send {
    /// A record of the list's columns.
    fn csv(&self) -> String;
    /// The row as JSON, by the names of the columns.
    fn json(&self) -> impl Serialize;
}

/// The answer that sends a list as a file. What goes wrong with the first rows is the answer.
pub async fn send<L: List>(mut list: L, form: Form) -> Result<Response> {
    let rows = list.next().await?;
    let mut text = match form {
        Form::Csv => super::csv::record(L::COLUMNS.iter().copied()),
        Form::Json => "[\n".into(),
    };
    let mut sending = Sending { list, form, first: true, ended: false };
    sending.write(&mut text, rows)?;
    let body = stream::try_unfold((Some(text), sending), |(begun, mut sending)| async move {
        if let Some(text) = begun {
            return Ok(Some((text, (None, sending))));
        }
        Ok::<_, Error>(sending.next().await?.map(|text| (text, (None, sending))))
    });
    let (kind, ending) = match form {
        Form::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
        Form::Json => ("application/json", "json"),
    };
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let day = Timestamp::now().strftime("%Y-%m-%d");
    let disposition =
        HeaderValue::from_str(&format!("attachment; filename=\"prommgr-{}-{day}.{ending}\"", L::NAME));
    headers.insert(header::CONTENT_DISPOSITION, disposition.map_err(Error::internal)?);
    Ok(response)
}

struct Sending<L> {
    list: L,
    form: Form,
    /// No row was written yet.
    first: bool,
    ended: bool,
}

impl<L: List> Sending<L> {
    /// The next piece of the file. An error cuts the answer off, so that nobody takes half of a file for the whole.
    async fn next(&mut self) -> Result<Option<String>> {
        if self.ended {
            return Ok(None);
        }
        let rows =
            self.list.next().await.inspect_err(|error| tracing::warn!(%error, "an export was cut off"))?;
        let mut text = String::new();
        self.write(&mut text, rows)?;
        Ok(Some(text))
    }

    fn write(&mut self, text: &mut String, rows: Option<Vec<L::Row>>) -> Result<()> {
        self.ended = rows.is_none();
        for row in rows.into_iter().flatten() {
            match self.form {
                Form::Csv => text.push_str(&row.csv()),
                Form::Json => {
                    text.push_str(if self.first { "" } else { ",\n" });
                    text.push_str(&serde_json::to_string(&row.json()).map_err(Error::internal)?);
                }
            }
            self.first = false;
        }
        if self.ended && self.form == Form::Json {
            text.push_str("\n]\n");
        }
        Ok(())
    }
}
