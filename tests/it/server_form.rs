//! What the form of a server takes, and what it says of what it does not take.

use crate::house::House;
use crate::servers::{WEB, but, of};

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_address_is_taken_and_made_canonical() {
    let house = House::new().await;
    let (alice, owner) = (house.alice(), house.nordwind.to_string());
    for (typed, stored, shown) in [
        (" 10.0.0.5 ", "10.0.0.5", "10.0.0.5:9100"),
        ("2001:DB8::0005", "2001:db8::5", "[2001:db8::5]:9100"),
        ("[2001:db8::6]", "2001:db8::6", "[2001:db8::6]:9100"),
        ("Web-1.Example.COM.", "web-1.example.com", "web-1.example.com:9100"),
    ] {
        // a customer's name has to resolve, which this one does nowhere
        let person = if typed.starts_with('W') { house.root() } else { house.alice() };
        let page = person.does("/servers", &of(&owner, &but(&WEB, &[("address", typed)]))).await;
        assert_eq!(page.one("code#url"), format!("http://{shown}/metrics"));
        assert_eq!(house.count(&format!("servers where address = '{stored}'")).await, 1);
    }
    for typed in [
        "",
        "http://10.0.0.5",
        "10.0.0.5:9100",
        "10.0.0.300",
        "127.1",
        "two words",
        "-x.example",
        "a..b",
        "web\0",
        "does-not-resolve.invalid",
        "foo.localhost",
    ] {
        let page = alice.post("/servers", &of(&owner, &but(&WEB, &[("address", typed)]))).await.expect(422);
        assert!(!page.error_at("address").is_empty(), "{typed:?}");
        assert_eq!(page.errors(), 1, "{typed:?}");
    }
    assert_eq!(house.count("servers").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_field_has_its_message_and_keeps_what_was_typed() {
    let house = House::new().await;
    let (alice, owner) = (house.alice(), house.nordwind.to_string());
    for port in ["0", "65536", "-1", "http", "9100.5", "999999999999"] {
        let page = alice.post("/servers", &of(&owner, &but(&WEB, &[("port", port)]))).await.expect(422);
        assert_eq!(page.error_at("port"), "A port is a number from 1 to 65535; node_exporter's is 9100.");
        assert_eq!((page.typed("port"), page.typed("name"), page.errors()), (port.into(), "web".into(), 1));
    }
    let bad = [
        ("name", " "),
        ("address", "http://x"),
        ("port", "0"),
        ("job", ""),
        ("metrics_path", "metrics"),
        ("external_id", "a\nb"),
        ("labels", "__address__=x"),
        ("comment", "<b>kept</b>"),
    ];
    let page = alice.post("/servers", &of(&owner, &bad)).await.expect(422);
    for field in ["name", "address", "port", "job", "metrics_path", "external_id", "labels"] {
        assert!(!page.error_at(field).is_empty());
    }
    assert_eq!(
        (page.typed("address"), page.typed("comment"), page.typed("labels")),
        ("http://x".into(), "<b>kept</b>".into(), "__address__=x".into())
    );
    assert!(page.has("details.section[open]"), "a message stands in what is closed");
    assert!(!page.has("[name=enabled][checked]"), "what was unticked is ticked again");
    assert_eq!((house.count("servers").await, house.count("pending_changes").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_that_give_power_are_refused() {
    let house = House::new().await;
    let (alice, owner) = (house.alice(), house.nordwind.to_string());
    for line in [
        "__scheme__=https",
        "job=x",
        "instance=x",
        "cloudnet_owner_id=12",
        "cloudnet_server_id=1",
        "alertname=x",
        "severity=x",
        "a b=c",
        "rack",
        "a=1\na=2",
    ] {
        let page = alice.post("/servers", &of(&owner, &but(&WEB, &[("labels", line)]))).await.expect(422);
        assert!(!page.error_at("labels").is_empty(), "{line}");
        assert_eq!(page.typed("labels"), line);
    }
    let page =
        alice.does("/servers", &of(&owner, &but(&WEB, &[("labels", "rack = 7\r\n\r\nenv=prod=eu")]))).await;
    assert_eq!(page.all("dd .chip.mono"), ["env=prod=eu", "rack=7"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_there_already_is_said_at_the_address() {
    let house = House::new().await;
    let (alice, owner) = (house.alice(), house.nordwind.to_string());
    house.server(house.nordwind, "1", "old", "10.0.0.5").await;
    let page = alice.post("/servers", &of(&owner, &WEB)).await.expect(422);
    assert_eq!(page.error_at("address"), "This owner already has a server with this address, port and job.");
    assert_eq!(
        (page.typed("address"), page.typed("name"), page.errors()),
        ("10.0.0.5".into(), "web".into(), 1)
    );
    let page = alice
        .post("/servers", &of(&owner, &but(&WEB, &[("address", "10.0.0.6"), ("external_id", "1")])))
        .await
        .expect(422);
    assert_eq!(page.error_at("external_id"), "This owner already has a server with this external id.");
    for other in [("port", "9101"), ("job", "mysql")] {
        alice.does("/servers", &of(&owner, &but(&WEB, &[other]))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_another_owner_s_server_is_fine_and_tells_nothing() {
    let house = House::new().await;
    house.server(house.nordwind, "1", "secret", "10.0.0.5").await;
    let (charlie, owner) = (house.charlie(), house.suedstern.to_string());
    let page = charlie.does("/servers", &of(&owner, &but(&WEB, &[("external_id", "1")]))).await;
    assert_eq!(page.one("h1"), "web");
    assert_eq!(charlie.get("/servers").await.rows(), ["web"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_may_not_point_us_at_ourselves_but_admins_may() {
    let house = House::new().await;
    let (alice, root, owner) = (house.alice(), house.root(), house.nordwind.to_string());
    for address in [
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "fe80::1",
        "0.0.0.0",
        "224.0.0.1",
        "localhost",
    ] {
        let form = but(&WEB, &[("address", address)]);
        let page = alice.post("/servers", &of(&owner, &form)).await.expect(422);
        assert!(page.error_at("address").contains("outside the networks"), "{address}");
        root.does("/servers", &of(&owner, &but(&form, &[("job", address)]))).await;
    }
    // what an admin has given, she may edit around, but not move
    let id = house
        .column("select id::text from servers where address = '127.0.0.1' order by id limit 1")
        .await
        .remove(0);
    let path = format!("/servers/{id}");
    alice.does(&path, &but(&WEB, &[("address", "127.0.0.1"), ("name", "renamed")])).await;
    alice.post(&path, &but(&WEB, &[("address", "127.0.0.2")])).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_networks_for_customers_can_be_set() {
    let house =
        House::with(|settings| settings.customer_networks = Some("203.0.113.0/24, 2001:db8::/32".into()))
            .await;
    let (alice, owner) = (house.alice(), house.nordwind.to_string());
    for address in ["203.0.113.9", "2001:db8::1"] {
        alice.does("/servers", &of(&owner, &but(&WEB, &[("address", address)]))).await;
    }
    alice.post("/servers", &of(&owner, &WEB)).await.expect(422).error_at("address");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_for_another_s_owner_or_for_none_is_refused_alike() {
    let house = House::new().await;
    let alice = house.alice();
    for owner in ["102", "9999", "", "x"] {
        let page = alice.post("/servers", &of(owner, &WEB)).await.expect(422);
        assert_eq!(page.error_at("owner_id"), "Choose an owner.", "{owner:?}");
        assert!(!page.options("owner_id").contains(&"Südstern".to_owned()));
    }
    let root = house.root().get("/servers/new?owner=102").await.expect(200);
    assert_eq!(
        (root.options("owner_id"), root.typed("owner_id")),
        (vec!["Choose an owner".into(), "Nordwind".into(), "Südstern".into()], "102".into())
    );
    assert_eq!(house.count("servers").await, 0);
}
