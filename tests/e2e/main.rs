//! The main job on a real stack: PostgreSQL, Prometheus, Alertmanager, node_exporter and the prommgr
//! binary, driven over HTTP only, as a person's browser would.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod person;
mod silence;
mod stage;
mod trial;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use person::{Person, until};
use prommgr::demo::stack::stop;
use stage::{Folder, setup_link, stack, start_prommgr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Every file below `targets/` and `rules/` with its bytes.
fn published(prom: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for folder in ["rules", "targets"] {
        for entry in std::fs::read_dir(prom.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            files.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job() {
    let folder = Folder::new("e2e");
    let stack = stack(&folder);
    let prometheus = stack.start_prometheus().await.unwrap();
    let alertmanager = stack.start_alertmanager().await.unwrap();
    let node_exporter = stack.start_node_exporter().await.unwrap();
    let prommgr = start_prommgr(&stack, &[]).await;

    // the first admin, an owner, a server, quick thresholds
    let mut root = Person::new(stack.prommgr);
    let link = setup_link(&folder.0.join("prommgr.log"));
    let first = [
        ("username", "root"),
        ("password", "correct horse battery"),
        ("password_again", "correct horse battery"),
    ];
    root.post(&link, &first).await.is_page("/");
    root.post("/owners", &[("name", "Nordwind"), ("external_id", "11")]).await.says("Nordwind");
    let owner = root.get("/owners").await.link_to("/owners/", "Nordwind");
    let port = stack.node_exporter.to_string();
    let owner_id = owner.trim_start_matches("/owners/").to_owned();
    let server = [
        ("owner_id", owner_id.as_str()),
        ("name", "web-1"),
        ("address", "127.0.0.1"),
        ("port", &port),
        ("external_id", "4386"),
        ("enabled", "on"),
        ("job", "node"),
        ("scheme", "http"),
        ("metrics_path", "/metrics"),
    ];
    root.post("/servers", &server).await.says("web-1");
    let server = root.get("/servers").await.link_to("/servers/", "web-1");
    let down = [("rule", "service_down"), ("severity", "critical"), ("hold", "2s"), ("enabled", "on")];
    root.post("/thresholds", &down).await;

    // another customer's exporter sends what would make two alerts of one and so stop the rules for all
    let hostile = hostile_exporter().await.to_string();
    root.post("/owners", &[("name", "Raider"), ("external_id", "66")]).await.says("Raider");
    let raider = root.get("/owners").await.link_to("/owners/", "Raider");
    let raider = raider.trim_start_matches("/owners/").to_owned();
    let raid =
        [("owner_id", raider.as_str()), ("name", "raid-1"), ("address", "127.0.0.1"), ("port", &hostile)];
    let rest = [("enabled", "on"), ("job", "node"), ("scheme", "http"), ("metrics_path", "/metrics")];
    root.post("/servers", &[&raid[..], &rest[..]].concat()).await.says("raid-1");
    let raid = root.get("/servers").await.link_to("/servers/", "raid-1");

    // published, in force, scraped
    root.publish().await.says("In force");
    until("the target is up", Duration::from_secs(60), async || {
        root.get(&server).await.state().filter(|word| word == "Up")
    })
    .await;

    until("the hostile target is scraped", Duration::from_secs(60), async || {
        root.get(&raid).await.state().filter(|word| word == "Up")
    })
    .await;

    // node_exporter stops: the alert stands in the history
    stop(node_exporter).await.unwrap();
    let alert = until("service_down is in the history", Duration::from_secs(60), async || {
        root.get("/alerts?state=open&rule=service_down").await.first_link("/alerts/")
    })
    .await;
    let page = root.get(&alert).await;
    page.says("web-1");
    page.says("Nordwind");
    page.says(&format!("Instance 127.0.0.1:{port} is down"));
    assert_eq!(page.state().as_deref(), Some("Critical"));
    until("the server is down", Duration::from_secs(60), async || {
        root.get(&server).await.state().filter(|word| word == "Down")
    })
    .await;

    // it starts again: the same episode closes
    let node_exporter = stack.start_node_exporter().await.unwrap();
    until("the alert is resolved", Duration::from_secs(60), async || {
        root.get(&alert).await.state().filter(|word| word == "Resolved")
    })
    .await;
    root.get(&alert).await.says("Alertmanager said that it is resolved.");
    // what Prometheus recorded of it is drawn
    root.get(&format!("{alert}/value")).await.says("Shaded: it fired.");

    // a threshold that any machine exceeds, for this owner, and back
    let cpu = |value: &'static str, enabled: bool| {
        let mut form = vec![
            ("rule", "cpu_threshold_exceeded"),
            ("severity", "warning"),
            ("value", value),
            ("hold", "0s"),
            ("owner_id", owner_id.as_str()),
        ];
        if enabled {
            form.push(("enabled", "on"));
        }
        form
    };
    root.post("/thresholds", &cpu("1", true)).await;
    root.publish().await.says("In force");
    let alert = until("the CPU alert fires", Duration::from_secs(60), async || {
        root.get("/alerts?state=open&rule=cpu_threshold_exceeded").await.first_link("/alerts/")
    })
    .await;
    assert_eq!(root.get(&alert).await.state().as_deref(), Some("Warning"));
    let value = format!("{alert}/value");
    until("its value is drawn against the threshold that it fired at", Duration::from_secs(60), async || {
        let page = root.get(&value).await;
        (page.reads("Highest") && page.reads("%, threshold 1 %.")).then_some(())
    })
    .await;
    root.post("/thresholds/reset", &cpu("", false)).await;
    root.publish().await.says("In force");
    until("the CPU alert is resolved", Duration::from_secs(60), async || {
        root.get(&alert).await.state().filter(|word| word == "Resolved")
    })
    .await;

    // a Prometheus that cannot be reached: said so, the old files stand, the change still waits
    let before = published(&stack.prom_dir);
    stop(prometheus).await.unwrap();
    root.post("/thresholds", &cpu("1", true)).await;
    let refused = root.publish().await;
    refused.says("cannot be reached");
    refused.says("the old files were put back");
    assert_eq!(published(&stack.prom_dir), before);
    let prometheus = stack.start_prometheus().await.unwrap();
    root.publish().await.says("In force");
    assert_ne!(published(&stack.prom_dir), before);

    // killed and started again: the data, the session and the history are there
    kill(prommgr.pid());
    drop(prommgr);
    let prommgr = start_prommgr(&stack, &[]).await;
    root.get("/alerts").await.says("web-1");

    for program in [prommgr, prometheus, alertmanager, node_exporter] {
        stop(program).await.unwrap();
    }
}

fn kill(pid: u32) {
    let status = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// An exporter whose series carry the labels that alerts are given; its port.
async fn hostile_exporter() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let names = ["up{", "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\","];
    let series = ["alertname", "severity"].map(|label| {
        let twice = names.map(|name| format!("{name}{label}=\"a\"}} 0\n{name}{label}=\"b\"}} 0\n"));
        twice.concat()
    });
    let body = series.concat();
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";
    let answer = format!("{head}Content-Length: {length}\r\n\r\n{body}");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 4096];
            if stream.read(&mut asked).await.is_ok() {
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    port
}
