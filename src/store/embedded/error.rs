//! Why there is no Postgres of our own, in words that say what to do.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::leash::Ended;

/// Why the embedded Postgres does not run.
#[derive(Debug, Error)]
pub enum EmbeddedError {
    /// No server programs, or only old ones.
    #[error(
        "no PostgreSQL 14 or newer on this machine{}: install it (Debian, Ubuntu: apt install postgresql; \
         Fedora: dnf install postgresql-server; macOS: brew install postgresql@17) or set DATABASE_URL",
        .newest.map(|n| format!(" (the newest is {n})")).unwrap_or_default()
    )]
    Missing {
        /// The newest major version that is installed.
        newest: Option<u32>,
    },
    /// The cluster was made by a major version that is not installed.
    #[error(
        "the database was made by PostgreSQL {cluster}, which is not installed{}: install it \
         (Debian: apt install postgresql-{cluster}), or move the data with pg_dump",
        .newest.map(|n| format!(" (the newest is {n})")).unwrap_or_default()
    )]
    OtherMajor {
        /// The version that made the data.
        cluster: u32,
        /// The newest major version that is installed.
        newest: Option<u32>,
    },
    /// Another prommgr uses the data directory; see [`super::connect_running`].
    #[error("another prommgr is using {}", .data_dir.display())]
    InUse {
        /// The data directory.
        data_dir: PathBuf,
    },
    /// We are root, and the user that runs Postgres cannot enter the data directory.
    #[error(
        "the user {user}, who runs Postgres for root, cannot enter {}, and so not {}: \
         set PROMMGR_DATA_DIR to a directory that {user} can reach, such as /var/lib/prommgr",
        .barrier.display(), .dir.display()
    )]
    Unreachable {
        /// The data directory.
        dir: PathBuf,
        /// The first directory on the way that cannot be entered.
        barrier: PathBuf,
        /// The user's name.
        user: String,
    },
    /// The cluster or the directory of its socket belongs to somebody else.
    #[error("{} belongs to another user (id {owner}): start prommgr as that user or as root", .path.display())]
    Foreign {
        /// What belongs to somebody else.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// We are root and there is neither a user `postgres` nor `nobody`.
    #[error(
        "Postgres does not run as root, and there is no user postgres or nobody to run it: set DATABASE_URL"
    )]
    NoServant,
    /// Our user has no name, and Postgres knows users by name.
    #[error("Postgres needs a user with a name, and this process has none ({}): set DATABASE_URL", .id.trim())]
    NoName {
        /// What `id` says.
        id: String,
    },
    /// One of its programs ended when it should not have.
    #[error("{program} failed: {ended}")]
    Failed {
        /// Which program.
        program: &'static str,
        /// Its status and the end of its log.
        ended: Ended,
    },
    /// It runs, but does not answer; or an older one does not end.
    #[error("Postgres {what} within {seconds} s; see {}", .log.display())]
    Slow {
        /// What it did not do.
        what: &'static str,
        /// How long it was given.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// It answers, but refuses.
    #[error("the embedded Postgres refuses: {}", words(.0))]
    Refused(#[from] tokio_postgres::Error),
    /// The file system or the operating system refuses.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// The answer.
        source: io::Error,
    },
}

impl EmbeddedError {
    pub(super) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        let doing = doing.into();
        EmbeddedError::Io { doing, source }
    }
}

/// What the server said; the client's own words are only "db error".
fn words(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => said.to_string(),
        None => error.to_string(),
    }
}
