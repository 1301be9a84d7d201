//! People, members and tokens for programs.

use serde_json::{Value, json};

use crate::api_servers::{fields, send};
use crate::house::House;
use crate::page::Page;
use crate::person::Person;

fn names(page: &Page) -> Vec<String> {
    let page = page.json();
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

/// Where a link leads, without the host.
fn path(link: &Value) -> String {
    let url = link["url"].as_str().unwrap();
    url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_adds_changes_and_removes_people() {
    let house = House::new().await;
    let root = house.program("root", "staff", true, None).await;
    let eve = json!({"name": "eve", "owner_external_id": "11", "role": "viewer"});
    let added = send(&root, "POST", "/api/v1/users", eve.clone()).await.expect(201);
    let user = added.json();
    assert_eq!(
        (&user["name"], &user["has_password"], &user["enabled"]),
        (&json!("eve"), &json!(false), &json!(true))
    );
    // the link is one by which eve comes in
    let link = path(&user["link"]);
    let form = [("password", "0123456789 eve"), ("password_again", "0123456789 eve")];
    let newcomer = Person::new(&house.app);
    newcomer.does(&link, &form).await;
    newcomer.get("/owners/101").await.expect(200);

    let at = added.header("location");
    let read = root.get(&at).await.expect(200).json();
    assert_eq!(read["memberships"], json!([{"owner_id": 101, "role": "viewer"}]));
    assert_eq!(names(&root.get("/api/v1/users?q=ev").await.expect(200)), ["eve"]);
    assert_eq!(send(&root, "PATCH", &at, json!({"admin": true})).await.expect(200).json()["admin"], true);
    assert_eq!(send(&root, "PATCH", &at, json!({"name": "Eva"})).await.expect(200).json()["name"], "Eva");
    assert_eq!(
        send(&root, "PATCH", &at, json!({"enabled": false})).await.expect(200).json()["enabled"],
        false
    );
    newcomer.get("/owners/101").await.expect(303);
    // one at a time, so that nothing is half done
    send(&root, "PATCH", &at, json!({"name": "x", "admin": false})).await.expect(422);
    send(&root, "PATCH", &at, json!({})).await.expect(422);
    assert_eq!(root.get(&at).await.json()["name"], "Eva");
    root.call("DELETE", &at, "").await.expect(204);
    root.get(&at).await.expect(404);

    // whatever is wrong is said at once
    let wrong = json!({"name": "", "owner_external_id": "nobody", "role": "king"});
    assert_eq!(
        fields(&send(&root, "POST", "/api/v1/users", wrong).await, 422),
        ["name", "owner_external_id", "role"]
    );
    send(&root, "POST", "/api/v1/users", json!({"name": "alice"})).await.expect(409);
    let own = house.id_of("root").await;
    send(&root, "PATCH", &format!("/api/v1/users/{own}"), json!({"admin": false})).await.expect(409);
    assert_eq!(house.count("users where name = 'root' and admin").await, 1);

    // for others there are no people
    for name in ["alice", "charlie"] {
        let other = house.program(name, "x", true, None).await;
        other.get("/api/v1/users").await.expect(404);
        send(&other, "POST", "/api/v1/users", eve.clone()).await.expect(404);
        other.get(&format!("/api/v1/users/{own}")).await.expect(404);
        send(&other, "PATCH", &format!("/api/v1/users/{own}"), json!({"enabled": false})).await.expect(404);
        other.call("DELETE", &format!("/api/v1/users/{own}"), "").await.expect(404);
    }
    // neither for an admin's token that is restricted to one owner
    house.program("root", "one", true, Some(101)).await.get("/api/v1/users").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn managers_set_roles_and_invite() {
    let house = House::new().await;
    let alice = house.program("alice", "deploy", true, None).await;
    let (bob, charlie) = (house.id_of("bob").await, house.id_of("charlie").await);
    let members = "/api/v1/owners/101/members";
    assert_eq!(names(&alice.get(members).await.expect(200)), ["alice", "bob"]);
    let of_bob = format!("{members}/{bob}");
    let changed = send(&alice, "PUT", &of_bob, json!({"role": "manager"})).await.expect(200).json();
    assert_eq!((&changed["user_id"], &changed["role"]), (&json!(bob), &json!("manager")));
    assert_eq!(fields(&send(&alice, "PUT", &of_bob, json!({"role": "king"})).await, 422), ["role"]);
    // who is not a member is for admins to add, and whether there is such a person is nobody else's to know
    for nobody in [charlie, 999] {
        send(&alice, "PUT", &format!("{members}/{nobody}"), json!({"role": "viewer"})).await.expect(404);
        alice.call("DELETE", &format!("{members}/{nobody}"), "").await.expect(404);
    }
    let root = house.program("root", "staff", true, None).await;
    send(&root, "PUT", &format!("{members}/{charlie}"), json!({"role": "viewer"})).await.expect(200);
    assert_eq!(names(&alice.get(members).await.expect(200)), ["alice", "bob", "charlie"]);
    alice.call("DELETE", &of_bob, "").await.expect(204);
    // the last manager stays
    let of_alice = format!("{members}/{}", house.id_of("alice").await);
    alice.call("DELETE", &of_alice, "").await.expect(409);

    let invitation = json!({"role": "viewer", "note": "eve"});
    let made =
        send(&alice, "POST", "/api/v1/owners/101/invitations", invitation.clone()).await.expect(201).json();
    house.charlie().get(&path(&made)).await.expect(200);
    let reader = house.program("alice", "reader", false, None).await;
    send(&reader, "POST", "/api/v1/owners/101/invitations", invitation).await.expect(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_makes_no_token_that_may_more() {
    let house = House::new().await;
    let alice = house.program("alice", "deploy", true, None).await;
    let made = send(&alice, "POST", "/api/v1/tokens", json!({"name": "read"})).await.expect(201).json();
    assert_eq!(
        (&made["access"], &made["owner_id"], &made["expires_at"]),
        (&json!("read"), &json!(null), &json!(null))
    );
    let reader = Person::new(&house.app).with_token(made["secret"].as_str().unwrap());
    reader.get("/api/v1/servers").await.expect(200);
    send(&reader, "POST", "/api/v1/tokens", json!({"name": "more"})).await.expect(403);
    assert_eq!(names(&alice.get("/api/v1/tokens").await.expect(200)), ["read", "deploy"]);
    assert!(!alice.get("/api/v1/tokens").await.text.contains(made["secret"].as_str().unwrap()));

    // restricted to one owner, it makes and sees such ones only
    let one = house.program("root", "one", true, Some(101)).await;
    let of_one = send(&one, "POST", "/api/v1/tokens", json!({"name": "two", "access": "write"}))
        .await
        .expect(201)
        .json();
    assert_eq!(of_one["owner_id"], 101);
    assert_eq!(
        fields(&send(&one, "POST", "/api/v1/tokens", json!({"name": "x", "owner_id": 102})).await, 422),
        ["owner_id"]
    );
    let whole = house.program("root", "whole", true, None).await;
    let all = whole.get("/api/v1/tokens").await.json();
    let whole_id =
        all["items"].as_array().unwrap().iter().find(|token| token["name"] == "whole").unwrap()["id"].clone();
    assert_eq!(names(&one.get("/api/v1/tokens").await), ["two", "one"]);
    one.call("DELETE", &format!("/api/v1/tokens/{whole_id}"), "").await.expect(404);

    // what expires makes nothing that lives longer
    let brief = json!({"name": "brief", "access": "write", "expires_in": "1h"});
    let brief = send(&alice, "POST", "/api/v1/tokens", brief).await.expect(201).json();
    let brief = Person::new(&house.app).with_token(brief["secret"].as_str().unwrap());
    for longer in [json!({"name": "x"}), json!({"name": "x", "expires_in": "2h"})] {
        assert_eq!(fields(&send(&brief, "POST", "/api/v1/tokens", longer).await, 422), ["expires_in"]);
    }
    send(&brief, "POST", "/api/v1/tokens", json!({"name": "x", "expires_in": "30m"})).await.expect(201);

    // another's is none of theirs; one's own ends at once
    let id = &made["id"];
    house
        .program("charlie", "x", true, None)
        .await
        .call("DELETE", &format!("/api/v1/tokens/{id}"), "")
        .await
        .expect(404);
    alice.call("DELETE", &format!("/api/v1/tokens/{id}"), "").await.expect(204);
    reader.get("/api/v1/servers").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_is_read_page_by_page() {
    let house = House::new().await;
    let alice = house.program("alice", "deploy", true, None).await;
    for n in 0..3 {
        let server =
            json!({"owner_id": 101, "name": format!("web-{n}"), "address": format!("10.0.0.{}", n + 1)});
        send(&alice, "POST", "/api/v1/servers", server).await.expect(201);
    }
    let first = alice.get("/api/v1/audit?object=web&limit=2").await.expect(200).json();
    let next = first["next_cursor"].as_str().unwrap();
    let second =
        alice.get(&format!("/api/v1/audit?object=web&limit=2&cursor={next}")).await.expect(200).json();
    let objects: Vec<_> = [&first, &second]
        .iter()
        .flat_map(|page| page["items"].as_array().unwrap())
        .map(|entry| entry["object"].as_str().unwrap())
        .collect();
    assert_eq!((objects, &second["next_cursor"]), (vec!["web-2", "web-1", "web-0"], &json!(null)));
    let entry = &first["items"][0];
    assert_eq!(
        (&entry["action"], &entry["user"], &entry["through"]),
        (&json!("server.added"), &json!("alice"), &json!("token deploy"))
    );
    // what the staff did has no name for customers
    let root = house.program("root", "staff", true, None).await;
    send(
        &root,
        "POST",
        "/api/v1/servers",
        json!({"owner_id": 101, "name": "of-staff", "address": "10.0.0.9"}),
    )
    .await
    .expect(201);
    let seen = alice.get("/api/v1/audit?object=of-staff").await.json()["items"][0].clone();
    assert_eq!(
        (&seen["user"], &seen["user_id"], &seen["address"]),
        (&json!("Staff"), &json!(null), &json!(null))
    );
    // viewers and strangers have none of it
    for name in ["bob", "charlie"] {
        let other = house.program(name, "x", false, None).await;
        assert_eq!(other.get("/api/v1/audit?object=web").await.expect(200).json()["items"], json!([]));
    }
}
