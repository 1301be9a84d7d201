//! A Prometheus, as far as publishing sees it: it loads rules from the folder, or refuses.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_extra::extract::Form;
use prommgr::server;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::house::House;
use crate::page::Page;
use crate::person::Person;

/// Ends when it is dropped.
pub struct Prometheus {
    pub url: String,
    inner: Arc<Inner>,
    _stop: DropGuard,
}

#[derive(Default)]
struct Inner {
    folder: Mutex<PathBuf>,
    refuses: Mutex<Option<String>>,
    in_force: Mutex<Option<String>>,
    groups: Mutex<Vec<(String, String)>>,
    stays: AtomicBool,
    reloads: AtomicUsize,
    up: Mutex<Vec<(String, String, bool)>>,
    sends: Mutex<(Option<String>, usize, f64)>,
    values: Mutex<Vec<(f64, f64)>>,
    servers: Mutex<Vec<Known>>,
    ranges: Mutex<Vec<Asked>>,
    gives: Mutex<Vec<Value>>,
    instants: Mutex<Vec<String>>,
    rejects: Mutex<Option<String>>,
    tried: Mutex<Vec<String>>,
    silence: Arc<RwLock<()>>,
}

/// A series: its name, a label and its value.
pub type Given<'a> = (&'a str, Option<(&'a str, &'a str)>, f64);
/// Values of a server, by its labels.
type Known = (BTreeMap<String, String>, Vec<(f64, f64)>);

/// A range query as it came.
pub type Asked = BTreeMap<String, String>;

impl Prometheus {
    /// One that has loaded nothing yet.
    pub async fn start() -> Self {
        let inner = Arc::new(Inner::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/api/v1/rules", get(rules))
            .route("/-/reload", post(reload))
            .route("/metrics", get(metrics))
            .route("/api/v1/targets", get(targets))
            .route("/api/v1/status/config", get(config))
            .route("/api/v1/query", post(query))
            .route("/api/v1/query_range", post(range))
            .route("/api/v1/alertmanagers", get(alertmanagers))
            .with_state(inner.clone());
        let stop = CancellationToken::new();
        tokio::spawn(server::serve(listener, router, 100, stop.clone()));
        Self { url, inner, _stop: stop.drop_guard() }
    }

    /// Has it read this folder.
    pub fn reads(&self, folder: &Path) {
        *self.inner.folder.lock().unwrap() = folder.to_owned();
    }

    /// Has it refuse what it is to load.
    pub fn refuses(&self, why: &str) {
        *self.inner.refuses.lock().unwrap() = Some(why.to_owned());
    }

    /// Has it accept again.
    pub fn relents(&self) {
        *self.inner.refuses.lock().unwrap() = None;
    }

    /// Has it scrape no targets, whatever the folder says, or those of the folder again.
    pub fn scrapes_nothing(&self, nothing: bool) {
        self.inner.stays.store(nothing, Ordering::Relaxed);
    }

    /// Has it see these servers: owner's and server's external id, and whether it reaches them.
    pub fn sees(&self, servers: &[(&str, &str, bool)]) {
        let servers =
            servers.iter().map(|(owner, server, up)| ((*owner).to_owned(), (*server).to_owned(), *up));
        *self.inner.up.lock().unwrap() = servers.collect();
    }

    /// Has its heartbeat fire, or not, and send to so many Alertmanagers, with so many alerts dropped.
    pub fn sends(&self, heartbeat: Option<&str>, alertmanagers: usize, dropped: f64) {
        *self.inner.sends.lock().unwrap() = (heartbeat.map(str::to_owned), alertmanagers, dropped);
    }

    /// Has it know these values, by seconds since 1970.
    pub fn knows(&self, values: &[(f64, f64)]) {
        *self.inner.values.lock().unwrap() = values.to_vec();
    }

    /// Has it give these series of whatever server one asks for: name, a label, value.
    pub fn gives(&self, series: &[Given<'_>]) {
        let series = series.iter().map(|(name, label, value)| {
            let mut labels = BTreeMap::from([("__name__", *name)]);
            labels.extend(*label);
            json!({"metric": labels, "value": [1_790_000_000.0, value.to_string()]})
        });
        *self.inner.gives.lock().unwrap() = series.collect();
    }

    /// Has it take no query that is not one of prommgr's own, and say why; or take them again.
    pub fn rejects(&self, why: Option<&str>) {
        *self.inner.rejects.lock().unwrap() = why.map(str::to_owned);
    }

    /// The other queries that it was asked since this was last looked at.
    pub fn tried(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.tried.lock().unwrap())
    }

    /// The queries for series by their names that it was asked since this was last looked at.
    pub fn asked_now(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.instants.lock().unwrap())
    }

    /// Has it know these values of a server, for queries that name it: alone, above a number, or counted.
    pub fn knows_of(&self, owner: &str, server: &str, values: &[(f64, f64)]) {
        let labels = [("cloudnet_owner_id", owner), ("cloudnet_server_id", server), ("job", "node")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        self.inner.servers.lock().unwrap().push((labels, values.to_vec()));
    }

    /// The range queries that it was asked since this was last looked at.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.inner.ranges.lock().unwrap())
    }

