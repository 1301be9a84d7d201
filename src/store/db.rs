//! A connection, and whose rows it can reach. The database keeps tenants apart a second time: policies compare
//! each row's owner with settings that live as long as a transaction, so a query that forgot its
//! scope finds nothing, and what was set for one request is gone before the next.

use std::fmt::Write;

use diesel_async::pooled_connection::deadpool::Object;
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, SimpleAsyncConnection, TransactionManager};

use super::scope::{Scope, Writing};
use crate::error::Result;

/// What reads of tenants' rows go in. Over months of partitions a plan takes longer to make than to follow, so it is made
/// once a connection; a statement that is right for some values only does not belong here.
const READ: &str = "begin read only; set local plan_cache_mode = force_generic_plan";

/// A connection. Its inside is this room's alone.
///
/// One that is bound to somebody's rights is always within a transaction: a read-only one, so that what is
/// written outside of [`Db::transaction`] fails loudly, and not silently at the end.
pub struct Db {
    /// Taken by `drop` only.
    conn: Option<Object<AsyncPgConnection>>,
    /// The settings as SQL; `None` at the door.
    rights: Option<String>,
    /// A transaction is being begun or ended: given up then, nobody knows what became of it.
    between: bool,
}

impl Db {
    pub(super) fn at_the_door(conn: Object<AsyncPgConnection>) -> Self {
        Self { conn: Some(conn), rights: None, between: false }
    }

    pub(super) async fn bound(conn: Object<AsyncPgConnection>, rights: &Writing) -> Result<Self> {
        let (seen, changed) = (setting(&rights.seen), setting(&rights.changed));
        let settings = settings(&seen, &changed, rights.person);
        let mut db = Self { conn: Some(conn), rights: Some(settings), between: false };
        db.begin(READ).await?;
        Ok(db)
    }

    #[allow(clippy::expect_used, reason = "only drop takes it")]
    pub(super) fn conn(&mut self) -> &mut AsyncPgConnection {
        self.conn.as_mut().expect("a connection that was not dropped")
    }

    /// Begins a transaction with the rights in it: one round trip.
    async fn begin(&mut self, begin: &str) -> Result<()> {
        let sql = match &self.rights {
            Some(rights) => format!("{begin}; {rights}"),
            None => begin.to_owned(),
        };
        self.between = true;
        let begun = AnsiTransactionManager::begin_transaction_sql(self.conn(), &sql).await;
        self.between = false;
        Ok(begun?)
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
        if self.rights.is_some() {
            // the one of the reads
            self.end(false).await?;
        }
        self.begin(begin).await?;
        let done = match work(self.conn()).await {
            Ok(value) => self.end(true).await.map(|()| value),
            Err(error) => {
                // what went wrong first is what counts
                let _ = self.end(false).await;
                Err(error)
            }
        };
        if self.rights.is_some() {
            // a connection that was lost meanwhile says so at the next query
            let _ = self.begin(READ).await;
        }
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
            (Ok(None), _) if !self.between => {}
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

/// Binds the rest of a transaction that began at the door to the rows of one owner, and to the acts of one
/// person: for who holds an invitation to it.
pub(super) async fn step_in(conn: &mut AsyncPgConnection, owner: i64, person: Option<i64>) -> Result<()> {
    let owner = format!("{{{owner}}}");
    Ok(conn.batch_execute(&settings(&owner, &owner, person)).await?)
}

/// What the policies compare with; set anew with every transaction.
fn settings(seen: &str, changed: &str, person: Option<i64>) -> String {
    let person = person.map_or_else(String::new, |id| id.to_string());
    format!(
        "set local prommgr.seen = '{seen}'; set local prommgr.changed = '{changed}'; set local prommgr.person = '{person}'"
    )
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
