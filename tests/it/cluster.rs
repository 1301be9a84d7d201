//! One PostgreSQL for the whole run, with a template that every test's database is a copy of.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, mpsc};

use prommgr::password;
use prommgr::store::embedded::{self, Options};
use prommgr::store::scope::All;
use prommgr::store::{Store, retention};
use tokio::sync::mpsc::UnboundedSender;
use tokio_postgres::{Client, NoTls};

use crate::house::PASSWORD;

/// One run's PostgreSQL. It ends when this process does, and what it leaves on disk is removed then.
pub struct Cluster {
    pub dir: PathBuf,
    url: String,
    /// Of [`PASSWORD`].
    pub password_hash: String,
    gone: UnboundedSender<String>,
    _janitor: Child,
}

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

impl Cluster {
    /// Lives in a thread of its own: a test's runtime ends with the test.
    fn start() -> Self {
        let dir = std::env::temp_dir().join(format!("prommgr-it-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        // root's PostgreSQL runs as another user
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)).unwrap();
        let janitor = janitor(&dir);
        let (gone, mut leaving) = tokio::sync::mpsc::unbounded_channel::<String>();
        let (tell, told) = mpsc::channel();
        let data = dir.join("data");
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async {
                let options = Options { durable: false, createdb: true, max_connections: 400 };
                let embedded = embedded::start_with(&data, options).await.unwrap();
                let store = Store::new(&embedded.url(), 2).unwrap();
                store.migrate().await.unwrap();
                let mut db = store.db(All::operator()).await.unwrap();
                retention::make_partitions(&mut db, All::operator(), jiff::Timestamp::now()).await.unwrap();
                drop((db, store));
                let hash = password::hash(PASSWORD.into()).await.unwrap();
                let admin = connect(&embedded.url_of("postgres")).await;
                tell.send((embedded.url_of("DATABASE"), hash)).unwrap();
                while let Some(name) = leaving.recv().await {
                    // what is left goes with the folder
                    let _ = admin.batch_execute(&format!("drop database {name} with (force)")).await;
                }
            });
        });
        let (url, password_hash) = told.recv().expect("no PostgreSQL for the tests");
        Self { dir, url, password_hash, gone, _janitor: janitor }
    }

    pub fn url_of(&self, database: &str) -> String {
        self.url.replace("DATABASE", database)
    }

    /// Makes a database that is a copy of the template.
    pub async fn create(&self, name: &str) {
        let maker = connect(&self.url_of("postgres")).await;
        maker.batch_execute(&format!("create database {name} template prommgr")).await.unwrap();
    }

    /// Drops a database, some time.
    pub fn forget(&self, name: String) {
        // at the end of the run everything goes
        let _ = self.gone.send(name);
    }
}

/// Removes the run's folder when this process has ended, however it does, and PostgreSQL after it.
fn janitor(dir: &Path) -> Child {
    let script = r#"read -r _; for _ in $(seq 100); do
        [ -e "$0/data/postgres/postmaster.pid" ] || break; sleep 0.1; done; rm -rf "$0""#;
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script).arg(dir).current_dir("/").process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The run's PostgreSQL, which the first who asks starts.
pub async fn cluster() -> &'static Cluster {
    tokio::task::spawn_blocking(|| LazyLock::force(&CLUSTER)).await.unwrap()
}

/// A connection beside the program's own, for what tests prepare and look at: it reaches every row.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("set prommgr.seen = 'all'; set prommgr.changed = 'all'").await.unwrap();
    client
}

/// A folder that goes when the run does, which PostgreSQL's user may enter.
pub async fn scratch(name: &str) -> PathBuf {
    let dir = cluster().await.dir.join(name);
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)).unwrap();
    dir
}
