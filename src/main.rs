//! Commands, nothing else.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to whoever typed it")]

#[path = "main/import.rs"]
mod import;
#[path = "main/tokens.rs"]
mod tokens;
#[path = "main/users.rs"]
mod users;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use prommgr::app::App;
use prommgr::config::{Config, Settings, with_files};
use prommgr::demo;
use prommgr::prometheus::Order;
use prommgr::serve::{self, Database};
use prommgr::store::changes::Actor;
use prommgr::store::publications;
use prommgr::store::scope::All;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The control plane for Prometheus: servers and alert thresholds per customer, publishing, history.
#[derive(Parser)]
#[command(
    version,
    after_help = "Every setting is also read from its variable, and from the file that the variable's _FILE twin names."
)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the pages, the API and Alertmanager's webhook
    Serve,
    /// Bring the database up to date, and nothing else
    Migrate,
    /// People who may log in
    #[command(subcommand)]
    User(users::UserCommand),
    /// What programs present to the API
    #[command(subcommand)]
    Token(tokens::TokenCommand),
    /// Write the configuration and have Prometheus load it
    Publish {
        /// Only show what would change
        #[arg(long)]
        dry_run: bool,
        /// Also overwrite what another hand has changed in the folder
        #[arg(long)]
        overwrite: bool,
    },
    /// Add and change servers as files say, the difference first
    Import(import::Import),
    /// A whole stack on this machine, to look at
    Demo {
        /// Forget everything that an earlier demo kept
        #[arg(long)]
        fresh: bool,
    },
    /// Ask a running prommgr on this machine whether it can serve
    Health,
}

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("prommgr: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    let args = with_files(std::env::args_os().collect(), |name| std::env::var(name).ok())?;
    let cli = Cli::parse_from(args);
    let config = Config::check(&cli.settings)?;
    let talks = matches!(cli.command, Command::Demo { .. });
    log(&config, talks && cli.settings.log.is_none())?;
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        bail!("TLS was set up twice");
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(config, cli.command))
}

fn log(config: &Config, quiet: bool) -> Result<()> {
    let mut filter: Targets = if quiet { "warn".parse()? } else { config.log.parse()? };
    // its debug lines hold every parameter of every statement: hashes of passwords, whole deliveries
    if !config.log.contains("tokio_postgres") && filter.would_enable("tokio_postgres", &tracing::Level::DEBUG)
    {
        filter = filter.with_target("tokio_postgres", tracing::Level::INFO);
    }
    // it warns of every cookie that is too old
    if !config.log.contains("tower_sessions") {
        filter = filter.with_target("tower_sessions_core", tracing::Level::ERROR);
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(filter);
    if config.log_json {
        registry.with(lines.json()).init();
    } else {
        registry.with(lines.with_target(false)).init();
    }
    Ok(())
}

async fn run(config: Config, command: Command) -> Result<()> {
    match command {
        Command::Serve => serve(config).await,
        Command::Migrate => migrate(&config).await,
        Command::User(command) => users::run(&config, command).await,
        Command::Token(command) => tokens::run(&config, command).await,
        Command::Publish { dry_run, overwrite } => publish(config, dry_run, overwrite).await,
        Command::Import(asked) => import::run(&config, asked).await,
        Command::Demo { fresh } => {
            demo::run(config, fresh, stop_on_signal(), |text| println!("{text}")).await
        }
        Command::Health => health(&config).await,
    }
}

/// Ends the program in good order when it is asked to, and at once when it is asked again.
fn stop_on_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        if let Err(error) = serve::asked_to_end().await {
            tracing::error!(%error, "signals cannot be heard");
            return;
        }
        stopping.cancel();
    });
    stop
}

async fn serve(config: Config) -> Result<()> {
    let stop = stop_on_signal();
    let listener = serve::bind(&config).await?;
    let url = config.public_url.clone();
    let ready = tokio::select! {
        ready = serve::prepare(config, listener) => ready?,
        () = stop.cancelled() => return Ok(()),
    };
    tracing::info!(listen = %ready.app.config().listen, "prommgr is ready at {url}");
    if let Some(setup) = &ready.setup_url {
        println!(
            "Nobody can log in yet. Make the first admin at\n\n  {setup}\n\nThe link works once, for a day."
        );
    }
    serve::run(ready, stop).await
}

async fn migrate(config: &Config) -> Result<()> {
    let database = Database::open_beside(config).await?;
    match database.migrate(serve::COMMAND_PATIENCE).await? {
        0 => println!("The tables were up to date."),
        ran => println!("{ran} migrations ran."),
    }
    database.close().await
}

async fn publish(config: Config, dry_run: bool, overwrite: bool) -> Result<()> {
    let database = Database::open_beside(&config).await?;
    database.migrate(serve::COMMAND_PATIENCE).await?;
    let app = App::new(config, database.store.clone())?;
    let done = if dry_run { preview(&app).await } else { publish_now(&app, overwrite).await };
    drop(app);
    database.close().await?;
    done
}

async fn preview(app: &App) -> Result<()> {
    let all = All::operator();
    let preview = app.publisher().preview(&mut app.db(all).await?, all).await?;
    for change in &preview.changes {
        match change.who.join(", ") {
            who if who.is_empty() => println!("{}", change.text),
            who => println!("{} ({who})", change.text),
        }
    }
    for file in &preview.drift {
        println!("Another hand: {} ({})", file.path, file.change);
    }
    for file in &preview.files {
        println!("\n{} ({}, +{} -{})", file.path, file.change, file.added, file.removed);
        for line in &file.lines {
            println!("{}", line.text);
        }
        if file.cut {
            println!("… the rest is not shown");
        }
    }
    if preview.differ > preview.files.len() {
        println!("\n… and {} more files", preview.differ - preview.files.len());
    }
    if preview.files.is_empty() {
        println!("Nothing would change.");
    }
    Ok(())
}

async fn publish_now(app: &App, overwrite: bool) -> Result<()> {
    let all = All::operator();
    let order = Order { overwrite, ..Order::default() };
    let id = app.publisher().publish(all, &Actor::command_line(), order).await?.seen().await;
    let mut db = app.db(all).await?;
    let publication = publications::find(&mut db, all, id).await?;
    for answer in publications::answers(&mut db, all, id).await? {
        let mut what = if answer.reason.is_empty() { answer.state.replace('_', " ") } else { answer.reason };
        if !answer.targets.is_empty() {
            what = format!("{what}; targets: {}", answer.targets);
        }
        println!("{}: {what}", answer.prometheus);
    }
    match publication.state.as_str() {
        "in_force" => println!("Publication {id} is in force: {} servers.", publication.servers),
        "partly" => bail!("publication {id} is partly in force: {}", publication.reason),
        state => bail!("publication {id} {state}: {}", publication.reason),
    }
    Ok(())
}

async fn health(config: &Config) -> Result<()> {
    let mut listen = config.listen;
    if listen.ip().is_unspecified() {
        listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let http =
        reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(Duration::from_secs(5)).build()?;
    let response = http
        .get(format!("http://{listen}/readyz"))
        .send()
        .await
        .with_context(|| format!("nothing answers at {listen}"))?;
    let status = response.status();
    let text = response.text().await?;
    if !status.is_success() {
        bail!("{status}: {text}");
    }
    println!("{text}");
    Ok(())
}
