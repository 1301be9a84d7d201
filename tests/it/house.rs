//! The test house: one PostgreSQL a run, one database a test, and people at its doors.
//!
//! The cast: **alice** manages and **bob** only sees the owner Nordwind (external id 11), **charlie**
//! manages Südstern (12), **root** is the admin, **anyone** is not signed in.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, mpsc};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use prommgr::app::App;
use prommgr::config::{Config, Settings};
use prommgr::password;
use prommgr::router::router;
use prommgr::store::embedded::{self, Options};
use prommgr::store::scope::All;
use prommgr::store::sessions::{Sessions, USER_KEY};
use prommgr::store::{Store, intake};
use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;
use tokio_postgres::{Client, NoTls};
use tower::ServiceExt;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};

use crate::page::Page;

/// Of alice, bob, charlie and root.
pub const PASSWORD: &str = "correct horse battery";
/// What the webhook takes.
pub const TOKEN: &str = "a-token-for-the-tests";

/// One run's PostgreSQL. It ends when this process does, and what it leaves on disk is removed then.
struct Cluster {
    dir: PathBuf,
    url: String,
    password_hash: String,
    /// Takes the names of databases that are no longer needed.
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
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async {
                let options = Options { durable: false, createdb: true, max_connections: 400 };
                let embedded = embedded::start_with(&data, options).await.unwrap();
                let store = Store::new(&embedded.url(), 2).unwrap();
                store.migrate().await.unwrap();
                let mut db = store.db().await.unwrap();
                intake::make_partitions(&mut db, All::operator(), jiff::Timestamp::now()).await.unwrap();
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

    fn url_of(&self, database: &str) -> String {
        self.url.replace("DATABASE", database)
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

/// A connection beside the program's own, for what tests prepare and look at.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A folder that goes when the run does, which PostgreSQL's user may enter.
pub async fn scratch(name: &str) -> PathBuf {
    let dir = cluster().await.dir.join(name);
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)).unwrap();
    dir
}

async fn cluster() -> &'static Cluster {
    tokio::task::spawn_blocking(|| LazyLock::force(&CLUSTER)).await.unwrap()
}

/// A prommgr with a database and a Prometheus folder of its own.
pub struct House {
    pub app: App,
    pub db: Client,
    /// The Prometheus folder.
    pub prom: PathBuf,
    pub nordwind: i64,
    pub suedstern: i64,
    settings: Settings,
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
        let owners = "insert into owners (id, external_id, name) values (101, '11', 'Nordwind'), (102, '12', 'Südstern')";
        house.db.batch_execute(owners).await.unwrap();
        (house.nordwind, house.suedstern) = (101, 102);
        let people = [("alice", Some((101_i64, "manager"))), ("bob", Some((101, "viewer"))), ("charlie", Some((102, "manager"))), ("root", None)];
        for (name, membership) in people {
            let sql = "insert into users (name, password_hash, admin) values ($1, $2, $3) returning id";
            let row = house.db.query_one(sql, &[&name, &CLUSTER.password_hash, &membership.is_none()]).await.unwrap();
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
        let maker = connect(&cluster.url_of("postgres")).await;
        maker.batch_execute(&format!("create database {name} template prommgr")).await.unwrap();
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
            ..Settings::default()
        };
        change(&mut settings);
        let app = app(&settings);
        let db = connect(&url).await;
        Self { app, db, prom, nordwind: 0, suedstern: 0, settings, dir, name, cookies: BTreeMap::new() }
    }

    /// A second prommgr beside this one, on the same database.
    pub fn twin(&self) -> App {
        app(&self.settings)
    }

    /// This one, but with a database that is not there.
    pub fn without_database(&self) -> App {
        let nowhere = format!("postgresql:///prommgr?user=prommgr&host={}", self.dir.display());
        app(&Settings { database_url: Some(nowhere), ..self.settings.clone() })
    }

    async fn session_of(&self, user: i64) -> String {
        let expiry_date = time::OffsetDateTime::now_utc() + time::Duration::days(1);
        let mut record = Record { id: Id::default(), data: [(USER_KEY.to_owned(), json!(user))].into(), expiry_date };
        Sessions(self.app.store().clone()).create(&mut record).await.unwrap();
        record.id.to_string()
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
        let _ = CLUSTER.gone.send(std::mem::take(&mut self.name));
    }
}

fn app(settings: &Settings) -> App {
    let config = Config::check(settings).unwrap();
    let store = Store::new(config.database_url.as_deref().unwrap(), config.database_connections).unwrap();
    App::new(config, store).unwrap()
}

/// Somebody with a browser of their own.
pub struct Person {
    house: Router,
    jar: Mutex<BTreeMap<String, String>>,
}

impl Person {
    /// Somebody who comes to this prommgr for the first time.
    pub fn new(app: &App) -> Self {
        Self { house: router(app.clone()), jar: Mutex::default() }
    }

    /// The value of a cookie; empty when there is none.
    pub fn cookie(&self, name: &str) -> String {
        self.jar.lock().unwrap().get(name).cloned().unwrap_or_default()
    }

    /// Puts a cookie into the jar.
    pub fn plant(&self, name: &str, value: &str) {
        self.jar.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    /// Opens a page.
    pub async fn get(&self, path: &str) -> Page {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Asks for the part of a page that htmx swaps.
    pub async fn fragment(&self, path: &str) -> Page {
        let request = Request::get(path).header("HX-Request", "true").header("HX-Request-Type", "partial");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Sends a form.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.send(request.header("Sec-Fetch-Site", "same-origin").body(Body::from(body)).unwrap()).await
    }

    /// Sends a form that is accepted, and opens the page it leads to.
    pub async fn does(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let sent = self.post(path, form).await;
        self.get(&sent.leads_to()).await.expect(200)
    }

    /// Presses a button of a page by its accessible name, with some fields of its form filled in.
    pub async fn presses(&self, page: &Page, button: &str, fill: &[(&str, &str)]) -> Page {
        let (path, mut form) = page.form_of(button);
        for (name, value) in fill {
            form.retain(|(field, _)| field != name);
            form.push(((*name).to_owned(), (*value).to_owned()));
        }
        let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(&path, &form).await
    }

    /// Sends any request, with the cookies of this browser.
    pub async fn send(&self, mut request: Request<Body>) -> Page {
        let cookies: Vec<_> = self.jar.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request.headers_mut().insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        }
        request.headers_mut().entry(header::HOST).or_insert("prommgr.test".parse().unwrap());
        let what = format!("{} {}", request.method(), request.uri());
        let response = self.house.clone().oneshot(request).await.unwrap();
        for line in response.headers().get_all(header::SET_COOKIE) {
            let (name, rest) = line.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if rest.contains("Max-Age=0") {
                self.jar.lock().unwrap().remove(name);
            } else {
                self.plant(name, value);
            }
        }
        Page::read(what, response).await
    }
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
