//! Who is asking. A handler's signature is its permission: [`User`] is anybody signed in,
//! [`Admin`] an admin; what either may see and change comes from its scopes.

mod browser;
mod door;
pub mod half_login;
mod session;
mod token;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use jiff::Timestamp;
use tower_sessions::Session;

pub use self::browser::{Browser, Kept};
pub use self::door::{check_login, check_password};
pub use self::session::{
    CONFIRMED_KEY, View, confirmed, handle_of, look_at, looked_at, renew, sign_in_by_sso,
};
use self::session::{SEEN_EVERY, SEEN_KEY};
pub use self::token::{Client, Spent, carries_token};

use crate::address::Reach;
use crate::app::App;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::peer::ClientAddress;
use crate::store::changes::Actor;
use crate::store::scope::{All, Scope, Writing};
use crate::store::sessions::{Sessions, USER_KEY};
use crate::store::users::{self, Identity};

/// Somebody signed in.
#[derive(Clone, Debug)]
pub struct User {
    /// With the rights narrowed to what is being looked at.
    who: Identity,
    /// An admin or a member of several owners, whatever is being looked at.
    chooses: bool,
    view: Option<View>,
    from: Option<IpAddr>,
    through: String,
    /// An admin, whatever the rights are narrowed to.
    staff: bool,
    read_only: bool,
}

impl User {
    fn new(who: Identity, from: Option<IpAddr>) -> Self {
        let (chooses, staff) = (who.admin || who.sees.len() > 1, who.admin);
        Self { who, chooses, view: None, from, through: String::new(), staff, read_only: false }
    }

    /// The person with that id, with their rights as they are now. `Unauthorized` when there is none, or disabled.
    pub async fn with_id(app: &App, id: i64, from: Option<IpAddr>) -> Result<Self> {
        let who = users::identity(&mut app.door().await?, id).await?.ok_or(Error::Unauthorized)?;
        Ok(Self::new(who, from))
    }

    /// Narrowed to what is being looked at; a choice that holds no longer is forgotten.
    fn looking(mut self, view: Option<View>) -> Self {
        let Some(view) = view else { return self };
        if self.who.admin {
            self.who = Identity { admin: false, sees: vec![view.owner], manages: Vec::new(), ..self.who };
            self.read_only = true;
        } else {
            if !self.who.sees.contains(&view.owner) {
                return self;
            }
            self.who.sees.retain(|owner| *owner == view.owner);
            self.who.manages.retain(|owner| *owner == view.owner);
        }
        self.view = Some(view);
        self
    }

    /// Whether what this person may see, and as whom, is what another may: the same one at another time.
    pub fn may_as(&self, other: &Self) -> bool {
        let rights = |user: &Self| {
            let who = &user.who;
            (who.id, who.admin, who.sees.clone(), who.manages.clone(), user.read_only)
        };
        rights(self) == rights(other)
    }

    /// The person's id.
    pub fn id(&self) -> i64 {
        self.who.id
    }

    /// The login name.
    pub fn name(&self) -> &str {
        &self.who.name
    }

    /// Whether this is an admin, who is not looking as a customer just now.
    pub fn is_admin(&self) -> bool {
        self.who.admin
    }

    /// The IANA name of the time zone that the person chose; empty: the browser's.
    pub fn time_zone(&self) -> &str {
        &self.who.time_zone
    }

    /// Whether the person has a password, or comes by single sign-on only.
    pub fn has_password(&self) -> bool {
        self.who.has_password
    }

    /// What the password was when the request came, see [`users::bond`].
    pub fn bond(&self) -> &str {
        &self.who.bond
    }

    /// The one owner that is being looked at, where there is a choice.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// Whether there is more than one owner to choose from.
    pub fn chooses(&self) -> bool {
        self.chooses
    }

    /// Whether an admin is looking as a customer.
    pub fn looks_as_customer(&self) -> bool {
        self.read_only && self.view.is_some()
    }

    /// `Forbidden` while an admin is looking as a customer: the page holds nothing but what would be refused.
    pub fn as_themselves(&self) -> Result<()> {
        if self.looks_as_customer() { Err(Error::Forbidden) } else { Ok(()) }
    }

    /// What this person may see.
    pub fn scope(&self) -> Scope {
        if self.who.admin { All::admin().into() } else { Scope::of(self.who.sees.as_slice()) }
    }

    /// What this person may change, beside what they may see.
    pub fn writing(&self) -> Writing {
        if self.read_only {
            return Writing::of(self.scope(), Scope::of([]), self.who.id);
        }
        if self.who.admin {
            return All::admin().into();
        }
        Writing::of(self.scope(), Scope::of(self.who.manages.as_slice()), self.who.id)
    }

    /// Whether this person may change anything at all.
    pub fn changes_something(&self) -> bool {
        !self.read_only && (self.who.admin || !self.who.manages.is_empty())
    }

