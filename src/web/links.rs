//! One-time links: the page that shows a new one to copy, and choosing a password by one.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::{Field, Flash, Frame, Link, Look, When, login};
use crate::app::App;
use crate::auth::Browser;
use crate::error::{Error, Fields, Result};
use crate::face::{Form, Path};
use crate::store::users;
use crate::store::users::Made;

/// Shows a link, this once. It is the answer to the POST that made it, so that the secret is kept nowhere.
#[derive(Template)]
#[template(path = "link.html")]
pub(super) struct LinkPage {
    frame: Frame,
    title: String,
    /// What the link is good for.
    text: String,
    url: String,
    expires: When,
    back: Link,
}

impl LinkPage {
    /// A link to `/{room}/{secret}`, under the address where people reach us.
    pub(super) fn new(
        app: &App,
        look: &Look,
        frame: Frame,
        room: &str,
        made: &Made,
        [title, text]: [String; 2],
        back: Link,
    ) -> Result<Self> {
        let url =
            app.config().public_url.join(&format!("{room}/{}", made.secret)).map_err(Error::internal)?;
        let expires = When::new(made.expires_at, &look.zone);
        Ok(Self { frame, title, text, url: url.into(), expires, back })
    }
}

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    frame: Frame,
    action: String,
    name: String,
    password: Field,
    password_again: Field,
}

/// `GET /password/{secret}`
pub async fn password_form(
    State(app): State<App>,
    look: Look,
    Path(secret): Path<String>,
) -> Result<Response> {
    let name = users::password_open(&mut app.door().await?, &secret).await?;
    look.page(StatusCode::OK, &password_page(&look, name, &Fields::default()))
}

fn password_page(look: &Look, name: String, fields: &Fields) -> PasswordPage {
    PasswordPage {
        frame: look.bare(),
        action: look.path.clone(),
        name,
        password: Field::new("", fields, "password"),
        password_again: Field::new("", fields, "password_again"),
    }
}

/// What the form sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Chosen {
    password: String,
    password_again: String,
}

/// `POST /password/{secret}`: sets it, ends the person's sessions and signs in.
pub async fn choose_password(
    State(app): State<App>,
    session: Session,
    look: Look,
    browser: Browser,
    Path(secret): Path<String>,
    Form(form): Form<Chosen>,
) -> Result<Response> {
    let mut db = app.door().await?;
    let name = users::password_open(&mut db, &secret).await?;
    let chosen = async {
        same(&form.password, &form.password_again)?;
        users::choose_password(&mut db, &secret, form.password.clone(), browser.from).await
    };
    match chosen.await {
        Ok(id) => {
            drop(db);
            let flash = Flash::done("Your password is set.");
            login::enter(&app, &session, id, &browser, "/", Some(flash)).await
        }
        Err(Error::Invalid(fields)) => {
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &password_page(&look, name, &fields))
        }
        Err(error) => Err(error),
    }
}

/// What is said of a one-time link that does not work, and what to do: the same whether it is used, has expired, or
/// never was one. `None`: the path is no such link.
pub(super) fn gone(path: &str) -> Option<&'static str> {
    if path.starts_with("/join/") {
        Some("It was used or revoked, or it has expired. Ask whoever gave it to you for another one.")
    } else if path.starts_with("/password/") {
        Some("It was used already, or it has expired. Ask whoever gave it to you for another one.")
    } else if path.starts_with("/setup/") {
        Some(
            "It was used already, or it has expired: it works once, for a day. While nobody can log in, prommgr prints another one whenever it starts.",
        )
    } else {
        None
    }
}

/// Whether a new password was typed the same twice.
pub(super) fn same(password: &str, again: &str) -> Result<()> {
    if password == again {
        return Ok(());
    }
    Err(Error::Invalid(Fields::one("password_again", "The two passwords differ.")))
}
