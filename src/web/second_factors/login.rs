//! The second step of a login.

use askama::Template;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use tower_sessions::Session;

use crate::app::App;
use crate::auth::Browser;
use crate::auth::half_login::{self, HalfLogin, Waiting};
use crate::error::{Fields, Result};
use crate::face::Form;
use crate::store::second_factors::Answer;
use crate::web::{Field, Flash, Frame, Look, go, lasted, local, take_flash};

#[derive(Template)]
#[template(path = "second_factors/login.html")]
struct StepPage {
    frame: Frame,
    code: Field,
    recovery_code: Field,
}

/// `GET /login/second-factor`. Only after the right password.
pub async fn form(State(app): State<App>, session: Session, look: Look) -> Result<Response> {
    match half(&app, &session, &look).await? {
        Ok(_) => page(&look, &session, StatusCode::OK, &Fields::default(), None).await,
        Err(away) => Ok(away),
    }
}

/// Half a login, or where to go without.
async fn half(app: &App, session: &Session, look: &Look) -> Result<Result<HalfLogin, Response>> {
    Ok(match half_login::waiting(app, session).await? {
        Waiting::Yes(half) => Ok(half),
        // there is nothing to come back to here
        Waiting::No => Err(look.to_login(&Method::GET, &Uri::default())),
        Waiting::Over => {
            Err(to_login(session, "That took too long, or something has changed. Log in again.").await?)
        }
    })
}

/// Where it leads the browser still knows.
async fn to_login(session: &Session, why: &str) -> Result<Response> {
    go(session, "/login", Flash::failed(why)).await
}

async fn page(
    look: &Look,
    session: &Session,
    status: StatusCode,
    fields: &Fields,
    wait: Option<u64>,
) -> Result<Response> {
    let page = StepPage {
        frame: Frame { flash: take_flash(session).await?, ..look.bare() },
        code: Field::new("", fields, "code"),
        recovery_code: Field::new("", fields, "recovery_code"),
    };
    look.page_until(status, &page, wait)
}

/// What the form sends: one of the two.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Codes {
    code: String,
    recovery_code: String,
}

/// `POST /login/second-factor`. Each field takes either, as password managers fill the first.
pub async fn answer(
    State(app): State<App>,
    session: Session,
    look: Look,
    browser: Browser,
    Form(form): Form<Codes>,
) -> Result<Response> {
    let half = match half(&app, &session, &look).await? {
        Ok(half) => half,
        Err(away) => return Ok(away),
    };
    let (field, text) = if form.recovery_code.trim().is_empty() {
        ("code", &form.code)
    } else {
        ("recovery_code", &form.recovery_code)
    };
    let (answer, known) = half.answer(&app, &session, text, &browser).await?;
    let (next, arrived) = (local(browser.onward()), browser.leads_to("/")?);
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    let mut wait = None;
    match answer {
        Answer::Code => return Ok((known, arrived, Redirect::to(next)).into_response()),
        Answer::RecoveryCode { left } => {
            let answer = go(&session, next, Flash::done(used_up(left))).await?;
            return Ok((known, arrived, answer).into_response());
        }
        Answer::LastWrong { seconds } => {
            let why = format!(
                "Too many wrong codes. Log in again; in the next {} only a recovery code works.",
                lasted(seconds)
            );
            return to_login(&session, &why).await;
        }
        Answer::Blocked { seconds } => {
            status = StatusCode::TOO_MANY_REQUESTS;
            wait = u64::try_from(seconds).ok();
        }
        _ => {}
    }
    let fields = Fields::one(field, message(answer, field, text));
    page(&look, &session, status, &fields, wait).await
}

fn used_up(left: i64) -> String {
    let left = match left {
        0 => "none is left".to_owned(),
        1 => "1 is left".to_owned(),
        more => format!("{more} are left"),
    };
    format!("That recovery code is used up; {left}. New ones are made on your account's page.")
}

/// What is wrong with an answer that lets nobody in.
fn message(answer: Answer, field: &str, text: &str) -> String {
    let said = match answer {
        Answer::Blocked { seconds } => {
            return format!(
                "Too many wrong codes were given for this login, so none is tried for {} more. A recovery code \
                 works now. If it was not you, somebody knows your password: change it.",
                lasted(seconds)
            );
        }
        Answer::Unclear if text.trim().is_empty() => "Give a code.",
        Answer::Unclear => "A code has 6 digits, a recovery code 16 letters and digits.",
        Answer::Used => "This code was used before. Wait for the next one.",
        Answer::Unreadable => {
            "The app's codes cannot be checked here any more. Use a recovery code, or ask whoever runs this \
             prommgr to reset your second factor."
        }
        _ if field == "recovery_code" => "This is none of your recovery codes, or it was used.",
        _ => {
            "This is not what the app shows now. Is it the entry for this prommgr, and is the clock of the phone right?"
        }
    };
    said.to_owned()
}
