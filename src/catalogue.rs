//! The rule kinds prommgr knows: what can be too much, how Prometheus computes it, and what
//! applies when nobody has said otherwise. Pure data; every room may read it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The alert that always fires, which every publication brings; it belongs to nobody and is no episode.
pub const HEARTBEAT: &str = "prommgr_heartbeat";
/// The label of the heartbeat that says which Prometheus it is of, by its external URL.
pub const HEARTBEAT_LABEL: &str = "prometheus";

/// How bad an alert is; `Warning < Critical`. Its text is the alert's `severity` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    #[default]
    Warning,
    Critical,
}

impl Severity {
    /// Both severities, the milder first.
    pub const ALL: [Self; 2] = [Self::Warning, Self::Critical];

    /// The word as it stands in labels, forms and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The answer to a word that is no severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be warning or critical")]
pub struct UnknownSeverity;

impl FromStr for Severity {
    type Err = UnknownSeverity;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == word).ok_or(UnknownSeverity)
    }
}

/// When a kind and severity fires: beyond `value` (in the kind's unit) for `hold` seconds.
/// A kind without a value ignores `value`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    pub value: Option<f64>,
    pub hold: u32,
    pub enabled: bool,
}

/// Which side of the threshold is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// More than the threshold fires.
    Above,
    /// Less than the threshold fires.
    Below,
    /// Zero fires; there is no threshold.
    Zero,
}

impl Direction {
    /// The PromQL comparison.
    pub const fn operator(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::Below => "<",
            Self::Zero => "==",
        }
    }

    /// The comparison as people say it; empty where there is no threshold.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
            Self::Zero => "",
        }
    }
}

/// What a form accepts as a kind's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    pub min: f64,
    pub max: f64,
    pub step: f64,
}

impl Bounds {
    /// Whether the value is a number within both ends.
    pub fn contains(&self, value: f64) -> bool {
        (self.min..=self.max).contains(&value)
    }
}

/// A further number of a kind, the same for everyone; `$name` in the kind's PromQL.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameter {
    pub name: &'static str,
    pub title: &'static str,
    pub unit: &'static str,
    pub value: f64,
}

/// A thing that can be too much.
#[derive(Debug, PartialEq)]
pub struct RuleKind {
    /// The alert's name and the file's; never changes.
    pub name: &'static str,
    pub title: &'static str,
    /// One sentence for people.
    pub description: &'static str,
    /// A label beside the number such as `%`; empty where there is no value.
    pub unit: &'static str,
    pub direction: Direction,
    /// The series that alerts compare and charts draw; it carries the target's own labels.
    pub series: &'static str,
    /// PromQL that Prometheus records as `series`; `None` where the series exists anyway.
    pub recording: Option<&'static str>,
    /// Seconds between recordings; `None` for Prometheus' own interval.
    pub interval: Option<u32>,
    /// `None` where there is no value.
    pub bounds: Option<Bounds>,
    pub parameters: &'static [Parameter],
    /// The alert's `summary` annotation, a Prometheus template.
    pub summary: &'static str,
    pub warning: Setting,
    pub critical: Setting,
}

impl RuleKind {
    /// What applies when nobody has set anything.
    pub const fn default_setting(&self, severity: Severity) -> Setting {
        match severity {
            Severity::Warning => self.warning,
            Severity::Critical => self.critical,
        }
    }

    /// The PromQL to record, its parameters filled in.
    pub fn recorded(&self) -> Option<String> {
        let expr = self.recording?.to_owned();
        Some(self.parameters.iter().fold(expr, |expr, parameter| {
            expr.replace(&format!("${}", parameter.name), &parameter.value.to_string())
        }))
    }
}

/// The kind of that name.
pub fn kind(name: &str) -> Option<&'static RuleKind> {
    KINDS.iter().find(|kind| kind.name == name)
}

const fn on(value: Option<f64>, hold: u32) -> Setting {
    Setting { value, hold, enabled: true }
}

const fn off(value: Option<f64>, hold: u32) -> Setting {
    Setting { value, hold, enabled: false }
}

const PERCENT: Bounds = Bounds { min: 1.0, max: 100.0, step: 1.0 };

