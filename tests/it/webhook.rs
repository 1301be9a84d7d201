//! The door for Alertmanager: who may come in, with what, and what each is answered.

use axum::body::Body;
use axum::http::{Request, header};
use base64::Engine;

use crate::alertmanager::{SAMPLE, alert, delivery};
use crate::house::{House, TOKEN};
use crate::person::Person;

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_of_version_3_gives_two_alerts_that_owner_and_server_adopt() {
    let house = House::empty(|_| {}).await;
    house.posted(SAMPLE).await.expect(200);
    assert_eq!(house.history().await, ["4385 14:44-", "4386 14:44-"]);
    let unassigned = "alerts where owner_id is null and server_id is null and owner_external_id = '11' and ended_at is null";
    assert_eq!(house.count(unassigned).await, 2);
    // Alertmanager 0.25 gives the first this fingerprint
    assert_eq!(house.count("alerts where fingerprint = '078a4a5568adbf6b'").await, 1);

    let house = House::with(|_| {}).await;
    house.db.batch_execute("delete from memberships; delete from owners").await.unwrap();
    house.posted(SAMPLE).await.expect(200);
    let root = house.root();
    assert_eq!(root.get("/alerts?owner=unassigned").await.rows().len(), 2);
    let owner = root.post("/owners", &[("name", "Nordwind"), ("external_id", "11")]).await.leads_to();
    let id = owner.strip_prefix("/owners/").unwrap();
    assert_eq!(house.count(&format!("alerts where owner_id = {id} and server_id is null")).await, 2);
    assert!(root.get("/alerts?owner=unassigned").await.rows().is_empty());
    let server = [("owner_id", id), ("name", "web"), ("address", "1.2.3.4"), ("external_id", "4386")];
    root.post("/servers", &server).await.leads_to();
    assert_eq!(
        house
            .count(&format!(
                "alerts where owner_id = {id} and server_id is not null and server_external_id = '4386'"
            ))
            .await,
        1
    );
    assert_eq!(house.count(&format!("alerts where owner_id = {id} and server_id is null")).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_without_a_name_is_an_alert() {
    let house = House::empty(|_| {}).await;
    let body = r#"{"status": "firing", "commonLabels": {"alertname": "of others"}, "alerts": [
        {"status": "firing", "labels": {"job": "node"}, "startsAt": "2026-11-01T10:00:00Z"},
        {"status": "resolved", "labels": {"job": "db"}, "startsAt": "2026-11-01T10:00:00Z", "endsAt": "2026-11-01T10:20:00Z"}]}"#;
    house.posted(body).await.expect(200);
    assert_eq!(
        house
            .column(
                "select rule || ':' || (labels->>'job') || ':' || (ended_at is null) from alerts order by 1"
            )
            .await,
        [":db:false", ":node:true"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_whose_external_id_changes_adopts_too() {
    let house = House::new().await;
    house.told(&[alert("1").owner("99")]).await;
    let path = format!("/owners/{}", house.suedstern);
    house.root().post(&path, &[("name", "Südstern"), ("external_id", "99")]).await.leads_to();
    assert_eq!(house.count(&format!("alerts where owner_id = {}", house.suedstern)).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_of_a_known_pair_finds_its_owner_and_server_at_once() {
    let house = House::new().await;
    let ours = house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    // the same external id is another server of another owner
    let theirs = house.server(house.suedstern, "7", "mail", "10.0.0.5").await;
    let said = house.told(&[alert("7"), alert("7").owner("12"), alert("8")]).await;
    assert_eq!(said["opened"], 3);
    for (server, owner) in [(ours, house.nordwind), (theirs, house.suedstern)] {
        assert_eq!(
            house.count(&format!("alerts where server_id = {server} and owner_id = {owner}")).await,
            1
        );
    }
    assert_eq!(
        house.count(&format!("alerts where owner_id = {} and server_id is null", house.nordwind)).await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_token_opens_the_door() {
    let house = House::empty(|settings| {
        settings.webhook_token = Some(format!("{TOKEN},another-token-while-rotating"))
    })
    .await;
    let basic = |text: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text));
    let ask = async |authorization: Option<String>| {
        let mut request = delivery(SAMPLE);
        request.headers_mut().remove(header::AUTHORIZATION);
        if let Some(value) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        house.anyone().send(request).await
    };
    let wrong = [
        None,
        Some("Bearer wrong".into()),
        Some("Bearer".into()),
        Some(basic("prommgr:wrong")),
        Some(basic(TOKEN)),
        Some(TOKEN.into()),
    ];
    for authorization in wrong {
        let refused = ask(authorization).await.expect(401);
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert!(refused.header("www-authenticate").starts_with("Bearer"));
        assert_eq!(refused.json()["status"], 401);
    }
    assert_eq!((house.count("alerts").await, house.count("quarantine").await), (0, 0));
    let right = [
        format!("Bearer {TOKEN}"),
        "bearer another-token-while-rotating".into(),
        basic(&format!("prommgr:{TOKEN}")),
        basic(&format!(":{TOKEN}")),
    ];
    for authorization in right {
        ask(Some(authorization)).await.expect(200);
    }
    assert_eq!(house.count("alerts").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_at_the_end_makes_no_difference_and_nothing_is_redirected() {
    let house = House::empty(|_| {}).await;
    for path in ["/webhook/alertmanager", "/webhook/alertmanager/"] {
        let mut request = delivery(SAMPLE);
        *request.uri_mut() = path.parse().unwrap();
        house.anyone().send(request).await.expect(200);
    }
    assert_eq!(house.count("alerts").await, 2);
    let looked = house
        .anyone()
        .send(Request::get("/webhook/alertmanager").body(Body::empty()).unwrap())
        .await
        .expect(405);
    assert_eq!(
        (looked.header("content-type").as_str(), looked.header("allow").as_str()),
        ("application/problem+json", "POST")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_alertmanager_is_to_try_again() {
    let house = House::empty(|_| {}).await;
    let lonely = house.without_database();
    for body in [SAMPLE, "no JSON"] {
        let answer = Person::new(&lonely).send(delivery(body)).await.expect(503);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert!(!answer.header("retry-after").is_empty());
    }
    // but a wrong token is wrong all the same
    let mut request = delivery(SAMPLE);
    request.headers_mut().insert(header::AUTHORIZATION, "Bearer wrong".parse().unwrap());
    Person::new(&lonely).send(request).await.expect(401);
}
