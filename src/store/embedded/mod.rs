//! A Postgres of our own, when no `DATABASE_URL` is given: the machine's programs on our data directory.
//!
//! It listens on a Unix socket only, lets in nobody but the user that runs prommgr, and ends with us
//! ([`crate::leash`]). The application gets an ordinary role, so that row-level security binds it.

mod account;
mod binaries;
mod error;
mod site;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

pub use self::error::EmbeddedError;
use self::site::Site;
use crate::leash::{Ended, Leash, Signal};

/// How often it is asked whether it is ready.
const POLL: Duration = Duration::from_millis(20);
/// How long it may take to be ready; after a crash it replays its log first.
const READY: Duration = Duration::from_secs(300);
/// How long processes of a killed Postgres may hold its memory.
const ORPHANS: Duration = Duration::from_secs(10);
/// How long it may take to end before it is killed.
const STOP: Duration = Duration::from_secs(60);
/// How long [`connect_running`] waits for another prommgr's Postgres.
const OTHERS: Duration = Duration::from_secs(10);

/// What differs between the product and its tests.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether what is committed survives a crash of the machine.
    pub durable: bool,
    /// Whether the role may make databases, as a test does for itself.
    pub createdb: bool,
    /// How many connections it takes.
    pub max_connections: u16,
}

impl Default for Options {
    fn default() -> Self {
        Options { durable: true, createdb: false, max_connections: 100 }
    }
}

/// A running Postgres that ends, in good order, when this is dropped or we are killed.
#[derive(Debug)]
pub struct Embedded {
    leash: Leash,
    socket: PathBuf,
    // Let go last, after the leash.
    _lock: File,
}

/// Starts Postgres on `data_dir/postgres`, which is made if missing, and waits until it answers.
///
/// The errors say what to do. [`EmbeddedError::InUse`] is the answer if another prommgr has it.
pub async fn start(data_dir: &Path) -> Result<Embedded, EmbeddedError> {
    start_with(data_dir, Options::default()).await
}

/// Like [`start`], with options.
pub async fn start_with(data_dir: &Path, options: Options) -> Result<Embedded, EmbeddedError> {
    let site = Site::open(data_dir, &options).await?;
    let begun = Instant::now();
    let (leash, admin) = loop {
        match run(&site, &options).await {
            // Left by a Postgres that was killed; they end as soon as they notice.
            Err(EmbeddedError::Failed { ended, .. })
                if ended.log.contains("shared memory block") && begun.elapsed() < ORPHANS =>
            {
                sleep(5 * POLL).await;
            }
            other => break other?,
        }
    };
    provide(&admin, &options).await?;
    Ok(Embedded { leash, socket: site.socket, _lock: site.lock })
}

/// The URL of the Postgres that another prommgr runs on this data directory, for commands beside it.
///
/// Waits up to 10 s, because the other one may be starting: ask it after [`EmbeddedError::InUse`].
pub async fn connect_running(data_dir: &Path) -> Option<String> {
    let socket = site::socket_dir(&fs::canonicalize(data_dir).ok()?);
    let begun = Instant::now();
    while begun.elapsed() < OTHERS {
        if connect(&socket, "prommgr", "prommgr").await.is_ok() {
            return Some(url(&socket, "prommgr"));
        }
        sleep(POLL).await;
    }
    None
}

impl Embedded {
    /// The URL of the database `prommgr` for the role `prommgr`, as libpq and tokio-postgres read it.
    pub fn url(&self) -> String {
        self.url_of("prommgr")
    }

    /// Like [`Embedded::url`], for another database; its name must need no escaping.
    pub fn url_of(&self, database: &str) -> String {
        url(&self.socket, database)
    }

    /// Waits until Postgres ends, which it should not; may be dropped and called again.
    pub async fn ended(&mut self) -> io::Result<Ended> {
        self.leash.wait().await
    }

    /// Ends Postgres without waiting for its clients; what is committed is on disk then.
    pub async fn stop(self) -> io::Result<Ended> {
        self.leash.stop(STOP).await
    }
}

fn url(socket: &Path, database: &str) -> String {
    let mut host = String::new();
    for &byte in socket.as_os_str().as_encoded_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' => {
                host.push(char::from(byte));
            }
            _ => host.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("postgresql:///{database}?user=prommgr&host={host}")
}

async fn run(site: &Site, options: &Options) -> Result<(Leash, Client), EmbeddedError> {
    let mut spec = site.spec("postgres");
    spec.stop = Signal::Int;
    spec.args = vec!["-D".into(), site.cluster.clone().into()];
    let connections = options.max_connections.to_string();
    let mut settings: Vec<(&str, String)> = [
        ("listen_addresses", ""),
        ("port", "5432"),
        ("unix_socket_permissions", "0700"),
        ("cluster_name", "prommgr"),
        ("max_connections", &connections),
        // A guest on a small machine, with short queries.
        ("shared_buffers", "64MB"),
        ("jit", "off"),
        ("random_page_cost", "1.1"),
        // The log is for the server's troubles; statements and keys are customers' data.
        ("log_checkpoints", "off"),
        ("log_error_verbosity", "terse"),
        ("log_min_error_statement", "panic"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into();
    settings.extend(site.paths());
    if !options.durable {
        let risky = ["fsync", "synchronous_commit", "full_page_writes"];
        settings.extend(risky.map(|name| (name, "off".to_owned())));
    }
    for (name, value) in settings {
        spec.args.push("-c".into());
        spec.args.push(format!("{name}={value}").into());
    }
    let mut leash = Leash::spawn(spec).map_err(|e| EmbeddedError::io("cannot run postgres", e))?;
    let admin = ready(site, &mut leash).await?;
    Ok((leash, admin))
}

async fn ready(site: &Site, leash: &mut Leash) -> Result<Client, EmbeddedError> {
    let begun = Instant::now();
    while begun.elapsed() < READY {
        match connect(&site.socket, "postgres", "postgres").await {
            Ok(client) => return Ok(client),
            Err(e) if e.code().is_some_and(|c| *c != SqlState::CANNOT_CONNECT_NOW) => {
                return Err(e.into());
            }
            Err(_) => {}
        }
        if let Ok(ended) = timeout(POLL, leash.wait()).await {
            return Err(EmbeddedError::Failed {
                program: "postgres",
                ended: ended.map_err(|e| EmbeddedError::io("cannot wait for postgres", e))?,
            });
        }
    }
    Err(EmbeddedError::Slow { what: "did not become ready", seconds: READY.as_secs(), log: site.log.clone() })
}

async fn connect(socket: &Path, user: &str, database: &str) -> Result<Client, tokio_postgres::Error> {
    let mut config = Config::new();
    config.host_path(socket).user(user).dbname(database);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Makes the role and its database, or puts right what they may do.
async fn provide(admin: &Client, options: &Options) -> Result<(), EmbeddedError> {
    let row = admin
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'prommgr'), \
                    EXISTS (SELECT FROM pg_database WHERE datname = 'prommgr')",
            &[],
        )
        .await?;
    if !row.get::<_, bool>(0) {
        admin.batch_execute("CREATE ROLE prommgr").await?;
    }
    let createdb = if options.createdb { "CREATEDB" } else { "NOCREATEDB" };
    let role = "ALTER ROLE prommgr LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION";
    admin.batch_execute(&format!("{role} {createdb}")).await?;
    if !row.get::<_, bool>(1) {
        let database = "CREATE DATABASE prommgr OWNER prommgr";
        admin.batch_execute(database).await?;
    }
    Ok(())
}
