//! Owners: admins make, change and remove them; their people look at them.

use crate::alertmanager::alert;
use crate::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn root_adds_an_owner_by_the_form() {
    let house = House::new().await;
    let root = house.root();
    let form = root.get("/owners/new").await.expect(200);
    let made = root
        .presses(&form, "Add owner", &[("name", " Westwind "), ("external_id", "13"), ("comment", "new")])
        .await
        .leads_to();
    let page = root.get(&made).await.expect(200);
    assert_eq!(page.one("h1"), "Westwind");
    assert!(page.flash().starts_with("Westwind is added."));
    assert!(page.all("dd code").contains(&"13".to_owned()));
    assert_eq!(root.get("/owners").await.rows(), ["Nordwind", "Südstern", "Westwind"]);
    // without an external id one is made
    root.does("/owners", &[("name", "Ostwind")]).await;
    assert_eq!(house.count("owners where name = 'Ostwind' and length(external_id) = 10").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_fields_have_messages_and_keep_what_was_typed() {
    let house = House::new().await;
    let root = house.root();
    let taken = root.post("/owners", &[("name", "Westwind"), ("external_id", "11")]).await.expect(422);
    assert_eq!(taken.error_at("external_id"), "Another owner has this external id.");
    assert_eq!(
        (taken.typed("name"), taken.typed("external_id"), taken.errors()),
        ("Westwind".into(), "11".into(), 1)
    );
    let empty = root.post("/owners", &[("name", " "), ("comment", "kept")]).await.expect(422);
    assert_eq!((empty.error_at("name"), empty.typed("comment")), ("Give a name.".into(), "kept".into()));
    let long = root.post("/owners", &[("name", &"x".repeat(201)), ("external_id", "a\nb")]).await.expect(422);
    assert_eq!((long.errors(), long.typed("name").len()), (2, 201));
    let path = format!("/owners/{}", house.nordwind);
    let edited = root.post(&path, &[("name", "Nordwind"), ("external_id", "12")]).await.expect(422);
    assert_eq!(
        (edited.one("h1"), edited.error_at("external_id")),
        ("Edit Nordwind".into(), "Another owner has this external id.".into())
    );
    assert_eq!(house.count("owners").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_edited() {
    let house = House::new().await;
    let (root, path) = (house.root(), format!("/owners/{}", house.nordwind));
    let form = root.get(&format!("{path}/edit")).await.expect(200);
    assert_eq!((form.typed("name"), form.typed("external_id")), ("Nordwind".into(), "11".into()));
    let to = root.presses(&form, "Save", &[("name", "Nordwind AG"), ("external_id", "")]).await.leads_to();
    assert_eq!(root.get(&to).await.expect(200).flash(), "Nordwind AG is saved.");
    assert_eq!(house.column("select external_id from owners where name = 'Nordwind AG'").await, ["11"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_an_owner_hides_it_and_can_be_undone() {
    let house = House::new().await;
    let (root, alice, path) = (house.root(), house.alice(), format!("/owners/{}", house.nordwind));
    let server = format!("/servers/{}", house.server(house.nordwind, "7", "web", "10.0.0.5").await);
    house.told(&[alert("7")]).await;
    let page = root.get(&path).await;
    let list = root.get(&root.presses(&page, "Remove owner", &[]).await.leads_to()).await;
    assert!(list.flash().starts_with("Nordwind is removed"));
    assert_eq!(list.rows(), ["Südstern"]);
    for gone in [path.clone(), format!("{path}/edit"), server.clone()] {
        root.get(&gone).await.expect(404);
        alice.get(&gone).await.expect(404);
    }
    assert!(alice.get("/alerts").await.expect(200).rows().is_empty());
    assert!(alice.get("/servers").await.expect(200).rows().is_empty());
    assert_eq!(root.get("/alerts").await.rows().len(), 1);
    assert!(root.get("/servers").await.rows().is_empty());
    let back = root.presses(&list, "Undo", &[]).await.leads_to();
    assert_eq!(root.get(&back).await.expect(200).flash(), "Nordwind is back.");
    alice.get(&server).await.expect(200);
    assert_eq!(alice.get("/alerts").await.rows().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_says_why_not_when_the_external_id_was_given_away() {
    let house = House::new().await;
    let (root, path) = (house.root(), format!("/owners/{}", house.nordwind));
    let removed = root.does(&format!("{path}/removal"), &[]).await;
    root.does("/owners", &[("name", "Nachfolger"), ("external_id", "11")]).await;
    let refused = root.presses(&removed, "Undo", &[]).await.expect(409);
    assert!(
        refused.one(".fault p:not(.status):not(.actions)").contains("Another owner has its external id now")
    );
    assert_eq!(root.get("/owners").await.rows(), ["Nachfolger", "Südstern"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_searched_and_paged() {
    let house = House::new().await;
    house.db.batch_execute(
        "insert into owners (external_id, name) select 'x' || n, case when n % 2 = 0 then 'kunde ' else 'Kunde ' end || n from generate_series(100, 219) n",
    ).await.unwrap();
    let root = house.root();
    let (mut seen, mut at) = (Vec::new(), "/owners".to_owned());
    loop {
        let page = root.get(&at).await.expect(200);
        seen.extend(page.rows());
        let Some(next) = page.attrs("a[rel=next]", "href").pop() else {
            break;
        };
        at = next;
    }
    assert_eq!((seen.len(), seen[0].as_str(), seen[121].as_str()), (122, "kunde 100", "Südstern"));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 122);
    for (query, found) in [
        ("q=NORD", vec!["Nordwind"]),
        ("q=x105", vec!["Kunde 105"]),
        ("q=%25", vec![]),
        ("q=s%C3%BCd", vec!["Südstern"]),
    ] {
        assert_eq!(root.get(&format!("/owners?{query}")).await.expect(200).rows(), found, "{query}");
    }
    assert_eq!(root.fragment("/owners?q=nord").await.rows(), ["Nordwind"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn its_people_look_at_an_owner_and_others_find_nothing() {
    let house = House::new().await;
    let path = format!("/owners/{}", house.nordwind);
    for person in [house.alice(), house.bob()] {
        let page = person.get(&path).await.expect(200);
        assert_eq!(page.one("h1"), "Nordwind");
        assert!(!page.offers("Edit") && !page.offers("Remove owner"));
        assert_eq!(person.get("/owners").await.expect(200).rows(), ["Nordwind"]);
    }
    assert!(house.alice().get(&path).await.offers("Add server"));
    assert!(!house.bob().get(&path).await.offers("Add server"));
    house.charlie().get(&path).await.expect(404);
    house.root().get("/owners/9999").await.expect(404);
    house.root().get("/owners/x").await.expect(404);
    assert_eq!(
        house.anyone().get(&path).await.leads_to(),
        format!("/login?next={}", path.replace('/', "%2F"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn for_all_but_admins_there_is_no_way_to_change_an_owner() {
    let house = House::new().await;
    let path = format!("/owners/{}", house.nordwind);
    for person in [house.alice(), house.bob(), house.charlie()] {
        person.get("/owners/new").await.expect(404);
        person.get(&format!("{path}/edit")).await.expect(404);
        person.post("/owners", &[("name", "Mine")]).await.expect(404);
        person.post(&path, &[("name", "Mine")]).await.expect(404);
        person.post(&format!("{path}/removal"), &[]).await.expect(404);
        person.post(&format!("{path}/restoration"), &[]).await.expect(404);
    }
    assert_eq!(house.column("select name from owners order by id").await, ["Nordwind", "Südstern"]);
}
