//! Reads what Alertmanager posts, versions 3 and 4: anybody's data, so nothing in it is trusted.
//!
//! One bad alert never spoils the others. What an alert *is*, its labels, is taken as it is or not
//! at all; what is only said about it is cut to size.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::fingerprint;

/// The most labels, and the most annotations, of one alert.
pub const PAIRS_MAX: usize = 128;
/// The longest name of a label or annotation, in bytes.
pub const NAME_MAX: usize = 1 << 10;
/// The longest value of a label, in bytes.
pub const LABEL_MAX: usize = 8 << 10;
/// The longest value of an annotation, and the longest URL, in bytes.
pub const TEXT_MAX: usize = 16 << 10;
/// How much of a bad alert is kept, in bytes.
pub const RAW_MAX: usize = 64 << 10;

/// The second before which a time is Go's zero time, year 1, which means "none".
const ZERO_UNTIL: i64 = -62_135_510_400;

/// One notification, its alerts not read yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// `3` up to Alertmanager 0.5, `4` since; other versions are read alike.
    pub version: String,
    /// The group's key as text, which in version 3 is a number of 64 bits without a sign.
    pub group_key: String,
    /// The receiver's name in Alertmanager's configuration.
    pub receiver: String,
    /// Alertmanager's own address, if it can be linked.
    pub external_url: Option<String>,
    /// How many alerts of the group were left out: the history needs a reconciliation.
    pub truncated: u64,
    /// Where each alert is in the body.
    pub alerts: Vec<Range<usize>>,
}

/// One notification.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub outline: Outline,
    /// The good alerts.
    pub alerts: Vec<Report>,
    /// The alerts that cannot be stored.
    pub bad: Vec<BadAlert>,
}

/// What a notification says of one alert. No text in it holds a NUL, which Postgres refuses.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// All labels, whatever their names.
    pub labels: BTreeMap<String, String>,
    /// Annotations, cut to [`TEXT_MAX`].
    pub annotations: BTreeMap<String, String>,
    /// When the alert began to fire, in whole microseconds as Postgres keeps them.
    pub starts_at: Timestamp,
    /// When it ended, not before `starts_at`; `None` exactly if it fires.
    pub ends_at: Option<Timestamp>,
    /// Where its expression can be looked at, if that can be linked.
    pub generator_url: Option<String>,
    /// The hash of the labels as they came, see [`fingerprint::of`].
    pub fingerprint: u64,
}

/// Whether an alert fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It fires.
    Firing,
    /// It is over.
    Resolved,
}

impl Report {
    /// Whether the alert fires; the top-level status of a notification says nothing of one alert.
    pub fn status(&self) -> Status {
        match self.ends_at {
            None => Status::Firing,
            Some(_) => Status::Resolved,
        }
    }
}

/// An alert that cannot be stored, for people to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAlert {
    /// Its place in the notification, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub reason: String,
    /// Its JSON as it came, cut to [`RAW_MAX`]: text, because `jsonb` refuses some of it.
    pub raw: String,
}

/// The body is no notification at all.
#[derive(Debug, Error)]
#[error("not a notification of Alertmanager: {0}")]
pub struct Refused(String);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body<'a> {
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow)]
    group_key: Option<&'a RawValue>,
    #[serde(borrow)]
    receiver: Option<&'a RawValue>,
    #[serde(borrow, rename = "externalURL")]
    external_url: Option<&'a RawValue>,
    #[serde(borrow)]
    truncated_alerts: Option<&'a RawValue>,
    #[serde(borrow)]
    alerts: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    labels: BTreeMap<String, String>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    starts_at: Cow<'a, str>,
    #[serde(borrow)]
    ends_at: Option<&'a RawValue>,
    #[serde(borrow, rename = "generatorURL")]
    generator_url: Option<&'a RawValue>,
}

/// Reads the body of a notification but for its alerts, and finds where in it they are, so that a large one can
/// be read piece by piece. Fails only if the body is not a JSON object or its `alerts` are no list.
pub fn outline(body: &[u8]) -> Result<Outline, Refused> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Refused("not a JSON object".to_owned()));
    }
    let said: Body = serde_json::from_slice(body).map_err(|e| Refused(e.to_string()))?;
    let begin = body.as_ptr().addr();
    let place = |raw: &RawValue| {
        let from = raw.get().as_ptr().addr() - begin;
        from..from + raw.get().len()
    };
    Ok(Outline {
        version: text(said.version),
        group_key: text(said.group_key),
        receiver: text(said.receiver),
        external_url: link(said.external_url),
        truncated: text(said.truncated_alerts).parse().unwrap_or(0),
        alerts: said.alerts.into_iter().flatten().map(place).collect(),
    })
}

