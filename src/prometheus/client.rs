//! One Prometheus over HTTP: reload it, and ask what it has in force and what it sees.

mod seen;

use super::rules::{HEARTBEAT, HEARTBEAT_LABEL, PUBLICATION_SERIES};
use crate::upstream::{Upstream, failure};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::time::Duration;
use url::Url;

// A reload answers when all rules are loaded, which takes seconds on a large Prometheus.
const RELOAD_LIMIT: Duration = Duration::from_secs(60);
// An error page of a proxy need not be shown in full.
const MOST_REASON: usize = 500;
// Values of many servers over a long time are asked for in parts.
const MOST_BYTES: usize = 32 << 20;

/// Why a Prometheus did not do what it was asked, in words for people; `at` has no password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Prometheus at {at} cannot be reached: {reason}")]
    Unreachable { at: Url, reason: String },
    #[error("Prometheus at {at} does not accept reloads; start it with --web.enable-lifecycle")]
    NoLifecycle { at: Url },
    #[error("Prometheus at {at} wants a user and a password; put them into its URL")]
    Unauthorized { at: Url },
    #[error("Prometheus at {at} refused the configuration: {reason}")]
    Refused { at: Url, reason: String },
    #[error("Prometheus at {at} answered {status}: {reason}")]
    Answer { at: Url, status: u16, reason: String },
    #[error("Prometheus at {at} answered with more than can be taken in")]
    TooMuch { at: Url },
    #[error("no connection can be prepared: {0}")]
    Setup(String),
    #[error("too much is asked of Prometheus just now")]
    Busy,
}

/// The labels of a series and its value now.
pub type Sample = (BTreeMap<String, String>, f64);

/// A target's address, and the external ids of its owner and server.
pub type Scrapes = (String, String, String);

/// A value and its time, in seconds since 1970.
pub type Point = (f64, f64);

/// A group of rules as Prometheus has it in force.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Group {
    pub name: String,
    /// The path as Prometheus sees it, which need not be ours.
    pub file: String,
    pub rules: Vec<Rule>,
}

/// A rule in force.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Rule {
    pub name: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// `ok`, `err`, or `unknown` before the first evaluation.
    #[serde(default)]
    pub health: String,
    /// Why the last evaluation failed; empty when it did not.
    #[serde(default, rename = "lastError")]
    pub last_error: String,
}

/// What a Prometheus says of its own part of the way that alerts take.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sending {
    /// What its heartbeat calls it, its external URL; `None`: the heartbeat does not fire there.
    pub heartbeat: Option<String>,
    /// Alertmanagers that it sends to.
    pub alertmanagers: usize,
    /// Alerts that it could not send in the last five minutes; 0 also where it does not scrape itself.
    pub dropped: f64,
}

/// A Prometheus; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client(Upstream);

impl Client {
    /// A Prometheus below `base`, whose path prefix and user are kept. Fails where TLS finds no
    /// root certificates, which `http` does not need.
    pub fn new(base: Url) -> Result<Self, Error> {
        Upstream::new(base).map(Self).map_err(Error::Setup)
    }

    /// The address to show and log, without user and password.
    pub fn at(&self) -> Url {
        self.0.at()
    }

    /// Has Prometheus read its files again; waits until it has. [`Error::Refused`] leaves what
    /// was in force before. Needs `--web.enable-lifecycle`.
    pub async fn reload(&self) -> Result<(), Error> {
        let request = self.0.http.post(self.0.url("-/reload")).timeout(RELOAD_LIMIT);
        match self.send(request).await {
            Ok(_) => Ok(()),
            Err(Error::Answer { at, status: 403, .. }) => Err(Error::NoLifecycle { at }),
            Err(Error::Answer { at, status: 500, reason }) => {
                let short = reason.strip_prefix("failed to reload config: ").unwrap_or(&reason);
                // Of a bad rule, Prometheus tells the reason to its log only.
                let more = match short.starts_with("one or more errors") {
                    true => "; its log says which",
                    false => "",
                };
                Err(Error::Refused { at, reason: format!("{short}{more}") })
            }
            Err(error) => Err(error),
        }
    }

