//! The thresholds in effect on a server's page: where they come from, who set them, and how far the values are.

use crate::house::House;
use crate::page::Page;
use crate::person::Person;
use crate::prometheus::{nobody, wired};

fn cpu<'a>(value: &'a str, owner: &'a str, server: &'a str) -> [(&'a str, &'a str); 7] {
    [
        ("rule", "cpu_threshold_exceeded"),
        ("severity", "warning"),
        ("value", value),
        ("hold", "5m"),
        ("enabled", "true"),
        ("owner_id", owner),
        ("server_id", server),
    ]
}

/// The row of a kind and severity.
fn row(page: &Page, begins: &str) -> String {
    let rows = page.all("#effective tbody tr");
    let found = rows.iter().find(|row| row.starts_with(begins));
    found.unwrap_or_else(|| panic!("no {begins} among {rows:#?}")).clone()
}

async fn now(person: &Person, server: i64) -> Page {
    person.fragment(&format!("/servers/{server}/thresholds")).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_has_a_distance_to_its_threshold() {
    let (house, prometheus) = wired().await;
    let server = house.server(house.nordwind, "a.b\"c", "web", "10.0.0.5").await;
    prometheus.gives(&[
        ("up", None, 1.0),
        ("prommgr:cpu_used:percent", None, 41.26),
        ("prommgr:disk_used:percent", Some(("mountpoint", "/")), 40.0),
        ("prommgr:disk_used:percent", Some(("mountpoint", "/srv")), 98.5),
        ("prommgr:disk_left:hours", Some(("mountpoint", "/srv")), 1.5),
        ("node_filesystem_avail_bytes", None, 3.0),
        ("node_memory_MemAvailable", None, 1.0),
        ("node_cpu", None, 1.0),
        ("node_time_seconds", None, 1.0),
    ]);
    let alice = house.alice();
    let path = format!("/servers/{server}/thresholds");
    // it comes after the page, and by a link without scripts
    let page = alice.get(&format!("/servers/{server}")).await.expect(200);
    assert_eq!(page.attrs("#effective", "hx-get"), [path.as_str()]);
    assert_eq!(page.attrs("#effective", "hx-trigger"), ["load"]);
    assert!(page.offers("How far its values are from them"));
    assert!(prometheus.asked_now().is_empty(), "the page asks Prometheus nothing");
    assert_eq!(row(&page, "High CPU use"), "High CPU use warning above 85 % for 5m Built in");
    let whole = alice.get(&path).await.expect(200);
    assert_eq!((whole.one("h1"), whole.one("#effective h2")), ("web".into(), "Thresholds in effect".into()));
    prometheus.asked_now();
    let part = now(&house.bob(), server).await;
    assert!(!part.has("h1") && !part.offers("How far its values are from them"));
    assert_eq!(part.attrs("#effective", "hx-trigger"), ["every 60s"]);
    let cells = |begins: &str| row(&part, begins);
    assert!(cells("High CPU use").contains("41.3 % 43.7 % away Built in"), "{}", cells("High CPU use"));
    assert!(
        cells("Disk almost full").contains("98.5 % at /srv 3.5 % beyond Built in"),
        "{}",
        cells("Disk almost full")
    );
    assert!(
        cells("Disk fills up").contains("1.5 h at /srv 2.5 h beyond Built in"),
        "{}",
        cells("Disk fills up")
    );
    assert!(cells("Down").contains("up Built in"), "{}", cells("Down"));
    assert_eq!(part.all("#effective .state.critical").len() + part.all("#effective .state.warning").len(), 2);
    // of nobody but that server of that owner
    let asked = prometheus.asked_now();
    assert_eq!(asked.len(), 2);
    for query in asked {
        assert!(query.contains(r#",cloudnet_owner_id="11",cloudnet_server_id="a.b\"c"}"#), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_can_never_fire_says_so() {
    let (house, prometheus) = wired().await;
    let server = house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    let load = "High load";
    let never = "It can never fire: the server gives no node_load5.";
    let others = ("node_cpu", None, 1.0);
    prometheus.gives(&[("up", None, 1.0), others]);
    let page = now(&house.alice(), server).await;
    assert!(row(&page, load).contains(never), "{}", row(&page, load));
    assert!(!row(&page, "High CPU use").contains("never"), "by its old name");
    assert!(!row(&page, "Down").contains("never"));
    prometheus.gives(&[("up", None, 1.0), others, ("node_load5", None, 1.0)]);
    assert!(!row(&now(&house.alice(), server).await, load).contains("never"));
    // where it is not reached, nothing is known of what it would give
    prometheus.gives(&[("up", None, 0.0)]);
    let page = now(&house.alice(), server).await;
    assert!(!row(&page, load).contains("never"));
    assert!(row(&page, "Down").contains("down exceeded"), "{}", row(&page, "Down"));
    prometheus.gives(&[]);
    let page = now(&house.alice(), server).await;
    assert_eq!(page.all("#effective .note")[0], "Prometheus has nothing of this server now.");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_set_it_is_said_and_the_staff_is_the_staff() {
    let house = House::new().await;
    let id = house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    let (server, page) = (id.to_string(), format!("/servers/{id}"));
    let (root, alice, bob) = (house.root(), house.alice(), house.bob());
    let of = async |person: &Person| row(&person.get(&page).await.expect(200), "High CPU use warning");
    root.does("/thresholds", &cpu("70", "", "")).await;
    assert!(of(&root).await.ends_with("Default root, just now"), "{}", of(&root).await);
    assert!(of(&alice).await.ends_with("Default Staff, just now"), "{}", of(&alice).await);
    root.does("/thresholds", &cpu("60", "101", "")).await;
    assert!(of(&root).await.ends_with("Nordwind root, just now"));
    assert!(of(&bob).await.ends_with("Nordwind Staff, just now"));
    // a colleague of alice's who is one of the staff stays the staff
    house.db.batch_execute("insert into memberships (user_id, owner_id, role) select id, 101, 'viewer' from users where name = 'root'").await.unwrap();
    assert!(of(&alice).await.ends_with("Nordwind Staff, just now"));
    alice.does("/thresholds", &cpu("50", "101", &server)).await;
    for person in [&root, &alice, &bob] {
        assert!(of(person).await.ends_with("This server alice, just now"));
    }
    // also when she is gone
    house
        .db
        .batch_execute("delete from memberships where user_id in (select id from users where name = 'alice')")
        .await
        .unwrap();
    assert!(of(&bob).await.ends_with("This server alice, just now"));
    // each leads to its row
    let links = root.get(&page).await.attrs("#effective tbody tr:nth-child(2) .from a", "href");
    assert_eq!(links, [format!("/thresholds?owner=101&server={id}#cpu_threshold_exceeded-warning")]);
    // what is off and nobody set is told in one line
    let off = root.get(&page).await.one("#effective .note");
    assert_eq!(off, "Off: High swap use, Service failed, Rebooted.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_that_is_away_is_a_calm_sentence() {
    let at = nobody().await;
    let house = House::with(|settings| settings.prometheus_url = Some(at.clone())).await;
    let server = house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    let why = async |person: &Person| now(person, server).await.all("#effective .note").remove(0);
    assert_eq!(
        why(&house.alice()).await,
        "Prometheus does not answer just now, so its values are not shown."
    );
    let said = why(&house.root()).await;
    assert!(said.contains(&format!("Prometheus at {at}/ cannot be reached")), "{said}");
    assert_eq!(
        row(&now(&house.alice(), server).await, "High CPU use"),
        "High CPU use warning above 85 % for 5m Built in"
    );
}
