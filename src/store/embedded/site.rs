//! The places on disk: the lock, the cluster, the socket's directory, who may connect.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process;

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::account::Account;
use super::binaries::Binaries;
use super::{EmbeddedError, Options};
use crate::leash::{Leash, Spec};

/// The socket's file in its directory, named by the port.
const SOCKET: &str = ".s.PGSQL.5432";
/// The longest path of a socket that every Unix takes, in bytes (macOS has 104 with the NUL).
const SOCKET_PATH_MAX: usize = 103;
/// A log longer than this is emptied at the start, in bytes.
const LOG_MAX: u64 = 10 << 20;
/// How long an older Postgres may take to end, in seconds.
const SURVIVOR: u64 = 60;

/// A data directory that we hold the lock of, with all that Postgres needs around it.
#[derive(Debug)]
pub(super) struct Site {
    pub data_dir: PathBuf,
    pub cluster: PathBuf,
    pub socket: PathBuf,
    pub log: PathBuf,
    pub binaries: Binaries,
    pub me: Account,
    pub host: Account,
    pub lock: File,
}

impl Site {
    /// Takes the lock and brings the directory to where Postgres can be started on it.
    pub(super) async fn open(data_dir: &Path, options: &Options) -> Result<Site, EmbeddedError> {
        let data_dir = make(data_dir).map_err(|e| at("cannot make", data_dir, e))?;
        let lock = take_lock(&data_dir)?;
        let cluster = data_dir.join("postgres");
        let me = Account::me().await?;
        let host = Account::host(&me, &cluster)?;
        if host != me {
            host.reach(&data_dir).await?;
        }
        let version = version(&cluster)?;
        let site = Site {
            socket: socket_dir(&data_dir),
            log: data_dir.join("postgres.log"),
            binaries: Binaries::find(version).await?,
            data_dir,
            cluster,
            me,
            host,
            lock,
        };
        site.private(&site.socket)?;
        site.write_access()?;
        if fs::metadata(&site.log).is_ok_and(|m| m.len() > LOG_MAX) {
            File::create(&site.log).map_err(|e| at("cannot empty", &site.log, e))?;
        }
        match version {
            None => site.make_cluster(options).await?,
            Some(_) => site.settle().await?,
        }
        Ok(site)
    }

    /// How one of Postgres' programs is run here.
    pub(super) fn spec(&self, program: &str) -> Spec {
        Spec {
            program: self.binaries.path(program),
            // Messages in English, because some of them are looked for; times in UTC.
            env: vec![("LC_ALL".into(), "C".into()), ("TZ".into(), "UTC".into())],
            user: self.host.switch_from(&self.me),
            dir: Some("/".into()),
            log: self.log.clone(),
            ..Spec::default()
        }
    }

