//! Owners that nobody manages, members that are added twice, and who of the staff invites.

use crate::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn who_is_a_member_already_is_not_added_again() {
    let house = House::new().await;
    let (root, alice) = (house.root(), house.id_of("alice").await);
    let path = format!("/users/{alice}/memberships");
    let refused = root.post(&path, &[("owner", "11"), ("role", "viewer")]).await.expect(422);
    assert_eq!(refused.error_at("owner"), "alice is manager there already: change the role in the list.");
    assert_eq!(refused.typed("owner"), "11");
    assert_eq!(
        house
            .column("select role from memberships m join users u on u.id = user_id where name = 'alice'")
            .await,
        ["manager"]
    );
    assert_eq!(house.count("audit").await, 0);
    root.does(&path, &[("owner", "12"), ("role", "viewer")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_an_owner_without_a_manager_is_told_before() {
    let house = House::new().await;
    let (root, alice, bob) = (house.root(), house.id_of("alice").await, house.id_of("bob").await);
    let (members, person) = ("/owners/101/members", format!("/users/{alice}"));
    let said = "Nobody manages Nordwind then";
    let page = root.get(members).await.expect(200);
    assert!(page.one("#demote").contains(said) && page.one(&format!("#remove-{alice}")).contains(said));
    assert!(!page.one(&format!("#remove-{bob}")).contains(said) && !page.has(".flash"));
    let page = root.get(&person).await.expect(200);
    for dialog in ["#demote-101", "#leave-101", "#disable", "#remove"] {
        assert!(page.one(dialog).contains(said), "{dialog}");
    }
    // with another manager nothing is said, unless that one cannot log in
    house.db.batch_execute("update memberships set role = 'manager' where owner_id = 101").await.unwrap();
    assert!(!root.get(members).await.text.contains(said) && !root.get(&person).await.text.contains(said));
    house.db.batch_execute("update users set disabled_at = now() where name = 'bob'").await.unwrap();
    assert!(root.get(members).await.text.contains(said) && root.get(&person).await.text.contains(said));
    root.does(&format!("{members}/{alice}"), &[("role", "viewer")]).await;
    for path in ["/owners/101", members] {
        for person in [house.alice(), house.root()] {
            let page = person.get(path).await.expect(200);
            assert!(page.one(".flash.warning").starts_with("Nobody manages this owner"), "{path}");
        }
    }
    assert!(!root.get("/owners/102").await.has(".flash.warning"));
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_do_not_read_who_of_the_staff_invites() {
    let house = House::new().await;
    let form = [("role", "viewer"), ("note", "Dora")];
    let made = house.root().post("/owners/101/invitations", &form).await.expect(200);
    let link = made.one("#link").replace("http://prommgr.test", "");
    let (root, alice) = (house.root(), house.alice());
    assert!(root.get("/owners/101/members").await.one("section[aria-labelledby=open]").contains("by root"));
    let page = alice.get("/owners/101/members").await.expect(200);
    assert!(page.one("section[aria-labelledby=open]").contains("by Staff") && !page.text.contains("root"));
    let page = house.anyone().get(&link).await.expect(200);
    assert!(page.one(".door").contains("You are invited to see") && !page.text.contains("root"));
    // nor does the database say it to them
    house.db.batch_execute("set prommgr.seen = '{101}'; set prommgr.changed = '{101}'").await.unwrap();
    assert_eq!(house.column("select made_by from one_time_links").await, ["Staff"]);
    house.db.batch_execute("reset prommgr.seen; reset prommgr.changed").await.unwrap();
    // of a colleague they do
    house.alice().post("/owners/101/invitations", &[("role", "viewer"), ("note", "Emil")]).await.expect(200);
    assert!(alice.get("/owners/101/members").await.one("section[aria-labelledby=open]").contains("by alice"));
}