    /// The revision of the rules in force; `None` where none of ours are.
    pub async fn revision_in_force(&self) -> Result<Option<String>, Error> {
        let rules = self.groups(&[("type", "record")]).await?.into_iter().flat_map(|group| group.rules);
        let mut ours = rules.filter(|rule| rule.name == PUBLICATION_SERIES);
        Ok(ours.find_map(|mut rule| rule.labels.remove("revision")))
    }

    /// All rules in force by group, with the error of each that cannot be evaluated.
    pub async fn rules(&self) -> Result<Vec<Group>, Error> {
        self.groups(&[]).await
    }

    /// The series of an instant query now. A number alone is a sample without labels.
    pub async fn query(&self, promql: &str) -> Result<Vec<Sample>, Error> {
        // As a form, since a query may be longer than a URL.
        self.vector(self.0.http.post(self.0.url("api/v1/query")).form(&[("query", promql)])).await
    }

    /// As [`Self::query`], where an answer may take `limit`, after which Prometheus stops, too.
    pub async fn query_within(&self, promql: &str, limit: Duration) -> Result<Vec<Sample>, Error> {
        let form = [("query", promql.to_owned()), ("timeout", format!("{}s", limit.as_secs()))];
        self.vector(self.0.http.post(self.0.url("api/v1/query")).form(&form).timeout(limit)).await
    }

    async fn vector(&self, request: reqwest::RequestBuilder) -> Result<Vec<Sample>, Error> {
        Ok(match self.data(request).await? {
            Answer::Vector(series) => {
                series.into_iter().map(|series| (series.metric, number(&series.value.1))).collect()
            }
            Answer::Scalar((_, value)) => vec![(BTreeMap::new(), number(&value))],
            Answer::Matrix(_) | Answer::String(_) => Vec::new(),
        })
    }

    /// The first series of a range query, a point each `step` seconds where there is a number. An answer may take
    /// `limit`, after which Prometheus stops, too.
    pub async fn range(
        &self,
        promql: &str,
        from: Timestamp,
        to: Timestamp,
        step: i64,
        limit: Duration,
    ) -> Result<Vec<Point>, Error> {
        let first = self.ranges(promql, from, to, step, limit).await?.into_iter().next();
        let points = first.map(|(_, points)| points).unwrap_or_default();
        Ok(points.into_iter().filter(|(_, value)| value.is_finite()).collect())
    }

    /// Every series of a range query with its labels, as [`Self::range`], but with numbers that are not finite. An answer
    /// above 32 MB is an error.
    pub async fn ranges(
        &self,
        promql: &str,
        from: Timestamp,
        to: Timestamp,
        step: i64,
        limit: Duration,
    ) -> Result<Vec<(BTreeMap<String, String>, Vec<Point>)>, Error> {
        let form = [
            ("query", promql.to_owned()),
            ("start", from.as_second().to_string()),
            ("end", to.as_second().to_string()),
            ("step", step.to_string()),
            ("timeout", format!("{}ms", limit.as_millis())),
        ];
        let request = self.0.http.post(self.0.url("api/v1/query_range")).form(&form).timeout(limit);
        let Answer::Matrix(series) = self.data_within(request, MOST_BYTES).await? else {
            return Ok(Vec::new());
        };
        let points =
            |values: Vec<(f64, Number)>| values.into_iter().map(|(at, value)| (at, value.0)).collect();
        Ok(series.into_iter().map(|series| (series.metric, points(series.values))).collect())
    }

