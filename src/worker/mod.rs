//! The clock: which job, how often. Each job is a plain async function that does one step; what
//! must run once in a cluster of prommgrs holds an advisory lock.

mod path;
mod publish;
mod reconcile;

use std::collections::HashMap;
use std::time::Duration;

pub use self::path::watch_path;
pub use self::publish::{look_for_drift, publish_by_itself};
pub use self::reconcile::{Compared, reconcile};
use jiff::Timestamp;
use metrics::{counter, gauge};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::error::Result;
use crate::store::retention::{self, Place};
use crate::store::scope::All;
use crate::store::{
    alerts, attempts, browsers, health, heartbeats, idempotency, intake, publications, quarantine, sessions,
};

/// How often Prometheus is asked which servers it reaches.
const WATCH_EVERY: Duration = Duration::from_secs(10);
/// How often everybody on the way of alerts is asked about it.
const PATH_EVERY: Duration = Duration::from_secs(15);
/// How often what is old is forgotten, and what came meanwhile is adopted.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// How often new alerts are made findable by their labels and words.
const INDEX_EVERY: Duration = Duration::from_secs(2);
/// How often what is over for long enough is taken out of the history.
const RETAIN_EVERY: Duration = Duration::from_secs(300);
/// Steps of deleting at a time: other jobs wait meanwhile.
const RETAIN_STEPS: usize = 20;
/// How often the folder is compared with what was published.
const DRIFT_EVERY: Duration = Duration::from_secs(60);
/// Publications whose files are kept.
const KEPT_PUBLICATIONS: i64 = 200;
/// Held by the instance that works.
const WORKER_LOCK: i64 = 0x7072_6f6d_6d67_7204;

/// Works until `stop`.
pub async fn work(app: App, stop: CancellationToken) {
    // a long list of Alertmanager's is not to hold up the rest
    tokio::join!(keep_time(&app, &stop), reconcile::work(&app, &stop), publish::work(&app, &stop));
}

async fn keep_time(app: &App, stop: &CancellationToken) {
    let mut watch = tokio::time::interval(WATCH_EVERY);
    let mut path = tokio::time::interval(PATH_EVERY);
    let mut tidy = tokio::time::interval(TIDY_EVERY);
    let mut index = tokio::time::interval(INDEX_EVERY);
    let mut retain = tokio::time::interval(RETAIN_EVERY);
    let mut drift = tokio::time::interval(DRIFT_EVERY);
    let mut place = None;
    for clock in [&mut watch, &mut path, &mut tidy, &mut index, &mut retain, &mut drift] {
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    loop {
        let (job, done) = tokio::select! {
            () = stop.cancelled() => return,
            _ = watch.tick() => ("watch", once(app, self::watch(app)).await),
            _ = path.tick() => ("path", once(app, watch_path(app)).await),
            _ = tidy.tick() => ("tidy", once(app, self::tidy(app)).await),
            _ = retain.tick() => ("retain", once(app, self::retain(app, &mut place, Timestamp::now())).await),
            _ = drift.tick() => ("drift", once(app, look_for_drift(app)).await),
            _ = index.tick() => ("index", self::index(app).await),
        };
        let result = if done.is_ok() { "success" } else { "failure" };
        counter!("prommgr_job_runs_total", "job" => job, "result" => result).increment(1);
        if done.is_ok() {
            let now = Timestamp::now().as_duration().as_secs_f64();
            gauge!("prommgr_job_last_success_timestamp_seconds", "job" => job).set(now);
        }
        crate::metrics::tidy();
        if let Err(error) = done {
            tracing::warn!(job, %error, "a job failed; it will be tried again");
        }
    }
}

/// Runs a job unless another instance is at work.
pub(crate) async fn once(app: &App, job: impl Future<Output = Result<()>>) -> Result<()> {
    match app.store().try_locked(WORKER_LOCK).await? {
        Some(_lock) => job.await,
        None => Ok(()),
    }
}

/// Asks every Prometheus which servers it reaches. A server that several scrape is up when all
/// reach it. When none has answered for a while, nothing is known any more.
pub async fn watch(app: &App) -> Result<()> {
    let all = All::operator();
    let [owner, server] = app.our_labels();
    let asked = app.publisher().clients().iter().map(|client| client.up(owner, server));
    let answers = futures_util::future::join_all(asked).await;
    let mut up: HashMap<(String, String), bool> = HashMap::new();
    let mut db = app.db(all).await?;
    let mut answered = false;
    let mut urls = Vec::new();
    for (client, answer) in app.publisher().clients().iter().zip(answers) {
        let url = client.at().to_string();
        match answer {
            Ok(states) => {
                answered = true;
                for (pair, state) in states {
                    up.entry(pair).and_modify(|known| *known &= state).or_insert(state);
                }
                health::note_prometheus(&mut db, all, &url, None).await?;
            }
            Err(error) => health::note_prometheus(&mut db, all, &url, Some(&error.to_string())).await?,
        }
        urls.push(url);
    }
    health::keep_only(&mut db, all, &urls).await?;
    if answered {
        health::note(&mut db, all, &up).await?;
    } else if !health::fresh(&mut db).await? {
        health::note(&mut db, all, &HashMap::new()).await?;
    }
    Ok(())
}

/// Makes new alerts findable. Several instances share the work.
pub async fn index(app: &App) -> Result<()> {
    let all = All::operator();
    let mut db = app.db(all).await?;
    while alerts::index(&mut db, all).await? > 0 {}
    Ok(())
}

/// Makes partitions ahead, adopts alerts, forgets what is old: sessions, known browsers, attempts,
/// heartbeats, quarantine, the files of publications.
pub async fn tidy(app: &App) -> Result<()> {
    let all = All::operator();
    let mut db = app.db(all).await?;
    if let Err(error) = retention::make_partitions(&mut db, all, Timestamp::now()).await {
        // the default partition takes the rows meanwhile
        tracing::warn!(%error, "a month's partition could not be made");
    }
    let adopted = intake::adopt_all(&mut db, all).await?;
    if adopted > 0 {
        tracing::info!(adopted, "alerts found their owner or server");
    }
    alerts::sweep(&mut db, all).await?;
    heartbeats::sweep(&mut db, all).await?;
    quarantine::sweep(&mut db, all).await?;
    attempts::sweep(&mut db, all).await?;
    browsers::sweep(&mut db, all).await?;
    idempotency::sweep(&mut db, all).await?;
    app.rate().tidy();
    publications::prune(&mut db, all, KEPT_PUBLICATIONS).await?;
    sessions::sweep(app.store()).await?;
    Ok(())
}

/// Takes out of the history what is over for long enough, and forgets alerts that have no episode any more: some thousands
/// after `place`, which moves on.
pub async fn retain(app: &App, place: &mut Option<Place>, now: Timestamp) -> Result<()> {
    let all = All::operator();
    let days = app.config().history_days;
    let mut db = app.db(all).await?;
    let dropped = retention::drop_months(&mut db, all, days, now).await?;
    if !dropped.months.is_empty() {
        tracing::info!(months = ?dropped.months, "months of the history are over and gone");
    }
    let mut deleted = 0;
    for _ in 0..RETAIN_STEPS {
        let (some, more) = retention::delete_ended(&mut db, all, days, now).await?;
        deleted += some;
        if !more {
            break;
        }
    }
    if deleted > 0 {
        tracing::info!(deleted, "alerts are over for long enough and gone");
    }
    *place = retention::forget_alerts(&mut db, all, now, place.take()).await?;
    Ok(())
}
