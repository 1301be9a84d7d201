//! Publishing: everything of many servers at once, and the change of one among them, beside writing the same bytes to files
//! and into the same tables with nothing else. promtool is left out, and Prometheus is one that answers at once.
//!
//! `cargo bench --bench publish [-- SERVERSxOWNERS …]`; 10000x1000, 100000x1000 and 100000x10000 by default.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use prommgr::app::App;
use prommgr::config::{Config, Settings};
use prommgr::prometheus::Order;
use prommgr::store::Store;
use prommgr::store::changes::Actor;
use prommgr::store::embedded::{self, Options};
use prommgr::store::scope::All;
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

/// Turns of which the median is told.
const TURNS: usize = 7;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` asks whether it runs at all
    if args.iter().any(|arg| arg == "--test") {
        return;
    }
    if let [flag, url, dir] = args.as_slice()
        && flag == "--measure"
    {
        return measure(url, Path::new(dir)).await;
    }
    let mut sizes: Vec<_> = args.iter().filter_map(|arg| arg.split_once('x')).collect();
    if sizes.is_empty() {
        sizes = vec![("10000", "1000"), ("100000", "1000"), ("100000", "10000")];
    }
    println!("| servers | owners | everything | plain | ratio | one server | nothing | memory |");
    println!("|---|---|---|---|---|---|---|---|");
    for (servers, owners) in sizes {
        let dir = std::env::temp_dir().join(format!("prommgr-publish-{}-{servers}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)).unwrap();
        let options = Options { durable: true, createdb: false, max_connections: 50 };
        let embedded = embedded::start_with(&dir.join("data"), options).await.unwrap();
        Store::new(&embedded.url(), 2).unwrap().migrate().await.unwrap();
        fill(&connect(&embedded.url()).await, servers.parse().unwrap(), owners.parse().unwrap()).await;
        // a process of its own, for its memory, and without promtool on its path
        let itself = std::env::current_exe().unwrap();
        let mut measured = Command::new(itself);
        measured.arg("--measure").arg(embedded.url()).arg(&dir).env("PATH", "");
        print!("| {servers} | {owners} | ");
        std::io::stdout().flush().unwrap();
        assert!(measured.status().unwrap().success());
        embedded.stop().await.unwrap();
        fs::remove_dir_all(&dir).unwrap();
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("set prommgr.seen = 'all'; set prommgr.changed = 'all'").await.unwrap();
    client
}

/// Every owner overrides three kinds with one of ten values and three holds; 500 servers have one of their own.
async fn fill(db: &Client, servers: i32, owners: i32) {
    db.batch_execute(&format!(
        "insert into owners (id, external_id, name) select n, n::text, 'Owner ' || n from generate_series(1, {owners}) n; \
         insert into servers (owner_id, external_id, name, address, port, labels) \
           select (n - 1) % {owners} + 1, n::text, 'server-' || n, '10.' || n / 65536 || '.' || n / 256 % 256 || '.' || n % 256, 9100, \
             jsonb_build_object('rack', 'r' || n % 40) from generate_series(1, {servers}) n; \
         insert into thresholds (rule, severity, owner_id, value, hold_seconds, enabled) \
           select kind, 'warning', o.id, 80 + o.id % 10, 60 * (1 + o.id % 3), true from owners o, \
             unnest(array['cpu_threshold_exceeded', 'mem_threshold_exceeded', 'load_threshold_exceeded']) kind; \
         insert into thresholds (rule, severity, owner_id, server_id, value, hold_seconds, enabled) \
           select 'cpu_threshold_exceeded', 'warning', owner_id, id, 95, 60, true from servers order by external_id limit 500; \
         delete from pending_changes; analyze"
    ))
    .await
    .unwrap();
}

/// Publishes what there is in several ways, and tells the rest of the row.
async fn measure(url: &str, dir: &Path) {
    let prom = dir.join("prom");
    fs::create_dir_all(&prom).unwrap();
    let prometheus = prometheus(prom.clone()).await;
    let settings = Settings {
        database_url: Some(url.to_owned()),
        data_dir: Some(dir.join("own").to_string_lossy().into()),
        prom_dir: Some(prom.to_string_lossy().into()),
        prometheus_url: Some(prometheus),
        webhook_token: Some("a-token-for-the-benchmark".into()),
        ..Settings::default()
    };
    let app = App::new(Config::check(&settings).unwrap(), Store::new(url, 4).unwrap()).unwrap();
    let db = connect(url).await;
    let (mut everything, mut plain, mut one, mut nothing) = (vec![], vec![], vec![], vec![]);
    let mut memory = 0.0;
    for turn in 0..TURNS {
        forget(&db, &prom).await;
        everything.push(publish(&app).await);
        if turn == 0 {
            // later turns hold the bytes of the baseline, too
            memory = used();
        }
        for change in 0..3 {
            let address = format!("10.200.{turn}.{change}");
            let changed = "update servers set address = $1 where id = (select id from servers order by id offset 77 limit 1)";
            db.execute(changed, &[&address]).await.unwrap();
            let before = inodes(&prom);
            one.push(publish(&app).await);
            let after = inodes(&prom);
            let written = after.iter().filter(|inode| !before.contains(inode)).count();
            assert_eq!(written, 1, "files that were written for one server");
            nothing.push(publish(&app).await);
        }
        let (files, rows) = (files(&prom), rows(&db).await);
        forget(&db, &prom).await;
        plain.push(write_plainly(&db, &prom, &files, &rows).await);
    }
    let [everything, plain, one, nothing] = [everything, plain, one, nothing].map(median);
    let ratio = everything.as_secs_f64() / plain.as_secs_f64();
    println!("{everything:.1?} | {plain:.1?} | {ratio:.2} | {one:.1?} | {nothing:.1?} | {memory:.0} MB |");
}

async fn publish(app: &App) -> Duration {
    let began = Instant::now();
    let published =
        app.publisher().publish(All::operator(), &Actor::program("bench"), Order::default()).await.unwrap();
    let took = began.elapsed();
    let mut db = app.db(All::operator()).await.unwrap();
    let publication =
        prommgr::store::publications::find(&mut db, All::operator(), published.id).await.unwrap();
    assert_eq!(publication.state, "in_force", "{}", publication.reason);
    drop(published);
    took
}

async fn forget(db: &Client, prom: &Path) {
    for folder in ["rules", "targets"] {
        let _ = fs::remove_dir_all(prom.join(folder));
    }
    db.batch_execute(
        "truncate publications, publication_files, publication_results, files_in_force, blobs cascade",
    )
    .await
    .unwrap();
}

/// What there must be at least: each file written, made durable and renamed, and every row inserted, one after the other.
async fn write_plainly(db: &Client, prom: &Path, files: &[(PathBuf, Vec<u8>)], rows: &Rows) -> Duration {
    let began = Instant::now();
    for folder in ["rules", "targets"] {
        fs::create_dir_all(prom.join(folder)).unwrap();
    }
    for (path, bytes) in files {
        let new = path.with_extension("new");
        let mut file = fs::File::create(&new).unwrap();
        file.write_all(bytes).unwrap();
        file.sync_all().unwrap();
        fs::rename(new, path).unwrap();
    }
    db.batch_execute("begin").await.unwrap();
    let id: i64 = db
        .query_one("insert into publications (user_name, revision, state, servers) values ('x', 'x', 'in_force', 1) returning id", &[])
        .await
        .unwrap()
        .get(0);
    let (hashes, texts, paths) = (&rows.hashes, &rows.texts, &rows.paths);
    let sql = "insert into blobs select * from unnest($1::bytea[], $2::text[])";
    db.execute(sql, &[hashes, texts]).await.unwrap();
    let sql =
        "insert into publication_files select $1, p, h, 'added' from unnest($2::text[], $3::bytea[]) g(p, h)";
    db.execute(sql, &[&id, paths, hashes]).await.unwrap();
    db.batch_execute("commit").await.unwrap();
    began.elapsed()
}

struct Rows {
    hashes: Vec<Vec<u8>>,
    texts: Vec<String>,
    paths: Vec<String>,
}

async fn rows(db: &Client) -> Rows {
    let sql = "select f.path, f.sha256, b.content from files_in_force f join blobs b using (sha256)";
    let mut rows = Rows { hashes: vec![], texts: vec![], paths: vec![] };
    for row in db.query(sql, &[]).await.unwrap() {
        rows.paths.push(row.get(0));
        rows.hashes.push(row.get(1));
        rows.texts.push(row.get(2));
    }
    rows
}

fn paths(prom: &Path) -> Vec<PathBuf> {
    let folders = ["rules", "targets"].into_iter().map(|folder| fs::read_dir(prom.join(folder)).unwrap());
    folders.flatten().map(|entry| entry.unwrap().path()).collect()
}

fn files(prom: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    paths(prom).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn inodes(prom: &Path) -> std::collections::HashSet<u64> {
    use std::os::unix::fs::MetadataExt;
    paths(prom).iter().map(|path| fs::metadata(path).unwrap().ino()).collect()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The most memory that this process has had, in MB.
fn used() -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

type Loaded = (PathBuf, Mutex<String>);

/// One that has in force at once what the folder says.
async fn prometheus(prom: PathBuf) -> String {
    async fn reload(State(loaded): State<Arc<Loaded>>) {
        let text = fs::read_to_string(loaded.0.join("rules/prommgr.yml")).unwrap_or_default();
        let revision = text.lines().find_map(|line| line.trim().strip_prefix("revision:"));
        *loaded.1.lock().unwrap() = revision.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned();
    }
    async fn rules(State(loaded): State<Arc<Loaded>>) -> Json<Value> {
        let revision = loaded.1.lock().unwrap().clone();
        let rule = json!({"name": "prommgr:publication:info", "type": "recording", "health": "ok", "labels": {"revision": revision}});
        let mut groups = vec![json!({"name": "prommgr", "file": "prommgr.yml", "rules": [rule]})];
        for entry in fs::read_dir(loaded.0.join("rules")).unwrap().flatten() {
            let file = entry.file_name().into_string().unwrap();
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let names = text.lines().filter_map(|line| line.strip_prefix("- name: "));
            groups.extend(names.map(|name| json!({"name": name, "file": file, "rules": []})));
        }
        Json(json!({"status": "success", "data": {"groups": groups}}))
    }
    /// None: the benchmark does not wait for them.
    async fn targets() -> Json<Value> {
        Json(json!({"status": "success", "data": {"activeTargets": []}}))
    }
    let loaded = Arc::new((prom, Mutex::default()));
    let router = Router::new()
        .route("/-/reload", post(reload))
        .route("/api/v1/rules", get(rules))
        .route("/api/v1/targets", get(targets))
        .with_state(loaded);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(prommgr::server::serve(listener, router, 100, tokio_util::sync::CancellationToken::new()));
    url
}
