//! What Prometheus pays for evaluating rules, in seconds of its processor a cycle, by a real Prometheus and a simulated
//! exporter: `cargo bench --bench evaluation`. One constant threshold for all (the floor), what prommgr publishes where every
//! owner overrides three kinds, and a rule for each owner and kind; scraping and storing what is scraped is measured without
//! rules and subtracted. `-- --owners 1000 --interval 10 --cycles 8` measures less.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a benchmark"
)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use prommgr::catalogue::{RuleKind, Setting, Severity, kind};
use prommgr::leash::{Leash, Spec};
use prommgr::prometheus::client::Client;
use prommgr::prometheus::rules::{Snapshot, render};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SERVERS: usize = 10_000;
/// Servers with a threshold of their own.
const OVERRIDES: usize = 500;
const KINDS: [&str; 5] = [
    "service_down",
    "cpu_threshold_exceeded",
    "load_threshold_exceeded",
    "mem_threshold_exceeded",
    "disk_will_fill_up",
];
const OVERRIDDEN: [&str; 3] = ["cpu_threshold_exceeded", "load_threshold_exceeded", "mem_threshold_exceeded"];
const LABELS: [&str; 2] = ["cloudnet_owner_id", "cloudnet_server_id"];
/// Of `/proc/PID/stat`, a second.
const TICKS: f64 = 100.0;

