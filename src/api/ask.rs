//! How programs ask: queries, bodies and preconditions, refused field by field.

use std::fmt::Display;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use url::form_urlencoded;

use super::answer::etag;
use crate::error::{Error, Fields, Result};
use crate::page::{self, At};

/// Items a page, at the most.
pub const MOST: usize = 200;

/// The query. An unknown parameter is refused: a filter with a slip in its name would leave everything.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let query = serde_html_form::Deserializer::new(pairs);
        let asked = serde_path_to_error::deserialize(query);
        asked.map(Self).map_err(|error| refused(&error.path().to_string(), error.inner()))
    }
}

/// A body of JSON. An unknown field is refused.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind != "application/json" && !(kind.starts_with("application/") && kind.ends_with("+json")) {
            return Err(Error::NotJson);
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|_| Error::TooLarge)?;
        read(&bytes).map(Self)
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    // serde would take a list for the fields in their order
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(Error::BadRequest("The body has to be a JSON object, as {\"name\": \"web-1\"}.".into()));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let broken = |error: &serde_json::Error| Error::BadRequest(format!("The body is no JSON: {error}."));
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        if error.inner().is_data() {
            refused(&error.path().to_string(), error.inner())
        } else {
            broken(error.inner())
        }
    })?;
    json.end().map_err(|error| broken(&error))?;
    Ok(value)
}

/// What serde says, at the field that it says it of.
fn refused(path: &str, error: &impl Display) -> Error {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let field = if path == "." { String::new() } else { path.to_owned() };
    Error::Invalid(Fields::one(field, format!("{text}.")))
}

/// A field that may be left out, or be `null`, which stands for what it is in a new one.
pub type Given<T> = Option<Option<T>>;

/// Reads a [`Given`] that is there.
pub fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Given<T>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Reads a parameter that is there: an empty one is no value, and not as if it were left out.
pub fn there<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// What `If-Match` asks for.
pub struct IfMatch(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let lines = parts.headers.get_all(header::IF_MATCH).iter();
        let lines: Vec<_> = lines.map(|line| line.to_str().unwrap_or_default()).collect();
        Ok(Self((!lines.is_empty()).then(|| lines.join(","))))
    }
}

impl IfMatch {
    /// Whether the request depends on it.
    pub fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// `Stale` when something else is asked for than what was changed last at that time.
    pub fn check(&self, updated_at: Timestamp) -> Result<()> {
        let Some(asked) = &self.0 else { return Ok(()) };
        let tag = etag(updated_at);
        // proxies that compress make tags weak, and ours mean the same then
        let same = |one: &str| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag;
        if asked.split(',').map(str::trim).any(same) { Ok(()) } else { Err(Error::Stale) }
    }

    /// `Stale` when something is asked for and there is nothing.
    pub fn check_nothing(&self) -> Result<()> {
        if self.is_given() { Err(Error::Stale) } else { Ok(()) }
    }
}

/// How often a change is made anew of what somebody else has made of it meanwhile.
pub const TRIES: usize = 5;

/// After so many tries.
pub fn busy() -> Error {
    Error::Conflict("Others are changing it at the same time. Try again.".into())
}

/// Which page of a list: `limit`, 50 unless asked for, and `cursor`.
pub fn page(limit: Option<i64>, cursor: Option<String>) -> Result<At> {
    let mut at = At::default();
    if let Some(limit) = limit {
        let allowed = usize::try_from(limit).ok().filter(|limit| (1..=MOST).contains(limit));
        at.size = allowed.ok_or_else(|| refused("limit", &format!("a number from 1 to {MOST}")))?;
    }
    at.after = cursor;
    Ok(at)
}

/// The place that a cursor of such a list holds. One of another list would begin anew without a word.
pub fn place<K: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<K>> {
    let unknown = || refused("cursor", &"take it from `next_cursor` of the same list");
    cursor.map(|cursor| page::key(cursor).ok_or_else(unknown)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Thing {
        #[serde(default, deserialize_with = "given")]
        port: Given<i64>,
    }

    #[test]
    fn a_body_is_refused_at_its_field() {
        for (text, field, said) in [
            (r#"{"port": "x"}"#, "port", "invalid type: string \"x\", expected i64."),
            (r#"{"prot": 1}"#, "prot", "unknown field `prot`, expected `port`."),
        ] {
            let Err(Error::Invalid(fields)) = read::<Thing>(text.as_bytes()) else { panic!("{text}") };
            assert_eq!(fields.get(field), said, "{fields:?}");
        }
        for text in ["", "{", "{} {}", "\u{1}", "[1]", "7"] {
            assert!(matches!(read::<Thing>(text.as_bytes()), Err(Error::BadRequest(_))), "{text}");
        }
        assert_eq!(read::<Thing>(b"{}").unwrap().port, None);
        assert_eq!(read::<Thing>(br#"{"port": null}"#).unwrap().port, Some(None));
        assert_eq!(read::<Thing>(br#"{"port": 7}"#).unwrap().port, Some(Some(7)));
    }

    #[test]
    fn a_precondition_holds_for_one_of_its_tags() {
        let (then, now) = (Timestamp::from_second(1).unwrap(), Timestamp::from_second(2).unwrap());
        let weak = format!("\"x\", W/{}", etag(now));
        for (asked, holds) in [
            (None, true),
            (Some("*".to_owned()), true),
            (Some(etag(now)), true),
            (Some(weak), true),
            (Some(etag(then)), false),
            (Some(etag(now).replace('"', "")), false),
            (Some(String::new()), false),
        ] {
            assert_eq!(IfMatch(asked.clone()).check(now).is_ok(), holds, "{asked:?}");
        }
    }
}
