//! Who runs Postgres: it refuses to run as root, so that root hands it to another user.

use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use tokio::process::Command;

use super::EmbeddedError;

/// A user of the operating system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// The user that this process runs as.
    pub(super) async fn me() -> Result<Account, EmbeddedError> {
        // `id` knows users of directories too, which are not in /etc/passwd.
        let out = Command::new("id").output().await;
        let out = out.map_err(|e| EmbeddedError::io("cannot run id", e))?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        parse_id(&text).ok_or(EmbeddedError::NoName { id: text })
    }

    /// The user that Postgres runs as: root's choice is whoever owns the cluster, then `postgres`,
    /// then `nobody`; anybody else runs it themselves.
    pub(super) fn host(me: &Account, cluster: &Path) -> Result<Account, EmbeddedError> {
        if me.uid != 0 {
            return Ok(me.clone());
        }
        let owner = fs::metadata(cluster).map(|m| m.uid()).ok();
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        choose(&passwd, owner).ok_or(EmbeddedError::NoServant)
    }

    /// What [`crate::leash::Spec::user`] wants: nothing if it is ourselves.
    pub(super) fn switch_from(&self, me: &Account) -> Option<(u32, u32)> {
        (self != me).then_some((self.uid, self.gid))
    }

    /// Gives a tree to this user; does not follow links.
    pub(super) fn own(&self, path: &Path) -> std::io::Result<()> {
        if fs::symlink_metadata(path)?.is_dir() {
            for entry in fs::read_dir(path)? {
                self.own(&entry?.path())?;
            }
        }
        lchown(path, Some(self.uid), Some(self.gid))
    }

    /// Fails with the first directory on the way to `dir` that this user may not enter.
    pub(super) async fn reach(&self, dir: &Path) -> Result<(), EmbeddedError> {
        if self.enters(dir).await? {
            return Ok(());
        }
        let mut barrier = dir;
        for part in dir.ancestors() {
            if self.enters(part).await? {
                break;
            }
            barrier = part;
        }
        Err(EmbeddedError::Unreachable {
            dir: dir.to_owned(),
            barrier: barrier.to_owned(),
            user: self.name.clone(),
        })
    }

    /// Tries, because modes are not the whole truth where there are access control lists.
    async fn enters(&self, dir: &Path) -> Result<bool, EmbeddedError> {
        let mut cd = Command::new("/bin/sh");
        cd.args(["-c", "cd \"$0\" 2>/dev/null"]).arg(dir);
        cd.current_dir("/").uid(self.uid).gid(self.gid);
        let status = cd.status().await;
        Ok(status.map_err(|e| EmbeddedError::io("cannot run /bin/sh", e))?.success())
    }
}

/// Reads `uid=0(root) gid=0(root) …`; a user without a name gives `None`.
fn parse_id(text: &str) -> Option<Account> {
    let mut fields = text.split_whitespace();
    let (uid, name) = fields.next()?.strip_prefix("uid=")?.split_once('(')?;
    let gid = fields.next()?.strip_prefix("gid=")?;
    Some(Account {
        name: name.strip_suffix(')')?.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.split('(').next()?.parse().ok()?,
    })
}

fn choose(passwd: &str, owner: Option<u32>) -> Option<Account> {
    let accounts: Vec<Account> = passwd.lines().filter_map(parse_passwd).collect();
    let named = |name: &str| accounts.iter().find(|a| a.name == name);
    accounts
        .iter()
        .find(|a| Some(a.uid) == owner && a.uid != 0)
        .or_else(|| named("postgres"))
        .or_else(|| named("nobody"))
        .cloned()
}

fn parse_passwd(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    Some(Account {
        name: fields.next()?.to_owned(),
        uid: fields.nth(1)?.parse().ok()?,
        gid: fields.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_read() {
        let alice = Account { name: "alice".into(), uid: 1000, gid: 100 };
        assert_eq!(parse_id("uid=1000(alice) gid=100(users) groups=100(users)\n"), Some(alice));
        assert_eq!(parse_id("uid=1234 gid=0(root) groups=0(root)"), None);
        assert_eq!(parse_id("uid=1(a) gid=77 groups=77").map(|a| a.gid), Some(77));
    }

    #[test]
    fn root_chooses_the_owner_then_postgres_then_nobody() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n\
                      alice:x:1000:100::/home/alice:/bin/sh\n";
        let name = |passwd: &str, owner| choose(passwd, owner).map(|a| a.name);
        assert_eq!(name(passwd, Some(1000)).as_deref(), Some("alice"));
        assert_eq!(name(passwd, Some(0)).as_deref(), Some("nobody"));
        assert_eq!(name(passwd, Some(4711)).as_deref(), Some("nobody"));
        let more = format!("{passwd}postgres:x:101:104::/:/bin/sh\n");
        assert_eq!(name(&more, None).as_deref(), Some("postgres"));
        assert_eq!(name("", None), None);
    }
}
