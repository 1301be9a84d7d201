//! The history is compared with what Alertmanager has: silenced alerts and their ends, short ones, and whatever
//! happened while one of us was down come by no webhook.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::alertmanager::client::{Alert, Client, Error as Unheard, as_body};
use crate::alertmanager::ready;
use crate::app::App;
use crate::error::{Error, Result};
use crate::store::reconcile::{self, Asked, Begun};
use crate::store::scope::All;

/// How often.
const EVERY: Duration = Duration::from_secs(60);
/// Several instances take turns: one begins at the earliest so many seconds after another's.
const APART: i64 = 45;
/// One that is asked for waits a moment, for others who ask, and for Prometheus to tell every Alertmanager.
const PAUSE: Duration = Duration::from_secs(2);
/// The cluster that the settings name.
const CLUSTER: i32 = 1;
/// Held by the instance that compares.
const RECONCILE_LOCK: i64 = 0x7072_6f6d_6d67_7205;

/// What a reconciliation changed, in episodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Alerts that Alertmanager named.
    pub named: usize,
    pub opened: usize,
    pub reopened: usize,
    /// Marked as not notified, or no longer.
    pub marked: usize,
    pub closed: usize,
}

/// Reconciles each minute, and when asked to, until `stop`.
pub(super) async fn work(app: &App, stop: &CancellationToken) {
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // whoever starts does not know for how long nobody was here
    let mut first = true;
    loop {
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            _ = clock.tick() => std::mem::take(&mut first),
            () = app.reconciliation_wanted() => true,
        };
        if asked {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        match alone(app, asked).await {
            Ok(Some(compared)) if compared != (Compared { named: compared.named, ..Compared::default() }) => {
                tracing::info!(?compared, "the history was brought in line with Alertmanager");
            }
            // what another instance has begun may have missed what was asked for
            Ok(None) if asked => app.reconcile_soon(),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the history could not be compared with Alertmanager"),
        }
    }
}

/// Runs one unless another instance is at it.
async fn alone(app: &App, asked: bool) -> Result<Option<Compared>> {
    match app.store().try_locked(RECONCILE_LOCK).await? {
        Some(_lock) => reconcile(app, if asked { 0 } else { APART }).await.map(Some),
        None => Ok(None),
    }
}

/// Compares the history with the first Alertmanager that answers, at the earliest `apart` seconds after the last
/// time; one that does not say everything closes nothing.
pub async fn reconcile(app: &App, apart: i64) -> Result<Compared> {
    let all = All::operator();
    let begun = reconcile::begin(&mut app.db(all).await?, all, CLUSTER, apart).await?;
    let Some(begun) = begun else { return Ok(Compared::default()) };
    let mut reasons = Vec::new();
    for client in app.alertmanagers() {
        match compare(app, all, client, begun).await {
            Ok(compared) => {
                let at = client.at();
                let went = Ok((at.as_str(), compared.named));
                reconcile::end(&mut app.db(all).await?, all, CLUSTER, begun, went).await?;
                return Ok(compared);
            }
            Err(Unfinished::Ours(error)) => {
                let why = "prommgr could not store what Alertmanager said.";
                reconcile::end(&mut app.db(all).await?, all, CLUSTER, begun, Err(why)).await?;
                return Err(error);
            }
            Err(Unfinished::Theirs(error)) => reasons.push(error.to_string()),
        }
    }
    let why = reasons.join("; ");
    reconcile::end(&mut app.db(all).await?, all, CLUSTER, begun, Err(&why)).await?;
    Err(Error::Unavailable(why))
}

/// Why a comparison did not come to its end.
enum Unfinished {
    Theirs(Unheard),
    Ours(Error),
}

impl From<Unheard> for Unfinished {
    fn from(error: Unheard) -> Self {
        Self::Theirs(error)
    }
}

impl From<Error> for Unfinished {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

async fn compare(app: &App, all: All, client: &Client, begun: Begun) -> Result<Compared, Unfinished> {
    let status = client.status().await?;
    let (mut compared, mut named) = (Compared::default(), Vec::new());
    let mut alerts = client.alerts(&app.config().owner_label).await?;
    while let Some(batch) = alerts.next().await? {
        take_in(app, all, begun, &batch, &mut compared).await?;
        named.extend(batch.into_iter().map(|alert| alert.fingerprint));
    }
    let asked = Asked {
        age: status.age,
        group_interval: status.group_interval,
        alone: app.alertmanagers().len() == 1,
    };
    compared.named = named.len();
    // no connection waited for Alertmanager
    let mut db = app.db(all).await?;
    compared.closed = reconcile::gone(&mut db, all, CLUSTER, begun, &named, asked).await?;
    Ok(compared)
}

/// Marks what is known, and takes in what is not.
async fn take_in(app: &App, all: All, begun: Begun, batch: &[Alert], compared: &mut Compared) -> Result<()> {
    let mut db = app.db(all).await?;
    let mark_of = |alert: &Alert| alert.suppressed.map(|why| why.as_str());
    let known: Vec<_> = batch.iter().map(|alert| (alert.fingerprint.as_str(), mark_of(alert))).collect();
    compared.marked += reconcile::mark(&mut db, all, CLUSTER, Some(begun.at), &known).await?;
    let fingerprints: Vec<_> = known.iter().map(|(fingerprint, _)| *fingerprint).collect();
    let missing = reconcile::not_open(&mut db, all, CLUSTER, &fingerprints).await?;
    if missing.is_empty() {
        return Ok(());
    }
    let missing: std::collections::HashSet<_> = missing.iter().map(String::as_str).collect();
    let alerts: Vec<_> = batch.iter().filter(|alert| missing.contains(alert.fingerprint.as_str())).collect();
    // what cannot be understood is kept when it comes by the webhook, not each minute
    let reports = ready::read(as_body(&alerts).as_bytes(), Timestamp::now(), app.our_labels());
    let reports = reports.map(|ready| ready.reports).unwrap_or_default();
    let since: Vec<_> =
        reports.iter().map(|report| (report.fingerprint.clone(), report.times.starts_at)).collect();
    let outcome = app.intake().store(all, CLUSTER, reports, Vec::new()).await?;
    compared.opened += outcome.opened;
    if outcome.late_twins > 0 {
        compared.reopened += reconcile::reopen(&mut db, all, CLUSTER, begun, &since).await?;
    }
    let quiet: Vec<_> = alerts
        .iter()
        .filter(|alert| alert.suppressed.is_some())
        .map(|alert| (alert.fingerprint.as_str(), mark_of(alert)))
        .collect();
    compared.marked += reconcile::mark(&mut db, all, CLUSTER, None, &quiet).await?;
    Ok(())
}
