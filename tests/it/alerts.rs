//! The history of alerts, as the owner's people and admins see it.

use crate::alertmanager::{alert, notification};
use crate::house::House;
use crate::person::Person;
use prommgr::worker;

/// Two servers of Nordwind and one of Südstern, and alerts of every kind.
pub async fn busy() -> (House, i64) {
    let house = House::new().await;
    let web = house.server(house.nordwind, "1", "nord-web", "10.0.0.1").await;
    house.server(house.nordwind, "2", "nord-db", "10.0.0.2").await;
    house.server(house.suedstern, "1", "stern-mail", "10.0.0.1").await;
    house
        .told(&[
            alert("1").began("08:00").summary("web is down"),
            alert("1")
                .rule("cpu_threshold_exceeded")
                .severity("warning")
                .began("2026-10-30T09:00:00Z")
                .ended("2026-10-30T10:00:00Z")
                .summary("CPU at 97 %"),
            alert("2")
                .began("2026-10-28T09:00:00Z")
                .ended("2026-10-31T09:00:00Z")
                .summary("db was down for long"),
            alert("2").rule("mem_threshold_exceeded").severity("warning").began("09:00").summary("memory"),
            alert("1").owner("12").began("09:30").summary("mail is down"),
            alert("9")
                .owner("99")
                .rule("somebody_elses")
                .severity("page")
                .began("09:45")
                .summary("whose is it"),
        ])
        .await;
    worker::index(&house.app).await.unwrap();
    (house, web)
}

const DOWN: &str = "Down";
const CPU: &str = "High CPU use";
const MEMORY: &str = "High memory use";

