//! A server as it is typed, and the check of it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Server;
use crate::address::{Address, Reach};
use crate::config::is_label_name;
use crate::error::{Fields, Result};
use crate::store::owners::{check_external_id, check_line, check_text};

/// Characters of the name of a label that a person sets.
const LONGEST_LABEL_NAME: usize = 100;

/// A server as it is typed. Field names are the API's.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct ServerInput {
    pub owner_id: String,
    pub name: String,
    pub address: String,
    pub port: String,
    /// Empty: one is generated, or the old one stays.
    pub external_id: String,
    pub comment: String,
    /// `name=value`, one a line.
    pub labels: String,
    /// A checkbox: present or not.
    pub enabled: Option<String>,
    pub job: String,
    pub scheme: String,
    pub metrics_path: String,
}

impl Default for ServerInput {
    fn default() -> Self {
        Self {
            owner_id: String::new(),
            name: String::new(),
            address: String::new(),
            port: "9100".into(),
            external_id: String::new(),
            comment: String::new(),
            labels: String::new(),
            enabled: None,
            job: "node".into(),
            scheme: "http".into(),
            metrics_path: "/metrics".into(),
        }
    }
}

/// A server's fields, checked.
#[derive(Clone, Debug)]
pub struct NewServer {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) port: i32,
    pub(super) external_id: Option<String>,
    pub(super) comment: String,
    pub(super) labels: serde_json::Value,
    pub(super) enabled: bool,
    pub(super) job: String,
    pub(super) scheme: String,
    pub(super) metrics_path: String,
}

impl ServerInput {
    /// As the form of a server that exists shows it.
    pub fn of(server: &Server) -> Self {
        Self {
            owner_id: server.owner_id.to_string(),
            name: server.name.clone(),
            address: server.address.clone(),
            port: server.port.to_string(),
            external_id: server.external_id.clone(),
            comment: server.comment.clone(),
            labels: server.label_lines(),
            enabled: server.enabled.then(|| "on".into()),
            job: server.job.clone(),
            scheme: server.scheme.clone(),
            metrics_path: server.metrics_path.clone(),
        }
    }

    /// Checks every field. `known` is what the form changes: where Prometheus goes needs no leave
    /// anew; `ours` are the labels that only prommgr sets.
    pub async fn check(
        &self,
        reach: Reach<'_>,
        known: Option<&Server>,
        ours: [&str; 2],
    ) -> Result<NewServer> {
        let mut fields = Fields::default();
        let name = check_line(&self.name, 200, &mut fields, "name");
        let port = match self.port.trim() {
            "" => 9100,
            text => text.parse().ok().filter(|port| (1..=65535).contains(port)).unwrap_or_else(|| {
                fields.add("port", "A port is a number from 1 to 65535; node_exporter's is 9100.");
                0
            }),
        };
        let address = match Address::parse(&self.address) {
            Err(why) => {
                fields.add("address", why);
                String::new()
            }
            Ok(address) => {
                let text = address.to_string();
                // with another path or scheme it is another request that we send there
                let same = known.is_some_and(|server| {
                    (server.address == text && server.port == port)
                        && (server.scheme == self.scheme && server.metrics_path == self.metrics_path.trim())
                });
                if !same && let Err(why) = address.check(reach).await {
                    fields.add("address", why);
                }
                text
            }
        };
        let job = self.job.trim();
        if job.is_empty() || job.chars().count() > 100 || job.chars().any(char::is_control) {
            fields.add("job", "Give the kind of exporter, such as node.");
        }
        if !matches!(self.scheme.as_str(), "http" | "https") {
            fields.add("scheme", "Choose http or https.");
        }
        let metrics_path = self.metrics_path.trim();
        if !metrics_path.starts_with('/')
            || metrics_path.len() > 1000
            || metrics_path.chars().any(|c| c.is_control() || c == ' ')
        {
            fields.add("metrics_path", "A path begins with /, as /metrics does.");
        }
        let external_id = check_external_id(&self.external_id, &mut fields);
        let comment = check_text(&self.comment, &mut fields, "comment");
        let labels = check_labels(&self.labels, ours).unwrap_or_else(|why| {
            fields.add("labels", why);
            BTreeMap::new()
        });
        fields.into_result()?;
        Ok(NewServer {
            name,
            address,
            port,
            external_id,
            comment,
            labels: serde_json::json!(labels),
            enabled: self.enabled.is_some(),
            job: job.to_owned(),
            scheme: self.scheme.clone(),
            metrics_path: metrics_path.to_owned(),
        })
    }
}

