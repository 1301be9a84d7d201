//! The audit in words: what each action is called, what it is grouped with, and fields before and after.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::store::audit::{Entry, kind};
use crate::store::thresholds::format_duration;

/// What was done; `{}` is what the object was called, where it is not who did it.
pub const ACTIONS: [(&str, &str); 61] = [
    ("alert.acknowledged", "Acknowledged {}"),
    ("alert.note_added", "Wrote a note at {}"),
    ("alert.note_removed", "Took a note away from {}"),
    ("alert.unacknowledged", "Took the acknowledgement of {} back"),
    ("identity.added", "Linked {} to a single sign-on"),
    ("identity.removed", "Unlinked {} from a single sign-on"),
    ("invitation.accepted", "Accepted the invitation for {}"),
    ("invitation.made", "Invited {}"),
    ("invitation.revoked", "Revoked the invitation for {}"),
    ("membership.added", "Made {} a member"),
    ("membership.changed", "Changed the role of {}"),
    ("membership.removed", "Took {} out of the members"),
    ("owner.added", "Added owner {}"),
    ("owner.changed", "Changed owner {}"),
    ("owner.discarded", "Discarded before it was published: {}"),
    ("owner.removed", "Removed owner {}"),
    ("owner.restored", "Brought owner {} back"),
    ("owner.viewed", "Looked at everything as {} sees it"),
    ("publication.automatic_set", "Changed {}"),
    ("publication.begun", "Published revision {}"),
    ("publication.discarded", "Discarded {} that were not published"),
    ("quarantine.removed", "Deleted what was not understood: {}"),
    ("quarantine.replayed", "Read again what was not understood: {}"),
    ("rule_kind.added", "Added the rule kind {}"),
    ("rule_kind.changed", "Changed the rule kind {}"),
    ("rule_kind.removed", "Deleted the rule kind {}"),
    ("rule_kind.restored", "Brought the rule kind {} back"),
    ("rule_kind.retired", "Retired the rule kind {}"),
    ("second_factor.blocked", "Blocked {} after too many wrong codes"),
    ("second_factor.codes_renewed", "Made new recovery codes for {}"),
    ("second_factor.disabled", "Switched off the second factor of {}"),
    ("second_factor.enabled", "Set up a second factor for {}"),
    ("second_factor.recovery_code_used", "Used a recovery code of {}"),
    ("second_factor.replaced", "Replaced the second factor of {}"),
    ("second_factor.reset", "Reset the second factor of {}"),
    ("server.added", "Added server {}"),
    ("server.changed", "Changed server {}"),
    ("server.discarded", "Discarded before it was published: {}"),
    ("server.paused", "Paused server {}"),
    ("server.removed", "Removed server {}"),
    ("server.restored", "Brought server {} back"),
    ("server.resumed", "Resumed server {}"),
    ("session.ended", "Ended a session of {}"),
    ("session.others_ended", "Ended the other sessions of {}"),
    ("session.refused", "Was not let in"),
    ("session.started", "Logged in"),
    ("threshold.discarded", "Discarded before it was published: {}"),
    ("threshold.reset", "Let {} be inherited again"),
    ("threshold.set", "Set {}"),
    ("token.added", "Made token {}"),
    ("token.revoked", "Revoked token {}"),
    ("user.added", "Added user {}"),
    ("user.changed", "Changed user {}"),
    ("user.disabled", "Disabled user {}"),
    ("user.enabled", "Enabled user {}"),
    ("user.logged_out", "Ended all sessions of {}"),
    ("user.password_changed", "Changed the password of {}"),
    ("user.password_link", "Made a link to choose a password for {}"),
    ("user.password_set", "Set the password of {}"),
    ("user.removed", "Removed user {}"),
    ("user.renamed", "Renamed user to {}"),
];

/// A choice of the filter.
pub struct Group {
    pub name: &'static str,
    pub label: &'static str,
    /// Kinds of objects: what stands before the dot of an action.
    pub kinds: &'static [&'static str],
    /// Customers have some, too.
    pub of_owners: bool,
}

const fn group(
    name: &'static str,
    label: &'static str,
    of_owners: bool,
    kinds: &'static [&'static str],
) -> Group {
    Group { name, label, kinds, of_owners }
}

/// Every kind is in one of them.
pub const GROUPS: [Group; 9] = [
    group("alerts", "Alerts", true, &["alert"]),
    group("servers", "Servers", true, &["server"]),
    group("thresholds", "Thresholds", true, &["threshold", "rule_kind"]),
    group("owners", "Owners", true, &["owner"]),
    group("people", "Users and members", true, &["user", "member", "membership", "invitation"]),
    group("sessions", "Logins", false, &["session", "second_factor", "identity"]),
    group("tokens", "Tokens", false, &["token"]),
    group("publications", "Publications", false, &["publication"]),
    group("quarantine", "Deliveries", false, &["quarantine"]),
];

/// What stands before and after the object's name; nothing after it: the name is not told. An action without
/// words is told by its own.
pub fn around(action: &str) -> (String, Option<String>) {
    match ACTIONS.iter().find(|(name, _)| *name == action) {
        Some((_, words)) => match words.split_once("{}") {
            Some((before, after)) => (before.to_owned(), Some(after.to_owned())),
            None => ((*words).to_owned(), None),
        },
        None => {
            let words = action.replace(['.', '_'], " ");
            let mut letters = words.chars();
            let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
            (format!("{first}{}: ", letters.as_str()), Some(String::new()))
        }
    }
}

