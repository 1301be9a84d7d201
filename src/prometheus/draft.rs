//! What would be published: every file by its hash, and the text of what differs from what is in force.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::folder::Sha;
use super::publish::{empty, sha_of};
use super::{Files, hex, rules, targets};
use crate::error::{Error, Result};
use crate::store::Db;
use crate::store::changes::Actor;
use crate::store::publications::{self, Base, Beginning, ChangedFile, Made, PublishedOwner, Scraped, Wanted};
use crate::store::scope::All;

/// The labels' names that only we set.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    pub owner: String,
    pub server: String,
}

/// A publication that is ready to be written.
#[derive(Debug)]
pub(super) struct Draft {
    /// SHA-256 over all files, in hexadecimal.
    pub revision: String,
    recipe: String,
    /// Servers that are scraped.
    pub servers: i32,
    /// Every file.
    pub files: BTreeMap<String, Sha>,
    /// The texts of those that differ from what is in force.
    pub changed: Arc<Files>,
    /// The rule files, all of them.
    pub rules: Files,
    pub made: Vec<Made>,
    /// The publication whose files these are.
    copy_of: Option<i64>,
    pub wanted: Wanted,
}

/// Target files, as they are put together.
#[derive(Default)]
struct Targets {
    texts: Files,
    made: Vec<Made>,
}

impl Draft {
    /// Renders the rules, and the targets of those owners whose servers changed since their file was made.
    pub(super) async fn read(db: &mut Db, all: All, labels: &Labels) -> Result<Self> {
        let recipe = targets::recipe(&labels.owner, &labels.server);
        let mut fresh = Targets::default();
        let wanted = publications::wanted(
            db,
            all,
            |base| stale(base, &recipe),
            |id, owner, servers| fresh.render(id, owner, servers, labels),
        )
        .await?;
        Self::new(wanted, recipe, fresh, labels)
    }

    /// The files of an earlier publication. What they are made of stays as it is, and what waits goes on waiting.
    pub(super) async fn copy(db: &mut Db, all: All, labels: &Labels, id: i64) -> Result<Self> {
        let wanted = publications::wanted(db, all, |_| Vec::new(), |_, _, _| Ok(())).await?.without_changes();
        let mut files = BTreeMap::new();
        for (path, sha) in publications::state(db, all, id).await? {
            let sha = sha.map_or_else(|| sha_of(empty(&path)), |sha| sha_of_bytes(&sha));
            files.insert(path, sha);
        }
        let in_force = &wanted.base.files;
        let differs = |path: &str, sha: &Sha| in_force.get(path).is_none_or(|old| old.sha256 != *sha);
        let needed = |path: &str, sha: &Sha| path.starts_with("rules/") || differs(path, sha);
        let hashes: Vec<&[u8]> =
            files.iter().filter(|(path, sha)| needed(path, sha)).map(|(_, sha)| sha.as_slice()).collect();
        let texts = publications::contents(db, all, &hashes).await?;
        let (mut rules, mut changed, mut made) = (Files::new(), Files::new(), Vec::new());
        for (path, sha) in files.iter().filter(|(path, sha)| needed(path, sha)) {
            let text = texts.get(sha.as_slice()).cloned().unwrap_or_else(|| empty(path).to_owned());
            if path.starts_with("targets/") {
                let servers = targets::scraped(&text, &labels.owner, &labels.server).len();
                let servers = i32::try_from(servers).unwrap_or(i32::MAX);
                made.push(Made { path: path.clone(), changes: None, servers });
            } else {
                rules.insert(path.clone(), text.clone());
            }
            if differs(path, sha) {
                changed.insert(path.clone(), text);
            }
        }
        let counted: BTreeMap<&str, i32> =
            made.iter().map(|made| (made.path.as_str(), made.servers)).collect();
        let same = in_force.iter().filter(|(path, _)| !counted.contains_key(path.as_str()));
        Ok(Self {
            revision: revision(&files),
            recipe: wanted.base.recipe.clone(),
            servers: same.map(|(_, file)| file.servers).sum::<i32>() + counted.values().sum::<i32>(),
            files,
            changed: Arc::new(changed),
            rules,
            made,
            copy_of: Some(id),
            wanted,
        })
    }

