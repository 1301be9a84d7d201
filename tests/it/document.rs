//! The API's document, and the page that shows it.

use std::collections::BTreeSet;

use prommgr::api::document;
use prommgr::router::{Door, routes};
use serde_json::Value;

use crate::house::House;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/openapi.json");

#[test]
fn the_document_is_the_golden_one() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(std::path::Path::new(GOLDEN).parent().unwrap()).unwrap();
        std::fs::write(GOLDEN, document::text()).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    assert!(
        golden == document::text(),
        "the API changed: UPDATE_GOLDEN=1 writes tests/golden/openapi.json anew"
    );
}

#[test]
fn every_door_for_programs_is_in_the_document_and_nothing_else() {
    let built: BTreeSet<_> = routes()
        .iter()
        .filter(|route| route.path.starts_with("/api/v1/") || route.path.starts_with("/sd/"))
        .inspect(|route| assert_eq!(route.door, Door::Client, "{}", route.path))
        .flat_map(|route| route.methods.iter().map(|method| ((*method).to_owned(), route.path.to_owned())))
        .collect();
    assert_eq!(document::operations().into_iter().collect::<BTreeSet<_>>(), built);
}

#[test]
fn each_operation_says_what_it_does_how_to_call_it_and_what_it_answers() {
    let document: Value = serde_json::from_str(document::text()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (method, path) in document::operations() {
        let operation = &document["paths"][&path][method.to_lowercase()];
        let at = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{at}");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{at}");
        let description = operation["description"].as_str().unwrap();
        assert!(
            description.contains("```sh\ncurl") && description.contains("$PROMMGR/"),
            "{at}: {description}"
        );
        assert!(!description.contains('{') || !operation["requestBody"].is_null(), "{at}");
        let answers = operation["responses"].as_object().unwrap();
        for (status, answer) in answers {
            let problem = answer["content"]["application/problem+json"]["schema"]["$ref"].as_str();
            assert_eq!(problem.is_some(), status.as_str() >= "400", "{at}: {status}");
        }
        assert!(answers.contains_key("401") && answers.keys().any(|status| status.starts_with('2')), "{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_read_by_anybody_and_asks_nobody_else() {
    let house = House::new().await;
    let anyone = house.anyone();
    let served = anyone.get("/api/openapi.json").await.expect(200);
    assert_eq!(
        (served.header("content-type").as_str(), served.text.as_str()),
        ("application/json", document::text())
    );
    let page = anyone.get("/docs").await.expect(200);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self';") && policy.contains("connect-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe-eval"), "{policy}");
    for (what, attribute) in [("script", "src"), ("link", "href")] {
        let loaded = page.attrs(what, attribute);
        assert!(!loaded.is_empty());
        for path in loaded {
            assert!(path.starts_with('/') && !path.starts_with("//"), "{path}");
            anyone.get(&path).await.expect(200);
        }
    }
    anyone.get("/docs/index.html").await.expect(404);
    // every other page keeps its policy
    assert!(!anyone.get("/login").await.header("content-security-policy").contains("unsafe"));
}
