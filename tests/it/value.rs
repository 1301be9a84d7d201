//! The value against its threshold, on an alert's page.

use jiff::{SignedDuration, Timestamp};

use crate::alertmanager::{Alert, alert};
use crate::house::{House, eventually};
use crate::person::Person;
use crate::prometheus::{Prometheus, nobody, wired};

const HOUR: i64 = 3600;

fn ago(seconds: i64) -> String {
    Timestamp::now().checked_sub(SignedDuration::from_secs(seconds)).unwrap().to_string()
}

/// High CPU use of a server of Nordwind, from two hours ago to an hour ago.
fn cpu() -> Alert {
    let cpu = alert("4386").rule("cpu_threshold_exceeded").severity("warning");
    cpu.began(&ago(2 * HOUR)).ended(&ago(HOUR)).expression("prommgr:cpu_used:percent > 85")
}

/// A point each minute of the last three hours.
fn minutes(value: impl Fn(i64) -> Option<f64>) -> Vec<(f64, f64)> {
    let now = Timestamp::now().as_second();
    (0..180).rev().filter_map(|n| Some(((now - n * 60) as f64, value(n)?))).collect()
}

async fn told(house: &House, alert: Alert) -> String {
    house.told(&[alert]).await;
    let sql = "select '/alerts/' || id from alerts order by received_at desc limit 1";
    house.column(sql).await.remove(0)
}

