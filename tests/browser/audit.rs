//! What must hold on every page, whatever it shows.

use serde_json::{Value, json};

use crate::browser::Browser;

const AXE: &str = include_str!("vendor/axe-4.14.1.min.js");
const RUN_AXE: &str = r#"
const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ["violations"], rules: { "target-size": { enabled: true } } }).then(
  ({ violations }) => done(violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id} (${help}) at ${target.join(" ")}: ${failureSummary.replace(/\s+/g, " ")}`))),
  (error) => done([`axe failed: ${error}`]));
"#;
/// What sticks out to the right, innermost first.
const TOO_WIDE: &str = r#"
const page = document.documentElement;
if (page.scrollWidth <= arguments[0] && innerWidth <= arguments[0]) return [];
const wide = [...document.querySelectorAll("body *")].filter((element) => element.getBoundingClientRect().right > arguments[0] + 0.5);
return [`the page is ${page.scrollWidth} wide`, ...wide.reverse().slice(0, 5).map((element) => element.outerHTML.slice(0, 200))];
"#;
/// Requests that this page made, and their bytes as they came over the wire.
const LOADED: &str = r#"
const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
return entries.map((entry) => [entry.name.replace(/.*\//, "/"), entry.transferSize, entry.renderBlockingStatus === "blocking", entry.initiatorType]);
"#;
/// Bytes of a page with all that it loads, compressed.
const HEAVIEST: u64 = 100_000;

/// Looks at the page that is open in both themes, wide and narrow: nothing for axe to find, nothing
/// that sticks out. With `PROMMGR_SHOTS` pictures are kept to look at.
pub async fn look_at(browser: &Browser, name: &str) {
    browser.script(AXE, json!([])).await;
    let mut wrong = Vec::new();
    for width in [1280, 360] {
        browser.resize(width).await;
        let wide = browser.script(TOO_WIDE, json!([width])).await;
        wrong.extend(texts(&wide).map(|text| format!("at {width}: {text}")));
        for theme in ["light", "dark"] {
            browser.drawn(&format!("document.documentElement.dataset.theme = '{theme}'")).await;
            let found = browser.script_async(RUN_AXE, json!([])).await;
            wrong.extend(texts(&found).map(|text| format!("at {width}, {theme}: {text}")));
            if std::env::var_os("PROMMGR_SHOTS").is_some() {
                browser.save(&crate::saved(), &format!("{name}-{width}-{theme}")).await.unwrap();
            }
        }
    }
    browser.resize(1280).await;
    browser.drawn("delete document.documentElement.dataset.theme").await;
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

/// Opens a page as somebody does who was never here, and weighs it: the page, one stylesheet and the
/// scripts, of which only the stylesheet keeps the first paint waiting.
pub async fn weigh(browser: &Browser, path: &str) {
    browser.cdp("Network.setCacheDisabled", json!({ "cacheDisabled": true })).await;
    browser.go(path).await;
    let loaded = browser.script(LOADED, json!([])).await;
    browser.cdp("Network.setCacheDisabled", json!({ "cacheDisabled": false })).await;
    let loaded = loaded.as_array().unwrap();
    let weight: u64 = loaded.iter().map(|entry| entry[1].as_u64().unwrap()).sum();
    assert!(weight < HEAVIEST, "{path} weighs {weight} bytes: {loaded:?}");
    let names = |wanted: &dyn Fn(&Value) -> bool| -> Vec<&str> {
        loaded.iter().filter(|entry| wanted(entry)).map(|entry| entry[0].as_str().unwrap()).collect()
    };
    assert_eq!(names(&|entry| entry[2] == true), ["/app.css"], "{path} waits for them: {loaded:?}");
    assert_eq!(names(&|entry| entry[3] == "script"), ["/htmx-4.0.1.min.js", "/app.js"], "{path} loads them: {loaded:?}");
    let other = names(&|entry| !["navigation", "link", "script"].contains(&entry[3].as_str().unwrap()));
    assert!(other.iter().all(|name| *name == "/icons.svg"), "{path} loads more: {loaded:?}");
}

/// Nothing was said in the console since it was last asked, but what is expected; a CSP that was
/// broken is said there. No request went elsewhere.
pub async fn quiet(browser: &Browser, expected: &[&str]) {
    let said = browser.log("browser").await;
    let said: Vec<_> = said.iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect();
    let unexpected: Vec<_> = said.iter().filter(|text| !expected.iter().any(|part| text.contains(part))).collect();
    assert!(unexpected.is_empty(), "the console says: {unexpected:#?}");
    for entry in browser.log("performance").await {
        let entry: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
        let message = &entry["message"];
        if message["method"] != "Network.requestWillBeSent" {
            continue;
        }
        let url = message["params"]["request"]["url"].as_str().unwrap();
        let port = browser.base.rsplit(':').next().unwrap();
        let ours = [format!("http://127.0.0.1:{port}/"), format!("http://lan.test:{port}/")];
        // chrome: is what the browser shows before it shows anything
        let local = ["data:", "chrome:"].iter().any(|scheme| url.starts_with(scheme));
        assert!(local || ours.iter().any(|base| url.starts_with(base)), "a page asks elsewhere: {url}");
    }
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