    /// The settings that name files here.
    pub(super) fn paths(&self) -> [(&'static str, String); 3] {
        let list_item = self.socket.display().to_string().replace('"', "\"\"");
        [
            ("unix_socket_directories", format!("\"{list_item}\"")),
            ("hba_file", self.hba().display().to_string()),
            ("ident_file", self.ident().display().to_string()),
        ]
    }

    fn hba(&self) -> PathBuf {
        self.data_dir.join("postgres-hba.conf")
    }

    fn ident(&self) -> PathBuf {
        self.data_dir.join("postgres-ident.conf")
    }

    /// Lets in the user that we are, and the one that runs Postgres as its superuser.
    ///
    /// The files lie beside the cluster: in a directory that belongs to another user, root does not write.
    fn write_access(&self) -> Result<(), EmbeddedError> {
        let hba = "# Written by prommgr at every start.\n\
                   local all prommgr,postgres peer map=prommgr\n";
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let (me, host) = (quoted(&self.me.name), quoted(&self.host.name));
        let ident = format!(
            "# Written by prommgr at every start.\n\
             prommgr {me} prommgr\nprommgr {me} postgres\nprommgr {host} postgres\n"
        );
        for (path, text) in [(self.hba(), hba), (self.ident(), &ident)] {
            fs::write(&path, text)
                .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)))
                .map_err(|e| at("cannot write", &path, e))?;
        }
        Ok(())
    }

    /// Makes a directory that only the user of Postgres may enter, or takes one that is so.
    fn private(&self, dir: &Path) -> Result<(), EmbeddedError> {
        let doing = |e| at("cannot make", dir, e);
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(doing(e)),
            _ => {}
        }
        // Not following links: in /tmp anybody may have put something there before us.
        let found = fs::symlink_metadata(dir).map_err(doing)?;
        let owner = found.uid();
        if !found.is_dir() || (owner != self.me.uid && owner != self.host.uid) {
            let path = dir.to_owned();
            return Err(EmbeddedError::Foreign { path, owner });
        }
        if found.mode() & 0o777 != 0o700 {
            fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(doing)?;
        }
        if owner != self.host.uid {
            chown(dir, Some(self.host.uid), Some(self.host.gid)).map_err(doing)?;
        }
        Ok(())
    }

    /// Makes the cluster under another name first, so that a half-made one is never taken for whole.
    async fn make_cluster(&self, options: &Options) -> Result<(), EmbeddedError> {
        for entry in fs::read_dir(&self.data_dir).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(b"postgres.new.") {
                // What an initdb that is still dying writes there goes the next time.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let new = self.data_dir.join(format!("postgres.new.{}", process::id()));
        // C.UTF-8 knows letters beyond ASCII, but not every system has it.
        let mut made = self.initdb(&new, "C.UTF-8", options).await;
        if matches!(made, Err(EmbeddedError::Failed { .. })) {
            made = self.initdb(&new, "C", options).await;
        }
        made?;
        fs::rename(&new, &self.cluster).map_err(|e| at("cannot rename", &new, e))
    }

    async fn initdb(&self, dir: &Path, locale: &str, options: &Options) -> Result<(), EmbeddedError> {
        self.private(dir)?;
        let mut spec = self.spec("initdb");
        let words = ["-U", "postgres", "-E", "UTF8", "-A", "peer", "-k", "-D"];
        spec.args = words.map(Into::into).into();
        spec.args.push(dir.into());
        spec.args.push(format!("--locale={locale}").into());
        if !options.durable {
            spec.args.push("--no-sync".into());
        }
        let run = async { Leash::spawn(spec)?.wait().await };
        let ended = run.await.map_err(|e| EmbeddedError::io("cannot run initdb", e))?;
        if !ended.status.success() {
            let program = "initdb";
            return Err(EmbeddedError::Failed { program, ended });
        }
        Ok(())
    }

    /// Ends a Postgres that a killed prommgr left behind, and what would make ours believe in one.
    async fn settle(&self) -> Result<(), EmbeddedError> {
        if fs::metadata(&self.cluster).is_ok_and(|m| m.uid() != self.host.uid) {
            let owned = self.host.own(&self.cluster);
            owned.map_err(|e| at("cannot change the owner of", &self.cluster, e))?;
        }
        if self.survivor() {
            let mut stop = Command::new(self.binaries.path("pg_ctl"));
            stop.args(["stop", "-s", "-m", "fast", "-t", &SURVIVOR.to_string(), "-D"]);
            stop.arg(&self.cluster).current_dir("/");
            if let Some((uid, gid)) = self.host.switch_from(&self.me) {
                stop.uid(uid).gid(gid);
            }
            let run = stop.output().await;
            run.map_err(|e| EmbeddedError::io("cannot run pg_ctl", e))?;
            if self.survivor() {
                return Err(EmbeddedError::Slow {
                    what: "of an earlier start did not end",
                    seconds: SURVIVOR,
                    log: self.log.clone(),
                });
            }
        }
        // A process id in them that is somebody else's by now (containers count from 1 again) would
        // make Postgres refuse. That nothing holds the data, it checks by shared memory as well.
        let pid_file = self.cluster.join("postmaster.pid");
        let socket = self.socket.join(SOCKET);
        for stale in [pid_file, socket.with_extension("5432.lock"), socket] {
            match fs::remove_file(&stale) {
                Err(e) if e.kind() != ErrorKind::NotFound => {
                    return Err(at("cannot remove", &stale, e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Says whether a Postgres runs on this cluster.
    fn survivor(&self) -> bool {
        let Ok(text) = fs::read_to_string(self.cluster.join("postmaster.pid")) else {
            return false;
        };
        let pid = text.lines().next().unwrap_or_default();
        if Path::new("/proc/self/cwd").exists() {
            // Postgres works in its cluster's directory, and nobody else does.
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|dir| dir == self.cluster)
        } else {
            UnixStream::connect(self.socket.join(SOCKET)).is_ok()
        }
    }
}

/// Where the socket of this data directory (absolute, links resolved) lies.
pub(super) fn socket_dir(data_dir: &Path) -> PathBuf {
    let beside = data_dir.join("postgres-socket");
    if beside.as_os_str().len() + 1 + SOCKET.len() <= SOCKET_PATH_MAX {
        return beside;
    }
    // Not $TMPDIR, which differs between a service and the shell that asks for it.
    let hash = Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
    let hash: String = hash.iter().take(8).map(|b| format!("{b:02x}")).collect();
    PathBuf::from(format!("/tmp/prommgr-{hash}"))
}

fn make(data_dir: &Path) -> io::Result<PathBuf> {
    if !data_dir.exists() {
        if let Some(parent) = data_dir.parent() {
            fs::create_dir_all(parent)?;
        }
        // Passable, because root's Postgres runs as another user; what is secret in it says so itself.
        DirBuilder::new().mode(0o711).create(data_dir)?;
    }
    fs::canonicalize(data_dir)
}

fn take_lock(data_dir: &Path) -> Result<File, EmbeddedError> {
    let path = data_dir.join("lock");
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(0o600).open(&path);
    let file = file.map_err(|e| at("cannot open", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(EmbeddedError::InUse { data_dir: data_dir.to_owned() }),
        Err(TryLockError::Error(e)) => Err(at("cannot lock", &path, e)),
    }
}

/// The major version of a cluster; `None` if there is no cluster yet.
fn version(cluster: &Path) -> Result<Option<u32>, EmbeddedError> {
    let Ok(found) = fs::metadata(cluster) else {
        return Ok(None);
    };
    let path = cluster.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => {
            let major = text.trim().parse();
            major.map(Some).map_err(|e| at("cannot read", &path, io::Error::other(e)))
        }
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            Err(EmbeddedError::Foreign { path: cluster.to_owned(), owner: found.uid() })
        }
        Err(e) => Err(at("cannot read", &path, e)),
    }
}

fn at(doing: &str, path: &Path, source: io::Error) -> EmbeddedError {
    EmbeddedError::io(format!("{doing} {}", path.display()), source)
}
