//! The history for programs: complete by its cursors, narrowed as on the page, and each sees their own.

use serde_json::{Value, json};

use crate::alert_files::long;
use crate::alertmanager::alert;
use crate::api_servers::fields;
use crate::house::House;
use crate::person::Person;

const ALERTS: &str = "/api/v1/alerts";

/// The ids of a list, page by page.
async fn walk(program: &Person, query: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = program.get(&format!("{ALERTS}?limit=200{query}{cursor}")).await.expect(200).json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 200);
        ids.extend(items.iter().map(|item| item["id"].to_string()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_walk_everything_that_the_filters_leave() {
    let house = long().await;
    let programs = [
        house.program("root", "all", false, None).await,
        house.program("alice", "north", false, None).await,
        house.program("root", "south", false, Some(102)).await,
    ];
    let [root, alice, south] = &programs;
    for (program, query, condition) in [
        (alice, "", "owner_id = 101"),
        (south, "&status=open", "owner_id = 102 and ended_at is null"),
        (south, "&status=closed&rule=usual", "owner_id = 102 and rule = 'usual' and ended_at is not null"),
        (alice, "&q=rare", "owner_id = 101 and rule = 'rare'"),
        (root, "&rule=rare", "rule = 'rare'"),
        (
            root,
            "&owner_id=102&from=2026-01-01T05:00:00Z&to=2026-01-01T07:00:00%2B01:00",
            "owner_id = 102 and started_at < '2026-01-01 06:00Z' and coalesce(ended_at, now()) >= '2026-01-01 05:00Z'",
        ),
        (alice, "&owner_id=102", "false"),
        (alice, "&unassigned=true", "false"),
        (alice, "&server_id=1", "false"),
    ] {
        let sql =
            format!("select id::text from alerts where {condition} order by started_at desc, alerts.id desc");
        let ids = house.column(&sql).await;
        assert_eq!(walk(program, query).await, ids, "{query}");
    }
    for (query, wrong) in [
        ("?status=firing", "status"),
        ("?from=yesterday", "from"),
        ("?owner_id=1&unassigned=true", "unassigned"),
        ("?cursor=x", "cursor"),
        ("?limit=1000", "limit"),
        ("?state=open", "state"),
    ] {
        assert_eq!(fields(&root.get(&format!("{ALERTS}{query}")).await, 422), [wrong], "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_episode_says_what_is_known_of_it() {
    let house = House::new().await;
    let server = house.server(101, "7", "web", "10.0.0.5").await;
    let told =
        [alert("7").severity("critical").label("rack", "b").summary("it is down"), alert("9").owner("77")];
    house.told(&told).await;
    let id = house.column("select id::text from alerts where server_id is not null").await.remove(0);
    let unknown = house.column("select id::text from alerts where owner_id is null").await.remove(0);
    let alice = house.program("alice", "deploy", false, None).await;
    let path = format!("{ALERTS}/{id}");
    let read = alice.get(&path).await.expect(200).json();
    for (field, value) in [
        ("status", json!("open")),
        ("severity", json!("critical")),
        ("owner_id", json!(101)),
        ("server_id", json!(server)),
        ("ended_at", Value::Null),
        ("close_reason", Value::Null),
        ("acknowledged", Value::Null),
    ] {
        assert_eq!(read[field], value, "{field}");
    }
    assert_eq!(
        (&read["labels"]["rack"], &read["annotations"]["summary"]),
        (&json!("b"), &json!("it is down"))
    );
    let list = alice.get(ALERTS).await.expect(200).json();
    assert_eq!(list, json!({"items": [read], "next_cursor": null}));
    house.bob().post(&format!("/alerts/{id}/acknowledgement"), &[]).await.expect(403);
    house.root().does(&format!("/alerts/{id}/acknowledgement"), &[]).await;
    // who of the staff it was is not the customers' to know
    assert_eq!(alice.get(&path).await.json()["acknowledged"]["by"], "Staff");
    assert!(walk(&alice, "&status=unacknowledged").await.is_empty());
    house
        .told(&[alert("7").severity("critical").label("rack", "b").summary("it is down").ended("10:30")])
        .await;
    let read = alice.get(&path).await.json();
    assert_eq!(
        (&read["status"], &read["close_reason"], &read["ended_at"]),
        (&json!("closed"), &json!("resolved"), &json!("2026-11-01T10:30:00Z"))
    );

    let root = house.program("root", "all", false, None).await;
    assert_eq!(root.get(&path).await.json()["acknowledged"]["by"], "root");
    assert_eq!(walk(&root, "&unassigned=true").await, std::slice::from_ref(&unknown));
    let charlie = house.program("charlie", "deploy", false, None).await;
    for (program, id) in [(&charlie, &id), (&charlie, &unknown), (&alice, &unknown)] {
        fields(&program.get(&format!("{ALERTS}/{id}")).await, 404);
    }
    assert!(walk(&charlie, "").await.is_empty());
}
