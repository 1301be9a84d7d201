//! What row-level security costs on the history page: the whole page over a million alerts, with the policies
//! and without them, turn by turn in the same run, as several kinds of people.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use prommgr::app::App;
use prommgr::auth::User;
use prommgr::config::{Config, Settings};
use prommgr::router::router;
use prommgr::store::Store;
use prommgr::store::embedded::{self, Options};
use prommgr::store::sessions::{Sessions, USER_KEY};
use serde_json::json;
use tokio_postgres::{Client, NoTls};
use tower::ServiceExt;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};

const ALERTS: i64 = 1_000_000;
/// Turns with the policies and without them, and requests a turn.
const TURNS: usize = 12;
const REQUESTS: usize = 25;

const PEOPLE: [(&str, &str); 3] = [
    (
        "one owner (5,000 alerts)",
        "insert into memberships (user_id, owner_id, role) select u.id, o.id, 'manager' from users u, owners o where u.name = 'one' and o.external_id = '7'",
    ),
    (
        "50 owners (250,000 alerts)",
        "insert into memberships (user_id, owner_id, role) select u.id, o.id, 'viewer' from users u, owners o where u.name = 'fifty' and o.external_id::int between 20 and 69",
    ),
    ("an admin (all)", "update users set admin = true where name = 'admin'"),
];
const NAMES: [&str; 3] = ["one", "fifty", "admin"];

