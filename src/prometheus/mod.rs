//! Publishing: read what is wanted, render, check, write, have every Prometheus load it, verify,
//! note. Called by the pages, the command line and the demo.

pub mod client;
pub mod diff;
mod draft;
pub mod files;
mod folder;
mod load;
pub mod promtool;
mod publish;
pub mod rules;
pub mod targets;
pub mod values;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, oneshot};

use self::client::Client;
use self::draft::{Draft, Labels};
use self::folder::Folder;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::store::changes::{self, Actor, Change};
use crate::store::scope::All;
use crate::store::{Db, Store};

/// How long [`Publisher::start`] waits for a publication to end before it answers with its id.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a publication waits for others of this instance.
const TURN: Duration = Duration::from_secs(60);
/// Files whose difference a preview shows.
const MOST_FILES: usize = 100;
/// Pending changes that a preview lists.
const MOST_CHANGES: i64 = 200;

/// What publishes; cheap to clone.
#[derive(Clone)]
pub struct Publisher(Arc<Inner>);

struct Inner {
    store: Store,
    folder: Arc<Folder>,
    clients: Vec<Client>,
    labels: Labels,
    turn: Mutex<()>,
}

/// What publishing would do now.
#[derive(Debug)]
pub struct Preview {
    /// SHA-256 over all files, in hexadecimal.
    pub revision: String,
    /// The first hundred files that differ from what is in force.
    pub files: Vec<diff::FileDiff>,
    /// How many differ.
    pub differ: usize,
    /// What people changed since then, oldest first.
    pub changes: Vec<Change>,
    /// Servers that would be scraped.
    pub servers: i32,
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
            folder: Arc::new(Folder::new(&config.prom_dir)),
            clients: clients.collect::<Result<_, _>>().map_err(Error::internal)?,
            labels: Labels { owner: config.owner_label.clone(), server: config.server_label.clone() },
            turn: Mutex::new(()),
        })))
    }

    /// Every Prometheus that is published to.
    pub fn clients(&self) -> &[Client] {
        &self.0.clients
    }

    /// What publishing would change now.
    pub async fn preview(&self, db: &mut Db, all: All) -> Result<Preview> {
        let changes = changes::pending(db, all, MOST_CHANGES).await?;
        let draft = Draft::read(db, all, &self.0.labels).await?;
        let before = draft.before(db, all, MOST_FILES).await?;
        let (first, servers) = (draft.wanted.base.publication.is_none(), draft.servers);
        let (revision, after) = (draft.revision, draft.changed);
        blocking(move || {
            let file = |(path, text): (&String, &String)| {
                diff::file(path, before.get(path).map(String::as_str), text)
            };
            let files = after.iter().take(MOST_FILES).map(file).collect();
            Ok(Preview { revision, files, differ: after.len(), changes, servers, first })
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
    /// One publication of this instance at a time: others wait here, and not each with a connection.
    async fn turn(&self) -> Result<MutexGuard<'_, ()>> {
        let busy = "Others are publishing just now. Wait for that to end and try again.";
        let turn = tokio::time::timeout(TURN, self.turn.lock()).await;
        turn.map_err(|_| Error::Unavailable(busy.into()))
    }
}

/// In hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // writing to a String cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}
