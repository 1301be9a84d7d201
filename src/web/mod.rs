//! Pages for people: a file a noun. This one holds what every page shares: the frame around it, and
//! how values look.

pub mod account;
pub mod alerts;
pub mod assets;
pub mod audit;
mod csv;
pub mod dashboard;
pub mod join;
pub mod links;
pub mod login;
pub mod looking;
pub mod members;
pub mod owners;
pub mod publications;
pub mod second_factors;
pub mod servers;
pub mod sessions;
pub mod shield;
pub mod sso;
pub mod sudo;
pub mod theme;
pub mod thresholds;
pub mod tokens;
pub mod users;
mod view;

use askama::Template;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

pub use self::view::*;
use crate::app::App;
use crate::auth::{self, User, Zone};
use crate::error::{Error, Result};
use crate::store::{Db, alerts as history, changes};

/// Open alerts are counted up to here in the menu.
const MOST_FIRING: i64 = 9999;
/// The key of the line that the next page shows once.
const FLASH_KEY: &str = "flash";

/// What stands around every page.
pub struct Frame {
    pub user: Option<FrameUser>,
    /// `light`, `dark`, or empty: as the system has it.
    pub theme: &'static str,
    /// Path of this page without its query.
    pub path: String,
    pub flash: Option<Flash>,
    /// For admins: changes wait to be published.
    pub pending: bool,
    /// Open alerts that this person sees.
    pub firing: i64,
    pub css: &'static str,
    pub htmx: &'static str,
    pub app_js: &'static str,
    pub icons: &'static str,
    pub favicon: &'static str,
}

/// Who is signed in, for the menu.
pub struct FrameUser {
    pub name: String,
    pub admin: bool,
    /// The one owner that is being looked at.
    pub looks_at: Option<String>,
    /// Looks as a customer, until then.
    pub until: Option<When>,
    /// More than one owner to choose from.
    pub chooses: bool,
    /// Sees the audit, of an owner or of all.
    pub audits: bool,
}

/// A line shown once, after an act.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Flash {
    /// `ok` or `error`.
    pub kind: String,
    pub text: String,
    /// Where a POST takes the act back.
    pub undo: Option<String>,
}

impl Flash {
    /// An act that worked.
    pub fn done(text: impl Into<String>) -> Self {
        Self { kind: "ok".into(), text: text.into(), undo: None }
    }

    /// An act that did not.
    pub fn failed(text: impl Into<String>) -> Self {
        Self { kind: "error".into(), text: text.into(), undo: None }
    }

    /// With the path whose POST takes it back.
    pub fn undo(self, path: String) -> Self {
        Self { undo: Some(path), ..self }
    }
}

impl Frame {
    /// Whether this page belongs to the menu entry: `/servers` holds for `/servers/7/edit`.
    pub fn at(&self, entry: &str) -> bool {
        self.path == entry
            || self.path.strip_prefix(entry).is_some_and(|rest| entry != "/" && rest.starts_with('/'))
    }

    /// Whether an admin looks at it.
    pub fn admin(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.admin)
    }
}

/// How the browser wants to see the page: theme, time zone, whole or only the part that htmx swaps.
#[derive(Clone, Debug)]
pub struct Look {
    pub theme: &'static str,
    pub zone: TimeZone,
    pub path: String,
    /// htmx asks for a part of the page.
    pub fragment: bool,
    /// Cookies are sent over TLS only.
    pub secure: bool,
}

