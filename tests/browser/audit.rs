//! What must hold on every page, whatever it shows.

use serde_json::{Value, json};

use crate::browser::Browser;

const AXE: &str = include_str!("vendor/axe-4.14.1.min.js");
const RUN_AXE: &str = r#"
const done = arguments[arguments.length - 1];
const options = { resultTypes: ["violations"], iframes: false, preload: false, rules: { "target-size": { enabled: true } } };
// the other theme has the same bones
if (arguments[0] === "dark") options.runOnly = ["color-contrast"];
axe.run(document, options).then(
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
/// What the page asked for beside itself and what comes after it, what of it keeps the first paint waiting, and the
/// bytes of all as they came over the wire.
const LOADED: &str = r#"
const parts = performance.getEntriesByType("resource");
const names = (entries) => entries.map(({ name }) => new URL(name).pathname.replace(/.*\//, "")).sort();
const sizes = [...performance.getEntriesByType("navigation"), ...parts].map(({ transferSize }) => transferSize);
const later = ({ name, initiatorType }) => name.includes("/icons.svg") || initiatorType === "fetch";
return [names(parts.filter((part) => !later(part))), names(parts.filter(({ renderBlockingStatus }) => renderBlockingStatus === "blocking")), sizes.reduce((a, b) => a + b)];
"#;
/// Bytes of a page with all that it loads, compressed.
const HEAVIEST: u64 = 100_000;

/// Looks at the page that is open in both themes, wide and narrow: nothing for axe to find, nothing
/// that sticks out. With `PROMMGR_SHOTS` pictures are kept to look at.
pub async fn look_at(browser: &Browser, name: &str) {
    browser.script(AXE, json!([])).await;
    // the ninth row looks as the eighth does
    browser
        .script(
            "for (const row of document.querySelectorAll('tbody tr:nth-child(n + 9)')) row.remove()",
            json!([]),
        )
        .await;
    let mut wrong = Vec::new();
    for width in [1280, 360] {
        browser.resize(width).await;
        let wide = browser.script(TOO_WIDE, json!([width])).await;
        wrong.extend(texts(&wide).map(|text| format!("at {width}: {text}")));
        for theme in ["light", "dark"] {
            prefer(browser, theme).await;
            let found = browser.script_async(RUN_AXE, json!([theme])).await;
            wrong.extend(texts(&found).map(|text| format!("at {width}, {theme}: {text}")));
            if std::env::var_os("PROMMGR_SHOTS").is_some() {
                browser.save(&crate::saved(), &format!("{name}-{width}-{theme}")).await.unwrap();
            }
        }
    }
    browser.resize(1280).await;
    prefer(browser, "light").await;
    let some = wrong.iter().take(10).map(String::as_str).collect::<Vec<_>>();
    assert!(wrong.is_empty(), "{} wrong on {name}, such as:\n{}", wrong.len(), some.join("\n"));
}

/// Has the system in a theme.
async fn prefer(browser: &Browser, theme: &str) {
    let features = json!([{ "name": "prefers-color-scheme", "value": theme }]);
    browser.cdp("Emulation.setEmulatedMedia", json!({ "features": features })).await;
}

/// Opens a page as somebody does who was never here, and weighs it. Beside the page only the stylesheet
/// keeps the first paint waiting.
pub async fn weigh(browser: &Browser, path: &str) {
    browser.cdp("Network.setCacheDisabled", json!({ "cacheDisabled": true })).await;
    browser.go(path).await;
    let loaded = browser.script(LOADED, json!([])).await;
    browser.cdp("Network.setCacheDisabled", json!({ "cacheDisabled": false })).await;
    assert_eq!(
        loaded[0],
        json!(["app.css", "app.js", "htmx-4.0.1.min.js"]),
        "{path} loads them beside icons"
    );
    assert_eq!(loaded[1], json!(["app.css"]), "{path} waits for them");
    let weight = loaded[2].as_u64().unwrap();
    assert!((1..HEAVIEST).contains(&weight), "{path} weighs {weight} bytes");
}

/// Nothing was said in the console since it was last asked, but what is expected; a CSP that was
/// broken is said there. No request went elsewhere.
pub async fn quiet(browser: &Browser, expected: &[&str]) {
    quiet_but_for(browser, expected, &[]).await;
}

/// As [`quiet`], but requests may go to these addresses too.
pub async fn quiet_but_for(browser: &Browser, expected: &[&str], elsewhere: &[&str]) {
    let said = browser.log("browser").await;
    let said: Vec<_> = said.iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect();
    // a test types before a page has put the focus where it belongs; then it stays where the test put it
    let expected = [expected, &["Autofocus processing was blocked"]].concat();
    let unexpected: Vec<_> =
        said.iter().filter(|text| !expected.iter().any(|part| text.contains(part))).collect();
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
        let ours: Vec<_> = ours.iter().map(String::as_str).chain(elsewhere.iter().copied()).collect();
        // chrome: is what the browser shows before it shows anything
        let local = ["data:", "chrome:"].iter().any(|scheme| url.starts_with(scheme));
        assert!(local || ours.iter().any(|base| url.starts_with(*base)), "a page asks elsewhere: {url}");
    }
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
