//! Alerts, in every list the same.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Link, State, When, lasted, text};
use crate::catalogue::Catalogue;
use crate::store::alerts::{Name, Named};

/// An alert in any list.
pub struct AlertRow {
    pub id: i64,
    pub state: State,
    pub open: bool,
    /// The state is told by another word than the severity.
    pub apart: bool,
    /// Open, and somebody said that they know of it.
    pub known: bool,
    /// Began again and again in the day before.
    pub flapping: bool,
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
    pub fn new(named: &Named, zone: &TimeZone, kinds: &Catalogue) -> Self {
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
                _ if alert.suppressed.is_some() => {
                    State::new("paused", quiet_word(alert.suppressed.as_deref()))
                }
                "critical" => State::new("critical", "Critical"),
                "warning" => State::new("warning", "Warning"),
                "" => State::new("warning", "Firing"),
                other => State::new("warning", other.to_owned()),
            },
            open,
            apart: !open || alert.suppressed.is_some(),
            known: open && named.acknowledged.is_some(),
            flapping: false,
            severity: alert.severity.clone(),
            rule: rule_title(kinds, &alert.rule),
            summary: alert.annotations.get("summary").map(text).unwrap_or_default(),
            server: named.server.as_ref().map(|server| link(server, "servers")),
            instance: alert.instance.clone(),
            owner: named.owner.as_ref().map(|owner| link(owner, "owners")),
            started: When::new(alert.started_at, zone),
            lasted: lasted((until.as_second() - alert.started_at.as_second()).max(0)),
        }
    }

    /// Several, of which these flap.
    pub fn marked(named: &[Named], flapping: &HashSet<i64>, zone: &TimeZone, kinds: &Catalogue) -> Vec<Self> {
        let row =
            |one: &Named| Self { flapping: flapping.contains(&one.alert.id), ..Self::new(one, zone, kinds) };
        named.iter().map(row).collect()
    }

    /// Several.
    pub fn all(named: &[Named], zone: &TimeZone, kinds: &Catalogue) -> Vec<Self> {
        named.iter().map(|one| Self::new(one, zone, kinds)).collect()
    }
}

/// The word for why an alert is not notified.
pub fn quiet_word(why: Option<&str>) -> &'static str {
    match why {
        Some("inhibited") => "Inhibited",
        Some("muted") => "Muted",
        _ => "Silenced",
    }
}

/// The title of a rule kind, or the alert's name where it is none of ours.
pub fn rule_title(kinds: &Catalogue, rule: &str) -> String {
    if rule.is_empty() { "Alert without a name".into() } else { kinds.title(rule).to_owned() }
}
