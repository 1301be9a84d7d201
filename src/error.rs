//! One error and the status it means. How it looks (a page, or problem+json) is decided by
//! [`crate::face`]; nothing here knows HTML, JSON or HTTP frameworks.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

/// Messages by field name, for input that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub BTreeMap<Cow<'static, str>, String>, Taken);

/// Whether fields are refused only because something else has what must be unique.
type Taken = bool;

impl Fields {
    /// One message at one field.
    pub fn one(field: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self(BTreeMap::from([(field.into(), message.into())]), false)
    }

    /// One message at a field whose value something else has already: for programs that is a conflict (409), for
    /// people a field that needs another look.
    pub fn taken(field: &'static str, message: impl Into<String>) -> Self {
        Self(Self::one(field, message).0, true)
    }

    /// Notes a message; the first one at a field stays.
    pub fn add(&mut self, field: impl Into<Cow<'static, str>>, message: impl Into<String>) {
        self.0.entry(field.into()).or_insert_with(|| message.into());
        self.1 = false;
    }

    /// The message at a field, or the empty string.
    pub fn get(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }

    /// `Ok` when nothing was noted.
    pub fn into_result(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self)) }
    }
}

/// What can go wrong while a request or a command is served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such thing, or it is not yours: the two look alike (404).
    #[error("There is nothing here, or it is not yours to see.")]
    NotFound,
    /// You may see it, but not change it (403).
    #[error("You may look at this, but not change it.")]
    Forbidden,
    /// Nobody is signed in, or the token is wrong (401; pages lead to the login).
    #[error("Please log in.")]
    Unauthorized,
    /// The request makes no sense (400).
    #[error("{0}")]
    BadRequest(String),
    /// The body is larger than this route takes (413).
    #[error("The request is too large.")]
    TooLarge,
    /// The body is not of the kind that this route takes (415).
    #[error("The body has to be JSON, with `Content-Type: application/json`.")]
    NotJson,
    /// The input was refused, field by field (422; 409 to programs where another has it already).
    #[error("Some fields need another look: {}", .0.0.iter().map(|(field, message)| format!("{field}: {message}")).collect::<Vec<_>>().join("; "))]
    Invalid(Fields),
    /// What is asked for cannot be combined with what is there (409).
    #[error("{0}")]
    Conflict(String),
    /// It was changed since it was read (412).
    #[error("It was changed meanwhile. Get it again, and change what it is now.")]
    Stale,
    /// Too many attempts; after that time there is one again (429).
    #[error("Too many attempts. Try again {}.", in_words(*.0))]
    TooMany(Duration),
    /// A program asks too much; after that time it may ask again (429).
    #[error("Too many requests with this token. Try again {}.", in_words(*.0))]
    TooFast(Duration),
    /// Something we need does not answer just now (503).
    #[error("{0}")]
    Unavailable(String),
    /// Our fault (500); the text is for the log only.
    #[error("{0:#}")]
    Internal(#[from] anyhow::Error),
}

/// A result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An internal error from anything printable.
    pub fn internal(error: impl Display) -> Self {
        Self::Internal(anyhow::anyhow!("{error}"))
    }

    /// The HTTP status this error means.
    pub fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict(_) | Self::Invalid(Fields(_, true)) => 409,
            Self::Stale => 412,
            Self::TooLarge => 413,
            Self::NotJson => 415,
            Self::Invalid(_) => 422,
            Self::TooMany(_) | Self::TooFast(_) => 429,
            Self::Internal(_) => 500,
            Self::Unavailable(_) => 503,
        }
    }

    /// After how long another try makes sense, in whole seconds, where that is known (`Retry-After`).
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooMany(wait) | Self::TooFast(wait) => Some(whole_seconds(*wait)),
            Self::Unavailable(_) => Some(5),
            _ => None,
        }
    }

    /// What happened, in a few words.
    pub fn title(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "That request makes no sense",
            Self::Unauthorized => "Not signed in",
            Self::Forbidden => "Not allowed",
            Self::NotFound => "Not found",
            Self::Conflict(_) | Self::Invalid(Fields(_, true)) => "That does not fit what is there",
            Self::Stale => "Changed meanwhile",
            Self::NotJson => "Not JSON",
            Self::TooLarge => "Too large",
            Self::Invalid(_) => "Some fields need another look",
            Self::TooMany(_) => "Too many attempts",
            Self::TooFast(_) => "Too many requests",
            Self::Internal(_) => "Something went wrong on our side",
            Self::Unavailable(_) => "Not available just now",
        }
    }

    /// What a person may read of it: never the text of an internal error.
    pub fn message(&self) -> String {
        match self {
            Self::Internal(_) => {
                "It has been logged. Try again; if it stays, tell whoever runs this prommgr the reference."
                    .into()
            }
            other => other.to_string(),
        }
    }
}

/// Rounded up, and never none: a try that comes too early is refused again.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn in_words(wait: Duration) -> String {
    match whole_seconds(wait) {
        1 => "in a second".into(),
        seconds @ ..=90 => format!("in {seconds} seconds"),
        seconds => format!("in {} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up() {
        for (millis, seconds, words) in [
            (0, 1, "in a second"),
            (1, 1, "in a second"),
            (1001, 2, "in 2 seconds"),
            (90_000, 90, "in 90 seconds"),
            (90_001, 91, "in 2 minutes"),
            (900_000, 900, "in 15 minutes"),
        ] {
            let error = Error::TooMany(Duration::from_millis(millis));
            assert_eq!(error.retry_after(), Some(seconds));
            assert_eq!(error.message(), format!("Too many attempts. Try again {words}."));
        }
    }
}
