//! Makes of what Alertmanager said what the store takes: episodes' reports, heartbeats, and what is kept
//! because it was not understood. Pure.

use std::collections::HashMap;
use std::ops::Range;

use jiff::Timestamp;

use super::fingerprint;
use super::payload::{self, BadAlert, Outline, Refused};
use crate::catalogue::{HEARTBEAT, HEARTBEAT_LABEL};
use crate::store::episode::Times;
use crate::store::intake::{Bad, Report};

/// Reports of one alert that are stored together; Alertmanager sends one.
const MOST_REPORTS: usize = 16;
/// Characters of what names an alert; longer ones are cut, as they match nothing of ours.
const LONGEST_KEY: usize = 500;

/// Some of the alerts of a delivery, sorted.
#[derive(Debug, Default)]
pub struct Ready {
    pub reports: Vec<Report>,
    pub bad: Vec<Bad>,
    /// What the heartbeats that fire call their Prometheus. They are no reports.
    pub heartbeats: Vec<String>,
}

/// Reads a whole body; `ours` are the owner's and the server's label.
pub fn read(body: &[u8], received: Timestamp, ours: [&str; 2]) -> Result<Ready, Refused> {
    let outline = payload::outline(body)?;
    Ok(prepare(body, &outline, 0..outline.alerts.len(), received, ours))
}

/// Reads some of the alerts of a body.
pub fn prepare(
    body: &[u8],
    outline: &Outline,
    which: Range<usize>,
    received: Timestamp,
    ours: [&str; 2],
) -> Ready {
    let mut ready = Ready::default();
    let mut seen: HashMap<u64, usize> = HashMap::with_capacity(which.len());
    ready.reports.reserve(which.len());
    for index in which {
        let read = match payload::alert(body, index, outline.alerts[index].clone(), received) {
            Ok(read) => read,
            Err(BadAlert { index, reason, raw }) => {
                let truncated = raw.len() >= payload::RAW_MAX;
                let reason = format!("alert {} of the delivery: {reason}", index + 1);
                ready.bad.push(Bad { reason, text: raw, truncated });
                continue;
            }
        };
        if read.labels.get("alertname").is_some_and(|name| name == HEARTBEAT) {
            if read.ends_at.is_none() {
                let of = read.labels.get(HEARTBEAT_LABEL).map(|name| cut(name)).unwrap_or_default();
                ready.heartbeats.push(of);
            }
            continue;
        }
        let times = seen.entry(read.fingerprint).or_default();
        *times += 1;
        let many = *times > MOST_REPORTS;
        let report = one(read, ours);
        if many {
            let reason = format!("more than {MOST_REPORTS} reports of one alert in one delivery");
            ready.bad.push(Bad { reason, text: report.to_json(), truncated: false });
        } else {
            ready.reports.push(report);
        }
    }
    ready
}

fn one(report: payload::Report, [owner, server]: [&str; 2]) -> Report {
    let key = |name: &str| report.labels.get(name).map(|value| cut(value));
    Report {
        fingerprint: fingerprint::hex(report.fingerprint),
        times: Times { starts_at: report.starts_at, ends_at: report.ends_at },
        rule: key("alertname").unwrap_or_default(),
        severity: key("severity").unwrap_or_default(),
        instance: key("instance").unwrap_or_default(),
        owner: key(owner),
        server: key(server),
        labels: (&report.labels).into(),
        annotations: (&report.annotations).into(),
        generator_url: report.generator_url,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_KEY).collect()
}
