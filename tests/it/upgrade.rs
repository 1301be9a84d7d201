//! A database of the first release, with rows in it, is brought up to date and keeps them.

use std::fs;
use std::path::Path;

use prommgr::store::Store;

use crate::cluster::{cluster, connect};

/// The newest migration of the first release.
const FIRST_RELEASE: &str = "0007_health";

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_the_first_release_survive() {
    let cluster = cluster().await;
    let admin = connect(&cluster.url_of("postgres")).await;
    admin.batch_execute("create database an_older_one template template0").await.unwrap();
    let url = cluster.url_of("an_older_one");
    let db = connect(&url).await;
    db.batch_execute("create table __diesel_schema_migrations (version varchar(50) primary key, run_on timestamp not null default now())").await.unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names.iter().filter(|name| name.as_str() <= FIRST_RELEASE) {
        db.batch_execute(&fs::read_to_string(folder.join(name).join("up.sql")).unwrap()).await.unwrap();
        let version = name.split('_').next().unwrap();
        db.execute("insert into __diesel_schema_migrations (version) values ($1)", &[&version])
            .await
            .unwrap();
    }
    db.batch_execute(
        "insert into users (name, password_hash, admin) values ('root', 'x', true), ('alice', 'x', false); \
         insert into owners (external_id, name) values ('11', 'Nordwind'); \
         insert into memberships (user_id, owner_id, role) select u.id, o.id, 'manager' from users u, owners o where u.name = 'alice'; \
         insert into servers (owner_id, external_id, name, address, port) select id, '1', 'web', '10.0.0.1', 9100 from owners; \
         insert into server_health (server_id, up) select id, true from servers; \
         insert into one_time_links (hash, purpose, expires_at) values ('x', 'setup', now() + interval '1 day'); \
         insert into alerts (cluster_id, fingerprint, owner_id, server_id, rule, severity, instance, labels, annotations, started_at, last_seen_at) \
           select 1, 'f', owner_id, id, 'service_down', 'critical', 'i', '{}', '{}', now(), now() from servers",
    )
    .await
    .unwrap();
    let store = Store::new(&url, 2).unwrap();
    assert_eq!(store.migrate().await.unwrap(), names.len() - 7);
    assert_eq!(store.migrate().await.unwrap(), 0);
    let counted = "select (select count(*) from alerts) + (select count(*) from servers) + (select count(*) from server_health h join owners o on o.id = h.owner_id)";
    assert_eq!(db.query_one(counted, &[]).await.unwrap().get::<_, i64>(0), 3);
    assert_eq!(
        db.query_one("select count(*) from passwords where hash = 'x'", &[]).await.unwrap().get::<_, i64>(0),
        2
    );
    // people keep their ids, and new ones are no neighbours of them
    let ids = db.query("select id from users order by id", &[]).await.unwrap();
    assert_eq!(ids.iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>(), [1, 2]);
    let made: i64 =
        db.query_one("insert into users (name) values ('new') returning id", &[]).await.unwrap().get(0);
    assert!(made > 3, "{made}");
    // and back
    let mut again: Vec<_> = names.iter().filter(|name| name.as_str() > FIRST_RELEASE).collect();
    again.reverse();
    for name in again {
        db.batch_execute(&fs::read_to_string(folder.join(name).join("down.sql")).unwrap())
            .await
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
    assert_eq!(db.query_one("select count(*) from alerts", &[]).await.unwrap().get::<_, i64>(0), 1);
    drop((store, db));
    cluster.forget("an_older_one".into());
}
