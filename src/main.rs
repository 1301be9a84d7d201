//! Commands, nothing else.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to whoever typed it")]

#[path = "main/tokens.rs"]
mod tokens;

use std::io::{IsTerminal, Read};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use prommgr::app::App;
use prommgr::config::{Config, Settings, with_files};
use prommgr::serve::{self, Database};
use prommgr::store::changes::Actor;
use prommgr::store::scope::All;
use prommgr::store::users::{self, NewUser};
use prommgr::store::{publications, second_factors};
use prommgr::{demo, error};
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
    User(UserCommand),
    /// What programs present to the API
    #[command(subcommand)]
    Token(tokens::TokenCommand),
    /// Write the configuration and have Prometheus load it
    Publish {
        /// Only show what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// A whole stack on this machine, to look at
    Demo {
        /// Forget everything that an earlier demo kept
        #[arg(long)]
        fresh: bool,
    },
    /// Ask a running prommgr on this machine whether it can serve
    Health,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Make a login; the password is asked for, or read from standard input
    Create {
        name: String,
        /// Sees and changes everything
        #[arg(long)]
        admin: bool,
        /// Sees and changes what is this owner's
        #[arg(long, value_name = "EXTERNAL_ID")]
        owner: Option<String>,
    },
    /// Show everybody
    List,
    /// Lock somebody out and end their sessions
    Disable { name: String },
    /// Give somebody another password and end their sessions
    SetPassword { name: String },
    /// Turn off the second factor of somebody who has lost it and end their sessions
    ResetSecondFactor { name: String },
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
        Command::User(command) => user(&config, command).await,
        Command::Token(command) => tokens::run(&config, command).await,
        Command::Publish { dry_run } => publish(config, dry_run).await,
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

async fn user(config: &Config, command: UserCommand) -> Result<()> {
    let password = match &command {
        UserCommand::Create { .. } | UserCommand::SetPassword { .. } => read_password()?,
        UserCommand::List | UserCommand::Disable { .. } | UserCommand::ResetSecondFactor { .. } => {
            String::new()
        }
    };
    let database = Database::open_beside(config).await?;
    database.migrate(serve::COMMAND_PATIENCE).await?;
    let done = change_user(&database, command, password).await;
    database.close().await?;
    done
}

async fn change_user(database: &Database, command: UserCommand, password: String) -> Result<()> {
    let all = All::operator();
    let mut db = database.store.db(all).await?;
    let by = Actor::command_line();
    let missing = |name: &str, error: error::Error| match error {
        error::Error::NotFound => anyhow::anyhow!("there is no user {name}"),
        other => other.into(),
    };
    match command {
        UserCommand::Create { name, admin, owner } => {
            let nothing = !admin && owner.is_none();
            let new = NewUser::check(&name, password, admin, owner).await?;
            users::create(&mut db, all, new, &by).await?;
            println!(
                "{name} can log in{}",
                if nothing { ", but sees nothing: give --admin or --owner for that." } else { "." }
            );
        }
        UserCommand::List => {
            let two = second_factors::people(&mut db, all).await?;
            for user in users::list(&mut db, all).await? {
                let kind = if user.admin { "admin" } else { "user" };
                let state = if user.disabled_at.is_some() { "disabled" } else { "active" };
                let login = user
                    .last_login_at
                    .map_or_else(|| "never logged in".into(), |at| format!("last login {at:.0}"));
                let factor = if two.contains(&user.id) { ", second factor" } else { "" };
                println!("{:<24} {kind:<6} {state:<9} {login}{factor}", user.name);
            }
        }
        UserCommand::Disable { name } => {
            let user =
                users::by_name(&mut db, &name).await?.with_context(|| format!("there is no user {name}"))?;
            users::disable(&mut db, all, user.id, &by).await?;
            println!("{name} is locked out.");
        }
        UserCommand::SetPassword { name } => {
            users::set_password(&mut db, all, &name, password, &by)
                .await
                .map_err(|error| missing(&name, error))?;
            println!("{name} has another password.");
        }
        UserCommand::ResetSecondFactor { name } => {
            let user = users::by_name(&mut db, &name).await?;
            let user = user.with_context(|| format!("there is no user {name}"))?;
            if !second_factors::reset(&mut db, all, user.id, &by).await? {
                bail!("{} has no second factor", user.name);
            }
            println!("{} logs in with the password alone.", user.name);
        }
    }
    Ok(())
}

/// From standard input; at a terminal it is asked for twice and not shown.
fn read_password() -> Result<String> {
    if !std::io::stdin().is_terminal() {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("the password cannot be read from standard input")?;
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    let password = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("Again: ")? != password {
        bail!("the two passwords differ");
    }
    Ok(password)
}

async fn publish(config: Config, dry_run: bool) -> Result<()> {
    let database = Database::open_beside(&config).await?;
    database.migrate(serve::COMMAND_PATIENCE).await?;
    let app = App::new(config, database.store.clone())?;
    let done = if dry_run { preview(&app).await } else { publish_now(&app).await };
    drop(app);
    database.close().await?;
    done
}

async fn preview(app: &App) -> Result<()> {
    let all = All::operator();
    let preview = app.publisher().preview(&mut app.db(all).await?, all).await?;
    for change in &preview.changes {
        println!("{} ({})", change.summary, change.user_name);
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
    if preview.files.is_empty() {
        println!("Nothing would change.");
    }
    Ok(())
}

async fn publish_now(app: &App) -> Result<()> {
    let all = All::operator();
    let id = app.publisher().publish(all, &Actor::command_line()).await?;
    let mut db = app.db(all).await?;
    let publication = publications::find(&mut db, all, id).await?;
    for answer in publications::answers(&mut db, all, id).await? {
        let what = if answer.reason.is_empty() { answer.state.replace('_', " ") } else { answer.reason };
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
