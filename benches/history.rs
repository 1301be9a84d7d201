//! The history page: how long it takes at several sizes of the history, and what row-level security costs, the whole
//! page with the policies and, asked as a role that they do not bind, without them, turn by turn in the same run.
//!
//! `cargo bench --bench history [-- SIZE …]`: numbers of alerts, 10,000 and 1,000,000 by default; 10,000,000 takes
//! a quarter of an hour to fill. `-- --policies` measures what the policies cost alone. `BENCH_DIR` names a folder in
//! which filled databases are kept for the next run.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prommgr::app::App;
use prommgr::auth::User;
use prommgr::config::{Config, Settings};
use prommgr::router::router;
use prommgr::store::embedded::{self, Options};
use prommgr::store::sessions::{Sessions, USER_KEY};
use prommgr::store::{self, Store};
use prommgr::worker;
use serde_json::json;
use tokio_postgres::{Client, NoTls};
use tower::ServiceExt;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};

/// Requests with and without the policies, turn by turn.
const TURNS: usize = 600;
/// Requests that make plans.
const WARM: usize = 16;
/// Requests of which the percentiles are told.
const ASKED: usize = 300;
/// Where row-level security is compared.
const COMPARED: i64 = 1_000_000;

const PEOPLE: [(&str, &str, &str); 3] = [
    (
        "one",
        "one owner of 200",
        "insert into memberships (user_id, owner_id, role) select u.id, o.id, 'manager' from users u, owners o where u.name = 'one' and o.external_id = '7'",
    ),
    (
        "fifty",
        "50 owners",
        "insert into memberships (user_id, owner_id, role) select u.id, o.id, 'viewer' from users u, owners o where u.name = 'fifty' and o.external_id::int between 20 and 69",
    ),
    ("admin", "an admin", "update users set admin = true where name = 'admin'"),
];

#[tokio::main]
async fn main() {
    // `cargo test --benches` asks whether it runs at all
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let mut sizes: Vec<i64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let policies_alone = std::env::args().any(|arg| arg == "--policies");
    if policies_alone {
        sizes = vec![COMPARED];
    } else if sizes.is_empty() {
        sizes = vec![10_000, COMPARED];
    }
    println!("| the history page | alerts | p50 | p99 | each to that of {} |", sizes[0]);
    println!("|---|---|---|---|---|");
    let mut smallest: Vec<(String, (Duration, Duration))> = Vec::new();
    let mut costs = Vec::new();
    for size in sizes {
        let kept =
            std::env::var_os("BENCH_DIR").map(|dir| std::path::PathBuf::from(dir).join(size.to_string()));
        let dir = kept.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("prommgr-bench-{}-{size}", std::process::id()))
        });
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
        let app = App::new(config, store).unwrap();
        db.batch_execute("set prommgr.seen = 'all'; set prommgr.changed = 'all'").await.unwrap();
        if db.query_opt("select from alerts limit 1", &[]).await.unwrap().is_none() {
            fill(&db, &app, size).await;
        }
        let house = router(app.clone());
        for (name, who, _) in PEOPLE.into_iter().filter(|_| !policies_alone) {
            let id: i64 =
                db.query_one("select id from users where name = $1", &[&name]).await.unwrap().get(0);
            let cookie = session_of(&app, id).await;
            for (what, path) in pages(&db, size).await {
                let mut times = ask(&house, &cookie, &path, ASKED, WARM).await;
                times.sort();
                let (p50, p99) = (times[ASKED / 2], times[ASKED * 99 / 100]);
                let page = format!("{who}: {what}");
                let base = smallest.iter().find(|(known, _)| *known == page).map(|(_, base)| *base);
                let (base50, base99) = base.unwrap_or((p50, p99));
                println!(
                    "| {page} | {size} | {p50:.2?} | {p99:.2?} | {:.2}, {:.2} |",
                    ratio(p50, base50),
                    ratio(p99, base99)
                );
                if base.is_none() {
                    smallest.push((page, (p50, p99)));
                }
            }
        }
        if size == COMPARED {
            // not a superuser, who may call each function unasked
            let url = embedded.url().replace("user=prommgr", "user=postgres");
            let (postgres, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
            tokio::spawn(connection);
            postgres
                .batch_execute("drop role if exists free; create role free bypassrls in role prommgr")
                .await
                .unwrap();
            let free = Settings { database_url: Some(format!("{url}&options=-c%20role%3Dfree")), ..settings };
            let config = Config::check(&free).unwrap();
            let store = Store::new(config.database_url.as_deref().unwrap(), 8).unwrap();
            costs = policies(&db, &app, &App::new(config, store).unwrap()).await;
        }
        drop((app, house, db));
        embedded.stop().await.unwrap();
        if kept.is_none() {
            fs::remove_dir_all(&dir).unwrap();
        }
    }
    if costs.is_empty() {
        return;
    }
    println!(
        "\n| the history page, {COMPARED} alerts | with policies | without | ratio | with the transaction too |"
    );
    println!("|---|---|---|---|---|");
    for line in costs {
        println!("{line}");
    }
}

