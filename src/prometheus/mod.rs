//! Publishing: read what is wanted, render, check, write, have every Prometheus load it, verify,
//! note. Called by the pages, the command line and the demo.

pub mod client;
pub mod diff;
pub mod files;
pub mod firings;
pub mod promtool;
pub mod rules;
pub mod targets;
pub mod trial;
pub mod values;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use self::client::Client;
use crate::catalogue;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::store::changes::{self, Actor, Change};
use crate::store::publications::{self, Answer, Wanted};
use crate::store::scope::All;
use crate::store::{Db, Store};

/// How long the new rules may take to be in force after a reload was answered.
const IN_FORCE_LIMIT: Duration = Duration::from_secs(15);
/// How long [`Publisher::start`] waits for a publication to end before it answers with its id.
const PATIENCE: Duration = Duration::from_secs(8);
/// Pending changes that a preview lists.
const MOST_CHANGES: i64 = 200;

/// What publishes; cheap to clone.
#[derive(Clone)]
pub struct Publisher(Arc<Inner>);

struct Inner {
    store: Store,
    dir: PathBuf,
    clients: Vec<Client>,
    owner_label: String,
    server_label: String,
}

/// What publishing would do now.
#[derive(Debug)]
pub struct Preview {
    /// SHA-256 over all files, in hexadecimal.
    pub revision: String,
    /// Against the last publication that was in force.
    pub files: Vec<diff::FileDiff>,
    /// What people changed since then, oldest first.
    pub changes: Vec<Change>,
    /// Servers that would be scraped.
    pub servers: usize,
    /// Nothing was ever in force.
    pub first: bool,
}

/// Files by path, as they are to be.
type Files = BTreeMap<String, String>;

impl Publisher {
    /// For the Prometheis and the folder of the settings.
    pub fn new(config: &Config, store: Store) -> Result<Self> {
        let clients = config.prometheus.iter().map(|url| Client::new(url.clone()));
        Ok(Self(Arc::new(Inner {
            store,
            dir: config.prom_dir.clone(),
            clients: clients.collect::<Result<_, _>>().map_err(Error::internal)?,
            owner_label: config.owner_label.clone(),
            server_label: config.server_label.clone(),
        })))
    }

    /// Every Prometheus that is published to.
    pub fn clients(&self) -> &[Client] {
        &self.0.clients
    }

    /// What publishing would change now.
    pub async fn preview(&self, db: &mut Db, all: All) -> Result<Preview> {
        let changes = changes::pending(db, all, MOST_CHANGES).await?;
        let latest = publications::latest(db, all).await?;
        let wanted = publications::wanted(db, all).await?;
        let servers = wanted.servers.len();
        let first = latest.is_none();
        let latest = latest.unwrap_or_default();
        let inner = self.0.clone();
        blocking(move || {
            let files = inner.render(&wanted, &latest)?;
            Ok(Preview {
                revision: revision(&files),
                files: diff::files(&latest, &files),
                changes,
                servers,
                first,
            })
        })
        .await
    }

    /// Publishes in a task of its own, which goes on when the caller is gone. Returns the
    /// publication's id when it has ended, or when that takes long. With `expected`, refuses when
    /// something else would be published than what was looked at.
    pub async fn start(&self, all: All, by: Actor, expected: Option<String>) -> Result<i64> {
        let (begun, beginning) = oneshot::channel();
        let inner = self.0.clone();
        let task = tokio::spawn(async move {
            let result = inner.publish(all, &by, expected, begun).await;
            if let Err(error) = &result {
                tracing::warn!(%error, "publishing failed");
            }
            result
        });
        match tokio::time::timeout(PATIENCE, task).await {
            Ok(done) => done.map_err(Error::internal)?,
            Err(_) => match beginning.await {
                Ok(id) => Ok(id),
                Err(_) => Err(Error::Unavailable(
                    "Publishing waits for somebody else's to end. Look at the list in a moment.".into(),
                )),
            },
        }
    }

    /// As [`Self::start`], waiting for the end however long it takes.
    pub async fn publish(&self, all: All, by: &Actor) -> Result<i64> {
        self.0.publish(all, by, None, oneshot::channel().0).await
    }
}

