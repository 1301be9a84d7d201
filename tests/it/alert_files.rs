//! The history as a file: what the filters leave, all of it, in the page's order, and each sees their own.

use crate::alerts::busy;
use crate::audit_files::records;
use crate::house::House;
use prommgr::worker;

/// Over several batches, with many of the same start, of both owners, and one that searching walks past.
pub async fn long() -> House {
    let house = House::new().await;
    house
        .db
        .batch_execute(
            "insert into alerts (cluster_id, fingerprint, owner_id, rule, severity, instance, labels, annotations, started_at, ended_at, last_seen_at, close_reason) \
             select 1, 'f' || n, 101 + n % 2, rule, 'warning', '=host' || n, jsonb_build_object('alertname', rule), \
               jsonb_build_object('summary', case n % 3 when 0 then '@sum ' || n when 1 then 'a, \"b\"' || chr(10) || n else 'Süd ' || n end), \
               at, case when n % 4 > 0 then at end, at, case when n % 4 > 0 then 'resolved' end \
             from generate_series(1, 9000) n, \
               lateral (select case when n % 50 = 0 then 'rare' else 'usual' end as rule, timestamptz '2026-01-01' + (n / 7) * interval '1 minute' as at) r; \
             insert into alert_heads (cluster_id, fingerprint) select 1, fingerprint from alerts",
        )
        .await
        .unwrap();
    worker::index(&house.app).await.unwrap();
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_are_complete_and_in_order() {
    let house = long().await;
    for (person, query, condition) in [
        (house.root(), "", "true"),
        (house.alice(), "", "owner_id = 101"),
        (house.bob(), "?state=open", "owner_id = 101 and ended_at is null"),
        // many have it, so the pages walk past the others
        (house.charlie(), "?rule=usual", "owner_id = 102 and rule = 'usual'"),
        (house.alice(), "?q=rare", "owner_id = 101 and rule = 'rare'"),
        (
            house.root(),
            "?owner=102&from=2026-01-01&to=2026-01-01",
            "owner_id = 102 and started_at < '2026-01-02'",
        ),
        (house.alice(), "?owner=102", "false"),
    ] {
        let ids = house
            .column(&format!(
                "select id::text from alerts where {condition} order by started_at desc, alerts.id desc"
            ))
            .await;
        let csv = person.get(&format!("/alerts.csv{query}")).await.expect(200);
        assert!(csv.header("content-disposition").contains("filename=\"prommgr-alerts-20"));
        let mut rows = records(&csv.text);
        let head = rows.remove(0);
        assert!(rows.iter().all(|row| row.len() == head.len()));
        assert_eq!(rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>(), ids, "{query}");
        // nothing that a spreadsheet would run
        assert!(
            rows.iter().flatten().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])),
            "{query}"
        );
        let json = person.get(&format!("/alerts.json{query}")).await.expect(200).json();
        let json = json.as_array().unwrap();
        assert_eq!(json.iter().map(|row| row["id"].to_string()).collect::<Vec<_>>(), ids, "{query}");
        assert!(
            json.iter().all(|row| row["instance"].as_str().is_some_and(|text| text.starts_with("=host")))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_says_what_the_page_says() {
    let (house, web) = busy().await;
    let alice = house.alice();
    let page = alice.get("/alerts?state=open&severity=critical").await.expect(200);
    let links = page.attrs(".files a", "href");
    assert_eq!(
        links,
        ["/alerts.csv?state=open&severity=critical", "/alerts.json?state=open&severity=critical"]
    );
    let rows = alice.get(&links[1]).await.expect(200).json();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!(
        [&row["owner"], &row["server"], &row["rule"], &row["summary"]],
        ["Nordwind", "nord-web", "service_down", "web is down"]
    );
    assert_eq!((row["owner_id"].as_i64(), row["server_id"].as_i64()), (Some(101), Some(web)));
    assert_eq!(row["started_at"], "2026-11-01T08:00:00Z");
    assert!(row["ended_at"].is_null() && row["labels"]["instance"] == "host-1:9100");
    // where the expression can be looked at is for those who can go there
    assert!(row.get("generator_url").is_none());
    let nothing = alice.get("/alerts?q=nowhere").await.expect(200);
    assert!(!nothing.has(".files"));
    assert_eq!(alice.get("/alerts.json?q=nowhere").await.expect(200).json().as_array().unwrap().len(), 0);
    assert!(house.anyone().get("/alerts.csv").await.leads_to().starts_with("/login"));
}
