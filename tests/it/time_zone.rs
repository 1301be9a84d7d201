//! Times are read in the zone that a person chose, on every page.

use crate::house::House;
use crate::strangers::Scene;

/// A zone that nobody mixes up: UTC+05:45.
const KATHMANDU: &str = "Asia/Kathmandu";

async fn choose(house: &House, name: &str, zone: &str) {
    house.db.execute("update users set time_zone = $2 where name = $1", &[&name, &zone]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_is_chosen_from_those_of_the_world() {
    let house = House::new().await;
    let bob = house.bob();
    bob.plant("tz", "Europe/Berlin");
    let page = bob.get("/account").await.expect(200);
    assert_eq!(page.typed("time_zone"), "");
    let zones = page.attrs("select[name=time_zone] option", "value");
    for zone in ["", "UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", KATHMANDU] {
        assert!(zones.iter().any(|known| known == zone), "{zone} is missing");
    }
    assert!(!zones.iter().any(|zone| zone.starts_with("posix") || zone.starts_with("Etc")), "{zones:?}");
    assert!(
        page.one("#f-time_zone-hint").ends_with(" CET.") || page.one("#f-time_zone-hint").ends_with(" CEST.")
    );

    assert_eq!(
        bob.presses(&page, "Save time zone", &[("time_zone", KATHMANDU)]).await.leads_to(),
        "/account"
    );
    let page = bob.get("/account").await.expect(200);
    assert_eq!(page.flash(), "Your time zone is saved.");
    assert_eq!(page.typed("time_zone"), KATHMANDU);
    assert!(page.one("#f-time_zone-hint").ends_with(" +0545."), "{}", page.one("#f-time_zone-hint"));
    // saved again nothing changes; taken back the browser's counts
    bob.presses(&page, "Save time zone", &[]).await.leads_to();
    bob.presses(&page, "Save time zone", &[("time_zone", "")]).await.leads_to();
    assert!(bob.get("/account").await.one("#f-time_zone-hint").contains("CE"));
    assert_eq!(
        house
            .column(
                "select old::text || ' ' || new::text from audit where action = 'user.changed' order by at"
            )
            .await,
        [
            r#"{"time_zone": ""} {"time_zone": "Asia/Kathmandu"}"#,
            r#"{"time_zone": "Asia/Kathmandu"} {"time_zone": ""}"#
        ]
    );
    // and it is bob's alone
    assert_eq!(house.alice().get("/account").await.typed("time_zone"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_zone_is_said_at_the_field() {
    let house = House::new().await;
    for zone in [
        "Nowhere/Atlantis",
        "../../etc/passwd",
        "posix/Europe/Berlin",
        "europe/berlin",
        "Europe/Berlin\0",
        " ",
    ] {
        let page = house.bob().post("/account", &[("time_zone", zone)]).await.expect(422);
        assert_eq!(page.error_at("time_zone"), "Choose one of the list.", "{zone}");
    }
    assert_eq!(house.count("users where time_zone <> ''").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_reads_it() {
    let scene = Scene::new().await;
    let house = &scene.house;
    choose(house, "root", KATHMANDU).await;
    let root = house.root();
    root.plant("tz", "America/New_York");
    let mut times = 0;
    for path in scene.pages() {
        let page = root.get(&path).await.expect(200);
        // those that stand as they are have no other title
        let said = page.all("time:not([title])").into_iter().filter(|said| said.contains(':'));
        for exact in page.attrs("time[title]", "title").into_iter().chain(said) {
            assert!(exact.ends_with(" +0545"), "{path} shows {exact}");
            times += 1;
        }
    }
    assert!(times >= 12, "only {times} times were looked at");
    // also where a part of a page is asked for
    let times = root.fragment("/alerts?state=all").await.expect(200).attrs("time", "title");
    assert!(!times.is_empty() && times.iter().all(|exact| exact.ends_with(" +0545")), "{times:?}");
}
