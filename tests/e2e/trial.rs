//! What a threshold would have done, by six days that a real Prometheus has stored.

use prommgr::demo::past::{self, Past};
use prommgr::demo::stack::stop;

use crate::person::Person;
use crate::stage::{Folder, setup_link, stack, start_prommgr};

/// Half an hour above 90 a day, and ten minutes at 70 twice.
fn busy(minute: i64, _: i64) -> f64 {
    match minute {
        300..330 => 95.5,
        600..610 | 900..910 => 70.0,
        _ => 20.0,
    }
}

/// It did not answer for 4 minutes on one day, twice, with two minutes in between.
fn up(minute: i64, day: i64) -> f64 {
    let down = [100..104, 106..110].iter().any(|while_| while_.contains(&minute));
    f64::from(day != 2 || !down)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_threshold_is_tried_on_what_was_recorded() {
    let folder = Folder::new("trial");
    let stack = stack(&folder);
    let labels = |owner: &str, server: &str| {
        let of = [
            ("cloudnet_owner_id", owner),
            ("cloudnet_server_id", server),
            ("instance", "a:9100"),
            ("job", "node"),
        ];
        of.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    };
    let series = |name, owner, server, value| Past { name, labels: labels(owner, server), value };
    let cpu = "prommgr:cpu_used:percent";
    let mut all = vec![
        series(cpu, "11", "4386", busy as fn(i64, i64) -> f64),
        // another owner's server of the same number, and one that is nobody's
        series(cpu, "12", "4386", |_, _| 99.0),
        series(cpu, "13", "1", |_, _| 99.0),
        series("up", "11", "4386", up),
    ];
    // an id that would match more, were it not escaped
    all.push(series(cpu, "11", "4386.1", |minute, day| if day == 0 && minute < 20 { 100.0 } else { 10.0 }));
    all.push(series(cpu, "11", "438631", |_, _| 99.0));
    past::write(&stack, 6, &all).await.unwrap();
    let prometheus = stack.start_prometheus().await.unwrap();
    let prommgr = start_prommgr(&stack, &[]).await;

    let mut root = Person::new(stack.prommgr);
    let link = setup_link(&folder.0.join("prommgr.log"));
    let password = "correct horse battery";
    root.post(&link, &[("username", "root"), ("password", password), ("password_again", password)]).await;
    root.post("/owners", &[("name", "Nordwind"), ("external_id", "11")]).await;
    let owner = root.get("/owners").await.link_to("/owners/", "Nordwind");
    let owner = owner.trim_start_matches("/owners/").to_owned();
    for (name, external_id, address) in [("web-1", "4386", "10.0.0.1"), ("web-2", "4386.1", "10.0.0.2")] {
        let server = [
            ("owner_id", owner.as_str()),
            ("name", name),
            ("address", address),
            ("external_id", external_id),
        ];
        let rest = [("enabled", "on"), ("job", "node"), ("scheme", "http"), ("metrics_path", "/metrics")];
        root.post("/servers", &[&server[..], &rest[..]].concat()).await.says(name);
    }
    let server = root.get("/servers").await.link_to("/servers/", "web-1");
    let server = server.trim_start_matches("/servers/").to_owned();

    let mut tried = async |rule: &str, value: &str, hold: &str, server: &str, days: &str| {
        let severity = if rule == "service_down" { "critical" } else { "warning" };
        let form = [
            ("rule", rule),
            ("severity", severity),
            ("value", value),
            ("hold", hold),
            ("enabled", "true"),
            ("owner_id", &owner),
            ("server_id", server),
        ];
        root.post(&format!("/thresholds/trial?days={days}"), &form).await
    };
    let cpu = "cpu_threshold_exceeded";
    let page = tried(cpu, "90", "10m", &server, "7").await;
    page.says("Over the last 7 days this would have fired 6 times. Now, above 85 % for 5m: 6 times.");
    page.says("There are values of the last 6 days only.");
    tried(cpu, "60", "5m", &server, "7")
        .await
        .says("this would have fired 18 times. Now, above 85 % for 5m: 6 times.");
    tried(cpu, "60", "15m", &server, "7").await.says("this would have fired 6 times.");
    // every fourth minute is looked at then
    tried(cpu, "90", "10m", &server, "30").await.says("Over the last 30 days this would have fired 6 times.");
    tried(cpu, "96", "5m", &server, "7").await.says("this would not have fired.");
    let page = tried(cpu, "90", "5m", "", "7").await;
    page.says("this would have fired 7 times on 2 servers.");
    page.says("Nordwind : 6 times, now 6 times");
    tried("service_down", "", "2m", &server, "7").await.says("this would have fired twice.");
    tried("service_down", "", "3m", &server, "7")
        .await
        .says("this would have fired twice. Now, for 1m: twice.");
    tried("service_down", "", "4m", &server, "7").await.says("this would not have fired.");
    tried("mem_threshold_exceeded", "50", "5m", &server, "7")
        .await
        .says("Prometheus has no values of the last 7 days.");

    for program in [prommgr, prometheus] {
        stop(program).await.unwrap();
    }
}
