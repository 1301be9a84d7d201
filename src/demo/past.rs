//! A past for a Prometheus that has none: values as it would have recorded them in the days before it was started first.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use tokio::process::Command;

use super::stack::{Stack, find};

/// Seconds between two values.
const STEP: i64 = 60;
/// Seconds; a block of Prometheus' storage ends at a multiple, and it takes nothing that is older than its newest block.
const BLOCK: i64 = 7200;

/// Values of one series.
pub struct Past {
    pub name: &'static str,
    pub labels: Vec<(String, String)>,
    /// By the minute of the day and the day, which count back from the newest value.
    pub value: fn(i64, i64) -> f64,
}

/// Writes so many days of these series, up to two hours ago at the least, before Prometheus is started. Does nothing where it
/// has data already, or where there is no promtool.
pub async fn write(stack: &Stack, days: i64, series: &[Past]) -> Result<()> {
    let data = stack.dir.join("prometheus");
    let Some(promtool) = find("promtool").filter(|_| !data.exists()) else { return Ok(()) };
    let now = Timestamp::now().as_second();
    let text = openmetrics(now - now % BLOCK, days, series);
    let file = stack.dir.join("past.txt");
    fs::write(&file, text)?;
    let done = Command::new(promtool)
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([&file, &data])
        .kill_on_drop(true)
        .output()
        .await
        .context("promtool cannot be run")?;
    fs::remove_file(&file)?;
    if !done.status.success() {
        bail!("promtool made no past: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}

fn openmetrics(end: i64, days: i64, series: &[Past]) -> String {
    let mut text = String::new();
    let mut names: Vec<_> = series.iter().map(|past| past.name).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let _ = writeln!(text, "# TYPE {name} gauge");
        for past in series.iter().filter(|past| past.name == name) {
            let labels: Vec<_> =
                past.labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
            let labels = labels.join(",");
            for back in (1..=days * 86_400 / STEP).rev() {
                let minute = back * STEP / 60;
                let value = (past.value)(minute % 1440, minute / 1440);
                // writing into a String does not fail
                let _ = writeln!(text, "{name}{{{labels}}} {value} {}", end - back * STEP);
            }
        }
    }
    text.push_str("# EOF\n");
    text
}
