//! What watches prommgr asks: does it live, and can it serve?

use std::time::{Duration, Instant};

use prommgr::peer::Peer;

use crate::house::House;
use crate::person::Person;

#[tokio::test(flavor = "multi_thread")]
async fn a_house_in_order_lives_and_can_serve() {
    let house = House::empty(|_| {}).await;
    for path in ["/healthz", "/readyz"] {
        let answer = house.anyone().get(path).await.expect(200);
        assert_eq!(answer.json(), serde_json::json!({"status": "ok"}));
        assert!(!answer.headers.contains_key("set-cookie"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_it_lives_but_cannot_serve() {
    let house = House::empty(|_| {}).await;
    let lonely = Person::new(&house.without_database());
    lonely.get("/healthz").await.expect(200);
    let began = Instant::now();
    let answer = lonely.get("/readyz").await.expect(503);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(!answer.header("retry-after").is_empty());
    // people are told too, without the reasons
    let page = lonely.post("/login", &[("username", "alice"), ("password", "x")]).await.expect(503);
    assert_eq!(page.one("h1"), "Not available just now");
    assert!(!page.text.contains("postgres"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_whose_migrations_have_not_run_cannot_serve() {
    let house = House::empty(|_| {}).await;
    house.db.batch_execute("delete from __diesel_schema_migrations where version = (select max(version) from __diesel_schema_migrations)").await.unwrap();
    house.anyone().get("/readyz").await.expect(503);
    house.anyone().get("/healthz").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_cut_is_replaced() {
    let house = House::new().await;
    let alice = house.alice();
    alice.get("/").await.expect(200);
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    house.db.query(cut, &[]).await.unwrap();
    // whoever had one may be told to try again, but never that it is their fault or ours
    crate::house::eventually("a page after the cut", async || {
        let page = alice.get("/").await;
        assert!(matches!(page.status, 200 | 503), "{}", page.status);
        (page.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_route_knows_has_the_face_of_its_room() {
    let house = House::empty(|_| {}).await;
    let page = house.anyone().get("/nowhere").await.expect(404);
    assert_eq!((page.one("h1"), page.one(".status")), ("Not found".into(), "404".into()));
    for path in ["/api/v1/nowhere", "/api", "/sd/x", "/webhook/x"] {
        let problem = house.anyone().get(path).await.expect(404);
        assert_eq!(
            (problem.header("content-type").as_str(), problem.json()["status"].as_u64()),
            ("application/problem+json", Some(404))
        );
    }
    assert_eq!(house.anyone().get("/apiary").await.expect(404).one("h1"), "Not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_binds_the_browser_and_assets_are_kept() {
    let house = House::new().await;
    for page in [
        house.anyone().get("/login").await,
        house.anyone().get("/nowhere").await,
        house.alice().get("/").await,
    ] {
        assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'self';"));
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cache-control", "no-store"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(page.header(name), value);
        }
        assert!(!page.header("x-request-id").is_empty());
        // what the policy forbids is not there
        assert!(!page.has("[style], [onclick], script:not([src]), style"));
        for (css, attribute) in [("link[href]", "href"), ("script[src]", "src")] {
            for url in page.attrs(css, attribute) {
                let asset = house.anyone().get(&url).await.expect(200);
                assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
            }
        }
    }
    // a one-time link keeps its path to itself, also where pages are linked from it
    assert_eq!(house.anyone().get("/setup/x").await.header("referrer-policy"), "strict-origin");
    house.anyone().get("/static/000000000000/app.css").await.expect(404);
    house.anyone().get("/static/x/..%2f..%2fetc%2fpasswd").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn its_own_metrics_are_the_staffs_but_for_whoever_asks_on_this_machine() {
    let house = House::new().await;
    let number = |text: &str, series: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0.0, |value| value.trim().parse::<f64>().unwrap())
    };
    let series = r#"prommgr_http_requests_total{route="/owners/{id}",method="GET",status="404"}"#;
    let near = |headers: &[(&'static str, &'static str)]| {
        let mut request = axum::http::Request::get("/metrics");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.extension(Peer("127.0.0.1".parse().unwrap())).body(axum::body::Body::empty()).unwrap()
    };
    let anyone = house.anyone();
    let text = anyone.send(near(&[])).await.expect(200).text;
    assert!(text.contains("prommgr_build_info{version="), "{text}");
    assert!(number(&text, "prommgr_database_connections_max") > 0.0);
    let before = number(&text, series);
    for id in 1..=3 {
        house.alice().get(&format!("/owners/{id}")).await.expect(404);
    }
    let text = anyone.send(near(&[])).await.expect(200).text;
    assert!(number(&text, series) >= before + 3.0, "{text}");
    // a proxy on this machine asks for somebody else
    for header in [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9"), ("via", "1.1 x")] {
        anyone.send(near(&[header])).await.expect(401);
    }
    anyone.get("/metrics").await.expect(401);
}
