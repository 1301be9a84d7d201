//! The history by server or by rule, as a table of its own in place of the rows.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::Filters;
use crate::auth::User;
use crate::catalogue::Catalogue;
use crate::error::Result;
use crate::store::alerts::{self, By, Group, Name};
use crate::store::{Db, kinds};
use crate::web::{Link, When, number, rule_title};

/// How far back is looked where no day is given.
const DAYS: i64 = 30;

/// The table of groups.
pub(super) struct GroupsTable {
    /// What the groups are: `Server` or `Alert`.
    pub what: &'static str,
    pub rows: Vec<GroupRow>,
    /// What was counted, and what was left out.
    pub note: String,
}

/// Alerts with something in common.
pub(super) struct GroupRow {
    /// To the list of them.
    pub name: Link,
    /// Under it; may be empty.
    pub owner: String,
    pub count: String,
    pub open: i64,
    pub newest: When,
}

impl GroupsTable {
    /// What the filters leave, where they group; `None` where they list.
    pub(super) async fn of(
        db: &mut Db,
        user: &User,
        filters: &Filters,
        zone: &TimeZone,
    ) -> Result<Option<Self>> {
        let (by, what) = match filters.group.as_str() {
            "server" => (By::Server, "Server"),
            "rule" => (By::Rule, "Alert"),
            _ => return Ok(None),
        };
        let mut filters = filters.clone();
        let recent = filters.filter(zone).from.is_none();
        if recent {
            filters.from =
                Timestamp::now().to_zoned(zone.clone()).date().saturating_sub(DAYS.days()).to_string();
        }
        let found = alerts::groups(db, &user.scope(), &filters.filter(zone), by).await?;
        let mut notes = Vec::new();
        if recent {
            notes.push(format!("Open at some time of the last {DAYS} days."));
        }
        if let Some(counted) = found.counted {
            notes.push(format!("Counted among the newest {}.", number(counted)));
        }
        if found.more {
            notes.push(format!("Only the {} with most are shown.", alerts::MOST_GROUPS));
        }
        let several = user.sees_several();
        let kinds = kinds::catalogue(db).await?;
        let row = |group| row(group, by, &filters, several, zone, &kinds);
        let rows = found.groups.into_iter().map(row).collect();
        Ok(Some(Self { what, rows, note: notes.join(" ") }))
    }
}

fn row(
    group: Group,
    by: By,
    filters: &Filters,
    several: bool,
    zone: &TimeZone,
    kinds: &Catalogue,
) -> GroupRow {
    let name = match (by, &group.server) {
        (By::Rule, _) if group.rule.is_empty() => Link { href: String::new(), text: "Without a name".into() },
        (By::Rule, _) => {
            Link { href: filters.narrowed("rule", &group.rule), text: rule_title(kinds, &group.rule) }
        }
        (By::Server, Some(Name { id, name, removed: false })) => {
            Link { href: filters.narrowed("server", &id.to_string()), text: name.clone() }
        }
        (By::Server, Some(server)) => Link { href: String::new(), text: server.name.clone() },
        (By::Server, None) => Link { href: String::new(), text: "No server of ours".into() },
    };
    let owner = match (by, group.owner) {
        (By::Server, Some(owner)) if several => owner.name,
        (By::Server, None) if several => "unassigned".into(),
        _ => String::new(),
    };
    GroupRow {
        name,
        owner,
        count: number(group.count),
        open: group.open,
        newest: When::new(group.newest, zone),
    }
}
