//! The browser at the other end: where it is, what it calls itself, and whether somebody has logged in with it
//! before, which a cookie says that outlives the session.

use std::net::IpAddr;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use tower_sessions::cookie::Cookie;

use crate::app::App;
use crate::error::{Error, Result};
use crate::store::browsers::{self, DAYS};

const COOKIE: &str = "known_browser";

/// The browser that asks.
#[derive(Clone, Debug)]
pub struct Browser {
    pub from: Option<IpAddr>,
    /// Its `User-Agent`, the first 200 characters.
    pub agent: String,
    /// The secret by which it may be known. Whose it is, and whether it is right, the database says.
    pub(super) secret: Option<String>,
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
        let mut cookies = cookies.flat_map(Cookie::split_parse).flatten();
        Ok(Self {
            from: super::address_of(parts, &app),
            agent: agent.chars().take(200).collect(),
            bond: None,
            secret: cookies.find(|cookie| cookie.name() == COOKIE).map(|cookie| cookie.value().to_owned()),
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
    pub(super) async fn remember(&self, app: &App, user: i64) -> Result<Known> {
        let secret = browsers::remember(&mut app.door().await?, user, self.secret.as_deref()).await?;
        let secure = if self.secure { "; Secure" } else { "" };
        let seconds = DAYS * 24 * 60 * 60;
        let cookie =
            format!("{COOKIE}={secret}; Path=/login; Max-Age={seconds}; SameSite=Lax; HttpOnly{secure}");
        Ok(Known(HeaderValue::from_str(&cookie).map_err(Error::internal)?))
    }
}

/// The cookie by which a browser is known. It belongs to the answer: `(known, Redirect::to("/"))`.
#[derive(Clone, Debug)]
#[must_use = "without its cookie the browser stays a stranger"]
pub struct Known(HeaderValue);

impl IntoResponseParts for Known {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        parts.headers_mut().append(header::SET_COOKIE, self.0);
        Ok(parts)
    }
}

impl IntoResponse for Known {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}
