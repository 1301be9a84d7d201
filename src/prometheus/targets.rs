//! Servers as Prometheus' targets (file_sd, HTTP SD). Pure: the same servers always give the
//! same bytes.

use super::client::Scrapes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The file of an owner who has no server; Prometheus wants a list, not a missing file.
pub const EMPTY: &str = "[]\n";

/// A server to be scraped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub owner_id: i64,
    pub owner_external_id: String,
    pub server_external_id: String,
    /// IPv4, IPv6 without brackets, or a DNS name.
    pub address: String,
    pub port: u16,
    pub job: String,
    pub scheme: String,
    pub metrics_path: String,
    pub labels: BTreeMap<String, String>,
}

impl Target {
    /// `host:port`, an IPv6 address in brackets: what Prometheus makes the label `instance`.
    pub fn instance(&self) -> String {
        let Self { address, port, .. } = self;
        if address.contains(':') && !address.starts_with('[') {
            format!("[{address}]:{port}")
        } else {
            format!("{address}:{port}")
        }
    }
}

#[derive(Serialize)]
struct Group<'a> {
    targets: [String; 1],
    labels: BTreeMap<&'a str, &'a str>,
}

/// The file of one owner, one line a server. Fails only if the JSON writer does.
pub fn file(
    mut servers: Vec<Target>,
    owner_label: &str,
    server_label: &str,
) -> Result<String, serde_json::Error> {
    let order = |a: &Target, b: &Target| {
        let ids = a.server_external_id.cmp(&b.server_external_id);
        ids.then_with(|| (a.port, &a.address, &a.job).cmp(&(b.port, &b.address, &b.job)))
    };
    servers.sort_unstable_by(order);
    let mut text = Vec::with_capacity(servers.len() * 160 + 4);
    text.extend(b"[\n");
    for (n, server) in servers.iter().enumerate() {
        if n > 0 {
            text.extend(b",\n");
        }
        serde_json::to_writer(&mut text, &group(server, owner_label, server_label))?;
    }
    text.extend(b"\n]\n");
    // serde_json writes UTF-8 only
    Ok(String::from_utf8(text).unwrap_or_default())
}

/// A digest of how files are made: of a sample with everything that a server can have. Files of another recipe are to be
/// made anew.
pub fn recipe(owner_label: &str, server_label: &str) -> String {
    let plain = Target {
        owner_id: 1,
        owner_external_id: "owner".into(),
        server_external_id: "\"plain\"".into(),
        address: "192.0.2.7".into(),
        port: 9100,
        job: "node".into(),
        scheme: "http".into(),
        metrics_path: "/metrics".into(),
        labels: BTreeMap::new(),
    };
    let labels =
        ["rack", "__address__", "instance", "job", owner_label].map(|name| (name.into(), "é".into()));
    let odd = Target {
        server_external_id: "odd".into(),
        address: "2001:db8::7".into(),
        scheme: "https".into(),
        metrics_path: "/other".into(),
        labels: labels.into(),
        ..plain.clone()
    };
    let sample = file(vec![plain, odd], owner_label, server_label).unwrap_or_default();
    super::hex(&Sha256::digest(sample))
}

/// The path of an owner's targets below the Prometheus folder.
pub fn path(owner_id: i64) -> String {
    format!("targets/owner-{owner_id}.json")
}

/// Address, owner and server of each target in a file of ours.
pub fn scraped(text: &str, owner_label: &str, server_label: &str) -> BTreeSet<Scrapes> {
    #[derive(Deserialize)]
    struct Read {
        targets: Vec<String>,
        labels: BTreeMap<String, String>,
    }
    let groups: Vec<Read> = serde_json::from_str(text).unwrap_or_default();
    let one = |mut group: Read| {
        let (owner, server) = (group.labels.remove(owner_label)?, group.labels.remove(server_label)?);
        Some((group.targets.pop()?, owner, server))
    };
    groups.into_iter().filter_map(one).collect()
}

/// Whose targets a file holds; `None`: it is no file of ours.
pub fn owner_of(path: &str) -> Option<i64> {
    path.strip_prefix("targets/owner-")?.strip_suffix(".json")?.parse().ok()
}

fn group<'a>(target: &'a Target, owner_label: &'a str, server_label: &'a str) -> Group<'a> {
    // Checked where it is entered; here again, since `__address__` would aim our scrape.
    let allowed = |name: &str| !name.starts_with("__") && name != "instance";
    let custom = target.labels.iter().filter(|(name, _)| allowed(name));
    let mut labels: BTreeMap<_, _> = custom.map(|(k, v)| (k.as_str(), v.as_str())).collect();
    labels.insert("job", &target.job);
    if target.scheme != "http" {
        labels.insert("__scheme__", &target.scheme);
    }
    if target.metrics_path != "/metrics" {
        labels.insert("__metrics_path__", &target.metrics_path);
    }
    labels.insert(owner_label, &target.owner_external_id);
    labels.insert(server_label, &target.server_external_id);
    Group { targets: [target.instance()], labels }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(owner_id: i64, server: &str, address: &str) -> Target {
        Target {
            owner_id,
            owner_external_id: format!("o{owner_id}"),
            server_external_id: server.to_owned(),
            address: address.to_owned(),
            port: 9100,
            job: "node".to_owned(),
            scheme: "http".to_owned(),
            metrics_path: "/metrics".to_owned(),
            labels: BTreeMap::new(),
        }
    }

    #[test]
    fn a_line_a_server() {
        let mut odd = target(11, "b", "2001:db8::1");
        odd.scheme = "https".to_owned();
        odd.metrics_path = "/m".to_owned();
        odd.labels = [("env", "prod"), ("__address__", "x"), ("job", "x"), ("o", "12")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        assert_eq!(
            file(vec![odd, target(11, "a\"", "db.example.com")], "o", "s").unwrap(),
            concat!(
                "[\n",
                r#"{"targets":["db.example.com:9100"],"labels":{"job":"node","o":"o11","s":"a\""}},"#,
                "\n",
                r#"{"targets":["[2001:db8::1]:9100"],"labels":{"__metrics_path__":"/m","#,
                r#""__scheme__":"https","env":"prod","job":"node","o":"o11","s":"b"}}"#,
                "\n]\n"
            )
        );
    }

    #[test]
    fn the_order_of_the_servers_is_not_seen() {
        let mut servers = vec![target(1, "a", "10.0.0.2"), target(1, "b", "10.0.0.1")];
        let before = file(servers.clone(), "o", "s").unwrap();
        servers.reverse();
        assert_eq!(file(servers, "o", "s").unwrap(), before);
    }

    #[test]
    fn paths_name_owners() {
        assert_eq!(owner_of(&path(-7)), Some(-7));
        for other in ["targets/owner-x.json", "targets/own.json", "rules/owner-1.json"] {
            assert_eq!(owner_of(other), None);
        }
    }

    #[test]
    fn other_labels_are_another_recipe() {
        assert_ne!(recipe("o", "s"), recipe("o", "t"));
        assert_eq!(recipe("o", "s"), recipe("o", "s"));
    }
}
