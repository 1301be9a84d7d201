//! One Alertmanager over HTTP: which alerts it has, and since when it runs.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::elements::Elements;
use super::fingerprint;
use super::interval::group_interval;
use crate::catalogue::{HEARTBEAT, HEARTBEAT_LABEL};
use crate::upstream::{Upstream, failure};

/// How long an answer with all alerts may take; 100,000 of them are some 80 MB.
const ALERTS_LIMIT: Duration = Duration::from_secs(120);
/// Alerts that are handed on together.
const BATCH: usize = 1000;

/// Why an Alertmanager did not say what it was asked, in words for people; `at` has no password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Alertmanager at {at} cannot be reached: {reason}")]
    Unreachable { at: Url, reason: String },
    #[error("Alertmanager at {at} wants a user and a password; put them into its URL")]
    Unauthorized { at: Url },
    #[error("Alertmanager at {at} answered {status}: {reason}")]
    Answer { at: Url, status: u16, reason: String },
}

/// What an Alertmanager says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// How long it has been running, by its own clock where it tells the time.
    pub age: Duration,
    /// The longest `group_interval` of its configuration: how long a resolution may wait until it is posted.
    pub group_interval: Duration,
}

/// Why an alert that fires is not notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suppressed {
    Silenced,
    Inhibited,
    /// By a time interval.
    Muted,
}

impl Suppressed {
    /// The word as it stands in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Silenced => "silenced",
            Self::Inhibited => "inhibited",
            Self::Muted => "muted",
        }
    }
}

/// An alert that Alertmanager has: it fires, notified or not.
#[derive(Debug)]
pub struct Alert {
    /// 16 hexadecimal digits.
    pub fingerprint: String,
    pub suppressed: Option<Suppressed>,
    raw: Box<RawValue>,
}

#[derive(Deserialize)]
struct Said {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    status: State,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct State {
    state: String,
    silenced_by: Vec<String>,
    inhibited_by: Vec<String>,
}

impl State {
    /// A silence is what people set, so it goes first. `mutedBy` came with 0.28; before, nothing told.
    fn suppressed(&self) -> Option<Suppressed> {
        match self.state.as_str() {
            "suppressed" if !self.silenced_by.is_empty() => Some(Suppressed::Silenced),
            "suppressed" if !self.inhibited_by.is_empty() => Some(Suppressed::Inhibited),
            "suppressed" => Some(Suppressed::Muted),
            _ => None,
        }
    }
}

/// An Alertmanager; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client(Upstream);

impl Client {
    /// An Alertmanager below `base`, whose path prefix and user are kept. Fails, in words, where TLS finds no
    /// root certificates, which `http` does not need.
    pub fn new(base: Url) -> Result<Self, String> {
        Upstream::new(base).map(Self)
    }

    /// The address to show and log, without user and password.
    pub fn at(&self) -> Url {
        self.0.at()
    }

    /// What it says of itself (`/api/v2/status`).
    pub async fn status(&self) -> Result<Status, Error> {
        #[derive(Deserialize)]
        struct Body {
            uptime: Timestamp,
            #[serde(default)]
            config: Config,
        }
        #[derive(Default, Deserialize)]
        struct Config {
            #[serde(default)]
            original: String,
        }
        let response = self.get("api/v2/status", &[], None).await?;
        let date = response.headers().get("date").and_then(|date| date.to_str().ok());
        let now = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|date| date.timestamp());
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        let body: Body =
            serde_json::from_slice(&bytes).map_err(|error| self.strange(status, &error.to_string()))?;
        let age = now.unwrap_or_else(Timestamp::now).duration_since(body.uptime);
        Ok(Status {
            age: age.try_into().unwrap_or_default(),
            group_interval: group_interval(&body.config.original),
        })
    }

    /// Asks for the alerts that carry a label.
    pub async fn alerts(&self, label: &str) -> Result<Alerts, Error> {
        let filter = format!("{label}!=\"\"");
        let response = self.get("api/v2/alerts", &[("filter", &filter)], Some(ALERTS_LIMIT)).await?;
        Ok(Alerts { client: self.clone(), response, elements: Elements::default(), ready: Vec::new() })
    }

    /// What the heartbeats that it has call their Prometheus.
    pub async fn heartbeats(&self) -> Result<Vec<String>, Error> {
        let filter = format!("alertname=\"{HEARTBEAT}\"");
        let response = self.get("api/v2/alerts", &[("filter", &filter)], None).await?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        let alerts: Vec<Said> =
            serde_json::from_slice(&bytes).map_err(|error| self.strange(status, &error.to_string()))?;
        Ok(alerts.into_iter().filter_map(|mut alert| alert.labels.remove(HEARTBEAT_LABEL)).collect())
    }

