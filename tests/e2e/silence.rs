//! What no webhook tells, with a real Prometheus and Alertmanager: silences, what ends behind one while prommgr
//! is down, and the heartbeat.

use std::time::Duration;

use prommgr::demo::stack::{Stack, stop};
use serde_json::{Value, json};

use crate::person::{self, Person, until};
use crate::stage::{Folder, setup_link, stack, start_prommgr};

const PATIENCE: Duration = Duration::from_secs(100);

struct Alertmanager(String, reqwest::Client);

impl Alertmanager {
    fn of(stack: &Stack) -> Self {
        Self(format!("http://127.0.0.1:{}/api/v2", stack.alertmanager), person::http())
    }

    /// Silences whatever is down; returns the silence's id.
    async fn silence(&self) -> String {
        let now = jiff::Timestamp::now();
        let silence = json!({
            "matchers": [{"name": "alertname", "value": "service_down", "isRegex": false}], "createdBy": "x", "comment": "x",
            "startsAt": now.to_string(), "endsAt": (now + Duration::from_secs(3600)).to_string(),
        });
        let answer = self.1.post(format!("{}/silences", self.0)).json(&silence).send().await.unwrap();
        let answer: Value = answer.error_for_status().unwrap().json().await.unwrap();
        answer["silenceID"].as_str().unwrap().to_owned()
    }

    async fn expire(&self, silence: &str) {
        let answer = self.1.delete(format!("{}/silence/{silence}", self.0)).send().await.unwrap();
        answer.error_for_status().unwrap();
    }

    async fn has_service_down(&self) -> bool {
        let url = format!("{}/alerts?filter=alertname%3Dservice_down", self.0);
        let alerts: Vec<Value> = self.1.get(url).send().await.unwrap().json().await.unwrap();
        !alerts.is_empty()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silences_and_the_heartbeat() {
    let folder = Folder::new("silence");
    let stack = stack(&folder);
    let prometheus = stack.start_prometheus().await.unwrap();
    let alertmanager = stack.start_alertmanager().await.unwrap();
    let prommgr = start_prommgr(&stack, &[]).await;
    let its = Alertmanager::of(&stack);

    // a server that is down from the start
    let mut root = Person::new(stack.prommgr);
    let link = setup_link(&folder.0.join("prommgr.log"));
    let password = "correct horse battery";
    root.post(&link, &[("username", "root"), ("password", password), ("password_again", password)]).await;
    root.post("/owners", &[("name", "Nordwind"), ("external_id", "11")]).await;
    let owner = root.get("/owners").await.link_to("/owners/", "Nordwind");
    let (owner, port) = (owner.trim_start_matches("/owners/"), stack.node_exporter.to_string());
    let server = [
        ("owner_id", owner),
        ("name", "web-1"),
        ("address", "127.0.0.1"),
        ("port", &port),
        ("enabled", "on"),
        ("job", "node"),
        ("scheme", "http"),
        ("metrics_path", "/metrics"),
    ];
    root.post("/servers", &server).await.says("web-1");
    let down = [("rule", "service_down"), ("severity", "critical"), ("hold", "0s"), ("enabled", "on")];
    root.post("/thresholds", &down).await;
    root.publish().await.says("In force");
    let alert = until("service_down is in the history", PATIENCE, async || {
        root.get("/alerts?state=open&rule=service_down").await.first_link("/alerts/")
    })
    .await;

    // the heartbeat takes the same way
    until("the heartbeat is seen", PATIENCE, async || {
        root.get("/").await.reads("Alerts reach prommgr: the heartbeat came").then_some(())
    })
    .await;

    // silenced: it stays open, and goes on when the silence ends. prommgr compares when it starts
    let silence = its.silence().await;
    stop(prommgr).await.unwrap();
    let prommgr = start_prommgr(&stack, &[]).await;
    let state =
        async |root: &mut Person, word: &str| root.get(&alert).await.state().filter(|state| state == word);
    until("it is silenced", PATIENCE, async || state(&mut root, "Silenced").await).await;
    its.expire(&silence).await;
    stop(prommgr).await.unwrap();
    let prommgr = start_prommgr(&stack, &[]).await;
    until("the silence is over", PATIENCE, async || state(&mut root, "Critical").await).await;

    // it ends behind a silence, while prommgr is down
    its.silence().await;
    stop(prommgr).await.unwrap();
    let prommgr = start_prommgr(&stack, &[]).await;
    until("it is silenced again", PATIENCE, async || state(&mut root, "Silenced").await).await;
    stop(prommgr).await.unwrap();
    let node_exporter = stack.start_node_exporter().await.unwrap();
    until("it is over", PATIENCE, async || (!its.has_service_down().await).then_some(())).await;
    let prommgr = start_prommgr(&stack, &[]).await;
    until("it is closed", PATIENCE, async || state(&mut root, "Resolved").await).await;
    root.get(&alert).await.says("It ended while it was silenced");

    // Alertmanager ends: the dashboard says that it is Alertmanager
    stop(alertmanager).await.unwrap();
    let at = format!("Alertmanager at http://127.0.0.1:{}/ cannot be reached", stack.alertmanager);
    until("the dashboard says where", PATIENCE, async || root.get("/").await.reads(&at).then_some(())).await;
    let alertmanager = stack.start_alertmanager().await.unwrap();
    until("the way is whole again", PATIENCE, async || (!root.get("/").await.reads(&at)).then_some(())).await;

    for program in [prommgr, prometheus, alertmanager, node_exporter] {
        stop(program).await.unwrap();
    }
}
