//! Single sign-on in the browser: out to the provider by a link (a form could not, `form-action` is ours
//! alone), and back with an answer that only the session that went out may bring, once.

mod identity;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use tower_sessions::{Expiry, Session};

pub use self::identity::{add, identity, remove};
use super::{Flash, Frame, Look, go, is_secret, local};
use crate::app::App;
use crate::auth::{self, Browser, Themselves};
use crate::error::{Error, Result};
use crate::face::Query;
use crate::sso::{Failure, PATIENCE, Provider, Purpose, Trip, Visitor};
use crate::store::identities::{self, Arrival, Arrived};
use crate::store::scope::All;

/// Where this session's trip to the provider is kept.
const TRIP_KEY: &str = "sso";
/// That this person, just confirmed, may link an identity: when they asked to, seconds.
const LINKING_KEY: &str = "linking";
/// Where an account is linked.
const ACCOUNT: &str = "/account/identity";

/// The provider, for the login page: what people call it, and the link.
pub struct Way {
    pub name: String,
    pub href: String,
}

/// The way in by single sign-on, where one is set.
pub fn way(app: &App, next: &str) -> Option<Way> {
    let name = app.sso()?.name().to_owned();
    Some(Way { name, href: leading("/login/sso", local(next)) })
}

/// Where somebody without a password confirms who they are, to come back to `next` then.
pub fn confirmation(next: &str) -> String {
    format!("{}&confirm=1", to("/login/sso", "next", local(next)))
}

/// A link of the login that leads to a path of ours afterwards. A secret is not put into it: the browser keeps that.
fn leading(path: &str, next: &str) -> String {
    if is_secret(next) { path.to_owned() } else { to(path, "next", next) }
}

fn to(path: &str, key: &str, value: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair(key, value).finish();
    format!("{path}?{query}")
}

/// What a link to the provider asks for.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Ask {
    next: String,
    /// To confirm who is signed in.
    confirm: String,
    /// To link the account of who is signed in.
    link: String,
}

/// `GET /login/sso`: out to the provider.
pub async fn start(
    State(app): State<App>,
    session: Session,
    look: Look,
    browser: Browser,
    user: Result<Themselves>,
    Query(ask): Query<Ask>,
) -> Result<Response> {
    let provider = app.sso().ok_or(Error::NotFound)?;
    let purpose = match &user {
        Ok(Themselves(user)) if !ask.link.is_empty() => {
            let asked: Option<i64> = session.remove(LINKING_KEY).await.map_err(auth::unavailable)?;
            if asked.is_none_or(|asked| jiff::Timestamp::now().as_second() - asked > PATIENCE) {
                return Ok(Redirect::to(ACCOUNT).into_response());
            }
            Purpose::Link { user: user.id() }
        }
        Ok(Themselves(user)) if !ask.confirm.is_empty() => Purpose::Confirm { user: user.id() },
        _ => Purpose::LogIn,
    };
    let next = local(if ask.next.is_empty() { browser.onward() } else { &ask.next });
    match provider.begin(purpose).await {
        Err(failure) => refused_by(provider, &look, next, &failure),
        Ok((url, trip)) => {
            session.insert(TRIP_KEY, trip).await.map_err(auth::unavailable)?;
            if user.is_err() {
                // nobody's session need not outlive the trip
                session.set_expiry(Some(Expiry::OnInactivity(time::Duration::seconds(PATIENCE))));
            }
            Ok((browser.leads_to(next)?, Redirect::to(url.as_str())).into_response())
        }
    }
}

/// What the provider sends back.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Back {
    state: String,
    code: String,
    iss: Option<String>,
    error: Option<String>,
}

