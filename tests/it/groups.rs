//! The history by server and by rule: numbers that are those of the lists they lead to, and each sees their own.

use prommgr::worker;

use crate::alerts::{busy, found};
use crate::house::House;
use crate::page::Page;
use crate::person::Person;

/// Name, open ones and number of each group.
fn groups(page: &Page) -> Vec<(String, String, String)> {
    let names = page.all("tbody th");
    let numbers = page.all("tbody td.num");
    let row = |(n, name): (usize, String)| (name, numbers[3 * n].clone(), numbers[3 * n + 1].clone());
    names.into_iter().enumerate().map(row).collect()
}

async fn grouped(person: &Person, query: &str) -> Vec<(String, String, String)> {
    groups(&person.get(&format!("/alerts?{query}")).await.expect(200))
}

fn group(name: &str, open: &str, count: &str) -> (String, String, String) {
    (name.to_owned(), open.to_owned(), count.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sees_their_own_in_groups() {
    let (house, _) = busy().await;
    let since = "from=2026-10-01";
    let by_server = format!("group=server&{since}");
    for person in [house.alice(), house.bob()] {
        assert_eq!(
            grouped(&person, &by_server).await,
            [group("nord-db", "1", "2"), group("nord-web", "1", "2")]
        );
        assert_eq!(
            grouped(&person, &format!("group=rule&{since}")).await,
            [group("Down", "1", "2"), group("High memory use", "1", "1"), group("High CPU use", "none", "1")]
        );
    }
    assert_eq!(grouped(&house.charlie(), &by_server).await, [group("stern-mail", "1", "1")]);
    assert_eq!(
        grouped(&house.root(), &by_server).await,
        [
            group("nord-db Nordwind", "1", "2"),
            group("nord-web Nordwind", "1", "2"),
            group("No server of ours unassigned", "1", "1"),
            group("stern-mail Südstern", "1", "1"),
        ]
    );
    // filters hold, those that search as well
    let alice = house.alice();
    for (query, expected) in [
        ("state=closed", vec![group("nord-web", "none", "1"), group("nord-db", "none", "1")]),
        ("severity=warning&state=open", vec![group("nord-db", "1", "1")]),
        ("q=nord-web", vec![group("nord-web", "1", "2")]),
        ("q=nowhere", vec![]),
        ("owner=102", vec![]),
    ] {
        assert_eq!(grouped(&alice, &format!("{by_server}&{query}")).await, expected, "{query}");
    }
    assert_eq!(
        alice.get(&format!("/alerts?{by_server}&q=nowhere")).await.one(".empty .title"),
        "Nothing found"
    );
    // each leads to its list, and there is as much in it
    for query in [&by_server, "group=rule&from=2026-10-01&state=closed"] {
        let page = alice.get(&format!("/alerts?{query}")).await.expect(200);
        assert_eq!((page.typed("from"), page.has("#news")), ("2026-10-01".into(), false));
        for ((_, _, count), link) in groups(&page).into_iter().zip(page.attrs("tbody th a", "href")) {
            assert_eq!(alice.get(&link).await.expect(200).rows().len().to_string(), count, "{link}");
        }
    }
    let part = alice.fragment(&format!("/alerts?{by_server}")).await.expect(200);
    assert_eq!(groups(&part).len(), 2);
    assert!(!part.has("form.filters"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_day_the_last_thirty_are_counted() {
    let house = House::new().await;
    house.db.batch_execute(
        "insert into servers (owner_id, external_id, name, address, port) select 101, n, 'server-' || n, '10.0.0.' || n, 9100 from generate_series(1, 60) n; \
         insert into alerts (cluster_id, fingerprint, owner_id, server_id, rule, severity, instance, labels, annotations, started_at, ended_at, last_seen_at, close_reason) \
         select 1, 'f' || d || s.name, 101, s.id, 'rule', 'warning', '', '{}', '{}', at, case when s.name <> 'server-7' then at end, at, case when s.name <> 'server-7' then 'resolved' end \
         from servers s, generate_series(1, 3) d, lateral (select now() - d * interval '20 days' + s.port * interval '1 ms' as at) a",
    ).await.unwrap();
    let alice = house.alice();
    let page = alice.get("/alerts?group=server").await.expect(200);
    let rows = groups(&page);
    // what is open still counts whenever it began, and comes first
    assert_eq!((rows.len(), &rows[0]), (50, &group("server-7", "3", "3")));
    assert!(rows[1..].iter().all(|(_, open, count)| (open.as_str(), count.as_str()) == ("none", "1")));
    assert_eq!(
        page.one("#rows > .note"),
        "Open at some time of the last 30 days. Only the 50 with most are shown."
    );
    let link = page.attrs("tbody th a", "href").remove(1);
    assert_eq!(alice.get(&link).await.expect(200).rows().len(), 1, "{link}");
    assert_eq!(grouped(&alice, "group=rule").await, [group("rule", "3", "62")]);
    assert_eq!(grouped(&alice, "group=rule&from=2020-01-01").await, [group("rule", "3", "180")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_many_alerts_have_is_counted_so_far_back() {
    let house = House::new().await;
    house.db.batch_execute(
        "insert into alerts (cluster_id, fingerprint, owner_id, rule, severity, instance, labels, annotations, started_at, ended_at, last_seen_at, close_reason) \
         select 1, 'f' || n % 700, 101, 'rule', 'warning', '', '{\"alertname\": \"rule\"}', '{}', at, at, at, 'resolved' \
         from generate_series(1, 10500) n, lateral (select timestamptz '2026-01-01' + n * interval '1 minute' as at) r; \
         insert into alert_heads (cluster_id, fingerprint) select distinct 1, fingerprint from alerts",
    ).await.unwrap();
    worker::index(&house.app).await.unwrap();
    let page = house.alice().get("/alerts?group=rule&rule=rule&from=2025-12-01").await.expect(200);
    assert_eq!(groups(&page), [group("rule", "none", "10,000")]);
    assert_eq!(page.one("#rows > .note"), "Counted among the newest 10,000.");
    assert_eq!(found(&house.charlie(), "group=rule&from=2025-12-01").await, Vec::<String>::new());
}
