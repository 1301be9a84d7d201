//! From the right password to being signed in. Whoever has a second factor is halfway first: that is kept in
//! the session beside nothing else, and is no login, so to every other page this is nobody. There is no other
//! way in for who has a password.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use super::session::sign_in;
use super::{Browser, Kept, unavailable};
use crate::app::App;
use crate::error::{Error, Result};
use crate::store::second_factors::{self, Answer};

const KEY: &str = "half_login";
/// How long the second factor may take, seconds.
const PATIENCE: i64 = 600;

/// Where a right password leads.
pub enum Entered {
    /// Signed in.
    In(Kept),
    /// The second factor is asked for first; the browser keeps where it leads then.
    Halfway(Kept),
}

/// Somebody who has given the right password, and has a second factor.
#[derive(Deserialize, Serialize)]
pub struct HalfLogin {
    user: i64,
    /// Of the password and the second factor it began with: when either changes, it is over.
    bond: String,
    since: i64,
    /// As [`Browser::bond`] was.
    verified: Option<String>,
}

/// What a session waits for.
pub enum Waiting {
    /// For nothing.
    No,
    /// For nothing any more: it took too long, or the person's rights have changed.
    Over,
    /// For the second factor.
    Yes(HalfLogin),
}

/// Lets somebody in who has given the right password, or followed a link that stands for it: at once, or
/// after the second factor where the person has one. `next` is a path of ours.
pub async fn enter(
    app: &App,
    session: &Session,
    user: i64,
    next: &str,
    browser: &Browser,
) -> Result<Entered> {
    // whoever was signed in here before leaves nothing behind
    session.clear().await;
    let Some(bond) = second_factors::bond(&mut app.door().await?, user).await? else {
        return Ok(Entered::In(sign_in(app, session, user, browser).await?));
    };
    session.cycle_id().await.map_err(unavailable)?;
    let half = HalfLogin { user, bond, since: Timestamp::now().as_second(), verified: browser.bond.clone() };
    session.insert(KEY, half).await.map_err(unavailable)?;
    Ok(Entered::Halfway(browser.leads_to(next)?))
}

/// What the session waits for; what is over is forgotten.
pub async fn waiting(app: &App, session: &Session) -> Result<Waiting> {
    let Some(half) = session.get::<HalfLogin>(KEY).await.map_err(unavailable)? else {
        return Ok(Waiting::No);
    };
    let in_time = (0..PATIENCE).contains(&(Timestamp::now().as_second() - half.since));
    if in_time && second_factors::bond(&mut app.door().await?, half.user).await?.as_ref() == Some(&half.bond)
    {
        return Ok(Waiting::Yes(half));
    }
    session.clear().await;
    Ok(Waiting::Over)
}

impl HalfLogin {
    /// Checks a code of the app or a recovery code. A right one signs the person in, and the browser is known
    /// from then on; the last wrong one ends it.
    pub async fn answer(
        &self,
        app: &App,
        session: &Session,
        text: &str,
        browser: &Browser,
    ) -> Result<(Answer, Option<Kept>)> {
        let (vault, now) = (&app.config().vault, Timestamp::now());
        let mut db = app.door().await?;
        let checked = second_factors::check(&mut db, vault, self.user, text, now, browser.from).await;
        drop(db);
        match checked {
            Ok(answer @ (Answer::Code | Answer::RecoveryCode { .. })) => {
                session.clear().await;
                let browser = browser.clone().tied_to(self.verified.clone());
                Ok((answer, Some(sign_in(app, session, self.user, &browser).await?)))
            }
            Ok(answer @ Answer::LastWrong { .. }) => {
                session.clear().await;
                Ok((answer, None))
            }
            Ok(answer) => Ok((answer, None)),
            Err(error) => {
                if matches!(error, Error::Unauthorized) {
                    session.clear().await;
                }
                Err(error)
            }
        }
    }
}