    /// Sets everything back that waits. `Conflict` where the files would not be those in force then.
    pub(super) async fn discard(db: &mut Db, all: All, by: &Actor, labels: &Labels) -> Result<()> {
        let recipe = targets::recipe(&labels.owner, &labels.server);
        let fresh = Mutex::new(Targets::default());
        let rendered = || fresh.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |wanted: Wanted| {
            let draft = Self::new(wanted, recipe.clone(), std::mem::take(&mut *rendered()), labels)?;
            match draft.changed.keys().next() {
                None => Ok(()),
                Some(path) => Err(Error::Conflict(format!(
                    "Not all of it can be set back: {path} would still differ from what is in force. Nothing was discarded."
                ))),
            }
        };
        publications::discard(
            db,
            all,
            by,
            |base| stale(base, &recipe),
            |id, owner, servers| rendered().render(id, owner, servers, labels),
            same,
        )
        .await
    }

    fn new(wanted: Wanted, recipe: String, mut fresh: Targets, labels: &Labels) -> Result<Self> {
        fresh.empty(&wanted.base, &recipe);
        let rules = render(&wanted, labels)?;
        let in_force = &wanted.base.files;
        let mut files = BTreeMap::new();
        for (path, file) in in_force.iter().filter(|(path, _)| path.starts_with("targets/")) {
            files.insert(path.clone(), sha_of_bytes(&file.sha256));
        }
        let mut changed = Files::new();
        for (path, text) in fresh.texts.into_iter().chain(rules.clone()) {
            let sha: Sha = Sha256::digest(&text).into();
            if in_force.get(&path).is_none_or(|old| old.sha256 != sha) {
                changed.insert(path.clone(), text);
            }
            files.insert(path, sha);
        }
        let counted: BTreeMap<&str, i32> =
            fresh.made.iter().map(|made| (made.path.as_str(), made.servers)).collect();
        let kept = in_force.iter().filter(|(path, _)| !counted.contains_key(path.as_str()));
        let servers = kept.map(|(_, file)| file.servers).sum::<i32>() + counted.values().sum::<i32>();
        Ok(Self {
            revision: revision(&files),
            recipe,
            servers,
            files,
            changed: Arc::new(changed),
            rules,
            made: fresh.made,
            copy_of: None,
            wanted,
        })
    }

    /// What there is to note of it when it begins.
    pub(super) fn beginning(&self) -> Beginning<'_> {
        let in_force = &self.wanted.base.files;
        let changed = self.changed.iter().filter_map(|(path, text)| {
            let sha256 = self.files.get(path)?;
            let before = in_force.get(path).map(|file| file.sha256.as_slice());
            Some(ChangedFile { path, text, sha256, before })
        });
        Beginning {
            revision: &self.revision,
            recipe: &self.recipe,
            servers: self.servers,
            files: self.files.len(),
            changed: changed.collect(),
            copy_of: self.copy_of,
        }
    }

    /// What is in force in place of the first so many files that change, by path.
    pub(super) async fn before(&self, db: &mut Db, all: All, most: usize) -> Result<Files> {
        let in_force = &self.wanted.base.files;
        let paths = || self.changed.keys().take(most).filter_map(|path| Some((path, in_force.get(path)?)));
        let hashes: Vec<&[u8]> = paths().map(|(_, file)| file.sha256.as_slice()).collect();
        let texts = publications::contents(db, all, &hashes).await?;
        let text = |(path, file): (&String, &publications::InForce)| {
            Some((path.clone(), texts.get(&file.sha256)?.clone()))
        };
        Ok(paths().filter_map(text).collect())
    }
}

