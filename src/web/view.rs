//! How values look on pages: states, times, choices, pagers, and rows that several pages show.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use jiff::{SpanRound, Timestamp, Unit};

use crate::catalogue;
use crate::error::Fields;
use crate::page::Page;
use crate::store::alerts::{Name, Named};
use crate::store::servers::{Counts, OpenAlerts};

/// A state as shape, colour and word.
#[derive(Clone, Debug)]
pub struct State {
    /// `ok`, `warning`, `critical`, `paused`, `resolved`, `running` or `unknown`.
    pub kind: &'static str,
    pub word: Cow<'static, str>,
}

impl State {
    /// A state and its word.
    pub fn new(kind: &'static str, word: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, word: word.into() }
    }

    /// Of a server: what is worst comes first. `fresh`: what is known of its `up` still counts.
    pub fn of_server(enabled: bool, up: Option<bool>, alerts: OpenAlerts, fresh: bool) -> Self {
        match up.filter(|_| fresh) {
            _ if !enabled => Self::new("paused", "Paused"),
            Some(false) => Self::new("critical", "Down"),
            _ if alerts.critical => Self::new("critical", "Critical"),
            _ if alerts.count > 0 => Self::new("warning", "Warning"),
            Some(true) => Self::new("ok", "Up"),
            None => Self::new("unknown", "Unknown"),
        }
    }
}

/// A moment, three ways.
#[derive(Clone, Debug)]
pub struct When {
    /// RFC 3339 in UTC.
    pub iso: String,
    /// In the person's zone, to the second.
    pub exact: String,
    /// `3 minutes ago`.
    pub ago: String,
}

impl When {
    /// A moment as somebody in that zone reads it now.
    pub fn new(at: Timestamp, zone: &TimeZone) -> Self {
        let now = Timestamp::now();
        let seconds = now.as_second() - at.as_second();
        let ago = if seconds < 0 {
            format!("in {}", lasted(-seconds))
        } else if seconds < 5 {
            "just now".into()
        } else {
            format!("{} ago", lasted(seconds))
        };
        Self {
            iso: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            exact: at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
            ago,
        }
    }
}

/// A length of time, by its one or two largest units: `40 seconds`, `2 h 5 min`, `3 days`.
pub fn lasted(seconds: i64) -> String {
    let plural = |n: i64, unit: &str| {
        if n == 1 { format!("1 {unit}") } else { format!("{n} {unit}s") }
    };
    match seconds {
        ..60 => plural(seconds, "second"),
        60..3600 => plural(seconds / 60, "minute"),
        3600..86_400 if seconds % 3600 >= 60 => {
            format!("{} h {} min", seconds / 3600, seconds % 3600 / 60)
        }
        3600..86_400 => plural(seconds / 3600, "hour"),
        86_400..31_536_000 => plural(seconds / 86_400, "day"),
        _ => plural(seconds / 31_536_000, "year"),
    }
}

/// Milliseconds as people read them: `340 ms`, `1.2 s`.
pub fn took(milliseconds: i64) -> String {
    if milliseconds < 1000 {
        format!("{milliseconds} ms")
    } else {
        format!("{:.1} s", milliseconds as f64 / 1000.0)
    }
}

/// Milliseconds between two moments.
pub fn between(from: Timestamp, to: Timestamp) -> i64 {
    let span = to
        .since(from)
        .and_then(|span| span.round(SpanRound::new().largest(Unit::Millisecond).smallest(Unit::Millisecond)));
    span.map_or(0, |span| span.get_milliseconds())
}

/// A whole number with separators: `1,204`.
pub fn number(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if n < 0 { format!("-{text}") } else { text }
}

/// A count and its noun: `1 server`, `2 servers`.
pub fn counted(n: i64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{} {noun}s", number(n)) }
}

/// A link.
#[derive(Clone, Debug)]
pub struct Link {
    /// Empty: only the text.
    pub href: String,
    pub text: String,
}

/// One `<option>`.
#[derive(Clone, Debug)]
pub struct Choice {
    pub value: String,
    pub label: String,
    pub selected: bool,
}

/// Options of which one is chosen.
pub fn choices<V: Into<String>, L: Into<String>>(
    options: impl IntoIterator<Item = (V, L)>,
    chosen: &str,
) -> Vec<Choice> {
    options
        .into_iter()
        .map(|(value, label)| {
            let value = value.into();
            Choice { selected: value == chosen, value, label: label.into() }
        })
        .collect()
}

/// Options made of ids and names, after one for none of them.
pub fn named_choices(none: Option<&str>, options: Vec<(i64, String)>, chosen: &str) -> Vec<Choice> {
    let first = none.map(|label| (String::new(), label.to_owned()));
    choices(first.into_iter().chain(options.into_iter().map(|(id, name)| (id.to_string(), name))), chosen)
}

/// What was typed, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Field {
    pub value: String,
    pub error: Option<String>,
}

impl Field {
    /// The value of a field, with the message that was noted for it.
    pub fn new(value: impl Into<String>, fields: &Fields, name: &str) -> Self {
        Self { value: value.into(), error: fields.0.get(name).cloned() }
    }
}

