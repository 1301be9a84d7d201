//! What is dangerous in the wrong hands (passwords, second factors, tokens, members, users) asks for the
//! password again when it was last given more than 15 minutes ago. What was typed is not lost: the page
//! carries it along, and the request goes on as it was once the password is right.

use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use tower_sessions::Session;
use url::{Position, Url};

use super::{Frame, Look, sso};
use crate::app::App;
use crate::auth::{self, User};
use crate::error::{Error, Result};
use crate::face::FORM_LIMIT;

/// The field that this layer takes out of a form.
const PASSWORD: &str = "sudo_password";

#[derive(Template)]
#[template(path = "sudo.html")]
struct SudoPage {
    frame: Frame,
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
    State(app): State<App>,
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
    // the page with the form, to do it again there
    let back = parts.headers.get(header::REFERER).and_then(|value| Url::parse(value.to_str().ok()?).ok());
    let back =
        back.map_or_else(String::new, |url| url[Position::BeforePath..Position::AfterQuery].to_owned());
    let body = axum::body::to_bytes(body, FORM_LIMIT).await.map_err(|_| Error::TooLarge)?;
    let (passwords, fields): (Vec<_>, Vec<_>) =
        url::form_urlencoded::parse(&body).into_owned().partition(|(name, _)| name == PASSWORD);
    let password = passwords.into_iter().map(|(_, value)| value).next();
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
    let page = SudoPage {
        frame: look.frame(&mut app.db(&user).await?, &user, &session).await?,
        action: parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        fields,
        elsewhere: (!user.has_password()).then(|| sso::confirmation(&back)),
        error,
    };
    let status = if wait.is_some() { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::FORBIDDEN };
    look.page_until(status, &page, wait)
}
