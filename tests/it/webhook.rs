//! The door for Alertmanager: who may come in, with what, and what each is answered.

use axum::body::Body;
use axum::http::{Request, header};
use base64::Engine;
use serde_json::json;

use crate::alertmanager::{Alert, SAMPLE, alert, delivery, notification};
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
    assert_eq!(
        house
            .count("alerts where fingerprint = '078a4a5568adbf6b'")
            .await,
        1
    );

    let house = House::with(|_| {}).await;
    house
        .db
        .batch_execute("delete from memberships; delete from owners")
        .await
        .unwrap();
    house.posted(SAMPLE).await.expect(200);
    let root = house.root();
    assert_eq!(root.get("/alerts?owner=unassigned").await.rows().len(), 2);
    let owner = root
        .post("/owners", &[("name", "Nordwind"), ("external_id", "11")])
        .await
        .leads_to();
    let id = owner.strip_prefix("/owners/").unwrap();
    assert_eq!(
        house
            .count(&format!(
                "alerts where owner_id = {id} and server_id is null"
            ))
            .await,
        2
    );
    assert!(root.get("/alerts?owner=unassigned").await.rows().is_empty());
    let server = [
        ("owner_id", id),
        ("name", "web"),
        ("address", "1.2.3.4"),
        ("external_id", "4386"),
    ];
    root.post("/servers", &server).await.leads_to();
    assert_eq!(house.count(&format!("alerts where owner_id = {id} and server_id is not null and server_external_id = '4386'")).await, 1);
    assert_eq!(
        house
            .count(&format!(
                "alerts where owner_id = {id} and server_id is null"
            ))
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_whose_external_id_changes_adopts_too() {
    let house = House::new().await;
    house.told(&[alert("1").owner("99")]).await;
    let path = format!("/owners/{}", house.suedstern);
    house
        .root()
        .post(&path, &[("name", "Südstern"), ("external_id", "99")])
        .await
        .leads_to();
    assert_eq!(
        house
            .count(&format!("alerts where owner_id = {}", house.suedstern))
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_of_a_known_pair_finds_its_owner_and_server_at_once() {
    let house = House::new().await;
    let ours = house.server(house.nordwind, "7", "web", "10.0.0.5").await;
    // the same external id is another server of another owner
    let theirs = house.server(house.suedstern, "7", "mail", "10.0.0.5").await;
    let said = house
        .told(&[alert("7"), alert("7").owner("12"), alert("8")])
        .await;
    assert_eq!(said["opened"], 3);
    for (server, owner) in [(ours, house.nordwind), (theirs, house.suedstern)] {
        assert_eq!(
            house
                .count(&format!(
                    "alerts where server_id = {server} and owner_id = {owner}"
                ))
                .await,
            1
        );
    }
    assert_eq!(
        house
            .count(&format!(
                "alerts where owner_id = {} and server_id is null",
                house.nordwind
            ))
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_token_opens_the_door() {
    let house = House::empty(|settings| {
        settings.webhook_token = Some(format!("{TOKEN},another-token-while-rotating"))
    })
    .await;
    let basic = |text: &str| {
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(text)
        )
    };
    let ask = async |authorization: Option<String>| {
        let mut request = delivery(SAMPLE);
        request.headers_mut().remove(header::AUTHORIZATION);
        if let Some(value) = authorization {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, value.parse().unwrap());
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
    assert_eq!(
        (house.count("alerts").await, house.count("quarantine").await),
        (0, 0)
    );
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
        .send(
            Request::get("/webhook/alertmanager")
                .body(Body::empty())
                .unwrap(),
        )
        .await
        .expect(405);
    assert_eq!(
        (
            looked.header("content-type").as_str(),
            looked.header("allow").as_str()
        ),
        ("application/problem+json", "POST")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_notification_is_a_400_and_kept_for_admins() {
    let house = House::new().await;
    for body in [
        "",
        "no JSON <b>at all</b>",
        "[]",
        "{\"alerts\": 7}",
        "{\"alerts\": [{]}",
        "nul \u{0} here",
    ] {
        let refused = house.posted(body).await.expect(400);
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert!(!refused.json()["detail"].as_str().unwrap().is_empty());
    }
    house.posted(vec![0xff_u8, 0xfe, b'{']).await.expect(400);
    assert_eq!(
        (house.count("alerts").await, house.count("quarantine").await),
        (0, 7)
    );
    let root = house.root();
    assert!(root.get("/alerts").await.offers("7 not understood"));
    let kept = root.get("/alerts/quarantine").await.expect(200);
    assert!(
        kept.all("details pre")
            .contains(&"no JSON <b>at all</b>".to_owned())
    );
    house.alice().get("/alerts/quarantine").await.expect(404);
    assert!(
        !house
            .alice()
            .get("/alerts")
            .await
            .offers("7 not understood")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_body_without_end_the_first_megabyte_is_kept() {
    let house = House::empty(|_| {}).await;
    house.posted("x".repeat(3 << 20)).await.expect(400);
    assert_eq!(
        house
            .count("quarantine where truncated and length(body) = 1 << 20")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_alert_is_kept_aside_and_the_rest_is_stored() {
    let house = House::empty(|_| {}).await;
    let bad = [
        json!(7),
        json!({"status": "firing", "labels": {}, "startsAt": "2026-11-01T10:00:00Z"}),
        json!({"status": "firing", "labels": {"alertname": "x"}, "startsAt": "yesterday"}),
        json!({"status": "sleeping", "labels": {"alertname": "x"}, "startsAt": "2026-11-01T10:00:00Z"}),
        json!({"status": "firing", "labels": {"alertname": "x".repeat(10_000)}, "startsAt": "2026-11-01T10:00:00Z"}),
        json!({"status": "firing", "labels": {"alertname": 5}, "startsAt": "2026-11-01T10:00:00Z"}),
    ];
    let mut all = vec![alert("1").json()];
    all.extend(bad.clone());
    all.push(alert("2").json());
    let said = house
        .posted(notification(all).to_string())
        .await
        .expect(200)
        .json();
    assert_eq!(
        (said["opened"].as_u64(), said["quarantined"].as_u64()),
        (Some(2), Some(6))
    );
    assert_eq!(house.history().await, ["1 10:00-", "2 10:00-"]);
    let kept = house
        .column("select body from quarantine order by id")
        .await;
    assert_eq!(
        kept.iter()
            .map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap())
            .collect::<Vec<_>>(),
        bad
    );
    assert!(
        house
            .column("select reason from quarantine order by id limit 1")
            .await[0]
            .starts_with("alert 2 of the delivery")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_texts_are_kept_as_they_are() {
    let house = House::empty(|_| {}).await;
    let odd = "Größe ✓ \"q\" \\ \u{1f525} <script>alert(1)</script> {{ $value }} '; drop table alerts; --";
    house
        .told(&[
            alert("1").label("note", odd).summary(odd),
            alert("2").label("note", "a\u{0}b").summary("c\u{0}d"),
        ])
        .await;
    assert_eq!(
        house
            .column("select labels->>'note' from alerts order by server_external_id")
            .await,
        [odd, "a\u{fffd}b"]
    );
    assert_eq!(
        house
            .column("select annotations->>'summary' from alerts order by server_external_id")
            .await,
        [odd, "c\u{fffd}d"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_tell_is_fine() {
    let house = House::empty(|_| {}).await;
    for body in [
        notification(Vec::new()).to_string(),
        "{}".into(),
        "{\"alerts\": null}".into(),
    ] {
        let said = house.posted(body).await.expect(200).json();
        assert_eq!(said["opened"], 0);
    }
    assert_eq!(
        (house.count("alerts").await, house.count("quarantine").await),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_3_megabytes_is_taken_whole() {
    let house = House::empty(|_| {}).await;
    let alerts: Vec<Alert> = (0..3000)
        .map(|n| alert(&n.to_string()).summary(&"long ".repeat(160)))
        .collect();
    let body = notification(alerts.iter().map(Alert::json).collect()).to_string();
    assert!(body.len() > 3 << 20, "{}", body.len());
    let said = house.posted(body).await.expect(200).json();
    assert_eq!(said["opened"], 3000);
    assert_eq!(house.count("alerts where ended_at is null").await, 3000);
    assert_eq!(
        house.count("alert_heads where open_id is not null").await,
        3000
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
    request
        .headers_mut()
        .insert(header::AUTHORIZATION, "Bearer wrong".parse().unwrap());
    Person::new(&lonely).send(request).await.expect(401);
}
