//! Publishing that works: what is written, and what is not.

use prommgr::prometheus::Order;
use prommgr::store::changes::Actor;
use prommgr::store::publications::{self, Beginning, Ending};
use prommgr::store::scope::All;

use crate::house::House;
use crate::prometheus::{files, publish, wired};

fn targets(house: &House, owner: i64) -> serde_json::Value {
    let text = std::fs::read_to_string(house.prom.join(format!("targets/owner-{owner}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_button_brings_everything_into_force() {
    let (house, prometheus) = wired().await;
    house.server(house.nordwind, "7", "web", "2001:db8::5").await;
    let root = house.root();
    root.does("/owners", &[("name", "Westwind")]).await;
    let before = root.get("/publications").await.expect(200);
    assert!(before.all(".summary li")[0].starts_with("The first publication"));
    assert!(before.has("nav .waits"), "the menu does not say that changes wait");
    let page = publish(&root).await;
    assert_eq!(page.all(".now .state"), ["In force"]);
    assert_eq!(page.all("section[aria-labelledby=results] .state"), ["In force"]);
    assert_eq!(prometheus.reloads(), 1);
    let group = &targets(&house, house.nordwind)[0];
    assert_eq!(
        (&group["targets"][0], &group["labels"]["cloudnet_owner_id"], &group["labels"]["cloudnet_server_id"]),
        (&"[2001:db8::5]:9100".into(), &"11".into(), &"7".into())
    );
    assert_eq!(
        std::fs::read_dir(house.prom.join("rules")).unwrap().count(),
        prommgr::catalogue::Catalogue::built_in().iter().count() + 2
    );
    let after = root.get("/publications").await.expect(200);
    assert_eq!(after.one("section.next .verdict"), "Nothing waits to be published.");
    assert!(!after.has("nav .waits") && !after.offers("Publish"));
    assert_eq!(after.rows().len(), 1);
    assert_eq!(
        house.column("select state || ' ' || user_name || ' ' || servers from publications").await,
        ["in_force root 1"]
    );
    assert_eq!(house.count("pending_changes where publication_id is null").await, 0);
    // nothing is left beside
    assert!(files(&house.prom).keys().all(|path| path.ends_with(".yml") || path.ends_with(".json")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_publication_without_a_change_writes_nothing() {
    let (house, prometheus) = wired().await;
    house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    publish(&house.root()).await;
    let before = files(&house.prom);
    let id = house
        .app
        .publisher()
        .publish(All::operator(), &Actor::command_line(), Order::default())
        .await
        .unwrap()
        .seen()
        .await;
    assert_eq!(files(&house.prom), before);
    assert_eq!(prometheus.reloads(), 1);
    let page = house.root().get(&format!("/publications/{id}")).await.expect(200);
    assert_eq!(
        page.one("section[aria-labelledby=files] .quiet"),
        "No file differs from the publication before."
    );
    assert_eq!(
        house.column("select user_name || ' ' || state from publications order by id desc limit 1").await,
        ["command line in_force"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_file_of_the_owner_that_changed_is_written() {
    let (house, prometheus) = wired().await;
    house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    house.server(house.suedstern, "7", "mail", "10.0.0.5").await;
    publish(&house.root()).await;
    let before = files(&house.prom);
    house
        .alice()
        .does(
            "/servers",
            &[("owner_id", "101"), ("name", "db"), ("address", "10.0.0.6"), ("enabled", "true")],
        )
        .await;
    let shown = house.root().get("/publications").await.expect(200);
    assert_eq!(shown.all(".diff summary .mono"), ["targets/owner-101.json"]);
    let page = publish(&house.root()).await;
    assert_eq!(page.all(".diff summary .mono"), ["targets/owner-101.json"]);
    let after = files(&house.prom);
    let changed: Vec<_> = after
        .iter()
        .filter(|(path, file)| before.get(*path) != Some(*file))
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(changed, ["targets/owner-101.json"]);
    assert_eq!(targets(&house, house.nordwind).as_array().unwrap().len(), 2);
    // Prometheus watches targets by itself
    assert_eq!(prometheus.reloads(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_threshold_changes_the_rules_of_its_kind() {
    let (house, prometheus) = wired().await;
    house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    publish(&house.root()).await;
    let form = [
        ("rule", "cpu_threshold_exceeded"),
        ("severity", "warning"),
        ("value", "61.5"),
        ("hold", "2m"),
        ("enabled", "true"),
        ("owner_id", "101"),
    ];
    house.alice().does("/thresholds", &form).await;
    let page = publish(&house.root()).await;
    assert_eq!(page.all(".diff summary .mono"), ["rules/cpu_threshold_exceeded.yml", "rules/prommgr.yml"]);
    assert_eq!(prometheus.reloads(), 2);
    let rules = std::fs::read_to_string(house.prom.join("rules/cpu_threshold_exceeded.yml")).unwrap();
    assert!(rules.contains("61.5") && rules.contains("for: 2m"), "{rules}");
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_servers_and_removed_owners_leave_the_targets() {
    let (house, _prometheus) = wired().await;
    let web = house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    house.server(house.suedstern, "7", "mail", "10.0.0.5").await;
    publish(&house.root()).await;
    house.alice().does(&format!("/servers/{web}/enabled"), &[("enabled", "false")]).await;
    house.root().does("/owners/102/removal", &[]).await;
    publish(&house.root()).await;
    for owner in [house.nordwind, house.suedstern] {
        let text = std::fs::read_to_string(house.prom.join(format!("targets/owner-{owner}.json"))).unwrap();
        assert_eq!(text, "[]\n", "of owner {owner}");
    }
    // and stay so
    let before = files(&house.prom);
    house.alice().does(&format!("/servers/{web}/enabled"), &[("enabled", "true")]).await;
    publish(&house.root()).await;
    let after = files(&house.prom);
    assert_eq!(before["targets/owner-102.json"], after["targets/owner-102.json"]);
    assert_eq!(targets(&house, house.nordwind).as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_since_somebody_looked_is_not_published_unseen() {
    let (house, prometheus) = wired().await;
    house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    let root = house.root();
    let looked = root.get("/publications").await.expect(200);
    house
        .alice()
        .does(
            "/servers",
            &[("owner_id", "101"), ("name", "db"), ("address", "10.0.0.6"), ("enabled", "true")],
        )
        .await;
    let refused = root.presses(&looked, "Publish", &[]).await.leads_to();
    assert_eq!(refused, "/publications");
    let page = root.get(&refused).await.expect(200);
    assert!(page.flash().starts_with("Something was changed since you looked."));
    assert!(page.offers("Publish"));
    assert_eq!(
        (house.count("publications").await, prometheus.reloads(), files(&house.prom).len()),
        (0, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_comes_meanwhile_stays_pending() {
    let (house, _prometheus) = wired().await;
    let id = house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    house.alice().does(&format!("/servers/{id}/enabled"), &[("enabled", "true")]).await;
    let mut db = house.app.db(All::operator()).await.unwrap();
    let seen =
        publications::wanted(&mut db, All::operator(), |_| Vec::new(), |_, _, _| Ok(())).await.unwrap();
    house.alice().does(&format!("/servers/{id}/enabled"), &[("enabled", "false")]).await;
    let new =
        Beginning { revision: "x", recipe: "x", servers: 1, files: 0, changed: Vec::new(), copy_of: None };
    let running = publications::begin(&mut db, All::operator(), &Actor::command_line(), &new).await.unwrap();
    let ending = Ending { state: "in_force", reason: String::new(), written_at: None, answers: Vec::new() };
    publications::finish(&mut db, All::operator(), running, &ending, &[], &seen).await.unwrap();
    assert_eq!(
        house.column("select summary from pending_changes where publication_id is null").await,
        ["Server web paused"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_prommgrs_that_publish_at_the_same_moment_both_end_well() {
    let (house, _prometheus) = wired().await;
    house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    let twin = house.twin();
    let by = Actor::command_line();
    let (one, other) = tokio::join!(
        house.app.publisher().publish(All::operator(), &by, Order::default()),
        twin.publisher().publish(All::operator(), &by, Order::default())
    );
    assert_ne!(one.unwrap().id, other.unwrap().id);
    assert_eq!(house.column("select state from publications").await, ["in_force", "in_force"]);
    assert_eq!(targets(&house, house.nordwind).as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_s_own_files_are_left_alone() {
    let (house, _prometheus) = wired().await;
    let own = [("rules/own.yml", "groups: []\n"), ("targets/own.json", "[]"), ("targets/owner-x.json", "[]")];
    for (path, text) in own {
        let path = house.prom.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    // one of ours that nobody needs any more, from an earlier database
    std::fs::write(house.prom.join("targets/owner-4711.json"), "[{\"targets\":[\"10.9.9.9:9100\"]}]")
        .unwrap();
    publish(&house.root()).await;
    let after = files(&house.prom);
    for (path, text) in own {
        assert_eq!(after[path].0, text);
    }
    assert_eq!(after["targets/owner-4711.json"].0, "[]\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_publish() {
    let (house, prometheus) = wired().await;
    for person in [house.alice(), house.bob(), house.charlie()] {
        person.get("/publications").await.expect(404);
        person.get("/publications/1").await.expect(404);
        person.post("/publications", &[]).await.expect(404);
        assert!(!person.get("/").await.offers("Publications"));
    }
    assert_eq!(
        house.anyone().post("/publications", &[]).await.leads_to(),
        "/login?next=%2Fpublications&ended=1"
    );
    house.root().get("/publications/999").await.expect(404);
    assert_eq!((prometheus.reloads(), house.count("publications").await), (0, 0));
}

/// What changed is counted by the database, whoever changes it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_by_hand_is_published_too() {
    let (house, _prometheus) = wired().await;
    let web = house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    house.server(house.suedstern, "8", "mail", "10.0.0.5").await;
    publish(&house.root()).await;
    let told = |owner| targets(&house, owner).to_string();
    let by = Actor::command_line();
    let publishes = async |sql: String| {
        house.db.batch_execute(&sql).await.unwrap();
        house.app.publisher().publish(All::operator(), &by, Order::default()).await.unwrap();
    };
    publishes(format!("update servers set address = '10.0.0.77' where id = {web}")).await;
    assert!(told(101).contains("10.0.0.77"));
    publishes("update owners set external_id = '111' where id = 101".into()).await;
    assert!(told(101).contains("\"111\"") && !told(102).contains("111"));
    publishes("update owners set removed_at = now() where id = 102".into()).await;
    assert_eq!(told(102), "[]");
    publishes("update owners set removed_at = null where id = 102".into()).await;
    assert!(told(102).contains("10.0.0.5"));
    publishes(format!("delete from servers where id = {web}")).await;
    assert_eq!(told(101), "[]");
    // a comment is no change of what is published
    let before = files(&house.prom);
    publishes("update servers set comment = 'x'; update owners set comment = 'x'".into()).await;
    assert_eq!(files(&house.prom), before);
    assert!(house.db.execute("update servers set owner_id = 101", &[]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_labels_make_every_file_anew() {
    let (house, _prometheus) = wired().await;
    house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    publish(&house.root()).await;
    let twin = house.twin_with(|settings| settings.owner_label = Some("customer".into()));
    twin.publisher().publish(All::operator(), &Actor::command_line(), Order::default()).await.unwrap();
    assert_eq!(targets(&house, 101)[0]["labels"]["customer"], "11");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_keeps_what_it_changed_and_old_ones_are_taken_away() {
    let (house, _prometheus) = wired().await;
    let web = house.server(house.nordwind, "7", "web", "10.0.0.1").await;
    house.server(house.suedstern, "8", "mail", "10.0.0.5").await;
    publish(&house.root()).await;
    for n in 2..6 {
        let sql = format!("update servers set address = '10.0.0.{n}' where id = {web}");
        house.db.batch_execute(&sql).await.unwrap();
        publish(&house.root()).await;
    }
    let ids = house.column("select id::text from publications order by id").await;
    let changed = house
        .column(
            "select count(*)::text from publication_files group by publication_id order by publication_id",
        )
        .await;
    assert_eq!(changed[1..], ["1", "1", "1", "1"]);
    let mut db = house.app.db(All::operator()).await.unwrap();
    assert_eq!(publications::prune(&mut db, All::operator(), 2).await.unwrap(), 3);
    assert_eq!(publications::prune(&mut db, All::operator(), 2).await.unwrap(), 0);
    // the two that are kept have one file each, with what was before
    assert_eq!((house.count("publication_files").await, house.count("files_in_force").await), (2, 17));
    assert_eq!(house.count("blobs").await, 17 + 2);
    let old = house.root().get(&format!("/publications/{}", ids[1])).await.expect(200);
    assert_eq!(old.one("section[aria-labelledby=files] .quiet"), "Its files are no longer kept.");
    let new = house.root().get(&format!("/publications/{}", ids[4])).await.expect(200);
    assert!(new.all(".diff .del").concat().contains("10.0.0.4"));
    // what is in force stays, however old it is
    house.db.batch_execute("insert into publications (user_name, revision, state, servers) select 'root', 'x', 'refused', 1 from generate_series(1, 5)").await.unwrap();
    publications::prune(&mut db, All::operator(), 2).await.unwrap();
    assert_eq!(house.count(&format!("publications where kept and id = {}", ids[4])).await, 1);
}
