//! Servers for programs: what is sent, what is answered, and what is refused where.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use crate::house::House;
use crate::page::Page;
use crate::person::Person;

const SERVERS: &str = "/api/v1/servers";

/// The messages of a problem, by field.
#[track_caller]
pub fn refused(page: &Page, status: u16) -> Value {
    assert_eq!(page.status, status, "{}", page.text);
    assert_eq!(page.header("content-type"), "application/problem+json");
    let problem = page.json();
    assert_eq!(problem["status"], status);
    let errors = problem["errors"].as_array().unwrap().iter();
    errors.map(|error| (error["field"].as_str().unwrap().to_owned(), error["message"].clone())).collect()
}

#[track_caller]
pub fn fields(page: &Page, status: u16) -> Vec<String> {
    refused(page, status).as_object().unwrap().keys().cloned().collect()
}

/// Sends JSON on a condition.
pub async fn on(program: &Person, method: &str, path: &str, tag: &str, body: &Value) -> Page {
    let request = Request::builder().method(method).uri(path).header(header::IF_MATCH, tag);
    let request = request.header(header::CONTENT_TYPE, "application/json");
    program.send(request.body(Body::from(body.to_string())).unwrap()).await
}

pub async fn send(program: &Person, method: &str, path: &str, body: Value) -> Page {
    program.call(method, path, &body.to_string()).await
}