/// Reads one alert of a notification that was received at `received`: what is at `place` in its body.
///
/// A resolved alert that does not say when it ended, ended when it was received; one that says it
/// ended before it began, ended when it began.
pub fn alert(
    body: &[u8],
    index: usize,
    place: Range<usize>,
    received: Timestamp,
) -> Result<Report, BadAlert> {
    let text = body.get(place).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    let bad = |reason| BadAlert { index, reason, raw: cut(text.to_owned(), RAW_MAX) };
    report(text, received).map_err(bad)
}

/// Reads the whole body of a notification, as [`outline`] and [`alert`] do.
pub fn parse(body: &[u8], received: Timestamp) -> Result<Delivery, Refused> {
    let outline = outline(body)?;
    let (mut alerts, mut bad) = (Vec::new(), Vec::new());
    for (index, place) in outline.alerts.iter().cloned().enumerate() {
        match alert(body, index, place, received) {
            Ok(report) => alerts.push(report),
            Err(one) => bad.push(one),
        }
    }
    Ok(Delivery { outline, alerts, bad })
}

fn report(raw: &str, received: Timestamp) -> Result<Report, String> {
    if !raw.starts_with('{') {
        return Err("not a JSON object".to_owned());
    }
    let alert: Alert = serde_json::from_str(raw).map_err(|e| e.to_string())?;
    let labels = alert.labels;
    if labels.is_empty() {
        return Err("no labels".to_owned());
    }
    if labels.len() > PAIRS_MAX {
        return Err(format!("{} labels, more than {PAIRS_MAX}", labels.len()));
    }
    for (name, value) in &labels {
        // Not cut: two alerts could become one.
        if name.len() > NAME_MAX || value.len() > LABEL_MAX {
            let name = cut(name.clone(), NAME_MAX);
            return Err(format!("the label {name} is too long"));
        }
    }
    let starts_at = time(&alert.starts_at).ok_or("no usable startsAt")?;
    let ends_at = match &*alert.status {
        "firing" => None,
        "resolved" => {
            let said = time(&text(alert.ends_at));
            // Nothing has ended in the future: a clock that runs ahead would hide what fires until then.
            let received = micros(received);
            Some(said.unwrap_or(received).min(received).max(starts_at))
        }
        _ => return Err("its status is neither firing nor resolved".to_owned()),
    };
    Ok(Report {
        fingerprint: fingerprint::of(&labels),
        labels: if labels.iter().any(|(n, v)| n.contains('\0') || v.contains('\0')) {
            let pairs = labels.into_iter();
            pairs.map(|(n, v)| (printable(n), printable(v))).collect()
        } else {
            labels
        },
        annotations: annotations(alert.annotations),
        starts_at,
        ends_at,
        generator_url: link(alert.generator_url),
    })
}

/// Reads annotations leniently, because what is only said about an alert does not spoil it.
fn annotations(raw: Option<&RawValue>) -> BTreeMap<String, String> {
    let pairs: Option<BTreeMap<String, &RawValue>> = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
    pairs
        .unwrap_or_default()
        .into_iter()
        .filter(|(name, _)| name.len() <= NAME_MAX)
        .take(PAIRS_MAX)
        .map(|(name, value)| (printable(name), cut(text(Some(value)), TEXT_MAX)))
        .collect()
}

/// The text of a string, or the JSON of anything else: version 3's group key is a number.
fn text(raw: Option<&RawValue>) -> String {
    let raw = raw.map_or("", RawValue::get);
    printable(serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned()))
}

fn printable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text }
}

/// Cuts to at most `max` bytes with an ellipsis at the end.
fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max - '…'.len_utf8()));
        text.push('…');
    }
    text
}

/// A URL that may become a link: only http and https, without white space and control characters.
fn link(raw: Option<&RawValue>) -> Option<String> {
    let url = text(raw);
    let scheme = url.split_once("://")?.0;
    let fine = ["http", "https"].iter().any(|s| scheme.eq_ignore_ascii_case(s))
        && url.len() <= TEXT_MAX
        && !url.contains(|c: char| c.is_whitespace() || c.is_control());
    fine.then_some(url)
}

fn time(text: &str) -> Option<Timestamp> {
    let time: Timestamp = text.parse().ok()?;
    (time.as_second() >= ZERO_UNTIL).then(|| micros(time))
}

fn micros(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

#[cfg(test)]
mod tests;
