//! Files that another hand has changed: what stands in the folder and is neither in force nor left there by a publication
//! of ours that did not come to its end.

use std::collections::BTreeMap;

use super::diff::{self, FileDiff};
use super::folder::Sha;
use super::publish::{empty, sha_of};
use super::{Files, Inner, blocking};
use crate::error::{Error, Result};
use crate::store::Db;
use crate::store::publications::{self, Base};
use crate::store::scope::All;

/// Files whose difference is shown.
const MOST_SHOWN: usize = 20;

/// Paths, and what was done: `added`, `changed` or `removed`.
pub(super) type Drift = Vec<(String, &'static str)>;

/// What of `found` is not as it was published.
pub(super) fn drift(base: &Base, found: &BTreeMap<String, Sha>) -> Drift {
    // what stands there before anything was published is taken over
    if base.publication.is_none() {
        return Vec::new();
    }
    let ours = |path: &str, sha: &Sha| {
        *sha == sha_of(empty(path)) || base.left.contains(&(path.to_owned(), sha.to_vec()))
    };
    let published = base.files.iter().filter_map(|(path, file)| match found.get(path) {
        None => Some((path.clone(), "removed")),
        Some(sha) if file.sha256 == *sha || base.left.contains(&(path.clone(), sha.to_vec())) => None,
        Some(_) => Some((path.clone(), "changed")),
    });
    let others = found.iter().filter(|(path, sha)| !base.files.contains_key(*path) && !ours(path, sha));
    let mut drift: Drift = published.chain(others.map(|(path, _)| (path.clone(), "added"))).collect();
    drift.sort();
    drift
}

/// Why publishing asks first.
pub(super) fn refusal(drift: &Drift) -> Error {
    let first = drift.first().map_or("", |(path, _)| path);
    let more = if drift.len() > 1 { format!(" and {} more", drift.len() - 1) } else { String::new() };
    Error::Conflict(format!(
        "Another hand has changed {first}{more} in the Prometheus folder. Nothing was published: look at it, then say that it may be overwritten."
    ))
}

impl Inner {
    /// The files of our names, as they stand in the folder.
    pub(super) async fn survey(
        &self,
        paths: Vec<String>,
    ) -> Result<BTreeMap<String, Sha>, super::files::Error> {
        let folder = self.folder.clone();
        let found = tokio::task::spawn_blocking(move || folder.survey(paths.into_iter())).await;
        found.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// What another hand has changed, and the difference: from what was published to what stands there.
    pub(super) async fn drifted(&self, db: &mut Db, all: All, base: &Base) -> Result<(Vec<FileDiff>, usize)> {
        let found = self.survey(base.files.keys().cloned().collect()).await;
        let drift = drift(base, &found.map_err(|error| Error::Unavailable(error.to_string()))?);
        let shown: Drift = drift.iter().take(MOST_SHOWN).cloned().collect();
        let sha_of = |path: &str| base.files.get(path).map(|file| file.sha256.as_slice());
        let hashes: Vec<&[u8]> = shown.iter().filter_map(|(path, _)| sha_of(path)).collect();
        let texts = publications::contents(db, all, &hashes).await?;
        let text = |path: &str| sha_of(path).and_then(|sha| texts.get(sha)).cloned();
        let published: Files =
            shown.iter().filter_map(|(path, _)| Some((path.clone(), text(path)?))).collect();
        let dir = self.folder.dir().to_owned();
        let files = blocking(move || {
            let one = |(path, change): (String, &'static str)| {
                let there = std::fs::read(dir.join(&path)).unwrap_or_default();
                let there = String::from_utf8_lossy(&there);
                let before = published.get(&path).map(String::as_str);
                FileDiff { change, ..diff::file(&path, before, &there) }
            };
            Ok(shown.into_iter().map(one).collect())
        });
        Ok((files.await?, drift.len()))
    }

    /// Looks for what another hand has changed, and notes it; not while somebody publishes. Returns in how many files.
    pub(super) async fn look(&self, all: All) -> Result<Option<usize>> {
        let Some(_lock) = publications::try_lock(&self.store).await? else { return Ok(None) };
        let mut db = self.store.db(all).await?;
        let base = publications::wanted(&mut db, all, |_| Vec::new(), |_, _, _| Ok(())).await?.base;
        let found = self.survey(base.files.keys().cloned().collect()).await;
        let drift = drift(&base, &found.map_err(|error| Error::Unavailable(error.to_string()))?);
        publications::note_drift(&mut db, all, &drift).await?;
        Ok(Some(drift.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prometheus::targets;
    use crate::store::publications::InForce;

    #[test]
    fn only_what_is_not_ours_is_another_hand_s() {
        let sha = |text: &str| sha_of(text);
        let file = |text| InForce { sha256: sha(text).to_vec(), changes: None, servers: 0 };
        let files = ["rules/a.yml", "rules/b.yml", "targets/owner-1.json", "targets/owner-2.json"];
        let base = Base {
            publication: Some(1),
            recipe: String::new(),
            files: files.into_iter().map(|path| (path.to_owned(), file("ours"))).collect(),
            left: [("targets/owner-1.json".to_owned(), sha("left").to_vec())].into(),
            owners: BTreeMap::new(),
        };
        let found = [
            ("rules/a.yml", "ours"),
            ("rules/b.yml", "theirs"),
            ("targets/owner-1.json", "left"),
            ("targets/owner-3.json", "theirs"),
            ("targets/owner-4.json", targets::EMPTY),
        ];
        let found = found.map(|(path, text)| (path.to_owned(), sha(text))).into();
        let told: Vec<_> = drift(&base, &found);
        let told: Vec<_> = told.iter().map(|(path, what)| (path.as_str(), *what)).collect();
        assert_eq!(
            told,
            [
                ("rules/b.yml", "changed"),
                ("targets/owner-2.json", "removed"),
                ("targets/owner-3.json", "added")
            ]
        );
        assert!(drift(&Base { publication: None, ..base }, &found).is_empty());
    }
}
