//! One publication from the lock to the end: read, compare, note, write, load, verify, note.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::client::Client;
use super::draft::Draft;
use super::files::{self, Staged};
use super::folder::Sha;
use super::load::load;
use super::{Files, Inner, blocking, promtool, rules, targets};
use crate::error::{Error, Result};
use crate::store::Db;
use crate::store::changes::Actor;
use crate::store::publications::{self, Answer, Ending};
use crate::store::scope::All;

impl Inner {
    pub(super) async fn publish(
        &self,
        all: All,
        by: &Actor,
        expected: Option<String>,
        begun: oneshot::Sender<i64>,
    ) -> Result<i64> {
        let _turn = self.turn().await?;
        let _lock = publications::lock(&self.store).await?;
        let mut db = self.store.db(all).await?;
        let draft = Draft::read(&mut db, all, &self.labels).await?;
        if expected.is_some_and(|expected| expected != draft.revision) {
            return Err(Error::Conflict(
                "Something was changed since you looked. Look at the difference again, then publish.".into(),
            ));
        }
        let differing = self.differing(&draft).await;
        // the files are made durable beside their places while PostgreSQL does the same
        let (id, staged) = match differing {
            Ok(paths) => {
                let texts = self.texts(&mut db, all, &draft, &paths).await?;
                let (new, dir) = (draft.beginning(), self.folder.clone());
                let staging = blocking(move || Ok(files::stage(dir.dir(), &texts)));
                let (id, staged) = tokio::join!(publications::begin(&mut db, all, by, &new), staging);
                (id?, staged?)
            }
            Err(error) => (publications::begin(&mut db, all, by, &draft.beginning()).await?, Err(error)),
        };
        // nobody may be waiting any more
        let _ = begun.send(id);
        // Prometheus takes its time; no connection waits for it
        drop(db);
        let ending = match staged {
            Ok(staged) => self.put_in_force(&draft, staged).await,
            Err(error) => failed(&error),
        };
        let Ending { state, ref reason, .. } = ending;
        metrics::counter!("prommgr_publications_total", "state" => state).increment(1);
        tracing::info!(publication = id, state, reason, by = by.name, "published");
        let mut db = self.store.db(all).await?;
        publications::finish(&mut db, all, id, &ending, &draft.made, &draft.wanted).await?;
        Ok(id)
    }

    /// The paths at which something else stands than there is to be, and nothing where nothing is to be.
    async fn differing(&self, draft: &Draft) -> Result<BTreeMap<String, Option<Sha>>, files::Error> {
        let (folder, paths) = (self.folder.clone(), draft.files.keys().cloned().collect::<Vec<_>>());
        let found = tokio::task::spawn_blocking(move || folder.survey(paths.into_iter())).await;
        let found = found.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        let mut differing = BTreeMap::new();
        for (path, sha) in draft.files.iter().filter(|(path, sha)| found.get(*path) != Some(*sha)) {
            differing.insert(path.clone(), Some(*sha));
        }
        for (path, sha) in found.iter().filter(|(path, _)| !draft.files.contains_key(*path)) {
            if *sha != sha_of(empty(path)) {
                differing.insert(path.clone(), None);
            }
        }
        Ok(differing)
    }

    /// What is to stand at these paths.
    async fn texts(
        &self,
        db: &mut Db,
        all: All,
        draft: &Draft,
        paths: &BTreeMap<String, Option<Sha>>,
    ) -> Result<Arc<Files>> {
        if paths.keys().eq(draft.changed.keys()) {
            return Ok(draft.changed.clone());
        }
        let of = |path: &str| draft.changed.get(path).or_else(|| draft.rules.get(path));
        let missing = paths.iter().filter(|(path, _)| of(path).is_none()).filter_map(|(_, sha)| sha.as_ref());
        let missing: Vec<&[u8]> = missing.map(<[u8; 32]>::as_slice).collect();
        let stored = publications::contents(db, all, &missing).await?;
        let text = |(path, sha): (&String, &Option<Sha>)| {
            let text = match sha {
                None => empty(path).to_owned(),
                Some(sha) => match of(path) {
                    Some(text) => text.clone(),
                    None => stored.get(sha.as_slice()).cloned().ok_or_else(|| lost(path))?,
                },
            };
            Ok((path.clone(), text))
        };
        paths.iter().map(text).collect::<Result<_>>().map(Arc::new)
    }