/// Labels as lines, as a form has them. What would be read back as other labels is refused.
pub fn label_lines(labels: &BTreeMap<String, String>) -> Result<String, String> {
    let mut lines = String::new();
    for (name, value) in labels {
        if !is_label_name(name) {
            return Err(format!(
                "`{name}` is no label name: letters, digits and _, not beginning with a digit."
            ));
        }
        if value.chars().any(char::is_control) {
            return Err(format!("The value of `{name}` holds a line break or another control character."));
        }
        lines.extend([name, "=", value, "\n"]);
    }
    Ok(lines)
}

/// Reads `name=value` lines. Labels that give power are refused: those that begin with `__`
/// steer Prometheus, the others identify the target, its owner or the alert.
fn check_labels(text: &str, ours: [&str; 2]) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once('=').map(|(name, value)| (name.trim(), value.trim()))
        else {
            return Err(format!("`{line}`: write one name=value a line."));
        };
        if !is_label_name(name) {
            return Err(format!(
                "`{name}` is no label name: letters, digits and _, not beginning with a digit."
            ));
        }
        // every series of the server carries it, so a long one fills Prometheus' memory
        if name.len() > LONGEST_LABEL_NAME {
            return Err(format!("A label name has at most {LONGEST_LABEL_NAME} characters."));
        }
        if name.starts_with("__")
            || ours.contains(&name)
            || matches!(name, "job" | "instance" | "alertname" | "severity")
        {
            return Err(format!("`{name}` is set by prommgr or Prometheus; use another name."));
        }
        if value.chars().count() > 500 || value.chars().any(char::is_control) {
            return Err(format!("The value of `{name}` is longer than 500 characters."));
        }
        if labels.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(format!("`{name}` is given twice."));
        }
    }
    if labels.len() > 30 {
        return Err("At most 30 labels.".into());
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::store::scope::All;

    async fn refused(input: ServerInput) -> Vec<std::borrow::Cow<'static, str>> {
        match input.check(Reach::Any(All::operator()), None, ["owner", "server"]).await {
            Err(Error::Invalid(fields)) => fields.0.into_keys().collect(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn each_wrong_field_has_its_message() {
        let input = ServerInput {
            name: " ".into(),
            address: "http://x".into(),
            port: "0".into(),
            job: String::new(),
            scheme: "ftp".into(),
            metrics_path: "metrics".into(),
            labels: "__address__=x".into(),
            ..ServerInput::default()
        };
        assert_eq!(
            refused(input).await,
            ["address", "job", "labels", "metrics_path", "name", "port", "scheme"]
        );
    }

    #[tokio::test]
    async fn an_external_id_that_prometheus_cannot_read_back_is_refused() {
        let input = ServerInput {
            name: "web".into(),
            address: "192.0.2.7".into(),
            external_id: "4386\u{fffd}".into(),
            ..ServerInput::default()
        };
        assert_eq!(refused(input).await, ["external_id"]);
    }

    #[test]
    fn labels_that_give_power_are_refused() {
        let ours = ["cloudnet_owner_id", "cloudnet_server_id"];
        for text in [
            "job=x",
            "instance=x",
            "__scheme__=x",
            "cloudnet_owner_id=12",
            "cloudnet_server_id=1",
            "severity=x",
            "1a=x",
            "a",
            "a=1\na=2",
        ] {
            assert!(check_labels(text, ours).is_err(), "{text} was accepted");
        }
        assert!(check_labels(&format!("{}=x", "a".repeat(101)), ours).is_err());
        let labels = check_labels("rack = 7\n\n env=prod=eu \n", ours).unwrap();
        assert_eq!(
            labels.into_iter().collect::<Vec<_>>(),
            [("env".into(), "prod=eu".into()), ("rack".to_string(), "7".to_string())]
        );
    }
}
