//! Files are put in place in real folders, and what can fail fails.

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("prommgr-files-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).unwrap_or_else(|_| "none".to_owned())
    }

    fn names(&self) -> Vec<String> {
        let mut names = list(&self.0.join("targets")).unwrap();
        names.extend(list(&self.0.join("rules")).unwrap());
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn files(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

const CPU: &str = "rules/cpu_threshold_exceeded.yml";

fn apply(dir: &Path, changes: &BTreeMap<String, String>) -> Result<(), Error> {
    stage(dir, changes)?.put()
}

#[test]
fn many_files_are_written_and_others_left_alone() {
    let folder = Folder::new("write");
    apply(&folder.0, &files(&[(CPU, "a")])).unwrap();
    fs::write(folder.0.join("rules/own.yml"), "theirs").unwrap();
    fs::write(folder.0.join("targets/own.json"), "theirs").unwrap();
    let many = (0..50).map(|n| (targets::path(n), format!("[{n}]"))).collect();
    apply(&folder.0, &many).unwrap();
    let managed = managed(&folder.0).unwrap();
    assert!(managed.contains(CPU) && managed.contains("targets/owner-49.json"));
    assert!(!managed.contains("targets/own.json") && !managed.contains("rules/own.yml"));
    assert!((0..50).all(|n| folder.text(&targets::path(n)) == format!("[{n}]")));
    assert_eq!(folder.names().len(), 53);
    assert_eq!([CPU, "rules/own.yml"].map(|path| folder.text(path)), ["a", "theirs"]);
}

#[test]
fn what_is_not_put_in_place_changes_nothing() {
    let folder = Folder::new("staged");
    apply(&folder.0, &files(&[(CPU, "a")])).unwrap();
    drop(stage(&folder.0, &files(&[(CPU, "b"), ("targets/owner-1.json", "[1]")])).unwrap());
    assert_eq!((folder.names().len(), folder.text(CPU)), (1, "a".to_owned()));
}

#[test]
fn the_old_files_come_back() {
    let folder = Folder::new("restore");
    apply(&folder.0, &files(&[(CPU, "old"), ("targets/owner-1.json", "[1]")])).unwrap();
    let wanted = files(&[(CPU, "new"), ("rules/prommgr.yml", "new"), ("targets/owner-2.json", "[2]")]);
    let mut paths = managed(&folder.0).unwrap();
    paths.extend(wanted.keys().cloned());
    let old = read(&folder.0, &paths).unwrap();
    apply(&folder.0, &wanted).unwrap();
    restore(&folder.0, &old).unwrap();
    let texts = [CPU, "rules/prommgr.yml", "targets/owner-1.json", "targets/owner-2.json"];
    assert_eq!(texts.map(|path| folder.text(path)), ["old", "none", "[1]", "[]\n"]);
}

#[test]
fn what_a_crash_left_is_cleaned() {
    let folder = Folder::new("crash");
    fs::create_dir_all(folder.0.join("targets")).unwrap();
    fs::write(folder.0.join("targets/owner-1.json.prommgr-new"), "half").unwrap();
    apply(&folder.0, &files(&[(CPU, "a")])).unwrap();
    assert_eq!(folder.names(), ["cpu_threshold_exceeded.yml"]);
}

#[test]
fn after_a_failed_rename_everything_is_as_before() {
    let folder = Folder::new("rename");
    apply(&folder.0, &files(&[(CPU, "old")])).unwrap();
    // A folder in a file's place lets the staging pass and the rename fail.
    fs::create_dir_all(folder.0.join("targets/owner-1.json/x")).unwrap();
    let changes = files(&[(CPU, "new"), ("rules/prommgr.yml", "new"), ("targets/owner-1.json", "[1]")]);
    let error = replace_past_staging(&folder.0, &changes).unwrap_err().to_string();
    assert!(error.contains("owner-1.json") && error.contains("nothing was changed"), "{error}");
    assert_eq!([CPU, "rules/prommgr.yml"].map(|path| folder.text(path)), ["old", "none"]);
}

/// As [`apply`], without keeping the old of what cannot be kept.
fn replace_past_staging(dir: &Path, changes: &BTreeMap<String, String>) -> Result<(), Error> {
    let places: Vec<_> = changes.keys().map(|path| (dir.join(path), true)).collect();
    for (path, text) in changes {
        let _ = keep(&dir.join(path), Some(text.as_bytes()));
    }
    rename_all(&places)
}

#[test]
fn an_error_says_where_and_what_to_do() {
    let folder = Folder::new("error");
    fs::write(folder.0.join("rules"), "a file").unwrap();
    let error = apply(&folder.0, &files(&[(CPU, "a")])).unwrap_err().to_string();
    assert!(error.contains("/rules") && error.contains("Move away"), "{error}");
    let full = failed("write", Path::new("/x"))(ErrorKind::StorageFull.into()).to_string();
    assert_eq!(full, "cannot write /x: no storage space. Make room on that disk; nothing was changed.");
}
