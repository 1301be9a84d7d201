//! A rule kind as an admin types it, and the check of it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::OwnKind;
use crate::catalogue::{self, Setting, promql};
use crate::error::{Fields, Result};
use crate::store::owners::check_line;
use crate::store::thresholds::{format_duration, parse_duration};

/// The longest hold, seconds: a week.
const LONGEST_HOLD: u32 = 7 * 24 * 3600;
/// Thresholds lie between this and its negative.
const LARGEST: f64 = 1e12;
/// What other files and alerts of ours are called.
const RESERVED: [&str; 2] = ["heartbeat", "prommgr"];

/// A kind as it is typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct KindInput {
    /// Of a new one.
    pub name: String,
    pub title: String,
    pub description: String,
    pub unit: String,
    /// `above` or `below`.
    pub direction: String,
    pub promql: String,
    pub min: String,
    pub max: String,
    pub summary: String,
    pub warning_value: String,
    pub warning_hold: String,
    /// A checkbox: present or not.
    pub warning_enabled: Option<String>,
    pub critical_value: String,
    pub critical_hold: String,
    /// A checkbox: present or not.
    pub critical_enabled: Option<String>,
}

/// A kind's fields, checked. Whether Prometheus takes its PromQL is not known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewKind {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) unit: String,
    pub(super) direction: &'static str,
    pub(super) promql: String,
    pub(super) needs: String,
    pub(super) least: f64,
    pub(super) most: f64,
    pub(super) summary: String,
    pub(super) warning: Setting,
    pub(super) critical: Setting,
}

impl NewKind {
    /// What Prometheus is to record.
    pub fn promql(&self) -> &str {
        &self.promql
    }

    /// What the audit keeps of it.
    pub(super) fn fields(&self) -> Value {
        let in_words = |setting: Setting| {
            let on = if setting.enabled { "on" } else { "off" };
            format!("{} for {}, {on}", setting.value.unwrap_or_default(), format_duration(setting.hold))
        };
        json!({
            "title": self.title, "description": self.description, "unit": self.unit, "direction": self.direction,
            "promql": self.promql, "min": self.least, "max": self.most, "summary": self.summary,
            "warning": in_words(self.warning), "critical": in_words(self.critical),
        })
    }
}

impl KindInput {
    /// As a kind is now.
    pub fn of(kind: &OwnKind) -> Self {
        let on = |enabled: bool| enabled.then(|| "true".to_owned());
        Self {
            name: kind.name.clone(),
            title: kind.title.clone(),
            description: kind.description.clone(),
            unit: kind.unit.clone(),
            direction: kind.direction.clone(),
            promql: kind.promql.clone(),
            min: kind.least.to_string(),
            max: kind.most.to_string(),
            summary: kind.summary.clone(),
            warning_value: kind.warning_value.to_string(),
            warning_hold: format_duration(kind.warning_hold_seconds.unsigned_abs()),
            warning_enabled: on(kind.warning_enabled),
            critical_value: kind.critical_value.to_string(),
            critical_hold: format_duration(kind.critical_hold_seconds.unsigned_abs()),
            critical_enabled: on(kind.critical_enabled),
        }
    }

