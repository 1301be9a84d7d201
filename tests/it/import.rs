//! Servers go out as a file, are edited elsewhere, and come in again.

use std::fs;
use std::sync::atomic::AtomicUsize;

use prommgr::address::Reach;
use prommgr::store::servers::{Plan, Terms, plan};

use crate::commands::prommgr;
use crate::house::House;

const COLUMNS: &str =
    "owner_external_id,external_id,name,address,port,job,scheme,metrics_path,enabled,labels,comment";

/// Imports a file of that name; what is said, or the fault.
fn import(house: &House, name: &str, text: &str, more: &[&str]) -> Result<String, String> {
    let file = house.prom.join(name);
    fs::write(&file, text).unwrap();
    prommgr(house, &[&["import", file.to_str().unwrap()], more].concat())
}

async fn servers(house: &House) -> Vec<String> {
    house.column("select concat_ws(' ', owner_id, external_id, name, address, port, job, enabled, labels::text, comment) \
        from servers where removed_at is null order by owner_id, external_id collate \"C\"").await
}

async fn estate() -> House {
    let house = House::new().await;
    let odd = house.server(house.nordwind, "1", "=web \"1\", a", "10.0.0.1").await;
    house.server(house.nordwind, "2", "db", "10.0.0.2").await;
    house.server(house.nordwind, "3", "old", "10.0.0.3").await;
    house.server(house.suedstern, "1", "mail", "10.0.0.1").await;
    let sql = "update servers set labels = '{\"rack\": \"7\", \"site\": \"a;b=c\"}', comment = E'two\\nlines' where id = $1";
    house.db.execute(sql, &[&odd]).await.unwrap();
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_went_out_comes_in_with_what_was_changed_in_it() {
    let house = estate().await;
    let text = house.root().get("/servers.csv").await.expect(200).text;
    assert_eq!(text.lines().next(), Some(COLUMNS));
    let before = servers(&house).await;
    let said = import(&house, "servers.csv", &text, &["--remove"]).unwrap();
    assert_eq!(said, "0 added, 0 changed, 0 removed, 4 as they were, 0 cannot be taken.\n");
    // as a spreadsheet writes it, with a line changed, one added and one gone
    let text =
        text.replace("db,10.0.0.2,9100", "db,10.0.0.20,9200").replace("two\nlines", "three\nmore\nlines");
    let gone: Vec<_> = text.split("\r\n").filter(|line| !line.contains(",old,")).collect();
    let text = format!("\u{feff}{}11,,new,10.0.0.9,,,,,FALSE,rack=8,-1\r\n", gone.join("\r\n"));
    let said = import(&house, "servers.csv", &text, &["--remove", "--dry-run"]).unwrap();
    let lines: Vec<_> = said.lines().collect();
    assert!(lines.contains(&"+ new (10.0.0.9:9100) of Nordwind"), "{said}");
    assert!(lines.contains(&"~ db of Nordwind: address 10.0.0.2 -> 10.0.0.20, port 9100 -> 9200"), "{said}");
    assert!(lines.contains(&"- old (10.0.0.3:9100) of Nordwind"), "{said}");
    assert!(said.ends_with("1 added, 2 changed, 1 removed, 1 as they were, 0 cannot be taken.\n"), "{said}");
    assert_eq!(servers(&house).await, before, "a dry run");
    assert_eq!(house.count("audit").await + house.count("pending_changes").await, 0);

    import(&house, "servers.csv", &text, &["--remove"]).unwrap();
    let after = servers(&house).await;
    assert_eq!(after.len(), 4);
    assert_eq!(after[1], "101 2 db 10.0.0.20 9200 node t {} ");
    assert!(
        after.iter().any(|one| one.ends_with("new 10.0.0.9 9100 node f {\"rack\": \"8\"} -1")),
        "{after:?}"
    );
    assert!(after[0].contains("=web \"1\", a") && after[0].ends_with("three\nmore\nlines"), "{after:?}");
    assert_eq!(
        house.column("select concat_ws(' ', action, object, user_name, old->>'port', new->>'port') from audit order by action, object").await,
        [
            "server.added new command line 9100",
            "server.changed =web \"1\", a command line",
            "server.changed db command line 9100 9200",
            "server.removed old command line 9100",
        ]
    );
    assert_eq!(
        house.column("select summary from pending_changes").await,
        ["Servers imported: 1 added, 2 changed, 1 removed (Nordwind)"]
    );
    // without the box nothing is removed, and columns that are not there stay
    let said = import(
        &house,
        "some.csv",
        "owner_external_id;external_id;name;address\r\n11;1;web;10.0.0.1\r\n",
        &[],
    )
    .unwrap();
    assert!(said.contains("0 added, 1 changed, 0 removed, 0 as they were"), "{said}");
    assert!(
        servers(&house).await[0]
            .ends_with("web 10.0.0.1 9100 node t {\"rack\": \"7\", \"site\": \"a;b=c\"} three\nmore\nlines")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_is_said_by_its_line_and_nothing_is_saved() {
    let house = estate().await;
    let before = servers(&house).await;
    let text = [
        "owner_external_id,external_id,name,address,port,enabled,labels",
        "11,9,good,10.0.0.90,,,",
        "99,1,web,10.0.0.1,,,",
        "11,,,10.0.0.91,70000,,job=x",
        "11,2,db,10.0.0.2,,perhaps,",
        "11,1,web,10.0.0.3,,,",
        "11,9,twice,10.0.0.92,,,",
        "11,,good too,10.0.0.90,,,",
        "11,1,web again,10.0.0.1,,,",
        ",,nobody,10.0.0.93,,,",
        "11,8,web,http://x/,,,",
    ];
    let text = text.join("\n");
    let why = [
        "line 3: There is no owner 99.",
        "line 4: labels: `job` is set by prommgr or Prometheus; use another name. name: Give it a name. port: A port is a number from 1 to 65535; node_exporter's is 9100.",
        "line 5: enabled: `perhaps` is neither true nor false.",
        "line 6: old has this address, port and job already.",
        "line 7: line 2 has this external id already.",
        "line 8: line 2 has this address, port and job already.",
        "line 9: It is the same server as line 6.",
        "line 10: It names no owner.",
    ];
    let file = house.prom.join("bad.csv");
    fs::write(&file, &text).unwrap();
    let plan = planned(&house, "root", &text, false).await;
    let said: Vec<_> = plan.faults.iter().map(|fault| format!("{}: {}", fault.place, fault.why)).collect();
    for why in why {
        let start = why.split(" name: ").next().unwrap();
        assert!(said.iter().any(|said| said.starts_with(start)), "{why}\n{said:#?}");
    }
    assert!(said.iter().any(|said| said.starts_with("line 11: address: ")), "{said:#?}");
    assert_eq!(said.len(), 9, "{said:#?}");
    let refused = prommgr(&house, &["import", file.to_str().unwrap()]).unwrap_err();
    assert!(refused.contains("nothing was changed"), "{refused}");
    assert_eq!(servers(&house).await, before);
    let done = prommgr(&house, &["import", file.to_str().unwrap(), "--partly"]).unwrap();
    assert!(done.contains("+ good (10.0.0.90:9100) of Nordwind"), "{done}");
    assert_eq!(servers(&house).await.len(), 5);
    // names what a file is not
    for (name, text, why) in [
        ("x.csv", "name\nweb\n", "It has no column `address`."),
        ("x.csv", "name,address,color\n", "It has a column `color`."),
        ("x.yml", "a: 1\n", "neither a list of target groups nor"),
    ] {
        let refused = import(&house, name, text, &[]).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_change_places_are_refused_whole_and_a_place_that_gets_free_is_taken() {
    let house = estate().await;
    let before = servers(&house).await;
    let swapped = "owner_external_id,external_id,name,address\n11,9,new,10.0.0.9\n11,2,db,10.0.0.3\n11,3,old,10.0.0.2\n";
    let refused = import(&house, "x.csv", swapped, &[]).unwrap_err();
    assert!(refused.contains("Nothing was changed."), "{refused}");
    assert_eq!(servers(&house).await, before);
    assert_eq!(house.count("audit").await, 0);
    let moved = "owner_external_id,external_id,name,address\n11,9,new,10.0.0.3\n11,1,web,10.0.0.1\n11,2,db,10.0.0.2\n";
    import(&house, "x.csv", moved, &["--remove"]).unwrap();
    assert_eq!(
        house
            .column("select external_id from servers where address = '10.0.0.3' and removed_at is null")
            .await,
        ["9"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_of_a_prometheus_are_taken_over() {
    let house = estate().await;
    let json = r#"[{"targets": ["10.0.0.2:9100", "10.1.0.1:9182"], "labels": {"customer": "11", "rack": "9", "job": "node"}},
        {"targets": ["10.1.0.2:9100"], "labels": {"customer": "12", "__address__": "10.9.9.9:1"}},
        {"targets": ["10.1.0.3:9100"], "labels": {"customer": "12", "severity": "x"}},
        {"targets": ["10.1.0.4:9100"]}]"#;
    let flags = ["--owner-label", "customer", "--owner", "12", "--partly"];
    let said = import(&house, "targets.json", json, &flags).unwrap();
    for line in [
        "+ 10.1.0.1 (10.1.0.1:9182) of Nordwind",
        "+ 10.1.0.4 (10.1.0.4:9100) of Südstern",
        "~ db of Nordwind: labels {} -> {\"rack\":\"9\"}",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(
        said.contains("! group 2, target 1 (10.1.0.2:9100): The label `__address__` steers Prometheus"),
        "{said}"
    );
    assert!(said.contains("! group 3, target 1 (10.1.0.3:9100): labels: `severity` is set by"), "{said}");
    let yaml = "scrape_configs:\n- job_name: node\n  scheme: https\n  static_configs:\n  - targets: ['10.1.0.7:9100']\n    labels: {customer: 12, env: prod}\n";
    let said = import(&house, "prometheus.yml", yaml, &["--owner-label", "customer"]).unwrap();
    assert!(said.contains("+ 10.1.0.7 (10.1.0.7:9100) of Südstern"), "{said}");
    assert_eq!(
        house.column("select scheme || ' ' || labels::text from servers where address = '10.1.0.7'").await,
        ["https {\"env\": \"prod\"}"]
    );
    // again, nothing is new
    let said = import(&house, "prometheus.yml", yaml, &["--owner-label", "customer"]).unwrap();
    assert!(said.starts_with("0 added, 0 changed, 0 removed, 1 as they were"), "{said}");
}

/// What a file would do in somebody's hands.
async fn planned(house: &House, name: &str, text: &str, remove: bool) -> Plan {
    let labels = prommgr::import::Labels { owner: "cloudnet_owner_id", server: "cloudnet_server_id" };
    let read = prommgr::import::read("x.csv", text.as_bytes(), labels).unwrap();
    let person = house.person_of(name).await;
    let mut db = house.app.db(&person).await.unwrap();
    let reach = person.reach(house.app.config());
    let terms = Terms { reach, ours: house.app.our_labels(), owner: None, remove };
    plan(&mut db, &person.writing(), &read.lines, terms).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_imports_into_what_they_may_not_change() {
    let house = estate().await;
    let all = house.root().get("/servers.csv").await.expect(200).text;
    for (name, owners) in [("alice", &["11"][..]), ("bob", &[]), ("charlie", &["12"])] {
        let plan = planned(&house, name, &all, true).await;
        let mut whose: Vec<_> = plan.owners.values().map(|owner| owner.external_id.clone()).collect();
        whose.sort();
        assert_eq!(whose, owners, "{name}");
        assert!(plan.is_empty(), "{name}: {plan:?}");
        // owners that are not theirs are as those that are not there
        assert!(plan.faults.iter().all(|fault| fault.why.starts_with("There is no owner 1")), "{name}");
        assert_eq!(plan.same, if owners == ["11"] { 3 } else { owners.len() }, "{name}");
    }
    let reach = "owner_external_id,name,address\n11,inside,127.0.0.1\n";
    let refused = planned(&house, "alice", reach, false).await;
    assert!(refused.faults[0].why.contains("outside the networks"), "{:?}", refused.faults);
    assert!(matches!(house.person_of("root").await.reach(house.app.config()), Reach::Any(_)));
    assert_eq!(planned(&house, "root", reach, false).await.added.len(), 1);
    // and nobody reads another's by the file
    let theirs = house.charlie().get("/servers.csv").await.expect(200).text;
    assert!(theirs.contains("mail") && !theirs.contains("10.0.0.2") && !theirs.contains("web"), "{theirs}");
    let theirs = house.charlie().get("/servers.csv?owner=101").await.expect(200).text;
    assert_eq!(theirs.trim(), COLUMNS);
    let json = house.bob().get("/servers.json?q=db").await.expect(200).json();
    assert_eq!((json.as_array().unwrap().len(), &json[0]["owner_external_id"]), (1, &"11".into()));
}

/// What was changed since the plan was made is not overwritten.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_done_as_it_was_shown_or_not_at_all() {
    let house = estate().await;
    let text = "owner_external_id,external_id,name,address\n11,2,db,10.0.0.20\n11,9,new,10.0.0.9\n";
    let plan = planned(&house, "alice", text, false).await;
    house.db.batch_execute("update servers set port = 1 where name = 'db'").await.unwrap();
    let before = servers(&house).await;
    let person = house.person_of("alice").await;
    let mut db = house.app.db(&person).await.unwrap();
    assert!(plan.apply(&mut db, &person.actor(), &AtomicUsize::new(0)).await.is_err());
    assert_eq!(servers(&house).await, before);
    house.db.batch_execute("update servers set port = 9100 where name = 'db'").await.unwrap();
    plan.apply(&mut db, &person.actor(), &AtomicUsize::new(0)).await.unwrap();
    assert_eq!(house.count("servers where address in ('10.0.0.20', '10.0.0.9')").await, 2);
}
