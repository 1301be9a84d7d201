//! Reports of Alertmanager become episodes. Deliveries that come at the same time share transactions: a
//! [`queue`] with bounds, and behind it [`writer`]s that take what waits and answer after the commit.

mod batch;
mod keep;
mod lanes;
mod plan;
mod queue;
mod report;
mod writer;

pub(super) use self::keep::adopt;
pub use self::keep::adopt_all;
pub use self::queue::{Admission, Intake};
pub use self::report::{Bad, Json, Outcome, Report};

use super::Db;
use super::scope::All;
use crate::error::Result;

/// Said once a batch: the ids of the owners whose alerts changed, by commas, or `*` when they are many;
/// changes of alerts that nobody owns name none.
pub const CHANNEL: &str = "prommgr_alerts";

/// Stores reports in a transaction of their own, whole or not at all, beside the queue.
pub async fn store(
    db: &mut Db,
    _: All,
    cluster: i32,
    reports: Vec<Report>,
    bad: Vec<Bad>,
) -> Result<Outcome> {
    let part = batch::Part { cluster, reports, bad };
    db.transaction(async |conn| {
        let stored = batch::store(conn, &[&part]).await?;
        batch::tell(conn, &stored.owners).await?;
        Ok(stored.outcomes.first().copied().unwrap_or_default())
    })
    .await
}
