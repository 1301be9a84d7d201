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
pub trait List: Send + Sync + 'static {
    /// `prommgr-NAME-2026-11-22.csv`
    const NAME: &'static str;
    const COLUMNS: &'static [&'static str];
    type Row: Row;
    /// Where a batch ends.
    type Place: Copy + Send + Sync;

    /// The next rows after a place, about [`BATCH`], and where to go on; `None`: those were the last.
    fn batch(&self, after: Option<Self::Place>) -> impl Future<Output = Result<Batch<Self>>> + Send;
}

/// Rows, and where the next ones are.
pub type Batch<L> = (Vec<<L as List>::Row>, Option<<L as List>::Place>);

/// A row of a list.
pub trait Row: Send {
    /// A record of the list's columns.
    fn csv(&self) -> String;
    /// The row as JSON, by the names of the columns.
    fn json(&self) -> impl Serialize;
}

/// The answer that sends a list as a file. What goes wrong with the first rows is the answer.
pub async fn send<L: List>(list: L, form: Form) -> Result<Response> {
    let (rows, after) = list.batch(None).await?;
    let mut text = match form {
        Form::Csv => crate::import::record(L::COLUMNS.iter().copied()),
        Form::Json => "[\n".into(),
    };
    let mut sending = Sending { list, form, first: true, after };
    sending.write(&mut text, &rows)?;
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

struct Sending<L: List> {
    list: L,
    form: Form,
    /// No row was written yet.
    first: bool,
    /// Where to go on; `None`: all were written.
    after: Option<L::Place>,
}

impl<L: List> Sending<L> {
    /// The next piece of the file. An error cuts the answer off, so that nobody takes half of a file for the whole.
    async fn next(&mut self) -> Result<Option<String>> {
        if self.after.is_none() {
            return Ok(None);
        }
        let batch = self.list.batch(self.after).await;
        let (rows, after) = batch.inspect_err(|error| tracing::warn!(%error, "an export was cut off"))?;
        self.after = after;
        let mut text = String::new();
        self.write(&mut text, &rows)?;
        Ok(Some(text))
    }

    fn write(&mut self, text: &mut String, rows: &[L::Row]) -> Result<()> {
        for row in rows {
            match self.form {
                Form::Csv => text.push_str(&row.csv()),
                Form::Json => {
                    text.push_str(if self.first { "" } else { ",\n" });
                    text.push_str(&serde_json::to_string(&row.json()).map_err(Error::internal)?);
                }
            }
            self.first = false;
        }
        if self.after.is_none() && self.form == Form::Json {
            text.push_str("\n]\n");
        }
        Ok(())
    }
}

/// What stands in a column; empty where there is nothing.
pub fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
