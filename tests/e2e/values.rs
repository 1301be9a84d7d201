//! What a changed value does to alerts that wait or fire, on a real Prometheus: nothing, while both values are exceeded.

use std::time::Duration;

use prommgr::demo::stack::{Stack, stop};
use serde_json::Value;

use crate::person::{self, Person, until};
use crate::stage::{Folder, setup_link, stack, start_prommgr};

const PATIENCE: Duration = Duration::from_secs(100);

/// State and time of the beginning of the one alert of a rule, as Prometheus has it.
async fn alert(stack: &Stack) -> Option<(String, String)> {
    let url = format!("http://127.0.0.1:{}/api/v1/alerts", stack.prometheus);
    let answer: Value = person::http().get(url).send().await.ok()?.json().await.ok()?;
    let alerts = answer["data"]["alerts"].as_array()?;
    let ours = alerts.iter().find(|alert| alert["labels"]["alertname"] == "mem_threshold_exceeded")?;
    let text = |name: &str| ours[name].as_str().unwrap().to_owned();
    Some((text("state"), text("activeAt")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_value_resets_nothing() {
    let folder = Folder::new("values");
    let stack = stack(&folder);
    let prometheus = stack.start_prometheus().await.unwrap();
    let alertmanager = stack.start_alertmanager().await.unwrap();
    let node_exporter = stack.start_node_exporter().await.unwrap();
    let prommgr = start_prommgr(&stack, &[]).await;
    let mut root = Person::new(stack.prommgr);
    let link = setup_link(&folder.0.join("prommgr.log"));
    let password = "correct horse battery";
    root.post(&link, &[("username", "root"), ("password", password), ("password_again", password)]).await;
    root.post("/owners", &[("name", "Nordwind"), ("external_id", "11")]).await.says("Nordwind");
    let owner = root.get("/owners").await.link_to("/owners/", "Nordwind");
    let owner = owner.trim_start_matches("/owners/").to_owned();
    let port = stack.node_exporter.to_string();
    let server = [("owner_id", owner.as_str()), ("name", "web-1"), ("address", "127.0.0.1"), ("port", &port)];
    root.post("/servers", &[&server[..], &[("enabled", "on")]].concat()).await.says("web-1");

    // any machine uses more memory than this
    let owner = owner.as_str();
    let form = |value: &'static str| {
        let rule = [("rule", "mem_threshold_exceeded"), ("severity", "warning"), ("value", value)];
        [&rule[..], &[("hold", "20s"), ("owner_id", owner), ("enabled", "on")]].concat()
    };
    root.post("/thresholds", &form("1")).await;
    root.publish().await.says("Targets in force");
    let since = until("the alert waits", PATIENCE, async || {
        alert(&stack).await.filter(|(state, _)| state == "pending").map(|(_, since)| since)
    })
    .await;
    root.post("/thresholds", &form("1.5")).await;
    root.publish().await.says("In force");
    let fires = until("it fires", PATIENCE, async || {
        let (state, begun) = alert(&stack).await?;
        assert_eq!(begun, since, "a changed value began the waiting anew");
        (state == "firing").then_some(begun)
    })
    .await;
    let page = until("it is in the history", PATIENCE, async || {
        root.get("/alerts?state=open&rule=mem_threshold_exceeded").await.first_link("/alerts/")
    })
    .await;
    root.post("/thresholds", &form("2")).await;
    root.publish().await.says("In force");
    // some evaluations, of which each could resolve it
    let mut rounds = 0;
    until("it was evaluated a few times", PATIENCE, async || {
        assert_eq!(alert(&stack).await, Some(("firing".to_owned(), fires.clone())));
        rounds += 1;
        (rounds == 80).then_some(())
    })
    .await;
    assert_eq!(root.get(&page).await.state().as_deref(), Some("Warning"));
    let all = root.get("/alerts?state=all&rule=mem_threshold_exceeded").await;
    assert_eq!(all.links_below("/alerts/"), 1, "it was resolved and fired again");

    for program in [prommgr, prometheus, alertmanager, node_exporter] {
        stop(program).await.unwrap();
    }
}