/// What stands there instead of a picture.
async fn why(person: &Person, path: &str) -> String {
    let page = person.fragment(&format!("{path}/value")).await.expect(200);
    assert!(!page.has("svg"), "{}", page.text);
    page.one("#value p")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_drawn_against_its_threshold() {
    let (house, prometheus) = wired().await;
    house.server(house.nordwind, "4386", "web", "web.example").await;
    let path = told(&house, cpu().label("mountpoint", "/a.b")).await;
    prometheus.knows(&minutes(|n| Some(if (60..120).contains(&n) { 97.25 } else { 20.0 })));
    let (alice, bob) = (house.alice(), house.bob());
    // it comes after the page, and by a link without scripts
    let page = alice.get(&path).await.expect(200);
    let fragment = format!("{path}/value");
    assert_eq!(page.attrs("#value", "hx-get"), [fragment.as_str()]);
    assert_eq!(page.attrs("#value a", "href"), [fragment.as_str()]);
    assert!(prometheus.asked().is_empty(), "the page asks Prometheus nothing");
    let whole = alice.get(&fragment).await.expect(200);
    assert_eq!(
        (whole.one("h1"), whole.one("#value h2")),
        ("High CPU use".into(), "What Prometheus recorded".into())
    );
    let part = bob.fragment(&fragment).await.expect(200);
    assert!(!part.has("h1"));
    assert!(part.attrs("#value", "hx-trigger").concat().is_empty(), "it is over");
    let words = "Highest 97.2 %, threshold 85 % as it is set now.";
    assert_eq!(part.one("#value svg[role=img] > title"), format!("High CPU use: {words}"));
    assert_eq!(part.one("#value figcaption"), format!("{words} Shaded: it fired. Dashed: the threshold."));
    // half an hour beside it, so that the middle half fired; the line is whole
    assert!(part.attrs("rect.shade.warning", "x")[0].parse::<f64>().unwrap() - 250.0 < 1.0);
    assert_eq!(part.attrs("path.limit", "d"), ["M0 31.4H1000"]);
    assert_eq!(part.attrs("path.value", "d")[0].matches('M').count(), 1);
    // of nobody but that server of that owner
    let asked = prometheus.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(
        asked[0]["query"],
        "max(prommgr:cpu_used:percent{cloudnet_owner_id=\"11\",cloudnet_server_id=\"4386\",\
         instance=~\"host-4386:9100|\",job=~\"node|\",mountpoint=~\"/a\\\\.b|\"})"
    );
    let times = ["start", "end", "step"].map(|name| asked[0][name].parse::<i64>().unwrap());
    let length = times[1] - times[0];
    assert!((2 * HOUR - 38..=2 * HOUR).contains(&length) && times[2] == 37 && length % 37 == 0, "{times:?}");
    // what was set for it is what counts, unless the alert says what it fired at
    house
        .db
        .batch_execute(
            "insert into thresholds (rule, severity, owner_id, value, hold_seconds, enabled) \
            values ('cpu_threshold_exceeded', 'warning', 101, 70, 60, true)",
        )
        .await
        .unwrap();
    let caption =
        async |path: &str| alice.fragment(&format!("{path}/value")).await.expect(200).one("figcaption");
    assert!(caption(&path).await.starts_with("Highest 97.2 %, threshold 70 % as it is set now."));
    house.db.batch_execute("update thresholds set enabled = false").await.unwrap();
    assert!(caption(&path).await.starts_with("Highest 97.2 %. The threshold is off now. Shaded: it fired."));
    let expression = "(prommgr:cpu_used:percent{cloudnet_owner_id!=\"11\",cloudnet_owner_id!=\"\"} > 85) \
        or (prommgr:cpu_used:percent{cloudnet_owner_id=~\"11|12\"} > 62.5)";
    let path = told(&house, cpu().label("job", "other").expression(expression)).await;
    assert!(caption(&path).await.starts_with("Highest 97.2 %, threshold 62.5 %. Shaded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_down_is_drawn_too() {
    let (house, prometheus) = wired().await;
    let path = told(&house, alert("4386").began(&ago(30 * 60))).await;
    prometheus.knows(&minutes(|n| (!(10..15).contains(&n)).then_some(if n < 31 { 0.0 } else { 1.0 })));
    let page = house.alice().fragment(&format!("{path}/value")).await.expect(200);
    assert!(prometheus.asked()[0]["query"].starts_with("min(up{cloudnet_owner_id=\"11\","));
    let title = page.one("svg > title");
    assert!(title.starts_with("Down: It did not answer for about "), "{title}");
    assert!(page.has("rect.shade.critical") && !page.has("path.limit"));
    assert_eq!(page.one(".most"), "up");
    assert_eq!(page.attrs("path.value", "d")[0].matches('M').count(), 2);
    assert!(page.one("figcaption").ends_with("Where the line is missing, there are no values."));
    // it is asked again while it fires
    assert_eq!(page.attrs("#value", "hx-trigger"), ["every 60s"]);
    prometheus.knows(&minutes(|_| Some(1.0)));
    let page = house.alice().fragment(&format!("{path}/value")).await.expect(200);
    assert_eq!(page.one("svg > title"), "Down: It answered whenever it was asked.");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_known_a_sentence_says_why() {
    let (house, prometheus) = wired().await;
    let (alice, root) = (house.alice(), house.root());
    let path = told(&house, cpu()).await;
    let gone = "Prometheus has no values of this time. It keeps them for a limited time, often for 15 days.";
    assert_eq!(why(&alice, &path).await, gone);
    prometheus.knows(&minutes(|_| Some(1.0)));
    let foreign = told(&house, cpu().rule("somebody_elses")).await;
    assert!(why(&alice, &foreign).await.starts_with("This alert is of a rule that prommgr does not write"));
    let nowhere = [("alertname", "service_down"), ("cloudnet_owner_id", "11"), ("instance", "web:9100")];
    let nowhere = told(&house, cpu().only(&nowhere)).await;
    assert!(why(&alice, &nowhere).await.starts_with("It does not say which server it is of"));
    // the labels have other names now, of which one means another owner
    let renamed = told(&house, cpu().label("customer", "12").label("host", "4386")).await;
    let twin = house.twin_with(|settings| {
        settings.owner_label = Some("customer".into());
        settings.server_label = Some("host".into());
    });
    let later = Person::new(&twin);
    later.plant("prommgr", &alice.cookie("prommgr"));
    prometheus.asked();
    assert!(why(&later, &renamed).await.starts_with("It does not say which server it is of"));
    assert!(prometheus.asked().is_empty());
    // an id that another owner has meanwhile names that owner's values
    house.db.batch_execute("update owners set external_id = '99' where id = 101; update owners set external_id = '11' where id = 102").await.unwrap();
    for person in [&alice, &root] {
        assert!(
            why(person, &path)
                .await
                .starts_with("Its owner was removed or has another id than the alert names")
        );
    }
    assert!(prometheus.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_run_is_said_and_only_the_staff_read_where() {
    let at = nobody().await;
    let house = House::with(|settings| settings.prometheus_url = Some(at.clone())).await;
    let path = told(&house, cpu()).await;
    let said = why(&house.alice(), &path).await;
    assert_eq!(said, "Prometheus does not answer just now, so the values are not shown.");
    let said = why(&house.root(), &path).await;
    assert!(said.contains(&format!("Prometheus at {at}/ cannot be reached")), "{said}");
    // of two, one is enough
    let there = Prometheus::start().await;
    there.knows(&minutes(|_| Some(50.0)));
    let twin = house.twin_with(|settings| settings.prometheus_url = Some(format!("{at},{}", there.url)));
    let root = Person::new(&twin);
    root.plant("prommgr", &house.root().cookie("prommgr"));
    let page = root.fragment(&format!("{path}/value")).await.expect(200);
    assert!(page.one("figcaption").starts_with("Highest 50 %"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_prometheus_that_is_silent() {
    let (house, prometheus) = wired().await;
    let path = told(&house, cpu()).await;
    let silent = prometheus.silent().await;
    let alice = house.alice();
    let fragment = format!("{path}/value");
    let mut waiting = Box::pin(alice.fragment(&fragment));
    tokio::select! {
        _ = &mut waiting => panic!("it ended before"),
        _ = eventually("it is asked", async || prometheus.asked().pop()) => {}
    }
    // from here on it stands still, with all that it holds
    alice.get(&path).await.expect(200);
    eventually("its transaction is over", async || {
        let open =
            "pg_stat_activity where datname = current_database() and state like 'idle in transaction%'";
        (house.count(open).await == 0).then_some(())
    })
    .await;
    let said = waiting.await.expect(200);
    assert!(said.one("#value p").starts_with("Prometheus does not answer just now"));
    drop(silent);
}
