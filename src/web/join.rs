//! Joining an owner by an invitation's link: as who is signed in, or as somebody new.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::{Field, Flash, Frame, Look, When, go, links, login};
use crate::app::App;
use crate::auth::{self, Browser, User};
use crate::error::{Error, Fields, Result};
use crate::face::{Form, Path};
use crate::store::attempts::{self, Bucket};
use crate::store::audit::STAFF;
use crate::store::users::invitations::{self, Offer};
use crate::store::users::{self, NewUser};

/// Names that may be tried by one link, each 15 minutes: whether one is taken is not for everybody to list.
const NAMES: u32 = 10;
/// As [`NAMES`], by all invitations to one owner together.
const NAMES_AN_OWNER: u32 = 30;

#[derive(Template)]
#[template(path = "join.html")]
struct JoinPage {
    frame: Frame,
    /// Where the forms go, and where a login leads back to. It carries the secret, so it is never put in a query.
    action: String,
    owner: i64,
    owner_name: String,
    role: &'static str,
    /// What the person has already, where there is nothing to give.
    has: Option<&'static str>,
    /// `None`: the staff.
    made_by: Option<String>,
    expires: When,
    username: Field,
    password: Field,
    password_again: Field,
}

impl JoinPage {
    fn new(frame: Frame, look: &Look, offer: &Offer, username: String, fields: &Fields) -> Self {
        Self {
            frame,
            action: look.path.clone(),
            owner: offer.owner,
            owner_name: offer.owner_name.clone(),
            role: offer.role.as_str(),
            has: offer.has.filter(|_| !offer.gives()).map(users::members::Role::as_str),
            made_by: Some(offer.made_by.clone()).filter(|name| name != STAFF),
            expires: When::new(offer.expires_at, &look.zone),
            username: Field::new(username, fields, "username"),
            password: Field::new("", fields, "password"),
            password_again: Field::new("", fields, "password_again"),
        }
    }
}

/// Who is signed in, where somebody is.
fn somebody(user: Result<User, Error>) -> Result<Option<User>> {
    match user {
        Ok(user) => Ok(Some(user)),
        Err(Error::Unauthorized) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `GET /join/{secret}`
pub async fn show(
    State(app): State<App>,
    user: Result<User, Error>,
    session: Session,
    look: Look,
    Path(secret): Path<String>,
) -> Result<Response> {
    let user = somebody(user)?;
    let mut door = app.door().await?;
    let offer = invitations::offer(&mut door, &secret, user.as_ref().map(User::id)).await?;
    drop(door);
    let frame = match &user {
        Some(user) => look.frame(&mut app.db(user).await?, user, &session).await?,
        None => look.bare(),
    };
    look.page(StatusCode::OK, &JoinPage::new(frame, &look, &offer, String::new(), &Fields::default()))
}

/// What somebody new sends; who is signed in sends nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Newcomer {
    username: String,
    password: String,
    password_again: String,
}

/// `POST /join/{secret}`
pub async fn accept(
    State(app): State<App>,
    user: Result<User, Error>,
    session: Session,
    look: Look,
    browser: Browser,
    Path(secret): Path<String>,
    Form(form): Form<Newcomer>,
) -> Result<Response> {
    let mut door = app.door().await?;
    if let Some(user) = somebody(user)? {
        let offer = invitations::accept(&mut door, &secret, &user.actor()).await?;
        drop(door);
        // what was joined is to be seen, whatever was looked at alone
        auth::look_at(&session, None).await?;
        return go(&session, &format!("/owners/{}", offer.owner), welcome(&offer)).await;
    }
    let offer = invitations::offer(&mut door, &secret, None).await?;
    let made = async {
        // what is wrong is said all at once
        let mut fields = NewUser::faults(&form.username, &form.password);
        if let Err(Error::Invalid(differ)) = links::same(&form.password, &form.password_again) {
            fields.0.extend(differ.0);
        }
        fields.into_result()?;
        // a manager has as many links as they like, so names are counted for the owner too
        let buckets =
            [Bucket::new("join", &secret, NAMES), Bucket::new("join owner", offer.owner, NAMES_AN_OWNER)];
        attempts::spend(&mut door, &buckets).await?;
        // the line at argon2 may be long, and connections are few
        drop(door);
        let new = NewUser::check(&form.username, form.password.clone(), false).await?;
        invitations::accept_as_new(&mut app.door().await?, &secret, new, browser.from).await
    };
    match made.await {
        Ok((id, offer)) => {
            let to = format!("/owners/{}", offer.owner);
            login::enter(&app, &session, id, &browser, &to, Some(welcome(&offer))).await
        }
        Err(Error::Invalid(fields)) => {
            let page = JoinPage::new(look.bare(), &look, &offer, form.username, &fields);
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error),
    }
}

fn welcome(offer: &Offer) -> Flash {
    if offer.gives() {
        Flash::done(format!("You are {} of {} now.", offer.role.as_str(), offer.owner_name))
    } else {
        Flash::done(format!("You belong to {} already; the link was not used.", offer.owner_name))
    }
}
