//! Reads again what could not be understood when it came, after a fix.

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::ready;
use crate::error::Result;
use crate::store::intake::Intake;
use crate::store::scope::All;

/// Takes what is good in a kept body, or in one kept alert, into the history as if it came now; once more
/// changes nothing. `Err` inside: why some of it, or all, is still not understood.
pub async fn replay(
    intake: &Intake,
    all: All,
    cluster: i32,
    text: &str,
    ours: &[String; 2],
) -> Result<Result<(), String>> {
    let (owned, ours) = (text.to_owned(), ours.clone());
    // a body is up to 1 MB
    let read = tokio::task::spawn_blocking(move || {
        let [owner, server] = &ours;
        ready::read(body(&owned).as_bytes(), Timestamp::now(), [owner, server])
    });
    let ready = match read.await.map_err(crate::error::Error::internal)? {
        Ok(ready) => ready,
        Err(refused) => return Ok(Err(refused.to_string())),
    };
    intake.store(all, cluster, ready.reports, Vec::new()).await?;
    Ok(match ready.bad.into_iter().next() {
        None => Ok(()),
        Some(bad) => Err(bad.reason),
    })
}

/// An alert that was kept alone becomes a body of its own.
fn body(text: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Whole {
        #[serde(rename = "alerts")]
        _alerts: serde::de::IgnoredAny,
    }
    let alone =
        serde_json::from_str::<&RawValue>(text).is_ok() && serde_json::from_str::<Whole>(text).is_err();
    if alone { format!("{{\"alerts\":[{text}]}}") } else { text.to_owned() }
}