#[tokio::main]
async fn main() {
    // `cargo test --benches` asks whether it runs at all
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let dir = std::env::temp_dir().join(format!("prommgr-bench-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)).unwrap();
    let options = Options { durable: true, createdb: false, max_connections: 50 };
    let embedded = embedded::start_with(&dir.join("data"), options).await.unwrap();
    let settings = Settings {
        database_url: Some(embedded.url()),
        data_dir: Some(dir.join("own").to_string_lossy().into()),
        prom_dir: Some(dir.join("prom").to_string_lossy().into()),
        webhook_token: Some("a-token-for-the-benchmark".into()),
        ..Settings::default()
    };
    let config = Config::check(&settings).unwrap();
    let store = Store::new(config.database_url.as_deref().unwrap(), 8).unwrap();
    store.migrate().await.unwrap();
    let (db, connection) = tokio_postgres::connect(&embedded.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    fill(&db).await;
    let app = App::new(config, store).unwrap();
    let house = router(app.clone());

    println!(
        "| the history page, {ALERTS} alerts | with policies | without | ratio | with the transaction too |"
    );
    println!("|---|---|---|---|---|");
    for ((who, _), name) in PEOPLE.iter().zip(NAMES) {
        let id: i64 = db.query_one("select id from users where name = $1", &[&name]).await.unwrap().get(0);
        let cookie = session_of(&app, id).await;
        let user = User::with_id(&app, id, None).await.unwrap();
        let begin = transaction(&app, &user).await;
        for (what, path) in [
            ("first page", "/alerts?state=all"),
            ("open ones", "/alerts"),
            ("a text", "/alerts?state=all&q=disk-77"),
        ] {
            if what == "a text" && name == "admin" {
                continue; // seconds, with or without: not what is measured here
            }
            let (with, without) = turns(&db, &house, &cookie, path).await;
            let ratio = with.as_secs_f64() / without.as_secs_f64();
            let whole = with.as_secs_f64() / without.saturating_sub(begin).as_secs_f64();
            println!("| {who}: {what} | {with:.2?} | {without:.2?} | {ratio:.2} | {whole:.2} |");
        }
    }
    drop((app, house, db));
    embedded.stop().await.unwrap();
    fs::remove_dir_all(&dir).unwrap();
}

async fn fill(db: &Client) {
    db.batch_execute("set prommgr.seen = 'all'; set prommgr.changed = 'all'").await.unwrap();
    db.batch_execute(&format!(
        "do $$ declare m date; begin for i in 0..13 loop m := date_trunc('month', now()) - make_interval(months => 13 - i); \
           execute format('create table if not exists alerts_%s partition of alerts for values from (%L) to (%L)', \
             to_char(m, 'YYYY_MM'), m, m + interval '1 month'); end loop; end $$; \
         insert into owners (external_id, name) select n::text, 'Owner ' || n from generate_series(1, 200) n; \
         insert into servers (owner_id, external_id, name, address, port) \
           select o.id, n::text, 'server-' || n, '10.' || n || '.0.1', 9100 from owners o, generate_series(1, 20) n; \
         insert into users (name) select unnest(array['one', 'fifty', 'admin']); \
         create temporary table pairs as select row_number() over (order by o.external_id::int, s.external_id::int) - 1 as n, \
           o.id as owner, s.id as server, o.external_id as oe, s.external_id as se from owners o join servers s on s.owner_id = o.id; \
         insert into alerts (received_at, cluster_id, fingerprint, owner_id, server_id, owner_external_id, server_external_id, rule, severity, instance, labels, annotations, started_at, ended_at, last_seen_at, close_reason) \
           select at, 1, lpad(to_hex(p.n * 8 + k % 5), 16, '0'), p.owner, p.server, p.oe, p.se, \
             (array['service_down','cpu_threshold_exceeded','load_threshold_exceeded','mem_threshold_exceeded','disk_will_fill_up'])[k % 5 + 1], \
             case when k % 3 = 0 then 'critical' else 'warning' end, '10.0.0.' || p.se || ':9100', \
             jsonb_build_object('alertname', 'x', 'cloudnet_owner_id', p.oe, 'cloudnet_server_id', p.se, 'device', 'disk-' || k % 100), \
             jsonb_build_object('summary', 'Something is too much on server ' || p.se), at, \
             case when k % 1000 <> 0 then at + interval '20 minutes' end, at + interval '20 minutes', case when k % 1000 <> 0 then 'resolved' end \
           from (select k, now() - k * interval '30 seconds' as at from generate_series(1, {ALERTS}) k) x join pairs p on p.n = (k * 7919::bigint) % 4000"
    ))
    .await
    .unwrap();
    for (_, sql) in PEOPLE {
        db.batch_execute(sql).await.unwrap();
    }
    db.batch_execute("vacuum analyze").await.unwrap();
}

/// What it takes to begin a transaction with somebody's rights; its end is beside the request.
async fn transaction(app: &App, user: &User) -> Duration {
    let mut times = Vec::new();
    for _ in 0..500 {
        let begin = Instant::now();
        drop(app.db(user).await.unwrap());
        let bound = begin.elapsed();
        let begin = Instant::now();
        drop(app.door().await.unwrap());
        times.push(bound.saturating_sub(begin.elapsed()));
    }
    median(times)
}

/// The medians with the policies and without them.
async fn turns(db: &Client, house: &Router, cookie: &str, path: &str) -> (Duration, Duration) {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let on = turn % 2 == 0;
        let word = if on { "enable" } else { "disable" };
        db.batch_execute(&format!(
            "do $$ declare t text; begin for t in select distinct tablename from pg_policies loop \
               execute format('alter table %I {word} row level security', t); end loop; end $$"
        ))
        .await
        .unwrap();
        for n in 0..REQUESTS + 8 {
            let begin = Instant::now();
            let request = Request::get(path)
                .header(header::COOKIE, format!("prommgr={cookie}"))
                .header(header::HOST, "localhost");
            let answer = house.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), 200);
            axum::body::to_bytes(answer.into_body(), 1 << 22).await.unwrap();
            // the first ones make plans anew
            if n >= 8 {
                if on { with.push(begin.elapsed()) } else { without.push(begin.elapsed()) }
            }
        }
    }
    (median(with), median(without))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

async fn session_of(app: &App, user: i64) -> String {
    let expiry_date = time::OffsetDateTime::now_utc() + time::Duration::days(1);
    let data =
        [(USER_KEY.to_owned(), json!(user)), ("seen".to_owned(), json!(jiff::Timestamp::now().as_second()))]
            .into();
    let mut record = Record { id: Id::default(), data, expiry_date };
    Sessions(app.store().clone()).create(&mut record).await.unwrap();
    record.id.to_string()
}
