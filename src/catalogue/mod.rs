//! The rule kinds prommgr knows: what can be too much, how Prometheus computes it, and what
//! applies when nobody has said otherwise. Pure data; every room may read it. Whether a kind is on from the start
//! is decided by this: it must be worth somebody's time on any machine, and silent on one that is well.

mod all;
mod disk;
mod host;
pub mod promql;

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

pub use self::all::{Catalogue, kind};

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
    /// Anything but zero fires; there is no threshold.
    NonZero,
}

impl Direction {
    /// The PromQL comparison.
    pub const fn operator(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::Below => "<",
            Self::Zero => "==",
            Self::NonZero => "!=",
        }
    }

    /// The comparison as people say it; empty where there is no threshold.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
            Self::Zero | Self::NonZero => "",
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

/// Where a kind comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    BuiltIn,
    /// An admin made it.
    Own,
    /// An admin made it and took it out of use: nothing is published of it.
    Retired,
}

/// A thing that can be too much.
#[derive(Debug, PartialEq)]
pub struct RuleKind<T = String> {
    /// The alert's name and the file's; never changes.
    pub name: T,
    pub title: T,
    /// One sentence for people.
    pub description: T,
    /// A label beside the number such as `%`; empty where there is no value.
    pub unit: T,
    pub direction: Direction,
    /// The series that alerts compare and charts draw; it carries the target's own labels.
    pub series: T,
    /// PromQL that Prometheus records as `series`; `None` where the series exists anyway.
    pub recording: Option<T>,
    /// Metrics of `recording` that node_exporter before 0.16 called otherwise: the name now and then.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Metrics, by `|`, of which a server must have one, or the kind can never fire for it; empty: it always can.
    pub needs: T,
    /// Seconds between recordings; `None` for Prometheus' own interval.
    pub interval: Option<u32>,
    /// `None` where there is no value.
    pub bounds: Option<Bounds>,
    pub parameters: &'static [Parameter],
    /// The alert's `summary` annotation, a Prometheus template.
    pub summary: T,
    pub warning: Setting,
    pub critical: Setting,
    pub origin: Origin,
}

/// A kind as this program brings it.
type BuiltIn = RuleKind<&'static str>;

impl BuiltIn {
    fn built_in(&self) -> RuleKind {
        RuleKind {
            name: self.name.into(),
            title: self.title.into(),
            description: self.description.into(),
            unit: self.unit.into(),
            direction: self.direction,
            series: self.series.into(),
            recording: self.recording.map(str::to_owned),
            renamed: self.renamed,
            needs: self.needs.into(),
            interval: self.interval,
            bounds: self.bounds,
            parameters: self.parameters,
            summary: self.summary.into(),
            warning: self.warning,
            critical: self.critical,
            origin: self.origin,
        }
    }
}

impl RuleKind {
    /// What applies when nobody has set anything.
    pub fn default_setting(&self, severity: Severity) -> Setting {
        match severity {
            Severity::Warning => self.warning,
            Severity::Critical => self.critical,
        }
    }

    /// The PromQL to record, its parameters filled in, for both names of a metric that has two: each on its own, as
    /// one that nobody has costs nothing, and a server that has both counts once.
    pub fn recorded(&self) -> Option<String> {
        let expr = self.parameters.iter().fold(self.recording.clone()?, |expr, parameter| {
            expr.replace(&format!("${}", parameter.name), &parameter.value.to_string())
        });
        if self.renamed.is_empty() {
            return Some(expr);
        }
        let old = self.renamed.iter().fold(expr.clone(), |old, (now, then)| old.replace(now, then));
        Some(format!("{expr} or {old}"))
    }

    /// The metrics of which a server must have one.
    pub fn needed(&self) -> impl Iterator<Item = &str> {
        self.needs.split('|').filter(|name| !name.is_empty())
    }
}

const fn on(value: Option<f64>, hold: u32) -> Setting {
    Setting { value, hold, enabled: true }
}

const fn off(value: Option<f64>, hold: u32) -> Setting {
    Setting { value, hold, enabled: false }
}

const PERCENT: Bounds = Bounds { min: 1.0, max: 100.0, step: 1.0 };

/// Those that are built in, in the order in which pages list them.
static KINDS: [BuiltIn; 13] = [
    host::SERVICE_DOWN,
    host::CPU,
    host::LOAD,
    host::MEMORY,
    host::SWAP,
    disk::DISK_FILLS,
    disk::DISK,
    disk::INODES,
    disk::READ_ONLY,
    disk::NETWORK,
    host::CLOCK,
    host::UNIT_FAILED,
    host::REBOOT,
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
    fn each_kind_is_found_and_enables_one_severity_at_the_most_within_its_bounds() {
        for entry in Catalogue::built_in().iter() {
            assert_eq!(kind(&entry.name), Some(&**entry));
            let settings = Severity::ALL.map(|severity| entry.default_setting(severity));
            assert!(settings.iter().filter(|setting| setting.enabled).count() < 2);
            for setting in settings {
                assert_eq!(setting.value.is_some(), entry.bounds.is_some());
                let inside = |bounds: Bounds| setting.value.is_some_and(|v| bounds.contains(v));
                assert!(entry.bounds.is_none_or(inside), "{}", entry.name);
            }
            let recorded = entry.recorded().unwrap_or_default();
            assert!(!recorded.contains('$'));
            for name in entry.needed() {
                assert!(recorded.contains(name), "{}: {name}", entry.name);
            }
            for (now, then) in entry.renamed {
                assert!(recorded.contains(now) && recorded.contains(then), "{}: {now}", entry.name);
            }
        }
        assert_eq!(kind("nonsense"), None);
    }
}
