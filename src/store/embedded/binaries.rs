//! Where the machine keeps its PostgreSQL.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use tokio::process::Command;

use super::EmbeddedError;

const OLDEST: u32 = 14;

/// The programs of one PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    pub major: u32,
    pub dir: PathBuf,
}

impl Binaries {
    /// Finds the programs of the major version `wanted`, or the newest that is at least 14.
    pub(super) async fn find(wanted: Option<u32>) -> Result<Binaries, EmbeddedError> {
        let mut found = Vec::new();
        for dir in candidates() {
            if let Some(major) = major(&dir.join("postgres")).await {
                found.push(Binaries { major, dir });
            }
        }
        choose(found, wanted)
    }

    /// The path of one of the programs.
    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.dir.join(program)
    }
}

fn choose(mut found: Vec<Binaries>, wanted: Option<u32>) -> Result<Binaries, EmbeddedError> {
    found.sort_by_key(|b| b.major);
    let newest = found.last().map(|b| b.major);
    match wanted {
        Some(major) => found
            .into_iter()
            .find(|b| b.major == major)
            .ok_or(EmbeddedError::OtherMajor { cluster: major, newest }),
        None => found
            .into_iter()
            .next_back()
            .filter(|b| b.major >= OLDEST)
            .ok_or(EmbeddedError::Missing { newest }),
    }
}

/// Each directory that holds a server's programs, once, links resolved.
fn candidates() -> BTreeSet<PathBuf> {
    let packaged = [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/usr/local", "pgsql", "bin"),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
    ];
    let packaged = packaged.into_iter().flat_map(|(parent, prefix, bin)| {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        entries
            .filter(move |e| e.file_name().to_string_lossy().starts_with(prefix))
            .map(move |e| e.path().join(bin))
    });
    let path = env::var_os("PATH").unwrap_or_default();
    packaged
        .chain(env::split_paths(&path).filter(|dir| dir.is_absolute()))
        .filter_map(|dir| Some(fs::canonicalize(dir.join("postgres")).ok()?.parent()?.into()))
        .filter(|dir: &PathBuf| dir.join("initdb").exists() && dir.join("pg_ctl").exists())
        .collect()
}

async fn major(postgres: &Path) -> Option<u32> {
    let out = Command::new(postgres).arg("-V").output().await.ok()?;
    parse_version(&String::from_utf8_lossy(&out.stdout))
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, also `18beta1`.
fn parse_version(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL) ")?.1;
    let digits = version.find(|c: char| !c.is_ascii_digit());
    version[..digits.unwrap_or(version.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let debian = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(parse_version(debian), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_version("postgres (PostgreSQL) 17"), Some(17));
        assert_eq!(parse_version("something else"), None);
    }

    #[test]
    fn the_clusters_version_wins_then_the_newest() {
        let all = |majors: &[u32]| -> Vec<Binaries> {
            let each = majors.iter().map(|&major| Binaries { major, dir: PathBuf::new() });
            each.collect()
        };
        let major = |found, wanted| choose(found, wanted).map(|b| b.major);
        assert!(matches!(major(all(&[13, 17, 15]), None), Ok(17)));
        assert!(matches!(major(all(&[13, 17, 15]), Some(13)), Ok(13)));
        let other = major(all(&[15, 17]), Some(16)).unwrap_err().to_string();
        assert!(other.contains("postgresql-16"), "{other}");
        let old = major(all(&[13]), None).unwrap_err().to_string();
        assert!(old.contains("apt install postgresql"), "{old}");
    }

    #[tokio::test]
    async fn this_machine_has_one() {
        let found = Binaries::find(None).await.unwrap();
        assert!(found.major >= OLDEST && found.path("postgres").is_file());
    }
}