    /// Checks every field; `labels` are the owner's and the server's, which its PromQL must keep.
    pub fn check(&self, labels: [&str; 2]) -> Result<NewKind> {
        let mut fields = Fields::default();
        let name = check_name(&self.name, &mut fields);
        let title = check_line(&self.title, 60, &mut fields, "title");
        let description = self.description.trim().to_owned();
        if description.is_empty() || description.chars().count() > 300 || !is_line(&description) {
            fields.add("description", "One sentence of at most 300 characters.");
        } else if description.contains("{{") {
            fields.add("description", "It is no template: leave {{ out.");
        }
        let unit = self.unit.trim().to_owned();
        if unit.chars().count() > 20 || !is_line(&unit) {
            fields.add("unit", "At most 20 characters, such as %, s or per core.");
        }
        let direction = match self.direction.as_str() {
            "above" => "above",
            "below" => "below",
            _ => {
                fields.add("direction", "Choose which side is too much.");
                "above"
            }
        };
        let promql = self.promql.trim().replace("\r\n", "\n");
        let needs = match promql::metrics(&promql, labels) {
            Ok(metrics) => metrics.join("|"),
            Err(why) => {
                fields.add("promql", why);
                String::new()
            }
        };
        let (least, most) = (number(&self.min), number(&self.max));
        if least.is_none() {
            fields.add("min", "A number.");
        }
        if most.is_none_or(|most| least.is_some_and(|least| least >= most)) {
            fields.add("max", "A number, more than the least.");
        }
        let (least, most) = (least.unwrap_or(-LARGEST), most.unwrap_or(LARGEST));
        let mut setting =
            |[value_field, hold_field]: [&'static str; 2], value: &str, hold: &str, on: bool| {
                let value = number(value).filter(|value| (least..=most).contains(value));
                if value.is_none() {
                    fields.add(value_field, format!("A number from {least} to {most}."));
                }
                let hold = parse_duration(hold).filter(|hold| *hold <= LONGEST_HOLD);
                if hold.is_none() {
                    fields.add(hold_field, "A duration such as 90s, 5m or 1h30m, a week at the most.");
                }
                Setting { value: Some(value.unwrap_or(least)), hold: hold.unwrap_or_default(), enabled: on }
            };
        let warning = setting(
            ["warning_value", "warning_hold"],
            &self.warning_value,
            &self.warning_hold,
            self.warning_enabled.is_some(),
        );
        let critical = setting(
            ["critical_value", "critical_hold"],
            &self.critical_value,
            &self.critical_hold,
            self.critical_enabled.is_some(),
        );
        let summary = self.summary.trim().to_owned();
        if summary.is_empty() || summary.chars().count() > 300 || !is_line(&summary) || !is_template(&summary)
        {
            fields.add(
                "summary",
                "One line with {{ $value }}, {{ printf \"%.1f\" $value }} or {{ $labels.instance }} in it, and no other template.",
            );
        }
        fields.into_result()?;
        Ok(NewKind {
            name,
            title,
            description,
            unit,
            direction,
            promql,
            needs,
            least,
            most,
            summary,
            warning,
            critical,
        })
    }
}

/// What an alert and a file may be called, and none of ours is.
fn check_name(text: &str, fields: &mut Fields) -> String {
    let name = text.trim();
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let plain = (3..=60).contains(&name.len())
        && name.chars().all(letters)
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('_');
    if !plain {
        fields.add("name", "3 to 60 of a to z, 0 to 9 and _, a letter first and no _ last.");
    } else if catalogue::kind(name).is_some() || RESERVED.iter().any(|ours| name.starts_with(ours)) {
        fields.add("name", "prommgr has one of this name already.");
    }
    name.to_owned()
}

fn number(text: &str) -> Option<f64> {
    text.trim().replace(',', ".").parse().ok().filter(|number: &f64| number.abs() <= LARGEST)
}

fn is_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// Whether Prometheus can fill it in: a template that it cannot read stops the whole configuration.
fn is_template(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let Some((inner, after)) = after.split_once("}}") else { return false };
        let label = |name: &str| {
            !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let printed = |format: &str| {
            let digits = format.strip_prefix("\"%.").and_then(|rest| rest.strip_suffix("f\""));
            digits.is_some_and(|digits| digits.len() == 1 && digits.chars().all(|c| c.is_ascii_digit()))
        };
        let words: Vec<_> = inner.split_whitespace().collect();
        let known = match words.as_slice() {
            ["$value"] => true,
            ["printf", format, "$value"] => printed(format),
            [one] => one.strip_prefix("$labels.").is_some_and(label),
            _ => false,
        };
        if !known {
            return false;
        }
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_a_template_that_every_prometheus_reads() {
        for good in [
            "plain",
            "{{ $value }} at {{$labels.instance}}",
            "{{ printf \"%.1f\" $value }} of {{ $labels._a1 }}",
            "a } b { c }}",
        ] {
            assert!(is_template(good), "{good}");
        }
        for bad in [
            "{{",
            "{{ $value",
            "{{ }}",
            "{{ $labels.1 }}",
            "{{ $labels }}",
            "{{ query \"up\" }}",
            "{{ printf \"%s%s%s\" $value }}",
            "{{ printf \"%.9999f\" $value }}",
            "{{ range query \"up\" }}x{{ end }}",
            "{{ $value {{ $value }}",
        ] {
            assert!(!is_template(bad), "{bad}");
        }
    }

    #[test]
    fn a_name_is_an_alert_s_and_a_file_s() {
        let refused = |name: &str| {
            let mut fields = Fields::default();
            check_name(name, &mut fields);
            !fields.0.is_empty()
        };
        for good in ["apt_updates", "a1b", &"a".repeat(60)] {
            assert!(!refused(good), "{good}");
        }
        for bad in [
            "",
            "ab",
            "A_b",
            "1abc",
            "_abc",
            "abc_",
            "a-b",
            "a.b",
            "a/b",
            "../x",
            "abc\n",
            "äbc",
            "heartbeat",
            "prommgr_x",
            "service_down",
            &"a".repeat(61),
        ] {
            assert_eq!(refused(bad), bad != "abc\n", "{bad}");
        }
    }
}
