//! The test house: a prommgr with a database of its own for each test, and people at its doors.
//!
//! The cast: **alice** manages and **bob** only sees the owner Nordwind (external id 11), **charlie**
//! manages Südstern (12), **root** is the admin, **anyone** is not signed in.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use prommgr::app::App;
use prommgr::auth::{CONFIRMED_KEY, User};
use prommgr::config::{Config, Settings};
use prommgr::store::sessions::{Sessions, USER_KEY};
use prommgr::store::users::random_text;
use prommgr::store::{Store, tokens};
use serde_json::json;
use tokio_postgres::Client;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};

use crate::cluster::{Cluster, cluster, connect};
use crate::person::Person;

/// Of alice, bob, charlie and root.
pub const PASSWORD: &str = "correct horse battery";
/// What the webhook takes.
pub const TOKEN: &str = "a-token-for-the-tests";
/// What secrets are sealed with.
pub const KEY: &str = "a-secret-key-for-the-tests-0123456789";

/// A prommgr with a database and a Prometheus folder of its own.
pub struct House {
    pub app: App,
    pub db: Client,
    /// The Prometheus folder.
    pub prom: PathBuf,
    pub nordwind: i64,
    pub suedstern: i64,
    settings: Settings,
    cluster: &'static Cluster,
    dir: PathBuf,
    name: String,
    /// The cookie of each person's session.
    cookies: BTreeMap<&'static str, String>,
}