/// What is asked for, and under which path.
async fn pages(db: &Client, size: i64) -> Vec<(&'static str, String)> {
    let deep = (size * 9 / 10).min(450_000);
    let row = db
        .query_one(
            "select started_at::text, id from alerts order by started_at desc, id desc offset $1 limit 1",
            &[&deep],
        )
        .await
        .unwrap();
    let started: jiff::Timestamp = row.get::<_, String>(0).parse().unwrap();
    let key = serde_json::to_vec(&(started, row.get::<_, i64>(1))).unwrap();
    vec![
        ("first page", "/alerts".to_owned()),
        ("open ones", "/alerts?state=open".to_owned()),
        ("page 9,000", format!("/alerts?after={}", URL_SAFE_NO_PAD.encode(key))),
        ("a rule", "/alerts?rule=disk_will_fill_up".to_owned()),
        ("a label that few have", "/alerts?q=instance%3D10.0.7.3:9100".to_owned()),
        ("a label that many have", "/alerts?q=device%3Ddisk-3".to_owned()),
        ("a text that few have", "/alerts?q=server-7-3".to_owned()),
        ("a text that many have", "/alerts?q=disk-3+much".to_owned()),
        ("a text that nobody has", "/alerts?q=nowhere".to_owned()),
        ("by server", "/alerts?group=server".to_owned()),
        ("by rule", "/alerts?group=rule".to_owned()),
    ]
}

