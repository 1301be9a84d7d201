//! The account's page about single sign-on: whether it opens the account, linking and unlinking.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tower_sessions::Session;

use super::{ACCOUNT, LINKING_KEY, to};
use crate::app::App;
use crate::auth::{self, User};
use crate::error::{Error, Result};
use crate::store::identities;
use crate::store::scope::All;
use crate::web::{Flash, Frame, Look, go};

#[derive(Template)]
#[template(path = "sso/identity.html")]
struct IdentityPage {
    frame: Frame,
    /// What people call the provider.
    name: String,
    linked: bool,
    has_password: bool,
    /// Where to go on, once the person is confirmed.
    onward: Option<String>,
}

async fn identity_page(
    app: &App,
    user: &User,
    session: &Session,
    look: &Look,
    onward: Option<String>,
) -> Result<Response> {
    let provider = app.sso().ok_or(Error::NotFound)?;
    let linked = identities::is_linked(&mut app.door().await?, provider.issuer(), user.id()).await?;
    let page = IdentityPage {
        frame: look.frame(&mut app.db(user).await?, user, session).await?,
        name: provider.name().to_owned(),
        linked,
        has_password: user.has_password(),
        onward,
    };
    look.page(StatusCode::OK, &page)
}

/// `GET /account/identity`: whether single sign-on opens the account.
pub async fn identity(State(app): State<App>, user: User, session: Session, look: Look) -> Result<Response> {
    user.as_themselves()?;
    identity_page(&app, &user, &session, &look, None).await
}

/// `POST /account/identity`: begins to link, for who has just confirmed that it is them.
pub async fn add(State(app): State<App>, user: User, session: Session, look: Look) -> Result<Response> {
    if app.sso().is_none() {
        return Err(Error::NotFound);
    }
    let now = jiff::Timestamp::now().as_second();
    session.insert(LINKING_KEY, now).await.map_err(auth::unavailable)?;
    identity_page(&app, &user, &session, &look, Some(to("/login/sso", "link", "1"))).await
}

/// `POST /account/identity/removal`: single sign-on no longer opens the account.
pub async fn remove(State(app): State<App>, user: User, session: Session) -> Result<Response> {
    let provider = app.sso().ok_or(Error::NotFound)?;
    let all = All::operator();
    let flash = match identities::unlink(&mut app.db(all).await?, all, &user.actor(), provider.issuer()).await
    {
        Ok(()) => Flash::done(format!("{} no longer opens your account.", provider.name())),
        Err(Error::Conflict(why)) => Flash::failed(why),
        Err(error) => return Err(error),
    };
    go(&session, ACCOUNT, flash).await
}
