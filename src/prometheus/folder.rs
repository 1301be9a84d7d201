//! What stands in the Prometheus folder under our names, by hash. A file whose inode, size and times are those that were
//! seen last is not read again, so that looking at a thousand of them takes milliseconds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::files::{self, Error};

/// SHA-256.
pub(super) type Sha = [u8; 32];

/// Device and inode, size, and the times of the last change in nanoseconds: any write moves the latter.
type Stamp = (u64, u64, u64, i128, i128);

/// The Prometheus folder. Blocks.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    known: Mutex<HashMap<String, (Stamp, Sha)>>,
}

impl Folder {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), known: Mutex::default() }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The files of our names that are there, and those of `others` that are.
    pub(super) fn survey(
        &self,
        others: impl Iterator<Item = String>,
    ) -> Result<BTreeMap<String, Sha>, Error> {
        let mut paths: BTreeSet<String> = files::managed(&self.dir)?;
        paths.extend(others);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = BTreeMap::new();
        for path in paths {
            let place = self.dir.join(&path);
            let Some(stamp) = stamp(&place)? else {
                known.remove(&path);
                continue;
            };
            let sha = match known.get(&path) {
                Some((seen, sha)) if *seen == stamp => *sha,
                _ => match fs::read(&place) {
                    Ok(bytes) => Sha256::digest(&bytes).into(),
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    Err(error) => return Err(files::failed("read", &place)(error)),
                },
            };
            // what changed while it was read is read again next time, by its new stamp
            known.insert(path.clone(), (stamp, sha));
            found.insert(path, sha);
        }
        Ok(found)
    }

    /// Remembers files that were written just now.
    pub(super) fn wrote<'a>(&self, files: impl Iterator<Item = (&'a str, Sha)>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, sha) in files {
            match stamp(&self.dir.join(path)) {
                Ok(Some(stamp)) => known.insert(path.to_owned(), (stamp, sha)),
                _ => known.remove(path),
            };
        }
    }
}

fn stamp(place: &Path) -> Result<Option<Stamp>, Error> {
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    match fs::metadata(place) {
        Ok(data) => Ok(Some((
            data.dev(),
            data.ino(),
            data.size(),
            nanos(data.mtime(), data.mtime_nsec()),
            nanos(data.ctime(), data.ctime_nsec()),
        ))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(files::failed("read", place)(error)),
    }
}
