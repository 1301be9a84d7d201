//! The way that alerts take, from Prometheus by Alertmanager to here: whether it works, and where it does not.

use jiff::Timestamp;

use super::{counted, lasted};
use crate::error::Result;
use crate::store::health::PrometheusHealth;
use crate::store::heartbeats::{self, AlertmanagerHealth, Heartbeat};
use crate::store::scope::All;
use crate::store::{Db, publications};

/// A heartbeat that did not come for so many seconds is missing: it is told each minute to a minute and a half.
const LATE: i64 = 180;
/// So many seconds after a publication nothing is said of what it has just begun.
const BEGINNING: i64 = 120;

/// What admins read about the way.
pub struct Path {
    /// `ok` or `warning`; empty: nothing was published yet.
    pub kind: &'static str,
    pub lines: Vec<String>,
}

/// What is known of the way now.
pub async fn look(db: &mut Db, all: All, prometheis: &[PrometheusHealth]) -> Result<Path> {
    let now = Timestamp::now();
    let Some(published) = publications::last_at(db).await? else {
        return Ok(Path { kind: "", lines: Vec::new() });
    };
    let heartbeats = heartbeats::list(db, all).await?;
    let alertmanagers = heartbeats::alertmanagers(db, all).await?;
    let young = age(published, now) < BEGINNING;
    Ok(path(prometheis, &alertmanagers, &heartbeats, young, now))
}

/// For customers: one sentence when alerts may be late, or none.
pub async fn sentence(db: &mut Db) -> Result<String> {
    let oldest = heartbeats::oldest(db).await?;
    let late = oldest.is_some_and(|at| age(at, Timestamp::now()) >= LATE);
    Ok(if late { "New alerts may come late just now; we are looking into it.".into() } else { String::new() })
}

fn age(at: Timestamp, now: Timestamp) -> i64 {
    (now.as_second() - at.as_second()).max(0)
}

fn path(
    prometheis: &[PrometheusHealth],
    alertmanagers: &[AlertmanagerHealth],
    heartbeats: &[Heartbeat],
    young: bool,
    now: Timestamp,
) -> Path {
    // an Alertmanager that is away breaks the way of every Prometheus, so it is said once
    let mut lines: Vec<_> = alertmanagers
        .iter()
        .filter(|one| !one.error.is_empty())
        .map(|one| format!("{}.", one.error))
        .collect();
    let mut last = None;
    for prometheus in prometheis {
        let heartbeat = prometheus.heartbeat.as_deref();
        let seen = heartbeats.iter().filter(|one| Some(one.prometheus.as_str()) == heartbeat);
        let seen = seen.map(|one| one.last_seen_at).max();
        last = last.max(seen);
        if !young && let Some(line) = broken(prometheus, alertmanagers, seen, now) {
            lines.push(line);
        }
    }
    if lines.is_empty() {
        let line = match last {
            Some(seen) => format!("Alerts reach prommgr: the heartbeat came {} ago.", lasted(age(seen, now))),
            None => "The heartbeat is on its way.".into(),
        };
        return Path { kind: "ok", lines: vec![line] };
    }
    if let Some(seen) = last {
        lines.push(format!("The heartbeat last came {} ago.", lasted(age(seen, now))));
    }
    Path { kind: "warning", lines }
}

/// Where the way from one Prometheus is broken; each place is looked at in the order in which alerts pass it.
fn broken(
    prometheus: &PrometheusHealth,
    alertmanagers: &[AlertmanagerHealth],
    seen: Option<Timestamp>,
    now: Timestamp,
) -> Option<String> {
    let at = &prometheus.url;
    if !prometheus.error.is_empty() {
        return Some(format!("{}.", prometheus.error));
    }
    let Some(heartbeat) = &prometheus.heartbeat else {
        return Some(format!(
            "Prometheus at {at} does not evaluate the heartbeat's rule. Publish again, and see that its rule_files name rules/*.yml."
        ));
    };
    if prometheus.alertmanagers == Some(0) {
        return Some(format!(
            "Prometheus at {at} knows no Alertmanager. Look at the alerting section of its configuration."
        ));
    }
    if seen.is_some_and(|seen| age(seen, now) < LATE) {
        return None;
    }
    let reached: Vec<_> = alertmanagers.iter().filter(|one| one.error.is_empty()).collect();
    if reached.is_empty() {
        // said already
        return None;
    }
    if !reached.iter().any(|one| one.has(heartbeat)) {
        let dropped = prometheus.dropped.filter(|dropped| *dropped >= 1.0);
        let dropped = dropped.map(|many| {
            // a rounded count
            #[allow(clippy::cast_possible_truncation, reason = "it is small")]
            let many = many.round() as i64;
            format!(" It could not send {} in five minutes.", counted(many, "alert"))
        });
        return Some(format!(
            "What Prometheus at {at} sends does not arrive at Alertmanager. Look at its log and at the network between them.{}",
            dropped.unwrap_or_default()
        ));
    }
    Some(format!(
        "Alertmanager has the heartbeat of Prometheus at {at} and does not post it. Look at its log, at the address and the token of its webhook, and whether it has the route for the heartbeat of prom/webhook.yml."
    ))
}
