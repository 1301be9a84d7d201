//! PostgreSQL: the only room that knows SQL. One noun a file: its row, its input with the check,
//! its queries, which all start from what a [`scope::Scope`] may see.

pub mod alerts;
pub mod attempts;
pub mod audit;
pub mod browsers;
pub mod changes;
mod connect;
mod db;
pub mod embedded;
pub mod episode;
pub mod health;
pub mod heartbeats;
pub mod idempotency;
pub mod identities;
pub mod imports;
pub mod intake;
pub mod kinds;
pub mod live;
pub mod mismatches;
pub mod owners;
pub mod publications;
pub mod quarantine;
pub mod reconcile;
pub mod retention;
pub mod saved_filters;
mod schema;
pub mod scope;
pub mod second_factors;
pub mod servers;
pub mod sessions;
mod statement;
pub mod thresholds;
pub mod tokens;
pub mod users;

use std::sync::Arc;
use std::time::Duration;

pub use self::connect::check_url;
use self::connect::{connect, pooled};
pub use self::db::Db;
use self::scope::Writing;
use deadpool::Runtime;
use deadpool::managed::QueueMode;
use diesel::QueryableByName;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{Bool, Text};
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use futures_util::FutureExt;

use crate::error::{Error, Fields, Result};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");
/// Held while migrations run. Arbitrary, but the same in every instance.
const MIGRATION_LOCK: i64 = 0x7072_6f6d_6d67_7201;

/// The connections of this process to PostgreSQL.
#[derive(Clone)]
pub struct Store {
    pool: Pool<AsyncPgConnection>,
    url: Arc<str>,
}

impl Store {
    /// A pool of at most `connections`; connects when first asked.
    pub fn new(url: &str, connections: usize) -> Result<Self> {
        let mut config = ManagerConfig::default();
        config.recycling_method = RecyclingMethod::Fast;
        config.custom_setup = Box::new(|url| pooled(url).boxed());
        let manager = AsyncDieselConnectionManager::new_with_config(url, config);
        let pool = Pool::builder(manager)
            .max_size(connections)
            // the one used last knows the most statements
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_secs(5)))
            .create_timeout(Some(Duration::from_secs(5)))
            .build()
            .map_err(Error::internal)?;
        Ok(Self { pool, url: url.into() })
    }

    /// A connection for those who come to the door: it sees people, their sessions, tokens and links, and
    /// no tenant's row. `Unavailable` when the database does not answer within 5 s.
    pub async fn door(&self) -> Result<Db> {
        Ok(Db::at_the_door(self.conn().await?))
    }

    /// A connection that row-level security binds to what may be seen and changed, whatever a query on it
    /// asks for. `Unavailable` as [`Self::door`].
    pub async fn db(&self, rights: impl Into<Writing>) -> Result<Db> {
        let rights = rights.into();
        Db::bound(self.conn().await?, &rights)
    }

    /// A connection beside the pool for what the intake writes: it reaches everything, plans each statement once,
    /// and finds every row by its key, also in tables of which no statistics are known yet.
    async fn writer(&self) -> Result<AsyncPgConnection, DieselError> {
        let lost = |error: diesel::ConnectionError| {
            DieselError::DatabaseError(DatabaseErrorKind::UnableToSendCommand, Box::new(error.to_string()))
        };
        let mut conn = connect(&self.url).await.map_err(lost)?;
        conn.batch_execute(
            "set prommgr.seen = 'all'; set prommgr.changed = 'all'; set plan_cache_mode = force_generic_plan; set jit = off; \
             set enable_hashjoin = off; set enable_mergejoin = off; set enable_seqscan = off; set enable_memoize = off",
        )
        .await?;
        Ok(conn)
    }

    /// How many connections the pool has.
    pub fn connections(&self) -> Connections {
        let status = self.pool.status();
        Connections { open: status.size, idle: status.available, most: status.max_size }
    }

    async fn conn(&self) -> Result<Object<AsyncPgConnection>> {
        self.pool.get().await.map_err(|error| {
            tracing::warn!(%error, "no database connection");
            Error::Unavailable("The database does not answer just now. Try again in a moment.".into())
        })
    }

    /// Whether the database answers; its own error, which [`Self::db`] keeps to the log.
    pub async fn reach(&self) -> Result<()> {
        connect(&self.url).await.map(drop).map_err(Error::internal)
    }

    /// Brings the tables up to date, one instance at a time. Returns how many migrations ran.
    pub async fn migrate(&self) -> Result<usize> {
        let mut conn = connect(&self.url).await.map_err(Error::internal)?;
        conn.batch_execute(&format!(
            "set statement_timeout = 0; set lock_timeout = 0; set prommgr.seen = 'all'; set prommgr.changed = 'all'; \
             select pg_advisory_lock({MIGRATION_LOCK})"
        ))
        .await?;
        let mut harness = AsyncMigrationHarness::new(conn);
        let ran = harness
            .run_pending_migrations(MIGRATIONS)
            .map_err(|error| Error::Internal(anyhow::anyhow!("a migration failed: {error}")))?
            .len();
        Ok(ran)
    }

    /// A connection outside the pool that holds an advisory lock until it is dropped. Waits for
    /// the lock at most `wait`, then says `Unavailable`.
    pub(crate) async fn locked(&self, key: i64, wait: Duration, busy: &str) -> Result<Locked> {
        let mut conn = connect(&self.url).await.map_err(Error::internal)?;
        conn.batch_execute(&format!("set lock_timeout = '{}ms'", wait.as_millis())).await?;
        match conn.batch_execute(&format!("select pg_advisory_lock({key})")).await {
            Ok(()) => Ok(Locked(conn)),
            Err(DieselError::DatabaseError(_, info)) if info.message().contains("lock timeout") => {
                Err(Error::Unavailable(busy.to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// As [`Self::locked`], without waiting: `None` when somebody else holds it.
    pub(crate) async fn try_locked(&self, key: i64) -> Result<Option<Locked>> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Bool)]
            held: bool,
        }
        let mut conn = connect(&self.url).await.map_err(Error::internal)?;
        let row: Row = diesel::sql_query(format!("select pg_try_advisory_lock({key}) as held"))
            .get_result(&mut conn)
            .await?;
        Ok(row.held.then_some(Locked(conn)))
    }
}

