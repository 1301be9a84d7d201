//! Puts a publication's files in place below the Prometheus folder: all of them, or none.
//! Blocks; one caller at a time, which publishing's lock sees to.

use super::{rules, targets};
use crate::catalogue::Catalogue;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What stood at each path; `None` where there was no file.
pub type Contents = BTreeMap<String, Option<Vec<u8>>>;

/// A folder or file that cannot be read or written. Nothing was changed, unless it says so.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}. {}", path.display(), advice(source, *stuck))]
pub struct Error {
    pub path: PathBuf,
    doing: &'static str,
    source: io::Error,
    stuck: bool,
}

fn advice(source: &io::Error, stuck: bool) -> String {
    let what = match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "Make room on that disk",
        ErrorKind::PermissionDenied => "Let the user that runs prommgr write to that folder",
        ErrorKind::ReadOnlyFilesystem => "Mount that folder writable",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists | ErrorKind::IsADirectory => {
            "Move away what is in the place of the folder or file"
        }
        _ => "Check PROMMGR_PROM_DIR and that disk",
    };
    let state = if stuck {
        "the old files could not all be put back, so publish again"
    } else {
        "nothing was changed"
    };
    format!("{what}; {state}.")
}

pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error { path, doing, source, stuck: false }
}

// Neither `*.json` nor `*.yml` matches these.
const NEW: &str = ".prommgr-new";
const OLD: &str = ".prommgr-old";
const FOLDERS: [&str; 2] = ["rules", "targets"];
/// Files that are written at the same time.
const WRITERS: usize = 8;

/// The paths below `dir` that are ours to write, as found there, and of every built-in kind. Files that
/// an operator has put beside them are not ours.
pub fn managed(dir: &Path) -> Result<BTreeSet<String>, Error> {
    let mut paths: BTreeSet<_> = Catalogue::built_in().iter().map(|kind| rules::path(kind)).collect();
    paths.extend([rules::PUBLICATION_FILE, rules::HEARTBEAT_FILE].map(str::to_owned));
    let names = list(&dir.join("targets"))?.into_iter().map(|name| format!("targets/{name}"));
    paths.extend(names.filter(|path| targets::owner_of(path).is_some()));
    Ok(paths)
}

