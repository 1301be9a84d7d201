//! One Prometheus takes what stands in the folder, and it is seen that it has.

use std::path::Path;
use std::time::{Duration, Instant};

use super::client::{self, Client};
use crate::store::publications::Answer;

/// How long the new rules may take to be in force after a reload was answered.
const IN_FORCE_LIMIT: Duration = Duration::from_secs(15);

/// Has one Prometheus load the rules, unless it has them, and sees that they are in force.
pub(super) async fn load(client: &Client, wanted: &str, dir: &Path) -> Answer {
    let began = Instant::now();
    let (state, reason) = match in_force(client, wanted, dir).await {
        Ok(None) => ("in_force", String::new()),
        Ok(Some(why)) => ("unverified", why),
        Err(error @ (client::Error::Unreachable { .. } | client::Error::Setup(_))) => {
            ("unreachable", error.to_string())
        }
        Err(error) => ("refused", error.to_string()),
    };
    let took_ms = i32::try_from(began.elapsed().as_millis()).unwrap_or(i32::MAX);
    Answer { prometheus: client.at().to_string(), state: state.into(), reason, took_ms }
}

/// `None` when the rules are in force, else why that cannot be said.
async fn in_force(client: &Client, wanted: &str, dir: &Path) -> Result<Option<String>, client::Error> {
    if client.revision_in_force().await?.as_deref() == Some(wanted) {
        return Ok(None);
    }
    client.reload().await?;
    let deadline = Instant::now() + IN_FORCE_LIMIT;
    let mut pause = Duration::from_millis(20);
    loop {
        let found = client.revision_in_force().await?;
        if found.as_deref() == Some(wanted) {
            return Ok(None);
        }
        if Instant::now() > deadline {
            return Ok(Some(format!(
                "Prometheus at {} reloaded, but has {} in force: is {}/rules/*.yml what its rule_files names?",
                client.at(),
                if found.is_some() { "other rules" } else { "none of our rules" },
                dir.display()
            )));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}
