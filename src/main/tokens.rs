//! `prommgr token`: the token alone on standard output, so that a script can keep it; words go beside.

use anyhow::{Context, Result, anyhow, bail};
use clap::Subcommand;
use prommgr::config::Config;
use prommgr::error::Error;
use prommgr::serve::{self, Database};
use prommgr::store::changes::Actor;
use prommgr::store::scope::All;
use prommgr::store::tokens::{self, NewToken};
use prommgr::store::{owners, users};

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
}

/// Runs one.
pub async fn run(config: &Config, command: TokenCommand) -> Result<()> {
    let database = Database::open_beside(config).await?;
    database.migrate(serve::COMMAND_PATIENCE).await?;
    let done = create(&database, command).await;
    database.close().await?;
    println!("{}", done?);
    Ok(())
}

async fn create(database: &Database, command: TokenCommand) -> Result<String> {
    let TokenCommand::Create { user, name, read_only, expires_in, owner } = command;
    let new = NewToken::check(&name, !read_only, expires_in.as_deref()).map_err(refused)?;
    let all = All::operator();
    let mut db = database.store.db(all).await?;
    let person = users::by_name(&mut db, &user).await?.with_context(|| format!("there is no user {user}"))?;
    let identity = users::identity(&mut db, person.id).await?;
    let identity = identity.with_context(|| format!("{user} is locked out"))?;
    let mut only = None;
    if let Some(external_id) = owner {
        let found = match owners::by_external_id(&mut db, all, &external_id).await {
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
    let token = tokens::create(&mut db, person.id, only.as_ref(), new, &by).await.map_err(refused)?;
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
