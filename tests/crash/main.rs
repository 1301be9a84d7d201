//! What was answered 200 is there, exactly once, also when prommgr, its PostgreSQL or a connection's process is
//! killed in the middle of it: twenty times, under full load, with senders that try again as Alertmanager does.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use prommgr::demo::stack::free_port;
use prommgr::leash::{Leash, Spec};
use prommgr::store::embedded;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, NoTls};

const ROUNDS: usize = 20;
const SENDERS: usize = 16;
/// Alerts of a delivery.
const ALERTS: usize = 10;
/// Deliveries that are answered before the kill.
const ANSWERED: usize = 40;
const TOKEN: &str = "a-webhook-token-of-the-tests";
const PATIENCE: Duration = Duration::from_secs(60);

struct Stage {
    dir: PathBuf,
    address: SocketAddr,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Stage {
    async fn start(&self) -> Leash {
        let flag = |name: &str, value: String| format!("--{name}={value}").into();
        let mut prommgr = Leash::spawn(Spec {
            program: env!("CARGO_BIN_EXE_prommgr").into(),
            args: vec![
                "serve".into(),
                flag("listen", self.address.to_string()),
                flag("data-dir", self.data().display().to_string()),
                flag("prom-dir", self.dir.join("prom").display().to_string()),
                flag("prometheus-url", "http://127.0.0.1:9".into()),
                flag("webhook-token", TOKEN.into()),
            ],
            log: self.dir.join("prommgr.log"),
            ..Spec::default()
        })
        .unwrap();
        let http = http();
        let url = format!("http://{}/readyz", self.address);
        let ready = async {
            while !http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                if let Some(ended) = prommgr.try_wait().unwrap() {
                    panic!("prommgr ended: {ended}");
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, ready).await.expect("prommgr was not ready in time");
        prommgr
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The first process of its PostgreSQL.
    fn postmaster(&self) -> u32 {
        let text = std::fs::read_to_string(self.data().join("postgres/postmaster.pid")).unwrap();
        text.lines().next().unwrap().trim().parse().unwrap()
    }

    async fn db(&self) -> Client {
        let url = embedded::connect_running(&self.data()).await.unwrap();
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("set prommgr.seen = 'all'").await.unwrap();
        client
    }
}

fn http() -> reqwest::Client {
    // the program's own setting; set once is enough
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap()
}

fn kill(process: u32) {
    let sent = std::process::Command::new("kill").args(["-9", &process.to_string()]).status().unwrap();
    assert!(sent.success(), "there was no process {process}");
}

/// A delivery of its own: alerts that nobody else sends.
fn body(number: usize) -> String {
    let alerts: Vec<String> = (0..ALERTS)
        .map(|n| {
            format!(
                r#"{{"status":"firing","labels":{{"alertname":"crash","delivery":"{number}","n":"{n}"}},"startsAt":"2026-11-01T10:00:00Z","endsAt":"0001-01-01T00:00:00Z"}}"#
            )
        })
        .collect();
    format!(r#"{{"version":"4","alerts":[{}]}}"#, alerts.join(","))
}

/// What the senders share.
#[derive(Default)]
struct Load {
    next: AtomicUsize,
    answered: AtomicUsize,
    again: AtomicUsize,
    enough: AtomicBool,
}

/// Sends one delivery after the other, each until it is answered 200; returns which were.
async fn send(load: Arc<Load>, address: SocketAddr) -> Vec<usize> {
    let http = http();
    let url = format!("http://{address}/webhook/alertmanager");
    let mut acknowledged = Vec::new();
    while !load.enough.load(Ordering::Relaxed) {
        let number = load.next.fetch_add(1, Ordering::Relaxed);
        loop {
            let answer = http.post(&url).bearer_auth(TOKEN).body(body(number)).send().await;
            match answer.map(|answer| answer.status().as_u16()) {
                Ok(200) => break,
                Ok(status) => assert!(status >= 500, "{status} is no invitation to try again"),
                Err(_) => {}
            }
            load.again.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(20)).await;
        }
        acknowledged.push(number);
        load.answered.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_200_survives_twenty_kills() {
    let dir = std::env::temp_dir().join(format!("prommgr-crash-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let port = free_port(rand::random_range(20_000..32_000)).unwrap();
    let stage = Stage { dir, address: SocketAddr::from(([127, 0, 0, 1], port)) };
    let mut prommgr = stage.start().await;
    let load = Arc::new(Load::default());
    let senders: Vec<_> = (0..SENDERS).map(|_| tokio::spawn(send(load.clone(), stage.address))).collect();
    for round in 0..ROUNDS {
        let before = load.answered.load(Ordering::Relaxed);
        let under_way = async {
            while load.answered.load(Ordering::Relaxed) < before + ANSWERED {
                sleep(Duration::from_millis(rand::random_range(1..10))).await;
            }
        };
        timeout(PATIENCE, under_way)
            .await
            .unwrap_or_else(|_| panic!("round {round}: nothing is answered any more"));
        match round % 3 {
            0 => kill(prommgr.pid()),
            1 => kill(stage.postmaster()),
            // PostgreSQL ends every connection and recovers by itself, prommgr goes on
            _ => {
                let db = stage.db().await;
                let sql = "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() \
                    and query like '%alert%' limit 1";
                if let Some(row) = db.query_opt(sql, &[]).await.unwrap() {
                    kill(u32::try_from(row.get::<_, i32>(0)).unwrap());
                }
                continue;
            }
        }
        timeout(PATIENCE, prommgr.wait()).await.expect("prommgr did not end").unwrap();
        prommgr = stage.start().await;
    }
    load.enough.store(true, Ordering::Relaxed);
    let mut acknowledged = 0;
    for sender in senders {
        acknowledged += timeout(PATIENCE, sender).await.expect("a sender never got through").unwrap().len();
    }
    assert!(load.again.load(Ordering::Relaxed) >= ROUNDS, "nothing was under way when it was killed");
    check(&stage, acknowledged).await;
    drop(prommgr);
}

/// Every delivery was acknowledged in the end, so each alert is there, once.
async fn check(stage: &Stage, acknowledged: usize) {
    let db = stage.db().await;
    let sql = "select (labels->>'delivery')::bigint, count(*), count(distinct labels->>'n') from alerts where ended_at is null group by 1";
    let rows = db.query(sql, &[]).await.unwrap();
    let stored: HashMap<i64, (i64, i64)> =
        rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
    for number in 0..acknowledged {
        let there = stored.get(&i64::try_from(number).unwrap());
        assert_eq!(there, Some(&(ALERTS as i64, ALERTS as i64)), "delivery {number} of {acknowledged}");
    }
    assert_eq!(stored.len(), acknowledged);
    let heads: i64 = db
        .query_one("select count(*) from alert_heads h join alerts a on a.id = h.open_id and a.received_at = h.open_received_at", &[])
        .await
        .unwrap_or_else(|error| panic!("{error:?} {}", Path::new(&stage.dir).display()))
        .get(0);
    assert_eq!(heads, (acknowledged * ALERTS) as i64);
}
