//! News for pages that are open: one connection hears whose alerts changed, on whichever instance, and wakes
//! the streams of this one. What somebody hears is decided in [`crate::web`], by what they themselves may see.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{Semaphore, SemaphorePermit, broadcast};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::live::Changed;
use crate::store::scope::{All, Scope};

/// Streams that a person may have open on one instance.
pub const MOST: usize = 8;
/// Streams that look something up at the same moment, so that many of them leave connections to the pages.
const LOOKING: usize = 2;
/// What a stream that was not looked at has missed, beyond this, is looked at as a whole.
const KEPT: usize = 64;
/// How soon a lost connection is made anew, and how late at the most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// The streams of this instance.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    changed: broadcast::Sender<Changed>,
    end: CancellationToken,
    /// By person.
    open: Mutex<HashMap<i64, usize>>,
    most: usize,
    looking: Semaphore,
}

impl Live {
    /// With `most` streams in all.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Inner {
            changed: broadcast::channel(KEPT).0,
            end: CancellationToken::new(),
            open: Mutex::default(),
            most,
            looking: Semaphore::new(LOOKING),
        }))
    }

    /// Hears what is told until `stop`, and then has every stream end.
    pub async fn listen(self, store: Store, all: All, stop: CancellationToken) {
        let mut wait = AGAIN.0;
        let heard = async {
            loop {
                let listening = store.listen(all, |changed| {
                    wait = AGAIN.0;
                    // nobody may be there to hear it
                    let _ = self.0.changed.send(changed);
                });
                match listening.await {
                    Ok(()) => tracing::warn!("the connection that hears of alerts ended"),
                    Err(error) => tracing::warn!(%error, "nothing is heard of new alerts"),
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(AGAIN.1);
            }
        };
        tokio::select! {
            () = heard => {}
            () = stop.cancelled() => {}
        }
        self.0.end.cancel();
    }

    /// A stream for a person. `TooMany` when they have [`MOST`], `Unavailable` when there are too many in all.
    pub fn open(&self, person: i64) -> Result<Seat> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= self.0.most {
            return Err(Error::Unavailable("Too many pages are open just now.".into()));
        }
        let own = open.entry(person).or_default();
        if *own >= MOST {
            return Err(Error::TooMany(Duration::from_secs(60)));
        }
        *own += 1;
        Ok(Seat { live: self.clone(), person, changed: self.0.changed.subscribe() })
    }
}

/// A stream's place; given back when it is dropped.
pub struct Seat {
    live: Live,
    person: i64,
    changed: broadcast::Receiver<Changed>,
}

impl Seat {
    /// Whether rows of a scope may have changed since it was last asked.
    pub fn news(&mut self, scope: &Scope) -> bool {
        let mut news = false;
        loop {
            match self.changed.try_recv() {
                Ok(changed) => news |= changed.concerns(scope),
                Err(TryRecvError::Lagged(_)) => news = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return news,
            }
        }
    }

    /// Its turn to look something up.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.live.0.looking.acquire().await.ok()
    }

    /// Resolves when the program is told to end.
    pub async fn ended(&self) {
        self.live.0.end.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.live.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.person) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.person);
            }
        }
    }
}