    /// Whether the servers answer, by owner's and server's `external_id`: of all that is
    /// scraped of a server, everything must. A server that is not scraped is absent.
    pub async fn up(
        &self,
        owner_label: &str,
        server_label: &str,
    ) -> Result<BTreeMap<(String, String), bool>, Error> {
        let query = format!(
            "min by ({owner_label}, {server_label}) (up{{{owner_label}!=\"\",{server_label}!=\"\"}})"
        );
        let pair = |(mut labels, value): Sample| {
            Some(((labels.remove(owner_label)?, labels.remove(server_label)?), value > 0.0))
        };
        Ok(self.query(&query).await?.into_iter().filter_map(pair).collect())
    }

    /// What it says of the way of its alerts to Alertmanager.
    pub async fn sending(&self) -> Result<Sending, Error> {
        let fires = format!("ALERTS{{alertname=\"{HEARTBEAT}\",alertstate=\"firing\"}}");
        let series = self.query(&fires).await?;
        let heartbeat = series.into_iter().find_map(|(mut labels, _)| labels.remove(HEARTBEAT_LABEL));
        let known: Alertmanagers = self.data(self.0.http.get(self.0.url("api/v1/alertmanagers"))).await?;
        let dropped = "sum(increase(prometheus_notifications_dropped_total[5m]))";
        let dropped = self.query(dropped).await?.first().map_or(0.0, |(_, dropped)| dropped.max(0.0));
        Ok(Sending { heartbeat, alertmanagers: known.active.len(), dropped })
    }

    async fn groups(&self, filter: &[(&str, &str)]) -> Result<Vec<Group>, Error> {
        let request = self.0.http.get(self.0.url("api/v1/rules")).query(filter);
        Ok(self.data::<Groups>(request).await?.groups)
    }

    async fn data<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, Error> {
        self.data_within(request, usize::MAX).await
    }

    async fn data_within<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
        most: usize,
    ) -> Result<T, Error> {
        let mut response = self.send(request).await?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > most {
                return Err(Error::TooMuch { at: self.at() });
            }
        }
        serde_json::from_slice::<Envelope<T>>(&bytes).map(|envelope| envelope.data).map_err(|error| {
            Error::Answer { at: self.at(), status, reason: format!("not as Prometheus does: {error}") }
        })
    }

    /// Sends, and makes an error of any answer but success.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Error> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let (at, status) = (self.at(), response.status());
        if status.is_success() {
            return Ok(response);
        }
        if status == reqwest::StatusCode::UNAUTHORIZED {
            return Err(Error::Unauthorized { at });
        }
        let text = response.text().await.unwrap_or_default();
        let told = serde_json::from_str::<Told>(&text).map_or(text, |told| told.error);
        let reason = told.trim().chars().take(MOST_REASON).collect();
        Err(Error::Answer { at, status: status.as_u16(), reason })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        Error::Unreachable { at: self.at(), reason: failure(error) }
    }
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct Told {
    error: String,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Alertmanagers {
    #[serde(rename = "activeAlertmanagers")]
    active: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Answer {
    Vector(Vec<Series>),
    Scalar((f64, String)),
    Matrix(Vec<Range>),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    values: Vec<(f64, Number)>,
}

/// A number as Prometheus writes it, read without keeping its text: there may be a million.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Number;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a number as text")
            }
            fn visit_str<E>(self, text: &str) -> Result<Number, E> {
                Ok(Number(number(text)))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Prometheus writes numbers as text, `+Inf` and `NaN` among them.
fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base: &str) -> Client {
        Client::new(base.parse().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_closed_port_is_said_so() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = client(&format!("http://u:secret@{address}")).reload().await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("cannot be reached: Connection refused"), "{text}");
        assert!(text.contains(&address.to_string()) && !text.contains("secret"), "{text}");
    }

    #[test]
    fn values_are_read() {
        assert_eq!(number("0.5"), 0.5);
        assert_eq!(number("+Inf"), f64::INFINITY);
        assert!(number("NaN").is_nan());
    }
}
