//! `prommgr import`: servers from files, with the difference first.

use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;

use anyhow::{Context, Result, bail};
use clap::Args;
use prommgr::address::Reach;
use prommgr::config::Config;
use prommgr::import::{self, Labels, Servers};
use prommgr::serve::{COMMAND_PATIENCE, Database};
use prommgr::store::changes::Actor;
use prommgr::store::scope::{All, Writing};
use prommgr::store::servers::{Plan, Terms, plan};

/// Bytes of a file.
const MOST_BYTES: u64 = 256 << 20;

#[derive(Args)]
pub struct Import {
    /// A table as `/servers.csv` is, file_sd files (JSON or YAML), or a prometheus.yml
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The owner of servers that name none, by its external id
    #[arg(long, value_name = "EXTERNAL_ID")]
    owner: Option<String>,
    /// The label of targets that holds their owner's external id; prommgr's own unless given
    #[arg(long, value_name = "NAME")]
    owner_label: Option<String>,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Remove servers of the files' owners that are in none of the files
    #[arg(long)]
    remove: bool,
    /// Take what can be taken, where something cannot
    #[arg(long, conflicts_with = "remove")]
    partly: bool,
}

pub async fn run(config: &Config, asked: Import) -> Result<()> {
    let servers = read(config, &asked)?;
    let database = Database::open_beside(config).await?;
    database.migrate(COMMAND_PATIENCE).await?;
    let done = import(config, &database, &asked, servers).await;
    database.close().await?;
    done
}

/// All files as one.
fn read(config: &Config, asked: &Import) -> Result<Servers> {
    let owner = asked.owner_label.as_deref().unwrap_or(&config.owner_label);
    let labels = Labels { owner, server: &config.server_label };
    let mut all = Servers::default();
    for file in &asked.files {
        let name = file.display().to_string();
        let size = std::fs::metadata(file).with_context(|| format!("{name} cannot be read"))?.len();
        if size > MOST_BYTES {
            bail!("{name} has more than {} MB; cut it into several", MOST_BYTES >> 20);
        }
        let bytes = std::fs::read(file).with_context(|| format!("{name} cannot be read"))?;
        let mut read = import::read(&name, &bytes, labels).map_err(|why| anyhow::anyhow!("{name}: {why}"))?;
        if asked.files.len() > 1 {
            let places = read.lines.iter_mut().map(|line| &mut line.place);
            for place in places.chain(read.faults.iter_mut().map(|fault| &mut fault.place)) {
                place.insert_str(0, &format!("{name}, "));
            }
        }
        all.lines.append(&mut read.lines);
        all.faults.append(&mut read.faults);
    }
    Ok(all)
}

async fn import(config: &Config, database: &Database, asked: &Import, servers: Servers) -> Result<()> {
    let all = All::operator();
    let mut db = database.store.db(all).await?;
    let terms = Terms {
        reach: Reach::Any(all),
        ours: [&config.owner_label, &config.server_label],
        owner: asked.owner.as_deref(),
        remove: asked.remove,
    };
    let mut plan = plan(&mut db, &Writing::from(all), &servers.lines, terms).await?;
    plan.faults.extend(servers.faults);
    show(&plan);
    if plan.faults.is_empty() || asked.partly {
        if !asked.dry_run && !plan.is_empty() {
            plan.apply(&mut db, &Actor::command_line(), &AtomicUsize::new(0)).await?;
            println!("Done. Prometheus knows of it with the next publication.");
        }
        return Ok(());
    }
    let advice = if asked.remove { "" } else { ", or take the rest with --partly" };
    bail!("nothing was changed: mend what cannot be taken{advice}")
}

fn show(plan: &Plan) {
    let owner = |id: i64| plan.owners.get(&id).map(|owner| owner.name.as_str()).unwrap_or_default();
    for added in &plan.added {
        println!("+ {} ({}) of {}", added.name(), added.endpoint(), owner(added.owner_id));
    }
    for changed in &plan.changed {
        let fields: Vec<_> = changed
            .differences()
            .into_iter()
            .map(|one| format!("{} {} -> {}", one.field, one.old, one.new))
            .collect();
        println!("~ {} of {}: {}", changed.server.name, owner(changed.server.owner_id), fields.join(", "));
    }
    for removed in &plan.removed {
        println!("- {} ({}) of {}", removed.name, removed.endpoint(), owner(removed.owner_id));
    }
    for fault in &plan.faults {
        println!("! {}: {}", fault.place, fault.why);
    }
    println!(
        "{} added, {} changed, {} removed, {} as they were, {} cannot be taken.",
        plan.added.len(),
        plan.changed.len(),
        plan.removed.len(),
        plan.same,
        plan.faults.len()
    );
}
