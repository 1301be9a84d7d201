//! What waits to be published: told in words, counted in the menu, set back.

use crate::house::House;
use crate::prometheus::{files, publish, wired};

async fn lines(house: &House) -> Vec<String> {
    house.root().get("/publications").await.expect(200).all("section.next > .summary li")
}

/// Everything of tenants' rows that is published, with what is removed.
async fn rows(house: &House) -> Vec<String> {
    house
        .column(
            "select concat_ws(' ', id, external_id, removed_at is null) from owners \
             union all select concat_ws(' ', id, external_id, address, port, job, scheme, metrics_path, labels, enabled, removed_at is null) from servers \
             union all select concat_ws(' ', rule, severity, owner_id, server_id, value, hold_seconds, enabled) from thresholds order by 1",
        )
        .await
}

fn cpu(value: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        ("rule", "cpu_threshold_exceeded"),
        ("severity", "warning"),
        ("value", value),
        ("hold", "5m"),
        ("enabled", "true"),
        ("owner_id", "101"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_told_as_the_difference_to_what_was_published() {
    let (house, _prometheus) = wired().await;
    let web = house.server(101, "7", "web", "10.0.0.5").await;
    let (alice, root) = (house.alice(), house.root());
    alice.does("/thresholds", &cpu("90")).await;
    publish(&root).await;
    assert_eq!(lines(&house).await, Vec::<String>::new());
    assert!(!root.get("/").await.has("nav .waits"));

    for n in 1..=4 {
        let address = format!("10.0.1.{n}");
        let form =
            [("owner_id", "101"), ("name", &format!("db-{n}")), ("address", &address), ("enabled", "true")];
        alice.does("/servers", &form).await;
    }
    alice
        .does(
            &format!("/servers/{web}"),
            &[("name", "web"), ("address", "10.0.0.5"), ("port", "9200"), ("enabled", "true")],
        )
        .await;
    alice.does("/thresholds", &cpu("85")).await;
    let told = lines(&house).await;
    assert!(told[0].starts_with("4 servers added for Nordwind: db-1, db-2, db-3 … (alice, "), "{told:?}");
    assert!(told[1].starts_with("Server web: port 9100 to 9200 (Nordwind) (alice, "), "{told:?}");
    assert!(
        told[2].starts_with("High CPU use (warning) for Nordwind: above 90 % to above 85 % (alice, "),
        "{told:?}"
    );
    assert_eq!((told.len(), root.get("/").await.one("nav .waits")), (3, "6 to publish".to_owned()));

    // changed and changed back is nothing, and a name is not published
    alice
        .does(&format!("/servers/{web}"), &[("name", "www"), ("address", "10.0.0.5"), ("enabled", "true")])
        .await;
    alice.does("/thresholds", &cpu("90")).await;
    let told = lines(&house).await;
    assert_eq!(told.len(), 1, "{told:?}");

    // customers read it in one line, of their own only
    assert!(alice.get("/").await.one(".path.waits").contains("wait to be published by the staff"));
    assert!(alice.get("/thresholds").await.has(".path.waits"));
    assert!(alice.get(&format!("/servers/{web}")).await.has(".path.waits"));
    let charlie = house.charlie();
    assert!(
        !charlie.get("/").await.has(".path.waits") && !charlie.get("/thresholds").await.has(".path.waits")
    );
    let page = publish(&root).await;
    assert!(page.all(".summary li").contains(&"Server db-1 added to Nordwind (alice)".to_owned()));
    assert!(!alice.get("/").await.has(".path.waits"));
}

#[tokio::test(flavor = "multi_thread")]
async fn discarding_sets_every_row_back() {
    let (house, _prometheus) = wired().await;
    let web = house.server(101, "7", "web", "10.0.0.5").await;
    let db = house.server(101, "8", "db", "10.0.0.6").await;
    let (alice, root) = (house.alice(), house.root());
    alice.does("/thresholds", &cpu("90")).await;
    publish(&root).await;
    let (before, written) = (rows(&house).await, files(&house.prom));

    // two swap their addresses, one comes and has an address that was given up, others go, are paused, set and reset
    house.db.batch_execute(&format!("update servers set address = '10.0.0.9' where id = {web}; update servers set address = '10.0.0.5' where id = {db}")).await.unwrap();
    alice
        .does(&format!("/servers/{web}"), &[("name", "web"), ("address", "10.0.0.6"), ("enabled", "true")])
        .await;
    alice
        .does(
            "/servers",
            &[("owner_id", "101"), ("name", "new"), ("address", "10.0.0.7"), ("enabled", "true")],
        )
        .await;
    alice.does(&format!("/servers/{db}/removal"), &[]).await;
    alice
        .does(
            "/servers",
            &[("owner_id", "101"), ("name", "other"), ("address", "10.0.0.5"), ("enabled", "true")],
        )
        .await;
    alice.does("/thresholds/reset", &cpu("")).await;
    alice
        .does(
            "/thresholds",
            &[("rule", "service_down"), ("severity", "critical"), ("hold", "2m"), ("owner_id", "101")],
        )
        .await;
    root.does("/owners/102", &[("name", "Südstern"), ("external_id", "1212")]).await;
    root.does("/owners", &[("name", "Westwind"), ("external_id", "13")]).await;

    let page = root.get("/publications").await.expect(200);
    let dialog = page.all("#discard .summary li").join("\n");
    assert!(
        dialog.contains("Owner Südstern: external id 12 to 1212") && dialog.contains("2 servers added"),
        "{dialog}"
    );
    let audited = house.count("audit").await;
    let to = root.presses(&page, "Discard all of it", &[]).await.leads_to();
    let page = root.get(&to).await.expect(200);
    assert_eq!(page.flash(), "Discarded: everything is as it was published last.");
    assert_eq!(page.one("section.next .verdict"), "Nothing waits to be published.");
    let after: Vec<_> = rows(&house).await.into_iter().filter(|row| !row.ends_with(" f")).collect();
    assert_eq!(after, before);
    assert_eq!((house.count("unpublished_rows").await, files(&house.prom) == written), (0, true));
    assert!(!root.get("/").await.has("nav .waits"));
    // whoever lost something reads of it
    assert!(house.count("audit").await > audited + 5);
    let told = alice.get("/audit").await.expect(200).text;
    assert!(told.contains("Discarded before it was published") && !told.contains("1212"));
    // and the next publication changes nothing
    house
        .app
        .publisher()
        .publish(
            prommgr::store::scope::All::operator(),
            &prommgr::store::changes::Actor::command_line(),
            Default::default(),
        )
        .await
        .unwrap();
    assert_eq!(files(&house.prom), written);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_set_back_stays_as_a_whole() {
    let (house, _prometheus) = wired().await;
    let web = house.server(101, "7", "web", "10.0.0.5").await;
    let root = house.root();
    // nothing was published yet
    let page = root.get("/publications").await;
    assert!(!page.offers("Discard all of it"));
    root.post("/publications/discard", &[("revision", "x")]).await.leads_to();
    assert!(root.get("/publications").await.flash().starts_with("Nothing was ever published"));
    publish(&root).await;
    house.alice().does(&format!("/servers/{web}/enabled"), &[("enabled", "false")]).await;
    house
        .db
        .batch_execute(&format!("update servers set address = '10.0.0.6' where id = {web}"))
        .await
        .unwrap();
    // what was before is not known any more
    house.db.batch_execute("delete from unpublished_rows where before->>'enabled' = 'true'").await.unwrap();
    let before = rows(&house).await;
    let page = root.get("/publications").await;
    let to = root.presses(&page, "Discard all of it", &[]).await.leads_to();
    let told = root.get(&to).await.flash();
    assert!(
        told.starts_with("Not all of it can be set back: targets/owner-101.json would still differ"),
        "{told}"
    );
    assert_eq!(rows(&house).await, before);
    // and what somebody else changed since is not discarded unseen
    let page = root.get("/publications").await;
    house.db.batch_execute(&format!("update servers set enabled = true where id = {web}")).await.unwrap();
    let to = root.presses(&page, "Discard all of it", &[]).await.leads_to();
    assert!(root.get(&to).await.flash().starts_with("Something was changed since you looked."));
}
