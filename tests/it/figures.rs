//! Pictures of alerts, and an alert's course.

use std::time::SystemTime;

use crate::house::House;

impl House {
    /// Puts an episode into the history that began some minutes ago; `lasted` minutes, or it is open. Returns its id.
    async fn happened(
        &self,
        (owner, server): (i64, i64),
        rule: &str,
        severity: &str,
        minutes_ago: i64,
        lasted: Option<i64>,
    ) -> i64 {
        let sql = "insert into alerts (received_at, cluster_id, fingerprint, owner_id, server_id, rule, severity, instance, labels, annotations, \
              started_at, ended_at, last_seen_at, close_reason) \
            select began, 1, md5(rule || server), owner, server, rule, severity, 'host:9100', '{}', '{}', began, ended, began, \
              case when ended is not null then 'resolved' end \
            from (select $1::bigint as owner, $2::bigint as server, $3::text as rule, $4::text as severity, \
              now() - $5::bigint * interval '1 minute' as began, now() - ($5::bigint - $6::bigint) * interval '1 minute' as ended) x \
            returning id";
        let row = self.db.query_one(sql, &[&owner, &server, &rule, &severity, &minutes_ago, &lasted]).await;
        row.unwrap().get(0)
    }
}

const DAY: i64 = 24 * 60;

