//! The queue in front of the writers. It is bounded in deliveries and in bytes: who does not find a place is told
//! so at once, and comes again.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::batch::Part;
use super::report::{Bad, Outcome, Report};
use super::writer::{self, Waiting};
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::scope::All;

/// Deliveries that may be under way.
const DELIVERIES: usize = 1024;
/// Bytes of bodies that may be under way.
const BYTES: usize = 128 << 20;
/// Writers, each with alerts of its own, so that they never wait for each other's rows.
const WRITERS: usize = 2;

/// Takes deliveries in: cheap to clone.
#[derive(Clone)]
pub struct Intake(Arc<Inner>);

struct Inner {
    store: Store,
    places: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    state: Mutex<State>,
}

enum State {
    /// Nothing has come yet.
    Idle,
    Running(Vec<mpsc::UnboundedSender<Waiting>>, Vec<JoinHandle<()>>),
    Closed,
}

/// A delivery's place in the queue, held until it is answered.
pub struct Admission {
    _place: OwnedSemaphorePermit,
    held: Vec<OwnedSemaphorePermit>,
    bytes: Arc<Semaphore>,
}

impl Admission {
    /// Makes room for more bytes; `Unavailable` when there is none.
    pub fn grow(&mut self, bytes: usize) -> Result<()> {
        let many = u32::try_from(bytes).unwrap_or(u32::MAX);
        let permit = self.bytes.clone().try_acquire_many_owned(many).map_err(|_| full())?;
        match self.held.first_mut() {
            Some(held) => held.merge(permit),
            None => self.held.push(permit),
        }
        Ok(())
    }
}

fn full() -> Error {
    Error::Unavailable("There is more to take in than can be stored just now; send it again.".into())
}

impl Intake {
    /// Starts nothing yet.
    pub fn new(store: Store) -> Self {
        let (places, bytes) = (Arc::new(Semaphore::new(DELIVERIES)), Arc::new(Semaphore::new(BYTES)));
        Self(Arc::new(Inner { store, places, bytes, state: Mutex::new(State::Idle) }))
    }

    /// A place for a delivery; `Unavailable` at once when all are taken.
    pub fn admit(&self) -> Result<Admission> {
        let place = self.0.places.clone().try_acquire_owned().map_err(|_| full())?;
        Ok(Admission { _place: place, held: Vec::new(), bytes: self.0.bytes.clone() })
    }

    /// Deliveries that are not answered yet.
    pub fn under_way(&self) -> usize {
        DELIVERIES - self.0.places.available_permits()
    }

    /// Stores reports together with what else waits, and returns when they are committed. When it fails, some
    /// of them may be stored; to say them again changes nothing. Several reports of one alert are taken in
    /// their order. What is begun comes to its end also when the future is dropped.
    pub async fn store(&self, _: All, cluster: i32, reports: Vec<Report>, bad: Vec<Bad>) -> Result<Outcome> {
        let mut parts: Vec<Part> =
            (0..WRITERS).map(|_| Part { cluster, reports: Vec::new(), bad: Vec::new() }).collect();
        parts[0].bad = bad;
        for report in reports {
            parts[writer_of(&report.fingerprint)].reports.push(report);
        }
        let mut answers = Vec::with_capacity(WRITERS);
        for (part, queue) in parts.into_iter().zip(self.queues()?) {
            if part.reports.is_empty() && part.bad.is_empty() {
                continue;
            }
            let (answer, told) = oneshot::channel();
            queue.send(Waiting { part, answer }).map_err(|_| ending())?;
            answers.push(told);
        }
        let mut outcome = Outcome::default();
        let mut failed = None;
        for told in answers {
            match told.await.map_err(|_| ending())? {
                Ok(some) => outcome += some,
                Err(error) => failed = Some(error),
            }
        }
        outcome.count();
        failed.map_or(Ok(outcome), Err)
    }

    fn queues(&self) -> Result<Vec<mpsc::UnboundedSender<Waiting>>> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Idle) {
            let mut queues = Vec::new();
            let mut writing = Vec::new();
            for _ in 0..WRITERS {
                let (queue, waiting) = mpsc::unbounded_channel();
                queues.push(queue);
                writing.push(tokio::spawn(writer::write(self.0.store.clone(), waiting)));
            }
            *state = State::Running(queues, writing);
        }
        match &*state {
            State::Running(queues, _) => Ok(queues.clone()),
            _ => Err(ending()),
        }
    }

    /// Takes nothing more, and returns when what waits is stored.
    pub async fn close(&self) {
        let state = std::mem::replace(
            &mut *self.0.state.lock().unwrap_or_else(PoisonError::into_inner),
            State::Closed,
        );
        if let State::Running(queues, writing) = state {
            drop(queues);
            futures_util::future::join_all(writing).await;
        }
    }
}

/// Which writer an alert belongs to. By the first digit: the last bit of FNV-1a is only the parity of its input.
fn writer_of(fingerprint: &str) -> usize {
    usize::from(fingerprint.as_bytes().first().copied().unwrap_or_default()) % WRITERS
}

fn ending() -> Error {
    Error::Unavailable("prommgr is about to end; send it again.".into())
}
