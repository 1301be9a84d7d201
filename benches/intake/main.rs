//! How many alerts a second come in, over real HTTP, beside what pgbench writes of the same rows in the same run:
//! `cargo bench --bench intake`. `-- --seconds 3 --only 10x16` measures less.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark")]

mod alerts;
mod base;
mod load;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use alerts::{Kind, Request};
use base::{Base, Prommgr};

/// Identities that are known before they fire.
const KNOWN: usize = 400_000;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    // `cargo test --benches` asks whether it runs at all
    if args.iter().any(|arg| arg == "--test") {
        return;
    }
    let option = |name: &str| args.iter().position(|arg| arg == name).and_then(|n| args.get(n + 1));
    let seconds: u64 = option("--seconds").map_or(6, |text| text.parse().unwrap());
    let only = option("--only");
    let dir = std::env::temp_dir().join(format!("prommgr-intake-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)).unwrap();
    let base = Base::new(dir.clone()).await;
    base.seed(KNOWN).await;
    let limit = Duration::from_secs(seconds);

    println!(
        "New episodes of known identities, over HTTP, against pgbench (a transaction a POST, the same rows, indexes and connections):\n"
    );
    println!(
        "| alerts a POST | connections | prommgr, alerts/s | pgbench, rows/s | ratio | p50 | p99 | refused |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut prommgr = Prommgr::start(&base).await;
    for count in [1, 10, 100] {
        for connections in [16, 64] {
            if only.is_some_and(|only| *only != format!("{count}x{connections}")) {
                continue;
            }
            base.reset().await;
            let baseline = base.pgbench(connections, count, KNOWN, seconds);
            base.reset().await;
            let ours = load::post(prommgr.address, connections, count, Kind::Firing, 0..KNOWN, limit).await;
            let stored = base.count("alerts where ended_at is null").await;
            assert_eq!(stored, (ours.posts * count) as i64, "what was answered is not what is stored");
            let rate = (ours.posts * count) as f64 / ours.elapsed.as_secs_f64();
            println!(
                "| {count} | {connections} | {rate:.0} | {baseline:.0} | {:.2} | {:.1?} | {:.1?} | {} |",
                rate / baseline,
                ours.at(0.5),
                ours.at(0.99),
                ours.refused
            );
        }
    }
    println!("\nMemory of prommgr, at the most: {:.1} MB\n", prommgr.memory());
    if only.is_none() || only.is_some_and(|only| only == "kinds") {
        kinds(&base, &prommgr, limit).await;
    }
    if only.is_none() || only.is_some_and(|only| only == "large") {
        drop(prommgr);
        prommgr = Prommgr::start(&base).await;
        large(&base, &prommgr).await;
    }
    drop(prommgr);
    let Base { embedded, db, .. } = base;
    drop(db);
    embedded.stop().await.unwrap();
    fs::remove_dir_all(&dir).unwrap();
}

/// What the alerts are, at 10 a POST and 16 connections.
async fn kinds(base: &Base, prommgr: &Prommgr, limit: Duration) {
    println!("| 10 a POST, 16 connections | alerts/s | p50 | p99 |\n|---|---|---|---|");
    base.reset().await;
    let mut heard = 0;
    for (what, kind, new) in [
        ("new identities", Kind::Firing, true),
        ("repeats", Kind::Firing, false),
        ("resolves", Kind::Resolved, false),
    ] {
        let range = if new { KNOWN..9_999_999 } else { KNOWN..KNOWN + heard };
        base.checkpoint().await;
        let ours = load::post(prommgr.address, 16, 10, kind, range, limit).await;
        if new {
            heard = ours.posts * 10;
            // the search indexes them beside, and holds their heads meanwhile: not what is measured here
            base.db.batch_execute("update alert_heads set findable = true where not findable").await.unwrap();
        }
        let rate = (ours.posts * 10) as f64 / ours.elapsed.as_secs_f64();
        println!("| {what} | {rate:.0} | {:.1?} | {:.1?} |", ours.at(0.5), ours.at(0.99));
    }
}

/// One body of 50 MB, while others post small ones.
async fn large(base: &Base, prommgr: &Prommgr) {
    const MANY: usize = 100_000;
    base.reset().await;
    let mut request = Request::new(MANY, Kind::Firing, &"x".repeat(20));
    request.set(1_000_000);
    let size = request.bytes.len() as f64 / 1e6;
    let address = prommgr.address;
    let posting = tokio::spawn(async move {
        let mut client = load::Client::connect(address).await;
        let begin = Instant::now();
        (client.ask(&request.bytes).await, begin.elapsed())
    });
    let mut small = load::Result::default();
    let mut n = 0;
    while !posting.is_finished() {
        let some = load::post(address, 4, 10, Kind::Firing, n..n + 400, Duration::from_secs(1)).await;
        n += 400;
        small.times.extend(some.times);
    }
    small.times.sort();
    let (status, took) = posting.await.unwrap();
    println!(
        "\nA body of {size:.0} MB with {MANY} alerts: {status} after {took:.1?}; meanwhile small posts took {:.1?} (median), {:.1?} (at the most); memory of prommgr {:.0} MB",
        small.at(0.5),
        small.at(1.0),
        prommgr.memory()
    );
    assert_eq!(base.count("alerts").await as usize, MANY + small.times.len() * 10);
}
