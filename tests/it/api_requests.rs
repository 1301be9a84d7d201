//! What holds for every request of a program: keys that make a POST happen once, and how much a token may ask.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use crate::api_servers::{fields, send};
use crate::house::House;
use crate::page::Page;
use crate::person::Person;

const SERVERS: &str = "/api/v1/servers";

async fn post(program: &Person, key: &str, path: &str, body: &Value) -> Page {
    let request = Request::builder().method("POST").uri(path).header("idempotency-key", key);
    let request = request.header(header::CONTENT_TYPE, "application/json");
    program.send(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_with_a_key_is_done_once() {
    let house = House::new().await;
    let alice = house.program("alice", "deploy", true, None).await;
    let web = json!({"owner_id": 101, "name": "web", "address": "10.0.0.5"});
    let first = post(&alice, "k1", SERVERS, &web).await.expect(201);
    let again = post(&alice, "k1", SERVERS, &web).await.expect(201);
    assert_eq!((first.json(), first.header("location")), (again.json(), again.header("location")));
    assert_eq!(
        (first.header("etag"), first.header("content-type")),
        (again.header("etag"), again.header("content-type"))
    );
    assert_eq!(
        (first.header("idempotent-replayed"), again.header("idempotent-replayed")),
        (String::new(), "true".into())
    );
    assert_eq!(house.count("servers where name = 'web'").await, 1);
    assert_eq!(house.count("audit where action = 'server.added'").await, 1);

    // a key is of one request
    let other = json!({"owner_id": 101, "name": "db", "address": "10.0.0.6"});
    assert_eq!(fields(&post(&alice, "k1", SERVERS, &other).await, 422), ["Idempotency-Key"]);
    for bad in ["", &"x".repeat(256)] {
        assert_eq!(fields(&post(&alice, bad, SERVERS, &other).await, 422), ["Idempotency-Key"]);
    }
    // and of one token, also of the same person: what it answered is nobody else's
    let second = house.program("alice", "other", true, None).await;
    post(&second, "k1", SERVERS, &other).await.expect(201);
    let charlie = house.program("charlie", "mine", true, None).await;
    post(&charlie, "k1", SERVERS, &web).await.expect(422);

    // what failed may be mended and sent again with its key
    let bad = json!({"owner_id": 101, "name": "", "address": "10.0.0.7"});
    post(&alice, "k2", SERVERS, &bad).await.expect(422);
    let good = json!({"owner_id": 101, "name": "mail", "address": "10.0.0.7"});
    post(&alice, "k2", SERVERS, &good).await.expect(201);

    // who may not write is told so, whatever the key was answered
    let reader = house.program("alice", "reader", false, None).await;
    post(&reader, "k1", SERVERS, &web).await.expect(403);
    house.anyone().post(SERVERS, &[]).await.expect(401);

    // a secret is not kept with an answer
    let token = json!({"name": "another"});
    assert_eq!(fields(&post(&alice, "k3", "/api/v1/tokens", &token).await, 422), ["Idempotency-Key"]);
    assert_eq!(house.count("tokens where name = 'another'").await, 0);

    // after a day it is a new one
    house
        .db
        .batch_execute("update idempotency_keys set begun_at = begun_at - interval '25 hours'")
        .await
        .unwrap();
    post(&alice, "k1", SERVERS, &web).await.expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_the_same_moment_are_one() {
    let house = House::new().await;
    let alice = house.program("alice", "deploy", true, None).await;
    let web = json!({"owner_id": 101, "name": "web", "address": "10.0.0.5"});
    let all = (0..8).map(|_| post(&alice, "same", SERVERS, &web));
    let answers = futures_util::future::join_all(all).await;
    assert!(
        answers.iter().all(|answer| [201, 409].contains(&answer.status)),
        "{:?}",
        answers.iter().map(|one| one.status).collect::<Vec<_>>()
    );
    assert!(answers.iter().any(|answer| answer.status == 201));
    assert_eq!(house.count("servers where name = 'web'").await, 1);
    // one that was cut off is not done again by itself
    house.db.batch_execute("update idempotency_keys set status = null").await.unwrap();
    post(&alice, "same", SERVERS, &web).await.expect(409);
    prommgr::worker::tidy(&house.app).await.unwrap();
    assert_eq!(house.count("idempotency_keys").await, 1);
    house
        .db
        .batch_execute("update idempotency_keys set begun_at = begun_at - interval '25 hours'")
        .await
        .unwrap();
    prommgr::worker::tidy(&house.app).await.unwrap();
    assert_eq!(house.count("idempotency_keys").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_asks_too_much_waits_and_no_other_does() {
    let house = House::with(|settings| settings.api_requests_per_minute = Some("12".into())).await;
    let alice = house.program("alice", "wild", true, None).await;
    let standing =
        |page: &Page| ["limit", "remaining", "reset"].map(|name| page.header(&format!("ratelimit-{name}")));
    for (left, reset) in [("2", "5"), ("1", "10"), ("0", "15")] {
        assert_eq!(standing(&alice.get("/api/v1/me").await.expect(200)), ["3", left, reset]);
    }
    let refused = alice.get("/api/v1/me").await.expect(429);
    assert_eq!(refused.header("content-type"), "application/problem+json");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=5).contains(&wait), "{wait}");
    assert_eq!(standing(&refused)[1], "0");
    send(&alice, "POST", SERVERS, json!({"owner_id": 101, "name": "web", "address": "10.0.0.5"}))
        .await
        .expect(429);
    assert_eq!(house.count("servers where name = 'web'").await, 0);
    // a key costs no second one
    let other = house.program("alice", "calm", true, None).await;
    let web = json!({"owner_id": 101, "name": "web", "address": "10.0.0.5"});
    assert_eq!(standing(&post(&other, "k", SERVERS, &web).await.expect(201))[1], "2");
    // pages have no such limit
    for _ in 0..5 {
        house.alice().get("/servers").await.expect(200);
    }
}
