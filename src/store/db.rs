//! A connection, and whose rows it can reach. The database keeps tenants apart a second time: policies compare
//! each row's owner with settings that live as long as a transaction, so a query that forgot its
//! scope finds nothing, and what was set for one request is gone before the next.

use std::fmt::Write;

use diesel::result::QueryResult;
use diesel_async::pooled_connection::deadpool::Object;
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, SimpleAsyncConnection, TransactionManager};

use futures_util::FutureExt;

use super::scope::{Scope, Writing};
use crate::error::Result;

/// What reads of tenants' rows go in.
const READ: &str = "begin read only";
/// Plans of writes may depend on the values; those of reads are made once a connection, see [`super::connect::pooled`].
const PLANNED: &str = "set local plan_cache_mode = auto";

/// The settings as SQL.
struct Rights {
    /// What is compared with what is read.
    read: String,
    /// All of them.
    write: String,
}

/// A connection. Its inside is this room's alone.
///
/// One that is bound to somebody's rights is always within a transaction: a read-only one, so that what is
/// written outside of [`Db::transaction`] fails loudly, and not silently at the end.
pub struct Db {
    /// Taken by `drop` only.
    conn: Option<Object<AsyncPgConnection>>,
    /// `None` at the door.
    rights: Option<Rights>,
    /// In a transaction of reads, of which diesel knows nothing.
    reading: bool,
    /// A transaction is being begun or ended: given up then, nobody knows what became of it.
    between: bool,
}

impl Db {
    pub(super) fn at_the_door(conn: Object<AsyncPgConnection>) -> Self {
        Self { conn: Some(conn), rights: None, reading: false, between: false }
    }

    pub(super) fn bound(conn: Object<AsyncPgConnection>, rights: &Writing) -> Result<Self> {
        let (seen, changed) = (setting(&rights.seen), setting(&rights.changed));
        let rights = Rights { read: reads(&seen, &changed), write: settings(&seen, &changed, rights.person) };
        let mut db = Self { conn: Some(conn), rights: Some(rights), reading: false, between: false };
        db.read()?;
        Ok(db)
    }

    #[allow(clippy::expect_used, reason = "only drop takes it")]
    pub(super) fn conn(&mut self) -> &mut AsyncPgConnection {
        self.conn.as_mut().expect("a connection that was not dropped")
    }

    /// Begins a transaction of reads with the rights in it, if it is bound to any. It is sent ahead of the first query and
    /// not waited for: if it failed, so does what follows it, or finds nothing, as at the door.
    fn read(&mut self) -> Result<()> {
        let Some(rights) = &self.rights else { return Ok(()) };
        let sql = format!("{READ}; {}", rights.read);
        self.reading = true;
        Ok(send_ahead(self.conn(), &sql)?)
    }

    /// Begins a transaction with all rights in it, after that of the reads: one round trip.
    async fn begin(&mut self, begin: &str) -> Result<()> {
        let before = if self.reading { "rollback; " } else { "" };
        let rights = self.rights.as_ref().map_or("", |rights| &rights.write);
        let sql = format!("{before}{begin}; {PLANNED}; {rights}");
        self.between = true;
        let begun = AnsiTransactionManager::begin_transaction_sql(self.conn(), &sql).await;
        self.between = false;
        begun?;
        self.reading = false;
        Ok(())
    }

    async fn end(&mut self, commit: bool) -> Result<()> {
        self.between = true;
        let conn = self.conn();
        let ended = if commit {
            AnsiTransactionManager::commit_transaction(conn).await
        } else {
            AnsiTransactionManager::rollback_transaction(conn).await
        };
        self.between = false;
        Ok(ended?)
    }

    /// Writes: committed when `work` is `Ok`, undone as a whole otherwise. Reads follow as before.
    pub(super) async fn transaction<T, F>(&mut self, work: F) -> Result<T>
    where
        F: AsyncFnOnce(&mut AsyncPgConnection) -> Result<T>,
    {
        self.transaction_as("begin", work).await
    }

    /// As [`Self::transaction`], begun by the words given, such as an isolation level.
    pub(super) async fn transaction_as<T, F>(&mut self, begin: &str, work: F) -> Result<T>
    where
        F: AsyncFnOnce(&mut AsyncPgConnection) -> Result<T>,
    {
        self.begin(begin).await?;
        let done = match work(self.conn()).await {
            Ok(value) => self.end(true).await.map(|()| value),
            Err(error) => {
                // what went wrong first is what counts
                let _ = self.end(false).await;
                Err(error)
            }
        };
        // a connection that was lost meanwhile says so at the next query
        let _ = self.read();
        done
    }
}

impl Drop for Db {
    /// A transaction that is open, of the reads or of a write whose request was given up, ends beside the request,
    /// with its locks; only then the connection goes back to the pool.
    fn drop(&mut self) {
        let Some(mut conn) = self.conn.take() else { return };
        let status = AnsiTransactionManager::transaction_manager_status_mut(&mut *conn);
        match (status.transaction_depth(), tokio::runtime::Handle::try_current()) {
            (Ok(None), _) if !self.between && !self.reading => {}
            (Ok(None), Ok(runtime)) if !self.between => {
                runtime.spawn(async move {
                    if conn.batch_execute("rollback").await.is_err() {
                        drop(Object::take(conn));
                    }
                });
            }
            (Ok(Some(_)), Ok(runtime)) if !self.between => {
                runtime.spawn(async move {
                    let conn: &mut AsyncPgConnection = &mut conn;
                    let _ = AnsiTransactionManager::rollback_transaction(conn).await;
                });
            }
            // nobody knows what became of it; the pool would find out when somebody asks for it, and closed it ends at once
            _ => drop(Object::take(conn)),
        }
    }
}

/// Sends statements in front of what is asked next, without waiting for their answer: a round trip less. PostgreSQL
/// takes them in their order, and after one that failed in a transaction the rest of it fails, too.
pub(super) fn send_ahead(mut conn: &AsyncPgConnection, sql: &str) -> QueryResult<()> {
    SimpleAsyncConnection::batch_execute(&mut conn, sql).now_or_never().unwrap_or(Ok(()))
}

/// Binds the rest of a transaction that began at the door to the rows of one owner, and to the acts of one
/// person: for who holds an invitation to it.
pub(super) async fn step_in(conn: &mut AsyncPgConnection, owner: i64, person: Option<i64>) -> Result<()> {
    let owner = format!("{{{owner}}}");
    Ok(conn.batch_execute(&settings(&owner, &owner, person)).await?)
}

/// What the policies of reads compare with; set anew with every transaction.
fn reads(seen: &str, changed: &str) -> String {
    format!("set local prommgr.seen = '{seen}'; set local prommgr.changed = '{changed}'")
}

/// What all policies compare with.
fn settings(seen: &str, changed: &str, person: Option<i64>) -> String {
    let person = person.map_or_else(String::new, |id| id.to_string());
    format!("{}; set local prommgr.person = '{person}'", reads(seen, changed))
}

/// `all`, or owners as PostgreSQL writes an array.
fn setting(scope: &Scope) -> String {
    let Some(owners) = scope.owners() else { return "all".into() };
    let mut text = String::from("{");
    for (n, owner) in owners.iter().enumerate() {
        let comma = if n > 0 { "," } else { "" };
        // writing into a String does not fail
        let _ = write!(text, "{comma}{owner}");
    }
    text.push('}');
    text
}
