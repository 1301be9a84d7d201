//! What could not be understood: read again after a fix, or deleted.

use serde_json::json;

use crate::alertmanager::{alert, notification};
use crate::house::House;

/// One alert that says nothing of its start, and one body that is no JSON.
async fn two() -> (House, Vec<String>) {
    let house = House::new().await;
    let mut bad = alert("2").json();
    bad["startsAt"] = json!("yesterday");
    house.posted(notification(vec![alert("1").json(), bad]).to_string()).await.expect(200);
    house.posted("<b>no JSON</b>").await.expect(400);
    let paths = house.column("select '/alerts/quarantine/' || id from quarantine order by id").await;
    (house, paths)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_shown_with_its_reason_and_escaped() {
    let (house, paths) = two().await;
    let root = house.root();
    let page = root.get(&paths[1]).await.expect(200);
    assert!(page.fact("Why").contains("not a JSON object"));
    assert_eq!(page.fact("Cluster"), "default");
    assert_eq!(page.one("pre"), "<b>no JSON</b>");
    house.posted("x".repeat(2 << 20)).await.expect(400);
    let long = house.column("select '/alerts/quarantine/' || max(id) from quarantine").await;
    let page = root.get(&long[0]).await.expect(200);
    assert_eq!(
        (page.one("pre").len(), page.offers("Read again"), page.offers("Delete")),
        (4096, false, true)
    );
    house.alice().get(&paths[1]).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_understood_after_a_fix_moves_to_the_history() {
    let (house, paths) = two().await;
    let root = house.root();
    let page = root.get(&paths[0]).await.expect(200);
    // nothing was mended yet: it stays, with its reason
    let to = root.presses(&page, "Read again", &[]).await.leads_to();
    assert_eq!(to, paths[0]);
    assert!(root.get(&to).await.flash().contains("still not understood"));
    assert_eq!((house.count("quarantine").await, house.count("alerts").await), (2, 1));
    // a fix: what was not understood is now
    house
        .db
        .batch_execute("update quarantine set body = replace(body, 'yesterday', '2026-11-01T10:05:00Z')")
        .await
        .unwrap();
    let to = root.presses(&root.get(&paths[0]).await, "Read again", &[]).await.leads_to();
    assert_eq!(root.get(&to).await.flash(), "It is understood now, and in the history.");
    assert_eq!(house.history().await, ["1 10:00-", "2 10:05-"]);
    assert_eq!(house.count("quarantine").await, 1);
    let noted = house
        .column("select object || ' ' || new from audit where action = 'quarantine.replayed' order by at")
        .await;
    assert!(noted[1].starts_with("№ ") && noted[1].contains("\"understood\": 1"), "{noted:?}");
    root.post(&format!("{}/replay", paths[0]), &[]).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_are_read_again_at_once() {
    let (house, _) = two().await;
    let root = house.root();
    house
        .db
        .batch_execute("update quarantine set body = replace(body, 'yesterday', '2026-11-01T10:05:00Z')")
        .await
        .unwrap();
    // a whole body that was refused, and is none the less good now
    let body = notification(vec![alert("3").json()]).to_string();
    house
        .db
        .execute(
            "insert into quarantine (cluster_id, reason, body, truncated) values (1, 'x', $1, false)",
            &[&body],
        )
        .await
        .unwrap();
    let to = root.presses(&root.get("/alerts/quarantine").await, "Read all again", &[]).await.leads_to();
    assert_eq!(root.get(&to).await.flash(), "2 deliveries understood and in the history, 1 not.");
    assert_eq!(house.history().await, ["1 10:00-", "3 10:00-", "2 10:05-"]);
    assert_eq!(
        house.column("select reason from quarantine").await,
        ["not a notification of Alertmanager: not a JSON object"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_or_all_are_deleted() {
    let (house, paths) = two().await;
    house.posted("more").await.expect(400);
    let root = house.root();
    let to = root.presses(&root.get(&paths[0]).await, "Delete", &[]).await.leads_to();
    assert_eq!((to.as_str(), house.count("quarantine").await), ("/alerts/quarantine", 2));
    let to = root.presses(&root.get(&to).await, "Delete all", &[]).await.leads_to();
    assert_eq!(root.get(&to).await.flash(), "2 deliveries deleted.");
    assert_eq!(house.count("quarantine").await, 0);
    assert_eq!(house.count("audit where action = 'quarantine.removed'").await, 2);
    assert_eq!(house.history().await, ["1 10:00-"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_that_contradict_each_other_are_shown_to_admins_only() {
    let house = House::new().await;
    house.server(house.suedstern, "77", "stern-mail", "10.0.0.7").await;
    // ids of servers that several owners use say nothing
    for owner in [house.nordwind, house.suedstern] {
        house.server(owner, "5", &format!("web-{owner}"), "10.0.0.5").await;
    }
    house.told(&[alert("77").owner("11"), alert("5").owner("11"), alert("88").owner("11")]).await;
    let root = house.root();
    let page = root.get("/alerts/quarantine").await.expect(200);
    assert_eq!(page.all("section tbody th"), ["11"]);
    let path =
        house.column("select '/alerts/' || id from alerts where server_external_id = '77'").await.remove(0);
    let seen = root.get(&path).await.expect(200).fact("Labels that contradict");
    assert!(seen.contains("stern-mail") && seen.contains("Südstern"), "{seen}");
    let page = house.alice().get(&path).await.expect(200);
    assert!(
        !page.text.contains("stern-mail")
            && !page.text.contains("contradict")
            && !page.text.contains("Compared")
    );
    house.charlie().get(&path).await.expect(404);
}
