//! One publication from the lock to the end: read, compare, note, write, load, verify, note.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::client::Client;
use super::draft::{Draft, Labels};
use super::files::{self, Staged};
use super::folder::Sha;
use super::load::{self, Notes, Rules, Targets};
use super::{Files, Inner, Order, Published, SINCE, blocking, drift, promtool, rules, targets};
use crate::error::{Error, Result};
use crate::store::Db;
use crate::store::changes::Actor;
use crate::store::publications::{self, Answer, Ending};
use crate::store::scope::All;

impl Inner {
    pub(super) async fn publish(
        self: &Arc<Self>,
        all: All,
        by: &Actor,
        order: Order,
        begun: oneshot::Sender<i64>,
    ) -> Result<Published> {
        let _turn = self.turn().await?;
        let _lock = publications::lock(&self.store).await?;
        let mut db = self.store.db(all).await?;
        let draft = match order.copy_of {
            Some(id) => Draft::copy(&mut db, all, &self.labels, id).await?,
            None => Draft::read(&mut db, all, &self.labels).await?,
        };
        if order.expected.is_some_and(|expected| expected != draft.revision) {
            return Err(Error::Conflict(SINCE.into()));
        }
        let paths = draft.files.keys().chain(draft.wanted.base.files.keys());
        let found = self.survey(paths.cloned().collect()).await;
        if let Ok(found) = &found {
            let drift = drift::drift(&draft.wanted.base, found);
            if !drift.is_empty() && !order.overwrite {
                return Err(drift::refusal(&drift));
            }
        }
        let differing = found.map(|found| differing(&draft, &found));
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
            Ok(staged) => self.put_in_force(all, id, &draft, staged).await,
            Err(error) => failed(&error),
        };
        let Ending { state, ref reason, .. } = ending;
        metrics::counter!("prommgr_publications_total", "state" => state).increment(1);
        tracing::info!(publication = id, state, reason, by = by.name, "published");
        let mut db = self.store.db(all).await?;
        publications::finish(&mut db, all, id, &ending, &draft.made, &draft.wanted).await?;
        Ok(Published { id, following: tokio::spawn(self.clone().follow(all, id, ending.answers, draft)) })
    }

    /// What is to be seen of the targets, from the files that changed.
    async fn changed_targets(&self, all: All, draft: &Draft) -> Result<Targets> {
        let mut targets = Targets { servers: draft.servers, ..Targets::default() };
        if draft.servers > load::MOST_COMPARED {
            return Ok(targets);
        }
        let before = draft.before(&mut self.store.db(all).await?, all, usize::MAX).await?;
        let Labels { owner, server } = &self.labels;
        for (path, text) in draft.changed.iter().filter(|(path, _)| path.starts_with("targets/")) {
            let old = before.get(path).map(|text| targets::scraped(text, owner, server)).unwrap_or_default();
            let new = targets::scraped(text, owner, server);
            targets.absent.extend(old.difference(&new).cloned());
            targets.present.extend(new);
        }
        targets.absent.retain(|target| !targets.present.contains(target));
        Ok(targets)
    }

    /// Sees, at each Prometheus that has the rules, that it has the targets, too. Nobody waits for this: others may publish.
    async fn follow(self: Arc<Self>, all: All, id: i64, answers: Vec<Answer>, draft: Draft) {
        let wanted = self.changed_targets(all, &draft).await.unwrap_or_else(|error| {
            tracing::warn!(publication = id, %error, "targets are counted only");
            Targets { servers: draft.servers, ..Targets::default() }
        });
        drop(draft);
        let asked = self.clients.iter().zip(answers).filter(|(_, answer)| answer.awaits_targets());
        let asked = asked.map(|(client, answer)| self.follow_one(client, all, id, answer, &wanted));
        futures_util::future::join_all(asked.collect::<Vec<_>>()).await;
    }

    async fn follow_one(&self, client: &Client, all: All, id: i64, mut answer: Answer, wanted: &Targets) {
        let deadline = Instant::now() + load::TARGETS_LIMIT;
        let mut pause = Duration::from_millis(50);
        loop {
            let missing = match load::targets_in_force(client, wanted, &self.labels).await {
                Ok(None) => {
                    answer.targets_at = Some(Timestamp::now());
                    break;
                }
                Ok(Some(missing)) => missing,
                Err(error) => error.to_string(),
            };
            let newest = self.newest(all).await;
            if newest > id {
                answer.targets = format!("№ {newest} came before they were seen.");
                break;
            }
            if Instant::now() > deadline {
                answer.targets = missing;
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
        self.note(all, id, &answer).await;
    }

    /// The newest publication; 0 where that is not known just now.
    async fn newest(&self, all: All) -> i64 {
        let Ok(mut db) = self.store.db(all).await else { return 0 };
        publications::newest(&mut db, all).await.ok().flatten().unwrap_or_default()
    }

    /// Notes a step; that it cannot be noted just now stops nothing.
    pub(super) async fn note(&self, all: All, id: i64, answer: &Answer) {
        let noted = async { publications::step(&mut self.store.db(all).await?, all, id, answer).await };
        if let Err(error) = noted.await {
            tracing::warn!(publication = id, %error, "a step of publishing could not be noted");
        }
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
    async fn put_in_force(&self, all: All, id: i64, draft: &Draft, staged: Staged) -> Ending {
        let changes_rules = draft.changed.keys().any(|path| path.starts_with("rules/"));
        if changes_rules && let Some(Err(reason)) = promtool::check(self.folder.dir(), &draft.rules).await {
            let reason = format!("promtool refused it, so nothing was changed: {reason}");
            return Ending { state: "refused", reason, written_at: None, answers: Vec::new() };
        }
        let old = match self.write(draft, staged).await {
            Ok(old) => old,
            Err(error) => return failed(&error),
        };
        let written_at = Some(Timestamp::now());
        if let (Ok(mut db), Some(at)) = (self.store.db(all).await, written_at) {
            // only the page that is looked at meanwhile is the poorer
            let _ = publications::written(&mut db, all, id, at).await;
        }
        let wanted = Rules::of(&draft.rules);
        let notes = Notes { inner: self, all, id };
        let asked = self.clients.iter().map(|client| load::load(client, &wanted, notes));
        let answers = futures_util::future::join_all(asked).await;
        let in_force = answers.iter().filter(|answer| answer.state == "in_force").count();
        if in_force == answers.len() {
            return Ending { state: "in_force", reason: String::new(), written_at, answers };
        }
        if in_force > 0 {
            let reason = format!("{in_force} of {} Prometheus have it in force.", answers.len());
            return Ending { state: "partly", reason, written_at, answers };
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
        Ending { state, reason, written_at: None, answers }
    }
}

/// The paths at which something else stands than there is to be, and nothing where nothing is to be.
fn differing(draft: &Draft, found: &BTreeMap<String, Sha>) -> BTreeMap<String, Option<Sha>> {
    let wanted = draft.files.iter().filter(|(path, sha)| found.get(*path) != Some(*sha));
    let others =
        found.iter().filter(|(path, sha)| !draft.files.contains_key(*path) && **sha != sha_of(empty(path)));
    let wanted = wanted.map(|(path, sha)| (path.clone(), Some(*sha)));
    wanted.chain(others.map(|(path, _)| (path.clone(), None))).collect()
}

fn failed(error: &impl ToString) -> Ending {
    Ending { state: "failed", reason: error.to_string(), written_at: None, answers: Vec::new() }
}

/// What stands where nothing is wanted.
pub(super) fn empty(path: &str) -> &'static str {
    if path.starts_with("targets/") { targets::EMPTY } else { rules::EMPTY }
}

pub(super) fn sha_of(text: &str) -> Sha {
    use sha2::{Digest, Sha256};
    Sha256::digest(text).into()
}

fn lost(path: &str) -> Error {
    Error::Internal(anyhow::anyhow!("the bytes of {path}, which is in force, are not in the database"))
}
