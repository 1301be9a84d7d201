//! `prommgr serve`, from the settings to the end: the database, its migrations, the worker, HTTP.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::Config;
use crate::store::embedded::{self, Embedded, EmbeddedError};
use crate::store::scope::All;
use crate::store::{Db, Store, second_factors, users};
use crate::vault::Vault;
use crate::{router, server, worker};

/// How long a command at the shell may hold the embedded Postgres while we start.
const COMMAND_LIMIT: Duration = Duration::from_secs(5);
/// How long an external database may take to answer when we start.
const DATABASE_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to answer a command.
pub const COMMAND_PATIENCE: Duration = Duration::from_secs(3);

/// A database that is there: somebody else's, or our own, which ends with this.
pub struct Database {
    pub store: Store,
    embedded: Option<Embedded>,
}

impl Database {
    /// Connects to `DATABASE_URL`, or starts a PostgreSQL of our own.
    pub async fn open(config: &Config) -> Result<Self> {
        if let Some(url) = &config.database_url {
            return Ok(Self { store: Store::new(url, config.database_connections)?, embedded: None });
        }
        let deadline = Instant::now() + COMMAND_LIMIT;
        let embedded = loop {
            match embedded::start(&config.data_dir).await {
                Err(EmbeddedError::InUse { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                other => break other?,
            }
        };
        Ok(Self {
            store: Store::new(&embedded.url(), config.database_connections)?,
            embedded: Some(embedded),
        })
    }

    /// As [`Self::open`], but beside a running `serve` its PostgreSQL is used.
    pub async fn open_beside(config: &Config) -> Result<Self> {
        if config.database_url.is_none() {
            match embedded::start(&config.data_dir).await {
                Err(EmbeddedError::InUse { .. }) => {
                    let url = embedded::connect_running(&config.data_dir).await;
                    let url = url.context(
                        "another prommgr holds the data folder, but its PostgreSQL does not answer",
                    )?;
                    return Ok(Self { store: Store::new(&url, 2)?, embedded: None });
                }
                Err(error) => return Err(error.into()),
                Ok(embedded) => {
                    return Ok(Self { store: Store::new(&embedded.url(), 2)?, embedded: Some(embedded) });
                }
            }
        }
        Self::open(config).await
    }

    /// Waits until it answers, `patience` at the most, then runs the migrations.
    pub async fn migrate(&self, patience: Duration) -> Result<usize> {
        let deadline = Instant::now() + patience;
        while let Err(error) = self.store.reach().await {
            if Instant::now() > deadline {
                return Err(error).context("the database of DATABASE_URL does not answer");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(self.store.migrate().await?)
    }

    /// Ends a PostgreSQL of our own in good order.
    pub async fn close(self) -> Result<()> {
        drop(self.store);
        if let Some(embedded) = self.embedded {
            embedded.stop().await?;
        }
        Ok(())
    }

    /// Resolves, with why, only when a PostgreSQL of our own ends by itself.
    async fn ended(&mut self) -> String {
        match &mut self.embedded {
            None => std::future::pending().await,
            Some(embedded) => match embedded.ended().await {
                Ok(ended) => ended.to_string(),
                Err(error) => error.to_string(),
            },
        }
    }
}

/// A prommgr that is ready to serve.
pub struct Ready {
    pub app: App,
    pub listener: TcpListener,
    pub database: Database,
    /// Makes the first admin, while nobody exists.
    pub setup_url: Option<String>,
}

/// Everything before the first request.
pub async fn prepare(mut config: Config, listener: TcpListener) -> Result<Ready> {
    if config.webhook_tokens.is_empty() {
        if config.database_url.is_some() {
            bail!(
                "PROMMGR_WEBHOOK_TOKEN: is not set, and Alertmanager could tell nothing (openssl rand -hex 24 makes a good one)"
            );
        }
        let token = made_secret(&config, "webhook-token")?;
        config.add_webhook_token(&token);
    }
    // Beside a database of somebody else's the data folder need not outlive us, and several instances need
    // one key. There it has to be set, but an older installation that has none yet goes on without.
    if !config.vault.seals() && config.database_url.is_none() {
        config.vault = Vault::new([made_secret(&config, "secret-key")?.as_str()])?;
    }
    let database = Database::open(&config).await?;
    let ran = database.migrate(DATABASE_LIMIT).await?;
    if ran > 0 {
        tracing::info!(migrations = ran, "the tables are up to date");
    }
    let mut db = database.store.door().await?;
    if crate::store::health_of(&mut db).await?.unbound {
        tracing::warn!(
            "the database role is a superuser or bypasses row-level security; use an ordinary role"
        );
    }
    open_secrets(&mut db, &config.vault).await?;
    let setup_url = if users::any(&mut db).await? {
        None
    } else {
        let secret = users::setup_link(&mut db, All::operator()).await?;
        Some(config.public_url.join(&format!("setup/{secret}"))?.to_string())
    };
    drop(db);
    let app = App::new(config, database.store.clone())?;
    worker::once(&app, worker::tidy(&app)).await?;
    Ok(Ready { app, listener, database, setup_url })
}

/// Brings what is sealed in the database under the first key, and says what no key opens.
async fn open_secrets(db: &mut Db, vault: &Vault) -> Result<()> {
    if !vault.seals() {
        tracing::warn!(
            "PROMMGR_SECRET_KEY is not set, so nobody can set up a second factor (openssl rand -hex 24 makes a good one)"
        );
    }
    let resealed = second_factors::reseal(db, vault).await?;
    if resealed.renewed > 0 {
        tracing::info!(secrets = resealed.renewed, "sealed anew with the first key of PROMMGR_SECRET_KEY");
    }
    if resealed.unreadable > 0 {
        tracing::error!(
            people = resealed.unreadable,
            "PROMMGR_SECRET_KEY does not open the second factors of these people; without the key that was \
             set before they need a recovery code, or `prommgr user reset-second-factor NAME`"
        );
    }
    Ok(())
}

/// Serves until `stop`, then ends everything in good order.
pub async fn run(ready: Ready, stop: CancellationToken) -> Result<()> {
    let Ready { app, listener, mut database, .. } = ready;
    let connections = app.config().max_connections;
    let working = tokio::spawn(worker::work(app.clone(), stop.clone()));
    let live = app.live().clone().listen(app.store().clone(), All::operator(), stop.clone());
    let listening = tokio::spawn(live);
    let serving = server::serve(listener, router::router(app.clone()), connections, stop.clone());
    tokio::pin!(serving);
    let died = tokio::select! {
        () = &mut serving => None,
        why = database.ended() => Some(why),
    };
    stop.cancel();
    if died.is_some() {
        serving.await;
    }
    working.await?;
    listening.await?;
    // what came in is stored before the database goes
    app.intake().close().await;
    drop(app);
    if let Some(why) = died {
        bail!("PostgreSQL ended: {why}");
    }
    database.close().await
}

/// Binds the address; the error names the setting.
pub async fn bind(config: &Config) -> Result<TcpListener> {
    TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("PROMMGR_LISTEN: cannot listen on {}", config.listen))
}

/// Resolves when the program is asked to end (SIGTERM, or Ctrl-C).
pub async fn asked_to_end() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// A secret of ours in the data folder.
fn made_secret(config: &Config, name: &str) -> Result<String> {
    fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("PROMMGR_DATA_DIR: cannot make {}", config.data_dir.display()))?;
    secret_file(&config.data_dir.join(name))
}

/// A secret kept in a file that only we read; made when missing.
pub fn secret_file(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Ok(secret) if !secret.trim().is_empty() => return Ok(secret.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
        _ => {}
    }
    let secret = users::random_text(32);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(secret.as_bytes())?;
    // what is sealed with it must not outlive it
    file.sync_all()?;
    Ok(secret)
}
