//! What the history is narrowed to, as it stands in the URL.

use jiff::tz::TimeZone;
use serde::Deserialize;

use super::day;
use crate::page::At;
use crate::store::alerts::{Filter, State, Whose};

/// The filters as they stand in the URL.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Filters {
    pub(super) q: String,
    /// `open`, `unacknowledged` (and open), `closed`, or all.
    pub(super) state: String,
    pub(super) rule: String,
    pub(super) severity: String,
    /// An owner's id or `unassigned`.
    pub(super) owner: String,
    /// A server's id.
    pub(super) server: String,
    /// Days in the person's zone, both included, as 2026-11-22.
    pub(super) from: String,
    pub(super) to: String,
    /// `server`, `rule`, or each alert by itself.
    pub(super) group: String,
    pub(super) after: Option<String>,
    pub(super) before: Option<String>,
}

impl Filters {
    /// As they stand in the URL, but for the page.
    pub(super) fn pairs(&self) -> [(&'static str, &str); 8] {
        [
            ("q", &self.q),
            ("state", &self.state),
            ("rule", &self.rule),
            ("severity", &self.severity),
            ("owner", &self.owner),
            ("server", &self.server),
            ("from", &self.from),
            ("to", &self.to),
        ]
    }

    /// What they narrow to, for somebody in that zone.
    pub(super) fn filter(&self, zone: &TimeZone) -> Filter {
        Filter {
            state: match self.state.as_str() {
                "open" => State::Open,
                "unacknowledged" => State::Unacknowledged,
                "closed" => State::Closed,
                _ => State::All,
            },
            rule: self.rule.clone(),
            severity: self.severity.clone(),
            owner: match self.owner.as_str() {
                "" => Whose::Any,
                "unassigned" => Whose::Unassigned,
                // what is no id is nobody's
                id => Whose::Owner(id.parse().unwrap_or(0)),
            },
            server: (!self.server.is_empty()).then(|| self.server.parse().unwrap_or(0)),
            from: day(&self.from, 0, zone),
            to: day(&self.to, 1, zone),
            q: self.q.clone(),
        }
    }

    /// As a query with its question mark; empty where there is none.
    pub(super) fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.pairs().into_iter().filter(|(_, value)| !value.is_empty()));
        let query = query.finish();
        if query.is_empty() { query } else { format!("?{query}") }
    }

    /// The page.
    pub(super) fn at(&self) -> At {
        At { after: self.after.clone(), before: self.before.clone() }
    }

    /// As [`Self::query`], with the page, and `seen=` at its end for what the page shows.
    pub(super) fn of_page(&self) -> (String, String) {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let at = [("after", self.after.as_deref()), ("before", self.before.as_deref())];
        let at = at.into_iter().filter_map(|(key, cursor)| Some((key, cursor?)));
        query.extend_pairs(self.pairs().into_iter().chain(at).filter(|(_, value)| !value.is_empty()));
        let query = query.finish();
        let and = if query.is_empty() { "" } else { "&" };
        (format!("?{query}"), format!("?{query}{and}seen="))
    }

    /// The list of what these filters leave, narrowed by one more.
    pub(super) fn narrowed(&self, filter: &str, value: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let others = self.pairs().into_iter().filter(|(name, value)| *name != filter && !value.is_empty());
        format!("/alerts?{}", query.extend_pairs(others).append_pair(filter, value).finish())
    }
}