#[tokio::test(flavor = "multi_thread")]
async fn everybody_has_their_own_numbers() {
    let house = House::new().await;
    let web = (house.nordwind, house.server(house.nordwind, "1", "web", "web.example").await);
    let db = (house.nordwind, house.server(house.nordwind, "2", "db", "db.example").await);
    let mail = (house.suedstern, house.server(house.suedstern, "1", "mail", "mail.example").await);
    for day in [1, 1, 2, 20] {
        house.happened(web, "service_down", "critical", day * DAY, Some(5)).await;
    }
    house.happened(db, "cpu_threshold_exceeded", "warning", 2 * DAY, Some(5)).await;
    house.happened(mail, "disk_will_fill_up", "critical", DAY, None).await;
    let page = house.alice().get("/alerts/figures").await.expect(200);
    assert!(
        page.one(".figures > .note").starts_with("4 alerts began from "),
        "{}",
        page.one(".figures > .note")
    );
    assert_eq!(page.all(".figures .graph tbody tr").len(), 7);
    let bars = page.all(".figures .graph tbody td");
    assert_eq!(bars[4..], ["1 critical, 1 warning", "2 critical", "none"]);
    assert_eq!(page.all(".beside tbody tr"), ["web 3", "db 1", "Down 3", "High CPU use 1"]);
    let links = page.attrs(".beside tbody a", "href");
    assert_eq!(house.alice().get(&links[0]).await.expect(200).rows().len(), 4, "the list has no range");
    assert_eq!(
        house.charlie().get("/alerts/figures").await.all(".beside tbody tr"),
        ["mail 1", "Disk fills up 1"]
    );
    let root = house.root();
    assert!(root.get("/alerts/figures").await.one(".figures > .note").starts_with("5 alerts"));
    // narrowed
    for (query, rows) in [
        (format!("owner={}", house.nordwind), "4 alerts"),
        (format!("server={}", mail.1), "1 alert"),
        ("rule=service_down".into(), "3 alerts"),
        ("severity=warning".into(), "1 alert"),
        ("from=2020-01-01".into(), "6 alerts"),
        ("to=2020-01-01".into(), "No alert"),
        ("owner=unassigned".into(), "No alert"),
        ("state=open".into(), "1 alert"),
        ("state=closed&severity=warning".into(), "1 alert"),
    ] {
        let said = root.get(&format!("/alerts/figures?{query}")).await.expect(200).one(".figures > .note");
        assert!(said.starts_with(&format!("{rows} began")), "{query}: {said}");
    }
    house.charlie().get(&format!("/alerts/figures?server={}", web.1)).await.expect(404);
    let foreign = format!("/alerts/figures?owner={}", house.nordwind);
    assert!(house.charlie().get(&foreign).await.one(".figures > .note").starts_with("No alert"));
    assert!(root.fragment(&foreign).await.has(".figures") && !root.fragment(&foreign).await.has("h1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_of_what_was_searched_for() {
    let house = House::new().await;
    let web = (house.nordwind, house.server(house.nordwind, "1", "web", "web.example").await);
    let db = (house.nordwind, house.server(house.nordwind, "2", "db", "db.example").await);
    for (server, day) in [(web, 1), (web, 2), (db, 3)] {
        house.happened(server, "service_down", "critical", day * DAY, Some(5)).await;
    }
    house.happened(web, "cpu_threshold_exceeded", "warning", DAY, Some(5)).await;
    let find = "insert into alert_terms (owner_id, term, cluster_id, fingerprint) \
        select distinct owner_id, 'server=' || case server_id when $1 then 'web' else 'db' end, cluster_id, fingerprint from alerts \
        on conflict do nothing";
    house.db.execute(find, &[&web.1]).await.unwrap();
    let alice = house.alice();
    let said = async |query: &str| {
        let page = alice.get(&format!("/alerts/figures?{query}")).await.expect(200);
        (page.typed("q"), page.one(".figures > .note"), page.all(".beside tbody tr"))
    };
    let (typed, text, noisy) = said("q=server%3Dweb").await;
    assert!(text.starts_with("3 alerts began from ") && !text.contains("only those"), "{text}");
    assert_eq!(
        (typed.as_str(), noisy),
        ("server=web", vec!["web 3".into(), "Down 2".into(), "High CPU use 1".into()])
    );
    assert!(said("q=server%3Dweb&rule=service_down").await.1.starts_with("2 alerts"));
    assert!(said("q=server%3Dother").await.1.starts_with("No alert"));
    // where more alerts have it than are asked one by one, the newest are looked through, and that is said
    house.db.batch_execute(
        "insert into alerts (cluster_id, fingerprint, owner_id, rule, severity, instance, labels, annotations, started_at, ended_at, last_seen_at, close_reason) \
           select 1, 'many' || n % 600, 101, 'service_down', 'critical', 'x', '{}', '{}', now() - n * interval '1 minute', now() - n * interval '1 minute', now(), 'resolved' \
           from generate_series(1, 3600) n; \
         insert into alert_terms (owner_id, term, cluster_id, fingerprint) select distinct 101, 'server=web', 1, fingerprint from alerts where fingerprint like 'many%'",
    ).await.unwrap();
    let (_, text, _) = said("q=server%3Dweb").await;
    assert!(text.contains("Many alerts have what was searched for: only those that began since "), "{text}");
    let counted: i64 = text.split(' ').next().unwrap().replace(',', "").parse().unwrap();
    assert!((2900..=3010).contains(&counted), "{text}");
    // nobody else's
    assert!(
        house
            .charlie()
            .get("/alerts/figures?q=server%3Dweb")
            .await
            .one(".figures > .note")
            .starts_with("No alert")
    );
    // the form keeps what the list was narrowed to
    let page = house.root().get("/alerts/figures?owner=unassigned&state=closed&q=x").await.expect(200);
    assert_eq!(page.attrs("select option[selected]", "value"), ["closed", "", "", "unassigned"]);
}

/// Marked from the fifth beginning within a day on, for those who may see the others too.
#[tokio::test(flavor = "multi_thread")]
async fn what_flaps_is_marked_in_lists() {
    let house = House::new().await;
    let web = (house.nordwind, house.server(house.nordwind, "1", "web", "web.example").await);
    // a calm one of a month ago, and one that began four times that day and once more a day later
    for minutes in [0, 60, 120, 180, 25 * 60] {
        house.happened(web, "cpu_threshold_exceeded", "warning", 30 * DAY - minutes, Some(5)).await;
    }
    for hour in [10, 8, 6, 4] {
        house.happened(web, "service_down", "critical", hour * 60, Some(5)).await;
    }
    let alice = house.alice();
    let marked = async |person: &crate::person::Person, path: &str| {
        let page = person.get(path).await.expect(200);
        let chips = page.all("tbody tr .chip");
        (chips.iter().filter(|chip| *chip == "flapping").count(), page.rows().len())
    };
    assert_eq!(marked(&alice, "/alerts").await, (0, 9));
    house.happened(web, "service_down", "critical", 30, None).await;
    assert_eq!(marked(&alice, "/alerts").await, (1, 10));
    assert_eq!(alice.get("/alerts?state=open").await.all("tbody .chip"), ["flapping"]);
    assert_eq!(marked(&alice, "/").await, (1, 10));
    house.happened(web, "service_down", "critical", 5, Some(1)).await;
    assert_eq!(marked(&alice, "/alerts").await, (2, 11));
    // episodes that are not theirs to see do not count
    house.db.batch_execute("update alerts set owner_id = null, server_id = null where rule = 'service_down' and ended_at is not null and started_at < now() - interval '5 hours'").await.unwrap();
    assert_eq!(marked(&alice, "/alerts?rule=service_down").await.0, 0);
    assert_eq!(marked(&house.root(), "/alerts").await, (2, 11));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_begins_again_and_again_flaps() {
    let house = House::new().await;
    let web = (house.nordwind, house.server(house.nordwind, "1", "web", "web.example").await);
    for hour in [2, 4, 6, 8] {
        house.happened(web, "service_down", "critical", hour * 60, Some(5)).await;
    }
    let calm = house.happened(web, "cpu_threshold_exceeded", "warning", 60, None).await;
    let alice = house.alice();
    let flapping = async || alice.get("/alerts/figures").await.all(".beside div:nth-child(3) tbody tr");
    assert!(flapping().await.is_empty());
    let last = house.happened(web, "service_down", "critical", 30, None).await;
    assert_eq!(flapping().await, ["Down host:9100 5"]);
    for (query, flaps) in [
        ("rule=service_down&severity=critical", true),
        ("rule=cpu_threshold_exceeded", false),
        ("severity=warning", false),
    ] {
        let page = alice.get(&format!("/alerts/figures?{query}")).await.expect(200);
        assert_eq!(
            page.all(".beside caption").iter().any(|title| title.starts_with("Flapping")),
            flaps,
            "{query}"
        );
    }
    let page = alice.get(&format!("/alerts/{last}")).await.expect(200);
    assert!(page.one("#live .note").starts_with("It flaps: it began 5 times within 24 hours."));
    assert!(!alice.get(&format!("/alerts/{calm}")).await.expect(200).has("#live .note"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_has_its_last_day_as_a_strip() {
    let house = House::new().await;
    let web = (house.nordwind, house.server(house.nordwind, "1", "web", "web.example").await);
    let alice = house.alice();
    let strip = async || alice.get(&format!("/servers/{}", web.1)).await.expect(200).one("figure.time span");
    assert_eq!(strip().await, "not known");
    house.happened(web, "service_down", "critical", 10 * DAY, Some(5)).await;
    assert_eq!(strip().await, "not known");
    // over lately, but long; open since long; and of this day
    house.happened(web, "cpu_threshold_exceeded", "warning", 10 * DAY, Some(9 * DAY + 300)).await;
    assert_eq!(strip().await, "warning for about 5 h 5 min");
    house.happened(web, "service_down", "critical", 120, Some(60)).await;
    assert_eq!(strip().await, "critical for about 1 h 5 min, warning for about 5 h 5 min");
    house.happened(web, "mem_threshold_exceeded", "warning", 5 * DAY, None).await;
    assert!(strip().await.ends_with("warning for about 22 h 55 min"), "{}", strip().await);
    assert_eq!(alice.get("/servers").await.expect(200).one("td.day"), strip().await);
    // nobody else's
    house.server(house.suedstern, "9", "mail", "mail.example").await;
    assert_eq!(house.charlie().get("/servers").await.expect(200).one("td.day"), "not known");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_tells_its_course_and_what_was_done_before() {
    let house = House::new().await;
    let web = (house.nordwind, house.server(house.nordwind, "1", "web", "web.example").await);
    let db = house.server(house.nordwind, "2", "db", "db.example").await;
    house.happened(web, "service_down", "critical", 3 * DAY, Some(5)).await;
    let id = house.happened(web, "service_down", "critical", 60, Some(30)).await;
    let path = format!("/alerts/{id}");
    let (alice, root) = (house.alice(), house.root());
    let page = alice.get(&path).await.expect(200);
    assert_eq!(
        page.all("#live .moments li span"),
        [
            "It began.",
            "First heard of, from Alertmanager.",
            "It ended. Alertmanager said that it is resolved."
        ]
    );
    assert_eq!(page.one("figure.time span"), "critical for about 5 hours");
    assert!(!page.has("#before"));
    for server in [web.1, db] {
        alice.does(&format!("/servers/{server}/enabled"), &[("enabled", "false")]).await;
    }
    root.does(&format!("/owners/{}", house.nordwind), &[("name", "Nordwind AG")]).await;
    let at = SystemTime::now();
    assert_eq!(alice.get(&path).await.all("#before").len(), 0, "it was done after it");
    house
        .db
        .execute(
            "update alerts set started_at = $2, ended_at = null, close_reason = null where id = $1",
            &[&id, &at],
        )
        .await
        .unwrap();
    let done = async |person: &crate::person::Person| {
        person.get(&path).await.expect(200).all("section[aria-labelledby=before] li > span")
    };
    assert_eq!(done(&alice).await, ["Changed owner Nordwind AG by Staff", "Paused server web by alice"]);
    assert_eq!(done(&root).await, ["Changed owner Nordwind AG by root", "Paused server web by alice"]);
    assert!(done(&house.bob()).await.is_empty(), "viewers have no audit");
}
