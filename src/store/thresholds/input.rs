//! A threshold as it is typed, the check of it, and how it reads.

use std::sync::Arc;

use serde::Deserialize;

use crate::catalogue::{Catalogue, RuleKind, Setting, Severity};
use crate::error::{Error, Fields, Result};

/// The longest hold, seconds: a week.
const LONGEST_HOLD: u32 = 7 * 24 * 3600;

/// A threshold as it is typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ThresholdInput {
    pub rule: String,
    pub severity: String,
    pub value: String,
    /// A duration as Prometheus writes it: `5m`, `1h30m`.
    pub hold: String,
    /// A checkbox: present or not.
    pub enabled: Option<String>,
}

/// A threshold, checked.
#[derive(Clone, Debug)]
pub struct NewThreshold {
    pub(super) kind: Arc<RuleKind>,
    pub(super) severity: Severity,
    pub(super) setting: Setting,
}

impl NewThreshold {
    /// The rule and severity that are meant.
    pub fn which(&self) -> (&Arc<RuleKind>, Severity) {
        (&self.kind, self.severity)
    }

    /// What applies then.
    pub fn setting(&self) -> Setting {
        self.setting
    }

    /// `High CPU use (warning) for Nordwind: above 85 % for 5m`.
    pub fn in_words(&self, whose: &str) -> String {
        format!("{} ({}) for {whose}: {}", self.kind.title, self.severity, in_words(&self.kind, self.setting))
    }
}

impl ThresholdInput {
    /// The kind in use and severity that are meant.
    pub fn which(&self, kinds: &Catalogue) -> Result<(Arc<RuleKind>, Severity)> {
        let mut fields = Fields::default();
        let kind = kinds.kind(&self.rule).cloned();
        if kind.is_none() {
            fields.add("rule", "There is no such rule kind.");
        }
        let severity = self.severity.parse();
        if severity.is_err() {
            fields.add("severity", "Choose warning or critical.");
        }
        match (kind, severity) {
            (Some(kind), Ok(severity)) => Ok((kind, severity)),
            _ => Err(Error::Invalid(fields)),
        }
    }

    /// Checks every field.
    pub fn check(&self, kinds: &Catalogue) -> Result<NewThreshold> {
        let (kind, severity) = self.which(kinds)?;
        let mut fields = Fields::default();
        let value = kind.bounds.and_then(|bounds| {
            let typed = self.value.trim().replace(',', ".").parse::<f64>().ok();
            if !typed.is_some_and(|value| bounds.contains(value)) {
                fields.add("value", format!("A number from {} to {}.", bounds.min, bounds.max));
            }
            typed
        });
        let hold = parse_duration(&self.hold).filter(|hold| *hold <= LONGEST_HOLD).unwrap_or_else(|| {
            fields.add("hold", "A duration such as 90s, 5m or 1h30m, a week at the most.");
            0
        });
        fields.into_result()?;
        Ok(NewThreshold { kind, severity, setting: Setting { value, hold, enabled: self.enabled.is_some() } })
    }
}

/// Seconds of a duration as Prometheus writes it (units d, h, m, s, each at most once, in this order).
pub fn parse_duration(text: &str) -> Option<u32> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(0);
    }
    let (mut total, mut last) = (0u32, u32::MAX);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u32 = rest[..digits].parse().ok()?;
        let unit = match &rest[digits..].chars().next()? {
            'd' => 86_400,
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        if unit >= last {
            return None;
        }
        last = unit;
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (last != u32::MAX).then_some(total)
}

/// Seconds as Prometheus writes a duration: `5m`, `1h30m`, `0s`.
pub fn format_duration(seconds: u32) -> String {
    let mut text = String::new();
    let mut rest = seconds;
    for (unit, name) in [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')] {
        if rest >= unit {
            text.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// `above 90 % for 5m`, `for 1m`, `off`.
pub fn in_words(kind: &RuleKind, setting: Setting) -> String {
    if !setting.enabled {
        return "off".into();
    }
    let hold = format!("for {}", format_duration(setting.hold));
    let limit = limit_in_words(kind, setting);
    if limit.is_empty() { hold } else { format!("{limit} {hold}") }
}

/// `above 90 %`; empty for a kind without a value.
pub fn limit_in_words(kind: &RuleKind, setting: Setting) -> String {
    setting.value.map(|value| format!("{} {value} {}", kind.direction.word(), kind.unit)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_prometheus_s() {
        for (text, seconds) in
            [("5m", 300), ("1h30m", 5400), ("90s", 90), ("0", 0), ("0s", 0), ("1d2h", 93_600)]
        {
            assert_eq!(parse_duration(text), Some(seconds), "{text}");
        }
        for text in ["", "5", "m", "5m5m", "5s5m", "-1m", "1.5h", "9999999999d", "5 m"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        for seconds in [0, 1, 60, 90, 3600, 5400, 93_600] {
            assert_eq!(parse_duration(&format_duration(seconds)), Some(seconds));
        }
    }
}
