//! Publications beside each other, old files brought back, files of another hand, and what is published by itself.

use jiff::{SignedDuration, Timestamp};
use prommgr::prometheus::Order;
use prommgr::store::changes::Actor;
use prommgr::store::scope::All;
use prommgr::worker;

use crate::house::{House, eventually};
use crate::prometheus::{files, publish, wired};

const FILE: &str = "targets/owner-101.json";

async fn moves(house: &House, server: i64, address: &str) {
    let form = [("name", "web"), ("address", address), ("enabled", "true")];
    house.alice().does(&format!("/servers/{server}"), &form).await;
}

fn text(house: &House) -> String {
    std::fs::read_to_string(house.prom.join(FILE)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_an_earlier_publication_come_back_as_a_new_one() {
    let (house, prometheus) = wired().await;
    let web = house.server(101, "7", "web", "10.0.0.1").await;
    let root = house.root();
    publish(&root).await;
    let first = files(&house.prom);
    moves(&house, web, "10.0.0.2").await;
    house
        .alice()
        .does(
            "/servers",
            &[("owner_id", "101"), ("name", "db"), ("address", "10.0.0.9"), ("enabled", "true")],
        )
        .await;
    house.server(102, "8", "mail", "10.0.0.5").await;
    house
        .alice()
        .does(
            "/thresholds",
            &[
                ("rule", "service_down"),
                ("severity", "critical"),
                ("hold", "2m"),
                ("enabled", "true"),
                ("owner_id", "101"),
            ],
        )
        .await;
    publish(&root).await;
    let second = files(&house.prom);
    moves(&house, web, "10.0.0.3").await;

    // any two beside each other, both ways
    let ids = house.column("select id::text from publications order by id").await;
    let page = root.get(&format!("/publications/compare?from={}&to={}", ids[0], ids[1])).await.expect(200);
    let paths = ["rules/prommgr.yml", "rules/service_down.yml", FILE, "targets/owner-102.json"];
    assert_eq!(page.all(".diff summary .mono"), paths);
    assert!(
        page.all(".diff .add").concat().contains("10.0.0.2")
            && page.all(".diff .del").concat().contains("10.0.0.1")
    );
    let back = root.get(&format!("/publications/compare?from={}&to={}", ids[1], ids[0])).await.expect(200);
    assert!(back.all(".diff .del").concat().contains("10.0.0.2"));
    root.get("/publications/compare?from=999&to=1").await.expect(200);

    // back: the bytes are those, the rows stay, and what waited goes on waiting
    let page = root.get(&format!("/publications/{}", ids[0])).await.expect(200);
    let to = root.presses(&page, "Bring them back", &[]).await.leads_to();
    let page = root.get(&to).await.expect(200);
    assert_eq!(page.all(".now .state"), ["In force"]);
    assert_eq!(page.one("#live > .note"), format!("It brought back the files of № {}.", ids[0]));
    assert_eq!(prometheus.reloads(), 3);
    let texts = |files: &std::collections::BTreeMap<String, (String, u64, std::time::SystemTime)>| -> Vec<_> {
        files
            .iter()
            .filter(|(_, file)| file.0 != "[]\n")
            .map(|(path, file)| (path.clone(), file.0.clone()))
            .collect()
    };
    assert_eq!(texts(&files(&house.prom)), texts(&first));
    assert_eq!(house.column("select address from servers where name = 'web'").await, ["10.0.0.3"]);
    let page = root.get("/publications").await.expect(200);
    assert!(
        page.one(".copied p")
            .starts_with(&format!("The files are those of № {}, brought back by № 3.", ids[0]))
    );
    assert!(
        page.all(".copied li").iter().any(|line| line == "Server db added to Nordwind (alice)"),
        "{:?}",
        page.all(".copied li")
    );
    assert!(page.all("section.next > .summary li")[0].contains("address 10.0.0.2 to 10.0.0.3"));
    assert!(!page.offers("Discard all of it"));
    // the next one brings everything that people set into force again
    publish(&root).await;
    assert!(text(&house).contains("10.0.0.3") && text(&house).contains("10.0.0.9"));
    assert_eq!(files(&house.prom)["rules/service_down.yml"].0, second["rules/service_down.yml"].0);
    assert!(!root.get("/publications").await.has(".copied"));

    // what never was in force does not come back
    prometheus.refuses("no");
    moves(&house, web, "10.0.0.4").await;
    house
        .alice()
        .does(
            "/thresholds",
            &[
                ("rule", "service_down"),
                ("severity", "critical"),
                ("hold", "3m"),
                ("enabled", "true"),
                ("owner_id", "101"),
            ],
        )
        .await;
    publish(&root).await;
    let refused = house.column("select max(id)::text from publications").await.remove(0);
    root.post(&format!("/publications/{refused}/restoration"), &[]).await.leads_to();
    assert_eq!(
        root.get(&format!("/publications/{refused}")).await.flash(),
        "Only files that were in force and are still kept can be brought back."
    );
    // but can be looked at beside others
    let page = root
        .get(&format!("/publications/compare?from={}&to={refused}", refused.parse::<i64>().unwrap() - 1))
        .await
        .expect(200);
    assert!(page.all(".diff .add").concat().contains("10.0.0.4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_hand_changed_is_shown_and_not_overwritten_unasked() {
    let (house, _prometheus) = wired().await;
    let web = house.server(101, "7", "web", "10.0.0.1").await;
    house.server(102, "8", "mail", "10.0.0.5").await;
    let root = house.root();
    publish(&root).await;
    worker::look_for_drift(&house.app).await.unwrap();
    assert!(!root.get("/").await.has(".path.warning"));
    let theirs = text(&house).replace("10.0.0.1", "10.66.6.6");
    std::fs::write(house.prom.join(FILE), &theirs).unwrap();
    std::fs::remove_file(house.prom.join("rules/service_down.yml")).unwrap();
    worker::look_for_drift(&house.app).await.unwrap();
    assert!(
        root.get("/")
            .await
            .all(".path.warning")
            .concat()
            .starts_with("2 files in the Prometheus folder are not as published")
    );
    assert!(!house.alice().get("/").await.text.contains("another hand"));
    let page = root.get("/publications").await.expect(200);
    assert_eq!(page.all(".drift summary .mono"), ["rules/service_down.yml", FILE]);
    assert!(page.all(".drift .add").concat().contains("10.66.6.6"));

    // publishing asks first, from everywhere
    moves(&house, web, "10.0.0.2").await;
    let page = root.get("/publications").await.expect(200);
    let to = root.presses(&page, "Publish", &[]).await.leads_to();
    let asked = root.get(&to).await.flash();
    assert!(
        asked.starts_with(
            "Another hand has changed rules/service_down.yml and 1 more in the Prometheus folder."
        ),
        "{asked}"
    );
    house
        .app
        .publisher()
        .publish(All::operator(), &Actor::command_line(), Order::default())
        .await
        .unwrap_err();
    assert_eq!((text(&house), house.count("publications").await), (theirs, 1));
    let page = root.get("/publications").await.expect(200);
    let to = root.presses(&page, "Publish", &[("overwrite", "true")]).await.leads_to();
    assert_eq!(root.get(&to).await.all(".now .state"), ["In force"]);
    assert!(text(&house).contains("10.0.0.2") && house.prom.join("rules/service_down.yml").exists());
    assert!(!root.get("/").await.has(".path.warning") && !root.get("/publications").await.has(".drift"));

    // nothing waits, and still the files can be put right
    std::fs::write(house.prom.join("targets/owner-102.json"), "[]").unwrap();
    let page = root.get("/publications").await.expect(200);
    root.presses(&page, "Publish", &[("overwrite", "true")]).await.leads_to();
    assert!(files(&house.prom)["targets/owner-102.json"].0.contains("10.0.0.5"));
    // what a publication of ours left when it died is nobody else's
    house.db.batch_execute("insert into publications (user_name, revision, state, servers) values ('root', 'x', 'running', 1); \
        insert into blobs values (sha256('left'), 'left'); \
        insert into publication_files (publication_id, path, sha256, change) select max(id), 'targets/owner-101.json', sha256('left'), 'changed' from publications").await.unwrap();
    std::fs::write(house.prom.join(FILE), "left").unwrap();
    house.app.publisher().publish(All::operator(), &Actor::command_line(), Order::default()).await.unwrap();
    assert!(text(&house).contains("10.0.0.2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_changes_is_published_once_and_by_one() {
    let (house, prometheus) = wired().await;
    let web = house.server(101, "7", "web", "10.0.0.1").await;
    let (root, twin) = (house.root(), house.twin());
    publish(&root).await;
    let later = |seconds| Timestamp::now() + SignedDuration::from_secs(seconds);
    moves(&house, web, "10.0.0.2").await;
    assert_eq!(worker::publish_by_itself(&house.app, later(600)).await.unwrap(), None, "it is off at first");

    for wrong in ["4", "3601", "x", ""] {
        root.post("/publications/automatic", &[("automatic", "true"), ("quiet_seconds", wrong)])
            .await
            .leads_to();
        assert!(root.get("/publications").await.flash().starts_with("Seconds without a change"));
    }
    root.does("/publications/automatic", &[("automatic", "true"), ("quiet_seconds", "30")]).await;
    let page = root.get("/publications").await.expect(200);
    assert!(page.has("input[name=automatic][checked]") && page.typed("quiet_seconds") == "30");
    for n in 3..8 {
        moves(&house, web, &format!("10.0.0.{n}")).await;
    }
    assert_eq!(worker::publish_by_itself(&house.app, later(10)).await.unwrap(), None);
    // the lock of the turn before goes with its connection, a moment later
    eventually("one of the two publishes", async || {
        let (one, other) = tokio::join!(
            worker::publish_by_itself(&house.app, later(40)),
            worker::publish_by_itself(&twin, later(40))
        );
        one.unwrap().or(other.unwrap())
    })
    .await;
    let publishes = async |seconds| {
        eventually("it is published", async || {
            worker::publish_by_itself(&house.app, later(seconds)).await.unwrap()
        })
        .await
    };
    assert_eq!(house.count("publications").await, 2);
    assert!(text(&house).contains("10.0.0.7"));
    assert_eq!(
        house.column("select user_name from publications order by id desc limit 1").await,
        ["automatic publishing"]
    );

    // what changes all the time is published all the same
    moves(&house, web, "10.0.0.8").await;
    house
        .db
        .batch_execute(
            "update pending_changes set at = at - interval '301 seconds' where publication_id is null",
        )
        .await
        .unwrap();
    moves(&house, web, "10.0.0.9").await;
    publishes(0).await;

    // nothing is done by itself while another hand's files, a refusal or old files wait for somebody
    moves(&house, web, "10.0.0.10").await;
    let ours = text(&house);
    std::fs::write(house.prom.join(FILE), "[]\n\n").unwrap();
    eventually("the other hand is noted", async || {
        assert_eq!(worker::publish_by_itself(&house.app, later(40)).await.unwrap(), None);
        (house.count("drift").await == 1).then_some(())
    })
    .await;
    std::fs::write(house.prom.join(FILE), ours).unwrap();
    prometheus.refuses("no");
    house
        .alice()
        .does(
            "/thresholds",
            &[
                ("rule", "service_down"),
                ("severity", "critical"),
                ("hold", "2m"),
                ("enabled", "true"),
                ("owner_id", "101"),
            ],
        )
        .await;
    publishes(40).await;
    assert_eq!(
        worker::publish_by_itself(&house.app, later(45)).await.unwrap(),
        None,
        "it is tried again at once"
    );
    prometheus.relents();
    publishes(400).await;
    let first = house.column("select min(id)::text from publications").await.remove(0);
    root.post(&format!("/publications/{first}/restoration"), &[]).await.leads_to();
    moves(&house, web, "10.0.0.11").await;
    assert_eq!(worker::publish_by_itself(&house.app, later(400)).await.unwrap(), None);
    assert!(text(&house).contains("10.0.0.1:"));
}

/// From two instances, with one database and one folder.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_publications_at_once_leave_the_last_state_and_the_whole_history() {
    let (house, _prometheus) = wired().await;
    let web = house.server(101, "7", "web", "10.0.0.1").await;
    for n in 0..40 {
        house.server(102, &n.to_string(), &format!("mail-{n}"), &format!("10.1.0.{n}")).await;
    }
    publish(&house.root()).await;
    let twin = house.twin();
    let path = house.prom.clone();
    let stop = tokio_util::sync::CancellationToken::new();
    let watching = tokio::task::spawn_blocking({
        let stop = stop.clone();
        move || {
            let mut looked = 0;
            while !stop.is_cancelled() {
                let folders =
                    ["rules", "targets"].map(|folder| std::fs::read_dir(path.join(folder)).unwrap());
                for entry in folders.into_iter().flatten() {
                    // what lies beside is none of the files that Prometheus is told of
                    let place = entry.unwrap().path();
                    if place.extension().is_none_or(|end| end != "json" && end != "yml") {
                        continue;
                    }
                    let (text, path) = (std::fs::read_to_string(&place).unwrap(), place.to_str().unwrap());
                    let whole = match path.ends_with(".json") {
                        true => serde_json::from_str::<Vec<serde_json::Value>>(&text).is_ok(),
                        false => text.starts_with("groups:") && text.ends_with('\n'),
                    };
                    assert!(whole, "{path} is half a file: {text}");
                    looked += 1;
                }
            }
            looked
        }
    });
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let app = if n % 2 == 0 { house.app.clone() } else { twin.clone() };
        let mut db = app.store().db(All::operator()).await.unwrap();
        let server = prommgr::store::servers::find_rw(&mut db, &All::operator().into(), web).await.unwrap();
        drop(db);
        tasks.spawn(async move {
            let by = Actor::program("test");
            let mut db = app.store().db(All::operator()).await.unwrap();
            server.enable(&mut db, n % 3 != 0, &by).await.unwrap();
            drop(db);
            app.publisher().publish(All::operator(), &by, Order::default()).await.unwrap().id
        });
    }
    let mut ids = tasks.join_all().await;
    stop.cancel();
    assert!(watching.await.unwrap() > 0);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 50);
    assert_eq!(house.column("select distinct state from publications").await, ["in_force"]);
    assert_eq!(house.count("publications").await, 51);
    // nobody's change is left behind
    assert_eq!(
        (
            house.count("unpublished_rows").await,
            house.count("pending_changes where publication_id is null").await
        ),
        (0, 0)
    );
    let enabled = house.count("servers where name = 'web' and enabled").await == 1;
    assert_eq!(text(&house).contains("10.0.0.1"), enabled);
    for path in files(&house.prom).keys() {
        let sql = format!("files_in_force f join blobs b using (sha256) where path = '{path}'");
        assert_eq!(house.count(&sql).await, 1, "{path}");
    }
    house.app.publisher().publish(All::operator(), &Actor::command_line(), Order::default()).await.unwrap();
}