/// `GET /login/sso/callback`: back from the provider.
pub async fn callback(
    State(app): State<App>,
    session: Session,
    look: Look,
    browser: Browser,
    user: Result<Themselves>,
    Query(back): Query<Back>,
) -> Result<Response> {
    let provider = app.sso().ok_or(Error::NotFound)?;
    let trip: Option<Trip> = session.get(TRIP_KEY).await.map_err(auth::unavailable)?;
    // an answer to another question changes nothing for the one that was asked
    let Some(trip) = trip.filter(|trip| trip.is(&back.state)) else {
        let why = "This login did not begin in this browser, or it was used already. Begin again.";
        return refused(provider, &look, StatusCode::BAD_REQUEST, "/", why);
    };
    // used up at once, whatever comes of it
    if user.is_ok() {
        session.remove::<Trip>(TRIP_KEY).await.map_err(auth::unavailable)?;
        session.save().await.map_err(auth::unavailable)?;
    } else {
        session.flush().await.map_err(auth::unavailable)?;
    }
    let (next, arrived) = (local(browser.onward()), browser.leads_to("/")?);
    let no = |status, why: &str| refused(provider, &look, status, next, why);
    if trip.is_over() {
        return no(StatusCode::BAD_REQUEST, "This login took too long. Begin again.");
    }
    if back.iss.as_deref().is_some_and(|issuer| issuer != provider.issuer()) {
        return no(StatusCode::FORBIDDEN, "This answer came from another provider, so it was refused.");
    }
    if let Some(error) = &back.error {
        tracing::debug!(error, "no login at the single sign-on");
        let why = format!("You did not log in at {}, or it does not let you in here.", provider.name());
        return no(StatusCode::FORBIDDEN, &why);
    }
    let visitor = match provider.finish(&trip, back.code).await {
        Ok(visitor) => visitor,
        Err(failure) => return refused_by(provider, &look, next, &failure),
    };
    match (trip.purpose, user) {
        (Purpose::LogIn, _) => {
            let status = StatusCode::FORBIDDEN;
            match arrive(&app, provider, &visitor, &browser).await? {
                Arrived::In(id) => {
                    let known =
                        auth::sign_in_by_sso(&app, &session, id, &browser, visitor.authenticated).await?;
                    Ok((known, arrived, Redirect::to(next)).into_response())
                }
                Arrived::Nothing => no(
                    status,
                    "You are known, but nothing here has been given to you. Ask whoever runs this prommgr, or for another group.",
                ),
                Arrived::Disabled => no(status, "Your account here is disabled."),
                Arrived::NameTaken(name) => no(
                    StatusCode::CONFLICT,
                    &format!(
                        "There is an account called {name} here already, and it may be somebody else's. If it is yours, log in with its password and link it: your account, Single sign-on."
                    ),
                ),
            }
        }
        (Purpose::Confirm { user: id }, Ok(Themselves(user))) if user.id() == id => {
            let who =
                identities::user_of(&mut app.door().await?, provider.issuer(), &visitor.subject).await?;
            if who != Some(id) {
                return no(
                    StatusCode::FORBIDDEN,
                    "You logged in there as somebody else, so this confirms nothing.",
                );
            }
            auth::confirmed(&session, true).await?;
            let answer = go(&session, next, Flash::done("Confirmed. Now do it again.")).await?;
            Ok((arrived, answer).into_response())
        }
        (Purpose::Link { user: id }, Ok(Themselves(user))) if user.id() == id => {
            let mut db = app.door().await?;
            match identities::link(&mut db, &user.actor(), provider.issuer(), &visitor.subject).await {
                Ok(()) => {
                    let done = format!("{} opens your account from now on.", provider.name());
                    go(&session, ACCOUNT, Flash::done(done)).await
                }
                Err(Error::Conflict(why)) => go(&session, ACCOUNT, Flash::failed(why)).await,
                Err(error) => Err(error),
            }
        }
        _ => no(StatusCode::FORBIDDEN, "You are no longer signed in as who you were. Begin again."),
    }
}

async fn arrive(app: &App, provider: &Provider, visitor: &Visitor, browser: &Browser) -> Result<Arrived> {
    let all = All::operator();
    let given = provider.given(visitor);
    let arrival = Arrival {
        issuer: provider.issuer(),
        subject: &visitor.subject,
        names: &visitor.names,
        given: &given,
        from: browser.from,
    };
    identities::arrive(&mut app.db(all).await?, all, arrival).await
}

#[derive(Template)]
#[template(path = "sso/refused.html")]
struct RefusedPage {
    frame: Frame,
    way: Way,
    /// The way in with a password.
    password: String,
    why: String,
}

fn refused(provider: &Provider, look: &Look, status: StatusCode, next: &str, why: &str) -> Result<Response> {
    let page = RefusedPage {
        frame: look.bare(),
        way: Way { name: provider.name().to_owned(), href: leading("/login/sso", local(next)) },
        password: leading("/login", local(next)),
        why: why.to_owned(),
    };
    let wait = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(5);
    let mut response = look.page_until(status, &page, wait)?;
    // the address has the code in it
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    Ok(response)
}

fn refused_by(provider: &Provider, look: &Look, next: &str, failure: &Failure) -> Result<Response> {
    let status = match failure {
        Failure::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Failure::Refused(_) => StatusCode::FORBIDDEN,
    };
    refused(provider, look, status, next, &failure.to_string())
}
