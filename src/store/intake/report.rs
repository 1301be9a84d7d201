//! What Alertmanager says of an alert, ready to be stored, and what became of it.

use std::collections::BTreeMap;
use std::io::Write;

use diesel::pg::Pg;
use diesel::serialize::{IsNull, Output, ToSql};
use diesel::sql_types::Jsonb;

use crate::store::episode::Times;

/// A JSON object as text, which goes to PostgreSQL as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&BTreeMap<String, String>> for Json {
    fn from(texts: &BTreeMap<String, String>) -> Self {
        // a map of texts can always be written
        Self(serde_json::to_string(texts).unwrap_or_else(|_| "{}".into()))
    }
}

impl ToSql<Jsonb, Pg> for Json {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> diesel::serialize::Result {
        // the version of jsonb's binary form
        out.write_all(&[1])?;
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

/// What Alertmanager says of one alert.
#[derive(Clone, Debug)]
pub struct Report {
    /// 16 hexadecimal digits.
    pub fingerprint: String,
    pub times: Times,
    pub rule: String,
    pub severity: String,
    pub instance: String,
    /// The owner label.
    pub owner: Option<String>,
    /// The server label.
    pub server: Option<String>,
    pub labels: Json,
    pub annotations: Json,
    pub generator_url: Option<String>,
}

impl Report {
    /// Writes it as Alertmanager does, so that it can be read again.
    pub fn to_json(&self) -> String {
        let (status, ends_at) = match self.times.ends_at {
            None => ("firing", "0001-01-01T00:00:00Z".to_owned()),
            Some(end) => ("resolved", end.to_string()),
        };
        format!(
            r#"{{"status":"{status}","labels":{},"annotations":{},"startsAt":"{}","endsAt":"{ends_at}","generatorURL":{}}}"#,
            self.labels.0,
            self.annotations.0,
            self.times.starts_at,
            serde_json::Value::from(self.generator_url.as_deref()),
        )
    }

    /// One that nobody sent, to see whether any can be stored.
    pub(super) fn probe(times: Times) -> Self {
        let nothing = || Json("{}".into());
        Self {
            fingerprint: "probe".into(),
            times,
            rule: String::new(),
            severity: String::new(),
            instance: String::new(),
            owner: None,
            server: None,
            labels: nothing(),
            annotations: nothing(),
            generator_url: None,
        }
    }
}

/// What could not be understood, or not be stored.
#[derive(Clone, Debug)]
pub struct Bad {
    pub reason: String,
    /// As it came.
    pub text: String,
    /// Whether that is only its beginning.
    pub truncated: bool,
}

/// What a delivery changed, in episodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    pub opened: usize,
    pub repeated: usize,
    pub closed: usize,
    /// Heard of only when it was over.
    pub inserted_closed: usize,
    /// Reports that say nothing new, late twins among them.
    pub ignored: usize,
    pub quarantined: usize,
    /// Of those ignored: they say firing what is known to have ended. A reconciliation tells.
    #[serde(skip)]
    pub late_twins: usize,
}

impl Outcome {
    /// For prommgr's own metrics.
    pub(super) fn count(&self) {
        for (outcome, alerts) in [
            ("opened", self.opened),
            ("repeated", self.repeated),
            ("closed", self.closed),
            ("inserted_closed", self.inserted_closed),
            ("ignored", self.ignored),
            ("quarantined", self.quarantined),
        ] {
            metrics::counter!("prommgr_intake_alerts_total", "outcome" => outcome).increment(alerts as u64);
        }
    }
}

impl std::ops::AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.opened += other.opened;
        self.repeated += other.repeated;
        self.closed += other.closed;
        self.inserted_closed += other.inserted_closed;
        self.ignored += other.ignored;
        self.quarantined += other.quarantined;
        self.late_twins += other.late_twins;
    }
}