impl House {
    /// With the cast in it.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With the cast, and other settings.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut house = Self::empty(change).await;
        // ids that are nobody's external id, so that a mix-up shows
        let owners = "insert into owners (id, external_id, name) values (101, '11', 'Nordwind'), (102, '12', 'Südstern'); \
            delete from unpublished_rows";
        house.db.batch_execute(owners).await.unwrap();
        (house.nordwind, house.suedstern) = (101, 102);
        let people = [
            ("alice", Some((101_i64, "manager"))),
            ("bob", Some((101, "viewer"))),
            ("charlie", Some((102, "manager"))),
            ("root", None),
        ];
        for (name, membership) in people {
            let sql = "with person as (insert into users (name, admin) values ($1, $2) returning id) \
                insert into passwords (user_id, hash) select id, $3 from person returning user_id";
            let row = house
                .db
                .query_one(sql, &[&name, &membership.is_none(), &house.cluster.password_hash])
                .await
                .unwrap();
            let id: i64 = row.get(0);
            if let Some((owner, role)) = membership {
                let sql = "insert into memberships (user_id, owner_id, role) values ($1, $2, $3)";
                house.db.execute(sql, &[&id, &owner, &role]).await.unwrap();
            }
            let cookie = house.session_of(id).await;
            house.cookies.insert(name, cookie);
        }
        house
    }

    /// With nobody in it.
    pub async fn empty(change: impl FnOnce(&mut Settings)) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let cluster = cluster().await;
        let name = format!("house_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        cluster.create(&name).await;
        let url = cluster.url_of(&name);
        let dir = cluster.dir.join(&name);
        let prom = dir.join("prom");
        fs::create_dir_all(&prom).unwrap();
        let mut settings = Settings {
            database_url: Some(url.clone()),
            database_connections: Some("8".into()),
            data_dir: Some(dir.join("data").to_string_lossy().into()),
            prom_dir: Some(prom.to_string_lossy().into()),
            prometheus_url: Some("http://127.0.0.1:9".into()),
            public_url: Some("http://prommgr.test".into()),
            webhook_token: Some(TOKEN.into()),
            secret_key: Some(KEY.into()),
            ..Settings::default()
        };
        change(&mut settings);
        let app = app(&settings);
        let db = connect(&url).await;
        Self {
            app,
            db,
            prom,
            nordwind: 0,
            suedstern: 0,
            settings,
            cluster,
            dir,
            name,
            cookies: BTreeMap::new(),
        }
    }

    /// A second prommgr beside this one, on the same database.
    pub fn twin(&self) -> App {
        app(&self.settings)
    }

    /// A second one with other settings.
    pub fn twin_with(&self, change: impl FnOnce(&mut Settings)) -> App {
        let mut settings = self.settings.clone();
        change(&mut settings);
        app(&settings)
    }

    /// This one, but with a database that is not there.
    pub fn without_database(&self) -> App {
        let nowhere = format!("postgresql:///prommgr?user=prommgr&host={}", self.dir.display());
        app(&Settings { database_url: Some(nowhere), ..self.settings.clone() })
    }

    async fn session_of(&self, user: i64) -> String {
        let expiry_date = time::OffsetDateTime::now_utc() + time::Duration::days(1);
        let now = json!(jiff::Timestamp::now().as_second());
        let data = [(USER_KEY.to_owned(), json!(user)), (CONFIRMED_KEY.to_owned(), now)].into();
        let mut record = Record { id: Id::default(), data, expiry_date };
        Sessions(self.app.store().clone()).create(&mut record).await.unwrap();
        record.id.to_string()
    }

    /// Another browser of somebody of the cast, signed in.
    pub async fn another(&self, name: &str) -> Person {
        let id = self.id_of(name).await;
        let person = Person::new(&self.app);
        person.plant("prommgr", &self.session_of(id).await);
        person
    }

    /// A program with a token of somebody of the cast, which never expires; restricted to an owner or not.
    pub async fn program(&self, name: &str, token: &str, may_write: bool, owner: Option<i64>) -> Person {
        self.anyone().with_token(&self.token(name, token, may_write, owner).await)
    }

    /// Such a token, put into the database.
    pub async fn token(&self, name: &str, token: &str, may_write: bool, owner: Option<i64>) -> String {
        let secret = format!("{}{}", tokens::PREFIX, random_text(40));
        let sql = "insert into tokens (user_id, owner_id, name, hash, hint, may_write) \
            select id, $2, $3, sha256($4::text::bytea), left($4, 12), $5 from users where name = $1";
        self.db.execute(sql, &[&name, &owner, &token, &secret, &may_write]).await.unwrap();
        secret
    }

    /// The id of somebody of the cast.
    pub async fn id_of(&self, name: &str) -> i64 {
        self.db.query_one("select id from users where name = $1", &[&name]).await.unwrap().get(0)
    }

    /// Its database, for another program.
    pub fn database_url(&self) -> &str {
        self.settings.database_url.as_deref().unwrap()
    }

    /// A cookie of a session that never was.
    pub fn invented_cookie(&self) -> String {
        Id::default().to_string()
    }

    pub fn alice(&self) -> Person {
        self.person("alice")
    }

    pub fn bob(&self) -> Person {
        self.person("bob")
    }

    pub fn charlie(&self) -> Person {
        self.person("charlie")
    }

    pub fn root(&self) -> Person {
        self.person("root")
    }

    pub fn anyone(&self) -> Person {
        Person::new(&self.app)
    }

    /// Who that is, with their rights.
    pub async fn person_of(&self, name: &str) -> User {
        User::with_id(&self.app, self.id_of(name).await, None).await.unwrap()
    }

    fn person(&self, name: &str) -> Person {
        let person = Person::new(&self.app);
        person.plant("prommgr", &self.cookies[name]);
        person
    }

    /// Puts a server into the database; returns its id.
    pub async fn server(&self, owner: i64, external_id: &str, name: &str, address: &str) -> i64 {
        let sql = "insert into servers (owner_id, external_id, name, address, port) values ($1, $2, $3, $4, 9100) returning id";
        self.db.query_one(sql, &[&owner, &external_id, &name, &address]).await.unwrap().get(0)
    }

    /// How many rows there are of a table, with or without a condition.
    pub async fn count(&self, what: &str) -> i64 {
        self.db.query_one(&format!("select count(*) from {what}"), &[]).await.unwrap().get(0)
    }

    /// The first column of a query, as texts.
    pub async fn column(&self, sql: &str) -> Vec<String> {
        let rows = self.db.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get::<_, Option<String>>(0).unwrap_or_default()).collect()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
        self.cluster.forget(std::mem::take(&mut self.name));
    }
}

fn app(settings: &Settings) -> App {
    let config = Config::check(settings).unwrap();
    let store = Store::new(config.database_url.as_deref().unwrap(), config.database_connections).unwrap();
    App::new(config, store).unwrap()
}

/// Waits, at most 20 s, until a question has an answer.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: it did not happen within 20 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