struct Scene {
    dir: PathBuf,
    owners: usize,
    interval: u64,
    cycles: u64,
    port: u16,
    exporter: u16,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    // `cargo test --benches` asks whether it runs at all
    if args.iter().any(|arg| arg == "--test") {
        return;
    }
    let option = |name: &str| -> Option<u64> {
        let at = args.iter().position(|arg| arg == name)?;
        Some(args.get(at + 1)?.parse().unwrap())
    };
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    // so long that no evaluation is left out where there is a rule for each owner
    let scenes = [(1000, 15), (10_000, 30)];
    println!(
        "| owners | rules | Prometheus' CPU s a cycle | against the floor | against a rule for each owner and kind |"
    );
    println!("|---|---|---|---|---|");
    for (owners, interval) in scenes {
        if option("--owners").is_some_and(|only| only != owners as u64) {
            continue;
        }
        let dir = std::env::temp_dir().join(format!("prommgr-evaluation-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("rules")).unwrap();
        let interval = option("--interval").unwrap_or(interval);
        let cycles = option("--cycles").unwrap_or(8);
        let exporter = exporter(owners).await;
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        measure(&Scene { dir: dir.clone(), owners, interval, cycles, port, exporter }).await;
        fs::remove_dir_all(&dir).unwrap();
    }
}

async fn measure(scene: &Scene) {
    let prometheus = scene.start();
    let client = Client::new(format!("http://127.0.0.1:{}", scene.port).parse().unwrap()).unwrap();
    let up = async || client.query("count(up)").await.is_ok_and(|all| all.iter().any(|one| one.1 > 9999.0));
    while !up().await {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let floor = render(&Snapshot::new(LABELS[0], LABELS[1])).unwrap();
    let designs = [
        ("none: only scraping", BTreeMap::new()),
        ("one constant threshold (floor)", floor.clone()),
        ("what prommgr publishes", render(&scene.snapshot()).unwrap()),
        ("one for each owner and kind", scene.each(floor)),
    ];
    // forth and back, as what there is to look at grows all the time
    let mut costs = [0.0; 4];
    for n in [0, 1, 2, 3, 3, 2, 1, 0] {
        let cost = scene.cost(&prometheus, &client, &designs[n].1).await;
        eprintln!("{} owners, {}: {cost:.2}", scene.owners, designs[n].0);
        costs[n] += cost / 2.0;
    }
    let of = |n: usize| costs[n] - costs[0];
    println!("| {} | {} | {:.2} | | |", scene.owners, designs[0].0, costs[0]);
    for (n, (name, _)) in designs.iter().enumerate().skip(1) {
        println!(
            "| {} | {name} | {:.2} | {:.2} | {:.2} |",
            scene.owners,
            of(n),
            of(n) / of(1),
            of(n) / of(3)
        );
    }
    prometheus.stop(Duration::from_secs(20)).await.unwrap();
}

impl Scene {
    fn start(&self) -> Leash {
        let config = format!(
            "global: {{scrape_interval: {0}s, scrape_timeout: {0}s, evaluation_interval: {0}s}}\nrule_files: [rules/*.yml]\n\
             scrape_configs:\n- job_name: node\n  honor_labels: true\n  static_configs: [{{targets: ['127.0.0.1:{1}']}}]\n",
            self.interval, self.exporter
        );
        fs::write(self.dir.join("prometheus.yml"), config).unwrap();
        let flag = |name: &str, value: String| format!("--{name}={value}").into();
        Leash::spawn(Spec {
            program: "/usr/bin/prometheus".into(),
            args: vec![
                flag("config.file", self.dir.join("prometheus.yml").display().to_string()),
                flag("storage.tsdb.path", self.dir.join("data").display().to_string()),
                flag("web.listen-address", format!("127.0.0.1:{}", self.port)),
                "--web.enable-lifecycle".into(),
            ],
            dir: Some(self.dir.clone()),
            log: self.dir.join("log"),
            ..Spec::default()
        })
        .unwrap()
    }

    /// Seconds of the processor a cycle under these rules.
    async fn cost(&self, prometheus: &Leash, client: &Client, files: &BTreeMap<String, String>) -> f64 {
        for entry in fs::read_dir(self.dir.join("rules")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (path, text) in files {
            // kinds that are recorded each minute are, of these cycles, at the same share
            let text = text.replace("interval: 1m", &format!("interval: {}s", self.interval * 4));
            fs::write(self.dir.join(path), text).unwrap();
        }
        // it waits for evaluations that are under way, which may take longer than a reload's limit
        let mut tries = 0;
        while let Err(error) = client.reload().await {
            tries += 1;
            assert!(tries < 5, "{error}");
        }
        // every group has run, and what it loaded is cleared away
        tokio::time::sleep(Duration::from_secs(self.interval * 4)).await;
        let missed = async || {
            let query = "sum(prometheus_rule_group_iterations_missed_total) or vector(0)";
            client.query(query).await.unwrap()[0].1
        };
        let (begun, spent, late) = (Instant::now(), ticks(prometheus.pid()), missed().await);
        tokio::time::sleep(Duration::from_secs(self.interval * self.cycles)).await;
        let spent = (ticks(prometheus.pid()) - spent) / TICKS;
        let cycles = begun.elapsed().as_secs_f64() / self.interval as f64;
        assert!(missed().await <= late, "evaluations were left out: give a longer --interval");
        if !files.is_empty() {
            for series in ["prommgr:cpu_used:percent", "prommgr:load5:per_core", "prommgr:mem_used:percent"] {
                let stored = client.query(&format!("count({series})")).await.unwrap();
                assert_eq!(stored.first().map(|one| one.1), Some(SERVERS as f64), "{series} is stored");
            }
            let ailing = client.rules().await.unwrap().into_iter().flat_map(|group| group.rules);
            let ailing: Vec<_> = ailing.filter(|rule| rule.health != "ok").collect();
            assert!(ailing.is_empty(), "{ailing:?}");
        }
        spent / cycles
    }

    /// Every owner with one of ten values and three holds for three kinds, and some servers with their own.
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new(LABELS[0], LABELS[1]);
        for rule in OVERRIDDEN {
            let kind = kind(rule).unwrap();
            for owner in 0..self.owners {
                let setting = of_owner(kind, owner);
                snapshot.set_owner(kind, Severity::Warning, &owner.to_string(), setting);
            }
        }
        let cpu = kind(OVERRIDDEN[0]).unwrap();
        for server in overridden() {
            let owner = (server % self.owners).to_string();
            snapshot.set_server(cpu, Severity::Warning, &owner, &server.to_string(), of_server(server));
        }
        snapshot
    }

    /// A rule for each owner and kind that does the same, beside the recordings.
    fn each(&self, mut files: BTreeMap<String, String>) -> BTreeMap<String, String> {
        for rule in KINDS {
            let kind = kind(rule).unwrap();
            let mut text = String::from("groups:\n");
            if let Some(recorded) = kind.recorded() {
                let interval = if kind.interval.is_some() { "  interval: 1m\n" } else { "" };
                let record = format!("  - record: {}\n    expr: '{recorded}'\n", kind.series);
                let _ = write!(text, "- name: recording\n{interval}  rules:\n{record}");
            }
            text.push_str("- name: alerts\n  rules:\n");
            let severity = Severity::ALL.into_iter().find(|one| kind.default_setting(*one).enabled).unwrap();
            for owner in 0..self.owners {
                let own = OVERRIDDEN.contains(&rule);
                let setting = if own { of_owner(kind, owner) } else { kind.default_setting(severity) };
                let of = |more: &str, setting: Setting| {
                    let (operator, value) = (kind.direction.operator(), setting.value.unwrap_or(0.0));
                    format!("({}{{{}=\"{owner}\"{more}}} {operator} {value})", kind.series, LABELS[0])
                };
                let own: Vec<usize> = overridden()
                    .filter(|server| rule == OVERRIDDEN[0] && server % self.owners == owner)
                    .collect();
                let ids: Vec<String> = own.iter().map(usize::to_string).collect();
                let apart = format!(",{}!~\"{}\"", LABELS[1], ids.join("|"));
                let mut expr = of(if own.is_empty() { "" } else { &apart }, setting);
                for server in own {
                    let one = of(&format!(",{}=\"{server}\"", LABELS[1]), of_server(server));
                    let _ = write!(expr, " or {one}");
                }
                let _ = write!(
                    text,
                    "  - alert: {rule}\n    expr: '{expr}'\n    for: {}s\n    labels: {{severity: {severity}}}\n    \
                     annotations: {{description: \"{}\", summary: '{}', value: '{{{{ $value }}}}'}}\n",
                    setting.hold, kind.description, kind.summary
                );
            }
            files.insert(format!("rules/{rule}.yml"), text);
        }
        files
    }
}

fn overridden() -> impl Iterator<Item = usize> {
    (0..OVERRIDES).map(|n| n * (SERVERS / OVERRIDES) + n % (SERVERS / OVERRIDES))
}

fn of_owner(kind: &RuleKind, owner: usize) -> Setting {
    let base = kind.default_setting(Severity::Warning).value.unwrap();
    let value = base * (0.9 + 0.01 * (owner % 10) as f64 * 1.05);
    Setting { value: Some((value * 100.0).round() / 100.0), hold: [60, 300, 600][owner % 3], enabled: true }
}

fn of_server(server: usize) -> Setting {
    Setting { value: Some(50.0 + (server % 10) as f64), hold: 300, enabled: true }
}

/// What a process has used of the processor, in ticks.
fn ticks(pid: u32) -> f64 {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap();
    let rest: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    [11, 12].iter().map(|field| rest[*field].parse::<f64>().unwrap()).sum()
}

/// All servers at one address; its port. What they have changes with every scrape, and one of a hundred exceeds.
async fn exporter(owners: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let begun = Instant::now();
    let labels: Arc<Vec<String>> = Arc::new(
        (0..SERVERS)
            .map(|n| {
                let owner = n % owners;
                format!(
                    "{}=\"{owner}\",{}=\"{n}\",instance=\"10.0.{}.{}:9100\"",
                    LABELS[0],
                    LABELS[1],
                    n / 250,
                    n % 250
                )
            })
            .collect(),
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let labels = labels.clone();
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                while stream.read(&mut asked).await.is_ok_and(|n| n > 0) {
                    let body = exposition(&labels, begun.elapsed().as_secs_f64());
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n";
                    let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

fn exposition(labels: &[String], at: f64) -> String {
    let mut text = String::with_capacity(labels.len() * 900);
    for (n, labels) in labels.iter().enumerate() {
        let wave = ((at / 60.0 + n as f64).sin() + 1.0) / 2.0;
        let idle = if n % 100 == 0 { 0.04 } else { 0.6 + 0.1 * (n % 4) as f64 };
        let _ = writeln!(text, "up{{{labels},job=\"node\"}} {}", u8::from(n % 1000 != 7));
        for cpu in 0..2 {
            let spent = at * idle + wave;
            let _ = writeln!(
                text,
                "node_cpu_seconds_total{{{labels},job=\"node\",cpu=\"{cpu}\",mode=\"idle\"}} {spent:.2}"
            );
        }
        let load = if n % 100 == 1 { 9.0 } else { wave };
        let _ = writeln!(text, "node_load5{{{labels},job=\"node\"}} {load:.2}");
        let free = if n % 100 == 2 { 1e8 } else { 4e9 + 1e9 * wave };
        let _ = writeln!(text, "node_memory_MemAvailable_bytes{{{labels},job=\"node\"}} {free:.0}");
        let _ = writeln!(text, "node_memory_MemTotal_bytes{{{labels},job=\"node\"}} 8e9");
        let disk = format!("{labels},job=\"node\",device=\"/dev/vda1\",fstype=\"ext4\",mountpoint=\"/\"");
        let _ = writeln!(text, "node_filesystem_avail_bytes{{{disk}}} {:.0}", 4e10 - at * 1e5 * wave);
        let _ = writeln!(text, "node_filesystem_size_bytes{{{disk}}} 8e10");
        let _ = writeln!(text, "node_filesystem_readonly{{{disk}}} 0");
    }
    text
}
