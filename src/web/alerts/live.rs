//! `GET /alerts/live`: says to a list that is open that there is something new in it or in the menu's count, and
//! nothing else. The page then asks for its rows as it always does, and finds the count with them.
//!
//! A stream looks at its own list, as its own person, at ticks of a clock of its own; what it says and when tells
//! nothing of rows that it does not show.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tower_sessions::Session;

use super::Filters;
use crate::app::App;
use crate::auth::{self, User};
use crate::error::{Error, Result};
use crate::face::Query;
use crate::live::Seat;
use crate::store::{alerts, kinds};
use crate::web::{AlertRow, Look, MOST_FIRING};

/// What comes within it is told at once.
const TICK: Duration = Duration::from_secs(1);
/// How often it is asked whether the session is still there, when nothing happens.
const AGAIN: Duration = Duration::from_secs(30);
/// How often something is sent, so that proxies do not take the connection for dead.
const PING: Duration = Duration::from_secs(15);

/// What the page shows already.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Seen {
    seen: String,
}

/// `GET /alerts/live`
pub async fn live(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    headers: HeaderMap,
    Query(filters): Query<Filters>,
    Query(Seen { seen }): Query<Seen>,
) -> Result<Response> {
    let seat = app.live().open(user.id())?;
    // a browser that comes back says what it heard last
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let (say, said) = mpsc::channel(1);
    let watch = Watch { app, user, session, look, filters, seen: last.unwrap_or(seen) };
    tokio::spawn(watch.run(seat, say));
    let events = stream::unfold(said, async |mut said: mpsc::Receiver<String>| {
        let seen = said.recv().await?;
        Some((Ok::<_, Infallible>(Event::default().id(seen).data("new")), said))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(PING)).into_response();
    // nginx would keep it back
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

struct Watch {
    app: App,
    user: User,
    session: Session,
    look: Look,
    filters: Filters,
    seen: String,
}

impl Watch {
    /// Until nobody reads it, the program ends, or the person's session or rights do.
    async fn run(mut self, mut seat: Seat, say: mpsc::Sender<String>) {
        let scope = self.user.scope();
        let mut clock = tokio::time::interval(TICK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut news, mut asked) = (true, Instant::now());
        loop {
            tokio::select! {
                _ = clock.tick() => {}
                () = say.closed() => return,
                () = seat.ended() => return,
            }
            news |= seat.news(&scope);
            if !news && asked.elapsed() < AGAIN {
                continue;
            }
            let looked = {
                let _turn = seat.turn().await;
                self.look(news).await
            };
            match looked {
                Ok(Some(seen)) => {
                    self.seen.clone_from(&seen);
                    if say.send(seen).await.is_err() {
                        return;
                    }
                }
                Ok(None) => {}
                // the database may be back with the next tick
                Err(Error::Unavailable(_)) => continue,
                Err(_) => return,
            }
            (news, asked) = (false, Instant::now());
        }
    }

    /// What the list is like now, if it is another; `Unauthorized` when the person may no longer see what they saw.
    async fn look(&self, news: bool) -> Result<Option<String>> {
        let now = auth::still(&self.app, &self.session).await?;
        if !now.may_as(&self.user) {
            return Err(Error::Unauthorized);
        }
        if !news {
            return Ok(None);
        }
        let mut db = self.app.db(&self.user).await?;
        let (scope, filter) = (self.user.scope(), self.filters.filter(&self.look.zone));
        let found = alerts::list(&mut db, &scope, &filter, &self.filters.at()).await?;
        let firing = alerts::open_count(&mut db, &scope, MOST_FIRING).await?;
        let seen = digest(
            &AlertRow::all(&found.page.items, &self.look.zone, &kinds::catalogue(&mut db).await?),
            firing,
        );
        Ok((seen != self.seen).then_some(seen))
    }
}

/// Rows as they are to be read, but for the time that goes by; and how many alerts are open, as the menu says.
pub(super) fn digest(rows: &[AlertRow], firing: i64) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{firing}\n"));
    for row in rows {
        let lasted = (!row.open).then_some(&row.lasted);
        let (server, owner) = (row.server.as_ref(), row.owner.as_ref());
        let names = (server.map(|link| &link.text), owner.map(|link| &link.text));
        let said =
            (row.id, &row.state.word, row.known, &row.rule, &row.summary, &row.started.iso, lasted, names);
        hash.update(format!("{said:?}\n"));
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
