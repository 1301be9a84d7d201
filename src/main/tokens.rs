//! `prommgr token`: a new token alone on standard output, so that a script can keep it; words go beside.

use anyhow::{Context, Result, anyhow, bail};
use clap::Subcommand;
use prommgr::config::Config;
use prommgr::error::Error;
use prommgr::serve::{self, Database};
use prommgr::store::changes::Actor;
use prommgr::store::scope::All;
use prommgr::store::tokens::{self, Listed, NewToken};
use prommgr::store::{Db, owners, users};

use super::users::named;

#[derive(Subcommand)]
pub enum TokenCommand {
    /// Print a new token for somebody's programs
    Create {
        /// Whose rights it has
        #[arg(long, value_name = "NAME")]
        user: String,
        /// What will use it
        #[arg(long)]
        name: String,
        /// It may change nothing
        #[arg(long)]
        read_only: bool,
        /// Such as 90d or 12h; never without this
        #[arg(long, value_name = "TIME")]
        expires_in: Option<String>,
        /// Only what is this owner's
        #[arg(long, value_name = "EXTERNAL_ID")]
        owner: Option<String>,
    },
    /// Show tokens: whose they are, what they may and when they were last used, never the tokens themselves
    List {
        /// Only this person's
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Refuse a token from now on, by the id that the list shows
    Revoke { id: i64 },
}

/// Runs one.
pub async fn run(config: &Config, command: TokenCommand) -> Result<()> {
    let database = Database::open_beside(config).await?;
    database.migrate(serve::COMMAND_PATIENCE).await?;
    let done = act(&database, command).await;
    database.close().await?;
    done
}

async fn act(database: &Database, command: TokenCommand) -> Result<()> {
    let all = All::operator();
    let mut db = database.store.db(all).await?;
    match command {
        TokenCommand::Create { user, name, read_only, expires_in, owner } => {
            println!("{}", create(&mut db, all, New { user, name, read_only, expires_in, owner }).await?);
        }
        TokenCommand::List { user } => {
            let user = match user {
                Some(name) => Some(named(&mut db, &name).await?.id),
                None => None,
            };
            for Listed { token, user, owner } in tokens::list(&mut db, all, user).await? {
                let whose = owner.map(|owner| format!(" of {owner}")).unwrap_or_default();
                let expiry = match token.expires_at {
                    Some(at) if token.expired() => format!("expired {at:.0}"),
                    Some(at) => format!("expires {at:.0}"),
                    None => "never expires".into(),
                };
                let used =
                    token.last_used_at.map_or_else(|| "never used".into(), |at| format!("last used {at:.0}"));
                let access = tokens::access(token.may_write);
                println!(
                    "{:<12} {user:<24} {:<24} {}… {access}{whose}, {expiry}, {used}",
                    token.id, token.name, token.hint
                );
            }
        }
        TokenCommand::Revoke { id } => {
            let found = tokens::list(&mut db, all, None).await?.into_iter().find(|one| one.token.id == id);
            let found = found.with_context(|| format!("there is no token with the id {id}"))?;
            let name = tokens::revoke(&mut db, found.token.user_id, id, &Actor::command_line()).await?;
            println!("The token {name} of {} is revoked.", found.user);
        }
    }
    Ok(())
}

/// What `create` was given.
struct New {
    user: String,
    name: String,
    read_only: bool,
    expires_in: Option<String>,
    owner: Option<String>,
}

async fn create(db: &mut Db, all: All, new: New) -> Result<String> {
    let New { user, name, read_only, expires_in, owner } = new;
    let new = NewToken::check(&name, !read_only, expires_in.as_deref()).map_err(refused)?;
    let person = named(db, &user).await?;
    let identity = users::identity(db, person.id).await?;
    let identity = identity.with_context(|| format!("{user} is locked out"))?;
    let mut only = None;
    if let Some(external_id) = owner {
        let found = match owners::by_external_id(db, &all.into(), &external_id).await {
            Err(Error::NotFound) => bail!("no owner has the external id {external_id}"),
            other => other?,
        };
        if !identity.admin && !identity.sees.contains(&found.id) {
            bail!("{user} does not see {}", found.name);
        }
        only = Some(found);
    }
    let until = new.expires_at().map_or_else(|| "never".into(), |at| format!("{at:.0}"));
    let by = Actor::command_line();
    let token = tokens::create(db, person.id, only.as_ref(), new, &by).await.map_err(refused)?;
    let what = if read_only { "reads" } else { "reads and changes" };
    let whose =
        only.map_or_else(|| format!("what {user} may"), |owner| format!("what {user} may of {}", owner.name));
    eprintln!("The token {name} {what} {whose}. It expires: {until}. It is not shown again.");
    Ok(token)
}

/// Messages at fields, by the flags that they are called here.
fn refused(error: Error) -> anyhow::Error {
    let Error::Invalid(fields) = error else { return error.into() };
    let said = fields.0.iter().map(|(field, why)| format!("--{}: {why}", field.replace('_', "-")));
    anyhow!(said.collect::<Vec<_>>().join(" "))
}
