//! Logging in and out, and making the first admin by a one-time link.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use tower_sessions::Session;

use super::sso::{self, Way};
use super::{Field, Flash, Frame, Look, go, links, local, take_flash};
use crate::app::App;
use crate::auth::half_login::{self, Entered};
use crate::auth::{self, Browser, Themselves};
use crate::error::{Error, Result};
use crate::face::{Form, Path, Query};
use crate::store::sessions;
use crate::store::users::{self, NewUser};

const ENDED: &str = "Your session has ended, so nothing was done. Log in again, then go on where you were.";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    username: String,
    next: String,
    way: Option<Way>,
    error: Option<String>,
}

/// Where to go after the login.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Next {
    next: String,
    /// Not empty: somebody sent a form who was no longer signed in.
    ended: String,
}

/// `GET /login`, with the line that was left for it.
pub async fn form(
    State(app): State<App>,
    session: Session,
    look: Look,
    browser: Browser,
    Query(query): Query<Next>,
) -> Result<Response> {
    let next = local(if query.next.is_empty() { browser.onward() } else { &query.next });
    let page = LoginPage {
        frame: Frame { flash: take_flash(&session).await?, ..look.bare() },
        username: String::new(),
        next: next.to_owned(),
        way: sso::way(&app, next),
        error: (!query.ended.is_empty()).then(|| ENDED.into()),
    };
    look.page(StatusCode::OK, &page)
}

/// What the form sends.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct Credentials {
    username: String,
    password: String,
    next: String,
}

/// `POST /login`. A wrong name and a wrong password get the same answer after the same time; 429 with
/// `Retry-After` after too many of them.
pub async fn log_in(
    State(app): State<App>,
    session: Session,
    look: Look,
    browser: Browser,
    Form(form): Form<Credentials>,
) -> Result<Response> {
    let checked = auth::check_login(&app, &form.username, &form.password, &browser).await;
    let (status, error, wait) = match checked {
        Ok(Some((id, bond))) => {
            let browser = browser.tied_to(Some(bond));
            return enter(&app, &session, id, &browser, local(&form.next), None).await;
        }
        Ok(None) => {
            let wrong = "That name and password do not belong together.".to_owned();
            (StatusCode::UNPROCESSABLE_ENTITY, wrong, None)
        }
        Err(error @ Error::TooMany(_)) => {
            (StatusCode::TOO_MANY_REQUESTS, error.message(), error.retry_after())
        }
        Err(error) => return Err(error),
    };
    let page = LoginPage {
        frame: look.bare(),
        username: form.username,
        next: local(&form.next).to_owned(),
        way: sso::way(&app, &form.next),
        error: Some(error),
    };
    // the link to the single sign-on does not carry a secret
    Ok((browser.leads_to(local(&form.next))?, look.page_until(status, &page, wait)?).into_response())
}

/// What follows when somebody proved who they are by their password, or by choosing one: signed in, to a page of
/// ours with a line on it, after the second factor where they have one.
pub(super) async fn enter(
    app: &App,
    session: &Session,
    id: i64,
    browser: &Browser,
    to: &str,
    flash: Option<Flash>,
) -> Result<Response> {
    let (known, onward, to) = match half_login::enter(app, session, id, to, browser).await? {
        Entered::In(known) => (Some(known), browser.leads_to("/")?, to),
        Entered::Halfway(onward) => (None, onward, "/login/second-factor"),
    };
    let answer = match flash {
        Some(flash) => go(session, to, flash).await?,
        None => Redirect::to(to).into_response(),
    };
    Ok((known, onward, answer).into_response())
}

/// `POST /logout`. The session ends, here and in the database.
pub async fn log_out(
    State(app): State<App>,
    session: Session,
    user: Result<Themselves, Error>,
) -> Result<Response> {
    if let (Ok(Themselves(user)), Some(id)) = (user, session.id()) {
        match sessions::end(&mut app.door().await?, &user.actor(), &sessions::handle_of(&id)).await {
            // by another tab, at the same moment
            Ok(()) | Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    session.flush().await.map_err(auth::unavailable)?;
    Ok(Redirect::to("/login").into_response())
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    frame: Frame,
    action: String,
    username: Field,
    password: Field,
    password_again: Field,
}

/// `GET /setup/{secret}`. Not found once somebody exists.
pub async fn setup_form(State(app): State<App>, look: Look, Path(secret): Path<String>) -> Result<Response> {
    if !users::setup_open(&mut app.door().await?, &secret).await? {
        return Err(Error::NotFound);
    }
    let page = SetupPage {
        frame: look.bare(),
        action: look.path.clone(),
        username: Field { value: "admin".into(), error: None },
        password: Field::default(),
        password_again: Field::default(),
    };
    look.page(StatusCode::OK, &page)
}

/// What the form sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct FirstAdmin {
    username: String,
    password: String,
    password_again: String,
}

/// `POST /setup/{secret}`: makes the first admin and signs them in.
pub async fn set_up(
    State(app): State<App>,
    session: Session,
    look: Look,
    browser: Browser,
    Path(secret): Path<String>,
    Form(form): Form<FirstAdmin>,
) -> Result<Response> {
    let made = async {
        links::same(&form.password, &form.password_again)?;
        let mut db = app.door().await?;
        if !users::setup_open(&mut db, &secret).await? {
            return Err(Error::NotFound);
        }
        let new = NewUser::check(&form.username, form.password.clone(), true).await?;
        users::set_up(&mut db, &secret, new, browser.from).await
    };
    match made.await {
        Ok(id) => {
            let flash = Flash::done("Welcome. Begin with the first owner and server.");
            enter(&app, &session, id, &browser, "/", Some(flash)).await
        }
        Err(Error::Invalid(fields)) => {
            let page = SetupPage {
                frame: look.bare(),
                action: look.path.clone(),
                username: Field::new(form.username, &fields, "username"),
                password: Field::new("", &fields, "password"),
                password_again: Field::new("", &fields, "password_again"),
            };
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error),
    }
}
