//! Filters of the history that people give names.

use futures_util::future::join_all;

use crate::alerts::busy;
use crate::house::House;
use crate::page::Page;
use crate::person::Person;

async fn save(person: &Person, name: &str, filters: &[(&'static str, &str)]) -> Page {
    let mut form = vec![("name", name)];
    form.extend(filters);
    person.post("/alerts/filters", &form).await
}

async fn names(person: &Person) -> Vec<String> {
    person.get("/alerts").await.expect(200).all(".shortcuts a.chip")
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_saved_found_renamed_and_removed() {
    let (house, _) = busy().await;
    let alice = house.alice();
    assert!(!alice.get("/alerts").await.has(".shortcuts"));
    let list = "/alerts?q=nord-web%26&state=open&severity=critical&group=rule";
    let page = alice.get(list).await.expect(200);
    assert_eq!(page.all(".shortcuts a"), ["Save these filters"]);
    let form = alice.get(&page.attrs(".shortcuts a", "href")[0]).await.expect(200);
    assert_eq!(form.one("form.form > p"), "“nord-web&” · Open · Critical · By alert");
    let sent = alice.presses(&form, "Save filters", &[("name", " Down ")]).await;
    assert_eq!(sent.leads_to(), list);
    let page = alice.get(list).await.expect(200);
    assert_eq!(page.flash(), "Saved as Down: it stands above the list.");
    assert_eq!(page.all(".shortcuts a"), ["Down", "Edit saved filters"]);
    assert_eq!(page.attrs(".shortcuts a[aria-current=page]", "href"), [list]);
    // from anywhere else, also from a part of the page, it leads there
    let other = alice.fragment("/alerts?state=closed").await;
    assert_eq!(other.all(".shortcuts a"), ["Down", "Save these filters", "Edit saved filters"]);
    assert!(!other.has(".shortcuts [aria-current]"));
    save(&alice, "archive", &[("state", "closed")]).await.leads_to();
    assert_eq!(names(&alice).await, ["archive", "Down"]);
    assert_eq!(
        alice.get(&alice.get("/alerts").await.attrs(".shortcuts a.chip", "href")[0]).await.rows(),
        ["High CPU use", "Down"]
    );
    let page = alice.get("/alerts/filters").await.expect(200);
    assert_eq!(page.all(".kept .under"), ["Closed", "“nord-web&” · Open · Critical · By alert"]);
    assert!(!page.offers("Save filters"));
    let taken = alice.presses(&page, "Rename archive", &[("name", "Down")]).await.expect(422);
    assert_eq!(taken.one(".kept .error"), "You have saved filters of this name already.");
    assert_eq!(taken.attrs("[aria-invalid=true]", "value"), ["Down"]);
    assert_eq!(taken.all(".kept p > a"), ["archive", "Down"]);
    let renamed = alice.presses(&page, "Rename archive", &[("name", "zeroth")]).await.leads_to();
    let page = alice.get(&renamed).await.expect(200);
    assert_eq!(
        (page.flash().as_str(), names(&alice).await),
        ("It is called zeroth now.", vec!["Down".into(), "zeroth".into()])
    );
    let removed = alice.presses(&page, "Remove Down", &[]).await.leads_to();
    assert_eq!(alice.get(&removed).await.flash(), "Down is no longer saved.");
    assert_eq!(names(&alice).await, ["zeroth"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_saved_is_said_at_the_name() {
    let house = House::new().await;
    let alice = house.alice();
    let open = [("state", "open")];
    let long = "x".repeat(61);
    let text = "ä".repeat(400);
    for (name, filters, why) in [
        ("", &open[..], "Give a name."),
        (&long, &open, "At most 60 characters, on one line."),
        ("none", &[], "There is nothing to save: narrow the list first."),
        ("long", &[("q", text.as_str())], "These filters are too long to be saved."),
    ] {
        let page = save(&alice, name, filters).await.expect(422);
        assert_eq!((page.error_at("name"), page.typed("name")), (why.into(), name.into()));
        let kept = page.attrs("form.form input[type=hidden]", "value");
        assert_eq!(kept, filters.iter().map(|(_, value)| *value).collect::<Vec<_>>());
    }
    save(&alice, "mine", &open).await.leads_to();
    let again = save(&alice, "mine", &[("state", "closed")]).await.expect(422);
    assert_eq!(again.error_at("name"), "You have saved filters of this name already.");
    // however many at the same moment
    let more: Vec<String> = (0..25).map(|n| format!("filter {n}")).collect();
    let sent = join_all(more.iter().map(|name| {
        let alice = house.alice();
        async move { save(&alice, name, &[("state", "closed")]).await.status }
    }));
    assert_eq!(sent.await.iter().filter(|status| **status == 303).count(), 19);
    let full = save(&alice, "one more", &open).await.expect(422);
    assert_eq!(full.error_at("name"), "You have 20 already. Remove one first.");
    assert_eq!(names(&alice).await.len(), 20);
    // of one person
    save(&house.bob(), "mine", &open).await.leads_to();
    assert_eq!(house.count("audit").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_has_their_own_and_they_go_with_the_person() {
    let house = House::new().await;
    save(&house.alice(), "mine", &[("state", "open")]).await.leads_to();
    let id = house.column("select id::text from saved_filters").await.remove(0);
    for person in [house.bob(), house.charlie(), house.root()] {
        assert!(
            names(&person).await.is_empty() && !person.get("/alerts/filters").await.text.contains("mine")
        );
        person.post(&format!("/alerts/filters/{id}"), &[("name", "x")]).await.expect(404);
        person.post(&format!("/alerts/filters/{id}/removal"), &[]).await.expect(404);
    }
    assert_eq!(names(&house.alice()).await, ["mine"]);
    let alice = house.id_of("alice").await;
    house.root().does(&format!("/users/{alice}/removal"), &[]).await;
    assert_eq!(house.count("saved_filters").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_who_looks_as_a_customer_neither_shows_nor_changes_theirs() {
    let house = House::new().await;
    let root = house.root();
    save(&root, "all of Südstern", &[("owner", "102")]).await.leads_to();
    let id = house.column("select id::text from saved_filters").await.remove(0);
    root.does("/view", &[("owner", "101")]).await;
    let page = root.get("/alerts?state=open").await.expect(200);
    assert!(!page.has(".shortcuts") && !page.text.contains("Südstern"));
    root.get("/alerts/filters").await.expect(403);
    save(&root, "more", &[("state", "open")]).await.expect(403);
    root.post(&format!("/alerts/filters/{id}"), &[("name", "x")]).await.expect(403);
    root.post(&format!("/alerts/filters/{id}/removal"), &[]).await.expect(403);
    root.does("/view", &[("owner", "")]).await;
    assert_eq!(names(&root).await, ["all of Südstern"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_give_no_rights() {
    let (house, web) = busy().await;
    let charlie = house.charlie();
    house.db.batch_execute("insert into memberships (user_id, owner_id, role) select id, 101, 'viewer' from users where name = 'charlie'").await.unwrap();
    save(&charlie, "by owner", &[("owner", "101")]).await.leads_to();
    save(&charlie, "by server", &[("server", &web.to_string())]).await.leads_to();
    let links = charlie.get("/alerts").await.attrs(".shortcuts a.chip", "href");
    for link in &links {
        assert!(!charlie.get(link).await.expect(200).rows().is_empty());
    }
    house.db.batch_execute("delete from memberships where role = 'viewer' and user_id = (select id from users where name = 'charlie')").await.unwrap();
    let page = charlie.get(&links[0]).await.expect(200);
    assert!(page.rows().is_empty() && !page.text.contains("Nordwind"));
    assert!(!charlie.get(&links[1]).await.expect(404).text.contains("nord-web"));
    let page = charlie.get("/alerts/filters").await.expect(200);
    assert_eq!(page.all(".kept .under"), ["One owner", "One server"]);
    assert!(!page.text.contains("Nordwind") && !page.text.contains("nord-web"));
}
