//! Publishing that does not work: nothing is lost, nothing is half-written, and it is said why.

use prommgr::prometheus::Order;

use crate::house::House;
use crate::prometheus::{Prometheus, files, nobody, publish, wired};

#[tokio::test(flavor = "multi_thread")]
async fn when_prometheus_refuses_the_old_files_are_put_back() {
    let (house, prometheus) = wired().await;
    let root = house.root();
    house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    publish(&root).await;
    let before = files(&house.prom);
    house
        .alice()
        .does(
            "/servers",
            &[("owner_id", "101"), ("name", "db"), ("address", "10.0.0.6"), ("enabled", "true")],
        )
        .await;
    let form = [
        ("rule", "service_down"),
        ("severity", "critical"),
        ("hold", "2m"),
        ("enabled", "true"),
        ("owner_id", "101"),
    ];
    house.alice().does("/thresholds", &form).await;
    prometheus.refuses("rule 3 of group \"x\": <b>nonsense</b>");
    let page = publish(&root).await;
    assert_eq!(page.all(".now .state"), ["Refused"]);
    let reason = page.one("#live .reason");
    assert!(
        reason.contains("the old files were put back")
            && reason.contains("rule 3 of group \"x\": <b>nonsense</b>"),
        "{reason}"
    );
    assert_eq!(page.all("section[aria-labelledby=results] .state"), ["Refused"]);
    let text = |files: &std::collections::BTreeMap<String, (String, u64, std::time::SystemTime)>| {
        files.iter().map(|(path, file)| (path.clone(), file.0.clone())).collect::<Vec<_>>()
    };
    assert_eq!(text(&files(&house.prom)), text(&before));
    // it stays pending, with the same difference, and works once Prometheus does
    let waits = root.get("/publications").await.expect(200);
    assert_eq!(waits.all("section.next > .summary li").len(), 2);
    assert_eq!(waits.all(".diff summary .mono").len(), 3);
    assert_eq!(waits.all("#rows .state"), ["Refused", "In force"]);
    prometheus.relents();
    assert_eq!(publish(&root).await.all(".now .state"), ["In force"]);
    assert_eq!(house.count("pending_changes where publication_id is null").await, 0);
    assert_ne!(text(&files(&house.prom)), text(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_publication_that_is_refused_leaves_no_rules() {
    let (house, prometheus) = wired().await;
    house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    prometheus.refuses("no");
    assert_eq!(publish(&house.root()).await.all(".now .state"), ["Refused"]);
    let left: Vec<_> = files(&house.prom).into_iter().map(|(path, file)| (path, file.0)).collect();
    assert_eq!(left, [("targets/owner-101.json".to_owned(), "[]\n".to_owned())]);
    assert!(
        house.root().get("/publications").await.all(".summary li")[0].starts_with("The first publication")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_answers_the_old_files_are_put_back_too() {
    let url = nobody().await.replace("http://", "http://user:secret@");
    let house = House::with(|settings| settings.prometheus_url = Some(url)).await;
    house
        .alice()
        .does(
            "/servers",
            &[("owner_id", "101"), ("name", "web"), ("address", "10.0.0.5"), ("enabled", "true")],
        )
        .await;
    let page = publish(&house.root()).await;
    assert_eq!(page.all(".now .state"), ["Failed"]);
    assert_eq!(page.all("section[aria-labelledby=results] .state"), ["Unreachable"]);
    let reason = page.one("#live .reason");
    assert!(reason.contains("cannot be reached: Connection refused"), "{reason}");
    assert!(!page.text.contains("secret"), "the password is shown");
    assert_eq!(files(&house.prom).len(), 1);
    assert_eq!(
        (
            house.count("pending_changes").await,
            house.count("publication_results where prometheus like '%secret%'").await
        ),
        (1, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_some_take_it_it_is_partly_in_force() {
    let (good, bad) = (Prometheus::start().await, Prometheus::start().await);
    let urls = format!("{},{}", good.url, bad.url);
    let house = House::with(|settings| settings.prometheus_url = Some(urls)).await;
    good.reads(&house.prom);
    bad.refuses("out of memory");
    house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    let page = publish(&house.root()).await;
    assert_eq!(page.all(".now .state"), ["Partly in force"]);
    let mut each = page.all("section[aria-labelledby=results] .state");
    each.sort();
    assert_eq!(each, ["In force", "Refused"]);
    assert!(
        files(&house.prom)["targets/owner-101.json"].0.contains("10.0.0.5"),
        "what is in force somewhere was taken back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_reads_another_folder_is_not_called_in_force() {
    // it answers the reload well, but has none of ours: 15 s are given to it
    let (house, prometheus) = wired().await;
    prometheus.reads(std::path::Path::new("/nowhere"));
    let root = house.root();
    let page = root.get("/publications").await;
    let running = root.presses(&page, "Publish", &[]).await.leads_to();
    assert_eq!(root.get(&running).await.expect(200).all(".now .state"), ["Running"]);
    let page = crate::house::eventually("the end of the publication", async || {
        let page = root.get(&running).await.expect(200);
        (page.all(".now .state") != ["Running"]).then_some(page)
    })
    .await;
    assert_eq!(page.all("section[aria-labelledby=results] .state"), ["Not verified"]);
    assert!(page.one("#live .reason").contains("none of our rules"));
    assert!(page.one("#live .reason").contains("It looks at /elsewhere/*.yml."));
    assert!(files(&house.prom).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_is_said_so() {
    for blocked in ["targets", "rules"] {
        let (house, prometheus) = wired().await;
        house
            .alice()
            .does(
                "/servers",
                &[("owner_id", "101"), ("name", "web"), ("address", "10.0.0.5"), ("enabled", "true")],
            )
            .await;
        std::fs::write(house.prom.join(blocked), "in the way").unwrap();
        let page = publish(&house.root()).await;
        assert_eq!(page.all(".now .state"), ["Failed"]);
        let reason = page.one("#live .reason");
        assert!(
            reason.contains(&format!("prom/{blocked}"))
                && reason.contains("Move away what is in the place of the folder"),
            "{reason}"
        );
        assert_eq!((prometheus.reloads(), house.count("pending_changes").await), (0, 1));
        assert!(files(&house.prom).is_empty());
        std::fs::remove_file(house.prom.join(blocked)).unwrap();
        assert_eq!(publish(&house.root()).await.all(".now .state"), ["In force"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_the_way_changes_none_of_the_others() {
    let (house, _prometheus) = wired().await;
    house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    publish(&house.root()).await;
    let before = files(&house.prom);
    // a folder where the second owner's file is to be
    std::fs::create_dir(house.prom.join("targets/owner-102.json")).unwrap();
    house.server(house.nordwind, "8", "db", "10.0.0.6").await;
    house
        .charlie()
        .does(
            "/servers",
            &[("owner_id", "102"), ("name", "mail"), ("address", "10.0.0.5"), ("enabled", "true")],
        )
        .await;
    let page = publish(&house.root()).await;
    assert_eq!(page.all(".now .state"), ["Failed"]);
    assert!(page.one("#live .reason").contains("owner-102.json"));
    std::fs::remove_dir(house.prom.join("targets/owner-102.json")).unwrap();
    assert_eq!(files(&house.prom), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_the_operator_that_promtool_refuses_stop_it_before_anything_is_written() {
    if std::process::Command::new("promtool").arg("--version").output().is_err() {
        eprintln!("promtool is not installed, so there is nothing to test");
        return;
    }
    let (house, prometheus) = wired().await;
    std::fs::create_dir(house.prom.join("rules")).unwrap();
    std::fs::write(house.prom.join("rules/own.yml"), "nonsense").unwrap();
    let page = publish(&house.root()).await;
    assert_eq!(page.all(".now .state"), ["Refused"]);
    assert!(page.one("#live .reason").contains("own.yml"));
    assert_eq!((prometheus.reloads(), files(&house.prom).len()), (0, 1));
    // the rule, with its lines, where they are known
    let wrong = "groups:\n- name: own\n  rules:\n  - alert: x\n    expr: up ==\n";
    std::fs::write(house.prom.join("rules/own.yml"), wrong).unwrap();
    let page = publish(&house.root()).await;
    assert!(
        page.one(".fault-at p").starts_with("rules/own.yml, line 5: could not parse expression"),
        "{}",
        page.one(".fault-at p")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_that_died_is_ended_by_the_next() {
    let (house, _prometheus) = wired().await;
    house.db.batch_execute("insert into publications (user_name, revision, state, servers) values ('root', 'x', 'running', 0)").await.unwrap();
    publish(&house.root()).await;
    assert_eq!(
        house.column("select state || coalesce(reason, '') from publications order by id").await,
        ["failedprommgr was stopped while it published.", "in_force"]
    );
}

/// Each step is told as it was seen, for each Prometheus.
#[tokio::test(flavor = "multi_thread")]
async fn the_steps_are_told_as_they_were_seen() {
    let (house, prometheus) = wired().await;
    let web = house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    let root = house.root();
    let steps = |page: &crate::page::Page| -> Vec<String> {
        let told = page.all(".ladder li");
        told.iter().map(|step| step.split(" just").next().unwrap().to_owned()).collect()
    };
    let all = ["Saved", "Written", "Loaded", "Rules in force", "Targets in force"];
    assert_eq!(steps(&publish(&root).await), all);
    // targets need no reload
    house
        .alice()
        .does(&format!("/servers/{web}"), &[("name", "web"), ("address", "10.0.0.6"), ("enabled", "true")])
        .await;
    let told = steps(&publish(&root).await);
    assert_eq!(told, ["Saved", "Written", "No reload needed", "Rules in force", "Targets in force"]);
    // what a Prometheus does not scrape is not in force, however well it reloads; another publication ends the waiting
    prometheus.scrapes_nothing(true);
    house
        .alice()
        .does(&format!("/servers/{web}"), &[("name", "web"), ("address", "10.0.0.7"), ("enabled", "true")])
        .await;
    let by = prommgr::store::changes::Actor::command_line();
    let all = prommgr::store::scope::All::operator();
    let first = house.app.publisher().publish(all, &by, Order::default()).await.unwrap();
    let page = root.get(&format!("/publications/{}", first.id)).await.expect(200);
    assert_eq!(
        (page.all(".now .state"), steps(&page).pop().unwrap()),
        (vec!["Following the targets".to_owned()], "Targets not seen yet".to_owned())
    );
    assert!(page.has(".now[hx-get]"));
    prometheus.scrapes_nothing(false);
    let id = first.seen().await;
    let page = root.get(&format!("/publications/{id}")).await.expect(200);
    assert_eq!(
        (page.all(".now .state"), steps(&page).pop().unwrap()),
        (vec!["In force".to_owned()], "Targets in force".to_owned())
    );
    prometheus.scrapes_nothing(true);
    let overtaken = house.app.publisher().publish(all, &by, Order::default()).await.unwrap();
    let second = house.app.publisher().publish(all, &by, Order::default()).await.unwrap();
    let id = overtaken.seen().await;
    let page = root.get(&format!("/publications/{id}")).await.expect(200);
    assert_eq!(steps(&page).pop().unwrap(), "Targets not seen");
    assert!(page.one("section[aria-labelledby=results] .under").ends_with("came before they were seen."));
    prometheus.scrapes_nothing(false);
    second.seen().await;
}
