//! Publishing: read what is wanted, render, check, write, have every Prometheus load it, verify,
//! note. Called by the pages, the command line and the demo.

pub mod client;
pub mod diff;
mod draft;
mod drift;
pub mod fault;
pub mod files;
pub mod firings;
mod folder;
mod load;
pub mod promtool;
mod publish;
pub mod rules;
pub mod targets;
pub mod trial;
pub mod values;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, oneshot};
use tokio::task::JoinHandle;

use self::client::Client;
use self::draft::{Draft, Labels};
use self::folder::Folder;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::store::changes::{self, Actor, NetChange};
use crate::store::scope::All;
use crate::store::{Db, Store, publications};

/// How long [`Publisher::start`] waits for a publication to end before it answers with its id.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a publication waits for others of this instance.
const TURN: Duration = Duration::from_secs(60);
/// Files whose difference a preview shows.
const MOST_FILES: usize = 100;
/// Changes of a kind that a preview lists.
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
    /// What waits, oldest first.
    pub changes: Vec<NetChange>,
    /// Servers that would be scraped.
    pub servers: i32,
    /// Nothing was ever in force.
    pub first: bool,
    /// The first of the files that another hand has changed, from what was published to what stands there.
    pub drift: Vec<diff::FileDiff>,
    /// How many they are.
    pub drifted: usize,
    /// The folder cannot be looked at.
    pub problem: Option<String>,
    /// The last publication, where it brought back another's files, and that one.
    pub copied: Option<(i64, i64)>,
}

const SINCE: &str = "Something was changed since you looked. Look at the difference again, then decide.";

/// Files by path, as they are to be.
type Files = BTreeMap<String, String>;

/// What is to be published, and under which conditions.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// The revision that was looked at; another one is refused.
    pub expected: Option<String>,
    /// What another hand has changed in the folder is overwritten; without this it is refused.
    pub overwrite: bool,
    /// The publication whose files are brought back.
    pub copy_of: Option<i64>,
}

/// A publication whose targets are still looked for.
#[derive(Debug)]
pub struct Published {
    pub id: i64,
    following: JoinHandle<()>,
}

impl Published {
    /// Waits until the targets were seen, or are not waited for any more: 40 s at the most. Returns the publication's id.
    pub async fn seen(self) -> i64 {
        if let Err(error) = self.following.await {
            tracing::error!(%error, "following the targets ended badly");
        }
        self.id
    }
}

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
        let changes = changes::net(db, all, MOST_CHANGES).await?;
        let draft = Draft::read(db, all, &self.0.labels).await?;
        let before = draft.before(db, all, MOST_FILES).await?;
        let base = &draft.wanted.base;
        let (drift, drifted, problem) = match self.0.drifted(db, all, base).await {
            Ok((files, n)) => (files, n, None),
            Err(Error::Unavailable(why)) => (Vec::new(), 0, Some(why)),
            Err(error) => return Err(error),
        };
        let copied = match base.publication {
            Some(id) => publications::find(db, all, id).await?.copy_of.map(|of| (id, of)),
            None => None,
        };
        let (first, servers) = (draft.wanted.base.publication.is_none(), draft.servers);
        let (revision, after) = (draft.revision, draft.changed);
        blocking(move || {
            let file = |(path, text): (&String, &String)| {
                diff::file(path, before.get(path).map(String::as_str), text)
            };
            let files = after.iter().take(MOST_FILES).map(file).collect();
            Ok(Preview {
                revision,
                files,
                differ: after.len(),
                changes,
                servers,
                first,
                drift,
                drifted,
                problem,
                copied,
            })
        })
        .await
    }

    /// Publishes in a task of its own, which goes on when the caller is gone. Returns the
    /// publication's id when it has ended, or when that takes long.
    pub async fn start(&self, all: All, by: Actor, order: Order) -> Result<i64> {
        let (begun, beginning) = oneshot::channel();
        let inner = self.0.clone();
        let task = tokio::spawn(async move {
            let result = inner.publish(all, &by, order, begun).await;
            if let Err(error) = &result {
                tracing::warn!(%error, "publishing failed");
            }
            Ok(result?.seen().await)
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

    /// Looks for files that another hand has changed, and notes them for the pages. `None` while somebody publishes.
    pub async fn look(&self, all: All) -> Result<Option<usize>> {
        self.0.look(all).await
    }

    /// What a publication has in place of another's files, at most so many, and how many differ.
    pub async fn compare(
        &self,
        db: &mut Db,
        all: All,
        ids: (i64, i64),
    ) -> Result<(Vec<diff::FileDiff>, usize)> {
        let (before, after) =
            (publications::state(db, all, ids.0).await?, publications::state(db, all, ids.1).await?);
        let sha = |files: &BTreeMap<String, Option<Vec<u8>>>, path: &str| files.get(path).cloned().flatten();
        let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
        paths.sort();
        paths.dedup();
        paths.retain(|path| sha(&before, path) != sha(&after, path));
        let shown: Vec<_> = paths
            .iter()
            .take(MOST_FILES)
            .map(|path| (*path, sha(&before, path), sha(&after, path)))
            .collect();
        let hashes: Vec<&[u8]> =
            shown.iter().flat_map(|(_, old, new)| [old, new]).flatten().map(Vec::as_slice).collect();
        let texts = publications::contents(db, all, &hashes).await?;
        let text = |sha: &Option<Vec<u8>>| sha.as_ref().and_then(|sha| texts.get(sha)).cloned();
        let shown: Vec<_> =
            shown.iter().map(|(path, old, new)| ((*path).clone(), text(old), text(new))).collect();
        let differ = paths.len();
        let one = |(path, old, new): (String, Option<String>, Option<String>)| match new {
            Some(new) => diff::file(&path, old.as_deref(), &new),
            None => diff::FileDiff { change: "removed", ..diff::file(&path, old.as_deref(), "") },
        };
        blocking(move || Ok((shown.into_iter().map(one).collect(), differ))).await
    }

    /// Sets everything that waits back to what was published last. `Conflict` where something else waits than `expected`, or
    /// where something cannot be set back.
    pub async fn discard(&self, all: All, by: &Actor, expected: &str) -> Result<()> {
        let inner = &self.0;
        let _turn = inner.turn().await?;
        let _lock = publications::lock(&inner.store).await?;
        let mut db = inner.store.db(all).await?;
        let draft = Draft::read(&mut db, all, &inner.labels).await?;
        if draft.wanted.base.publication.is_none() {
            return Err(Error::Conflict(
                "Nothing was ever published, so there is nothing to go back to.".into(),
            ));
        }
        if draft.revision != expected {
            return Err(Error::Conflict(SINCE.into()));
        }
        Draft::discard(&mut db, all, by, &inner.labels).await
    }

    /// As [`Self::start`], waiting however long it takes until the rules are in force; the targets are followed.
    pub async fn publish(&self, all: All, by: &Actor, order: Order) -> Result<Published> {
        self.0.publish(all, by, order, oneshot::channel().0).await
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
