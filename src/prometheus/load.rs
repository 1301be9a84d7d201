//! One Prometheus takes what stands in the folder, step by step, and each step is seen at its own API.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::client::{self, Client, Scrapes};
use super::rules;
use super::{Files, Inner, draft::Labels};
use crate::store::publications::Answer;
use crate::store::scope::All;

/// How long the new rules may take to be in force after a reload was answered.
const RULES_LIMIT: Duration = Duration::from_secs(15);
/// How long new targets may take: Prometheus collects changes of files for 5 s, and then begins to scrape.
pub(super) const TARGETS_LIMIT: Duration = Duration::from_secs(40);
/// Beyond so many servers targets are counted by what was scraped, which takes an interval longer, and not compared.
pub(super) const MOST_COMPARED: i32 = 20_000;

/// What is to be seen of the rules.
pub(super) struct Rules {
    revision: String,
    groups: BTreeSet<(String, String)>,
}

impl Rules {
    pub(super) fn of(files: &Files) -> Self {
        Self { revision: rules::revision(files), groups: rules::groups_of(files) }
    }
}

/// What is to be seen of the targets.
#[derive(Clone, Debug, Default)]
pub(super) struct Targets {
    pub servers: i32,
    /// Of the files that changed.
    pub present: BTreeSet<Scrapes>,
    pub absent: BTreeSet<Scrapes>,
}

/// Where the steps of a publication are noted.
#[derive(Clone, Copy)]
pub(super) struct Notes<'a> {
    pub inner: &'a Inner,
    pub all: All,
    pub id: i64,
}

impl Notes<'_> {
    async fn note(&self, answer: &Answer) {
        self.inner.note(self.all, self.id, answer).await;
    }
}

/// Has one Prometheus load the rules, unless it has them, and sees that they are in force.
pub(super) async fn load(client: &Client, wanted: &Rules, notes: Notes<'_>) -> Answer {
    let began = Instant::now();
    let mut answer = Answer::waiting(client.at().to_string());
    let result = in_force(client, wanted, &mut answer, notes).await;
    answer.took_ms = i32::try_from(began.elapsed().as_millis()).unwrap_or(i32::MAX);
    let (state, reason) = match result {
        Ok(None) => {
            answer.rules_at = Some(Timestamp::now());
            ("in_force", String::new())
        }
        Ok(Some(why)) => ("unverified", why),
        Err(error @ (client::Error::Unreachable { .. } | client::Error::Setup(_))) => {
            ("unreachable", error.to_string())
        }
        Err(error) => ("refused", error.to_string()),
    };
    (answer.state, answer.reason) = (state.into(), reason);
    notes.note(&answer).await;
    answer
}

/// `None` when the rules are in force, else why that cannot be said.
async fn in_force(
    client: &Client,
    wanted: &Rules,
    answer: &mut Answer,
    notes: Notes<'_>,
) -> Result<Option<String>, client::Error> {
    if client.revision_in_force().await?.as_deref() == Some(&wanted.revision) {
        return Ok(None);
    }
    let before = client.loaded_at().await?;
    client.reload().await?;
    // its own clock; one that keeps it to itself is believed once the rules are seen
    let after = client.loaded_at().await?;
    if after.is_some() && after != before {
        answer.loaded_at = Some(Timestamp::now());
        notes.note(answer).await;
    }
    let deadline = Instant::now() + RULES_LIMIT;
    let mut pause = Duration::from_millis(20);
    loop {
        let found = client.revision_in_force().await?;
        let same = found.as_deref() == Some(&wanted.revision);
        let missing = match same {
            true => wanted.groups.difference(&client.group_names().await?).next().cloned(),
            false => None,
        };
        if same && missing.is_none() {
            return Ok(None);
        }
        if Instant::now() > deadline {
            return Ok(Some(unseen(client, notes.inner.folder.dir(), found.is_some(), missing).await));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// What is in its way, with where it looks by its own configuration.
async fn unseen(client: &Client, dir: &Path, others: bool, missing: Option<(String, String)>) -> String {
    let has = match missing {
        Some((file, group)) => format!("not the group {group} of {file}"),
        None if others => "other rules in force".into(),
        None => "none of our rules in force".into(),
    };
    let looks = client.looks_at().await.unwrap_or_default();
    let looks = if looks.is_empty() { String::new() } else { format!(" It looks at {}.", looks.join(", ")) };
    format!(
        "Prometheus at {} reloaded, but has {has}: is {}/rules/*.yml what its rule_files names?{looks}",
        client.at(),
        dir.display()
    )
}

/// `None` when they are those, else what differs.
pub(super) async fn targets_in_force(
    client: &Client,
    wanted: &Targets,
    labels: &Labels,
) -> Result<Option<String>, client::Error> {
    let told = |n: i64| format!("It scrapes {n} of our targets, where {} were published.", wanted.servers);
    if wanted.servers > MOST_COMPARED {
        let scraped = client.scraped(&labels.owner).await?;
        return Ok((scraped != f64::from(wanted.servers)).then(|| told(scraped as i64)));
    }
    let found = client.targets(&labels.owner, &labels.server).await?;
    let say = |what: &str, target: &Scrapes| format!("It {what} {} of server {}.", target.0, target.2);
    if let Some(target) = wanted.present.difference(&found).next() {
        return Ok(Some(say("does not scrape", target)));
    }
    if let Some(target) = wanted.absent.intersection(&found).next() {
        return Ok(Some(say("still scrapes", target)));
    }
    let n = i64::try_from(found.len()).unwrap_or(i64::MAX);
    Ok((n != i64::from(wanted.servers)).then(|| told(n)))
}
