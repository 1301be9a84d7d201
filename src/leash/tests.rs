//! With real processes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process;
use std::time::Instant;

use super::*;

const HELPER: &str = "PROMMGR_LEASH_HELPER";

struct Scratch(PathBuf);

impl std::ops::Deref for Scratch {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn scratch(name: &str) -> Scratch {
    let dir = env::temp_dir().join(format!("prommgr-leash-{}-{name}", process::id()));
    fs::create_dir_all(&dir).unwrap();
    Scratch(dir)
}

fn spec(dir: &Path, script: &str) -> Spec {
    Spec {
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        dir: Some(dir.into()),
        log: dir.join("log"),
        ..Spec::default()
    }
}

/// Waits until no process of this group runs, and no dead one waits to be collected by us.
async fn gone(group: u32) -> bool {
    let running = || {
        let out = process::Command::new("ps").args(["-e", "-o", "pgid=,ppid=,stat="]).output().unwrap();
        String::from_utf8(out.stdout).unwrap().lines().any(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            fields[0] == group.to_string()
                && (!fields[2].starts_with('Z') || fields[1] == process::id().to_string())
        })
    };
    let until = Instant::now() + Duration::from_secs(5);
    while running() {
        if Instant::now() > until {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
}

async fn said(dir: &Path, what: &str) {
    let until = Instant::now() + Duration::from_secs(5);
    while !fs::read_to_string(dir.join("log")).is_ok_and(|log| log.contains(what)) {
        assert!(Instant::now() < until, "it never said {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_early_end_is_noticed_with_its_status_and_its_words() {
    let dir = scratch("early");
    fs::write(dir.join("log"), "an older run\n").unwrap();
    let mut leash = Leash::spawn(spec(&dir, "echo port taken >&2; exit 3")).unwrap();
    let pid = leash.pid();
    let ended = leash.wait().await.unwrap();
    assert_eq!(ended.status.code(), Some(3));
    assert_eq!(ended.log, "port taken");
    assert!(leash.try_wait().unwrap().is_some());
    assert!(gone(pid).await);
}

#[tokio::test]
async fn a_missing_program_is_an_early_end() {
    let dir = scratch("missing");
    let mut spec = spec(&dir, "");
    spec.program = "/no-such-program".into();
    let ended = Leash::spawn(spec).unwrap().wait().await.unwrap();
    assert_eq!(ended.status.code(), Some(127));
    assert!(ended.log.contains("no-such-program"), "{ended}");
}

#[tokio::test]
async fn stop_asks_first() {
    for (stop, name) in [(Signal::Term, "TERM"), (Signal::Int, "INT")] {
        let dir = scratch(name);
        let mut spec =
            spec(&dir, &format!("trap 'echo bye; exit 7' {name}; echo up; while :; do sleep 0.01; done"));
        spec.stop = stop;
        let mut leash = Leash::spawn(spec).unwrap();
        let pid = leash.pid();
        said(&dir, "up").await;
        assert!(leash.try_wait().unwrap().is_none());
        let ended = leash.stop(Duration::from_secs(5)).await.unwrap();
        assert_eq!(ended.status.code(), Some(7));
        assert_eq!(ended.log, "up\nbye");
        assert!(gone(pid).await);
    }
}

#[tokio::test]
async fn stop_kills_what_does_not_listen() {
    let dir = scratch("deaf");
    let script = "trap '' TERM; echo up; exec sleep 60";
    let leash = Leash::spawn(spec(&dir, script)).unwrap();
    let pid = leash.pid();
    said(&dir, "up").await;
    let ended = leash.stop(Duration::from_millis(50)).await.unwrap();
    assert!(!ended.status.success());
    assert!(gone(pid).await);
}

#[tokio::test]
async fn dropping_ends_it() {
    let dir = scratch("drop");
    let leash = Leash::spawn(spec(&dir, "exec sleep 60")).unwrap();
    let pid = leash.pid();
    drop(leash);
    // Another child lets tokio collect the one that it no longer waits for.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut other = Leash::spawn(spec(&dir, "exit 0")).unwrap();
    other.wait().await.unwrap();
    assert!(gone(pid).await);
}

#[tokio::test]
async fn only_what_is_given_is_in_the_environment() {
    let dir = scratch("env");
    let mut spec = spec(&dir, "env");
    spec.env = vec![("GIVEN".into(), "yes".into())];
    let ended = Leash::spawn(spec).unwrap().wait().await.unwrap();
    assert!(ended.log.contains("GIVEN=yes"));
    assert!(!ended.log.contains("CARGO"), "{ended}");
}

#[tokio::test]
async fn the_child_ends_when_we_are_killed() {
    let dir = scratch("killed");
    let mut helper = process::Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--include-ignored"])
        .arg(module_path!().split_once("::").unwrap().1.to_owned() + "::helper")
        .env(HELPER, &*dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(helper.stdout.take().unwrap()).lines();
    let pid: u32 = lines.find_map(|line| line.unwrap().split_once("child ")?.1.parse().ok()).unwrap();
    helper.kill().unwrap();
    helper.wait().unwrap();
    assert!(gone(pid).await);
    assert_eq!(fs::read_to_string(dir.join("log")).unwrap(), "up\nbye\n");
}

/// Run as a process of its own by the test above.
#[tokio::test]
#[ignore = "a helper of another test"]
async fn helper() {
    let Some(dir) = env::var_os(HELPER).map(PathBuf::from) else {
        return;
    };
    let script = "trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.01; done";
    let mut leash = Leash::spawn(spec(&dir, script)).unwrap();
    said(&dir, "up").await;
    println!("child {}", leash.pid());
    leash.wait().await.unwrap();
}
