//! Makes of what Alertmanager said what the store takes: episodes' reports, heartbeats, and what is kept
//! because it was not understood. Pure.

use std::collections::{BTreeMap, HashMap};

use super::fingerprint;
use super::payload::{self, Delivery};
use crate::catalogue::{HEARTBEAT, HEARTBEAT_LABEL};
use crate::store::episode::Times;
use crate::store::intake::Report;

/// Reports of one alert that a delivery may hold; Alertmanager sends one.
const MOST_REPORTS: usize = 16;
/// Characters of what names an alert; longer ones are cut, as they match nothing of ours.
const LONGEST_KEY: usize = 500;

/// (Reason, text, truncated) of an alert that was not understood.
pub type Bad = (String, String, bool);

/// A delivery, sorted.
#[derive(Debug, Default)]
pub struct Ready {
    pub reports: Vec<Report>,
    pub bad: Vec<Bad>,
    /// What the heartbeats that fire call their Prometheus. They are no reports.
    pub heartbeats: Vec<String>,
}

/// Sorts a delivery; `ours` are the owner's and the server's label.
pub fn prepare(delivery: Delivery, ours: &[String; 2]) -> Ready {
    let mut ready = Ready::default();
    for one in delivery.bad {
        let truncated = one.raw.len() >= payload::RAW_MAX;
        ready.bad.push((
            format!("alert {} of the delivery: {}", one.index + 1, one.reason),
            one.raw,
            truncated,
        ));
    }
    let mut seen: HashMap<u64, usize> = HashMap::new();
    for report in delivery.alerts {
        let times = seen.entry(report.fingerprint).or_default();
        *times += 1;
        if report.labels.get("alertname").is_some_and(|name| name == HEARTBEAT) {
            if report.ends_at.is_none() {
                let of = report.labels.get(HEARTBEAT_LABEL).map(|name| cut(name)).unwrap_or_default();
                ready.heartbeats.push(of);
            }
        } else if *times > MOST_REPORTS {
            let reason = format!("more than {MOST_REPORTS} reports of one alert in one delivery");
            ready.bad.push((reason, object(&report.labels).to_string(), false));
        } else {
            ready.reports.push(one(report, ours));
        }
    }
    ready
}

fn one(report: payload::Report, [owner, server]: &[String; 2]) -> Report {
    let key = |name: &str| report.labels.get(name).map(|value| cut(value));
    Report {
        fingerprint: fingerprint::hex(report.fingerprint),
        times: Times { starts_at: report.starts_at, ends_at: report.ends_at },
        rule: key("alertname").unwrap_or_default(),
        severity: key("severity").unwrap_or_default(),
        instance: key("instance").unwrap_or_default(),
        owner: key(owner),
        server: key(server),
        labels: object(&report.labels),
        annotations: object(&report.annotations),
        generator_url: report.generator_url,
    }
}

fn object(texts: &BTreeMap<String, String>) -> serde_json::Value {
    texts.iter().map(|(name, value)| (name.clone(), serde_json::Value::from(value.as_str()))).collect()
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_KEY).collect()
}
