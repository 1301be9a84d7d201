//! What people do, in a real Chromium, against a real prommgr with a real Prometheus: one browser
//! with scripts and one without share a stack, and a journey goes on where the one before ended.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod account;
mod audit;
mod browser;
mod journeys;
mod people;
#[path = "../e2e/person.rs"]
#[allow(dead_code, reason = "the end-to-end test uses the rest")]
mod person;
#[path = "../it/provider.rs"]
#[allow(dead_code, reason = "the integration tests use the rest")]
mod provider;
#[path = "../e2e/stage.rs"]
mod stage;

use std::any::Any;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use browser::{Browser, Driver};
use futures_util::FutureExt;
use prommgr::demo::stack::{Stack, stop};
use provider::Provider;
use serde_json::{Value, json};
use stage::Folder;

/// What the journeys share.
struct World {
    stack: Stack,
    /// Of single sign-on, on another site.
    provider: Provider,
    setup_link: String,
    /// With scripts.
    browser: Browser,
    /// Without.
    plain: Browser,
}

impl World {
    /// Posts to the webhook as Alertmanager does; says the status.
    async fn deliver(&self, body: String) -> u16 {
        let url = format!("http://{}/webhook/alertmanager", self.stack.prommgr);
        let request = person::http().post(url).bearer_auth(&self.stack.webhook_token);
        request.header("content-type", "application/json").body(body).send().await.unwrap().status().as_u16()
    }

    /// Walks a journey. When it fails, pictures of both browsers are saved.
    async fn walk(&self, name: &str, journey: impl Future<Output = ()>) {
        let Err(panic) = AssertUnwindSafe(journey).catch_unwind().await else { return };
        let mut seen = Vec::new();
        for (browser, who) in [(&self.browser, "browser"), (&self.plain, "plain")] {
            match tokio::time::timeout(
                Duration::from_secs(10),
                browser.save(&saved(), &format!("{name}-{who}")),
            )
            .await
            {
                Ok(Ok(path)) => seen.push(path),
                Ok(Err(error)) => seen.push(error),
                Err(_) => seen.push(format!("the {who} does not answer")),
            }
        }
        if let Err(error) = person::http().get(format!("http://{}/healthz", self.stack.prommgr)).send().await
        {
            seen.push(format!("prommgr does not answer: {error}"));
        }
        let log = saved().join(format!("{name}-prommgr.log"));
        if std::fs::copy(self.stack.dir.join("prommgr.log"), &log).is_ok() {
            seen.push(log.display().to_string());
        }
        panic!("the journey {name} failed: {}\nwhat was seen: {}", reason(&*panic), seen.join(", "));
    }
}

fn reason(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic")
}

/// Where pictures are saved: `target/browser/`.
fn saved() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("browser")
}

#[tokio::test(flavor = "multi_thread")]
async fn journeys() {
    let folder = Folder::new("browser");
    let stack = stage::stack(&folder);
    let base = format!("http://{}", stack.prommgr);
    let provider = Provider::of(&base).await;
    // alerts are posted as Alertmanager does, which then must not be asked whether it has them
    let nowhere = ("alertmanager-url", "http://127.0.0.1:9");
    let sso = [
        nowhere,
        ("sso-issuer", provider.url.as_str()),
        ("sso-client-id", provider::CLIENT),
        ("sso-client-secret", provider::SECRET),
        ("sso-roles", "ops=viewer:11"),
        ("sso-name", "Keyring"),
    ];
    let browsers = async {
        let driver = Driver::start(&folder.0).await;
        let open = |name: &str, scripts| {
            let (driver, base, profile) = (&driver, base.clone(), folder.0.join(name));
            async move { Browser::open(driver, base, &profile, scripts).await }
        };
        let (browser, plain) = tokio::join!(open("profile", true), open("profile-plain", false));
        (driver, browser, plain)
    };
    let ((driver, browser, plain), prommgr, prometheus, alertmanager, node_exporter) = tokio::join!(
        browsers,
        stage::start_prommgr(&stack, if cfg!(feature = "sso") { &sso[..] } else { &sso[..1] }),
        stack.start_prometheus(),
        stack.start_alertmanager(),
        stack.start_node_exporter(),
    );
    let children = [prommgr, prometheus.unwrap(), alertmanager.unwrap(), node_exporter.unwrap()];
    let setup_link = stage::setup_link(&folder.0.join("prommgr.log"));
    let world = World { stack, provider, setup_link, browser, plain };

    macro_rules! walk {
        ($($journey:ident)*) => { async { $( world.walk(stringify!($journey), journeys::$journey(&world)).await; )* } };
    }
    let journeys = walk! {
        first_admin first_steps bad_form remove_and_undo search_as_you_type alerts live thresholds theme keys phone
        people second_factor plain_http single_sign_on without_scripts account every_page
    };
    let walked = AssertUnwindSafe(journeys).catch_unwind().await;

    // whatever came of it, all of them end before their folder goes
    world.browser.close().await;
    world.plain.close().await;
    driver.stop().await;
    for child in children {
        stop(child).await.unwrap();
    }
    if let Err(panic) = walked {
        resume_unwind(panic);
    }
}

/// A delivery of 120 alerts of the server `4386` of the owner `11`, a minute apart, every third open.
fn delivery() -> String {
    let now = jiff::Timestamp::now().as_second();
    let at = |seconds| jiff::Timestamp::from_second(seconds).unwrap().to_string();
    let alerts: Vec<Value> = (0..120)
        .map(|n| {
            let (open, start) = (n % 3 == 0, now - 60 * (n + 10));
            json!({
                "status": if open { "firing" } else { "resolved" },
                "labels": {
                    "alertname": "disk_will_fill_up", "severity": if n % 2 == 0 { "critical" } else { "warning" },
                    "cloudnet_owner_id": "11", "cloudnet_server_id": "4386", "instance": "127.0.0.1:9100", "mountpoint": format!("/srv/{n}"),
                },
                "annotations": { "summary": format!("Disk /srv/{n} will fill up"), "description": "It has little room left." },
                "startsAt": at(start), "endsAt": if open { "0001-01-01T00:00:00Z".into() } else { at(start + 300) },
                "generatorURL": "http://prometheus.example/graph",
            })
        })
        .collect();
    json!({ "version": "4", "groupKey": "{}", "truncatedAlerts": 0, "status": "firing", "receiver": "prommgr", "alerts": alerts }).to_string()
}
