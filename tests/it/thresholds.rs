//! Thresholds in their three layers.

use crate::house::House;
use crate::page::Page;
use crate::person::Person;

const CPU: &str = "tr#cpu_threshold_exceeded-warning";

fn cpu<'a>(value: &'a str, hold: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("rule", "cpu_threshold_exceeded"),
        ("severity", "warning"),
        ("value", value),
        ("hold", hold),
        ("enabled", "true"),
    ]
}

fn of<'a>(mut form: Vec<(&'a str, &'a str)>, owner: &'a str, server: &'a str) -> Vec<(&'a str, &'a str)> {
    form.extend([("owner_id", owner), ("server_id", server)]);
    form
}

/// The value, the hold and the source of the CPU's warning on a page where it can be edited.
fn shown(page: &Page) -> (String, String, String) {
    let value = |name: &str| page.attrs(&format!("{CPU} input[name={name}]"), "value").remove(0);
    (value("value"), value("hold"), page.one(&format!("{CPU} td.source")))
}

/// The same, as the server's page says it.
async fn effective(person: &Person, server: i64) -> (String, String) {
    let page = person.get(&format!("/servers/{server}")).await.expect(200);
    let rows = page.all("section[aria-labelledby=thresholds] tbody tr");
    let row = rows.iter().position(|row| row.starts_with("High CPU use warning")).unwrap() + 1;
    let cell = |css: &str| {
        page.one(&format!("section[aria-labelledby=thresholds] tbody tr:nth-child({row}) td{css}"))
    };
    (cell(":nth-child(2)").split("for ").next().unwrap_or_default().trim().to_owned(), cell(".from a"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_narrowest_layer_wins_and_a_reset_lets_the_wider_one_through() {
    let house = House::new().await;
    let server = house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    let (root, alice) = (house.root(), house.alice());
    let (owner_page, server_page) = (
        format!("/thresholds?owner={}", house.nordwind),
        format!("/thresholds?owner={}&server={server}", house.nordwind),
    );
    assert_eq!(
        shown(&alice.get(&server_page).await.expect(200)),
        ("85".into(), "5m".into(), "Built in".into())
    );

    let defaults = root.get("/thresholds").await.expect(200);
    let set = root.presses(&defaults, "Save High CPU use, warning", &[("value", "70")]).await.leads_to();
    assert_eq!(shown(&root.get(&set).await), ("70".into(), "5m".into(), "Default".into()));
    assert_eq!(shown(&alice.get(&server_page).await), ("70".into(), "5m".into(), "Default".into()));

    let page = alice.get(&owner_page).await.expect(200);
    let page = alice
        .get(
            &alice
                .presses(&page, "Save High CPU use, warning", &[("value", "60"), ("hold", "90s")])
                .await
                .leads_to(),
        )
        .await;
    assert_eq!(page.flash(), "High CPU use (warning) for Nordwind: above 60 % for 1m30s");
    assert_eq!(shown(&page), ("60".into(), "1m30s".into(), "Nordwind".into()));
    assert_eq!(shown(&alice.get(&server_page).await), ("60".into(), "1m30s".into(), "Nordwind".into()));

    let page = alice.get(&server_page).await;
    let page = alice
        .get(&alice.presses(&page, "Save High CPU use, warning", &[("value", "50,5")]).await.leads_to())
        .await;
    assert_eq!(shown(&page), ("50.5".into(), "1m30s".into(), "This server".into()));
    assert_eq!(effective(&alice, server).await, ("above 50.5 %".into(), "This server".into()));
    // the owner's page does not know of it
    assert_eq!(shown(&alice.get(&owner_page).await).0, "60");

    let page = alice.get(&server_page).await;
    let to =
        alice.presses(&page, "Reset High CPU use, warning to above 60 % for 1m30s", &[]).await.leads_to();
    assert_eq!(shown(&alice.get(&to).await), ("60".into(), "1m30s".into(), "Nordwind".into()));
    let page = alice.get(&owner_page).await;
    alice.presses(&page, "Reset High CPU use, warning to above 70 % for 5m", &[]).await.leads_to();
    let page = root.get("/thresholds").await;
    root.presses(&page, "Reset High CPU use, warning to above 85 % for 5m", &[]).await.leads_to();
    assert_eq!(effective(&alice, server).await, ("above 85 %".into(), "Built in".into()));
    assert_eq!(house.count("thresholds").await, 0);
    assert_eq!(house.count("pending_changes").await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn off_is_a_setting_too() {
    let house = House::new().await;
    let server = house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    let alice = house.alice();
    // a box that is not ticked is not sent
    let form = [("rule", "service_down"), ("severity", "critical"), ("hold", "1m"), ("owner_id", "101")];
    let page = alice.does("/thresholds", &form).await;
    assert_eq!(page.flash(), "Down (critical) for Nordwind: off");
    let rows = alice
        .get(&format!("/servers/{server}"))
        .await
        .all("section[aria-labelledby=thresholds] tbody tr.past");
    assert!(rows.contains(&"Down critical off Nordwind alice, just now".to_owned()), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_out_of_bounds_is_said_in_its_row_and_stays_there() {
    let house = House::new().await;
    let alice = house.alice();
    for value in ["0", "101", "-5", "", "many", "NaN", "inf", "1e9"] {
        let page = alice.post("/thresholds", &of(cpu(value, "5m"), "101", "")).await.expect(422);
        assert_eq!(page.one(&format!("{CPU} .error")), "A number from 1 to 100.", "{value}");
        assert_eq!((shown(&page).0, page.errors()), (value.to_owned(), 1));
    }
    for hold in ["", "5", "5 minutes", "-5m", "8d", "1s1h", "99999999999d"] {
        let page = alice.post("/thresholds", &of(cpu("80", hold), "101", "")).await.expect(422);
        assert!(page.one(&format!("{CPU} .error")).starts_with("A duration such as"), "{hold}");
        assert_eq!((shown(&page).1, page.errors()), (hold.to_owned(), 1));
    }
    let both = alice.post("/thresholds", &of(cpu("x", "y"), "101", "")).await.expect(422);
    assert_eq!(both.errors(), 2);
    assert_eq!((house.count("thresholds").await, house.count("pending_changes").await), (0, 0));
    for good in [("1", "0s"), ("100", "7d"), ("99.5", "1h30m")] {
        alice.does("/thresholds", &of(cpu(good.0, good.1), "101", "")).await;
    }
    assert_eq!(house.column("select value || ' ' || hold_seconds from thresholds").await, ["99.5 5400"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_or_severity_that_does_not_exist_is_refused() {
    let house = House::new().await;
    for (rule, severity) in [("nonsense", "warning"), ("cpu_threshold_exceeded", "dire"), ("", "")] {
        let form =
            [("rule", rule), ("severity", severity), ("value", "80"), ("hold", "5m"), ("owner_id", "101")];
        house.alice().post("/thresholds", &form).await.expect(422);
        house.alice().post("/thresholds/reset", &form).await.expect(422);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_them_and_changes_none() {
    let house = House::new().await;
    let server = house.server(house.nordwind, "7", "web", "10.0.0.5").await.to_string();
    let bob = house.bob();
    let page = bob.get("/thresholds?owner=101").await.expect(200);
    assert!(
        page.has(CPU) && !page.has(&format!("{CPU} input")) && !page.offers("Save High CPU use, warning")
    );
    for (owner, server) in [("", ""), ("101", ""), ("101", server.as_str()), ("", server.as_str())] {
        bob.post("/thresholds", &of(cpu("80", "5m"), owner, server)).await.expect(403);
        bob.post("/thresholds/reset", &of(cpu("80", "5m"), owner, server)).await.expect(403);
    }
    assert_eq!(house.count("thresholds").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_sets_neither_the_defaults_nor_another_s() {
    let house = House::new().await;
    let theirs = house.server(house.nordwind, "7", "web", "10.0.0.5").await.to_string();
    let charlie = house.charlie();
    charlie.post("/thresholds", &cpu("80", "5m")).await.expect(403);
    charlie.post("/thresholds/reset", &cpu("80", "5m")).await.expect(403);
    // not even by naming one's own owner with another's server
    for (owner, server) in [
        ("101", ""),
        ("101", theirs.as_str()),
        ("102", theirs.as_str()),
        ("9999", ""),
        ("x", ""),
        ("102", "9999"),
    ] {
        charlie.post("/thresholds", &of(cpu("80", "5m"), owner, server)).await.expect(404);
        charlie.post("/thresholds/reset", &of(cpu("80", "5m"), owner, server)).await.expect(404);
        charlie.get(&format!("/thresholds?owner={owner}&server={server}")).await.expect(404);
    }
    // without asking for one, charlie sees the own owner's, and no choice of others
    let page = charlie.get("/thresholds").await.expect(200);
    assert_eq!((page.one("caption"), page.has("select[name=owner]")), ("Thresholds: Südstern".into(), false));
    assert_eq!(house.count("thresholds").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_charlie_sets_is_charlie_s_alone() {
    let house = House::new().await;
    let ours = house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    let theirs = house.server(house.suedstern, "7", "mail", "10.0.0.5").await;
    let server = theirs.to_string();
    house.charlie().does("/thresholds", &of(cpu("40", "5m"), "102", "")).await;
    house.charlie().does("/thresholds", &of(cpu("30", "5m"), "102", &server)).await;
    assert_eq!(effective(&house.charlie(), theirs).await.0, "above 30 %");
    assert_eq!(effective(&house.alice(), ours).await.0, "above 85 %");
    assert_eq!(house.root().get("/owners/102").await.one("a[href='/thresholds?owner=102']"), "look");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_set_the_same_at_the_same_moment_leave_one_row() {
    let house = House::new().await;
    let (one, other) = (house.alice(), house.root());
    for _ in 0..10 {
        let (low, high) = (of(cpu("60", "5m"), "101", ""), of(cpu("90", "5m"), "101", ""));
        let (first, second) = tokio::join!(one.post("/thresholds", &low), other.post("/thresholds", &high));
        for answer in [first, second] {
            assert!(matches!(answer.status, 303 | 409), "{}", answer.status);
        }
        assert_eq!(house.count("thresholds").await, 1);
        house.db.batch_execute("delete from thresholds").await.unwrap();
    }
}
