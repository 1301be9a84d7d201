//! The rules as files: golden copies, judged by promtool where it is installed.

use super::*;
use crate::catalogue::{Setting, kind};
use std::path::Path;
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn on(value: f64, hold: u32) -> Setting {
    Setting { value: Some(value), hold, enabled: true }
}

fn off() -> Setting {
    Setting { value: None, hold: 60, enabled: false }
}

/// The estate of `prom/tests`: owner 11 has a threshold of its own, 12 has disabled, 13
/// and 14 share the server id 1 and have no threshold of their own, 15 has odd ids.
fn estate() -> Snapshot {
    let mut estate = Snapshot::new("cloudnet_owner_id", "cloudnet_server_id");
    estate.shared_server_ids.insert("1".to_owned());
    // By kind: the owner's threshold, one server's, and a shared server's with another hold.
    for (name, severity, owner, server, shared) in [
        ("service_down", Severity::Critical, on(0.0, 300), on(0.0, 0), on(0.0, 600)),
        ("cpu_threshold_exceeded", Severity::Warning, on(95.0, 300), on(50.0, 300), on(60.0, 900)),
        ("load_threshold_exceeded", Severity::Warning, on(3.0, 600), on(1.5, 600), on(0.7, 900)),
        ("mem_threshold_exceeded", Severity::Warning, on(95.0, 300), on(50.0, 300), on(60.0, 900)),
        ("swap_threshold_exceeded", Severity::Warning, on(95.0, 600), on(50.0, 600), on(60.0, 900)),
        ("disk_will_fill_up", Severity::Critical, on(2.0, 600), on(12.0, 600), on(8.0, 900)),
        ("disk_threshold_exceeded", Severity::Warning, on(99.0, 1800), on(80.0, 1800), on(85.0, 900)),
        ("inodes_threshold_exceeded", Severity::Warning, on(99.0, 1800), on(80.0, 1800), on(85.0, 900)),
        ("filesystem_readonly", Severity::Critical, on(0.0, 300), on(0.0, 0), on(0.0, 600)),
        ("network_errors_exceeded", Severity::Warning, on(5.0, 3600), on(0.5, 3600), on(2.0, 900)),
        ("clock_skewed", Severity::Warning, on(120.0, 600), on(5.0, 600), on(10.0, 900)),
        ("systemd_unit_failed", Severity::Warning, on(0.0, 300), on(0.0, 0), on(0.0, 600)),
        ("server_rebooted", Severity::Warning, on(30.0, 0), on(60.0, 0), on(10.0, 300)),
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
    estate.set_owner(cpu, Severity::Warning, "16 \"\\\n{{ é\u{2028}", on(20.0, 300));
    estate.set_owner(cpu, Severity::Critical, "11", on(99.0, 60));
    estate
}

fn golden(path: &str, content: &str) {
    let path = Path::new(ROOT).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, content).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == content, "{} differs; set UPDATE_GOLDEN=1", path.display());
}

fn promtool(arguments: &[&str], folder: &str, extension: &str) {
    let mut files: Vec<_> = std::fs::read_dir(Path::new(ROOT).join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    match Command::new("promtool").args(arguments).args(files).output() {
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
    promtool(&["check", "rules", "--lint=none"], "prom/tests/rules", "yml");
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
    let changed: Vec<_> = before.keys().filter(|path| before[*path] != after[*path]).collect();
    assert_eq!(changed, ["rules/cpu_threshold_exceeded.yml", PUBLICATION_FILE]);
    assert_ne!(revision(&before), revision(&after));
    let blind = |files: &BTreeMap<String, String>| files[&path(cpu)].replace("> 85", "> 86");
    assert_eq!(blind(&before), blind(&after));
}

#[test]
fn a_value_that_is_missing_is_the_catalogues() {
    let cpu = kind("cpu_threshold_exceeded").unwrap();
    let mut estate = Snapshot::new("owner", "server");
    let critical = Setting { value: None, hold: 60, enabled: true };
    estate.set_default(cpu, Severity::Critical, critical);
    assert!(render(&estate).unwrap()[&path(cpu)].contains("> 95)"));
}
