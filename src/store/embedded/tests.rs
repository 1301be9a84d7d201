//! Against the machine's real PostgreSQL, in directories of their own.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::{env, process};

use super::*;

const QUICK: Options = Options { durable: false, createdb: true, max_connections: 20 };

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir = env::temp_dir().join(format!("prommgr-pg-{}-{name}", process::id()));
        // Root's Postgres runs as another user, who must be able to enter.
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)).unwrap();
        Scratch(dir)
    }

    fn data(&self) -> PathBuf {
        self.0.join("data, \"odd\" 100%")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn open(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn one<T: for<'a> tokio_postgres::types::FromSql<'a>>(client: &Client, sql: &str) -> T {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_life() {
    let scratch = Scratch::new("life");
    let data = scratch.data();
    // What an initdb left that was killed.
    fs::create_dir_all(data.join("postgres.new.1/base")).unwrap();

    let first = start_with(&data, QUICK).await.unwrap();
    assert!(!data.join("postgres.new.1").exists());
    let client = open(&first.url()).await;
    let role = "SELECT concat_ws(' ', rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb) \
                FROM pg_roles WHERE rolname = current_user";
    assert_eq!(one::<String>(&client, role).await, "prommgr f f f t");
    let owner = "SELECT pg_get_userbyid(datdba)::text FROM pg_database \
                 WHERE datname = current_database()";
    assert_eq!(one::<String>(&client, owner).await, "prommgr");
    client.batch_execute("CREATE TABLE kept ()").await.unwrap();
    client.batch_execute("CREATE DATABASE mine").await.unwrap();
    let mine = open(&first.url_of("mine")).await;
    assert_eq!(one::<i32>(&mine, "SELECT 1").await, 1);

    let second = start_with(&data, QUICK).await;
    assert!(matches!(second, Err(EmbeddedError::InUse { .. })));
    assert_eq!(connect_running(&data).await, Some(first.url()));

    // Let go while clients are connected and not waited for: the next start waits for its end.
    drop(first);
    let again = start_with(&data, Options::default()).await.unwrap();
    let client = open(&again.url()).await;
    assert_eq!(one::<String>(&client, role).await, "prommgr f f f f");
    let kept = "SELECT count(*) FROM pg_tables WHERE tablename = 'kept'";
    assert_eq!(one::<i64>(&client, kept).await, 1);
    assert_eq!(one::<String>(&client, "SHOW fsync").await, "on");
    assert_eq!(one::<String>(&client, "SHOW listen_addresses").await, "");
    again.stop().await.unwrap();

    // The process id in the file is that of somebody else by now: ours.
    let pid_file = data.join("postgres/postmaster.pid");
    fs::write(&pid_file, format!("{}\n/x\n1\n5432\n", process::id())).unwrap();
    let begun = Instant::now();
    let mut last = start_with(&data, QUICK).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(timeout(POLL, last.ended()).await.is_err());
    last.stop().await.unwrap();
    assert!(!pid_file.exists());

    let version = data.join("postgres/PG_VERSION");
    let ours = fs::read(&version).unwrap();
    fs::write(&version, "99\n").unwrap();
    let other = start_with(&data, QUICK).await.unwrap_err();
    assert!(matches!(other, EmbeddedError::OtherMajor { cluster: 99, .. }));

    fs::write(&version, ours).unwrap();
    fs::remove_file(data.join("postgres/global/pg_control")).unwrap();
    let broken = start_with(&data, QUICK).await.unwrap_err().to_string();
    assert!(broken.contains("pg_control"), "{broken}");
}

#[tokio::test]
async fn a_socket_directory_that_was_put_there_is_refused() {
    let scratch = Scratch::new("planted");
    let data = scratch.data();
    fs::create_dir_all(&data).unwrap();
    symlink("/", data.join("postgres-socket")).unwrap();
    let refused = start_with(&data, QUICK).await;
    assert!(matches!(refused, Err(EmbeddedError::Foreign { .. })));
}

#[test]
fn the_socket_path_stays_short() {
    let short = site::socket_dir(Path::new("/var/lib/prommgr"));
    assert_eq!(short, Path::new("/var/lib/prommgr/postgres-socket"));
    let long = PathBuf::from(format!("/{}", "x".repeat(80)));
    let dir = site::socket_dir(&long);
    assert!(dir.starts_with("/tmp") && dir.as_os_str().len() < 60);
    assert_eq!(dir, site::socket_dir(&long));
    assert_ne!(dir, site::socket_dir(&long.join("y")));
}

#[test]
fn the_url_is_read_back() {
    let socket = Path::new("/a b/c'\"%é?&#=/s");
    let config: Config = url(socket, "prommgr").parse().unwrap();
    assert_eq!(config.get_user(), Some("prommgr"));
    assert_eq!(config.get_dbname(), Some("prommgr"));
    let host = tokio_postgres::config::Host::Unix(socket.into());
    assert_eq!(config.get_hosts(), [host]);
}
