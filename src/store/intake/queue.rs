//! The queue in front of the writers. It is bounded in deliveries and in bytes: who does not find a place is told
//! so at once, and comes again.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;

use super::batch::Part;
use super::lanes::{LANES, Lanes};
use super::report::{Bad, Outcome, Report};
use super::writer::{self, Waiting};
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::scope::All;

/// Deliveries that may be under way.
const DELIVERIES: usize = 1024;
/// Bytes of bodies that may be under way.
const BYTES: usize = 128 << 20;

/// Takes deliveries in: cheap to clone.
#[derive(Clone)]
pub struct Intake(Arc<Inner>);

struct Inner {
    store: Store,
    places: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    lanes: Arc<Lanes>,
    /// Begun with the first delivery.
    writing: Mutex<Vec<JoinHandle<()>>>,
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
        Self(Arc::new(Inner { store, places, bytes, lanes: Arc::default(), writing: Mutex::default() }))
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
        if self.0.lanes.are_closed() {
            return Err(ending());
        }
        self.write();
        let mut parts = [(); LANES].map(|()| Part { cluster, reports: Vec::new(), bad: Vec::new() });
        parts[0].bad = bad;
        for report in reports {
            parts[Lanes::of(&report.fingerprint)].reports.push(report);
        }
        let mut answers = Vec::with_capacity(LANES);
        for (lane, part) in parts.into_iter().enumerate().filter(|(_, part)| part.len() > 0) {
            let (answer, told) = oneshot::channel();
            if !self.0.lanes.push(lane, Waiting { part, answer }) {
                return Err(ending());
            }
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

    /// Begins the writers, as many as there are lanes.
    fn write(&self) {
        let mut writing = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if writing.is_empty() {
            let begin = || tokio::spawn(writer::write(self.0.store.clone(), self.0.lanes.clone()));
            *writing = (0..LANES).map(|_| begin()).collect();
        }
    }

    /// Takes nothing more, and returns when what waits is stored.
    pub async fn close(&self) {
        self.0.lanes.close();
        let writing = std::mem::take(&mut *self.0.writing.lock().unwrap_or_else(PoisonError::into_inner));
        futures_util::future::join_all(writing).await;
    }
}

fn ending() -> Error {
    Error::Unavailable("prommgr is about to end; send it again.".into())
}