/// Reads the managed files.
pub fn read(dir: &Path, managed: &BTreeSet<String>) -> Result<Contents, Error> {
    let read = |path: &String| match fs::read(dir.join(path)) {
        Ok(bytes) => Ok((path.clone(), Some(bytes))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((path.clone(), None)),
        Err(error) => Err(failed("read", &dir.join(path))(error)),
    };
    managed.iter().map(read).collect()
}

/// Writes the new bytes beside their places, and keeps the old files there, too. What differs is to be written by
/// [`Staged::put`]; dropped, it leaves everything as it was.
pub fn stage(dir: &Path, changes: &BTreeMap<String, String>) -> Result<Staged, Error> {
    Staged::new(dir, changes.iter().map(|(path, text)| (path.as_str(), Some(text.as_bytes()))).collect())
}

/// Puts back what [`read`] found. Rules that were not there are removed, targets emptied.
pub fn restore(dir: &Path, old: &Contents) -> Result<(), Error> {
    let now = read(dir, &old.keys().cloned().collect())?;
    let changed = old.iter().filter(|(path, content)| now.get(*path) != Some(*content));
    let bytes = changed.map(|(path, content)| {
        let absent = path.starts_with("targets/").then_some(targets::EMPTY.as_bytes());
        (path.as_str(), content.as_deref().or(absent))
    });
    Staged::new(dir, bytes.collect())?.put()
}

/// New files that lie beside their places.
#[derive(Debug)]
pub struct Staged {
    folders: [PathBuf; 2],
    /// Where, and whether there is a new file or the old one goes.
    places: Vec<(PathBuf, bool)>,
}

impl Staged {
    fn new(dir: &Path, contents: BTreeMap<&str, Option<&[u8]>>) -> Result<Self, Error> {
        let folders = FOLDERS.map(|folder| dir.join(folder));
        for folder in &folders {
            fs::create_dir_all(folder).map_err(failed("create", folder))?;
            clean(folder)?;
        }
        let contents: Vec<_> = contents.into_iter().map(|(path, bytes)| (dir.join(path), bytes)).collect();
        let places = contents.iter().map(|(path, bytes)| (path.clone(), bytes.is_some())).collect();
        let staged = Self { folders, places };
        side_by_side(&contents, |(path, bytes)| keep(path, *bytes))?;
        Ok(staged)
    }

    /// Below that folder.
    pub fn paths(&self, dir: &Path) -> BTreeSet<String> {
        let below = self.places.iter().filter_map(|(place, _)| place.strip_prefix(dir).ok()?.to_str());
        below.map(str::to_owned).collect()
    }

    /// One rename a file: all of them, or none.
    pub fn put(self) -> Result<(), Error> {
        rename_all(&self.places)
    }
}

impl Drop for Staged {
    /// What is left beside goes away in any case.
    fn drop(&mut self) {
        for folder in &self.folders {
            let _ = clean(folder);
        }
    }
}

/// Does it for each, several at a time: a disk makes many files durable together as fast as one.
fn side_by_side<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<(), Error> + Sync) -> Result<(), Error> {
    if items.len() < WRITERS {
        return items.iter().try_for_each(work);
    }
    let work = &work;
    std::thread::scope(|scope| {
        let parts = items.chunks(items.len().div_ceil(WRITERS));
        let writers: Vec<_> = parts.map(|part| scope.spawn(move || part.iter().try_for_each(work))).collect();
        let mut ended = writers.into_iter().map(|writer| writer.join());
        ended.try_for_each(|one| one.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Writes the new bytes, and keeps the old file, beside the place.
fn keep(path: &Path, bytes: Option<&[u8]>) -> Result<(), Error> {
    if let Some(bytes) = bytes {
        let new = beside(path, NEW);
        let write = || {
            let mut file = fs::File::create(&new)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(failed("write", &new))?;
    }
    let old = beside(path, OLD);
    // Not every filesystem has hard links.
    match fs::hard_link(path, &old).or_else(|_| fs::copy(path, &old).map(drop)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("keep", path)(error)),
        _ => Ok(()),
    }
}

fn rename_all(places: &[(PathBuf, bool)]) -> Result<(), Error> {
    let mut folders = BTreeSet::new();
    for (done, (path, new)) in places.iter().enumerate() {
        let put = if *new { fs::rename(beside(path, NEW), path) } else { remove(path) };
        if let Err(error) = put {
            let back = places[..done].iter().rev().map(|(path, _)| put_back(path));
            let stuck = back.fold(false, |stuck, back| stuck | back.is_err());
            return Err(Error { stuck, ..failed("replace", path)(error) });
        }
        folders.extend(path.parent());
    }
    for folder in folders {
        // The names are in place already; only a power cut could still undo them.
        let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
        if let Err(error) = synced {
            tracing::warn!(path = %folder.display(), %error, "folder not synced to disk");
        }
    }
    Ok(())
}

fn put_back(path: &Path) -> io::Result<()> {
    match fs::rename(beside(path, OLD), path) {
        Err(error) if error.kind() == ErrorKind::NotFound => remove(path),
        result => result,
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes what a crash has left beside.
fn clean(folder: &Path) -> Result<(), Error> {
    for name in list(folder)? {
        if name.ends_with(NEW) || name.ends_with(OLD) {
            let path = folder.join(name);
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

fn list(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("list", folder))?,
    };
    let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name());
    let names: Result<Vec<_>, _> = entries.map(name).collect();
    let names = names.map_err(failed("list", folder))?;
    Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
}

#[cfg(test)]
mod tests;
