//! What a report means for the history of one alert: the rules for opening and closing episodes.
//!
//! Reports come at least once, from several peers, in any order. Episodes of one alert never touch each
//! other, and at most one is open. Where the order of arrival hides the truth, the reconciliation
//! with Alertmanager finds it.

use jiff::Timestamp;

/// What a report says of the time of an alert: it fires exactly if it has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When it began.
    pub starts_at: Timestamp,
    /// When it ended, not before it began.
    pub ends_at: Option<Timestamp>,
}

/// What is known of one alert, that is, of one (cluster, fingerprint), before a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The episode that is open.
    pub open: Option<OpenEpisode>,
    /// The latest end of any closed episode.
    pub last_end: Option<Timestamp>,
}

/// An episode that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenEpisode {
    /// Its row.
    pub id: i64,
    /// When it began.
    pub started_at: Timestamp,
}

/// What to do with a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Insert an open episode.
    Open {
        /// When it began.
        started_at: Timestamp,
    },
    /// Note that the open episode was seen, and when it began, which may be earlier than known.
    Touch {
        /// The open episode's row.
        id: i64,
        /// When it began.
        started_at: Timestamp,
    },
    /// Close the open episode.
    Close {
        /// The open episode's row.
        id: i64,
        /// When it began.
        started_at: Timestamp,
        /// When it ended.
        ended_at: Timestamp,
    },
    /// Insert a closed episode unless an episode overlaps it, where a common end point overlaps.
    InsertClosedIfNoOverlap {
        /// When it began.
        started_at: Timestamp,
        /// When it ended.
        ended_at: Timestamp,
    },
    /// Do nothing but ask for a reconciliation: it says firing what is known to have ended.
    LateTwin,
    /// Do nothing: the report is known.
    Ignore,
}

/// Decides what a report means.
///
/// A report about a time up to the last end speaks of a closed episode: it neither opens one nor moves
/// the start of the open one back over that end.
pub fn decide(head: &Head, report: Times) -> Action {
    let start = report.starts_at;
    let known = head.last_end.is_some_and(|end| start <= end);
    match (head.open, report.ends_at) {
        (Some(OpenEpisode { id, started_at }), ends_at) => {
            let earliest = if known { started_at } else { started_at.min(start) };
            match ends_at {
                None => Action::Touch { id, started_at: earliest },
                Some(ended_at) if ended_at >= started_at => {
                    Action::Close { id, started_at: earliest, ended_at }
                }
                // It came late: the open episode began after it.
                Some(ended_at) => closed(head, start, ended_at),
            }
        }
        (None, None) if known => Action::LateTwin,
        (None, None) => Action::Open { started_at: start },
        (None, Some(ended_at)) => closed(head, start, ended_at),
    }
}

fn closed(head: &Head, started_at: Timestamp, ended_at: Timestamp) -> Action {
    match head.last_end {
        // Most repeats end here, without a look at the history.
        Some(last) if started_at <= last && last <= ended_at => Action::Ignore,
        _ => Action::InsertClosedIfNoOverlap { started_at, ended_at },
    }
}

#[cfg(test)]
mod tests;
