//! What a threshold would have done, before it is saved.

use jiff::Timestamp;

use crate::house::House;
use crate::person::Person;
use crate::prometheus::{Asked, Prometheus, nobody, wired};

const DAY: i64 = 86_400;
const TRY: &str = "Try High CPU use, warning";

/// A value each minute of the last days, by how many minutes ago it is.
fn minutes(days: i64, value: impl Fn(i64) -> f64) -> Vec<(f64, f64)> {
    let now = Timestamp::now().as_second();
    (0..days * 1440).rev().map(|n| ((now - n * 60) as f64, value(n))).collect()
}

/// 95 % for half an hour of each day, else 20 %.
fn daily(minute: i64) -> f64 {
    if (600..630).contains(&(minute % 1440)) { 95.0 } else { 20.0 }
}

/// What is told, with its notes.
async fn told(person: &Person, page: &str, fill: &[(&str, &str)]) -> Vec<String> {
    let page = person.get(page).await.expect(200);
    let part = person.presses_for_part(&page, TRY, fill).await.expect(200);
    assert!(!part.has("h1"), "only a part");
    part.all(".trial > p")
}

fn queries(prometheus: &Prometheus) -> Vec<String> {
    prometheus.asked().iter().map(|asked: &Asked| asked["query"].clone()).collect()
}

