//! Thresholds as Prometheus rules: few rules, with the thresholds inside them as sets of ids.
//! Pure: the same snapshot always gives the same bytes.

mod fired;
mod promql;
mod snapshot;
mod terms;

pub use fired::fired_at;
pub(super) use promql::{MOST_ALTERNATIVES, literal, matcher, quoted};
pub use serde_saphyr::ser::Error as YamlError;
pub use snapshot::Snapshot;
pub use terms::{Layers, Set, Term, terms};

use crate::catalogue::{Origin, RuleKind, Severity};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The rule file that says which publication is in force.
pub const PUBLICATION_FILE: &str = "rules/prommgr.yml";
/// The rule file of the heartbeat.
pub const HEARTBEAT_FILE: &str = "rules/heartbeat.yml";
/// The alert that always fires: while it arrives, everything on its way works.
pub use crate::catalogue::{HEARTBEAT, HEARTBEAT_LABEL};
/// What the files of kinds begin with that admins made; an operator's own files are called otherwise.
const OWN: &str = "own-";
/// A rule file without rules.
pub const EMPTY: &str = "groups: []\n";
/// The series whose label `revision` says which publication is in force.
pub const PUBLICATION_SERIES: &str = "prommgr:publication:info";

#[derive(Serialize)]
struct File<'a> {
    groups: Vec<Group<'a>>,
}

// Prometheus hands a rule's state on by file, group, name and labels, and among equals by
// position: so a group for each hold, and nothing here that depends on a value.
#[derive(Serialize)]
struct Group<'a> {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<String>,
    rules: Vec<Rule<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Rule<'a> {
    Alert {
        alert: &'a str,
        expr: String,
        #[serde(rename = "for")]
        hold: String,
        labels: BTreeMap<&'static str, &'static str>,
        annotations: BTreeMap<&'static str, &'a str>,
    },
    Recording {
        record: &'a str,
        expr: String,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<&'static str, String>,
    },
}

/// The rule files by path below the Prometheus folder, `rules/prommgr.yml` among them.
/// Fails only if the YAML writer does.
pub fn render(snapshot: &Snapshot) -> Result<BTreeMap<String, String>, YamlError> {
    render_after(snapshot, std::iter::empty())
}

/// As [`render`], after a publication of these files: the rules among them that are of no kind any more become empty,
/// since Prometheus would keep those of a file that nobody writes.
pub fn render_after<'a>(
    snapshot: &Snapshot,
    before: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, String>, YamlError> {
    let gone = before.filter(|path| path.starts_with("rules/") && *path != PUBLICATION_FILE);
    let mut files: BTreeMap<_, _> = gone.map(|path| (path.to_owned(), EMPTY.to_owned())).collect();
    for kind in snapshot.kinds.iter() {
        files.insert(path(kind), yaml(&File { groups: groups(snapshot, kind) })?);
    }
    files.insert(HEARTBEAT_FILE.to_owned(), yaml(&File { groups: vec![heartbeat()] })?);
    let rule = Rule::Recording {
        record: PUBLICATION_SERIES,
        expr: "vector(1)".to_owned(),
        labels: BTreeMap::from([("revision", revision(&files))]),
    };
    let group = Group { name: "prommgr".to_owned(), interval: None, rules: vec![rule] };
    files.insert(PUBLICATION_FILE.to_owned(), yaml(&File { groups: vec![group] })?);
    Ok(files)
}

/// All kinds in one file to read: what a publication without overrides writes.
pub fn render_catalogue(snapshot: &Snapshot) -> Result<String, YamlError> {
    let groups = snapshot.kinds.iter().flat_map(|kind| groups(snapshot, kind)).collect();
    Ok(format!(
        "# The rules of prommgr's catalogue as a publication without overrides writes them, one\n\
         # file for each kind, to rules/. This file is for reading; Prometheus does not load it.\n\
         # A test keeps it equal to src/catalogue/: UPDATE_GOLDEN=1 cargo test prometheus::rules\n\
         {}",
        yaml(&File { groups })?
    ))
}