/// Links to the neighbours of a page of a list, filters kept.
#[derive(Clone, Debug, Default)]
pub struct Pager {
    pub prev: Option<String>,
    pub next: Option<String>,
    /// `1,204 servers`; may be empty.
    pub count: String,
}

impl Pager {
    /// For a page at `path`, with `filters` as query pairs (those that are empty are left out).
    pub fn new<T>(page: &Page<T>, path: &str, filters: &[(&str, &str)], count: String) -> Self {
        let link = |key: &str, cursor: &Option<String>| {
            let cursor = cursor.as_deref()?;
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(filters.iter().filter(|(_, value)| !value.is_empty()));
            Some(format!("{path}?{}", query.append_pair(key, cursor).finish()))
        };
        Self { prev: link("before", &page.prev), next: link("after", &page.next), count }
    }
}

/// How many there are, where one page holds them all; empty where there are more, or none.
pub fn all_of<T>(page: &Page<T>, noun: &str) -> String {
    let whole = page.prev.is_none() && page.next.is_none() && !page.items.is_empty();
    i64::try_from(page.items.len()).ok().filter(|_| whole).map(|n| counted(n, noun)).unwrap_or_default()
}

/// A label or annotation.
#[derive(Clone, Debug)]
pub struct Pair {
    pub name: String,
    pub value: String,
}

/// The members of a JSON object of texts, but for some.
pub fn pairs(object: &serde_json::Value, without: &[&str]) -> Vec<Pair> {
    let members = object.as_object().into_iter().flatten();
    members
        .filter(|(name, _)| !without.contains(&name.as_str()))
        .map(|(name, value)| Pair { name: name.clone(), value: text(value) })
        .collect()
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// How many servers are in each state.
pub struct ServerCounts {
    pub up: i64,
    pub down: i64,
    pub unknown: i64,
    pub paused: i64,
}

impl ServerCounts {
    /// What is known; when it is not fresh, nothing is known.
    pub fn new(counts: Counts, fresh: bool) -> Self {
        if fresh {
            Self { up: counts.up, down: counts.down, unknown: counts.unknown, paused: counts.paused }
        } else {
            Self { up: 0, down: 0, unknown: counts.up + counts.down + counts.unknown, paused: counts.paused }
        }
    }

    /// All of them.
    pub fn all(&self) -> i64 {
        self.up + self.down + self.unknown + self.paused
    }
}

/// An alert in any list.
pub struct AlertRow {
    pub id: i64,
    pub state: State,
    pub open: bool,
    pub severity: String,
    /// The kind's title, or the alert's name.
    pub rule: String,
    pub summary: String,
    pub server: Option<Link>,
    pub instance: String,
    pub owner: Option<Link>,
    pub started: When,
    pub lasted: String,
}

impl AlertRow {
    /// An alert as somebody in that zone reads it.
    pub fn new(named: &Named, zone: &TimeZone) -> Self {
        let alert = &named.alert;
        let open = alert.ended_at.is_none();
        let link = |name: &Name, room: &str| Link {
            href: if name.removed { String::new() } else { format!("/{room}/{}", name.id) },
            text: name.name.clone(),
        };
        let until = alert.ended_at.unwrap_or_else(Timestamp::now);
        Self {
            id: alert.id,
            state: match alert.severity.as_str() {
                _ if !open => State::new("resolved", "Resolved"),
                "critical" => State::new("critical", "Critical"),
                "warning" => State::new("warning", "Warning"),
                "" => State::new("warning", "Firing"),
                other => State::new("warning", other.to_owned()),
            },
            open,
            severity: alert.severity.clone(),
            rule: rule_title(&alert.rule),
            summary: alert.annotations.get("summary").map(text).unwrap_or_default(),
            server: named.server.as_ref().map(|server| link(server, "servers")),
            instance: alert.instance.clone(),
            owner: named.owner.as_ref().map(|owner| link(owner, "owners")),
            started: When::new(alert.started_at, zone),
            lasted: lasted((until.as_second() - alert.started_at.as_second()).max(0)),
        }
    }

    /// Several.
    pub fn all(named: &[Named], zone: &TimeZone) -> Vec<Self> {
        named.iter().map(|one| Self::new(one, zone)).collect()
    }
}

/// The title of a rule kind, or the alert's name where it is none of ours.
pub fn rule_title(rule: &str) -> String {
    match catalogue::kind(rule) {
        Some(kind) => kind.title.to_owned(),
        None if rule.is_empty() => "Alert without a name".to_owned(),
        None => rule.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_numbers_read_well() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (61, "1 minute"),
            (3600, "1 hour"),
            (7500, "2 h 5 min"),
            (86_400, "1 day"),
            (864_000, "10 days"),
        ] {
            assert_eq!(lasted(seconds), text);
        }
        for (n, text) in
            [(0, "0"), (999, "999"), (1204, "1,204"), (1_000_000, "1,000,000"), (-1204, "-1,204")]
        {
            assert_eq!(number(n), text);
        }
        assert_eq!((counted(1, "server"), counted(2, "server")), ("1 server".into(), "2 servers".into()));
    }
}
