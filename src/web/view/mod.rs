//! How values look on pages: states, times, choices, pagers, and rows that several pages show.

mod alerts;
mod times;

use std::borrow::Cow;

pub use self::alerts::{AlertRow, quiet_word, rule_title};
pub use self::times::{When, between, lasted, took};
use crate::error::Fields;
use crate::page::Page;
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

/// A number of three digits or so, and its unit: `93.2 %`.
pub fn amount(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} {unit}").trim_end().to_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (n, text) in
            [(0, "0"), (999, "999"), (1204, "1,204"), (1_000_000, "1,000,000"), (-1204, "-1,204")]
        {
            assert_eq!(number(n), text);
        }
        assert_eq!((counted(1, "server"), counted(2, "server")), ("1 server".into(), "2 servers".into()));
    }
}