impl Inner {
    async fn publish(
        &self,
        all: All,
        by: &Actor,
        expected: Option<String>,
        begun: oneshot::Sender<i64>,
    ) -> Result<i64> {
        let _lock = publications::lock(&self.store).await?;
        let mut db = self.store.db(all).await?;
        let wanted = publications::wanted(&mut db, all).await?;
        let latest = publications::latest(&mut db, all).await?.unwrap_or_default();
        let files = self.render(&wanted, &latest)?;
        let revision = revision(&files);
        if expected.is_some_and(|expected| expected != revision) {
            return Err(Error::Conflict(
                "Something was changed since you looked. Look at the difference again, then publish.".into(),
            ));
        }
        let id = publications::begin(&mut db, all, by, &revision, wanted.servers.len(), &files).await?;
        // nobody may be waiting any more
        let _ = begun.send(id);
        // Prometheus takes its time; no connection waits for it
        drop(db);
        let (state, reason, answers) = self.put_in_force(&files).await;
        metrics::counter!("prommgr_publications_total", "state" => state).increment(1);
        tracing::info!(publication = id, state, reason, by = by.name, "published");
        let mut db = self.store.db(all).await?;
        publications::finish(&mut db, all, id, state, &reason, &answers, &wanted).await?;
        Ok(id)
    }

    /// Everything after the rendering. When no Prometheus has it in force in the end, the old
    /// files are put back.
    async fn put_in_force(&self, files: &Files) -> (&'static str, String, Vec<Answer>) {
        if let Some(Err(reason)) = promtool::check(&self.dir, files).await {
            return ("refused", format!("promtool refused it, so nothing was changed: {reason}"), Vec::new());
        }
        let old = match self.write(files.clone()).await {
            Ok(old) => old,
            Err(error) => return ("failed", error.to_string(), Vec::new()),
        };
        let wanted = rules::revision(files);
        let asked = self.clients.iter().map(|client| load(client, &wanted, &self.dir));
        let answers = futures_util::future::join_all(asked).await;
        let in_force = answers.iter().filter(|answer| answer.state == "in_force").count();
        if in_force == answers.len() {
            return ("in_force", String::new(), answers);
        }
        if in_force > 0 {
            return (
                "partly",
                format!("{in_force} of {} Prometheus have it in force.", answers.len()),
                answers,
            );
        }
        let state = if answers.iter().any(|answer| answer.state == "refused") { "refused" } else { "failed" };
        let dir = self.dir.clone();
        let restored = tokio::task::spawn_blocking(move || files::restore(&dir, &old)).await;
        // one that took the new rules and could not say so is to go back with the files
        futures_util::future::join_all(self.clients.iter().map(Client::reload)).await;
        let mut reason = match restored {
            Ok(Ok(())) => "No Prometheus has it in force, so the old files were put back.".to_owned(),
            Ok(Err(error)) => {
                format!("No Prometheus has it in force, and the old files could not be put back: {error}")
            }
            Err(error) => {
                format!("No Prometheus has it in force, and the old files could not be put back: {error}")
            }
        };
        for answer in &answers {
            // writing to a String cannot fail
            let _ = write!(reason, " {}", answer.reason);
        }
        (state, reason, answers)
    }

    /// Writes what differs from what stands in the folder, and returns what stood there.
    async fn write(&self, mut wanted: Files) -> Result<files::Contents> {
        let dir = self.dir.clone();
        blocking(move || {
            let written = || -> Result<files::Contents, files::Error> {
                let mut managed = files::managed(&dir)?;
                for path in managed.iter().filter(|path| path.starts_with("targets/")) {
                    wanted.entry(path.clone()).or_insert_with(|| targets::EMPTY.to_owned());
                }
                managed.extend(wanted.keys().cloned());
                let old = files::read(&dir, &managed)?;
                files::apply(&dir, &files::plan(&old, &wanted))?;
                Ok(old)
            };
            let mut written = written;
            written().map_err(|error| Error::Unavailable(error.to_string()))
        })
        .await
    }