    /// Has it answer no range query until this is dropped.
    pub async fn silent(&self) -> OwnedRwLockWriteGuard<()> {
        self.inner.silence.clone().write_owned().await
    }

    /// How often it was asked to reload.
    pub fn reloads(&self) -> usize {
        self.inner.reloads.load(Ordering::Relaxed)
    }
}

/// The address of one that does not run.
pub async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

async fn reload(State(inner): State<Arc<Inner>>) -> (StatusCode, String) {
    inner.reloads.fetch_add(1, Ordering::Relaxed);
    if let Some(why) = inner.refuses.lock().unwrap().clone() {
        return (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload config: {why}"));
    }
    let rules = inner.folder.lock().unwrap().join("rules");
    let mut groups = Vec::new();
    for entry in std::fs::read_dir(rules).into_iter().flatten().flatten() {
        let (file, text) =
            (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap());
        let names = text.lines().filter_map(|line| line.strip_prefix("- name: "));
        groups.extend(names.map(|name| (file.clone(), name.to_owned())));
    }
    *inner.groups.lock().unwrap() = groups;
    let text =
        std::fs::read_to_string(inner.folder.lock().unwrap().join("rules/prommgr.yml")).unwrap_or_default();
    let revision = text.lines().find_map(|line| line.trim().strip_prefix("revision:"));
    *inner.in_force.lock().unwrap() =
        revision.map(|revision| revision.trim().trim_matches(['"', '\'']).to_owned());
    (StatusCode::OK, String::new())
}

async fn rules(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let in_force = inner.in_force.lock().unwrap().clone();
    let rules: Vec<_> = in_force
        .map(|revision| json!({"name": "prommgr:publication:info", "type": "recording", "health": "ok", "labels": {"revision": revision}}))
        .into_iter()
        .collect();
    let groups = inner.groups.lock().unwrap().clone();
    let group = |(file, name): (String, String)| {
        let rules = if name == "prommgr" { rules.clone() } else { Vec::new() };
        json!({"name": name, "file": format!("/etc/prometheus/rules/{file}"), "rules": rules})
    };
    let groups: Vec<_> = groups.into_iter().map(group).collect();
    Json(json!({"status": "success", "data": {"groups": groups}}))
}

async fn metrics(State(inner): State<Arc<Inner>>) -> String {
    let (at, well) = (inner.reloads.load(Ordering::Relaxed), inner.refuses.lock().unwrap().is_none());
    format!(
        "# TYPE x gauge\nprometheus_config_last_reload_successful {}\nprometheus_config_last_reload_success_timestamp_seconds 1.79e+09{at}\n",
        u8::from(well)
    )
}

/// Those of the folder, as soon as they are there.
async fn targets(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let folder = inner.folder.lock().unwrap().join("targets");
    let mut active = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if inner.stays.load(Ordering::Relaxed) || entry.path().extension().is_none_or(|end| end != "json") {
            continue;
        }
        let groups: Vec<Value> =
            serde_json::from_str(&std::fs::read_to_string(entry.path()).unwrap()).unwrap();
        for group in groups {
            let mut labels = group["labels"].clone();
            labels["__address__"] = group["targets"][0].clone();
            active.push(json!({"discoveredLabels": labels, "labels": group["labels"], "health": "unknown"}));
        }
    }
    Json(json!({"status": "success", "data": {"activeTargets": active}}))
}

async fn config() -> Json<Value> {
    let yaml = "rule_files:\n- /elsewhere/*.yml\nscrape_configs:\n- job_name: x\n";
    Json(json!({"status": "success", "data": {"yaml": yaml}}))
}

async fn alertmanagers(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let known = inner.sends.lock().unwrap().1;
    let active = vec![json!({"url": "http://alertmanager:9093/api/v2/alerts"}); known];
    Json(json!({"status": "success", "data": {"activeAlertmanagers": active, "droppedAlertmanagers": []}}))
}

#[derive(serde::Deserialize)]
struct Query {
    query: String,
}