impl Look {
    /// Reads it from a request.
    pub fn of(headers: &HeaderMap, uri: &Uri, secure: bool) -> Self {
        let theme = match cookie(headers, "theme").as_deref() {
            Some("light") => "light",
            Some("dark") => "dark",
            _ => "",
        };
        let zone = cookie(headers, "tz").and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC);
        let fragment = headers.get("hx-request-type").is_some_and(|kind| kind == "partial");
        Self { theme, zone, path: uri.path().to_owned(), fragment, secure }
    }

    /// The frame for somebody who is not signed in.
    pub fn bare(&self) -> Frame {
        Frame {
            user: None,
            theme: self.theme,
            path: self.path.clone(),
            flash: None,
            pending: false,
            firing: 0,
            css: assets::url("app.css"),
            htmx: assets::url("htmx-4.0.1.min.js"),
            app_js: assets::url("app.js"),
            icons: assets::url("icons.svg"),
            favicon: assets::url("favicon.svg"),
        }
    }

    /// The frame for a person.
    pub async fn frame(&self, db: &mut Db, user: &User, session: &Session) -> Result<Frame> {
        let firing = history::open_count(db, &user.scope(), MOST_FIRING).await?;
        let pending = match user.all() {
            Some(all) => changes::any(db, all).await?,
            None => false,
        };
        // a fragment does not show it, so it is left for the next whole page
        let flash = if self.fragment { None } else { take_flash(session).await? };
        Ok(Frame {
            user: Some(FrameUser {
                name: user.name().to_owned(),
                admin: user.is_admin(),
                looks_at: user.view().map(|view| view.name.clone()),
                until: user.view().and_then(|view| view.until).map(|until| When::new(until, &self.zone)),
                chooses: user.chooses(),
                audits: user.changes_something(),
            }),
            flash,
            pending,
            firing,
            ..self.bare()
        })
    }

    /// A page; `fragment` renders the part of it that htmx swaps, where it asks for one.
    pub fn show<T: Template>(
        &self,
        page: &T,
        fragment: impl FnOnce(&T) -> askama::Result<String>,
    ) -> Result<Response> {
        let html = if self.fragment { fragment(page) } else { page.render() };
        let mut response = Html(html.map_err(Error::internal)?).into_response();
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("HX-Request-Type"));
        Ok(response)
    }

    /// A page that has no parts, with a status.
    pub fn page<T: Template>(&self, status: StatusCode, page: &T) -> Result<Response> {
        Ok((status, Html(page.render().map_err(Error::internal)?)).into_response())
    }

    /// As [`Self::page`], with `Retry-After` where it is known in how many seconds another try makes sense.
    pub fn page_until<T: Template>(
        &self,
        status: StatusCode,
        page: &T,
        wait: Option<u64>,
    ) -> Result<Response> {
        let mut response = self.page(status, page)?;
        if let Some(seconds) = wait {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        Ok(response)
    }

    /// To the login, and from there back to where a GET was going.
    pub fn to_login(&self, method: &Method, uri: &Uri) -> Response {
        let mut to = String::from("/login");
        if method == Method::GET && !self.fragment && uri.path() != "/" {
            let next = uri.path_and_query().map_or("/", |path| path.as_str());
            let query: String =
                url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
            to = format!("/login?{query}");
        }
        if self.fragment {
            let mut response = StatusCode::NO_CONTENT.into_response();
            response.headers_mut().insert("hx-redirect", HeaderValue::from_static("/login"));
            return response;
        }
        Redirect::to(&to).into_response()
    }

    /// The page of an error.
    pub fn error_page(
        &self,
        status: StatusCode,
        title: &str,
        message: &str,
        reference: Option<String>,
    ) -> Response {
        let page = ErrorPage {
            frame: self.bare(),
            status: status.as_u16(),
            title: title.to_owned(),
            message: message.to_owned(),
            reference,
        };
        match page.render() {
            Ok(html) => (status, Html(html)).into_response(),
            Err(error) => {
                tracing::error!(%error, "the error page cannot be made");
                status.into_response()
            }
        }
    }
}

impl<S> FromRequestParts<S> for Look
where
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let app = App::from_ref(state);
        let mut look = Self::of(&parts.headers, &parts.uri, app.config().public_url.scheme() == "https");
        let chosen = parts.extensions.get::<Zone>().filter(|zone| !zone.0.is_empty());
        if let Some(zone) = chosen.and_then(|zone| TimeZone::get(&zone.0).ok()) {
            look.zone = zone;
        }
        Ok(look)
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    status: u16,
    title: String,
    message: String,
    reference: Option<String>,
}

/// Leaves a line for the next page, and goes there.
pub async fn go(session: &Session, to: &str, flash: Flash) -> Result<Response> {
    session.insert(FLASH_KEY, flash).await.map_err(auth::unavailable)?;
    Ok(Redirect::to(to).into_response())
}

async fn take_flash(session: &Session) -> Result<Option<Flash>> {
    let flash = session.get(FLASH_KEY).await.map_err(auth::unavailable)?;
    // taking nothing away would still write the session
    if flash.is_some() {
        session.remove::<Flash>(FLASH_KEY).await.map_err(auth::unavailable)?;
    }
    Ok(flash)
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'));
    let value = pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name)?.1;
    let decoded = url::form_urlencoded::parse(format!("v={value}").as_bytes()).next()?.1.into_owned();
    Some(decoded)
}

/// A path of ours to go to after a login; anything else is the dashboard. Refuses what a browser
/// would read as another host (`//x`, `/\x`).
pub fn local(next: &str) -> &str {
    let ours = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && !next.chars().any(|c| c.is_control() || c.is_whitespace());
    if ours { next } else { "/" }
}

/// Where one-time links lead, and what the log says instead.
const SECRETS: [(&str, &str); 3] =
    [("/setup/", "/setup/…"), ("/password/", "/password/…"), ("/join/", "/join/…")];

/// Whether a path carries the secret of a one-time link.
pub fn is_secret(path: &str) -> bool {
    SECRETS.iter().any(|(room, _)| path.starts_with(room))
}

/// A path for the log, without the secret of a one-time link.
pub fn redacted(path: &str) -> &str {
    SECRETS.iter().find(|(room, _)| path.starts_with(room)).map_or(path, |(_, said)| said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_does_not_read_the_secret_of_a_link() {
        for (path, said) in [
            ("/setup/s3cret", "/setup/…"),
            ("/password/s3cret", "/password/…"),
            ("/join/s3cret", "/join/…"),
            ("/owners/7/members", "/owners/7/members"),
        ] {
            assert_eq!(redacted(path), said);
            assert_eq!(is_secret(path), path != said);
        }
    }

    #[test]
    fn only_paths_of_ours_follow_a_login() {
        for next in ["/servers?q=a", "/", "/alerts/7"] {
            assert_eq!(local(next), next);
        }
        for next in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "javascript:x",
            "/a\nb",
        ] {
            assert_eq!(local(next), "/", "{next}");
        }
    }
}