/// Where the page of an entry's object is; `None` where there is none any more, or none for who reads it.
pub fn page_of(entry: &Entry, living: &crate::store::audit::Living, admin: bool) -> Option<String> {
    let id = entry.object_id;
    let owner = entry.owner.as_ref().map(|owner| owner.id);
    match (kind(&entry.action), id, owner) {
        ("alert", Some(id), _) if living.alerts.contains(&id) => Some(format!("/alerts/{id}")),
        ("server", Some(id), _) if living.servers.contains(&id) => Some(format!("/servers/{id}")),
        ("owner", Some(id), _) if living.owners.contains(&id) => Some(format!("/owners/{id}")),
        ("threshold", Some(server), Some(owner)) if living.servers.contains(&server) => {
            Some(format!("/thresholds?owner={owner}&server={server}"))
        }
        ("threshold", None, Some(owner)) if living.owners.contains(&owner) => {
            Some(format!("/thresholds?owner={owner}"))
        }
        ("threshold", None, None) if admin => Some("/thresholds".into()),
        ("user" | "membership" | "second_factor" | "session" | "identity", Some(id), _)
            if living.users.contains(&id) =>
        {
            Some(format!("/users/{id}"))
        }
        ("publication", Some(id), _) if admin => Some(format!("/publications/{id}")),
        _ => None,
    }
}

/// A field before and after; one of the two is absent where the object was made or removed.
#[derive(Debug, PartialEq)]
pub struct Change {
    pub field: String,
    pub old: Option<String>,
    pub new: Option<String>,
}

/// What differs, field by field, with times in that zone; fields that say nothing are left out.
pub fn changes(old: Option<&Value>, new: Option<&Value>, zone: &TimeZone) -> Vec<Change> {
    let members = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
    let (before, after) = (members(old), members(new));
    let both = old.is_some() && new.is_some();
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let change = |name: &String| {
        let text =
            |value: Option<&Value>| value.map_or_else(String::new, |value| in_words(name, value, zone));
        let (old, new) = (text(before.get(name)), text(after.get(name)));
        let say = |text: String| {
            if both && text.is_empty() {
                Some("nothing".into())
            } else {
                Some(text).filter(|text| !text.is_empty())
            }
        };
        let (old, new) = (say(old), say(new));
        let field = name.strip_suffix("_seconds").unwrap_or(name).replace('_', " ");
        (old != new).then_some(Change { field, old, new })
    };
    names.into_iter().filter_map(change).collect()
}

fn in_words(name: &str, value: &Value, zone: &TimeZone) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => match text.parse::<Timestamp>() {
            Ok(at) if name.ends_with("_at") => {
                at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
            }
            _ => text.clone(),
        },
        Value::Number(number) => match number.as_u64().and_then(|n| u32::try_from(n).ok()) {
            Some(seconds) if name.ends_with("_seconds") => format_duration(seconds),
            // a float is told as it is typed, without `.0`
            _ => number
                .as_f64()
                .filter(|_| number.is_f64())
                .map_or_else(|| number.to_string(), |n| n.to_string()),
        },
        Value::Array(values) => {
            values.iter().map(|value| in_words("", value, zone)).collect::<Vec<_>>().join(", ")
        }
        Value::Object(members) => {
            let pairs = members.iter().map(|(name, value)| format!("{name}={}", in_words("", value, zone)));
            pairs.collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_action_reads_as_a_sentence() {
        assert_eq!(around("server.restored"), ("Brought server ".into(), Some(" back".into())));
        assert_eq!(around("session.started"), ("Logged in".into(), None));
        assert_eq!(around("second_factor.sung_to"), ("Second factor sung to: ".into(), Some(String::new())));
        for (action, words) in ACTIONS {
            // who comes to the door is the one who acts
            let themselves = ["session.started", "session.refused"].contains(&action);
            assert!(words.contains("{}") != themselves, "{action} names its object");
            let groups = GROUPS.iter().filter(|group| group.kinds.contains(&kind(action)));
            assert_eq!(groups.count(), 1, "{action} is in one group");
        }
    }

    #[test]
    fn fields_read_before_and_after() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let said = |old: Option<Value>, new: Option<Value>| -> Vec<String> {
            let text = |side: Option<String>| side.unwrap_or_else(|| "-".into());
            let line =
                |change: Change| format!("{}: {} {}", change.field, text(change.old), text(change.new));
            changes(old.as_ref(), new.as_ref(), &berlin).into_iter().map(line).collect()
        };
        let old = json!({"port": 9100, "comment": "", "enabled": true, "labels": {"rack": "a"}, "hold_seconds": 60, "value": 50.0});
        let new = json!({"port": 9101, "comment": "x", "enabled": false, "labels": {}, "hold_seconds": 90, "value": 62.5});
        assert_eq!(
            said(Some(old.clone()), Some(new)),
            [
                "comment: nothing x",
                "enabled: yes no",
                "hold: 1m 1m30s",
                "labels: rack=a nothing",
                "port: 9100 9101",
                "value: 50 62.5"
            ]
        );
        assert_eq!(
            said(None, Some(old)),
            ["enabled: - yes", "hold: - 1m", "labels: - rack=a", "port: - 9100", "value: - 50"]
        );
        assert_eq!(said(None, None), Vec::<String>::new());
        // a comment that reads like one is none
        let times =
            json!({"expires_at": "2026-11-29T13:05:09.123456789Z", "comment": "2026-11-29T13:05:09Z"});
        assert_eq!(
            said(None, Some(times)),
            ["comment: - 2026-11-29T13:05:09Z", "expires at: - 2026-11-29 14:05 CET"]
        );
    }
}
