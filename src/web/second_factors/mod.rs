//! The second factor: its page on the account, and the second step of a login.

pub mod login;
mod qr;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;
use tower_sessions::Session;

use self::qr::Qr;
use super::{Field, Flash, Frame, Look, When, go};
use crate::app::App;
use crate::auth::{self, User};
use crate::error::{Error, Fields, Result};
use crate::face::Form;
use crate::store::second_factors;
use crate::totp::Secret;

const HERE: &str = "/account/second-factor";

#[derive(Template)]
#[template(path = "second_factors/show.html")]
struct FactorPage {
    frame: Frame,
    /// There is a key to keep secrets with.
    offered: bool,
    on: Option<When>,
    unreadable: bool,
    codes_left: i64,
    setup: Option<Setup>,
}

/// What an app is given.
struct Setup {
    qr: Qr,
    key: String,
    url: String,
    code: Field,
}

#[derive(Template)]
#[template(path = "second_factors/codes.html")]
struct CodesPage {
    frame: Frame,
    /// The second factor was turned on just now.
    turned_on: bool,
    codes: Vec<String>,
}

/// `GET /account/second-factor`
pub async fn show(State(app): State<App>, user: User, session: Session, look: Look) -> Result<Response> {
    user.as_themselves()?;
    page(&app, &user, &session, &look, StatusCode::OK, &Fields::default()).await
}

async fn page(
    app: &App,
    user: &User,
    session: &Session,
    look: &Look,
    status: StatusCode,
    fields: &Fields,
) -> Result<Response> {
    let vault = &app.config().vault;
    let factor = second_factors::of(&mut app.door().await?, vault, user.id()).await?;
    // a stolen session does not get to see what the app is going to know
    let pending = if auth::confirmed(session, false).await? { factor.pending } else { None };
    let page = FactorPage {
        frame: look.frame(&mut app.db(user).await?, user, session).await?,
        offered: vault.seals(),
        on: factor.enabled_at.map(|at| When::new(at, &look.zone)),
        unreadable: factor.unreadable,
        codes_left: factor.codes_left,
        setup: pending.map(|secret| setup(app, user, &secret, fields)).transpose()?,
    };
    look.page(status, &page)
}

fn setup(app: &App, user: &User, secret: &Secret, fields: &Fields) -> Result<Setup> {
    let url = secret.url(user.name(), app.config().public_url.host_str().unwrap_or_default())?;
    Ok(Setup { qr: Qr::new(&url)?, key: secret.text(), url, code: Field::new("", fields, "code") })
}

/// `POST /account/second-factor`: makes a secret for an app.
pub async fn begin(State(app): State<App>, user: User, session: Session) -> Result<Response> {
    second_factors::begin(&mut app.door().await?, &app.config().vault, user.id()).await?;
    go_on(&session, None).await
}

async fn go_on(session: &Session, flash: Option<Flash>) -> Result<Response> {
    use axum::response::{IntoResponse, Redirect};
    match flash {
        Some(flash) => go(session, HERE, flash).await,
        None => Ok(Redirect::to(HERE).into_response()),
    }
}

/// What the form sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Confirmation {
    code: String,
}

/// `POST /account/second-factor/confirmation`: turns it on. The other sessions of the person end, as the
/// password alone has opened them.
pub async fn confirm(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Form(form): Form<Confirmation>,
) -> Result<Response> {
    let mut db = app.door().await?;
    let vault = &app.config().vault;
    let now = Timestamp::now();
    let confirmed = second_factors::confirm(&mut db, vault, user.id(), &form.code, now, &user.actor()).await;
    drop(db);
    match confirmed {
        Ok(codes) => {
            // all of them have ended; this one goes on under another id
            session.cycle_id().await.map_err(auth::unavailable)?;
            show_codes(&app, &user, &session, &look, codes, true).await
        }
        Err(Error::Invalid(fields)) => {
            page(&app, &user, &session, &look, StatusCode::UNPROCESSABLE_ENTITY, &fields).await
        }
        // the page of the codes, loaded again
        Err(Error::Conflict(why)) => go_on(&session, Some(Flash::failed(why))).await,
        Err(error) => Err(error),
    }
}

/// The codes are nowhere but in this answer.
async fn show_codes(
    app: &App,
    user: &User,
    session: &Session,
    look: &Look,
    codes: Vec<String>,
    turned_on: bool,
) -> Result<Response> {
    let frame = look.frame(&mut app.db(user).await?, user, session).await?;
    look.page(StatusCode::OK, &CodesPage { frame, turned_on, codes })
}

/// `POST /account/second-factor/recovery-codes`: new ones; the old ones no longer work.
pub async fn renew_codes(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
) -> Result<Response> {
    match second_factors::renew_codes(&mut app.door().await?, user.id(), &user.actor()).await {
        Ok(codes) => show_codes(&app, &user, &session, &look, codes, false).await,
        Err(Error::Conflict(why)) => go_on(&session, Some(Flash::failed(why))).await,
        Err(error) => Err(error),
    }
}

/// `POST /account/second-factor/removal`: turns it off.
pub async fn remove(State(app): State<App>, user: User, session: Session) -> Result<Response> {
    let was_on = second_factors::remove(&mut app.door().await?, user.id(), &user.actor()).await?;
    let text = if was_on { "The second factor is off." } else { "The second factor was off." };
    go_on(&session, Some(Flash::done(text))).await
}
