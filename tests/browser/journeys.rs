//! The journeys, in the order in which they are walked.

use serde_json::json;

pub use crate::account::account;
use crate::audit::{look_at, quiet, quiet_but_for, weigh};
use crate::browser::{Browser, ENTER, ESCAPE, TAB};
pub use crate::people::people;
use crate::{World, delivery};

pub const PASSWORD: &str = "correct horse battery";

pub async fn log_in(browser: &Browser, password: &str) {
    browser.fill("Name", "root").await;
    browser.fill("Password", password).await;
    browser.press("Log in").await;
}

/// The one-time link makes the first admin, who can log out and in again.
pub async fn first_admin(world: &World) {
    let browser = &world.browser;
    browser.go(&world.setup_link).await;
    look_at(browser, "setup").await;
    browser.fill("Name", "root").await;
    browser.fill("Password", PASSWORD).await;
    browser.fill("Password, once more", "something else").await;
    browser.press("Make the first admin").await;
    assert_eq!(browser.complaint("Password, once more").await, "The two passwords differ.");
    browser.holds_value("Name", "root").await;
    browser.fill("Password", PASSWORD).await;
    browser.fill("Password, once more", PASSWORD).await;
    browser.press("Make the first admin").await;
    browser.says("Welcome.").await;
    browser.at("/").await;

    browser.press("root").await;
    browser.press("Log out").await;
    browser.at("/login").await;
    log_in(browser, "wrong").await;
    browser.reads("[role=alert]", &["That name and password do not belong together."]).await;
    browser.holds_value("Name", "root").await;
    browser.holds("document.activeElement.name === 'password'").await;
    look_at(browser, "login-wrong").await;

    // back to where one was going
    browser.go("/servers?state=up").await;
    log_in(browser, PASSWORD).await;
    browser.at("/servers?state=up").await;
    quiet(browser, &["422 (Unprocessable"]).await;
}

/// The dashboard leads from nothing to a server that Prometheus scrapes.
pub async fn first_steps(world: &World) {
    let browser = &world.browser;
    browser.go("/").await;
    look_at(browser, "first-steps").await;
    browser.go("/servers").await;
    look_at(browser, "servers-none").await;
    browser.go("/").await;
    browser.press("Add an owner").await;
    browser.fill("Name", "Nordwind").await;
    browser.fill("External id", "11").await;
    browser.press("Add owner").await;
    browser.at_one_of("/owners").await;
    browser.go("/").await;
    browser.press("Add a server").await;
    browser.fill("Name", "web-1").await;
    browser.fill("Address", "127.0.0.1").await;
    browser.fill("Port", &world.stack.node_exporter.to_string()).await;
    browser.press("Labels, ids and how to scrape").await;
    browser.fill("External id", "4386").await;
    browser.press("Add server").await;
    browser.says("web-1 is added.").await;
    browser.at_one_of("/servers").await;
    browser.go("/").await;
    browser.press("Look and publish").await;
    browser.at("/publications").await;
    browser.says("The first publication: the built-in rules and 1 server").await;
    browser.holds("document.querySelectorAll('details.diff').length > 1").await;
    browser.press("Publish").await;
    browser.at_one_of("/publications").await;
    browser.says("In force").await;
    look_at(browser, "publication").await;
    browser.go("/").await;
    browser.count(".steps", 0).await;
    quiet(browser, &[]).await;
}

/// What is wrong is said where it is, and nothing that was typed is lost.
pub async fn bad_form(world: &World) {
    let browser = &world.browser;
    browser.go("/servers").await;
    browser.press_in("main", "Add server").await;
    browser.fill("Name", "db-1").await;
    browser.fill("Address", "http://db-1").await;
    browser.fill("Port", "99999").await;
    browser.fill("Comment", "the database").await;
    browser.press("Labels, ids and how to scrape").await;
    browser.fill("Labels", "rack=7\njob=x").await;
    browser.press("Add server").await;
    assert!(browser.complaint("Port").await.starts_with("A port is a number from 1 to 65535"));
    for field in ["Address", "Labels"] {
        assert!(!browser.complaint(field).await.is_empty());
    }
    browser.holds("document.activeElement.name === 'address'").await;
    browser.holds("performance.getEntriesByType('navigation')[0].responseStatus === 422").await;
    for (field, typed) in [
        ("Address", "http://db-1"),
        ("Port", "99999"),
        ("Comment", "the database"),
        ("Labels", "rack=7\njob=x"),
    ] {
        browser.holds_value(field, typed).await;
    }
    look_at(browser, "server-bad").await;
    browser.holds_value("Name", "db-1").await;
    browser.fill("Address", "127.0.0.1").await;
    browser.fill("Port", "9187").await;
    browser.fill("Labels", "rack=7").await;
    browser.press("Add server").await;
    browser.says("db-1 is added.").await;
    browser.says("rack=7").await;
    quiet(browser, &["422 (Unprocessable"]).await;
}

