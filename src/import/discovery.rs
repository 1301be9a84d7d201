//! Targets as Prometheus reads them: file_sd files (JSON or YAML), and the static targets of a `prometheus.yml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Labels, Servers};
use crate::store::servers::{Fault, Line, label_lines};

#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    Targets(Vec<Group>),
    Prometheus { scrape_configs: Vec<Job> },
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, Scalar>,
}

/// A label's value; Prometheus takes `7` for a text, too.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Truth(bool),
    Whole(i64),
    Number(f64),
}

impl Scalar {
    fn into_string(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Truth(truth) => truth.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
        }
    }
}

#[derive(Deserialize)]
struct Job {
    job_name: String,
    scheme: Option<String>,
    metrics_path: Option<String>,
    #[serde(default)]
    static_configs: Vec<Group>,
    #[serde(flatten)]
    other: BTreeMap<String, serde::de::IgnoredAny>,
}

/// What a target has that does not name it.
#[derive(Clone, Default)]
struct Usual {
    job: Option<String>,
    scheme: Option<String>,
    metrics_path: Option<String>,
}

pub(super) fn read(text: &str, labels: Labels<'_>) -> Result<Servers, String> {
    let file: File = serde_saphyr::from_str(text).map_err(|_| {
        "It is neither a list of target groups nor a Prometheus configuration with scrape_configs.".to_owned()
    })?;
    let mut servers = Servers::default();
    match file {
        File::Targets(groups) => read_groups(&mut servers, "", groups, &Usual::default(), labels),
        File::Prometheus { scrape_configs } => {
            for job in scrape_configs {
                let place = format!("job {}", job.job_name);
                let found: Vec<_> = job.other.keys().filter(|key| key.ends_with("_sd_configs")).collect();
                for key in found {
                    let why = format!("Its {key} is not followed: give the files that it names, too.");
                    servers.faults.push(Fault { place: place.clone(), why });
                }
                let usual =
                    Usual { job: Some(job.job_name), scheme: job.scheme, metrics_path: job.metrics_path };
                read_groups(&mut servers, &format!("{place}, "), job.static_configs, &usual, labels);
            }
        }
    }
    Ok(servers)
}

fn read_groups(servers: &mut Servers, before: &str, groups: Vec<Group>, usual: &Usual, labels: Labels<'_>) {
    for (n, group) in groups.into_iter().enumerate() {
        let given: BTreeMap<String, String> =
            group.labels.into_iter().map(|(name, value)| (name, value.into_string())).collect();
        for (m, target) in group.targets.iter().enumerate() {
            let place = format!("{before}group {}, target {} ({target})", n + 1, m + 1);
            match line(place.clone(), target, given.clone(), usual.clone(), labels) {
                Ok(line) => servers.lines.push(line),
                Err(why) => servers.faults.push(Fault { place, why }),
            }
        }
    }
}

fn line(
    place: String,
    target: &str,
    mut given: BTreeMap<String, String>,
    usual: Usual,
    labels: Labels<'_>,
) -> Result<Line, String> {
    let scheme = given.remove("__scheme__").or(usual.scheme);
    let (address, port) = endpoint(target, scheme.as_deref() == Some("https"))?;
    let mut line = Line {
        place,
        owner: given.remove(labels.owner),
        external_id: given.remove(labels.server),
        name: Some(given.remove("instance").unwrap_or_else(|| address.clone())),
        address: Some(address),
        port: Some(port),
        job: given.remove("job").or(usual.job),
        scheme,
        metrics_path: given.remove("__metrics_path__").or(usual.metrics_path),
        ..Line::default()
    };
    if let Some(name) = given.keys().find(|name| name.starts_with("__")) {
        return Err(format!("The label `{name}` steers Prometheus; prommgr does not take it."));
    }
    line.labels = Some(label_lines(&given)?);
    Ok(line)
}

/// `host:port` as Prometheus reads it: without a port it is the scheme's.
fn endpoint(target: &str, tls: bool) -> Result<(String, String), String> {
    if target.contains('/') {
        return Err("It is no host and port. A URL to probe has no exporter of its own.".into());
    }
    let bracketed = target.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (host, port) = match bracketed {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match target.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, Some(port)),
            _ => (target, None),
        },
    };
    let port = port.unwrap_or(if tls { "443" } else { "80" });
    Ok((host.to_owned(), port.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: Labels<'static> = Labels { owner: "customer", server: "s" };

    #[test]
    fn a_file_sd_file_is_read_as_json_and_as_yaml() {
        let json = r#"[{"targets": ["10.0.0.5:9100", "[2001:db8::1]:9182", "db.example"], "labels": {"customer": "11",
            "s": "4386", "rack": "7", "__metrics_path__": "/m", "job": "node"}}, {"targets": ["a:1"], "labels": {"__param_x": "y"}}, {"targets": []}]"#;
        let yaml = "- targets: ['10.0.0.5:9100', '[2001:db8::1]:9182', db.example]\n  labels: {customer: 11, s: 4386, rack: 7, __metrics_path__: /m, job: node}\n\
            - targets: ['a:1']\n  labels: {__param_x: y}\n- targets: []\n";
        let [json, yaml] = [json, yaml].map(|text| read(text, LABELS).unwrap());
        assert_eq!(json, yaml);
        let ends: Vec<_> = json
            .lines
            .iter()
            .map(|line| (line.address.as_deref().unwrap(), line.port.as_deref().unwrap()))
            .collect();
        assert_eq!(ends, [("10.0.0.5", "9100"), ("2001:db8::1", "9182"), ("db.example", "80")]);
        let first = &json.lines[0];
        assert_eq!(
            [&first.owner, &first.external_id, &first.labels, &first.metrics_path, &first.job]
                .map(|text| text.clone().unwrap()),
            ["11", "4386", "rack=7\n", "/m", "node"]
        );
        assert_eq!(json.faults.len(), 1);
        assert!(
            json.faults[0].place.starts_with("group 2, target 1") && json.faults[0].why.contains("__param_x")
        );
    }

    #[test]
    fn static_targets_of_a_configuration_are_read() {
        let yaml = "global: {scrape_interval: 15s}\nscrape_configs:\n- job_name: node\n  scheme: https\n  static_configs:\n  \
            - targets: [web.example, 'db.example:9100']\n    labels: {customer: '12', instance: web}\n- job_name: other\n  file_sd_configs:\n  - files: [x.json]\n";
        let read = read(yaml, LABELS).unwrap();
        assert_eq!(read.lines.len(), 2);
        let line = &read.lines[0];
        assert_eq!(line.place, "job node, group 1, target 1 (web.example)");
        assert_eq!(
            [&line.job, &line.scheme, &line.port, &line.name, &line.owner].map(|text| text.clone().unwrap()),
            ["node", "https", "443", "web", "12"]
        );
        assert_eq!(read.faults.len(), 1);
        assert_eq!(
            (read.faults[0].place.as_str(), read.faults[0].why.contains("file_sd_configs")),
            ("job other", true)
        );
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["", "a: 1", "- 1", "{}", "[[", "text"] {
            assert!(read(text, LABELS).is_err(), "{text}");
        }
        let probe = read("[{targets: ['https://a.example/x']}]", LABELS).unwrap();
        assert!(probe.lines.is_empty() && probe.faults[0].why.contains("no host and port"));
    }
}
