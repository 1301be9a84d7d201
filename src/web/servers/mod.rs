//! Servers: the list, a server's page, the form, and what is done to one by a button.

mod files;
mod form;
mod import;
mod list;
mod show;
mod thresholds;

use axum::extract::State;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tower_sessions::Session;

pub use self::files::{csv, json};
pub use self::form::{create, edit, new, update};
pub use self::import::{form as import_form, hand_in, import, look_at as import_page};
pub use self::list::list;
pub use self::show::show;
pub use self::thresholds::thresholds;
use super::chart::{Like, Span, Strip};
use super::{Flash, go, local};
use crate::app::App;
use crate::auth::User;
use crate::error::{Error, Result};
use crate::face::{Form, Path};
use crate::store::alerts::figures::Shown;
use crate::store::servers::{self, Server};

fn day_before(now: Timestamp) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(24)).unwrap_or(now)
}

/// The last 24 hours of a server: what fired; no alert only where Prometheus watches it, and since it was added.
fn day(server: &Server, up: Option<bool>, fired: &[Shown], now: Timestamp) -> Strip {
    let watched = (server.enabled && up == Some(true)).then_some(Span {
        from: server.created_at,
        to: now,
        like: Like::Ok,
    });
    let fired = fired.iter().map(|shown| Span {
        from: shown.started_at,
        to: shown.ended_at.unwrap_or(now),
        like: Like::firing(&shown.severity),
    });
    let spans: Vec<Span> = fired.chain(watched).collect();
    Strip::new(day_before(now), now, &spans, Like::Unknown)
}

/// `POST /servers/{id}/removal`
pub async fn remove(
    State(app): State<App>,
    user: User,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let server = servers::find_rw(&mut db, &user.writing(), id).await?;
    server.remove(&mut db, &user.actor()).await?;
    let flash =
        Flash::done(format!("{} is removed. Prometheus drops it with the next publication.", server.name));
    go(&session, "/servers", flash.undo(format!("/servers/{id}/restoration"))).await
}

/// `POST /servers/{id}/restoration`
pub async fn restore(
    State(app): State<App>,
    user: User,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Response> {
    let name = servers::restore(&mut app.db(&user).await?, &user.writing(), id, &user.actor()).await?;
    go(&session, &format!("/servers/{id}"), Flash::done(format!("{name} is back."))).await
}

/// What the buttons Pause and Resume send.
#[derive(Deserialize)]
pub struct Switch {
    enabled: bool,
    /// A page of ours to go back to; empty: the server's.
    #[serde(default)]
    next: String,
}

/// `POST /servers/{id}/enabled`: pauses or resumes.
pub async fn enable(
    State(app): State<App>,
    user: User,
    session: Session,
    Path(id): Path<i64>,
    Form(switch): Form<Switch>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let server = servers::find_rw(&mut db, &user.writing(), id).await?;
    server.enable(&mut db, switch.enabled, &user.actor()).await?;
    let text = if switch.enabled {
        format!("{} is watched again from the next publication on.", server.name)
    } else {
        format!("{} is paused from the next publication on.", server.name)
    };
    let own = format!("/servers/{id}");
    let next = if switch.next.is_empty() { &own } else { local(&switch.next) };
    go(&session, next, Flash::done(text)).await
}

/// A typed id; an empty one is `None`, and what is no number is not found.
pub(super) fn id(text: &str) -> Result<Option<i64>> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| Error::NotFound) }
}
