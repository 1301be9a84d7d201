//! Children that cannot outlive us: the embedded Postgres, the demo's programs, the tests'.
//!
//! A child starts as `/bin/sh`, which leaves a watcher behind and then *becomes* the program, so
//! the process id and the exit status are the program's own. The watcher reads one pipe whose
//! other end only we hold. When that ends without a word, we are gone, even by `kill -9`, or we let go:
//! it sends the stop signal. A word means that the program ended first and that its process id may be
//! somebody else's by now.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, PipeWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use std::{env, fmt};

use tokio::process::{Child, Command};

// The watcher is nobody's child (two forks), because Postgres looks at every child that ends.
const SCRIPT: &str = r#"exec 3<&0 </dev/null
( { trap '' HUP INT TERM; cd /; read -r word <&3 || kill -s "$0" $$; } >/dev/null 2>&1 & )
exec "$@" 3<&-"#;

/// How much of the end of a log goes into an error message, in bytes.
const TAIL: u64 = 4096;

/// The signal that asks a program to end in good order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signal {
    /// What nearly every program takes as "please end".
    #[default]
    Term,
    /// Postgres' fast shutdown: it does not wait for its clients.
    Int,
}

/// What to run, and how.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// An absolute path, or a name that is looked up in `PATH`.
    pub program: PathBuf,
    /// The arguments after the program's name.
    pub args: Vec<OsString>,
    /// The whole environment but `PATH`: nothing else of ours, which may hold secrets, is handed on.
    pub env: Vec<(OsString, OsString)>,
    /// The user and group to run as, without further groups; only root may set it.
    pub user: Option<(u32, u32)>,
    /// The working directory; ours if not set.
    pub dir: Option<PathBuf>,
    /// The file to which standard output and error are appended.
    pub log: PathBuf,
    /// How it is asked to end.
    pub stop: Signal,
}

/// A running program that ends when this is dropped, and when we are killed.
#[derive(Debug)]
pub struct Leash {
    child: Child,
    pid: u32,
    line: Option<PipeWriter>,
    log: PathBuf,
    from: u64,
}

/// How a program ended, and the last it said.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit status; 127 if there is no such program.
    pub status: ExitStatus,
    /// The end of what it wrote to its log in this run, at most 4 KiB.
    pub log: String,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        match self.log.as_str() {
            "" => write!(f, ", nothing in its log"),
            log => write!(f, ", its log:\n{log}"),
        }
    }
}

impl Leash {
    /// Starts a program in a process group of its own, so that Ctrl-C does not reach it.
    ///
    /// Fails if the log cannot be opened, the user or directory cannot be taken, or there is no
    /// `/bin/sh`; a missing program shows in [`Leash::wait`]. Needs a running tokio runtime.
    pub fn spawn(spec: Spec) -> io::Result<Leash> {
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&spec.log)?;
        let from = log.metadata()?.len();
        let (end, line) = io::pipe()?;
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(SCRIPT)
            .arg(match spec.stop {
                Signal::Term => "TERM",
                Signal::Int => "INT",
            })
            .arg(&spec.program)
            .args(&spec.args)
            .env_clear()
            .envs(env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(spec.env)
            .stdin(end)
            .stdout(log.try_clone()?)
            .stderr(Stdio::from(log))
            .process_group(0);
        if let Some((uid, gid)) = spec.user {
            command.uid(uid).gid(gid);
        }
        if let Some(dir) = spec.dir {
            command.current_dir(dir);
        }
        let child = command.spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("the program ended at once"))?;
        Ok(Leash { child, pid, line: Some(line), log: spec.log, from })
    }

    /// The process id of the program itself.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Says how the program ended, or `None` while it runs.
    pub fn try_wait(&mut self) -> io::Result<Option<Ended>> {
        Ok(self.child.try_wait()?.map(|status| self.ended(status)))
    }

    /// Waits until the program ends by itself; may be dropped and called again.
    pub async fn wait(&mut self) -> io::Result<Ended> {
        let status = self.child.wait().await?;
        Ok(self.ended(status))
    }

    /// Asks the program to end and kills it after `grace`; returns when it has ended.
    pub async fn stop(mut self, grace: Duration) -> io::Result<Ended> {
        if let Some(ended) = self.try_wait()? {
            return Ok(ended);
        }
        self.line = None;
        if let Ok(ended) = tokio::time::timeout(grace, self.wait()).await {
            return ended;
        }
        self.child.start_kill()?;
        self.wait().await
    }

    fn ended(&mut self, status: ExitStatus) -> Ended {
        if let Some(mut line) = self.line.take() {
            // Fails only if the watcher is gone too, and then nobody needs the word.
            let _ = line.write_all(b"ended\n");
        }
        Ended { status, log: tail(&self.log, self.from).unwrap_or_default() }
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        // Notes an end that nobody asked about; otherwise dropping the pipe gives the signal.
        let _ = self.try_wait();
    }
}

fn tail(log: &Path, from: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let start = from.max(file.metadata()?.len().saturating_sub(TAIL));
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}
