//! What the history is narrowed to, as it stands in the URL.

use jiff::tz::TimeZone;
use serde::Deserialize;

use super::day;
use crate::auth::User;
use crate::catalogue::Catalogue;
use crate::error::Result;
use crate::page::At;
use crate::store::alerts::{Filter, State, Whose};
use crate::store::{Db, kinds, owners, servers};
use crate::web::{Choice, choices, named_choices, rule_title};

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
            server: self.server_id(),
            from: day(&self.from, 0, zone),
            to: day(&self.to, 1, zone),
            q: self.q.clone(),
        }
    }

    fn server_id(&self) -> Option<i64> {
        // what is no id is nobody's
        (!self.server.is_empty()).then(|| self.server.parse().unwrap_or(0))
    }

    /// As a query with its question mark; empty where there is none.
    pub(super) fn query(&self) -> String {
        let query = encoded(self.pairs());
        if query.is_empty() { query } else { format!("?{query}") }
    }

    /// What is saved of them: everything but the page.
    pub(super) fn saved_pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs().into_iter().chain([("group", self.group.as_str())])
    }

    /// As they are saved: a query without its question mark.
    pub(super) fn saved(&self) -> String {
        encoded(self.saved_pairs())
    }

    /// As they were saved.
    pub(super) fn read(query: &str) -> Self {
        let mut filters = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let field = match name.as_ref() {
                "q" => &mut filters.q,
                "state" => &mut filters.state,
                "rule" => &mut filters.rule,
                "severity" => &mut filters.severity,
                "owner" => &mut filters.owner,
                "server" => &mut filters.server,
                "from" => &mut filters.from,
                "to" => &mut filters.to,
                "group" => &mut filters.group,
                _ => continue,
            };
            *field = value.into_owned();
        }
        filters
    }

    /// The page.
    pub(super) fn at(&self) -> At {
        At { after: self.after.clone(), before: self.before.clone(), ..At::default() }
    }

    /// As [`Self::query`], with the page, and `seen=` at its end for what the page shows.
    pub(super) fn of_page(&self) -> (String, String) {
        let at = [("after", self.after.as_deref()), ("before", self.before.as_deref())];
        let query =
            encoded(self.pairs().into_iter().chain(at.map(|(key, value)| (key, value.unwrap_or_default()))));
        let and = if query.is_empty() { "" } else { "&" };
        (format!("?{query}"), format!("?{query}{and}seen="))
    }

    /// The list of what these filters leave, narrowed by one more.
    pub(super) fn narrowed(&self, filter: &str, value: &str) -> String {
        let others = self.pairs().into_iter().filter(|(name, _)| *name != filter);
        format!("/alerts?{}", encoded(others.chain([(filter, value)])))
    }

    /// In words, which name no owner and no server: they may no longer be this person's to see.
    pub(super) fn words(&self, kinds: &Catalogue) -> String {
        let said = |options: &[(&str, &str)], value: &str| {
            let found = options.iter().find(|(option, _)| *option == value && !value.is_empty());
            found.map(|(_, label)| (*label).to_owned())
        };
        let days = match (self.from.as_str(), self.to.as_str()) {
            ("", "") => None,
            (from, "") => Some(format!("from {from}")),
            ("", to) => Some(format!("to {to}")),
            (from, to) => Some(format!("{from} to {to}")),
        };
        let parts = [
            (!self.q.is_empty()).then(|| format!("“{}”", self.q)),
            said(STATES, &self.state),
            said(SEVERITIES, &self.severity),
            (!self.rule.is_empty()).then(|| rule_title(kinds, &self.rule)),
            match self.owner.as_str() {
                "" => None,
                "unassigned" => Some("Unassigned".into()),
                _ => Some("One owner".into()),
            },
            (!self.server.is_empty()).then(|| "One server".into()),
            days,
            said(GROUPS, &self.group),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }
}

/// A query without its question mark; what is empty is left out.
fn encoded<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.into_iter().filter(|(_, value)| !value.is_empty()));
    query.finish()
}

const STATES: &[(&str, &str)] = &[
    ("", "Open and closed"),
    ("open", "Open"),
    ("unacknowledged", "Open, not acknowledged"),
    ("closed", "Closed"),
];
const SEVERITIES: &[(&str, &str)] =
    &[("", "Every severity"), ("critical", "Critical"), ("warning", "Warning")];
const GROUPS: &[(&str, &str)] = &[("", "Each by itself"), ("server", "By server"), ("rule", "By alert")];

/// The filters to choose from.
pub(super) struct Selects {
    pub states: Vec<Choice>,
    pub severities: Vec<Choice>,
    pub rules: Vec<Choice>,
    /// None, where the person sees but one.
    pub owners: Vec<Choice>,
    pub group: Vec<Choice>,
    /// The server that is narrowed to.
    pub server: Option<Choice>,
}

impl Selects {
    /// With what is chosen. `NotFound` when that is a server that the person does not see.
    pub(super) async fn of(db: &mut Db, user: &User, filters: &Filters) -> Result<Self> {
        let scope = user.scope();
        let server = match filters.server_id() {
            None => None,
            Some(id) => Some(servers::find(db, &scope, id).await?),
        };
        let kinds = kinds::catalogue(db).await?;
        let rules = kinds.iter().map(|kind| (kind.name.clone(), kind.title.clone()));
        let other = (!filters.rule.is_empty() && kinds.kind(&filters.rule).is_none())
            .then(|| (filters.rule.clone(), kinds.title(&filters.rule).to_owned()));
        let mut owners = Vec::new();
        if user.sees_several() {
            owners = named_choices(Some("Every owner"), owners::choices(db, &scope).await?, &filters.owner);
            if user.is_admin() {
                let unassigned = choices([("unassigned", "Unassigned")], &filters.owner);
                owners.splice(1..1, unassigned);
            }
        }
        Ok(Self {
            states: choices(STATES.iter().copied(), &filters.state),
            severities: choices(SEVERITIES.iter().copied(), &filters.severity),
            rules: choices(
                std::iter::once((String::new(), "Every rule".to_owned())).chain(rules).chain(other),
                &filters.rule,
            ),
            owners,
            group: choices(GROUPS.iter().copied(), &filters.group),
            server: server.map(|server| Choice {
                value: server.id.to_string(),
                label: server.name,
                selected: true,
            }),
        })
    }
}
