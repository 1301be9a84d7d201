//! Prometheus, Alertmanager and node_exporter on this machine, wired to a prommgr: for the demo and
//! for the end-to-end tests. They run on loopback and end with us.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::leash::{Leash, Spec};

/// How long a program may take until it answers.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(20);

const PROMETHEUS_YML: &str = include_str!("../../prom/prometheus.yml");
const WEBHOOK_YML: &str = include_str!("../../prom/webhook.yml");

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Data and logs of the programs.
    pub dir: PathBuf,
    /// Where prommgr publishes.
    pub prom_dir: PathBuf,
    /// Where prommgr serves.
    pub prommgr: SocketAddr,
    /// What the webhook takes.
    pub webhook_token: String,
    pub prometheus: u16,
    pub alertmanager: u16,
    pub node_exporter: u16,
}

/// A port on loopback: the preferred one, or where that is taken any.
pub fn free_port(preferred: u16) -> Result<u16> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, preferred))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    Ok(bound.context("no port is free on loopback")?.local_addr()?.port())
}

impl Stack {
    /// Writes the programs' configuration: what stands in `prom/`, with addresses of this machine
    /// and short intervals, so that nobody waits.
    pub fn write(&self) -> Result<()> {
        fs::create_dir_all(&self.dir)?;
        for folder in ["targets", "rules"] {
            fs::create_dir_all(self.prom_dir.join(folder))?;
        }
        let token = self.dir.join("webhook-token");
        fs::write(&token, &self.webhook_token)?;
        fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let prometheus = PROMETHEUS_YML
            .replace("scrape_interval: 15s", "scrape_interval: 2s")
            .replace("scrape_timeout: 10s", "scrape_timeout: 2s")
            .replace("evaluation_interval: 15s", "evaluation_interval: 2s")
            .replace("alertmanager:9093", &format!("127.0.0.1:{}", self.alertmanager))
            .replace("localhost:9090", &format!("127.0.0.1:{}", self.prometheus));
        fs::write(self.prom_dir.join("prometheus.yml"), prometheus)?;
        let webhook = WEBHOOK_YML
            .replace("http://prommgr:8080", &format!("http://{}", self.prommgr))
            .replace("/run/secrets/webhook_token", &token.to_string_lossy())
            .replace("group_wait: 10s", "group_wait: 1s")
            .replace("group_interval: 30s", "group_interval: 2s")
            .replace("repeat_interval: 4h", "repeat_interval: 1m");
        fs::write(self.dir.join("alertmanager.yml"), webhook)?;
        Ok(())
    }

    /// Starts Prometheus and waits until it is ready.
    pub async fn start_prometheus(&self) -> Result<Leash> {
        let config = format!("--config.file={}", self.prom_dir.join("prometheus.yml").display());
        let data = format!("--storage.tsdb.path={}", self.dir.join("prometheus").display());
        let listen = format!("--web.listen-address=127.0.0.1:{}", self.prometheus);
        // For some seconds after a reload Prometheus 2 knows no Alertmanager and drops what fires
        // (seen with 2.42: notifications_dropped_total); it sends it again only after this delay.
        let resend = "--rules.alert.resend-delay=5s";
        let arguments =
            [&config, &data, &listen, resend, "--web.enable-lifecycle", "--storage.tsdb.retention.time=7d"];
        self.start(&["prometheus"], &arguments, &format!("http://127.0.0.1:{}/-/ready", self.prometheus))
            .await
    }

    /// Starts Alertmanager and waits until it is ready.
    pub async fn start_alertmanager(&self) -> Result<Leash> {
        let config = format!("--config.file={}", self.dir.join("alertmanager.yml").display());
        let data = format!("--storage.path={}", self.dir.join("alertmanager").display());
        let listen = format!("--web.listen-address=127.0.0.1:{}", self.alertmanager);
        let arguments = [&config, &data, &listen, "--cluster.listen-address="];
        let ready = format!("http://127.0.0.1:{}/-/ready", self.alertmanager);
        self.start(&["prometheus-alertmanager", "alertmanager"], &arguments, &ready).await
    }

    /// Starts node_exporter and waits until it answers.
    pub async fn start_node_exporter(&self) -> Result<Leash> {
        let listen = format!("--web.listen-address=127.0.0.1:{}", self.node_exporter);
        let ready = format!("http://127.0.0.1:{}/", self.node_exporter);
        self.start(&["prometheus-node-exporter", "node_exporter"], &[&listen], &ready).await
    }

    async fn start(&self, names: &[&str], arguments: &[&str], ready: &str) -> Result<Leash> {
        let program = names.iter().find_map(|name| find(name)).with_context(|| {
            format!("{} is not installed (make run installs what is missing)", names.join(" or "))
        })?;
        let mut leash = Leash::spawn(Spec {
            program,
            args: arguments.iter().map(Into::into).collect(),
            dir: Some(self.dir.clone()),
            log: self.dir.join(format!("{}.log", names[0])),
            ..Spec::default()
        })?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .timeout(Duration::from_secs(2))
            .build()?;
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            if let Some(ended) = leash.try_wait()? {
                bail!("{} ended at once: {ended}", names[0]);
            }
            if http.get(ready).send().await.is_ok_and(|response| response.status().is_success()) {
                return Ok(leash);
            }
            if Instant::now() > deadline {
                bail!("{} does not answer at {ready}", names[0]);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

/// Ends a program in good order.
pub async fn stop(leash: Leash) -> Result<()> {
    leash.stop(STOP_LIMIT).await?;
    Ok(())
}

pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
