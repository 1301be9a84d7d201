//! Owners by kinds: what differs from the defaults, and nothing of others.

use crate::house::House;
use crate::page::Page;
use crate::person::Person;

async fn set(person: &Person, rule: &str, severity: &str, value: &str, owner: &str, server: &str) {
    let form = [
        ("rule", rule),
        ("severity", severity),
        ("value", value),
        ("hold", "5m"),
        ("enabled", "true"),
        ("owner_id", owner),
        ("server_id", server),
    ];
    person.does("/thresholds", &form).await;
}

/// The row of an owner, cell by cell.
fn cells(page: &Page, owner: &str) -> Vec<String> {
    let rows = page.all(".matrix tbody th a");
    let row =
        rows.iter().position(|name| name == owner).unwrap_or_else(|| panic!("no {owner}: {rows:?}")) + 1;
    page.all(&format!(".matrix tbody tr:nth-child({row}) td"))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_differs_and_of_whom() {
    let house = House::new().await;
    let (root, cpu) = (house.root(), "cpu_threshold_exceeded");
    let empty = root.get("/thresholds/matrix").await.expect(200);
    assert_eq!(empty.one(".empty .title"), "All as the defaults");
    for n in 1..=5 {
        let id =
            house.server(house.nordwind, &n.to_string(), &format!("web-{n}"), &format!("10.0.0.{n}")).await;
        set(&root, "mem_threshold_exceeded", "critical", "50", "101", &id.to_string()).await;
        set(&root, "mem_threshold_exceeded", "warning", "40", "101", &id.to_string()).await;
    }
    set(&root, cpu, "warning", "70", "", "").await;
    set(&root, cpu, "warning", "60", "101", "").await;
    // the same as the default is no difference
    set(&root, cpu, "warning", "70", "102", "").await;
    let page = root.get("/thresholds/matrix").await.expect(200);
    assert_eq!(
        page.all(".matrix thead th"),
        ["Owner", "High CPU use warning above 70 % for 5m", "High memory use warning above 90 % for 5m"]
    );
    assert_eq!(
        cells(&page, "Nordwind"),
        ["High CPU use warning above 60 % for 5m", "High memory use web-1, web-2, web-3 and 2 more servers"]
    );
    assert_eq!(cells(&page, "Südstern"), ["", ""]);
    assert_eq!(
        page.attrs(".matrix tbody tr:first-child td:nth-child(2) a", "href"),
        ["/thresholds?owner=101"]
    );
    // a server that was removed has none
    house.db.batch_execute("update servers set removed_at = now() where name <> 'web-1'").await.unwrap();
    let page = root.get("/thresholds/matrix").await.expect(200);
    assert_eq!(cells(&page, "Nordwind")[1], "High memory use web-1");
    // searched
    let page = root.get("/thresholds/matrix?q=nord").await.expect(200);
    assert_eq!(page.all(".matrix tbody th a"), ["Nordwind"]);
    assert_eq!(
        root.get("/thresholds/matrix?q=nobody").await.expect(200).one(".empty .title"),
        "Nothing found"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_their_own() {
    let house = House::new().await;
    let root = house.root();
    for (owner, value) in [("101", "61"), ("102", "62")] {
        set(&root, "cpu_threshold_exceeded", "warning", value, owner, "").await;
    }
    let rows = async |person: &Person| {
        person.get("/thresholds/matrix?show=all").await.expect(200).all(".matrix tbody tr")
    };
    assert_eq!(rows(&root).await.len(), 2);
    for person in [house.alice(), house.bob()] {
        assert_eq!(rows(&person).await, ["Nordwind 11 High CPU use warning above 61 % for 5m"]);
    }
    assert_eq!(rows(&house.charlie()).await, ["Südstern 12 High CPU use warning above 62 % for 5m"]);
    // of several owners, both
    house.db.batch_execute("insert into memberships (user_id, owner_id, role) select id, 102, 'viewer' from users where name = 'alice'").await.unwrap();
    let alice = house.another("alice").await;
    assert_eq!(rows(&alice).await.len(), 2);
    assert!(alice.get("/thresholds").await.offers("By owner"));
    assert!(!house.bob().get("/thresholds").await.offers("By owner"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_owners_come_in_pages() {
    let house = House::new().await;
    house
        .db
        .batch_execute(
            "insert into owners (id, external_id, name) select n, 'e' || n, 'Owner ' || n from generate_series(1000, 1119) n; \
             insert into thresholds (rule, severity, owner_id, value, hold_seconds, enabled) \
               select 'cpu_threshold_exceeded', 'warning', n, 50, 60, true from generate_series(1000, 1119, 2) n",
        )
        .await
        .unwrap();
    let root = house.root();
    let mut found = Vec::new();
    let mut next = Some("/thresholds/matrix".to_owned());
    while let Some(path) = next {
        let page = root.get(&path).await.expect(200);
        found.extend(page.all(".matrix tbody th a"));
        next = page.attrs("a[rel=next]", "href").pop();
    }
    let expected: Vec<_> = (1000..1120).step_by(2).map(|n| format!("Owner {n}")).collect();
    assert_eq!(found, expected);
    let all = root.get("/thresholds/matrix?show=all").await.expect(200);
    assert_eq!(all.all(".matrix tbody tr").len(), 50);
    assert!(all.attrs("a[rel=next]", "href")[0].contains("show=all"));
}