impl Targets {
    fn render(
        &mut self,
        id: i64,
        owner: &PublishedOwner,
        servers: Vec<Scraped>,
        labels: &Labels,
    ) -> Result<()> {
        let count = i32::try_from(servers.len()).unwrap_or(i32::MAX);
        let servers = servers.into_iter().map(|server| target(server, &owner.external_id)).collect();
        let text = targets::file(servers, &labels.owner, &labels.server).map_err(Error::internal)?;
        self.add(targets::path(id), text, Some(owner.changes), count);
        Ok(())
    }

    fn add(&mut self, path: String, text: String, changes: Option<i64>, servers: i32) {
        self.made.push(Made { path: path.clone(), changes, servers });
        self.texts.insert(path, text);
    }

    /// Files of owners who have no server any more become empty: Prometheus keeps the targets of one that is gone.
    fn empty(&mut self, base: &Base, recipe: &str) {
        for (path, file) in &base.files {
            let Some(id) = targets::owner_of(path) else { continue };
            let owner = base.owners.get(&id).map(|owner| owner.changes);
            let is_fresh = owner.is_some() && file.changes == owner && base.recipe == recipe;
            if !is_fresh && !self.texts.contains_key(path) {
                self.add(path.clone(), targets::EMPTY.to_owned(), owner, 0);
            }
        }
    }
}

/// The owners whose files are not of what there is now.
fn stale(base: &Base, recipe: &str) -> Vec<i64> {
    let fresh = |id: i64, changes: i64| {
        base.recipe == recipe
            && base.files.get(&targets::path(id)).is_some_and(|file| file.changes == Some(changes))
    };
    base.owners.iter().filter(|(id, owner)| !fresh(**id, owner.changes)).map(|(id, _)| *id).collect()
}

fn render(wanted: &Wanted, labels: &Labels) -> Result<Files> {
    let mut snapshot = rules::Snapshot::of(wanted.kinds.clone(), &labels.owner, &labels.server);
    snapshot.shared_server_ids = wanted.shared_server_ids.clone();
    for threshold in &wanted.thresholds {
        let (Some(kind), Ok(severity)) = (wanted.kinds.kind(&threshold.rule), threshold.severity.parse())
        else {
            continue;
        };
        let setting = threshold.setting();
        let owner = |id: i64| wanted.base.owners.get(&id).map(|owner| owner.external_id.as_str());
        match (threshold.owner_id, threshold.server_id) {
            (None, _) => snapshot.set_default(kind, severity, setting),
            (Some(id), None) => {
                if let Some(owner) = owner(id) {
                    snapshot.set_owner(kind, severity, owner, setting);
                }
            }
            (Some(id), Some(server)) => {
                if let (Some(owner), Some(server)) = (owner(id), wanted.server_ids.get(&server)) {
                    snapshot.set_server(kind, severity, owner, server, setting);
                }
            }
        }
    }
    let before = wanted.base.files.keys().map(String::as_str);
    rules::render_after(&snapshot, before).map_err(Error::internal)
}

fn target(server: Scraped, owner: &str) -> targets::Target {
    let labels = server.labels.as_object().into_iter().flatten();
    targets::Target {
        owner_id: server.owner_id,
        owner_external_id: owner.to_owned(),
        server_external_id: server.external_id,
        address: server.address,
        port: u16::try_from(server.port).unwrap_or_default(),
        job: server.job,
        scheme: server.scheme,
        metrics_path: server.metrics_path,
        labels: labels
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
    }
}

fn sha_of_bytes(bytes: &[u8]) -> Sha {
    bytes.try_into().unwrap_or_default()
}

/// SHA-256 over paths and hashes.
fn revision(files: &BTreeMap<String, Sha>) -> String {
    let mut hash = Sha256::new();
    for (path, sha) in files {
        hash.update(path.len().to_be_bytes());
        hash.update(path);
        hash.update(sha);
    }
    hex(&hash.finalize())
}
