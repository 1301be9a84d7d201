//! Rule kinds that admins make: what is taken, what is made of them, and how they go.

use crate::alertmanager::alert;
use crate::house::House;
use crate::page::Page;
use crate::person::Person;
use crate::prometheus::{Prometheus, nobody, publish, wired};

const PAGE: &str = "/thresholds/kinds";
const NAME: &str = "apt_updates_pending";

/// A good one, with some fields filled in otherwise.
fn form<'a>(other: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut form = vec![
        ("name", NAME),
        ("title", "Updates pending"),
        ("description", "How many packages could be newer."),
        ("unit", "packages"),
        ("direction", "above"),
        ("promql", "sum without (origin, arch) (apt_upgrades_pending)"),
        ("min", "1"),
        ("max", "5000"),
        ("warning_value", "50"),
        ("warning_hold", "1h"),
        ("warning_enabled", "true"),
        ("critical_value", "500,5"),
        ("critical_hold", "1d"),
        ("summary", "{{ $labels.instance }} could have {{ printf \"%.0f\" $value }} updates"),
    ];
    for (name, value) in other {
        form.retain(|(field, _)| field != name);
        form.push((name, value));
    }
    form
}

async fn made() -> (House, Prometheus) {
    let (house, prometheus) = wired().await;
    prometheus.sees(&[("11", "7", true)]);
    let page = house.root().does(PAGE, &form(&[])).await;
    assert_eq!(
        page.flash(),
        "Updates pending is added. Prometheus has 1 value of it now, from 1 to 1. Publish it to bring it into force."
    );
    assert_eq!(prometheus.tried(), ["sum without (origin, arch) (apt_upgrades_pending)"]);
    (house, prometheus)
}

fn rules(house: &House) -> String {
    std::fs::read_to_string(house.prom.join("rules/own-apt_updates_pending.yml")).unwrap()
}