    /// The files of what is wanted; target files of `latest` that nobody needs any more become empty.
    fn render(&self, wanted: &Wanted, latest: &Files) -> Result<Files> {
        let mut snapshot = rules::Snapshot::new(&self.owner_label, &self.server_label);
        snapshot.shared_server_ids = wanted.shared_server_ids.iter().cloned().collect();
        for threshold in &wanted.thresholds {
            let (Some(kind), Ok(severity)) = (catalogue::kind(&threshold.rule), threshold.severity.parse())
            else {
                continue;
            };
            let setting = threshold.setting();
            match (threshold.owner_id, threshold.server_id) {
                (None, _) => snapshot.set_default(kind, severity, setting),
                (Some(owner), None) => {
                    if let Some(owner) = wanted.owners.get(&owner) {
                        snapshot.set_owner(kind, severity, owner, setting);
                    }
                }
                (Some(owner), Some(server)) => {
                    if let (Some(owner), Some(server)) =
                        (wanted.owners.get(&owner), wanted.server_ids.get(&server))
                    {
                        snapshot.set_server(kind, severity, owner, server, setting);
                    }
                }
            }
        }
        let mut files = rules::render(&snapshot).map_err(Error::internal)?;
        let servers: Vec<_> = wanted.servers.iter().map(|(server, owner)| target(server, owner)).collect();
        files.extend(
            targets::render(&servers, &self.owner_label, &self.server_label).map_err(Error::internal)?,
        );
        for path in latest.keys().filter(|path| path.starts_with("targets/")) {
            files.entry(path.clone()).or_insert_with(|| targets::EMPTY.to_owned());
        }
        Ok(files)
    }
}

fn target(server: &crate::store::servers::Server, owner: &str) -> targets::Target {
    let labels = server.labels.as_object().into_iter().flatten();
    targets::Target {
        owner_id: server.owner_id,
        owner_external_id: owner.to_owned(),
        server_external_id: server.external_id.clone(),
        address: server.address.clone(),
        port: u16::try_from(server.port).unwrap_or_default(),
        job: server.job.clone(),
        scheme: server.scheme.clone(),
        metrics_path: server.metrics_path.clone(),
        labels: labels
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
    }
}

/// SHA-256 over paths and contents, in hexadecimal.
fn revision(files: &Files) -> String {
    let mut hash = Sha256::new();
    for (path, text) in files {
        hash.update(path.len().to_be_bytes());
        hash.update(path);
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    hash.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Has one Prometheus load the rules, unless it has them, and sees that they are in force.
async fn load(client: &Client, wanted: &str, dir: &std::path::Path) -> Answer {
    let began = Instant::now();
    let (state, reason) = match in_force(client, wanted, dir).await {
        Ok(None) => ("in_force", String::new()),
        Ok(Some(why)) => ("unverified", why),
        Err(error @ (client::Error::Unreachable { .. } | client::Error::Setup(_))) => {
            ("unreachable", error.to_string())
        }
        Err(error) => ("refused", error.to_string()),
    };
    let took_ms = i32::try_from(began.elapsed().as_millis()).unwrap_or(i32::MAX);
    Answer { prometheus: client.at().to_string(), state: state.into(), reason, took_ms }
}

/// `None` when the rules are in force, else why that cannot be said.
async fn in_force(
    client: &Client,
    wanted: &str,
    dir: &std::path::Path,
) -> Result<Option<String>, client::Error> {
    if client.revision_in_force().await?.as_deref() == Some(wanted) {
        return Ok(None);
    }
    client.reload().await?;
    let deadline = Instant::now() + IN_FORCE_LIMIT;
    let mut pause = Duration::from_millis(20);
    loop {
        let found = client.revision_in_force().await?;
        if found.as_deref() == Some(wanted) {
            return Ok(None);
        }
        if Instant::now() > deadline {
            return Ok(Some(format!(
                "Prometheus at {} reloaded, but has {} in force: is {}/rules/*.yml what its rule_files names?",
                client.at(),
                if found.is_some() { "other rules" } else { "none of our rules" },
                dir.display()
            )));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}
