//! Stores what waits, as much as there is in one transaction, and answers after the commit.

use std::sync::Arc;
use std::time::Instant;

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use tokio::sync::oneshot;

use super::batch::{self, Part};
use super::lanes::Lanes;
use super::report::{Bad, Outcome, Report};
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::db::send_ahead;
use crate::store::episode::Times;

/// Tries of a batch: two instances that meet the same new alert at the same moment are not the data's fault.
const TRIES: usize = 3;

/// A part, and who waits for its end.
pub(super) struct Waiting {
    pub part: Part,
    pub answer: oneshot::Sender<Result<Outcome>>,
}

/// Works until nothing will come any more and all is stored.
pub(super) async fn write(store: Store, lanes: Arc<Lanes>) {
    let mut writer = Writer { store, conn: None };
    while let Some(mut taken) = lanes.next().await {
        writer.settle(std::mem::take(&mut taken.batch)).await;
    }
}

struct Writer {
    store: Store,
    conn: Option<AsyncPgConnection>,
}

/// Why a batch was not stored.
enum Trouble {
    /// The database cannot be asked.
    Away(Error),
    /// It says no to something in the batch, or to all of it.
    Refused(DieselError),
}

impl Writer {
    /// Stores and answers. A batch that is refused is tried again in halves, so that nobody's delivery fails
    /// because of a neighbour's.
    async fn settle(&mut self, batch: Vec<Waiting>) {
        let mut stack = vec![batch];
        while let Some(mut batch) = stack.pop() {
            let parts: Vec<&Part> = batch.iter().map(|waiting| &waiting.part).collect();
            match self.attempt(&parts).await {
                Ok(outcomes) => {
                    for (waiting, outcome) in batch.into_iter().zip(outcomes) {
                        // who has gone is not told
                        let _ = waiting.answer.send(Ok(outcome));
                    }
                }
                Err(Trouble::Away(error)) => {
                    tracing::warn!(%error, "alerts could not be stored; Alertmanager will send them again");
                    for waiting in batch.into_iter().chain(stack.drain(..).flatten()) {
                        let _ = waiting.answer.send(Err(away()));
                    }
                }
                Err(Trouble::Refused(_)) if batch.len() > 1 => {
                    let behind = batch.split_off(batch.len() / 2);
                    stack.push(behind);
                    stack.push(batch);
                }
                Err(Trouble::Refused(_)) => {
                    // statements that were prepared before a migration may be refused for that alone
                    self.conn = None;
                    for waiting in batch {
                        let stored = self.piecemeal(waiting.part).await;
                        let _ = waiting.answer.send(stored);
                    }
                }
            }
        }
    }

    /// Stores a part that was refused as a whole: what the database refuses alone goes to quarantine.
    async fn piecemeal(&mut self, part: Part) -> Result<Outcome> {
        let Part { cluster, reports, bad } = part;
        let mut outcome = Outcome::default();
        let mut stack = vec![reports];
        if !bad.is_empty() {
            outcome += self.one(&Part { cluster, reports: Vec::new(), bad }).await?;
        }
        while let Some(reports) = stack.pop() {
            let mut part = Part { cluster, reports, bad: Vec::new() };
            let refused = match self.attempt(&[&part]).await {
                Ok(outcomes) => {
                    outcomes.into_iter().for_each(|one| outcome += one);
                    continue;
                }
                Err(Trouble::Away(error)) => return Err(error),
                Err(Trouble::Refused(error)) => error,
            };
            if part.reports.len() > 1 {
                let behind = part.reports.split_off(part.reports.len() / 2);
                stack.push(behind);
                stack.push(part.reports);
            } else if self.stores_others(cluster).await {
                tracing::warn!(error = %refused, "an alert is refused by the database, and kept aside");
                for report in std::mem::take(&mut part.reports) {
                    let reason = format!("the database refuses it: {refused}");
                    part.bad.push(Bad { reason, text: report.to_json(), truncated: false });
                }
                outcome += self.one(&part).await?;
            } else {
                return Err(refused.into());
            }
        }
        Ok(outcome)
    }

    async fn one(&mut self, part: &Part) -> Result<Outcome> {
        match self.attempt(&[part]).await {
            Ok(outcomes) => Ok(outcomes.first().copied().unwrap_or_default()),
            Err(Trouble::Away(error)) => Err(error),
            Err(Trouble::Refused(error)) => Err(error.into()),
        }
    }

    /// Whether an alert of our own could be stored: only then it is another alert's fault that it cannot. No code
    /// of PostgreSQL's tells the two apart.
    async fn stores_others(&mut self, cluster: i32) -> bool {
        let now = jiff::Timestamp::now();
        let report = Report::probe(Times { starts_at: now, ends_at: None });
        let part = Part { cluster, reports: vec![report], bad: Vec::new() };
        let Ok(conn) = self.connection().await else { return false };
        let tried = async {
            conn.batch_execute("begin").await?;
            batch::store(conn, &[&part]).await?;
            conn.batch_execute("rollback").await
        };
        let fine = tried.await.is_ok();
        if !fine {
            self.conn = None;
        }
        fine
    }

    /// Stores parts in one transaction.
    async fn attempt(&mut self, parts: &[&Part]) -> Result<Vec<Outcome>, Trouble> {
        let mut tries = 0;
        loop {
            tries += 1;
            let begin = Instant::now();
            let error = match self.transaction(parts).await {
                Ok(outcomes) => {
                    metrics::histogram!("prommgr_intake_transaction_duration_seconds")
                        .record(begin.elapsed());
                    return Ok(outcomes);
                }
                Err(error) => error,
            };
            if is_lost(&error) {
                self.conn = None;
                // a connection that was idle may have been cut meanwhile, and to store twice changes nothing
                if tries > 1 {
                    return Err(Trouble::Away(error.into()));
                }
            } else if tries == TRIES || !is_a_race(&error) {
                return Err(Trouble::Refused(error));
            }
        }
    }

    async fn transaction(&mut self, parts: &[&Part]) -> Result<Vec<Outcome>, DieselError> {
        let conn = self.connection().await?;
        send_ahead(conn, "begin")?;
        let stored = batch::store(conn, parts).await;
        let ended = match &stored {
            Ok(stored) => match batch::notification(&stored.owners) {
                Some(notify) => conn.batch_execute(&format!("{notify}; commit")).await,
                None => conn.batch_execute("commit").await,
            },
            Err(_) => Ok(()),
        };
        match (stored, ended) {
            (Ok(stored), Ok(())) => Ok(stored.outcomes),
            (Err(error), _) | (_, Err(error)) => {
                if conn.batch_execute("rollback").await.is_err() {
                    self.conn = None;
                }
                Err(error)
            }
        }
    }

    async fn connection(&mut self) -> Result<&mut AsyncPgConnection, DieselError> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.store.writer().await?,
        };
        Ok(self.conn.insert(conn))
    }
}

fn is_lost(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
            _,
        )
        | DieselError::BrokenTransactionManager => true,
        DieselError::DatabaseError(_, info) => crate::store::is_shutdown(info.message()),
        _ => false,
    }
}

/// Whether another transaction was in the way, which is over now.
fn is_a_race(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(
            DatabaseErrorKind::UniqueViolation | DatabaseErrorKind::SerializationFailure,
            _,
        ) => true,
        DieselError::DatabaseError(_, info) => info.message().contains("deadlock detected"),
        _ => false,
    }
}

fn away() -> Error {
    Error::Unavailable("The database does not answer just now. Try again in a moment.".into())
}
