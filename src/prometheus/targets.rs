//! Servers as Prometheus' targets (file_sd, HTTP SD). Pure: the same servers always give the
//! same bytes.

use serde::Serialize;
use std::collections::BTreeMap;

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

/// A file for each owner who has servers, by path below the Prometheus folder, one line a
/// server. Fails only if the JSON writer does.
pub fn render(
    targets: &[Target],
    owner_label: &str,
    server_label: &str,
) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let mut owners: BTreeMap<i64, Vec<&Target>> = BTreeMap::new();
    for target in targets {
        owners.entry(target.owner_id).or_default().push(target);
    }
    let mut files = BTreeMap::new();
    for (owner, mut servers) in owners {
        servers.sort_by(|a, b| {
            let key = |t: &Target| (t.port, t.address.clone(), t.job.clone());
            let ids = a.server_external_id.cmp(&b.server_external_id);
            ids.then_with(|| key(a).cmp(&key(b)))
        });
        let mut lines = Vec::with_capacity(servers.len());
        for server in servers {
            lines.push(serde_json::to_string(&group(server, owner_label, server_label))?);
        }
        files.insert(path(owner), format!("[\n{}\n]\n", lines.join(",\n")));
    }
    Ok(files)
}

/// The path of an owner's targets below the Prometheus folder.
pub fn path(owner_id: i64) -> String {
    format!("targets/owner-{owner_id}.json")
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
    fn a_file_an_owner_and_a_line_a_server() {
        let mut odd = target(11, "b", "2001:db8::1");
        odd.scheme = "https".to_owned();
        odd.metrics_path = "/m".to_owned();
        odd.labels = [("env", "prod"), ("__address__", "x"), ("job", "x"), ("o", "12")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        let servers = [odd, target(2, "1", "10.0.0.5"), target(11, "a\"", "db.example.com")];
        let files = render(&servers, "o", "s").unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["targets/owner-11.json", "targets/owner-2.json"]);
        assert_eq!(
            files["targets/owner-11.json"],
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
        let before = render(&servers, "o", "s").unwrap();
        servers.reverse();
        assert_eq!(render(&servers, "o", "s").unwrap(), before);
    }
}