/// Removing asks first, naming the server, and can be taken back.
pub async fn remove_and_undo(world: &World) {
    let browser = &world.browser;
    browser.go("/servers").await;
    browser.press("Actions for db-1").await;
    look_at(browser, "servers-menu").await;
    browser.press("Remove…").await;
    browser.says("Remove db-1?").await;
    browser.says("127.0.0.1:9187 of Nordwind is no longer watched after the next publication.").await;
    look_at(browser, "servers-dialog").await;
    browser.press("Cancel").await;
    browser.count("dialog", 0).await;
    browser.press("Remove…").await;
    browser.press("Remove server").await;
    browser.says("db-1 is removed.").await;
    browser.reads("tbody a.through", &["web-1"]).await;
    look_at(browser, "servers-undo").await;
    browser.press("Undo").await;
    browser.says("db-1 is back.").await;
    browser.at_one_of("/servers").await;
    browser.go("/servers").await;
    browser.reads("tbody a.through", &["db-1", "web-1"]).await;
    quiet(browser, &[]).await;
}

/// The list answers while one types; the URL and the way back go along.
pub async fn search_as_you_type(world: &World) {
    let browser = &world.browser;
    browser.go("/servers").await;
    browser.script("window.same = true", json!([])).await;
    browser.focus("Search name, address, comment").await;
    browser.keys("data").await;
    browser.reads("tbody a.through", &["db-1"]).await;
    browser.at("/servers?q=data").await;
    browser
        .holds(
            "window.same && document.activeElement.name === 'q' && document.activeElement.value === 'data'",
        )
        .await;
    browser.keys("zz").await;
    browser.says("Nothing found").await;
    look_at(browser, "servers-nothing").await;
    browser.back().await;
    browser.at("/servers?q=data").await;
    browser.reads("tbody a.through", &["db-1"]).await;
    browser.holds_value("Search name, address, comment", "data").await;
    browser.back().await;
    browser.at("/servers").await;
    browser.reads("tbody a.through", &["db-1", "web-1"]).await;
    browser.holds_value("Search name, address, comment", "").await;
    browser.choose("State", "Paused").await;
    browser.at("/servers?state=paused").await;
    browser.says("Nothing found").await;
    quiet(browser, &[]).await;
}

/// A long history: pages, filters, one alert.
pub async fn alerts(world: &World) {
    let browser = &world.browser;
    browser.go("/alerts").await;
    browser.says("No alerts so far").await;
    assert_eq!(world.deliver(delivery()).await, 200);
    // they come by themselves
    browser.says("120 alerts").await;
    assert_eq!(world.deliver("{ this is not JSON".into()).await, 400);
    browser.reload().await;
    browser.says("120 alerts").await;
    browser.says("Disk /srv/0 will fill up").await;
    browser.count("tbody tr", 50).await;
    browser.script("window.same = true", json!([])).await;
    browser.press("Older").await;
    browser.says("Disk /srv/50 will fill up").await;
    browser.press("Older").await;
    browser.says("Disk /srv/119 will fill up").await;
    browser.count("tbody tr", 20).await;
    browser.count("[rel=next]", 0).await;
    browser.press("Newer").await;
    browser.says("Disk /srv/50 will fill up").await;
    browser.holds("window.same === true && location.search.includes('before=')").await;
    browser.choose("State", "Open").await;
    browser.at("/alerts?state=open").await;
    browser.says("40 alerts").await;
    browser.choose("Severity", "Warning").await;
    browser.says("20 alerts").await;
    browser.focus("Search alerts").await;
    browser.keys("srv/117").await;
    browser.says("1 alert").await;
    browser.count("tbody tr", 1).await;
    browser.press_in("tbody", "Disk fills up").await;
    browser.at_one_of("/alerts").await;
    browser.says("It has little room left.").await;
    browser.says("Nordwind").await;
    browser.says("/srv/117").await;
    browser.press_in("main", "web-1").await;
    browser.at_one_of("/servers").await;
    browser.says("Wrong now").await;
    quiet(browser, &[]).await;
}

