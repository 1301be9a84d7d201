//! Everybody on the way that alerts take is asked about their part of it, so that it can be said where it is broken.

use futures_util::future::join_all;

use crate::app::App;
use crate::error::Result;
use crate::store::scope::All;
use crate::store::{health, heartbeats};

/// Asks every Prometheus whether the heartbeat fires there and whom it sends it to, and every Alertmanager
/// whether it has it.
pub async fn watch_path(app: &App) -> Result<()> {
    let all = All::operator();
    let (prometheis, alertmanagers) = (app.publisher().clients(), app.alertmanagers());
    let (sending, having) = tokio::join!(
        join_all(prometheis.iter().map(|client| client.sending())),
        join_all(alertmanagers.iter().map(async |client| {
            let status = client.status().await?;
            let heartbeats = client.heartbeats().await?;
            Ok::<_, crate::alertmanager::client::Error>((status.age, heartbeats))
        })),
    );
    let mut db = app.db(all).await?;
    for (client, answer) in prometheis.iter().zip(sending) {
        // whether it answers at all is the watch's to note
        let Ok(sending) = answer else { continue };
        let alertmanagers = i32::try_from(sending.alertmanagers).unwrap_or(i32::MAX);
        let (url, heartbeat) = (client.at().to_string(), sending.heartbeat.as_deref());
        health::note_sending(&mut db, all, &url, heartbeat, alertmanagers, sending.dropped).await?;
    }
    let mut urls = Vec::new();
    for (client, answer) in alertmanagers.iter().zip(having) {
        let (url, why) = (client.at().to_string(), answer.as_ref().err().map(ToString::to_string));
        let said = match (answer, &why) {
            (Ok((age, heartbeats)), _) => Ok((i64::try_from(age.as_secs()).unwrap_or(i64::MAX), heartbeats)),
            (Err(_), why) => Err(why.as_deref().unwrap_or_default()),
        };
        heartbeats::note_alertmanager(&mut db, all, &url, said).await?;
        urls.push(url);
    }
    heartbeats::keep_only(&mut db, all, &urls).await
}
