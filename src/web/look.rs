//! How a browser wants to see pages, and the answers that are made of them.

use askama::Template;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use jiff::tz::TimeZone;
use tower_sessions::Session;

use super::frame::take_flash;
use super::{Frame, FrameUser, When, assets, came_from};
use crate::app::App;
use crate::auth::{User, Zone};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::store::{Db, alerts as history, changes};

/// Open alerts are counted up to here in the menu.
pub const MOST_FIRING: i64 = 9999;

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
    /// The page of ours that the request came from, as the browser says.
    pub came_from: Option<String>,
}

impl Look {
    /// Reads it from a request.
    pub fn of(headers: &HeaderMap, uri: &Uri, config: &Config) -> Self {
        let theme = match cookie(headers, "theme").as_deref() {
            Some("light") => "light",
            Some("dark") => "dark",
            _ => "",
        };
        let zone = cookie(headers, "tz").and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC);
        let fragment = headers.get("hx-request-type").is_some_and(|kind| kind == "partial");
        Self {
            theme,
            zone,
            path: uri.path().to_owned(),
            fragment,
            secure: config.public_url.scheme() == "https",
            came_from: came_from(headers, &config.public_url),
        }
    }

    /// The frame for somebody who is not signed in.
    pub fn bare(&self) -> Frame {
        Frame {
            user: None,
            theme: self.theme,
            path: self.path.clone(),
            flash: None,
            pending: 0,
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
            Some(all) => changes::pending(db, all).await?,
            None => 0,
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

    /// To the login, and from there back to where a GET was going, or to the page whose form was sent, with a word
    /// on why nothing came of it.
    pub fn to_login(&self, method: &Method, uri: &Uri) -> Response {
        let came_from = self.came_from.as_deref();
        let (next, sent) = match uri.path_and_query().map(|path| path.as_str()) {
            _ if self.fragment => (came_from, false),
            path if method.is_safe() => (path, false),
            path => (came_from.or(path), true),
        };
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(next.filter(|next| *next != "/").map(|next| ("next", next)));
        query.extend_pairs(sent.then_some(("ended", "1")));
        let query = query.finish();
        let to = if query.is_empty() { "/login".to_owned() } else { format!("/login?{query}") };
        if self.fragment {
            return (StatusCode::NO_CONTENT, [("hx-redirect", to)]).into_response();
        }
        Redirect::to(&to).into_response()
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
        let mut look = Self::of(&parts.headers, &parts.uri, app.config());
        let chosen = parts.extensions.get::<Zone>().filter(|zone| !zone.0.is_empty());
        if let Some(zone) = chosen.and_then(|zone| TimeZone::get(&zone.0).ok()) {
            look.zone = zone;
        }
        Ok(look)
    }
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