/// The path of a kind's rules below the Prometheus folder.
pub fn path(kind: &RuleKind) -> String {
    let prefix = if kind.origin == Origin::BuiltIn { "" } else { OWN };
    format!("rules/{prefix}{}.yml", kind.name)
}

/// The first 16 hex digits of a SHA-256 over all rule files but `rules/prommgr.yml`.
pub fn revision(files: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    let counts = |path: &str| path.starts_with("rules/") && path != PUBLICATION_FILE;
    for (path, content) in files.iter().filter(|(path, _)| counts(path)) {
        hash.update(path);
        hash.update([0]);
        hash.update(content.len().to_be_bytes());
        hash.update(content);
    }
    hash.finalize().iter().take(8).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// File, without its folder, and name of each group in the rule files.
pub fn groups_of(files: &BTreeMap<String, String>) -> BTreeSet<(String, String)> {
    let names = files.iter().filter_map(|(path, text)| Some((path.strip_prefix("rules/")?, text)));
    let names = names.flat_map(|(file, text)| {
        // as the YAML writer writes them: nothing else of ours stands at a line's beginning with a dash
        let groups = text.lines().filter_map(|line| line.strip_prefix("- name: "));
        groups.map(move |name| (file.to_owned(), name.trim_matches('"').to_owned()))
    });
    names.collect()
}

fn yaml(file: &File) -> Result<String, YamlError> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(file, options)
}

fn groups<'a>(snapshot: &Snapshot, kind: &'a RuleKind) -> Vec<Group<'a>> {
    let recording = kind.recorded().map(|expr| Group {
        name: format!("{}/recording", kind.name),
        interval: kind.interval.map(duration),
        rules: vec![Rule::Recording { record: &kind.series, expr, labels: BTreeMap::new() }],
    });
    let alerts = Severity::ALL.into_iter().flat_map(|severity| {
        let layers = snapshot.layers(kind, severity);
        let terms = layers.map(|layers| terms(layers, &snapshot.shared_server_ids));
        terms.into_iter().flatten().map(move |(hold, terms)| Group {
            name: format!("{}/{severity}/{}", kind.name, duration(hold)),
            interval: None,
            rules: vec![Rule::Alert {
                alert: &kind.name,
                expr: promql::chain(kind, &snapshot.owner_label, &snapshot.server_label, &terms),
                hold: duration(hold),
                labels: BTreeMap::from([("severity", severity.as_str())]),
                annotations: BTreeMap::from([
                    ("description", kind.description.as_str()),
                    ("summary", kind.summary.as_str()),
                    ("value", "{{ $value }}"),
                ]),
            }],
        })
    });
    recording.into_iter().chain(alerts).collect()
}

/// An alert that always fires, once a Prometheus. All of them may load the same folder, and external labels
/// are often missing or taken away for Alertmanager; so each writes its own external URL into a label,
/// which every Prometheus has and which differs wherever host or port does. It carries no owner label.
fn heartbeat() -> Group<'static> {
    let rule = Rule::Alert {
        alert: HEARTBEAT,
        expr: "vector(1)".to_owned(),
        hold: duration(0),
        labels: BTreeMap::from([(HEARTBEAT_LABEL, "{{ $externalURL }}")]),
        annotations: BTreeMap::from([
            ("description", "It always fires, so that prommgr sees that alerts reach it."),
            ("summary", "Alerts of {{ $externalURL }} reach prommgr"),
        ]),
    };
    Group { name: "heartbeat".to_owned(), interval: None, rules: vec![rule] }
}

/// Seconds as Prometheus writes them, in the largest unit that divides them.
fn duration(seconds: u32) -> String {
    match seconds {
        s if s > 0 && s % 3600 == 0 => format!("{}h", s / 3600),
        s if s > 0 && s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests;
