//! The folder is compared with what was published, and changes are published by themselves where that is set.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::error::{Error, Result};
use crate::prometheus::Order;
use crate::store::changes::Actor;
use crate::store::publications;
use crate::store::scope::All;

/// How often it is asked whether something is to be published.
const EVERY: Duration = Duration::from_secs(2);
/// Held by the instance that publishes by itself.
const AUTOMATIC_LOCK: i64 = 0x7072_6f6d_6d67_7206;

/// Publishes by itself until `stop`.
pub(super) async fn work(app: &App, stop: &CancellationToken) {
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = clock.tick() => {}
        }
        if let Err(error) = publish_by_itself(app, Timestamp::now()).await {
            tracing::warn!(%error, "nothing could be published by itself; it will be tried again");
        }
    }
}

/// Publishes what waits where that is set, nothing was changed for a while, and nobody has to decide something first. Returns
/// the publication's id.
pub async fn publish_by_itself(app: &App, now: Timestamp) -> Result<Option<i64>> {
    let all = All::operator();
    let mut db = app.db(all).await?;
    let automatic = publications::automatic(&mut db, all).await?;
    if !automatic.automatic {
        return Ok(None);
    }
    let Some(_lock) = app.store().try_locked(AUTOMATIC_LOCK).await? else { return Ok(None) };
    let due = publications::due(&mut db, all, automatic, now).await?;
    if !due.due || due.copied || due.refused {
        return Ok(None);
    }
    drop(db);
    match app.publisher().publish(all, &Actor::program("automatic publishing"), Order::default()).await {
        Ok(published) => Ok(Some(published.id)),
        // another hand's files: the pages say so, and ask
        Err(Error::Conflict(why)) => {
            tracing::debug!(why, "nothing is published by itself");
            app.publisher().look(all).await?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Notes which files another hand has changed in the folder.
pub async fn look_for_drift(app: &App) -> Result<()> {
    let drifted = app.publisher().look(All::operator()).await?;
    if drifted.is_some_and(|n| n > 0) {
        tracing::warn!(files = drifted, "another hand has changed files in the Prometheus folder");
    }
    Ok(())
}
