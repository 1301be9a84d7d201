//! The browser at the other end: where it is, what it calls itself, whether somebody has logged in with it
//! before, and where a login that is under way leads. Cookies beside the session's say the last two.

use std::net::IpAddr;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tower_sessions::cookie::Cookie;

use crate::app::App;
use crate::error::{Error, Result};
use crate::store::browsers::{self, DAYS};

const KNOWN: &str = "known_browser";
const ONWARD: &str = "onward";
/// How long a login may be under way, seconds.
const UNDER_WAY: i64 = 600;
/// A longer path is not kept: browsers drop cookies that are too large.
const LONGEST_PATH: usize = 2000;

/// The browser that asks.
#[derive(Clone, Debug)]
pub struct Browser {
    pub from: Option<IpAddr>,
    /// Its `User-Agent`, the first 200 characters.
    pub agent: String,
    /// The secret by which it may be known. Whose it is, and whether it is right, the database says.
    pub(super) secret: Option<String>,
    /// Where the login leads, as the browser says: anything.
    onward: String,
    /// What the session will be tied to: the password that was verified, however long ago. `None`: the one that holds.
    pub(super) bond: Option<String>,
    secure: bool,
}

impl<S> FromRequestParts<S> for Browser
where
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let app = App::from_ref(state);
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
        let cookies = parts.headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
        let cookies: Vec<_> = cookies.flat_map(Cookie::split_parse).flatten().collect();
        let value = |name| cookies.iter().find(|cookie| cookie.name() == name).map(Cookie::value);
        Ok(Self {
            from: super::address_of(parts, &app),
            agent: agent.chars().take(200).collect(),
            bond: None,
            secret: value(KNOWN).map(str::to_owned),
            onward: value(ONWARD).and_then(unpacked).unwrap_or_default(),
            secure: app.config().public_url.scheme() == "https",
        })
    }
}

impl Browser {
    /// With what the session will be tied to.
    #[must_use]
    pub fn tied_to(self, bond: Option<String>) -> Self {
        Self { bond, ..self }
    }

    /// Knows it for this person from now on. The cookie goes to the login's pages only.
    pub(super) async fn remember(&self, app: &App, user: i64) -> Result<Kept> {
        let secret = browsers::remember(&mut app.door().await?, user, self.secret.as_deref()).await?;
        self.keep(KNOWN, &secret, DAYS * 24 * 60 * 60)
    }

    /// Where the login leads that is under way here, as the browser says: nothing to be trusted. Empty: nowhere.
    pub fn onward(&self) -> &str {
        &self.onward
    }

    /// Has the browser keep where its login leads, a path of ours, while it is under way; `/` forgets it. It may be
    /// the link of an invitation, whose secret the browser has and the database must not.
    pub fn leads_to(&self, path: &str) -> Result<Kept> {
        if path == "/" || path.len() > LONGEST_PATH {
            return self.keep(ONWARD, "", 0);
        }
        self.keep(ONWARD, &URL_SAFE_NO_PAD.encode(path), UNDER_WAY)
    }

    /// For the login's pages only.
    fn keep(&self, name: &str, value: &str, seconds: i64) -> Result<Kept> {
        let secure = if self.secure { "; Secure" } else { "" };
        let cookie =
            format!("{name}={value}; Path=/login; Max-Age={seconds}; SameSite=Lax; HttpOnly{secure}");
        Ok(Kept(HeaderValue::from_str(&cookie).map_err(Error::internal)?))
    }
}

fn unpacked(value: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(value).ok()?).ok()
}

/// A cookie that the browser shall keep. It belongs to the answer: `(kept, Redirect::to("/"))`.
#[derive(Clone, Debug)]
#[must_use = "without the answer the browser does not get it"]
pub struct Kept(HeaderValue);

impl IntoResponseParts for Kept {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        parts.headers_mut().append(header::SET_COOKIE, self.0);
        Ok(parts)
    }
}

impl IntoResponse for Kept {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}
