//! What is dangerous in the wrong hands (passwords, second factors, tokens, members, users) asks for the
//! password again when it was last given more than 15 minutes ago. What was typed is not lost: the page
//! carries it along, and the request goes on as it was once the password is right.

use askama::Template;
use axum::body::Body;
use axum::extract::{FromRef, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use tower_sessions::Session;

use super::{Frame, Look, local, sso};
use crate::app::App;
use crate::auth::{self, User};
use crate::error::{Error, Result};
use crate::face::FORM_LIMIT;

/// The fields that this layer takes out of a form.
const PASSWORD: &str = "sudo_password";
const BACK: &str = "sudo_back";
/// Fields that the page carries along: each is far longer there than it was sent.
const MOST_FIELDS: usize = 200;

/// What the layer of a route knows.
#[derive(Clone)]
pub struct Sudo {
    pub app: App,
    /// What waits for the password: `make a token`.
    pub act: &'static str,
}

impl FromRef<Sudo> for App {
    fn from_ref(sudo: &Sudo) -> Self {
        sudo.app.clone()
    }
}

#[derive(Template)]
#[template(path = "sudo.html")]
struct SudoPage {
    frame: Frame,
    act: &'static str,
    /// The page with the form, to leave it or to do it again there.
    back: String,
    /// Where the form goes: where it was going.
    action: String,
    /// What was typed.
    fields: Vec<(String, String)>,
    /// Where somebody confirms who has no password to ask for, as single sign-on opens the account.
    elsewhere: Option<String>,
    error: Option<String>,
}

/// Layer of the routes that need it. Safe methods pass, and who is not signed in is the handler's to refuse.
pub async fn ask(
    State(Sudo { app, act }): State<Sudo>,
    session: Session,
    look: Look,
    user: Result<User, Error>,
    request: Request,
    next: Next,
) -> Result<Response> {
    let user = match user {
        Ok(user) => user,
        Err(Error::Unauthorized | Error::Forbidden | Error::NotFound) => return Ok(next.run(request).await),
        // nobody knows who this is, just now: it must not pass for that
        Err(error) => return Err(error),
    };
    if request.method().is_safe() || auth::confirmed(&session, false).await? {
        return Ok(next.run(request).await);
    }
    let (mut parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, FORM_LIMIT).await.map_err(|_| Error::TooLarge)?;
    let (mut password, mut back) = (None, None);
    let mut fields: Vec<(String, String)> = Vec::new();
    for (name, value) in url::form_urlencoded::parse(&body).into_owned() {
        if fields.len() == MOST_FIELDS && name != PASSWORD && name != BACK {
            return Err(Error::TooLarge);
        }
        match name.as_str() {
            PASSWORD => password = Some(value),
            BACK => back = Some(value),
            _ => fields.push((name, value)),
        }
    }
    let (mut error, mut wait) = (None, None);
    if let Some(password) = password {
        match auth::check_password(&app, user.id(), &password).await {
            Ok(true) => {
                auth::confirmed(&session, true).await?;
                let body =
                    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
                parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
                return Ok(next.run(Request::from_parts(parts, Body::from(body))).await);
            }
            Ok(false) => error = Some("That is not your password.".into()),
            Err(why @ Error::TooMany(_)) => (error, wait) = (Some(why.message()), why.retry_after()),
            Err(why) => return Err(why),
        }
    }
    let action = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    // a GET there leads to the form, too
    let back = back.or_else(|| look.came_from.clone()).unwrap_or_else(|| action.clone());
    let back = local(&back).to_owned();
    let page = SudoPage {
        frame: look.frame(&mut app.db(&user).await?, &user, &session).await?,
        act,
        action,
        fields,
        elsewhere: (!user.has_password()).then(|| sso::confirmation(&back)),
        back,
        error,
    };
    let status = if wait.is_some() { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::FORBIDDEN };
    look.page_until(status, &page, wait)
}
