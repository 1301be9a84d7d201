//! The database of the benchmark, the same rows written by pgbench, and prommgr beside it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use prommgr::store::Store;
use prommgr::store::embedded::{self, Embedded, Options};
use tokio_postgres::{Client, NoTls};

use crate::alerts::{OWNERS, SERVERS, TOKEN, fingerprint_of};
use crate::load;

pub struct Base {
    pub dir: PathBuf,
    pub embedded: Embedded,
    pub db: Client,
    /// For checkpoints.
    admin: Client,
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

impl Base {
    /// A PostgreSQL with the durability that it has by default, owners, servers, 14 months of partitions.
    pub async fn new(dir: PathBuf) -> Self {
        let options = Options { durable: true, createdb: false, max_connections: 120 };
        let embedded = embedded::start_with(&dir.join("data"), options).await.unwrap();
        Store::new(&embedded.url(), 2).unwrap().migrate().await.unwrap();
        let db = connect(&embedded.url()).await;
        let admin = connect(&embedded.url().replace("user=prommgr", "user=postgres")).await;
        db.batch_execute(&format!(
            "set prommgr.seen = 'all'; set prommgr.changed = 'all'; \
             do $$ declare m date; begin for i in 0..15 loop m := date_trunc('month', now()) - make_interval(months => 13 - i); \
               execute format('create table if not exists alerts_%s partition of alerts for values from (%L) to (%L) with (fillfactor = 85)', \
                 to_char(m, 'YYYY_MM'), m, m + interval '1 month'); \
               execute format('alter table alerts_%s enable row level security', to_char(m, 'YYYY_MM')); end loop; end $$; \
             insert into owners (id, external_id, name) select n, to_char(n, 'FM000'), 'Owner ' || n from generate_series(1, {OWNERS}) n; \
             insert into servers (id, owner_id, external_id, name, address, port) \
               select n, (n - 1) % {OWNERS} + 1, to_char(n, 'FM0000'), 'server-' || n, '10.' || n / 250 || '.0.' || n % 250, 9100 \
               from generate_series(1, {SERVERS}) n; \
             create table seed (n bigint, fingerprint text collate \"C\")"
        ))
        .await
        .unwrap();
        Self { dir, embedded, db, admin }
    }

    /// Numbers of identities that are known from now on, each with an episode long ago.
    pub async fn seed(&self, known: usize) {
        let numbers: Vec<i64> = (0..known as i64).collect();
        let prints: Vec<String> = (0..known).map(fingerprint_of).collect();
        let sql = "insert into seed select * from unnest($1::bigint[], $2::text[]) order by 2";
        self.db.execute(sql, &[&numbers, &prints]).await.unwrap();
        self.db.batch_execute("create index on seed (n); analyze").await.unwrap();
    }

    /// No alert is there, and every known identity is closed.
    pub async fn reset(&self) {
        self.db
            .batch_execute(
                "truncate alerts, alert_heads; \
                 insert into alert_heads (cluster_id, fingerprint, last_end, findable) select 1, fingerprint, '2025-12-31', true from seed order by fingerprint; \
                 analyze alert_heads",
            )
            .await
            .unwrap();
        self.checkpoint().await;
    }

    pub async fn checkpoint(&self) {
        self.admin.batch_execute("checkpoint").await.unwrap();
    }

    pub async fn count(&self, what: &str) -> i64 {
        self.db.query_one(&format!("select count(*) from {what}"), &[]).await.unwrap().get(0)
    }

    /// Rows a second that pgbench writes: `count` new episodes of known identities a transaction.
    pub fn pgbench(&self, connections: usize, count: usize, known: usize, seconds: u64) -> f64 {
        let script = self.dir.join("script.sql");
        let share = known / connections;
        // Its clients know each alert's ids and need not look at what is open: they only write.
        std::fs::write(
            &script,
            format!(
                "\\set from :client_id * {share} + :done\n\\set done :done + {count}\n\
                 with said as (select s.n, s.fingerprint, s.n % {SERVERS} + 1 as server, (s.n % {SERVERS}) % {OWNERS} + 1 as owner from seed s where s.n >= :from and s.n < :from + {count}), \
                 fresh as (insert into alerts (cluster_id, fingerprint, owner_id, server_id, owner_external_id, server_external_id, \
                   rule, severity, instance, labels, annotations, generator_url, started_at, last_seen_at) \
                   select 1, fingerprint, owner, server, to_char(owner, 'FM000'), to_char(server, 'FM0000'), 'disk_will_fill_up', 'critical', \
                     '10.20.30.' || server || ':9100', \
                     ('{{\"alertname\":\"disk_will_fill_up\",\"cloudnet_owner_id\":\"' || owner || '\",\"cloudnet_server_id\":\"' || server || '\",\"device\":\"disk-' || n || '\",\"instance\":\"10.20.30.' || server || '\\:9100\",\"job\":\"node\",\"severity\":\"critical\"}}')::jsonb, \
                     ('{{\"summary\":\"The disk of server ' || server || ' will be full within a day\"}}')::jsonb, \
                     'http\\://prometheus.example\\:9090/graph?g0.expr=disk_will_fill_up&g0.tab=1', timestamptz '2026-11-01 10\\:00\\:00+00' + n * interval '1 ms', now() from said \
                   returning id, received_at, fingerprint, started_at) \
                 update alert_heads h set open_id = f.id, open_received_at = f.received_at, open_started_at = f.started_at \
                 from fresh f where h.cluster_id = 1 and h.fingerprint = f.fingerprint;\n"
            )
            .replace("\\:", ":"),
        )
        .unwrap();
        let socket = self.embedded.url();
        let socket = socket.split_once("host=").unwrap().1;
        let out = Command::new("pgbench")
            .args(["-n", "-M", "prepared", "-j", "2", "-D", "done=0", "-U", "prommgr", "-h", socket])
            .args(["-c", &connections.to_string(), "-T", &seconds.to_string(), "-f"])
            .arg(&script)
            .arg("prommgr")
            .env("PGOPTIONS", "-c prommgr.seen=all -c prommgr.changed=all")
            .output()
            .expect("pgbench, which comes with PostgreSQL");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = "));
        let rate = rate.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&out.stderr)));
        rate.split(' ').next().unwrap().parse::<f64>().unwrap() * count as f64
    }
}

/// A prommgr of its own process, which ends with this.
pub struct Prommgr {
    child: Child,
    pub address: SocketAddr,
}

impl Prommgr {
    pub async fn start(base: &Base) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let log = std::fs::File::create(base.dir.join("prommgr.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_prommgr"))
            .arg("serve")
            .env("DATABASE_URL", base.embedded.url())
            .env("PROMMGR_LISTEN", address.to_string())
            .env("PROMMGR_WEBHOOK_TOKEN", TOKEN)
            .env("PROMMGR_DATA_DIR", base.dir.join("own"))
            .env("PROMMGR_PROM_DIR", base.dir.join("prom"))
            .env("PROMMGR_PROMETHEUS_URL", "http://127.0.0.1:1")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut client = load::Client::connect(address).await;
        while client.ask(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { child, address }
    }

    /// The most memory that it has had, in MB.
    pub fn memory(&self) -> f64 {
        let path = Path::new("/proc").join(self.child.id().to_string()).join("status");
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Prommgr {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