/// Every kind, in the order in which pages list them.
pub static KINDS: [RuleKind; 5] = [
    RuleKind {
        name: "service_down",
        title: "Down",
        description: "Prometheus cannot read the server's metrics.",
        unit: "",
        direction: Direction::Zero,
        series: "up",
        recording: None,
        interval: None,
        bounds: None,
        parameters: &[],
        summary: "Instance {{ $labels.instance }} is down",
        warning: off(None, 60),
        critical: on(None, 60),
    },
    RuleKind {
        name: "cpu_threshold_exceeded",
        title: "High CPU use",
        description: "The share of CPU time that was not idle over the last five minutes, \
                      over all cores.",
        unit: "%",
        direction: Direction::Above,
        series: "prommgr:cpu_used:percent",
        recording: Some(
            r#"100 * (1 - avg without (cpu, mode) (rate(node_cpu_seconds_total{mode="idle"}[5m])))"#,
        ),
        interval: None,
        bounds: Some(PERCENT),
        parameters: &[],
        summary: "CPU of {{ $labels.instance }} is at {{ printf \"%.0f\" $value }} %",
        warning: on(Some(85.0), 300),
        critical: off(Some(95.0), 600),
    },
    RuleKind {
        name: "load_threshold_exceeded",
        title: "High load",
        description: "The load average of the last five minutes, divided by the number of CPU \
                      cores.",
        unit: "per core",
        direction: Direction::Above,
        series: "prommgr:load5:per_core",
        recording: Some(r#"node_load5 / count without (cpu, mode) (node_cpu_seconds_total{mode="idle"})"#),
        interval: None,
        bounds: Some(Bounds { min: 0.1, max: 100.0, step: 0.1 }),
        parameters: &[],
        summary: "Load of {{ $labels.instance }} is {{ printf \"%.2f\" $value }} per core",
        warning: on(Some(2.0), 600),
        critical: off(Some(4.0), 600),
    },
    RuleKind {
        name: "mem_threshold_exceeded",
        title: "High memory use",
        description: "The share of memory that programs could not get without swapping, as the \
                      kernel estimates it.",
        unit: "%",
        direction: Direction::Above,
        series: "prommgr:mem_used:percent",
        recording: Some("100 * (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)"),
        interval: None,
        bounds: Some(PERCENT),
        parameters: &[],
        summary: "Memory of {{ $labels.instance }} is {{ printf \"%.0f\" $value }} % used",
        warning: on(Some(90.0), 300),
        critical: off(Some(97.0), 300),
    },
    RuleKind {
        name: "disk_will_fill_up",
        title: "Disk fills up",
        description: "The hours until a filesystem is full, if it goes on as in the last three \
                      hours; only where it is filling and more than 60 % full.",
        unit: "h",
        direction: Direction::Below,
        series: "prommgr:disk_left:hours",
        // tmpfs and images are full or empty by design, and a network share belongs to another
        // machine. The division keeps to what the derivative selects.
        recording: Some(concat!(
            "node_filesystem_avail_bytes / -(deriv(node_filesystem_avail_bytes",
            r#"{fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660|udf|erofs|nfs.*|cifs|smb.*|fuse.*"}"#,
            "[3h]) < 0) / 3600",
            " and 100 * node_filesystem_avail_bytes / node_filesystem_size_bytes < $max_free",
            " and node_filesystem_readonly == 0",
        )),
        // Three hours of samples of every filesystem are too much to read at every scrape.
        interval: Some(60),
        bounds: Some(Bounds { min: 0.5, max: 720.0, step: 0.5 }),
        parameters: &[Parameter {
            name: "max_free",
            title: "Only where less than this is free",
            unit: "%",
            value: 40.0,
        }],
        summary: "Disk {{ $labels.mountpoint }} of {{ $labels.instance }} is full in about \
                  {{ printf \"%.1f\" $value }} hours",
        warning: off(Some(24.0), 600),
        critical: on(Some(4.0), 600),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_ordered_and_read_back() {
        assert!(Severity::Warning < Severity::Critical);
        for severity in Severity::ALL {
            assert_eq!(severity.to_string().parse(), Ok(severity));
        }
        assert_eq!("Warning".parse::<Severity>(), Err(UnknownSeverity));
    }

    #[test]
    fn each_kind_is_found_and_enables_one_severity_within_its_bounds() {
        for entry in &KINDS {
            assert_eq!(kind(entry.name), Some(entry));
            let settings = Severity::ALL.map(|severity| entry.default_setting(severity));
            assert_eq!(settings.iter().filter(|setting| setting.enabled).count(), 1);
            for setting in settings {
                assert_eq!(setting.value.is_some(), entry.bounds.is_some());
                let inside = |bounds: Bounds| setting.value.is_some_and(|v| bounds.contains(v));
                assert!(entry.bounds.is_none_or(inside), "{}", entry.name);
            }
            assert!(!entry.recorded().is_some_and(|expr| expr.contains('$')));
        }
        assert_eq!(kind("nonsense"), None);
    }
}
