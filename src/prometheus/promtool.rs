//! Has `promtool`, where it is installed, judge a publication before it is put in place.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(20);

/// Checks what `dir` will be once `files` stand in it: `prometheus.yml`, if it is there, and
/// all of `rules/*.yml`, the operator's own among them. `None` where promtool is not installed;
/// an error is promtool's text, or why it could not be asked.
pub async fn check(dir: &Path, files: &BTreeMap<String, String>) -> Option<Result<(), String>> {
    let (dir, files) = (dir.to_owned(), files.clone());
    let staged = tokio::task::spawn_blocking(move || Stage::new(&dir, &files)).await;
    let stage = match staged {
        Ok(Ok(stage)) => stage,
        Ok(Err(error)) => return Some(Err(format!("cannot copy the files to check: {error}"))),
        Err(error) => return Some(Err(format!("cannot copy the files to check: {error}"))),
    };
    let checks = async {
        // The credentials and rules that prometheus.yml names may lie in Prometheus' container
        // only, so its syntax is all that can be judged here.
        if stage.0.join("prometheus.yml").exists() {
            let config = ["check", "config", "--syntax-only", "prometheus.yml"];
            promtool(&stage, &config).await?;
        }
        // One kind with several holds is several rules of one name; lint would complain.
        let mut arguments = vec!["check".to_owned(), "rules".to_owned(), "--lint=none".to_owned()];
        arguments.extend(stage.rules()?);
        promtool(&stage, &arguments).await
    };
    match tokio::time::timeout(LIMIT, checks).await {
        Ok(Ok(())) => Some(Ok(())),
        Ok(Err(Failure::Missing)) => None,
        Ok(Err(Failure::Said(text))) => Some(Err(text)),
        Err(_) => Some(Err(format!("promtool did not finish within {} s", LIMIT.as_secs()))),
    }
}

enum Failure {
    Missing,
    Said(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Said(format!("cannot ask promtool: {error}"))
    }
}

async fn promtool<S: AsRef<std::ffi::OsStr>>(stage: &Stage, arguments: &[S]) -> Result<(), Failure> {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(&stage.0).stdin(Stdio::null()).kill_on_drop(true);
    let output = match command.output().await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Failure::Missing),
        output => output?,
    };
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let progress = ["Checking", "SUCCESS", "FAILED:"];
    let told = text.lines().map(str::trim);
    let useful = told.filter(|line| !progress.iter().any(|word| line.starts_with(word)));
    let useful: Vec<_> = useful.filter(|line| !line.is_empty()).collect();
    Err(Failure::Said(useful.join("\n")))
}

/// A folder of our own that goes away with the value.
struct Stage(PathBuf);

impl Stage {
    fn new(dir: &Path, files: &BTreeMap<String, String>) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("prommgr-check-{}-{count}", std::process::id());
        let stage = std::env::temp_dir().join(name);
        // Fails if it exists: a folder that somebody else made there is not ours to write to.
        std::fs::create_dir(&stage)?;
        let stage = Self(stage);
        std::fs::create_dir(stage.0.join("rules"))?;
        let config = Path::new("prometheus.yml");
        stage.copy(&dir.join(config), config)?;
        if let Ok(rules) = std::fs::read_dir(dir.join("rules")) {
            for rule in rules {
                let rule = rule?.path();
                if rule.extension().is_some_and(|extension| extension == "yml") {
                    let name = rule.file_name().unwrap_or_default();
                    stage.copy(&rule, &Path::new("rules").join(name))?;
                }
            }
        }
        for (path, content) in files.iter().filter(|(path, _)| path.starts_with("rules/")) {
            std::fs::write(stage.0.join(path), content)?;
        }
        Ok(stage)
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        match std::fs::copy(from, self.0.join(to)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(io::Error::new(error.kind(), format!("{}: {error}", from.display())))
            }
            _ => Ok(()),
        }
    }

    fn rules(&self) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(self.0.join("rules"))?
            .map(|entry| Ok(format!("rules/{}", entry?.file_name().to_string_lossy())));
        let mut names: Vec<_> = names.collect::<io::Result<_>>()?;
        names.sort();
        Ok(names)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prometheus::rules::{Snapshot, render};

    #[tokio::test]
    async fn promtool_accepts_ours_and_names_what_is_wrong() {
        let dir = std::env::temp_dir().join(format!("prommgr-promtool-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("rules")).unwrap();
        let mut files = render(&Snapshot::new("owner", "server")).unwrap();
        let good = check(&dir, &files).await;
        files.insert("rules/prommgr.yml".to_owned(), "groups: [{name: x, rules: 1}]".to_owned());
        let bad = check(&dir, &files).await;
        files.remove("rules/prommgr.yml");
        std::fs::write(dir.join("rules/own.yml"), "nonsense").unwrap();
        let theirs = check(&dir, &files).await;
        std::fs::remove_dir_all(&dir).unwrap();
        // Without promtool there is no judgement, and nothing to test.
        let (Some(good), Some(bad), Some(theirs)) = (good, bad, theirs) else {
            return;
        };
        assert_eq!(good, Ok(()));
        let bad = bad.unwrap_err();
        assert!(bad.contains("rules/prommgr.yml") && !bad.contains("Checking"), "{bad}");
        assert!(theirs.unwrap_err().contains("own.yml"));
    }
}