    /// Whether this person may change what belongs to an owner.
    pub fn manages(&self, owner: i64) -> bool {
        !self.read_only && (self.who.admin || self.who.manages.contains(&owner))
    }

    /// Whether this person sees more than one owner, so that lists have to name them.
    pub fn sees_several(&self) -> bool {
        self.who.admin || self.who.sees.len() > 1
    }

    /// The owners that this person sees; for an admin, who sees all, there is no list.
    pub fn owners(&self) -> &[i64] {
        if self.who.admin { &[] } else { &self.who.sees }
    }

    /// `manager` or `viewer` of an owner that this person sees.
    pub fn role_in(&self, owner: i64) -> &'static str {
        if self.who.admin || self.who.manages.contains(&owner) { "manager" } else { "viewer" }
    }

    /// Who is noted for a change.
    pub fn actor(&self) -> Actor {
        Actor {
            id: Some(self.who.id),
            name: self.who.name.clone(),
            from: self.from,
            through: self.through.clone(),
            staff: self.staff,
        }
    }

    /// Which addresses this person may give to servers.
    pub fn reach<'a>(&self, config: &'a Config) -> Reach<'a> {
        if self.who.admin { Reach::Any(All::admin()) } else { Reach::Networks(&config.customer_networks) }
    }

    /// The proof that this is an admin, where it is one.
    pub fn all(&self) -> Option<All> {
        self.who.admin.then(All::admin)
    }
}

impl From<&User> for Writing {
    fn from(user: &User) -> Self {
        user.writing()
    }
}

/// An admin. For others the page does not exist.
#[derive(Clone, Debug)]
pub struct Admin(pub User);

impl Admin {
    /// The proof for what only admins may do.
    pub fn all(&self) -> All {
        All::admin()
    }

    /// Who is noted for a change.
    pub fn actor(&self) -> Actor {
        self.0.actor()
    }
}

impl<S> FromRequestParts<S> for User
where
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Themselves(user) = Themselves::from_request_parts(parts, state).await?;
        let user = user.looking(looked_at(&session(parts, state).await?).await?);
        // looking as a customer changes nothing, whatever the page
        if user.read_only && !parts.method.is_safe() { Err(Error::Forbidden) } else { Ok(user) }
    }
}

/// The time zone that a person chose.
#[derive(Clone, Debug)]
pub struct Zone(pub String);

/// Somebody signed in, whatever they are looking at just now.
#[derive(Clone, Debug)]
pub struct Themselves(pub User);

impl<S> FromRequestParts<S> for Themselves
where
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let app = App::from_ref(state);
        let session = session(parts, state).await?;
        let user = signed_in(&app, &session, address_of(parts, &app)).await?;
        let now = Timestamp::now().as_second();
        let seen: i64 = session.get(SEEN_KEY).await.map_err(unavailable)?.unwrap_or(0);
        if now - seen > SEEN_EVERY {
            session.insert(SEEN_KEY, now).await.map_err(unavailable)?;
        }
        // a `Look` that is extracted after it shows times in the person's own zone
        parts.extensions.insert(Zone(user.who.time_zone.clone()));
        Ok(Self(user))
    }
}

/// Whose session it is, whatever they are looking at. `Unauthorized` when it is nobody's, or over.
async fn signed_in(app: &App, session: &Session, from: Option<IpAddr>) -> Result<User> {
    let id: Option<i64> = session.get(USER_KEY).await.map_err(unavailable)?;
    let id = id.ok_or(Error::Unauthorized)?;
    if session::is_over(session).await? {
        return Err(Error::Unauthorized);
    }
    let user = User::with_id(app, id, from).await?;
    if session::is_loose(session, &user.who.bond).await? { Err(Error::Unauthorized) } else { Ok(user) }
}

/// The person of a session as it is by now, for an answer that lasts. It keeps no session alive.
pub async fn still(app: &App, session: &Session) -> Result<User> {
    let now = Session::new(session.id(), Arc::new(Sessions(app.store().clone())), None);
    let user = signed_in(app, &now, None).await?;
    Ok(user.looking(looked_at(&now).await?))
}

impl<S> FromRequestParts<S> for Admin
where
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let user = User::from_request_parts(parts, state).await?;
        if user.is_admin() { Ok(Self(user)) } else { Err(Error::NotFound) }
    }
}

/// Where a request came from.
fn address_of(parts: &Parts, app: &App) -> Option<IpAddr> {
    ClientAddress::of(parts, &app.config().trusted_proxies).0
}

/// The browser's session.
pub async fn session<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Session> {
    Session::from_request_parts(parts, state).await.map_err(|(_, why)| Error::internal(why))
}

/// What the session's store could not do, the database could not.
pub fn unavailable(error: tower_sessions::session::Error) -> Error {
    tracing::warn!(%error, "no session");
    Error::Unavailable("The database does not answer just now. Try again in a moment.".into())
}