/// An advisory lock, held while this lives.
pub(crate) struct Locked(#[allow(dead_code, reason = "it is held, not used")] AsyncPgConnection);

/// Connections of a pool.
#[derive(Clone, Copy, Debug)]
pub struct Connections {
    pub open: usize,
    /// Those of them that nobody uses.
    pub idle: usize,
    /// As many as there may be.
    pub most: usize,
}

/// What readiness wants to know of the database.
#[derive(Debug)]
pub struct Health {
    /// Whether every migration of this program has run.
    pub migrated: bool,
    /// Whether we are connected as a role that row-level security does not bind.
    pub unbound: bool,
}

/// Asks the database whether it can serve.
pub async fn health_of(db: &mut Db) -> Result<Health> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        unbound: bool,
        #[diesel(sql_type = Text)]
        latest: String,
    }
    let row: Row = diesel::sql_query(
        "select rolsuper or rolbypassrls as unbound, \
         (select coalesce(max(version), '') from __diesel_schema_migrations) as latest \
         from pg_roles where rolname = current_user",
    )
    .get_result(db.conn())
    .await?;
    let newest = newest_migration();
    Ok(Health { migrated: row.latest >= newest, unbound: row.unbound })
}

fn newest_migration() -> String {
    use diesel::migration::MigrationSource;
    let all: Vec<Box<dyn diesel::migration::Migration<diesel::pg::Pg>>> =
        MIGRATIONS.migrations().unwrap_or_default();
    all.iter().map(|migration| migration.name().version().to_string()).max().unwrap_or_default()
}

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::NotFound => Self::NotFound,
            DieselError::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                _,
            )
            | DieselError::BrokenTransactionManager => {
                Self::Unavailable("The database does not answer just now. Try again in a moment.".into())
            }
            DieselError::DatabaseError(_, ref info) if is_shutdown(info.message()) => {
                Self::Unavailable("The database does not answer just now. Try again in a moment.".into())
            }
            // a moment before 4713 BC, from a forged cursor or a filter
            DieselError::DatabaseError(_, ref info) if info.message().contains("timestamp out of range") => {
                Self::BadRequest("That moment is too far away.".into())
            }
            // PostgreSQL's texts hold every character but this one
            DieselError::DatabaseError(_, ref info) if info.message().contains("invalid byte sequence") => {
                Self::BadRequest("A text may not hold a NUL character.".into())
            }
            other => Self::internal(other),
        }
    }
}

/// What a server says that is going down or coming up, and a connection that it cut.
fn is_shutdown(message: &str) -> bool {
    [
        "terminating connection",
        "the database system is",
        "connection closed",
        "canceling statement due to statement timeout",
        "canceling statement due to lock timeout",
    ]
    .iter()
    .any(|text| message.contains(text))
}

/// Turns a broken constraint into a message at a field; `known` is (constraint, field, message).
fn on_constraint<T>(result: Result<T, DieselError>, known: &[(&str, &'static str, &str)]) -> Result<T> {
    result.map_err(|error| {
        if let DieselError::DatabaseError(_, info) = &error
            && let Some(name) = info.constraint_name()
            && let Some((_, field, message)) = known.iter().find(|(constraint, ..)| *constraint == name)
        {
            return Error::Invalid(Fields::taken(field, *message));
        }
        error.into()
    })
}

/// The database's clock, for columns that may be null.
fn now() -> diesel::dsl::AsExprOf<diesel::dsl::now, diesel::sql_types::Timestamptz> {
    use diesel::IntoSql;
    diesel::dsl::now.into_sql::<diesel::sql_types::Timestamptz>()
}

/// `%text%` for `ILIKE`, with what is special in it escaped.
fn like(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
