//! The value that a rule compares, of one server around a time: what pages draw.

mod now;
mod tried;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

pub use self::now::Now;
pub use self::tried::{Tried, Untried};
use super::client::{Client, Error, Point};
use super::rules::{literal, quoted};
use crate::catalogue::{Direction, RuleKind};

/// Whoever waits for it looks at a page.
const LIMIT: Duration = Duration::from_secs(3);
/// A Prometheus runs few queries at once, those of its rules among them; pages are to leave room.
const AT_ONCE: usize = 4;
const MOST_POINTS: i64 = 200;
/// Seconds; Prometheus scrapes and records no oftener as `prom/prometheus.yml` has it.
const SHORTEST_STEP: i64 = 15;
/// Seconds; what lies between two points that are further apart is looked at, too.
const LONG_STEP: i64 = 60;

/// What asks every Prometheus for values.
pub struct Values {
    pub(super) clients: Vec<Client>,
    /// The owner's and the server's.
    pub(super) own: [String; 2],
    turns: Semaphore,
    /// Of trials, which ask for a lot.
    pub(super) trials: Semaphore,
}

/// Values in the order of time; where there are none, points are missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    pub from: Timestamp,
    pub to: Timestamp,
    /// Seconds between two points.
    pub step: i64,
    pub points: Vec<Point>,
}

impl Values {
    /// Of these Prometheis, where these labels name owner and server.
    pub fn new(clients: &[Client], owner_label: &str, server_label: &str) -> Self {
        let own = [owner_label.to_owned(), server_label.to_owned()];
        let (turns, trials) = (Semaphore::new(AT_ONCE), Semaphore::new(1));
        Self { clients: clients.to_vec(), own, turns, trials }
    }

    /// The values of the series that an alert with these labels is of, `from` before `to`: those of the Prometheus that
    /// knows most of them. `None` when the labels name no server of an owner. Takes 6 s at the most.
    pub async fn around(
        &self,
        kind: &RuleKind,
        labels: &BTreeMap<&str, &str>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<Course>, Error> {
        let own = [self.own[0].as_str(), self.own[1].as_str()];
        let Some(selector) = selector(kind, labels, own) else { return Ok(None) };
        let step = step(to.as_second() - from.as_second());
        let query = query(kind, &selector, step);
        let turn = tokio::time::timeout(LIMIT, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(Error::Busy) };
        // the last point is the newest
        let points = (to.as_second() - from.as_second()) / step;
        let first = to.checked_sub(SignedDuration::from_secs(points * step)).unwrap_or(from);
        let asked = self.clients.iter().map(|client| client.range(&query, first, to, step, LIMIT));
        let (mut points, mut failed) = (Vec::new(), None);
        for answer in join_all(asked).await {
            match answer {
                Ok(more) if more.len() > points.len() => points = more,
                Ok(_) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) if points.is_empty() => Err(error),
            _ => Ok(Some(Course { from, to, step, points })),
        }
    }
}

/// Seconds between the points of a time that is so many seconds long.
fn step(length: i64) -> i64 {
    (length / (MOST_POINTS - 1) + 1).max(SHORTEST_STEP)
}

/// The kind's series with all labels that it shares with the alert; `None` without owner and server, as it would be
/// everybody's.
fn selector(kind: &RuleKind, labels: &BTreeMap<&str, &str>, own: [&str; 2]) -> Option<String> {
    let mut matchers = Vec::new();
    for name in own {
        let value = labels.get(name).filter(|value| usable(value))?;
        matchers.push(format!("{name}={}", quoted(value)));
    }
    for (name, value) in labels {
        if !own.contains(name) && is_of_the_series(name) && usable(value) {
            // a label that Prometheus adds when it sends an alert is not in what it records
            matchers.push(format!("{name}=~{}", quoted(&format!("{}|", literal(value)))));
        }
    }
    Some(format!("{}{{{}}}", kind.series, matchers.join(",")))
}

/// Whether a label's value names something: Prometheus takes one that is empty for one that is not there.
fn usable(value: &str) -> bool {
    !value.is_empty() && !value.contains(char::REPLACEMENT_CHARACTER)
}

fn is_of_the_series(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    plain && !name.is_empty() && !name.starts_with("__") && !["alertname", "severity"].contains(&name)
}

/// One series, the worst at each point.
fn query(kind: &RuleKind, selector: &str, step: i64) -> String {
    let worst = match kind.direction {
        Direction::Above | Direction::NonZero => "max",
        Direction::Below | Direction::Zero => "min",
    };
    if step > LONG_STEP {
        format!("{worst}({worst}_over_time({selector}[{step}s]))")
    } else {
        format!("{worst}({selector})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::kind;

    #[test]
    fn a_query_is_bound_to_one_server_of_one_owner() {
        let disk = kind("disk_will_fill_up").unwrap();
        let labels = [
            ("alertname", "disk_will_fill_up"),
            ("severity", "critical"),
            ("o", "11\"} or up{x=\""),
            ("s", "a.b"),
            ("mountpoint", "/srv/a.b|c"),
            ("replica", ""),
            ("__name__", "up"),
            ("no name", "x"),
        ];
        let labels: BTreeMap<_, _> = labels.into();
        assert_eq!(
            selector(disk, &labels, ["o", "s"]).unwrap(),
            r#"prommgr:disk_left:hours{o="11\"} or up{x=\"",s="a.b",mountpoint=~"/srv/a\\.b\\|c|"}"#
        );
        for missing in ["o", "s"] {
            for instead in [None, Some(""), Some("\u{fffd}")] {
                let mut labels = labels.clone();
                labels.remove(missing);
                labels.extend(instead.map(|value| (missing, value)));
                assert_eq!(selector(disk, &labels, ["o", "s"]), None, "{missing}: {instead:?}");
            }
        }
    }

    #[test]
    fn points_are_few_and_miss_nothing() {
        for length in [1, 3000, 3600, 86_400, 40_000_000] {
            assert!(length / step(length) < MOST_POINTS && step(length) >= SHORTEST_STEP, "{length}");
        }
        let (cpu, up) = (kind("cpu_threshold_exceeded").unwrap(), kind("service_down").unwrap());
        assert_eq!(query(cpu, "a{}", 60), "max(a{})");
        assert_eq!(query(cpu, "a{}", 61), "max(max_over_time(a{}[61s]))");
        assert_eq!(query(up, "a{}", 300), "min(min_over_time(a{}[300s]))");
    }
}
