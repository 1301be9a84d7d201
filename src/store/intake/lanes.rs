//! What waits to be stored, in lanes: each alert has its own, which one writer has at a time, so that writers never
//! wait for each other's rows and reports of one alert keep their order. Where little waits, one writer takes all lanes: a commit
//! less costs more than the other processor gives.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::writer::Waiting;

/// Lanes, and writers.
pub(super) const LANES: usize = 2;
/// Alerts of one transaction, unless one part has more.
const MOST: usize = 2000;
/// Alerts that are stored in one transaction rather than in two at the same time.
const FEW: usize = 64;

#[derive(Default)]
pub(super) struct Lanes {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    lanes: [Lane; LANES],
    closed: bool,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    /// A writer stores what it took from here.
    busy: bool,
}

impl Lane {
    fn alerts(&self) -> usize {
        self.waiting.iter().map(|one| one.part.len()).sum()
    }

    /// As much as one transaction takes, one part at least.
    fn take(&mut self) -> impl Iterator<Item = Waiting> {
        let mut alerts = 0;
        let fits = self.waiting.iter().take_while(|one| {
            let first = alerts == 0;
            alerts += one.part.len();
            first || alerts <= MOST
        });
        let fits = fits.count();
        self.busy = true;
        self.waiting.drain(..fits)
    }
}

impl State {
    /// From all lanes where little waits, else from the free one where most does.
    fn take(&mut self) -> Option<(Vec<usize>, Vec<Waiting>)> {
        let waits = |lane: &Lane| !lane.busy && !lane.waiting.is_empty();
        let few = self.lanes.iter().map(Lane::alerts).sum::<usize>() <= FEW;
        if few && self.lanes.iter().any(waits) && !self.lanes.iter().any(|lane| lane.busy) {
            return Some(((0..LANES).collect(), self.lanes.iter_mut().flat_map(Lane::take).collect()));
        }
        let free = (0..LANES).filter(|lane| waits(&self.lanes[*lane]));
        let lane = free.max_by_key(|lane| self.lanes[*lane].alerts())?;
        Some((vec![lane], self.lanes[lane].take().collect()))
    }
}

/// What a writer took, and the lanes that are its own until it drops them.
pub(super) struct Taken<'a> {
    pub batch: Vec<Waiting>,
    lanes: &'a Lanes,
    from: Vec<usize>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.lanes.state();
        for lane in &self.from {
            state.lanes[*lane].busy = false;
        }
        drop(state);
        self.lanes.news.notify_one();
    }
}

impl Lanes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which lane an alert belongs to. By the first digit: the last bit of FNV-1a is only the parity of its input.
    pub(super) fn of(fingerprint: &str) -> usize {
        usize::from(fingerprint.as_bytes().first().copied().unwrap_or_default()) % LANES
    }

    /// Puts it at the end of a lane; `false` when nothing is taken any more.
    pub(super) fn push(&self, lane: usize, waiting: Waiting) -> bool {
        let mut state = self.state();
        if state.closed {
            return false;
        }
        state.lanes[lane].waiting.push_back(waiting);
        drop(state);
        self.news.notify_one();
        true
    }

    pub(super) fn are_closed(&self) -> bool {
        self.state().closed
    }

    /// Takes nothing more; writers end when all is stored.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.news.notify_waiters();
        // for who is about to wait
        self.news.notify_one();
    }

    /// What is to be stored next, waited for; `None` when nothing will come any more.
    pub(super) async fn next(&self) -> Option<Taken<'_>> {
        loop {
            let (taken, closed) = {
                let mut state = self.state();
                (state.take(), state.closed)
            };
            // whatever is left is for another writer
            if taken.is_some() || closed {
                self.news.notify_one();
            }
            if let Some((from, batch)) = taken {
                return Some(Taken { batch, lanes: self, from });
            } else if closed {
                return None;
            }
            self.news.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;
    use crate::store::episode::Times;
    use crate::store::intake::batch::Part;
    use crate::store::intake::report::Report;

    fn push(lanes: &Lanes, lane: usize, alerts: usize) {
        let times = Times { starts_at: jiff::Timestamp::UNIX_EPOCH, ends_at: None };
        let reports = (0..alerts).map(|_| Report::probe(times)).collect();
        let part = Part { cluster: 1, reports, bad: Vec::new() };
        assert!(lanes.push(lane, Waiting { part, answer: oneshot::channel().0 }));
    }

    fn taken(lanes: &Lanes) -> Option<(Taken<'_>, usize)> {
        let taken = lanes.next().now_or_never().flatten()?;
        let alerts = taken.batch.iter().map(|one| one.part.len()).sum();
        Some((taken, alerts))
    }

    #[test]
    fn where_little_waits_one_writer_takes_all_lanes_and_has_them_alone() {
        let lanes = Lanes::default();
        push(&lanes, 0, 3);
        push(&lanes, 1, 4);
        let (first, alerts) = taken(&lanes).unwrap();
        assert_eq!(alerts, 7);
        push(&lanes, 1, 5);
        assert!(taken(&lanes).is_none());
        drop(first);
        assert_eq!(taken(&lanes).unwrap().1, 5);
    }

    #[test]
    fn where_much_waits_writers_have_a_lane_each_and_take_as_much_as_one_transaction_holds() {
        let lanes = Lanes::default();
        for _ in 0..3 {
            push(&lanes, 0, MOST / 2);
            push(&lanes, 1, 10);
        }
        let (_first, alerts) = taken(&lanes).unwrap();
        assert_eq!(alerts, MOST);
        let (_second, alerts) = taken(&lanes).unwrap();
        assert_eq!(alerts, 30);
        assert!(taken(&lanes).is_none());
    }

    #[test]
    fn what_waits_when_it_closes_is_taken_and_nothing_more() {
        let lanes = Lanes::default();
        push(&lanes, 0, 1);
        lanes.close();
        let part = Part { cluster: 1, reports: Vec::new(), bad: Vec::new() };
        assert!(!lanes.push(0, Waiting { part, answer: oneshot::channel().0 }));
        let (first, alerts) = taken(&lanes).unwrap();
        assert_eq!(alerts, 1);
        drop(first);
        assert!(lanes.next().now_or_never().unwrap().is_none());
    }
}