fn names(page: &Page) -> Vec<String> {
    let page = page.json();
    let items = page["items"].as_array().unwrap().iter();
    let mut names: Vec<_> = items.map(|item| item["name"].as_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_added_read_changed_and_removed() {
    let house = House::new().await;
    let alice = house.program("alice", "deploy", true, None).await;
    let sent = json!({"owner_id": 101, "external_id": "4386", "name": "web", "address": "10.0.0.5",
        "labels": {"rack": "7", "env": "prod"}});
    let made = send(&alice, "POST", SERVERS, sent).await.expect(201);
    let server = made.json();
    let path = format!("{SERVERS}/{}", server["id"]);
    assert_eq!(made.header("location"), path);
    for (field, value) in [
        ("owner_id", json!(101)),
        ("external_id", json!("4386")),
        ("name", json!("web")),
        ("address", json!("10.0.0.5")),
        ("port", json!(9100)),
        ("job", json!("node")),
        ("scheme", json!("http")),
        ("metrics_path", json!("/metrics")),
        ("labels", json!({"rack": "7", "env": "prod"})),
        ("comment", json!("")),
        ("enabled", json!(true)),
        ("health", json!("unknown")),
    ] {
        assert_eq!(server[field], value, "{field}");
    }
    let read = alice.get(&path).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (server.clone(), made.header("etag")));
    assert_eq!(read.header("cache-control"), "no-store");

    // only what is named changes; null is what a new one has
    let change = json!({"port": 9200, "labels": {"env": null, "zone": "b"}, "comment": "in the cellar"});
    let changed = send(&alice, "PATCH", &path, change).await.expect(200);
    assert_ne!(changed.header("etag"), made.header("etag"));
    assert_eq!(changed.header("etag"), alice.get(&path).await.header("etag"));
    let changed = changed.json();
    assert_eq!(
        (&changed["port"], &changed["labels"], &changed["name"], &changed["comment"]),
        (&json!(9200), &json!({"rack": "7", "zone": "b"}), &json!("web"), &json!("in the cellar"))
    );
    let back = json!({"port": null, "labels": null, "enabled": false});
    let back = send(&alice, "PATCH", &path, back).await.expect(200).json();
    assert_eq!(
        (&back["port"], &back["labels"], &back["enabled"], &back["comment"]),
        (&json!(9100), &json!({}), &json!(false), &json!("in the cellar"))
    );
    // what changes nothing is no change
    let before = alice.get(&path).await.header("etag");
    assert_eq!(send(&alice, "PATCH", &path, json!({"port": 9100})).await.expect(200).header("etag"), before);

    assert_eq!(alice.call("DELETE", &path, "").await.expect(204).text, "");
    alice.get(&path).await.expect(404);
    alice.call("DELETE", &path, "").await.expect(404);
    assert_eq!(
        house
            .column("select concat_ws(' ', action, object, user_name, through) from audit order by at, id")
            .await,
        [
            "server.added web alice token deploy",
            "server.changed web alice token deploy",
            "server.changed web alice token deploy",
            "server.removed web alice token deploy"
        ]
    );
    // and waits for the next publication, as what is done on pages
    assert_eq!(
        house.column("select summary from pending_changes order by id").await,
        ["Server web added to Nordwind", "Server web changed", "Server web changed", "Server web removed"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn putting_it_twice_makes_one() {
    let house = House::new().await;
    let root = house.program("root", "billing", true, None).await;
    let path = format!("{SERVERS}?owner_external_id=11&external_id=a%2Fb%201");
    let body = json!({"name": "web", "address": "web-1.example.com", "comment": "first"});
    let made = send(&root, "PUT", &path, body.clone()).await.expect(201);
    assert_eq!((&made.json()["external_id"], &made.json()["owner_id"]), (&json!("a/b 1"), &json!(101)));
    let again = send(&root, "PUT", &path, body).await.expect(200);
    assert_eq!((again.json(), again.header("etag")), (made.json(), made.header("etag")));
    assert_eq!(house.count("audit where action like 'server.%'").await, 1);
    // it is what the body says, and nothing of what it was
    let body =
        json!({"name": "web", "address": "web-1.example.com", "port": 9101, "owner_external_id": "11"});
    let put = send(&root, "PUT", &path, body).await.expect(200).json();
    assert_eq!((&put["id"], &put["comment"], &put["port"]), (&made.json()["id"], &json!(""), &json!(9101)));
    // the same number of another owner is another server
    let other = format!("{SERVERS}?owner_id=102&external_id=a%2Fb%201");
    send(&root, "PUT", &other, json!({"name": "web", "address": "10.0.0.5"})).await.expect(201);
    assert_eq!(house.count("servers").await, 2);
    // many at once
    let path = format!("{SERVERS}?owner_id=101&external_id=new");
    let all =
        (0..6).map(|n| send(&root, "PUT", &path, json!({"name": format!("n{n}"), "address": "10.0.0.9"})));
    let mut statuses: Vec<_> =
        futures_util::future::join_all(all).await.iter().map(|page| page.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 201]);
    assert_eq!(house.count("servers where external_id = 'new'").await, 1);
    for (path, field) in [
        (format!("{SERVERS}?owner_id=101"), "external_id"),
        (format!("{SERVERS}?external_id=x"), "owner_id"),
        (format!("{SERVERS}?external_id=x&owner_id=101&owner_external_id=11"), "owner_id"),
        (format!("{SERVERS}?external_id=x&owner_id=101&name=y"), "name"),
    ] {
        assert_eq!(fields(&send(&root, "PUT", &path, json!({})).await, 422), [field], "{path}");
    }
    let path = format!("{SERVERS}?owner_id=101&external_id=new");
    let wrong = json!({"name": "x", "address": "10.0.0.9", "external_id": "old"});
    assert_eq!(fields(&send(&root, "PUT", &path, wrong).await, 422), ["external_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_no_longer_holds_changes_nothing() {
    let house = House::new().await;
    let alice = house.program("alice", "deploy", true, None).await;
    let path = format!("{SERVERS}/{}", house.server(101, "7", "web", "10.0.0.5").await);
    let put = format!("{SERVERS}?owner_id=101&external_id=7");
    let body = json!({"name": "web-2", "address": "10.0.0.5"});
    let old = alice.get(&path).await.header("etag");
    let new = on(&alice, "PATCH", &path, &old, &json!({"port": 9101})).await.expect(200).header("etag");
    for page in [
        on(&alice, "PATCH", &path, &old, &body).await,
        on(&alice, "DELETE", &path, &old, &Value::Null).await,
        on(&alice, "PUT", &put, &old, &body).await,
        on(&alice, "PUT", &format!("{put}1"), "*", &body).await,
    ] {
        assert!(fields(&page, 412).is_empty());
    }
    assert_eq!(alice.get(&path).await.header("etag"), new);
    on(&alice, "PUT", &put, &format!("{old}, W/{new}"), &body).await.expect(200);
    on(&alice, "DELETE", &path, "*", &Value::Null).await.expect(204);
}

/// Each change of one field stays, whoever else changes another at the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_two_fields_at_once_are_both_made() {
    let house = House::new().await;
    let path = format!("{SERVERS}/{}", house.server(101, "7", "web", "10.0.0.5").await);
    for n in 0..5 {
        let (one, two) = (
            house.program("alice", &format!("one{n}"), true, None).await,
            house.program("alice", &format!("two{n}"), true, None).await,
        );
        let (port, comment) = (9200 + n, format!("comment {n}"));
        let (first, second) = tokio::join!(
            send(&one, "PATCH", &path, json!({"port": port})),
            send(&two, "PATCH", &path, json!({"comment": comment}))
        );
        first.expect(200);
        second.expect(200);
        let now = one.get(&path).await.json();
        assert_eq!((&now["port"], &now["comment"]), (&json!(port), &json!(comment)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_at_its_fields() {
    let house = House::new().await;
    let alice = house.program("alice", "deploy", true, None).await;
    let server = house.server(101, "7", "web", "10.0.0.5").await;
    let path = format!("{SERVERS}/{server}");
    let good = json!({"owner_id": 101, "name": "db", "address": "10.0.0.6"});
    let with = |more: Value| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (body, wrong) in [
        (json!({}), &["address", "name", "owner_id"][..]),
        (json!({"owner_id": 102, "name": "", "address": "10.0.0.6"}), &["name", "owner_id"]),
        (json!({"owner_external_id": "12", "name": "db", "address": "10.0.0.6"}), &["owner_external_id"]),
        (json!({"owner_external_id": "no", "name": "db", "address": "10.0.0.6"}), &["owner_external_id"]),
        (with(json!({"owner_external_id": "11"})), &["owner_id"]),
        (with(json!({"port": "9100"})), &["port"]),
        (with(json!({"port": 65536})), &["port"]),
        (with(json!({"port": 9100.5})), &["port"]),
        (with(json!({"prot": 9100})), &["prot"]),
        (with(json!({"address": "127.0.0.1"})), &["address"]),
        (with(json!({"labels": {"job": "x"}})), &["labels"]),
        (with(json!({"labels": {"a=b": "c"}})), &["labels"]),
        (with(json!({"labels": {"a": "b\nc=d"}})), &["labels"]),
        (with(json!({"labels": {"a": 7}})), &["labels.a"]),
        (with(json!({"labels": ["a"]})), &["labels"]),
        (with(json!({"enabled": "yes"})), &["enabled"]),
    ] {
        let page = send(&alice, "POST", SERVERS, body.clone()).await;
        assert_eq!(fields(&page, 422), wrong, "{body}");
    }
    for (body, wrong) in [
        (json!({"owner_id": 102}), "owner_id"),
        (json!({"owner_external_id": "12"}), "owner_external_id"),
        (json!({"name": null}), "name"),
        (json!({"id": 7}), "id"),
    ] {
        assert_eq!(fields(&send(&alice, "PATCH", &path, body.clone()).await, 422), [wrong], "{body}");
    }
    // what another one has is a conflict
    for (body, wrong) in [
        (with(json!({"address": "10.0.0.5"})), "address"),
        (with(json!({"external_id": "7"})), "external_id"),
    ] {
        assert_eq!(fields(&send(&alice, "POST", SERVERS, body).await, 409), [wrong]);
    }
    for text in ["", "{", "nil", "{}x", "7", "[]", "[101]"] {
        fields(&alice.call("PATCH", &path, text).await, 400);
    }
    let form = alice.post(SERVERS, &[("name", "web")]).await;
    assert!(fields(&form, 415).is_empty() && form.text.contains("application/json"));
    let large = format!("{{\"comment\": \"{}\"}}", "x".repeat(1 << 20));
    fields(&alice.call("PATCH", &path, &large).await, 413);
    fields(&alice.call("DELETE", SERVERS, "").await, 405);
    fields(&alice.get("/api/v1/nothing").await, 404);
    fields(&alice.get(&format!("{SERVERS}/x")).await, 404);
    assert_eq!((house.count("servers").await, house.count("audit").await), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_found_by_the_numbers_of_others() {
    let house = House::new().await;
    house.server(101, "7", "web", "10.0.0.5").await;
    house.server(101, "8", "db", "2001:db8::5").await;
    house.server(102, "7", "stern", "10.0.0.5").await;
    let root = house.program("root", "billing", false, None).await;
    let charlie = house.program("charlie", "deploy", true, None).await;
    for (query, all, charlies) in [
        ("", &["db", "stern", "web"][..], &["stern"][..]),
        ("?external_id=7", &["stern", "web"], &["stern"]),
        ("?external_id=", &[], &[]),
        ("?external_id=7&owner_external_id=11", &["web"], &[]),
        ("?owner_external_id=99", &[], &[]),
        ("?owner_id=101", &["db", "web"], &[]),
        ("?address=10.0.0.5", &["stern", "web"], &["stern"]),
        ("?address=%5B2001%3ADB8%3A0%3A%3A5%5D", &["db"], &[]),
        ("?q=WE", &["web"], &[]),
        ("?q=WE&owner_id=102", &[], &[]),
    ] {
        let path = format!("{SERVERS}{query}");
        assert_eq!(names(&root.get(&path).await.expect(200)), all, "{query}");
        assert_eq!(names(&charlie.get(&path).await.expect(200)), charlies, "{query}");
    }
    for (query, wrong) in [
        ("?owner_id=", "owner_id"),
        ("?owner=101", "owner"),
        ("?owner_id=x", "owner_id"),
        ("?address=x%2Fy", "address"),
        ("?q=a&q=b", "q"),
        ("?limit=0", "limit"),
        ("?limit=201", "limit"),
        ("?limit=x", "limit"),
        ("?cursor=x", "cursor"),
        ("?cursor=WzFd", "cursor"),
    ] {
        assert_eq!(fields(&root.get(&format!("{SERVERS}{query}")).await, 422), [wrong], "{query}");
    }
    house
        .db
        .batch_execute(
            "insert into prometheus_health (url, seen_at) values ('http://p', now()); \
         insert into server_health (server_id, owner_id, up) select id, owner_id, name = 'web' from servers where owner_id = 101",
        )
        .await
        .unwrap();
    let health = |page: &Page| -> Vec<Value> {
        let page = page.json();
        let of =
            |name: &str| page["items"].as_array().unwrap().iter().find(|item| item["name"] == name).cloned();
        ["web", "db", "stern"].map(|name| of(name).unwrap()["health"].clone()).to_vec()
    };
    assert_eq!(health(&root.get(SERVERS).await), [json!("up"), json!("down"), json!("unknown")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_walk_the_whole_list_once() {
    let house = House::new().await;
    house
        .db
        .batch_execute(
            "insert into servers (owner_id, external_id, name, address, port) \
             select 101 + n % 2, n::text, 'Web ' || n % 7, '10.0.0.' || n, 9100 from generate_series(1, 25) n",
        )
        .await
        .unwrap();
    for (name, expected) in [("root", 25_usize), ("alice", 12)] {
        let program = house.program(name, "walk", false, None).await;
        let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = program.get(&format!("{SERVERS}?limit=4{cursor}")).await.expect(200).json();
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()));
            pages += 1;
            // a new name moves none past the reader
            let sql = "update servers set name = 'A' || name where id = $1";
            house.db.execute(sql, &[seen.last().unwrap()]).await.unwrap();
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!((seen.len(), pages), (expected, expected.div_ceil(4)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_look_changes_nothing() {
    let house = House::new().await;
    let server = house.server(101, "7", "web", "10.0.0.5").await;
    let body = json!({"owner_id": 101, "name": "db", "address": "10.0.0.6"});
    let put = format!("{SERVERS}?owner_id=101&external_id=8");
    for (program, other, missing) in [
        (house.program("bob", "bobs", true, None).await, 403, 404),
        (house.program("alice", "reads", false, None).await, 403, 403),
        (house.program("charlie", "other", true, None).await, 404, 404),
        (house.program("root", "south", true, Some(102)).await, 404, 404),
    ] {
        for (method, path, status) in [
            ("PATCH", format!("{SERVERS}/{server}"), other),
            ("DELETE", format!("{SERVERS}/{server}"), other),
            ("PUT", put.clone(), other),
            ("PATCH", format!("{SERVERS}/1"), missing),
        ] {
            let change = if method == "PUT" {
                json!({"name": "x", "address": "10.0.0.6"})
            } else {
                json!({"name": "x"})
            };
            assert!(
                fields(&send(&program, method, &path, change).await, status).is_empty(),
                "{method} {path}"
            );
        }
        let status = send(&program, "POST", SERVERS, body.clone()).await.status;
        assert_eq!(status, if other == 403 { 403 } else { 422 });
    }
    assert_eq!((house.count("audit").await, house.count("servers").await), (0, 1));
    // an owner and a server of others are refused in the same words as what there is none of
    let charlie = house.program("charlie", "again", true, None).await;
    for (one, two) in [(server, 1), (101, 999)] {
        let (one, two) = (format!("{SERVERS}/{one}"), format!("{SERVERS}/{two}"));
        assert_eq!(charlie.get(&one).await.expect(404).text, charlie.get(&two).await.expect(404).text);
    }
    let post = async |owner: Value| {
        send(&charlie, "POST", SERVERS, json!({"owner_id": owner, "name": "x", "address": "10.0.0.5"}))
            .await
            .text
    };
    assert_eq!(post(json!(101)).await, post(json!(999)).await);
}