    /// Everything after the rendering. When no Prometheus has it in force in the end, the old
    /// files are put back.
    async fn put_in_force(&self, draft: &Draft, staged: Staged) -> Ending {
        let changes_rules = draft.changed.keys().any(|path| path.starts_with("rules/"));
        if changes_rules && let Some(Err(reason)) = promtool::check(self.folder.dir(), &draft.rules).await {
            let reason = format!("promtool refused it, so nothing was changed: {reason}");
            return Ending { state: "refused", reason, answers: Vec::new() };
        }
        let old = match self.write(draft, staged).await {
            Ok(old) => old,
            Err(error) => return failed(&error),
        };
        let wanted = rules::revision(&draft.rules);
        let asked = self.clients.iter().map(|client| load(client, &wanted, self.folder.dir()));
        let answers = futures_util::future::join_all(asked).await;
        let in_force = answers.iter().filter(|answer| answer.state == "in_force").count();
        if in_force == answers.len() {
            return Ending { state: "in_force", reason: String::new(), answers };
        }
        if in_force > 0 {
            let reason = format!("{in_force} of {} Prometheus have it in force.", answers.len());
            return Ending { state: "partly", reason, answers };
        }
        self.take_back(old, answers).await
    }

    /// Puts the files in place, and returns what stood there.
    async fn write(&self, draft: &Draft, staged: Staged) -> Result<files::Contents> {
        let folder = self.folder.clone();
        let hashes: Vec<_> = staged.paths(folder.dir()).into_iter().collect();
        let hashes: Vec<(String, Option<Sha>)> =
            hashes.into_iter().map(|path| (path.clone(), draft.files.get(&path).copied())).collect();
        blocking(move || {
            let written = || -> Result<files::Contents, files::Error> {
                let old = files::read(folder.dir(), &hashes.iter().map(|(path, _)| path.clone()).collect())?;
                staged.put()?;
                let known = hashes.iter().filter_map(|(path, sha)| Some((path.as_str(), (*sha)?)));
                folder.wrote(known);
                Ok(old)
            };
            written().map_err(|error| Error::Unavailable(error.to_string()))
        })
        .await
    }

    /// The old files back, and back into every Prometheus.
    async fn take_back(&self, old: files::Contents, answers: Vec<Answer>) -> Ending {
        let state = if answers.iter().any(|answer| answer.state == "refused") { "refused" } else { "failed" };
        let folder = self.folder.clone();
        let restored = blocking(move || {
            files::restore(folder.dir(), &old).map_err(|error| Error::Unavailable(error.to_string()))
        });
        let restored = restored.await;
        // one that took the new rules and could not say so is to go back with the files
        futures_util::future::join_all(self.clients.iter().map(Client::reload)).await;
        let mut reason = match restored {
            Ok(()) => "No Prometheus has it in force, so the old files were put back.".to_owned(),
            Err(error) => {
                format!("No Prometheus has it in force, and the old files could not be put back: {error}")
            }
        };
        for answer in &answers {
            // writing to a String cannot fail
            let _ = write!(reason, " {}", answer.reason);
        }
        Ending { state, reason, answers }
    }
}

fn failed(error: &impl ToString) -> Ending {
    Ending { state: "failed", reason: error.to_string(), answers: Vec::new() }
}

/// What stands where nothing is wanted.
fn empty(path: &str) -> &'static str {
    if path.starts_with("targets/") { targets::EMPTY } else { rules::EMPTY }
}

fn sha_of(text: &str) -> Sha {
    use sha2::{Digest, Sha256};
    Sha256::digest(text).into()
}

fn lost(path: &str) -> Error {
    Error::Internal(anyhow::anyhow!("the bytes of {path}, which is in force, are not in the database"))
}