/// What row-level security costs, a line a kind of person and page.
async fn policies(db: &Client, app: &App, unbound: &App) -> Vec<String> {
    for (app, free) in [(app, false), (unbound, true)] {
        let health = store::health_of(&mut app.door().await.unwrap()).await.unwrap();
        assert_eq!(health.unbound, free, "a role that the policies bind, and one that they do not");
    }
    let mut lines = Vec::new();
    let (house, free) = (router(app.clone()), router(unbound.clone()));
    for (name, who, _) in PEOPLE {
        let id: i64 = db.query_one("select id from users where name = $1", &[&name]).await.unwrap().get(0);
        let cookie = session_of(app, id).await;
        let user = User::with_id(app, id, None).await.unwrap();
        let begin = transaction(app, &user).await;
        for (what, path) in pages(db, COMPARED).await.into_iter().take(5) {
            let [with, without] = turns([&house, &free], &cookie, &path).await;
            lines.push(format!(
                "| {who}: {what} | {with:.2?} | {without:.2?} | {:.2} | {:.2} |",
                ratio(with, without),
                ratio(with, without.saturating_sub(begin))
            ));
        }
        println!("{who}: {begin:.0?} for the transaction with the rights");
    }
    lines
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

async fn fill(db: &Client, app: &App, size: i64) {
    db.batch_execute(&format!(
        "do $$ declare m date; begin for i in 0..13 loop m := date_trunc('month', now()) - make_interval(months => 13 - i); \
           execute format('create table if not exists alerts_%1$s partition of alerts for values from (%2$L) to (%3$L)', \
             to_char(m, 'YYYY_MM'), m, m + interval '1 month'); \
           execute format('alter table alerts_%1$s enable row level security', to_char(m, 'YYYY_MM')); \
           execute format('alter table alerts_%1$s force row level security', to_char(m, 'YYYY_MM')); end loop; end $$; \
         insert into owners (external_id, name) select n::text, 'Owner ' || n from generate_series(1, 200) n; \
         insert into servers (owner_id, external_id, name, address, port) \
           select o.id, n::text, 'server-' || o.external_id || '-' || n, '10.0.' || o.external_id || '.' || n, 9100 \
           from owners o, generate_series(1, 20) n; \
         insert into users (name) select unnest(array['one', 'fifty', 'admin']); \
         create temporary table pairs as select row_number() over (order by o.external_id::int, s.external_id::int) - 1 as n, \
           o.id as owner, s.id as server, o.external_id as oe, s.external_id as se, s.address || ':9100' as instance \
           from owners o join servers s on s.owner_id = o.id; \
         analyze pairs; \
         insert into alerts (received_at, cluster_id, fingerprint, owner_id, server_id, owner_external_id, server_external_id, rule, severity, instance, labels, annotations, started_at, ended_at, last_seen_at, close_reason) \
           select at, 1, lpad(to_hex(p.n * 8 + k % 5), 16, '0'), p.owner, p.server, p.oe, p.se, rule, severity, p.instance, \
             jsonb_build_object('alertname', rule, 'severity', severity, 'cloudnet_owner_id', p.oe, 'cloudnet_server_id', p.se, \
               'instance', p.instance, 'job', 'node', 'device', 'disk-' || (p.n + k % 5) % 10), \
             jsonb_build_object('summary', 'Something is too much on server ' || p.se), at, \
             case when k % ({size} / 1000) <> 0 then at + interval '20 minutes' end, at + interval '20 minutes', case when k % ({size} / 1000) <> 0 then 'resolved' end \
           from (select k, now() - k * interval '1 year' / {size} as at, \
               (array['service_down','cpu_threshold_exceeded','load_threshold_exceeded','mem_threshold_exceeded','disk_will_fill_up'])[k % 5 + 1] as rule, \
               case when k % 5 = 0 then 'critical' else 'warning' end as severity \
             from generate_series(1, {size}) k) x join pairs p on p.n = (k * 7919::bigint) % 4000; \
         insert into alert_heads (cluster_id, fingerprint) select distinct 1, fingerprint from alerts"
    ))
    .await
    .unwrap();
    for (_, _, sql) in PEOPLE {
        db.batch_execute(sql).await.unwrap();
    }
    worker::index(app).await.unwrap();
    db.batch_execute("vacuum analyze").await.unwrap();
}

/// What the transaction with somebody's rights adds to the first query in it; its end is beside the request.
async fn transaction(app: &App, user: &User) -> Duration {
    let (mut bound, mut unbound) = (Vec::new(), Vec::new());
    for _ in 0..500 {
        // nothing of the one before may be under way
        tokio::time::sleep(Duration::from_millis(1)).await;
        let begin = Instant::now();
        store::health_of(&mut app.db(user).await.unwrap()).await.unwrap();
        bound.push(begin.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
        let begin = Instant::now();
        store::health_of(&mut app.door().await.unwrap()).await.unwrap();
        unbound.push(begin.elapsed());
    }
    median(bound).saturating_sub(median(unbound))
}

/// The medians with the policies and without them.
async fn turns(houses: [&Router; 2], cookie: &str, path: &str) -> [Duration; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for turn in 0..TURNS {
        for n in [turn % 2, 1 - turn % 2] {
            let house = houses[n];
            times[n].extend(ask(house, cookie, path, 1, if turn == 0 { WARM } else { 0 }).await);
        }
    }
    times.map(median)
}

/// How long each request takes; the first ones, which make plans on every connection, are not told.
async fn ask(house: &Router, cookie: &str, path: &str, requests: usize, warm: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for n in 0..requests + warm {
        let begin = Instant::now();
        let request = Request::get(path)
            .header(header::COOKIE, format!("prommgr={cookie}"))
            .header(header::HOST, "localhost");
        let answer = house.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        axum::body::to_bytes(answer.into_body(), 1 << 22).await.unwrap();
        if n >= warm {
            times.push(begin.elapsed());
        }
    }
    times
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
