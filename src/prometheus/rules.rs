//! Thresholds as Prometheus rules: few rules, with the thresholds inside them as sets of ids.
//! Pure: the same snapshot always gives the same bytes.

mod promql;
mod snapshot;
mod terms;

pub use serde_saphyr::ser::Error as YamlError;
pub use snapshot::Snapshot;
pub use terms::{Layers, Set, Term, terms};

use crate::catalogue::{KINDS, RuleKind, Severity};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The rule file that says which publication is in force.
pub const PUBLICATION_FILE: &str = "rules/prommgr.yml";
/// A rule file without rules.
pub const EMPTY: &str = "groups: []\n";
/// The series whose label `revision` says which publication is in force.
pub const PUBLICATION_SERIES: &str = "prommgr:publication:info";

#[derive(Serialize)]
struct File {
    groups: Vec<Group>,
}

// Prometheus hands a rule's state on by file, group, name and labels, and among equals by
// position: so a group for each hold, and nothing here that depends on a value.
#[derive(Serialize)]
struct Group {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<String>,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Rule {
    Alert {
        alert: &'static str,
        expr: String,
        #[serde(rename = "for")]
        hold: String,
        labels: BTreeMap<&'static str, &'static str>,
        annotations: BTreeMap<&'static str, &'static str>,
    },
    Recording {
        record: &'static str,
        expr: String,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<&'static str, String>,
    },
}

/// The rule files by path below the Prometheus folder, `rules/prommgr.yml` among them.
/// Fails only if the YAML writer does.
pub fn render(snapshot: &Snapshot) -> Result<BTreeMap<String, String>, YamlError> {
    let mut files = BTreeMap::new();
    for kind in &KINDS {
        files.insert(
            path(kind),
            yaml(&File {
                groups: groups(snapshot, kind),
            })?,
        );
    }
    let rule = Rule::Recording {
        record: PUBLICATION_SERIES,
        expr: "vector(1)".to_owned(),
        labels: BTreeMap::from([("revision", revision(&files))]),
    };
    let group = Group {
        name: "prommgr".to_owned(),
        interval: None,
        rules: vec![rule],
    };
    files.insert(
        PUBLICATION_FILE.to_owned(),
        yaml(&File {
            groups: vec![group],
        })?,
    );
    Ok(files)
}

/// All kinds in one file to read: what a publication without overrides writes.
pub fn render_catalogue(snapshot: &Snapshot) -> Result<String, YamlError> {
    let groups = KINDS
        .iter()
        .flat_map(|kind| groups(snapshot, kind))
        .collect();
    Ok(format!(
        "# The rules of prommgr's catalogue as a publication without overrides writes them, one\n\
         # file for each kind, to rules/. This file is for reading; Prometheus does not load it.\n\
         # A test keeps it equal to src/catalogue.rs: UPDATE_GOLDEN=1 cargo test prometheus::rules\n\
         {}",
        yaml(&File { groups })?
    ))
}

/// The path of a kind's rules below the Prometheus folder.
pub fn path(kind: &RuleKind) -> String {
    format!("rules/{}.yml", kind.name)
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
    hash.finalize()
        .iter()
        .take(8)
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

fn yaml(file: &File) -> Result<String, YamlError> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(file, options)
}

fn groups(snapshot: &Snapshot, kind: &'static RuleKind) -> Vec<Group> {
    let recording = kind.recorded().map(|expr| Group {
        name: format!("{}/recording", kind.name),
        interval: kind.interval.map(duration),
        rules: vec![Rule::Recording {
            record: kind.series,
            expr,
            labels: BTreeMap::new(),
        }],
    });
    let alerts = Severity::ALL.into_iter().flat_map(|severity| {
        let layers = snapshot.layers(kind, severity);
        let terms = layers.map(|layers| terms(layers, &snapshot.shared_server_ids));
        terms.into_iter().flatten().map(move |(hold, terms)| Group {
            name: format!("{}/{severity}/{}", kind.name, duration(hold)),
            interval: None,
            rules: vec![Rule::Alert {
                alert: kind.name,
                expr: promql::chain(kind, &snapshot.owner_label, &snapshot.server_label, &terms),
                hold: duration(hold),
                labels: BTreeMap::from([("severity", severity.as_str())]),
                annotations: BTreeMap::from([
                    ("description", kind.description),
                    ("summary", kind.summary),
                    ("value", "{{ $value }}"),
                ]),
            }],
        })
    });
    recording.into_iter().chain(alerts).collect()
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
mod tests {
    use super::*;
    use crate::catalogue::{Setting, kind};
    use std::path::Path;
    use std::process::Command;

    const ROOT: &str = env!("CARGO_MANIFEST_DIR");

    fn on(value: f64, hold: u32) -> Setting {
        Setting {
            value: Some(value),
            hold,
            enabled: true,
        }
    }

    fn off() -> Setting {
        Setting {
            value: None,
            hold: 60,
            enabled: false,
        }
    }

    /// The estate of `prom/tests`: owner 11 has a threshold of its own, 12 has disabled, 13
    /// and 14 share the server id 1 and have no threshold of their own, 15 has odd ids.
    fn estate() -> Snapshot {
        let mut estate = Snapshot::new("cloudnet_owner_id", "cloudnet_server_id");
        estate.shared_server_ids.insert("1".to_owned());
        // By kind: the owner's threshold, one server's, and a shared server's with another hold.
        for (name, severity, owner, server, shared) in [
            (
                "service_down",
                Severity::Critical,
                on(0.0, 300),
                on(0.0, 0),
                on(0.0, 600),
            ),
            (
                "cpu_threshold_exceeded",
                Severity::Warning,
                on(95.0, 300),
                on(50.0, 300),
                on(60.0, 900),
            ),
            (
                "load_threshold_exceeded",
                Severity::Warning,
                on(3.0, 600),
                on(1.5, 600),
                on(0.7, 900),
            ),
            (
                "mem_threshold_exceeded",
                Severity::Warning,
                on(95.0, 300),
                on(50.0, 300),
                on(60.0, 900),
            ),
            (
                "disk_will_fill_up",
                Severity::Critical,
                on(2.0, 600),
                on(12.0, 600),
                on(8.0, 900),
            ),
        ] {
            let kind = kind(name).unwrap();
            estate.set_owner(kind, severity, "11", owner);
            estate.set_owner(kind, severity, "12", off());
            estate.set_server(kind, severity, "11", "4386", server);
            estate.set_server(kind, severity, "12", "4390", server);
            estate.set_server(kind, severity, "13", "1", shared);
            estate.set_server(kind, severity, "15", "off", off());
        }
        let cpu = kind("cpu_threshold_exceeded").unwrap();
        estate.set_server(cpu, Severity::Warning, "15", "a.b|c", on(20.0, 300));
        estate.set_owner(
            cpu,
            Severity::Warning,
            "16 \"\\\n{{ é\u{2028}",
            on(20.0, 300),
        );
        estate.set_owner(cpu, Severity::Critical, "11", on(99.0, 60));
        estate
    }

    fn golden(path: &str, content: &str) {
        let path = Path::new(ROOT).join(path);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, content).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == content,
            "{} differs; set UPDATE_GOLDEN=1",
            path.display()
        );
    }

