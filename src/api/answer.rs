//! What programs are answered.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub struct Items<T> {
    pub items: Vec<T>,
    /// For `cursor`, where there are more.
    pub next_cursor: Option<String>,
}

/// The tag of something by when it was changed last; what is known of it beside, such as whether a server is up,
/// changes no tag.
pub fn etag(updated_at: Timestamp) -> String {
    format!("\"{:x}\"", updated_at.as_microsecond())
}

/// Something with its tag.
pub fn one(thing: &impl Serialize, updated_at: Timestamp) -> Response {
    ([(header::ETAG, etag(updated_at))], Json(thing)).into_response()
}

/// As [`one`], which was made and is now at that path.
pub fn made(thing: &impl Serialize, updated_at: Timestamp, path: String) -> Response {
    (StatusCode::CREATED, [(header::LOCATION, path)], one(thing, updated_at)).into_response()
}