/// What is new comes into the list while somebody reads it, who keeps their place; somebody else's acknowledgement too.
pub async fn live(world: &World) {
    let browser = &world.browser;
    browser.go("/alerts?q=mountpoint%3D/srv/90").await;
    browser.count("tbody tr", 1).await;
    let page =
        browser.script("return document.querySelector('a.through').getAttribute('href')", json!([])).await;
    browser.go("/alerts").await;
    browser.count("tbody tr", 50).await;
    let keep = "window.row = document.querySelectorAll('tbody a.through')[30]; row.scrollIntoView({ block: 'center' }); row.focus(); \
        window.place = row.getBoundingClientRect().top; getSelection().selectAllChildren(row)";
    browser.drawn(keep).await;
    let now = jiff::Timestamp::now().to_string();
    let new = delivery().replacen("/srv/0", "/srv/new", 2).replacen(
        r#""startsAt":""#,
        &format!(r#""startsAt":"{now}","was":""#),
        1,
    );
    assert_eq!(world.deliver(new).await, 200);
    browser.says("Disk /srv/new will fill up").await;
    browser.holds("document.activeElement === window.row && row.isConnected").await;
    browser.holds("getSelection().toString() === row.textContent").await;
    browser.holds("Math.abs(row.getBoundingClientRect().top - window.place) < 2").await;
    // the menu counts what the list does not show
    browser.go("/alerts?state=closed").await;
    browser
        .script(
            "window.before = Number(document.querySelector('.nav .count').firstChild.textContent)",
            json!([]),
        )
        .await;
    let newer = delivery().replacen("/srv/0", "/srv/newer", 2);
    assert_eq!(world.deliver(newer).await, 200);
    let now = "Number(document.querySelector('.nav .count').firstChild.textContent)";
    browser.holds(&format!("{now} === before + 1 && document.title.startsWith(`(${{{now}}}) Alerts`)")).await;
    let acknowledgement =
        format!("fetch('{}/acknowledgement', {{ method: 'POST' }})", page.as_str().unwrap());
    browser.go("/alerts?q=mountpoint%3D/srv/90").await;
    browser.drawn(&acknowledgement).await;
    browser.count("tr.known", 1).await;
    quiet(browser, &[]).await;
}

/// A threshold says where it comes from, is changed for one owner, and given back.
pub async fn thresholds(world: &World) {
    let browser = &world.browser;
    let row = "#cpu_threshold_exceeded-warning";
    let source = format!("{row} .source");
    browser.go("/thresholds").await;
    browser.reads(&source, &["Built in"]).await;
    let (value, save) = ("Value of High CPU use, warning, in %", "Save High CPU use, warning");
    browser.fill(value, "85").await;
    browser.press(save).await;
    browser.reads(&source, &["Default"]).await;
    browser.choose("Owner", "Nordwind").await;
    browser.press("Show").await;
    browser.holds("location.search.startsWith('?owner=')").await;
    browser.reads(&source, &["Default"]).await;
    browser.holds_value(value, "85").await;
    browser.fill(value, "lots").await;
    browser.press(save).await;
    assert!(!browser.complaint(value).await.is_empty());
    browser.holds("document.activeElement.name === 'value'").await;
    browser.holds_value(value, "lots").await;
    look_at(browser, "thresholds-bad").await;
    browser.fill(value, "61").await;
    browser.press(save).await;
    browser.reads(&source, &["Nordwind"]).await;
    browser.holds_value(value, "61").await;
    browser.press("Reset High CPU use, warning to above 85 % for 5m").await;
    browser.reads(&source, &["Default"]).await;
    browser.holds_value(value, "85").await;
    quiet(browser, &["422 (Unprocessable"]).await;
}

/// The chosen theme is in the page as it is served, so nothing flashes.
pub async fn theme(world: &World) {
    let browser = &world.browser;
    let served = "const done = arguments[0]; fetch('/servers').then((page) => page.text()).then((html) => \
        done(new DOMParser().parseFromString(html, 'text/html').documentElement.dataset.theme ?? null))";
    browser.go("/owners").await;
    for (name, theme) in [("Dark", json!("dark")), ("Light", json!("light")), ("System", json!(null))] {
        browser.press("root").await;
        browser.press(name).await;
        browser.holds(&format!("(document.documentElement.dataset.theme ?? null) === {theme}")).await;
        browser.at("/owners").await;
        assert_eq!(browser.script_async(served, json!([])).await, theme);
        let scheme = theme.as_str().unwrap_or("light dark");
        browser
            .holds(&format!("getComputedStyle(document.documentElement).colorScheme === '{scheme}'"))
            .await;
    }
    quiet(browser, &[]).await;
}

/// Everything by keys.
pub async fn keys(world: &World) {
    let browser = &world.browser;
    browser.go("/").await;
    browser.keys("gs").await;
    browser.at("/servers").await;
    browser.keys("/").await;
    browser.holds("document.activeElement.name === 'q' && document.activeElement.value === ''").await;
    // in a field they are only letters
    browser.keys("gs?").await;
    browser.holds_value("Search name, address, comment", "gs?").await;
    browser.go("/servers").await;
    browser.keys("?").await;
    browser.says("Search this list").await;
    browser.holds("document.activeElement.closest('dialog') !== null").await;
    look_at(browser, "keys").await;
    browser.keys(ESCAPE).await;
    browser.count("dialog", 0).await;
    // the first Tab offers to skip the menu
    browser.go("/servers").await;
    browser.keys(TAB).await;
    browser.holds("document.activeElement.matches('.skip') && document.activeElement.getBoundingClientRect().width > 50").await;
    browser.keys(ENTER).await;
    tab_to(browser, "Actions for db-1").await;
    browser.keys(ENTER).await;
    browser.holds("document.activeElement.parentElement.open").await;
    tab_to(browser, "Remove…").await;
    browser.keys(ENTER).await;
    browser.says("Remove db-1?").await;
    browser.keys(ESCAPE).await;
    browser.count("dialog", 0).await;
    browser.holds("document.activeElement.textContent.trim() === 'Remove…'").await;
    browser.keys(ESCAPE).await;
    browser.count("details[open]", 0).await;
    browser.holds("document.activeElement.ariaLabel === 'Actions for db-1'").await;
    for (key, place) in
        [("a", "/alerts"), ("o", "/owners"), ("t", "/thresholds"), ("p", "/publications"), ("d", "/")]
    {
        browser.keys(&format!("g{key}")).await;
        browser.at(place).await;
    }
    quiet(browser, &[]).await;
}

/// Presses Tab until the thing of this name has the focus, and shows it.
async fn tab_to(browser: &Browser, name: &str) {
    for _ in 0..30 {
        browser.keys(TAB).await;
        let focused = "const { ariaLabel, textContent } = document.activeElement; return ariaLabel ?? textContent.trim()";
        if browser.script(focused, json!([])).await == name {
            browser.holds("getComputedStyle(document.activeElement).outlineStyle === 'solid'").await;
            return;
        }
    }
    panic!("Tab does not reach `{name}`");
}

/// On a phone the menu can be used with a thumb.
pub async fn phone(world: &World) {
    let browser = &world.browser;
    browser.resize(360).await;
    browser.go("/").await;
    for (entry, place) in [
        ("Alerts", "/alerts"),
        ("Servers", "/servers"),
        ("Owners", "/owners"),
        ("Thresholds", "/thresholds"),
        ("Publications", "/publications"),
        ("Dashboard", "/"),
    ] {
        let small = "return [...document.querySelectorAll('.nav a')].map((entry) => entry.getBoundingClientRect()) \
            .filter(({ left, right, width, height }) => left < 0 || right > 360 || width < 40 || height < 40).length";
        assert_eq!(browser.script(small, json!([])).await, 0, "an entry of the menu is too small or outside");
        let href = format!(".nav a[href='{place}']");
        browser
            .script("document.querySelector(arguments[0]).ariaLabel = arguments[1]", json!([href, entry]))
            .await;
        browser.press_in("nav", entry).await;
        browser.at(place).await;
    }
    browser.resize(1280).await;
    quiet(browser, &[]).await;
}

/// An app's codes as a second factor: set up, asked for, answered by a recovery code, turned off.
pub async fn second_factor(world: &World) {
    let browser = &world.browser;
    browser.go("/account/second-factor").await;
    look_at(browser, "second-factor-off").await;
    browser.press("Set it up").await;
    browser.says("Scan this with an authenticator app").await;
    look_at(browser, "second-factor-setup").await;
    browser.fill("Code", "12345").await;
    browser.press("Turn it on").await;
    assert!(browser.complaint("Code").await.starts_with("This is not what the app should show now."));
    let key = browser.script("return document.querySelector('#key').textContent", json!([])).await;
    let key = totp_rs::Secret::try_from_base32(key.as_str().unwrap().replace(' ', "")).unwrap();
    let phone = prommgr::totp::Secret::from_bytes(key.as_bytes().to_vec());
    browser.fill("Code", &phone.code(jiff::Timestamp::now()).unwrap()).await;
    browser.press("Turn it on").await;
    browser.says("they are not shown again").await;
    look_at(browser, "second-factor-codes").await;
    let codes = browser.script("return document.querySelector('#codes').textContent", json!([])).await;
    let codes: Vec<_> = codes.as_str().unwrap().lines().collect();
    assert_eq!(codes.len(), 10);
    browser.press("I have kept them").await;
    browser.says("10 left").await;
    look_at(browser, "second-factor-on").await;
    browser.press("Turn off…").await;
    browser.says("Turn the second factor off?").await;
    look_at(browser, "second-factor-turn-off").await;
    browser.press("Cancel").await;

    browser.press("root").await;
    browser.press("Log out").await;
    browser.at("/login").await;
    log_in(browser, PASSWORD).await;
    browser.at("/login/second-factor").await;
    browser.holds("document.activeElement.name === 'code'").await;
    look_at(browser, "second-factor-login").await;
    browser.fill("Code", "no code").await;
    browser.press("Log in").await;
    browser.complaint("Code").await;
    browser.press("Use a recovery code").await;
    browser.fill("Recovery code", codes[0]).await;
    look_at(browser, "second-factor-login-recovery").await;
    browser.press("Log in").await;
    browser.says("That recovery code is used up; 9 are left.").await;
    browser.go("/account/second-factor").await;
    browser.press("Turn off…").await;
    browser.press("Turn off").await;
    browser.says("The second factor is off.").await;
    quiet(browser, &["422 (Unprocessable"]).await;
}

/// By a name, without TLS: browsers send less there, and prommgr must not need it.
pub async fn plain_http(world: &World) {
    let browser = &world.browser;
    let base = format!("http://lan.test:{}", world.stack.prommgr.port());
    browser.go(&format!("{base}/login")).await;
    browser.holds("!isSecureContext").await;
    log_in(browser, PASSWORD).await;
    browser.at("/").await;
    browser.go(&format!("{base}/owners/new")).await;
    browser.fill("Name", "Acme").await;
    browser.press("Add owner").await;
    browser.at_one_of("/owners").await;
    browser.press_in("main", "Remove owner…").await;
    browser.press("Remove owner").await;
    browser.says("Acme is removed.").await;
    browser.press("root").await;
    browser.press("Log out").await;
    browser.at("/login").await;
    // said of a header that does nothing there
    quiet(browser, &[]).await;
}

/// Out to a provider on another site and back, with cookies and a CSP as browsers keep them.
pub async fn single_sign_on(world: &World) {
    if cfg!(not(feature = "sso")) {
        return;
    }
    let browser = &world.browser;
    browser.go("/login?next=/servers").await;
    look_at(browser, "login-sso").await;
    // whom no group gives anything
    browser.press("Log in with Keyring").await;
    browser.says("nothing here has been given to you").await;
    look_at(browser, "sso-refused").await;
    world.provider.person("ada-1", "ada", &["ops"]);
    browser.press("Try Keyring again").await;
    browser.at("/servers").await;
    browser.reads(".menu.user .name", &["ada"]).await;
    browser.go("/account/identity").await;
    look_at(browser, "identity").await;
    browser.press("ada").await;
    browser.press("Log out").await;
    browser.at("/login").await;
    log_in(browser, PASSWORD).await;
    browser.at("/").await;
    browser.go("/account/identity").await;
    look_at(browser, "identity-none").await;
    browser.press("Link Keyring").await;
    browser.says("Log in at Keyring as yourself").await;
    look_at(browser, "identity-linking").await;
    world.provider.person("root-1", "the root", &[]);
    browser.press("Go on to Keyring").await;
    browser.says("Keyring opens your account from now on.").await;
    browser.press("Unlink Keyring").await;
    browser.says("Keyring no longer opens your account.").await;
    let provider = format!("{}/", world.provider.url);
    quiet_but_for(browser, &["403 (Forbidden)"], &[&provider]).await;
}

/// Every page works where no script runs.
pub async fn without_scripts(world: &World) {
    let browser = &world.plain;
    browser.go("/servers").await;
    browser.holds("matchMedia('(scripting: none)').matches && !document.cookie.includes('tz')").await;
    log_in(browser, PASSWORD).await;
    browser.at("/servers").await;
    browser.press_in("main", "Add server").await;
    browser.fill("Name", "mail-1").await;
    browser.fill("Address", "192.0.2.7").await;
    browser.press("Add server").await;
    browser.says("mail-1 is added.").await;
    browser.go("/servers").await;
    browser.fill("Search name, address, comment", "192.0.2").await;
    browser.press_in("main", "Search").await;
    browser.at("/servers?q=192.0.2&owner=&state=").await;
    browser.reads("tbody a.through", &["mail-1"]).await;
    browser.press("Actions for mail-1").await;
    browser.press("Pause").await;
    browser.says("mail-1 is paused").await;
    browser.press_in("nav", "Thresholds").await;
    browser.choose("Owner", "Nordwind").await;
    browser.press("Show").await;
    browser.says("What holds for the servers of Nordwind.").await;
    browser.go("/alerts").await;
    browser.choose("State", "Closed").await;
    browser.press_in("main", "Search").await;
    browser.says("80 alerts").await;
    browser.press("Older").await;
    browser.count("tbody tr", 30).await;
    browser.press("Newer").await;
    browser.count("tbody tr", 50).await;
    browser.press("Save these filters").await;
    browser.fill("Name", "Over").await;
    browser.press("Save filters").await;
    browser.says("Saved as Over").await;
    browser.go("/alerts").await;
    browser.press_in(".shortcuts", "Over").await;
    browser.at("/alerts?state=closed").await;
    browser.says("80 alerts").await;
    browser.press("Edit saved filters").await;
    browser.fill("Name of Over", "Past").await;
    browser.press("Rename Over").await;
    browser.says("It is called Past now.").await;
    browser.press("Remove Past").await;
    browser.says("Past is no longer saved.").await;
    browser.press("Keys ?").await;
    browser.says("Search this list").await;
    browser.press("Close").await;
    quiet(browser, &[]).await;
}

/// A delivery of an alert whose value Prometheus knows.
fn busy_processor() -> String {
    let began = jiff::Timestamp::now() - std::time::Duration::from_secs(60);
    let alert = json!({
        "status": "firing", "startsAt": began.to_string(), "endsAt": "0001-01-01T00:00:00Z", "annotations": { "summary": "CPU is at 90 %" },
        "labels": { "alertname": "cpu_threshold_exceeded", "severity": "warning", "cloudnet_owner_id": "11", "cloudnet_server_id": "4386" },
    });
    json!({ "version": "4", "groupKey": "{}", "status": "firing", "receiver": "prommgr", "alerts": [alert] })
        .to_string()
}

/// Each page by itself: light, quick, in both themes and on a phone.
pub async fn every_page(world: &World) {
    let browser = &world.browser;
    browser.go("/alerts?state=open").await;
    let open = browser.link("Disk fills up").await;
    browser.go("/alerts?state=closed").await;
    let closed = browser.link("Disk fills up").await;
    assert_eq!(world.deliver(busy_processor()).await, 200);
    browser.go("/alerts?rule=cpu_threshold_exceeded").await;
    let drawn = browser.link("High CPU use").await;
    browser.go("/servers").await;
    let (server, owner) = (browser.link("web-1").await, browser.link("Nordwind").await);
    for (name, filters) in [("Disks that fill up", "q=disk&state=open"), ("Warnings", "severity=warning")] {
        browser.go(&format!("/alerts/filters?{filters}")).await;
        browser.fill("Name", name).await;
        browser.press("Save filters").await;
        browser.says(&format!("Saved as {name}")).await;
    }
    browser.go("/users").await;
    let user = browser.link("root").await;
    // what the dashboard says of the way of alerts, and what could not be understood, are looked at too
    assert_eq!(world.deliver("<b>no JSON</b>".into()).await, 400);
    browser.go("/alerts/quarantine").await;
    browser.script("document.querySelector('main details.diff').open = true", json!([])).await;
    let kept = browser.link("Read it again, or delete it").await;
    let [server_id, owner_id] = [&server, &owner].map(|path| path.rsplit('/').next().unwrap());
    let pages = [
        ("dashboard", "/"),
        ("alerts", "/alerts"),
        (
            "alerts-filtered",
            &format!("/alerts?state=open&severity=warning&server={server_id}&from=2026-01-01"),
        ),
        ("figures", "/alerts/figures"),
        ("saved", "/alerts/filters?state=open&q=disk"),
        ("alerts-by-server", "/alerts?group=server"),
        ("alerts-known", "/alerts?q=mountpoint%3D/srv/90"),
        ("alert-open", &open),
        ("alert-closed", &closed),
        ("alert-drawn", &drawn),
        ("alert-value", &format!("{drawn}/value")),
        ("quarantine", "/alerts/quarantine"),
        ("quarantine-one", &kept),
        ("servers", "/servers"),
        ("server", &server),
        ("server-add", "/servers/new"),
        ("server-edit", &format!("{server}/edit")),
        ("owners", "/owners"),
        ("owner", &owner),
        ("owner-add", "/owners/new"),
        ("owner-edit", &format!("{owner}/edit")),
        ("thresholds", "/thresholds"),
        ("thresholds-server", &format!("/thresholds?owner={owner_id}&server={server_id}")),
        ("members", &format!("{owner}/members")),
        ("users", "/users"),
        ("users-none", "/users?kind=disabled"),
        ("user-add", "/users/new"),
        ("user", &user),
        ("publications", "/publications"),
        ("audit", "/audit"),
        ("audit-none", "/audit?q=nobody"),
        ("account", "/account"),
        ("password", "/account/password"),
        ("tokens", "/account/tokens"),
        ("token-add", "/account/tokens/new"),
        ("missing", "/servers/999"),
        ("login-ended", "/login?ended=1"),
    ];
    for (name, path) in pages {
        weigh(browser, path).await;
        match name {
            "alert-open" | "alert-closed" => browser.says("Prometheus has no values of this time.").await,
            "alert-drawn" => browser.count("#value svg", 1).await,
            _ => {}
        }
        browser
            .script(
                "for (const part of document.querySelectorAll('main :is(details.diff, details.changed)')) part.open = true",
                json!([]),
            )
            .await;
        look_at(browser, name).await;
    }
    browser.go("/view").await;
    browser.press_in("main", "Nordwind 11").await;
    browser.at("/").await;
    for (name, path) in
        [("view-looking", "/view"), ("account-looking", "/account"), ("missing-looking", "/servers/999")]
    {
        browser.go(path).await;
        browser.reads(".looking b", &["Nordwind"]).await;
        look_at(browser, name).await;
    }
    browser.press("Stop").await;
    browser.says("You look at everything again.").await;
    quiet(browser, &["/servers/999 - Failed to load resource: the server responded with a status of 404"])
        .await;
}