    async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        limit: Option<Duration>,
    ) -> Result<reqwest::Response, Error> {
        let request = self.0.http.get(self.0.url(path)).query(query);
        let request = match limit {
            Some(limit) => request.timeout(limit),
            None => request,
        };
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            reqwest::StatusCode::UNAUTHORIZED => Err(Error::Unauthorized { at: self.at() }),
            status => {
                let text = response.text().await.unwrap_or_default();
                Err(self.strange(status.as_u16(), text.trim()))
            }
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        Error::Unreachable { at: self.at(), reason: failure(error) }
    }

    fn strange(&self, status: u16, reason: &str) -> Error {
        // an error page of a proxy need not be shown in full
        Error::Answer { at: self.at(), status, reason: reason.chars().take(500).collect() }
    }
}

/// An answer that is read as it arrives.
pub struct Alerts {
    client: Client,
    response: reqwest::Response,
    elements: Elements,
    ready: Vec<Alert>,
}

impl Alerts {
    /// The next alerts; `None` says that those before were all. One whose labels are no texts is left out.
    pub async fn next(&mut self) -> Result<Option<Vec<Alert>>, Error> {
        let status = self.response.status().as_u16();
        while self.ready.len() < BATCH {
            let piece = self.response.chunk().await.map_err(|error| self.client.unreachable(&error))?;
            let Some(piece) = piece else { break };
            let ready = &mut self.ready;
            self.elements
                .feed(&piece, |element| ready.extend(alert(element)))
                .map_err(|malformed| self.client.strange(status, &malformed.to_string()))?;
        }
        if !self.ready.is_empty() {
            return Ok(Some(std::mem::take(&mut self.ready)));
        }
        if self.elements.is_whole() {
            return Ok(None);
        }
        Err(self.client.strange(status, "its list of alerts broke off"))
    }
}

/// The body of a delivery with these alerts, firing, so that the checks of the webhook hold for them.
pub fn as_body(alerts: &[&Alert]) -> String {
    let posted = alerts.iter().filter_map(|alert| {
        let mut alert: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(alert.raw.get()).ok()?;
        alert.insert("status".into(), "firing".into());
        // a guess of when it will have ended
        alert.remove("endsAt");
        Some(serde_json::Value::Object(alert))
    });
    serde_json::json!({ "alerts": posted.collect::<Vec<_>>() }).to_string()
}

fn alert(element: Vec<u8>) -> Option<Alert> {
    let raw = RawValue::from_string(String::from_utf8(element).ok()?).ok()?;
    let said: Said = serde_json::from_str(raw.get()).ok()?;
    let fingerprint = fingerprint::hex(fingerprint::of(&said.labels));
    Some(Alert { fingerprint, suppressed: said.status.suppressed(), raw })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_an_alert_is_quiet_is_told() {
        let of = |status: &str| {
            let text = format!(r#"{{"labels":{{"a":"b"}},"status":{status}}}"#);
            alert(text.into_bytes()).unwrap().suppressed
        };
        assert_eq!(of(r#"{"state":"active","silencedBy":[],"inhibitedBy":[]}"#), None);
        assert_eq!(of(r#"{"state":"unprocessed"}"#), None);
        assert_eq!(
            of(r#"{"state":"suppressed","silencedBy":["x"],"inhibitedBy":["y"]}"#),
            Some(Suppressed::Silenced)
        );
        assert_eq!(
            of(r#"{"state":"suppressed","silencedBy":[],"inhibitedBy":["y"]}"#),
            Some(Suppressed::Inhibited)
        );
        assert_eq!(of(r#"{"state":"suppressed","mutedBy":["night"]}"#), Some(Suppressed::Muted));
    }

    #[test]
    fn what_alertmanager_has_passes_the_checks_of_the_webhook() {
        let text = r#"{"annotations":{"summary":"x"},"endsAt":"2026-11-22T18:51:21.625Z","fingerprint":"3b9cc7894aaef3f3",
            "startsAt":"2026-11-22T18:46:21.625Z","status":{"state":"active"},"labels":{"alertname":"x","cloudnet_owner_id":"11","severity":"warning"}}"#;
        let alert = alert(text.as_bytes().to_vec()).unwrap();
        assert_eq!(alert.fingerprint, "3b9cc7894aaef3f3");
        let body = as_body(&[&alert]);
        let delivery = super::super::payload::parse(body.as_bytes(), Timestamp::now()).unwrap();
        assert_eq!((delivery.alerts.len(), delivery.bad.len()), (1, 0));
        assert_eq!(delivery.alerts[0].ends_at, None);
    }
}
