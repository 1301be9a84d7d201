//! `prommgr user`: people who may log in.

use std::io::{IsTerminal, Read};

use anyhow::{Context, Result, anyhow, bail};
use clap::Subcommand;
use prommgr::config::Config;
use prommgr::error::Error;
use prommgr::serve::{self, Database};
use prommgr::store::Db;
use prommgr::store::changes::Actor;
use prommgr::store::scope::All;
use prommgr::store::second_factors;
use prommgr::store::users::members::Role;
use prommgr::store::users::{self, NewUser, User};

#[derive(Subcommand)]
pub enum UserCommand {
    /// Make a login; the password is asked for, or read from standard input
    Create {
        name: String,
        /// Sees and changes everything
        #[arg(long)]
        admin: bool,
        /// Sees and changes what is this owner's, as --role EXTERNAL_ID=manager
        #[arg(long, value_name = "EXTERNAL_ID")]
        owner: Vec<String>,
        /// What the person may do with what is an owner's; may be given several times
        #[arg(long, value_name = "EXTERNAL_ID=manager|viewer", value_parser = role)]
        role: Vec<(String, Role)>,
    },
    /// Show everybody, with what they see
    List,
    /// Lock somebody out and end their sessions
    Disable { name: String },
    /// Let somebody in again
    Enable { name: String },
    /// Give somebody another password and end their sessions
    SetPassword { name: String },
    /// Turn off the second factor of somebody who has lost it and end their sessions
    ResetSecondFactor { name: String },
}

/// Reads `11=viewer`; an external id may hold an equals sign itself.
fn role(text: &str) -> Result<(String, Role)> {
    let (owner, role) =
        text.rsplit_once('=').context("write it as EXTERNAL_ID=manager or EXTERNAL_ID=viewer")?;
    let role = Role::check(role).map_err(|_| anyhow!("a role is manager or viewer, not {role}"))?;
    Ok((owner.to_owned(), role))
}

/// Runs one.
pub async fn run(config: &Config, command: UserCommand) -> Result<()> {
    let database = Database::open_beside(config).await?;
    database.migrate(serve::COMMAND_PATIENCE).await?;
    let done = change(&database, command).await;
    database.close().await?;
    done
}

async fn change(database: &Database, command: UserCommand) -> Result<()> {
    let all = All::operator();
    let by = Actor::command_line();
    match command {
        UserCommand::Create { name, admin, owner, role } => {
            let roles: Vec<_> = owner.into_iter().map(|owner| (owner, Role::Manager)).chain(role).collect();
            for (place, (owner, _)) in roles.iter().enumerate() {
                if roles[..place].iter().any(|(other, _)| other == owner) {
                    bail!("the owner {owner} is named twice");
                }
            }
            let nothing = !admin && roles.is_empty();
            let new = NewUser::check(&name, read_password()?, admin).await?;
            let new = roles.into_iter().fold(new, |new, (owner, role)| new.with_role(owner, role));
            users::create(&mut database.store.db(all).await?, all, new, &by).await?;
            println!(
                "{name} can log in{}",
                if nothing { ", but sees nothing: give --admin or --role for that." } else { "." }
            );
        }
        UserCommand::List => list(&mut database.store.db(all).await?, all).await?,
        UserCommand::Disable { name } => {
            let mut db = database.store.db(all).await?;
            let user = named(&mut db, &name).await?;
            users::disable(&mut db, all, user.id, &by).await?;
            println!("{name} is locked out.");
        }
        UserCommand::Enable { name } => {
            let mut db = database.store.db(all).await?;
            let user = named(&mut db, &name).await?;
            users::enable(&mut db, all, user.id, &by).await?;
            println!("{name} can log in again.");
        }
        UserCommand::SetPassword { name } => {
            // before anybody types one
            named(&mut database.store.db(all).await?, &name).await?;
            let password = read_password()?;
            let mut db = database.store.db(all).await?;
            users::set_password(&mut db, all, &name, password, &by).await.map_err(|error| match error {
                Error::NotFound => anyhow!("there is no user {name}"),
                other => other.into(),
            })?;
            println!("{name} has another password.");
        }
        UserCommand::ResetSecondFactor { name } => {
            let mut db = database.store.db(all).await?;
            let user = named(&mut db, &name).await?;
            if !second_factors::reset(&mut db, all, user.id, &by).await? {
                bail!("{} has no second factor", user.name);
            }
            println!("{} logs in with the password alone.", user.name);
        }
    }
    Ok(())
}

/// The person of that name.
pub async fn named(db: &mut Db, name: &str) -> Result<User> {
    users::by_name(db, name).await?.with_context(|| format!("there is no user {name}"))
}

async fn list(db: &mut Db, all: All) -> Result<()> {
    let two = second_factors::people(db, all).await?;
    let people = users::list(db, all).await?;
    let owned = users::owned(db, all, &people).await?;
    for user in people {
        let kind = if user.admin { "admin" } else { "user" };
        let state = if user.disabled_at.is_some() { "disabled" } else { "active" };
        let login =
            user.last_login_at.map_or_else(|| "never logged in".into(), |at| format!("last login {at:.0}"));
        let factor = if two.contains(&user.id) { ", second factor" } else { "" };
        let owners = owned.get(&user.id).map(owners).unwrap_or_default();
        println!("{:<24} {kind:<6} {state:<9} {login}{factor}{owners}", user.name);
    }
    Ok(())
}

/// `, manager of Nordwind, viewer of Acme and 2 more`.
fn owners(owned: &users::Owned) -> String {
    let named: Vec<_> = owned.named.iter().map(|(_, name, role)| format!(", {role} of {name}")).collect();
    let more = owned.count - i64::try_from(named.len()).unwrap_or_default();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.concat())
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
