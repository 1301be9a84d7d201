//! What a browser's session knows of the person beside who it is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use super::{Browser, Kept, unavailable};
use crate::app::App;
use crate::error::{Error, Result};
use crate::store::sessions::{AGENT_KEY, FROM_KEY, SEEN_KEY as SEEN, USER_KEY};
use crate::store::{identities, sessions, users};

/// When the session was last used, seconds; renewed every few minutes so that the session lives on.
pub(super) const SEEN_KEY: &str = SEEN;
pub(super) const SEEN_EVERY: i64 = 300;
/// What is being looked at, a [`View`].
pub(super) const VIEW_KEY: &str = "view";
/// When the password was last given, seconds.
pub const CONFIRMED_KEY: &str = "confirmed";
/// When a session that single sign-on opened ends, seconds.
const UNTIL_KEY: &str = "until";
/// Then the provider is asked again who the person is, and what its groups give.
const SSO_FOR: i64 = 12 * 3600;
/// The password that it was opened with, as [`users::bond`] makes it; missing when it was by single sign-on.
const BOND_KEY: &str = "bond";
/// How long that counts, seconds.
const CONFIRMED_FOR: i64 = 15 * 60;
/// How long an admin may look as a customer, seconds.
const VIEW_FOR: i64 = 30 * 60;

/// One owner that is being looked at alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    pub owner: i64,
    pub name: String,
    /// For an admin who looks as a customer: when it ends by itself.
    pub until: Option<Timestamp>,
}

impl View {
    /// By a member of several owners, until another is chosen.
    pub fn of(owner: i64, name: String) -> Self {
        Self { owner, name, until: None }
    }

    /// As a customer, by an admin, for 30 minutes.
    pub fn as_customer(owner: i64, name: String) -> Self {
        let until = Timestamp::now().saturating_add(jiff::SignedDuration::from_secs(VIEW_FOR));
        Self { owner, name, until: until.ok() }
    }

    /// Whether an admin still looks as a customer.
    pub(super) fn holds(&self) -> bool {
        self.until.is_some_and(|until| Timestamp::now() < until)
    }
}

/// Looks at one owner alone, or at everything again.
pub async fn look_at(session: &Session, view: Option<View>) -> Result<()> {
    match view {
        Some(view) => session.insert(VIEW_KEY, view).await.map_err(unavailable),
        None => session.remove::<View>(VIEW_KEY).await.map(drop).map_err(unavailable),
    }
}

/// What is looked at; `None`: everything, or a look as a customer that is over.
pub async fn looked_at(session: &Session) -> Result<Option<View>> {
    let view: Option<View> = session.get(VIEW_KEY).await.map_err(unavailable)?;
    Ok(view.filter(|view| view.until.is_none() || view.holds()))
}

/// Whether the password was given within the last 15 minutes; `now` notes that it was just now.
pub async fn confirmed(session: &Session, now: bool) -> Result<bool> {
    let time = Timestamp::now().as_second();
    if now {
        session.insert(CONFIRMED_KEY, time).await.map_err(unavailable)?;
        return Ok(true);
    }
    let at: i64 = session.get(CONFIRMED_KEY).await.map_err(unavailable)?.unwrap_or(0);
    Ok(time - at < CONFIRMED_FOR)
}

/// Names the session to the person whose it is, and opens no door.
pub fn handle_of(session: &Session) -> String {
    session.id().map(|id| sessions::handle_of(&id)).unwrap_or_default()
}

async fn bond_of(app: &App, id: i64) -> Result<String> {
    let who = users::identity(&mut app.door().await?, id).await?.ok_or(Error::Unauthorized)?;
    Ok(who.bond)
}

/// Whether the session was opened with another password than the one that holds: its login was under way while
/// that was changed.
pub(super) async fn is_loose(session: &Session, bond: &str) -> Result<bool> {
    let opened: Option<String> = session.get(BOND_KEY).await.map_err(unavailable)?;
    Ok(opened.is_some_and(|opened| opened != bond))
}

/// After the password was given and changed: the session gets another id, so that one that somebody knows
/// is worth nothing.
pub async fn renew(app: &App, session: &Session, id: i64) -> Result<()> {
    session.cycle_id().await.map_err(unavailable)?;
    session.insert(BOND_KEY, bond_of(app, id).await?).await.map_err(unavailable)?;
    confirmed(session, true).await.map(drop)
}

/// Signs a person in: the session gets another id, so that one that was planted is worth nothing, and the
/// browser is known from now on.
pub(super) async fn sign_in(app: &App, session: &Session, id: i64, browser: &Browser) -> Result<Kept> {
    begin(session, id, browser).await?;
    let bond = match &browser.bond {
        Some(bond) => bond.clone(),
        None => bond_of(app, id).await?,
    };
    session.insert(BOND_KEY, bond).await.map_err(unavailable)?;
    confirmed(session, true).await?;
    users::logged_in(&mut app.door().await?, id, browser.from, "").await?;
    browser.remember(app, id).await
}

/// As [`sign_in`], for whom single sign-on has proved, for 12 hours. What the provider says of when they showed it
/// who they are counts as their password does; a provider that says nothing is asked again when it matters.
pub async fn sign_in_by_sso(
    app: &App,
    session: &Session,
    id: i64,
    browser: &Browser,
    authenticated: Option<i64>,
) -> Result<Kept> {
    begin(session, id, browser).await?;
    let now = Timestamp::now().as_second();
    session.insert(UNTIL_KEY, now + SSO_FOR).await.map_err(unavailable)?;
    session.insert(CONFIRMED_KEY, authenticated.unwrap_or(0).min(now)).await.map_err(unavailable)?;
    users::logged_in(&mut app.door().await?, id, browser.from, identities::THROUGH).await?;
    browser.remember(app, id).await
}

async fn begin(session: &Session, id: i64, browser: &Browser) -> Result<()> {
    // whoever was signed in here before leaves nothing behind
    session.clear().await;
    session.cycle_id().await.map_err(unavailable)?;
    session.insert(USER_KEY, id).await.map_err(unavailable)?;
    session.insert(SEEN_KEY, Timestamp::now().as_second()).await.map_err(unavailable)?;
    session.insert(FROM_KEY, browser.from).await.map_err(unavailable)?;
    session.insert(AGENT_KEY, &browser.agent).await.map_err(unavailable)
}

/// Whether a session that single sign-on opened has lasted long enough.
pub(super) async fn is_over(session: &Session) -> Result<bool> {
    let until: Option<i64> = session.get(UNTIL_KEY).await.map_err(unavailable)?;
    Ok(until.is_some_and(|until| Timestamp::now().as_second() >= until))
}
