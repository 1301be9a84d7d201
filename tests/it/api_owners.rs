//! Owners for programs: everybody reads theirs, admins' tokens write.

use serde_json::{Value, json};

use crate::api_servers::{fields, on, send};
use crate::house::House;

const OWNERS: &str = "/api/v1/owners";

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_added_read_changed_and_removed() {
    let house = House::new().await;
    let root = house.program("root", "billing", true, None).await;
    let made =
        send(&root, "POST", OWNERS, json!({"name": "Westwind", "external_id": "13", "history_days": 90}));
    let made = made.await.expect(201);
    let owner = made.json();
    let path = format!("{OWNERS}/{}", owner["id"]);
    assert_eq!(made.header("location"), path);
    assert_eq!(
        (&owner["name"], &owner["external_id"], &owner["history_days"], &owner["comment"]),
        (&json!("Westwind"), &json!("13"), &json!(90), &json!(""))
    );
    let read = root.get(&path).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (owner, made.header("etag")));
    let changed =
        send(&root, "PATCH", &path, json!({"history_days": null, "comment": "pays late"})).await.expect(200);
    assert_ne!(changed.header("etag"), made.header("etag"));
    let changed = changed.json();
    assert_eq!(
        (&changed["name"], &changed["history_days"], &changed["comment"]),
        (&json!("Westwind"), &Value::Null, &json!("pays late"))
    );
    fields(&on(&root, "PATCH", &path, &made.header("etag"), &json!({"name": "x"})).await, 412);
    fields(&on(&root, "DELETE", &path, &made.header("etag"), &Value::Null).await, 412);
    on(&root, "DELETE", &path, &root.get(&path).await.header("etag"), &Value::Null).await.expect(204);
    root.get(&path).await.expect(404);
    assert_eq!(
        house
            .column("select concat_ws(' ', action, object, user_name, through) from audit order by at, id")
            .await,
        [
            "owner.added Westwind root token billing",
            "owner.changed Westwind root token billing",
            "owner.removed Westwind root token billing"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn putting_it_twice_makes_one() {
    let house = House::new().await;
    let root = house.program("root", "billing", true, None).await;
    let path = format!("{OWNERS}?external_id=13");
    let body = json!({"name": "Westwind", "comment": "new"});
    let made = send(&root, "PUT", &path, body.clone()).await.expect(201);
    let again = send(&root, "PUT", &path, body).await.expect(200);
    assert_eq!((again.json(), again.header("etag")), (made.json(), made.header("etag")));
    assert_eq!(house.count("audit where action like 'owner.%'").await, 1);
    let put = send(&root, "PUT", &path, json!({"name": "West"})).await.expect(200).json();
    assert_eq!((&put["id"], &put["comment"]), (&made.json()["id"], &json!("")));
    let path = format!("{OWNERS}?external_id=14");
    let all = (0..5).map(|n| send(&root, "PUT", &path, json!({"name": format!("n{n}")})));
    let all = futures_util::future::join_all(all).await;
    assert_eq!(all.iter().filter(|page| page.status == 201).count(), 1);
    assert_eq!(all.iter().filter(|page| page.status == 200).count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_at_its_fields() {
    let house = House::new().await;
    let root = house.program("root", "billing", true, None).await;
    for (body, wrong) in [
        (json!({}), "name"),
        (json!({"name": "x", "history_days": -1}), "history_days"),
        (json!({"name": "x", "history_days": "9"}), "history_days"),
        (json!({"name": "x", "id": 7}), "id"),
    ] {
        assert_eq!(fields(&send(&root, "POST", OWNERS, body.clone()).await, 422), [wrong], "{body}");
    }
    let taken = send(&root, "POST", OWNERS, json!({"name": "x", "external_id": "11"})).await;
    assert_eq!(fields(&taken, 409), ["external_id"]);
    let taken = send(&root, "PATCH", &format!("{OWNERS}/101"), json!({"external_id": "12"})).await;
    assert_eq!(fields(&taken, 409), ["external_id"]);
    assert_eq!(fields(&send(&root, "PUT", OWNERS, json!({"name": "x"})).await, 422), ["external_id"]);
    assert_eq!(house.count("audit").await, 0);
}

/// Nothing tells that there is another owner: not what is listed, not whether its number is taken.
#[tokio::test(flavor = "multi_thread")]
async fn only_an_admins_token_writes_and_others_see_theirs() {
    let house = House::new().await;
    for (name, owner) in [("alice", None), ("root", Some(101))] {
        let program = house.program(name, "deploy", true, owner).await;
        for query in ["", "?q=i", "?limit=1"] {
            let page = program.get(&format!("{OWNERS}{query}")).await.expect(200).json();
            let names: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| &item["name"]).collect();
            assert_eq!((names, &page["next_cursor"]), (vec![&json!("Nordwind")], &Value::Null), "{query}");
        }
        for (query, count) in [("?external_id=11", 1), ("?external_id=12", 0), ("?external_id=99", 0)] {
            let page = program.get(&format!("{OWNERS}{query}")).await.expect(200).json();
            assert_eq!(page["items"].as_array().unwrap().len(), count, "{query}");
        }
        for (method, path, status) in [
            ("POST", OWNERS.to_owned(), 403),
            ("PUT", format!("{OWNERS}?external_id=11"), 403),
            ("PUT", format!("{OWNERS}?external_id=12"), 403),
            ("PUT", format!("{OWNERS}?external_id=99"), 403),
            ("PATCH", format!("{OWNERS}/101"), 403),
            ("DELETE", format!("{OWNERS}/101"), 403),
            ("PATCH", format!("{OWNERS}/102"), 404),
            ("DELETE", format!("{OWNERS}/102"), 404),
            ("PATCH", format!("{OWNERS}/999"), 404),
        ] {
            let body = json!({"name": "x", "external_id": "12"});
            fields(&send(&program, method, &path, body).await, status);
        }
    }
    assert_eq!((house.count("audit").await, house.count("owners where removed_at is null").await), (0, 2));
}
