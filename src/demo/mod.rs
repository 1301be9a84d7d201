//! `prommgr demo`: a whole stack on this machine, to look at: embedded PostgreSQL, prommgr, and
//! real Prometheus, Alertmanager and node_exporter, wired to each other and filled.

pub mod past;
pub mod seed;
pub mod stack;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, bail};
use tokio_util::sync::CancellationToken;

use self::seed::Passwords;
use self::stack::{Stack, free_port};
use crate::config::Config;
use crate::prometheus::{Order, Publisher};
use crate::serve::{self, secret_file};
use crate::store::changes::Actor;
use crate::store::scope::All;

/// Says that a folder is a demo's, so that `--fresh` removes nothing else.
const MARK: &str = "this-is-a-prommgr-demo";

/// Runs the demo until `stop`; `say` gets what a person is to read.
pub async fn run(mut config: Config, fresh: bool, stop: CancellationToken, say: impl Fn(&str)) -> Result<()> {
    let dir = config.data_dir.join("demo");
    if fresh && dir.exists() {
        remove(&dir)?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("PROMMGR_DATA_DIR: cannot make {}", dir.display()))?;
    fs::write(dir.join(MARK), "")?;
    let secrets = dir.join("secrets");
    private_dir(&secrets)?;
    let passwords = Passwords {
        admin: secret_file(&secrets.join("admin"))?[..16].to_owned(),
        customer: secret_file(&secrets.join("nordwind"))?[..16].to_owned(),
    };

    let preferred = config.listen.port();
    config.listen = SocketAddr::from((config.listen.ip(), free_port(preferred)?));
    let listener = serve::bind(&config).await?;
    let stack = Stack {
        dir: dir.clone(),
        prom_dir: dir.join("prom"),
        prommgr: SocketAddr::from((Ipv4Addr::LOCALHOST, config.listen.port())),
        webhook_token: secret_file(&secrets.join("webhook-token"))?,
        prometheus: free_port(9090)?,
        alertmanager: free_port(9093)?,
        node_exporter: free_port(9100)?,
    };
    stack.write()?;
    past::write(&stack, 6, &seed::past(&config, stack.node_exporter)).await?;
    config.data_dir = dir.clone();
    config.database_url = None;
    config.prom_dir = stack.prom_dir.clone();
    config.prometheus = vec![format!("http://127.0.0.1:{}", stack.prometheus).parse()?];
    config.alertmanager = vec![format!("http://127.0.0.1:{}", stack.alertmanager).parse()?];
    config.add_webhook_token(&stack.webhook_token);
    if config.public_url.port_or_known_default() == Some(preferred) {
        // fails for URLs without a host only
        let _ = config.public_url.set_port(Some(config.listen.port()));
    }

    say("Starting PostgreSQL, Prometheus, Alertmanager and node_exporter …");
    let url = config.public_url.clone();
    let (prometheus, alertmanager, node_exporter, ready) = tokio::join!(
        stack.start_prometheus(),
        stack.start_alertmanager(),
        stack.start_node_exporter(),
        serve::prepare(config, listener)
    );
    let ready = ready?;
    let children = [prometheus?, alertmanager?, node_exporter?];
    if ready.setup_url.is_some() {
        seed::fill(&ready.app, &passwords, stack.node_exporter).await?;
    }
    seed::follow(&ready.app, stack.node_exporter).await?;
    publish(ready.app.publisher()).await?;

    say(&format!(
        "\nprommgr is at {url}\n\n  \
           admin     log in as  admin     with  {}\n  \
           customer  log in as  nordwind  with  {}\n\n\
         What to try:\n  \
           - web-2 of Nordwind is down: its alert is in the history in half a minute ({url}alerts)\n  \
           - log in as the customer: only Nordwind's servers and alerts are there\n  \
           - try a CPU threshold against the last week ({url}thresholds), which is made up here\n  \
           - lower a CPU threshold ({url}thresholds), publish ({url}publications), and put load on this machine\n  \
           - Prometheus itself is at http://127.0.0.1:{}, Alertmanager at http://127.0.0.1:{}\n\n\
         Data stays in {}; start with --fresh to begin anew. Ctrl-C ends everything.",
        passwords.admin,
        passwords.customer,
        stack.prometheus,
        stack.alertmanager,
        dir.display()
    ));
    let done = serve::run(ready, stop).await;
    say("\nEnding …");
    for child in children {
        stack::stop(child).await?;
    }
    done
}

/// The folder has everything in force from the start, whatever was changed while it was off.
async fn publish(publisher: &Publisher) -> Result<()> {
    let order = Order { overwrite: true, ..Order::default() };
    publisher.publish(All::operator(), &Actor::program("demo"), order).await?;
    Ok(())
}

fn private_dir(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    Ok(())
}

fn remove(dir: &Path) -> Result<()> {
    if !dir.join(MARK).exists() {
        bail!("{} was not made by prommgr demo, so --fresh does not remove it", dir.display());
    }
    fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))
}