/// What is dropped, whether the heartbeat fires, or whatever else is asked: which servers are up.
async fn query(
    State(inner): State<Arc<Inner>>,
    Form(Query { query }): Form<Query>,
) -> (StatusCode, Json<Value>) {
    let (heartbeat, _, dropped) = inner.sends.lock().unwrap().clone();
    let result: Vec<_> = if query.contains("{__name__=~") {
        // of what it gives, the series that are asked for by name
        let names = query.split('"').nth(1).unwrap().split('|').map(str::to_owned).collect::<Vec<_>>();
        inner.instants.lock().unwrap().push(query);
        let asked = |series: &&Value| names.iter().any(|name| series["metric"]["__name__"] == name.as_str());
        inner.gives.lock().unwrap().iter().filter(asked).cloned().collect()
    } else if query.contains("notifications_dropped") {
        vec![json!({"metric": {}, "value": [1_790_000_000.0, dropped.to_string()]})]
    } else if query.contains("prommgr_heartbeat") {
        let labels =
            |url| json!({"alertname": "prommgr_heartbeat", "alertstate": "firing", "prometheus": url});
        heartbeat
            .map(|url| json!({"metric": labels(url), "value": [1_790_000_000.0, "1"]}))
            .into_iter()
            .collect()
    } else {
        if !query.starts_with("min by") {
            inner.tried.lock().unwrap().push(query);
            if let Some(why) = inner.rejects.lock().unwrap().clone() {
                let told = json!({"status": "error", "errorType": "execution", "error": why});
                return (StatusCode::UNPROCESSABLE_ENTITY, Json(told));
            }
        }
        let series = |(owner, server, up): &(String, String, bool)| {
            let labels = json!({"cloudnet_owner_id": owner, "cloudnet_server_id": server});
            json!({"metric": labels, "value": [1_790_000_000.0, if *up { "1" } else { "0" }]})
        };
        inner.up.lock().unwrap().iter().map(series).collect()
    };
    (StatusCode::OK, Json(json!({"status": "success", "data": {"resultType": "vector", "result": result}})))
}

/// The values that it knows of that time, whatever is asked.
async fn range(State(inner): State<Arc<Inner>>, Form(asked): Form<Asked>) -> Json<Value> {
    let [from, to, step] = ["start", "end", "step"].map(|name| asked[name].parse::<i64>().unwrap());
    let query = asked["query"].clone();
    inner.ranges.lock().unwrap().push(asked);
    drop(inner.silence.read().await);
    let servers = inner.servers.lock().unwrap().clone();
    if !servers.is_empty() {
        return of_servers(&servers, &query, (from..=to).step_by(usize::try_from(step).unwrap()));
    }
    let known = inner.values.lock().unwrap().clone();
    // the last one of the minute before each point
    let at = |point: i64| {
        let before = |at: &f64| (point as f64 - 60.0..=point as f64).contains(at);
        known.iter().rfind(|(at, _)| before(at)).map(|(_, value)| json!([point, value.to_string()]))
    };
    let values: Vec<_> = (from..=to).step_by(usize::try_from(step).unwrap()).filter_map(at).collect();
    let series = if values.is_empty() { json!([]) } else { json!([{"metric": {}, "values": values}]) };
    Json(json!({"status": "success", "data": {"resultType": "matrix", "result": series}}))
}

/// What a query for some servers finds; a value holds for five minutes.
fn of_servers(known: &[Known], query: &str, at: impl Iterator<Item = i64> + Clone) -> Json<Value> {
    let named = |labels: &BTreeMap<String, String>| {
        labels.iter().filter(|(name, _)| name.as_str() != "job").all(|(name, value)| {
            let (_, rest) = query.split_once(&format!("{name}=")).unwrap();
            rest.trim_start_matches(['~', '"']).split('"').next().unwrap().split('|').any(|id| id == value)
        })
    };
    let above: Option<f64> = query.rsplit_once("} > ").map(|(_, limit)| limit.parse().unwrap());
    let series = known.iter().filter(|(labels, _)| named(labels)).filter_map(|(labels, values)| {
        let value = |point: i64| {
            let before = values.partition_point(|(at, _)| *at <= point as f64);
            let (at, value) = *values[..before].last()?;
            if at < point as f64 - 300.0 {
                return None;
            }
            above.is_none_or(|limit| value > limit).then(|| json!([point, value.to_string()]))
        };
        let values: Vec<_> = at.clone().filter_map(value).collect();
        (!values.is_empty()).then(|| json!({"metric": labels, "values": values}))
    });
    let series: Vec<_> = series.collect();
    Json(json!({"status": "success", "data": {"resultType": "matrix", "result": series}}))
}

/// A house whose Prometheus reads its folder.
pub async fn wired() -> (House, Prometheus) {
    let prometheus = Prometheus::start().await;
    let house = House::with(|settings| settings.prometheus_url = Some(prometheus.url.clone())).await;
    prometheus.reads(&house.prom);
    (house, prometheus)
}

/// Presses the button, and looks at how it went.
pub async fn publish(root: &Person) -> Page {
    let page = root.get("/publications").await.expect(200);
    let to = root.presses(&page, "Publish", &[]).await.leads_to();
    root.get(&to).await.expect(200)
}

/// Every file below a folder by its path: content, inode, time of its last change.
pub fn files(folder: &Path) -> BTreeMap<String, (String, u64, SystemTime)> {
    let mut found = BTreeMap::new();
    for sub in ["rules", "targets"] {
        for entry in std::fs::read_dir(folder.join(sub)).into_iter().flatten().flatten() {
            let (data, name) = (entry.metadata().unwrap(), entry.file_name().into_string().unwrap());
            let text = std::fs::read_to_string(entry.path()).unwrap();
            found.insert(format!("{sub}/{name}"), (text, data.ino(), data.modified().unwrap()));
        }
    }
    found
}