async fn set(person: &Person, owner: &str, value: &str) -> Page {
    let form = [
        ("rule", NAME),
        ("severity", "warning"),
        ("value", value),
        ("hold", "5m"),
        ("enabled", "true"),
        ("owner_id", owner),
    ];
    person.post("/thresholds", &form).await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_a_kind_as_the_others_are() {
    let (house, prometheus) = made().await;
    let server = house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    let (root, alice) = (house.root(), house.alice());
    assert_eq!(
        house.column("select concat_ws(' | ', action, object, user_name, new->>'critical') from audit").await,
        ["rule_kind.added | apt_updates_pending | root | 500.5 for 1d, off"]
    );
    // customers set it, within its bounds
    let page = alice.get("/thresholds?owner=101").await.expect(200);
    let row = "tr#apt_updates_pending-warning input[name=value]";
    assert_eq!(page.attrs(row, "value"), ["50"]);
    let refused = set(&alice, "101", "5001").await.expect(422);
    assert_eq!(refused.one("tr#apt_updates_pending-warning .error"), "A number from 1 to 5000.");
    set(&alice, "101", "20").await.leads_to();
    let page = alice.get(&format!("/servers/{server}")).await.expect(200);
    assert!(
        page.all("#effective tbody tr").concat().contains("Updates pending warning above 20 packages for 5m"),
        "{:?}",
        page.all("#effective tbody tr")
    );
    assert_eq!(root.get("/thresholds/matrix").await.one(".matrix tbody td p a"), "above 20 packages for 5m");
    // it is published, and the same gives the same bytes
    let preview = root.get("/publications").await.expect(200);
    assert!(preview.text.contains("Rule kind Updates pending: added"), "{}", preview.text);
    publish(&root).await;
    let text = rules(&house);
    assert!(text.contains("record: prommgr:own:apt_updates_pending"), "{text}");
    assert!(text.contains("expr: sum without (origin, arch) (apt_upgrades_pending)"), "{text}");
    assert!(text.contains("(prommgr:own:apt_updates_pending{cloudnet_owner_id=\"11\"} > 20)"), "{text}");
    assert!(text.contains("alert: apt_updates_pending"), "{text}");
    assert_eq!(
        root.get("/publications").await.one("section.next .verdict"),
        "Nothing waits to be published."
    );
    // what fires is called by its title, and drawn
    let told = alert("7").rule(NAME).severity("warning");
    house.told(&[told]).await;
    let list = alice.get("/alerts").await.expect(200);
    assert_eq!(list.rows(), ["Updates pending"], "{:?}", list.all("main"));
    assert!(list.options("rule").contains(&"Updates pending".to_owned()));
    let id = house.column("select id::text from alerts").await.remove(0);
    prometheus.asked();
    alice.get(&format!("/alerts/{id}/value")).await.expect(200);
    assert!(
        prometheus.asked()[0]["query"].contains("(prommgr:own:apt_updates_pending{cloudnet_owner_id=\"11\"")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_at_its_field_and_nothing_is_saved() {
    let (house, prometheus) = wired().await;
    prometheus.sees(&[("11", "7", true)]);
    let root = house.root();
    for (field, value, why) in [
        ("name", "Apt", "3 to 60 of a to z"),
        ("name", "../../x", "3 to 60 of a to z"),
        ("name", "service_down", "one of this name already"),
        ("name", "prommgr_heartbeat", "one of this name already"),
        ("title", "", "Give a name."),
        ("description", "{{ range }}", "leave {{ out"),
        ("promql", "sum(", "It is no PromQL"),
        ("promql", "sum(apt_upgrades_pending)", "keep owners and servers apart"),
        ("promql", "vector(1)", "no server"),
        ("min", "5000", ""),
        ("max", "many", "A number, more than the least."),
        ("warning_value", "0", "A number from 1 to 5000."),
        ("critical_hold", "1 day", "A duration such as"),
        ("summary", "{{ query \"up\" }}", "no other template"),
    ] {
        let page = root.post(PAGE, &form(&[(field, value)])).await.expect(422);
        if field != "min" {
            assert!(page.error_at(field).contains(why), "{field}: {}", page.error_at(field));
        }
        assert_eq!(page.typed(field), value);
    }
    assert!(prometheus.tried().is_empty(), "what is wrong by itself is not tried");
    prometheus.rejects(Some("found duplicate series for the match group"));
    let page = root.post(PAGE, &form(&[])).await.expect(422);
    assert_eq!(page.error_at("promql"), "Prometheus refuses it: found duplicate series for the match group.");
    prometheus.rejects(None);
    // what Prometheus gives of no server, such as of itself
    prometheus.sees(&[("11", "7", true), ("", "", true)]);
    let page = root.post(PAGE, &form(&[])).await.expect(422);
    assert!(page.error_at("promql").contains("It gives a series without cloudnet_owner_id"));
    assert!(page.typed("promql").starts_with("sum without"));
    let away = nobody().await;
    let twin = house.twin_with(|settings| settings.prometheus_url = Some(away));
    let later = Person::new(&twin);
    later.plant("prommgr", &root.cookie("prommgr"));
    let page = later.post(PAGE, &form(&[])).await.expect(422);
    assert!(page.error_at("promql").starts_with("It is tried on Prometheus before it is saved"));
    assert_eq!(house.count("rule_kinds").await + house.count("audit").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_changed_but_for_its_name() {
    let (house, prometheus) = made().await;
    let root = house.root();
    let path = format!("{PAGE}/{NAME}");
    let page = root.get(&path).await.expect(200);
    assert!(!page.has("[name=name]"));
    assert_eq!((page.typed("critical_value"), page.typed("warning_hold")), ("500.5".into(), "1h".into()));
    // what was taken is not tried again for another title
    prometheus.rejects(Some("no"));
    root.presses(&page, "Save", &[("title", "Old packages"), ("name", "other")]).await.leads_to();
    assert_eq!(
        house.column("select name || ' ' || title from rule_kinds").await,
        ["apt_updates_pending Old packages"]
    );
    root.post(&path, &form(&[("promql", "apt_upgrades_pending")])).await.expect(422);
    root.presses(&root.get(&path).await, "Save", &[]).await.leads_to();
    assert_eq!(house.count("audit where action = 'rule_kind.changed'").await, 1);
    let twice = root.post(PAGE, &form(&[])).await.expect(422);
    assert!(twice.error_at("promql").starts_with("Prometheus refuses it"));
    prometheus.rejects(None);
    let twice = root.post(PAGE, &form(&[])).await.expect(422);
    assert!(twice.error_at("name").starts_with("There is one of this name"));
    root.get(&format!("{PAGE}/service_down")).await.expect(404);
    root.post(&format!("{PAGE}/nothing"), &form(&[])).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_used_is_retired_and_another_deleted() {
    let (house, _prometheus) = made().await;
    let root = house.root();
    set(&root, "101", "20").await.leads_to();
    publish(&root).await;
    let removal = format!("{PAGE}/{NAME}/removal");
    let page = root.does(&removal, &[]).await;
    assert!(page.flash().contains("it is retired"), "{}", page.flash());
    assert!(!root.get("/thresholds").await.has("tr#apt_updates_pending-warning"));
    assert_eq!(house.count("thresholds").await, 1);
    set(&root, "101", "30").await.expect(422);
    publish(&root).await;
    assert_eq!(rules(&house), "groups: []\n");
    let page = root.get(PAGE).await.expect(200);
    root.presses(&page, "Bring Updates pending back", &[]).await.leads_to();
    publish(&root).await;
    assert!(rules(&house).contains("> 20)"));
    // an open alert keeps it, too
    house.db.batch_execute("delete from thresholds").await.unwrap();
    house.told(&[alert("7").rule(NAME)]).await;
    root.does(&removal, &[]).await;
    assert_eq!(house.count("rule_kinds where retired_at is not null").await, 1);
    house.db.batch_execute("update alerts set ended_at = now(), close_reason = 'resolved'").await.unwrap();
    assert_eq!(root.does(&removal, &[]).await.flash(), "apt_updates_pending is deleted.");
    assert_eq!(house.count("rule_kinds").await, 0);
    root.post(&removal, &[]).await.expect(404);
    root.post(&format!("{PAGE}/{NAME}/restoration"), &[]).await.expect(404);
    assert_eq!(
        house.column("select action from audit where action like 'rule_kind%' order by at, id").await,
        ["added", "retired", "restored", "retired", "removed"].map(|what| format!("rule_kind.{what}"))
    );
}
