//! What several reports of one alert, in the order in which they came, mean for its rows: at most one change
//! of the row that is open, and at most one new row. What needs more waits for another round.

use jiff::Timestamp;

use super::report::{Outcome, Report};
use crate::store::episode::{Action, Head, OpenEpisode, decide};

/// A report, and which delivery of the batch it is of.
pub(super) type Said<'a> = (usize, &'a Report);

/// What is known of an alert that has been heard of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    pub head: Head,
    /// When the open episode was first heard of, which finds its row.
    pub received_at: Option<Timestamp>,
}

/// A change of the episode that was open.
#[derive(Debug)]
pub(super) struct Update<'a> {
    /// Who spoke last, whose annotations it takes.
    pub said: &'a Report,
    pub id: i64,
    pub received_at: Timestamp,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// The start is earlier than it was.
    pub moved: bool,
}

/// A new row.
#[derive(Debug)]
pub(super) struct Insert<'a> {
    pub said: &'a Report,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// It is left out when an episode that is stored overlaps it; the number is its delivery.
    pub unless_known: Option<usize>,
}

/// What one round does to the rows of one alert: first the update.
#[derive(Debug, Default)]
pub(super) struct Step<'a> {
    pub update: Option<Update<'a>>,
    pub insert: Option<Insert<'a>>,
}

/// Follows the reports as far as one round can; returns how many of them it took, one at least.
pub(super) fn follow<'a>(
    known: Option<&Known>,
    line: &[Said<'a>],
    outcomes: &mut [Outcome],
) -> (Step<'a>, usize) {
    let known = known.copied().unwrap_or_default();
    let mut head = known.head;
    let mut step = Step::default();
    for (n, &(delivery, report)) in line.iter().enumerate() {
        let outcome = &mut outcomes[delivery];
        match decide(&head, report.times) {
            Action::LateTwin => {
                outcome.ignored += 1;
                outcome.late_twins += 1;
            }
            Action::Ignore => outcome.ignored += 1,
            Action::Touch { id, started_at } => {
                outcome.repeated += 1;
                step.change(&known, id, report, started_at, None);
                head.open = Some(OpenEpisode { id, started_at });
            }
            Action::Close { id, started_at, ended_at } => {
                outcome.closed += 1;
                step.change(&known, id, report, started_at, Some(ended_at));
                head = Head { open: None, last_end: head.last_end.max(Some(ended_at)) };
            }
            Action::Open { .. } | Action::InsertClosedIfNoOverlap { .. } if step.insert.is_some() => {
                return (step, n);
            }
            Action::Open { started_at } => {
                outcome.opened += 1;
                step.insert = Some(Insert { said: report, started_at, ended_at: None, unless_known: None });
                // it has no row yet, and needs none: what changes it changes what is inserted
                head.open = Some(OpenEpisode { id: 0, started_at });
            }
            Action::InsertClosedIfNoOverlap { started_at, ended_at } => {
                step.insert = Some(Insert {
                    said: report,
                    started_at,
                    ended_at: Some(ended_at),
                    unless_known: Some(delivery),
                });
                // what follows depends on what the history says of it
                return (step, n + 1);
            }
        }
    }
    (step, line.len())
}

impl<'a> Step<'a> {
    /// Changes the open episode, be it a row or about to be one.
    fn change(
        &mut self,
        known: &Known,
        id: i64,
        said: &'a Report,
        started_at: Timestamp,
        ended_at: Option<Timestamp>,
    ) {
        if let Some(insert) = &mut self.insert {
            *insert = Insert { said, started_at, ended_at, unless_known: None };
        } else if let (Some(open), Some(received_at)) = (known.head.open, known.received_at) {
            let moved = started_at != open.started_at;
            self.update = Some(Update { said, id, received_at, started_at, ended_at, moved });
        }
    }
}