    fn promtool(arguments: &[&str], folder: &str, extension: &str) {
        let mut files: Vec<_> = std::fs::read_dir(Path::new(ROOT).join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|found| found == extension))
            .collect();
        files.sort();
        assert!(!files.is_empty());
        match Command::new("promtool")
            .args(arguments)
            .args(files)
            .output()
        {
            Ok(output) => assert!(
                output.status.success(),
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
            Err(missing) => assert_eq!(missing.kind(), std::io::ErrorKind::NotFound),
        }
    }

    #[test]
    fn rules_are_those_that_promtool_tests() {
        for (path, content) in render(&estate()).unwrap() {
            golden(&format!("prom/tests/{path}"), &content);
        }
        promtool(
            &["check", "rules", "--lint=none"],
            "prom/tests/rules",
            "yml",
        );
        promtool(&["test", "rules"], "prom/tests", "yml");
    }

    #[test]
    fn the_catalogue_is_published_as_committed() {
        let untouched = Snapshot::new("cloudnet_owner_id", "cloudnet_server_id");
        golden("prom/alerts.rules", &render_catalogue(&untouched).unwrap());
        promtool(&["check", "rules", "--lint=none"], "prom", "rules");
    }

    #[test]
    fn a_disabled_kind_keeps_its_recording_only() {
        let mut estate = Snapshot::new("owner", "server");
        for name in ["service_down", "cpu_threshold_exceeded"] {
            for severity in Severity::ALL {
                estate.set_default(kind(name).unwrap(), severity, off());
            }
        }
        let files = render(&estate).unwrap();
        assert_eq!(files["rules/service_down.yml"], EMPTY);
        let cpu = &files["rules/cpu_threshold_exceeded.yml"];
        assert!(cpu.contains("record:") && !cpu.contains("alert:"));
    }

    #[test]
    fn a_value_changes_the_revision_and_no_name() {
        let cpu = kind("cpu_threshold_exceeded").unwrap();
        let mut estate = Snapshot::new("owner", "server");
        let before = render(&estate).unwrap();
        estate.set_default(cpu, Severity::Warning, on(86.0, 300));
        let after = render(&estate).unwrap();
        let changed: Vec<_> = before
            .keys()
            .filter(|path| before[*path] != after[*path])
            .collect();
        assert_eq!(
            changed,
            ["rules/cpu_threshold_exceeded.yml", PUBLICATION_FILE]
        );
        assert_ne!(revision(&before), revision(&after));
        let blind = |files: &BTreeMap<String, String>| files[&path(cpu)].replace("> 85", "> 86");
        assert_eq!(blind(&before), blind(&after));
    }

    #[test]
    fn a_value_that_is_missing_is_the_catalogues() {
        let cpu = kind("cpu_threshold_exceeded").unwrap();
        let mut estate = Snapshot::new("owner", "server");
        let critical = Setting {
            value: None,
            hold: 60,
            enabled: true,
        };
        estate.set_default(cpu, Severity::Critical, critical);
        assert!(render(&estate).unwrap()[&path(cpu)].contains("> 95)"));
    }

    #[test]
    #[ignore = "a measurement: cargo test --release prometheus::rules -- --ignored --nocapture"]
    fn measure() {
        for servers in [10_000_u32, 100_000] {
            let mut estate = Snapshot::new("owner", "server");
            for n in 0..servers / 10 {
                for kind in KINDS.iter().take(3) {
                    let setting = on(f64::from(50 + n % 10), 60 * (1 + n % 3));
                    estate.set_owner(kind, Severity::Warning, &n.to_string(), setting);
                }
            }
            for n in 0..servers {
                let (owner, server) = ((n / 10).to_string(), n.to_string());
                let setting = on(f64::from(60 + n % 20), 300);
                estate.set_server(&KINDS[1], Severity::Warning, &owner, &server, setting);
                estate.set_server(
                    &KINDS[2],
                    Severity::Warning,
                    &owner,
                    &(n % 10).to_string(),
                    setting,
                );
                estate.shared_server_ids.insert((n % 10).to_string());
            }
            let start = std::time::Instant::now();
            let files = render(&estate).unwrap();
            let bytes: usize = files.values().map(String::len).sum();
            println!("{servers} servers: {:?}, {bytes} bytes", start.elapsed());
        }
    }
}