/// Everything was published, long ago.
async fn published(house: &House) {
    let sql = "update owners set created_at = now() - interval '90 days'; \
        insert into publications (user_name, revision, state, servers, created_at, finished_at) values \
        ('root', 'x', 'in_force', 1, now() - interval '80 days', now() - interval '80 days')";
    house.db.batch_execute(sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_threshold_is_tried_at_each_layer_beside_what_is_set() {
    let (house, prometheus) = wired().await;
    published(&house).await;
    let web = house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    house.server(house.nordwind, "8", "db", "10.0.0.6").await;
    let own = house.server(house.nordwind, "9", "own", "10.0.0.7").await;
    house.server(house.suedstern, "7", "mail", "10.0.0.5").await;
    let sql = format!(
        "insert into thresholds (rule, severity, owner_id, server_id, value, hold_seconds, enabled) \
         values ('cpu_threshold_exceeded', 'warning', 101, {own}, 10, 60, true)"
    );
    house.db.batch_execute(&sql).await.unwrap();
    prometheus.knows_of("11", "7", &minutes(8, daily));
    prometheus.knows_of("11", "8", &minutes(8, |_| 50.0));
    prometheus.knows_of("11", "9", &minutes(8, |_| 99.0));
    prometheus.knows_of("12", "7", &minutes(8, daily));

    // the server
    let alice = house.alice();
    let path = format!("/thresholds?owner=101&server={web}");
    let fill = [("value", "90"), ("hold", "10m")];
    assert_eq!(
        told(&alice, &path, &fill).await[0],
        "Over the last 7 days this would have fired 7 times. Now, above 85 % for 5m: 7 times."
    );
    assert_eq!(
        queries(&prometheus)[1],
        "prommgr:cpu_used:percent{cloudnet_owner_id=\"11\",cloudnet_server_id=\"7\"} > 85"
    );
    let said = told(&alice, &path, &[("value", "96")]).await;
    assert_eq!(said[0], "Over the last 7 days this would not have fired. Now, above 85 % for 5m: 7 times.");
    // half an hour is not 31 minutes
    let said = told(&alice, &path, &[("value", "90"), ("hold", "31m")]).await;
    assert!(said[0].starts_with("Over the last 7 days this would not have fired."), "{said:?}");
    assert!(told(&alice, &path, &[]).await[0].ends_with("7 times. It is what is set now."));

    // the owner: the one that has its own is left out
    let said = told(&alice, "/thresholds?owner=101", &[("value", "40"), ("hold", "0s")]).await;
    assert_eq!(
        said[0],
        "Over the last 7 days this would have fired 8 times on 2 servers. Now, above 85 % for 5m: 7 times on 1 server."
    );
    assert!(
        said.contains(&"With a threshold of their own, so left as they are: 1 server.".to_owned()),
        "{said:?}"
    );
    assert!(queries(&prometheus).iter().all(|query| !query.contains("\"9\"") && !query.contains("12")));

    // everybody
    let said = told(&house.root(), "/thresholds", &[("value", "90")]).await;
    assert!(
        said[0].starts_with("Over the last 7 days this would have fired 14 times on 2 servers."),
        "{said:?}"
    );
    assert_eq!(house.count("thresholds").await, 1, "nothing was saved");
    assert_eq!(house.count("pending_changes").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_the_page_comes_back_with_the_answer_and_what_was_typed() {
    let (house, prometheus) = wired().await;
    published(&house).await;
    let web = house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    prometheus.knows_of("11", "7", &minutes(8, daily));
    let alice = house.alice();
    let page = alice.get(&format!("/thresholds?owner=101&server={web}")).await.expect(200);
    assert!(!page.has(".trial"));
    let page = alice.presses(&page, TRY, &[("value", "90"), ("hold", "1m")]).await.expect(200);
    assert_eq!(page.attrs("#cpu_threshold_exceeded-warning input[name=value]", "value"), ["90"]);
    assert_eq!(page.all(".trial").len(), 1);
    assert!(page.one("#trial-cpu_threshold_exceeded-warning .trial p[role=status]").contains("7 times"));
    // the picture: the line, the threshold, a shade for each
    assert_eq!(page.one(".trial svg > title"), "High CPU use of web: 7 times, now 7 times");
    assert_eq!(page.attrs(".trial rect.shade.warning", "x").len(), 7);
    assert!(page.has(".trial path.limit") && page.has(".trial path.value"));
    assert_eq!(page.attrs(".trial figcaption a", "href"), [format!("/servers/{web}")]);
    // longer back there is no more
    let page = alice.presses(&page, "Look at 30 days", &[]).await.expect(200);
    let said = page.all(".trial > p");
    assert!(said[0].starts_with("Over the last 30 days this would have fired 8 times."), "{said:?}");
    assert!(
        said.iter().any(|note| note.starts_with("There are values of the last 7 days only")
            || note.starts_with("There are values of the last 8 days only")),
        "{said:?}"
    );
    assert!(page.offers("Look at 7 days"));
    // what cannot be tried says so at its field
    let page = alice.presses(&page, TRY, &[("value", "many")]).await.expect(422);
    assert_eq!((page.errors(), page.one(".trial p")), (1, "A number from 1 to 100.".into()));
    let part = alice.presses_for_part(&page, TRY, &[("hold", "long"), ("value", "5")]).await.expect(200);
    assert!(part.one(".trial p").starts_with("A duration such as"));
    assert_eq!(house.count("thresholds").await + house.count("audit").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_limits_it_is_said() {
    let (house, prometheus) = wired().await;
    let root = house.root();
    assert_eq!(told(&root, "/thresholds", &[]).await, ["There is no server yet that this is for."]);
    let web = house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    house.server(house.nordwind, "8", "db", "10.0.0.6").await;
    prometheus.knows_of("11", "7", &minutes(3, daily));
    let said = told(&root, "/thresholds", &[]).await;
    assert!(
        said[0].starts_with("Over the last 7 days this would have fired 3 times on 1 server."),
        "{said:?}"
    );
    assert!(said.contains(&"Without values, so not counted: 1 server.".to_owned()), "{said:?}");
    assert!(
        said.iter().any(|note| note.starts_with("There are values of the last") && note.ends_with("only.")),
        "{said:?}"
    );
    // off, now or then
    let page = root.get("/thresholds").await;
    let (path, mut form) = page.form_of(TRY);
    form.retain(|(name, _)| name != "enabled");
    let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let page = root.post(&path, &form).await.expect(200);
    assert!(page.one(".trial p[role=status]").starts_with("Switched off, it fires no more. Now, above 85 %"));
    let said = root
        .presses_for_part(&page, "Try High CPU use, critical", &[("value", "90"), ("enabled", "true")])
        .await;
    assert!(said.one(".trial p[role=status]").ends_with("Now it is off."));
    house.db.execute("update servers set enabled = false where id = $1", &[&web]).await.unwrap();
    let said = told(&root, &format!("/thresholds?owner=101&server={web}"), &[]).await;
    assert_eq!(said, ["It is paused, so nothing would fire."]);
    // no Prometheus: where it should be, only the staff read
    let gone = nobody().await;
    let other = House::with(|settings| settings.prometheus_url = Some(gone)).await;
    published(&other).await;
    other.server(other.nordwind, "7", "web", "10.0.0.5").await;
    assert!(told(&other.root(), "/thresholds", &[]).await[0].contains("cannot be reached"));
    assert_eq!(
        told(&other.alice(), "/thresholds?owner=101", &[]).await,
        ["Prometheus does not answer just now, so this cannot be told."]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_before_an_owner_had_its_number_is_another_s() {
    let (house, prometheus) = wired().await;
    house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    prometheus.knows_of("11", "7", &minutes(8, daily));
    let (alice, root) = (house.alice(), house.root());
    let first = async |person: &Person| told(person, "/thresholds?owner=101", &[]).await.remove(0);
    // nothing was published: whatever Prometheus has under 11 is not Nordwind's
    assert_eq!(first(&alice).await, "Prometheus has no values yet: nothing was published so far.");
    assert!(prometheus.asked().is_empty());
    published(&house).await;
    assert!(first(&alice).await.contains("7 times"));
    // it is given another number two days ago, which is published a day ago
    let sql = "insert into audit (at, user_name, staff, through, owner_id, action, object, old, new) values \
        (now() - interval '2 days', 'root', true, '', 101, 'owner.changed', 'Nordwind', '{\"external_id\": \"13\"}', '{\"external_id\": \"11\"}')";
    house.db.batch_execute(sql).await.unwrap();
    assert_eq!(first(&alice).await, "Prometheus has no values yet: nothing was published so far.");
    let sql = "insert into publications (user_name, revision, state, servers, created_at, finished_at) values \
        ('root', 'x', 'in_force', 1, now() - interval '1 day', now() - interval '1 day')";
    house.db.batch_execute(sql).await.unwrap();
    prometheus.asked();
    assert!(first(&alice).await.contains("fired once on 1 server"));
    let now = Timestamp::now().as_second();
    for asked in prometheus.asked() {
        assert!(asked["start"].parse::<i64>().unwrap() > now - DAY, "{asked:?}");
    }
    // the staff may see what they have always seen
    assert!(first(&root).await.contains("7 times"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_tries_what_they_may_not_change() {
    let (house, prometheus) = wired().await;
    published(&house).await;
    let ours = house.server(house.nordwind, "7", "web", "10.0.0.5").await.to_string();
    prometheus.knows_of("11", "7", &minutes(2, daily));
    let form = |owner: &'static str, server: String| {
        let cpu =
            [("rule", "cpu_threshold_exceeded"), ("severity", "warning"), ("value", "50"), ("hold", "1m")];
        let cpu = cpu.into_iter().chain([("owner_id", owner)]).map(|(name, value)| (name, value.to_owned()));
        cpu.chain([("server_id", server)]).collect::<Vec<_>>()
    };
    for (person, owner, server, status) in [
        (house.charlie(), "101", String::new(), 404),
        (house.charlie(), "102", ours.clone(), 404),
        (house.charlie(), "", String::new(), 403),
        (house.bob(), "101", String::new(), 403),
        (house.bob(), "101", ours.clone(), 403),
        (house.alice(), "", String::new(), 403),
    ] {
        let form = form(owner, server);
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        person.post("/thresholds/trial", &form).await.expect(status);
    }
    assert!(prometheus.asked().is_empty());
}