pub async fn found(person: &Person, query: &str) -> Vec<String> {
    person.get(&format!("/alerts?{query}")).await.expect(200).rows()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_stand_first_and_each_sees_their_own() {
    let (house, _) = busy().await;
    assert_eq!(found(&house.root(), "").await, ["somebody_elses", DOWN, MEMORY, DOWN, CPU, DOWN]);
    for person in [house.alice(), house.bob()] {
        assert_eq!(found(&person, "").await, [MEMORY, DOWN, CPU, DOWN]);
    }
    assert_eq!(found(&house.charlie(), "").await, [DOWN]);
    assert_eq!(house.anyone().get("/alerts").await.leads_to(), "/login?next=%2Falerts");
    let empty = House::new().await.alice().get("/alerts").await.expect(200);
    assert_eq!(empty.one(".empty .title"), "No alerts so far");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_narrows_the_list() {
    let (house, web) = busy().await;
    let alice = house.alice();
    for (query, expected) in [
        ("state=open", vec![MEMORY, DOWN]),
        ("state=closed", vec![CPU, DOWN]),
        ("state=all", vec![MEMORY, DOWN, CPU, DOWN]),
        ("rule=service_down", vec![DOWN, DOWN]),
        ("rule=nonsense", vec![]),
        ("severity=critical", vec![DOWN, DOWN]),
        ("severity=warning", vec![MEMORY, CPU]),
        (&format!("server={web}"), vec![DOWN, CPU]),
        (&format!("server={web}&state=open"), vec![DOWN]),
        ("owner=101", vec![MEMORY, DOWN, CPU, DOWN]),
        ("owner=102", vec![]),
        ("owner=unassigned", vec![]),
        ("owner=x", vec![]),
        // those that were open at some time of these days, both included
        ("from=2026-11-01", vec![MEMORY, DOWN]),
        ("to=2026-10-31", vec![CPU, DOWN]),
        ("from=2026-10-31&to=2026-10-31", vec![DOWN]),
        ("from=2026-10-29&to=2026-10-29", vec![DOWN]),
        ("from=2026-10-30&to=2026-10-30", vec![CPU, DOWN]),
        ("to=2026-10-27", vec![]),
        ("from=nonsense&to=2026-13-40", vec![MEMORY, DOWN, CPU, DOWN]),
        ("q=97+%25", vec![CPU]),
        ("q=WEB+is", vec![DOWN]),
        ("q=nord-db", vec![MEMORY, DOWN]),
        ("q=host-2", vec![MEMORY, DOWN]),
        ("q=_%25_", vec![]),
        ("q=mail", vec![]),
        ("q=db&state=closed&severity=critical&from=2026-10-31", vec![DOWN]),
    ] {
        assert_eq!(found(&alice, query).await, expected, "{query}");
    }
    let root = house.root();
    assert_eq!(found(&root, "owner=unassigned").await, ["somebody_elses"]);
    assert_eq!(found(&root, "owner=102").await, [DOWN]);
    assert_eq!(found(&root, "severity=page&rule=somebody_elses").await, ["somebody_elses"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_stays_in_the_form() {
    let (house, web) = busy().await;
    let query = format!(
        "/alerts?q=down&state=open&rule=service_down&severity=critical&owner=101&server={web}&from=2026-10-01&to=2026-11-30"
    );
    let page = house.root().get(&query).await.expect(200);
    assert_eq!(page.rows(), [DOWN]);
    for (field, value) in [
        ("q", "down"),
        ("state", "open"),
        ("rule", "service_down"),
        ("severity", "critical"),
        ("owner", "101"),
        ("from", "2026-10-01"),
        ("to", "2026-11-30"),
    ] {
        assert_eq!(page.typed(field), value, "{field}");
    }
    assert_eq!(page.one("label.chip.on"), "nord-web");
    let nothing = house.alice().get("/alerts?q=nowhere").await.expect(200);
    assert_eq!(nothing.one(".empty .title"), "Nothing found");
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_those_of_the_reader() {
    let (house, _) = busy().await;
    let alice = house.alice();
    assert_eq!(found(&alice, "state=open&to=2026-10-31").await, Vec::<String>::new());
    // 08:00 in UTC is still the day before in Honolulu
    alice.plant("tz", "Pacific%2FHonolulu");
    assert_eq!(found(&alice, "state=open&to=2026-10-31").await, [MEMORY, DOWN]);
    let open = alice.get("/alerts?q=web+is").await.attrs("a.through", "href").remove(0);
    assert!(alice.get(&open).await.fact("Started").starts_with("2026-10-31 22:00:00 HST"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_and_twenty_alerts_are_paged_forth_and_back() {
    let house = House::new().await;
    // many with the same start, so that pages part them
    let alerts: Vec<_> = (0..120)
        .map(|n| {
            alert(&n.to_string())
                .began(&format!("10:{:02}", n / 30))
                .summary(&format!("number {n:03}"))
                .json()
        })
        .collect();
    house.posted(notification(alerts).to_string()).await.expect(200);
    house.told(&[alert("x").owner("12").began("10:01")]).await;
    let alice = house.alice();
    let ids = async |path: &str| {
        let page = alice.get(path).await.expect(200);
        let link = |rel: &str| page.attrs(&format!("a[rel={rel}]"), "href").pop();
        (page.attrs("tbody tr", "id"), link("prev"), link("next"), page.one(".pager .count"))
    };
    let (first, none, next, count) = ids("/alerts?state=open").await;
    assert_eq!((first.len(), none, count.as_str()), (50, None, "120 alerts"));
    let (second, _, next, _) = ids(&next.unwrap()).await;
    let (third, prev, none, _) = ids(&next.unwrap()).await;
    assert_eq!((second.len(), third.len(), none), (50, 20, None));
    let mut all: Vec<_> = [first.clone(), second.clone(), third].concat();
    assert_eq!(all.len(), 120);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 120, "an alert stands on two pages");
    let (back, prev, ..) = ids(&prev.unwrap()).await;
    assert_eq!(back, second);
    let (start, prev, ..) = ids(&prev.unwrap()).await;
    assert_eq!((start, prev), (first.clone(), None));
    // what is new meanwhile does not shift the second page
    house.told(&[alert("new").began("11:00")]).await;
    let (_, _, next, _) = ids("/alerts?state=open").await;
    assert_ne!(next, None);
    for cursor in ["after=nonsense", "before=", "after=bm9uc2Vuc2U", "after=WyJ4IiwxXQ"] {
        assert_eq!(ids(&format!("/alerts?{cursor}")).await.0.len(), 50, "{cursor}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_has_a_page_with_all_that_is_known() {
    let house = House::new().await;
    house.server(house.nordwind, "1", "web", "10.0.0.1").await;
    let shown = alert("1").label("rack", "7 <b>").summary("web <i>is</i> down");
    house.told(std::slice::from_ref(&shown)).await;
    house.told(&[shown.clone().ended("10:20")]).await;
    house.told(&[shown.clone().began("10:30")]).await;
    let alice = house.alice();
    let older = alice.get("/alerts?state=closed").await.attrs("a.through", "href").remove(0);
    let page = alice.get(&older).await.expect(200);
    assert_eq!(
        (page.one("h1"), page.one(".now .state"), page.one(".now > span:last-child")),
        (DOWN.into(), "Resolved".into(), "web <i>is</i> down".into())
    );
    assert_eq!((page.fact("Server"), page.fact("Lasted")), ("web".into(), "20 minutes".into()));
    assert!(page.fact("Started").starts_with("2026-11-01 10:00:00 UTC"));
    assert!(page.fact("Ended").starts_with("2026-11-01 10:20:00 UTC"));
    assert_eq!(page.fact("Why it ended"), "Alertmanager said that it is resolved.");
    assert!(page.all("section[aria-labelledby=labels] dd").contains(&"7 <b>".to_owned()));
    assert_eq!(page.all("section[aria-labelledby=episodes] .state"), ["Critical"]);
    // where the expression can be looked at is for those who can go there
    assert!(!page.has("a[href^='http://prometheus.example']"));
    assert!(house.root().get(&older).await.has("a[href^='http://prometheus.example']"));
    let open = alice.get("/alerts?state=open").await.attrs("a.through", "href").remove(0);
    assert_eq!(alice.get(&open).await.one(".now .state"), "Critical");
    let part = alice.fragment(&open).await.expect(200);
    assert!(part.has(".now .state") && !part.has("h1"));
    house.charlie().get(&older).await.expect(404);
    for missing in ["/alerts/999999", "/alerts/x", "/alerts/99999999999999999999"] {
        alice.get(missing).await.expect(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn htmx_gets_the_rows_alone() {
    let (house, _) = busy().await;
    let alice = house.alice();
    let part = alice.fragment("/alerts?state=open").await.expect(200);
    assert_eq!(part.rows(), [MEMORY, DOWN]);
    assert!(!part.has("h1") && !part.has("form.filters") && !part.has("header"), "{}", part.text);
    assert_eq!(part.header("vary"), "HX-Request-Type");
    assert_eq!(alice.get("/alerts").await.header("vary"), "HX-Request-Type");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_many_alerts_have_is_looked_for_page_by_page() {
    let (house, _) = busy().await;
    // 600 alerts of a rule, and since then 3,600 episodes of another
    house
        .db
        .batch_execute(
            "insert into alerts (cluster_id, fingerprint, owner_id, rule, severity, instance, labels, annotations, started_at, ended_at, last_seen_at, close_reason) \
             select 1, rule || n % 600, 101, rule, 'warning', '', jsonb_build_object('alertname', rule), '{}', at, at, at, 'resolved' \
             from generate_series(1, 4200) n, \
               lateral (select case when n > 600 then 'new' else 'old' end as rule, timestamptz '2026-01-01' + n * interval '1 minute' as at) r; \
             insert into alert_heads (cluster_id, fingerprint) select distinct 1, fingerprint from alerts on conflict do nothing",
        )
        .await
        .unwrap();
    worker::index(&house.app).await.unwrap();
    let alice = house.alice();
    let first = alice.get("/alerts?rule=old").await.expect(200);
    assert_eq!(first.rows().len(), 0);
    assert_eq!(first.all("#rows .note")[0], "No alert fits among the newer ones.");
    let mut page = first;
    while page.rows().is_empty() {
        page = alice.get(&page.attrs("a[rel=next]", "href").remove(0)).await.expect(200);
    }
    assert_eq!(page.rows().len(), 50);
    assert_eq!(found(&alice, "rule=new").await.len(), 50);
    assert_eq!(found(&alice, "q=alertname%3Dold3").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_found_by_its_new_name_and_an_adopted_alert_by_its_owner() {
    let (house, web) = busy().await;
    let alice = house.alice();
    let form = [("name", "front"), ("address", "10.0.0.1"), ("port", "9100")];
    alice.post(&format!("/servers/{web}"), &form).await.expect(303);
    assert_eq!(found(&alice, "q=front").await, [DOWN, CPU]);
    let root = house.root();
    assert_eq!(found(&root, "q=alertname%3Dsomebody_elses").await, ["somebody_elses"]);
    root.post("/owners", &[("name", "Late"), ("external_id", "99")]).await.expect(303);
    let late = house.column("select id::text from owners where external_id = '99'").await.remove(0);
    assert_eq!(found(&root, &format!("owner={late}&q=alertname%3Dsomebody_elses")).await, ["somebody_elses"]);
    assert_eq!(found(&root, "owner=unassigned&q=whose").await, Vec::<String>::new());
}
