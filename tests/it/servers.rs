//! Servers: the list, a server's page, the form, the buttons.

use crate::alertmanager::alert;
use crate::house::House;

pub const WEB: [(&str, &str); 3] = [("name", "web"), ("address", "10.0.0.5"), ("enabled", "true")];

pub fn but<'a>(form: &[(&'a str, &'a str)], change: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = form.iter().filter(|(name, _)| !change.iter().any(|(other, _)| other == name));
    kept.chain(change).copied().collect()
}

pub fn of<'a>(owner: &'a str, form: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    but(form, &[("owner_id", owner)])
}

#[tokio::test(flavor = "multi_thread")]
async fn alice_adds_a_server_by_the_form() {
    let house = House::new().await;
    let alice = house.alice();
    let empty = alice.get("/servers").await.expect(200);
    assert_eq!(empty.one(".empty .title"), "No servers yet");
    let form = alice.get("/servers/new").await.expect(200);
    assert_eq!(
        (form.typed("port"), form.typed("job"), form.typed("metrics_path")),
        ("9100".into(), "node".into(), "/metrics".into())
    );
    let made = alice.presses(&form, "Add server", &WEB).await.leads_to();
    let page = alice.get(&made).await.expect(200);
    assert!(page.flash().starts_with("web is added."));
    assert_eq!((page.one("h1"), page.one("code#url")), ("web".into(), "http://10.0.0.5:9100/metrics".into()));
    assert_eq!(alice.get("/servers").await.rows(), ["web"]);
    assert_eq!(
        house.column("select summary || ' by ' || user_name from pending_changes").await,
        ["Server web added to Nordwind by alice"]
    );
    // the flash is shown once
    assert!(!alice.get(&made).await.has(".flash"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_edited() {
    let house = House::new().await;
    let alice = house.alice();
    let path = format!("/servers/{}", house.server(house.nordwind, "7", "web", "10.0.0.5").await);
    let form = alice.get(&format!("{path}/edit")).await.expect(200);
    assert_eq!((form.typed("name"), form.typed("external_id")), ("web".into(), "7".into()));
    let fill = [("name", "web-1"), ("comment", "below the stairs"), ("external_id", ""), ("scheme", "https")];
    let to = alice.presses(&form, "Save", &fill).await.leads_to();
    let page = alice.get(&to).await.expect(200);
    assert_eq!(
        (page.one("h1"), page.one("code#url")),
        ("web-1".into(), "https://10.0.0.5:9100/metrics".into())
    );
    // an id that is left empty stays
    assert_eq!(house.column("select external_id from servers").await, ["7"]);
    let bad = alice.post(&path, &but(&WEB, &[("name", "")])).await.expect(422);
    assert_eq!((bad.one("h1"), bad.error_at("name")), ("Edit web-1".into(), "Give a name.".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_can_be_undone() {
    let house = House::new().await;
    let alice = house.alice();
    let path = format!("/servers/{}", house.server(house.nordwind, "7", "web", "10.0.0.5").await);
    house.told(&[alert("7")]).await;
    let page = alice.get(&path).await.expect(200);
    let list = alice.get(&alice.presses(&page, "Remove server", &[]).await.leads_to()).await.expect(200);
    assert!(list.flash().starts_with("web is removed"));
    assert!(list.rows().is_empty());
    for gone in [path.clone(), format!("{path}/edit")] {
        alice.get(&gone).await.expect(404);
    }
    alice.post(&format!("{path}/removal"), &[]).await.expect(404);
    alice.post(&format!("{path}/enabled"), &[("enabled", "false")]).await.expect(404);
    // the history stays, without a link to what is gone
    let history = alice.get("/alerts").await;
    assert_eq!((history.rows().len(), history.attrs("tbody td.second a", "href").len()), (1, 0));
    let back = alice.presses(&list, "Undo", &[]).await.leads_to();
    assert_eq!(alice.get(&back).await.expect(200).flash(), "web is back.");
    assert_eq!(alice.get("/servers").await.rows(), ["web"]);
    // there is nothing to undo any more
    alice.post(&format!("{path}/restoration"), &[]).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_server_s_address_can_be_used_again_and_undo_then_says_why_not() {
    let house = House::new().await;
    let (alice, owner) = (house.alice(), house.nordwind.to_string());
    let path = format!("/servers/{}", house.server(house.nordwind, "7", "old", "10.0.0.5").await);
    let removed = alice.does(&format!("{path}/removal"), &[]).await;
    alice.does("/servers", &of(&owner, &but(&WEB, &[("external_id", "7")]))).await;
    let refused = alice.presses(&removed, "Undo", &[]).await.expect(409);
    assert!(refused.one(".fault p:not(.status):not(.actions)").contains("Another server has its address"));
    assert_eq!(alice.get("/servers").await.rows(), ["web"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_paused_and_resumed() {
    let house = House::new().await;
    let alice = house.alice();
    let path = format!("/servers/{}", house.server(house.nordwind, "7", "web", "10.0.0.5").await);
    let page = alice.get(&path).await;
    let page = alice.get(&alice.presses(&page, "Pause", &[]).await.leads_to()).await;
    assert_eq!(page.one("#live .state"), "Paused");
    assert!(page.flash().starts_with("web is paused"));
    assert_eq!(alice.get("/servers?state=paused").await.rows(), ["web"]);
    // in the list, and back to the list as it was filtered
    let list = alice.get("/servers?state=paused&q=we").await;
    assert_eq!(alice.presses(&list, "Resume", &[]).await.leads_to(), "/servers?state=paused&q=we");
    assert!(alice.get("/servers?state=paused").await.rows().is_empty());
    assert_eq!(
        alice
            .post(&format!("{path}/enabled"), &[("enabled", "false"), ("next", "//evil.example")])
            .await
            .leads_to(),
        "/"
    );
    alice.post(&format!("{path}/enabled"), &[("enabled", "perhaps")]).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_searched_filtered_and_paged() {
    let house = House::new().await;
    house.db.batch_execute(
        "insert into servers (owner_id, external_id, name, address, port, comment) \
         select 101, n::text, case when n % 2 = 0 then 'Web-' else 'web-' end || lpad(n::text, 3, '0'), '10.0.0.' || n, 9100, \
           case when n = 7 then '100 % spare_part' else '' end from generate_series(1, 120) n; \
         insert into server_health (server_id, owner_id, up) select id, owner_id, external_id <> '9' from servers where external_id in ('8', '9'); \
         insert into prometheus_health (url, seen_at) values ('http://p', now())",
    ).await.unwrap();
    house.server(house.suedstern, "1", "mail", "10.0.0.5").await;
    let alice = house.alice();
    let (mut seen, mut at) = (Vec::new(), "/servers".to_owned());
    loop {
        let page = alice.get(&at).await.expect(200);
        seen.extend(page.rows());
        let Some(next) = page.attrs("a[rel=next]", "href").pop() else {
            break;
        };
        at = next;
    }
    assert_eq!((seen.len(), seen.is_sorted_by_key(|name| name.to_lowercase())), (120, true));
    let back = alice.get(&at).await.attrs("a[rel=prev]", "href").pop().unwrap();
    assert_eq!(alice.get(&back).await.rows(), seen[50..100]);
    for (query, found) in [
        ("q=WEB-007", vec!["web-007"]),
        ("q=10.0.0.12", vec!["Web-012", "Web-120"]),
        ("q=100 %25 spare_", vec!["web-007"]),
        ("q=_", vec!["web-007"]),
        ("q=mail", vec![]),
        ("state=down", vec!["web-009"]),
        ("state=up", vec!["Web-008"]),
        ("owner=102", vec![]),
        ("owner=nobody", vec![]),
        ("q=web&state=down", vec!["web-009"]),
    ] {
        let page = alice.get(&format!("/servers?{}", query.replace(' ', "+"))).await.expect(200);
        let mut rows = page.rows();
        rows.retain(|row| query != "q=10.0.0.12" || row.ends_with("012") || row.ends_with("120"));
        assert_eq!(rows, found, "{query}");
        assert_eq!(page.has(".empty"), found.is_empty());
    }
    let root = house.root();
    assert_eq!(root.get("/servers?owner=102").await.rows(), ["mail"]);
    assert_eq!(root.get("/servers").await.options("owner"), ["Every owner", "Nordwind", "Südstern"]);
    assert!(!alice.get("/servers").await.has("select[name=owner]"));
    let part = alice.fragment("/servers?q=web-007").await.expect(200);
    assert_eq!(
        (part.rows(), part.has("h1"), part.header("vary").as_str()),
        (vec!["web-007".to_owned()], false, "HX-Request-Type")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_colleague_who_may_only_look_sees_all_and_changes_nothing() {
    let house = House::new().await;
    let bob = house.bob();
    let path = format!("/servers/{}", house.server(house.nordwind, "7", "web", "10.0.0.5").await);
    let (list, page) = (bob.get("/servers").await.expect(200), bob.get(&path).await.expect(200));
    assert_eq!(list.rows(), ["web"]);
    for offer in ["Add server", "Edit", "Pause", "Remove server"] {
        assert!(!list.offers(offer) && !page.offers(offer), "{offer}");
    }
    bob.get("/servers/new").await.expect(403);
    bob.get(&format!("{path}/edit")).await.expect(403);
    bob.post("/servers", &of("101", &WEB)).await.expect(403);
    bob.post(&path, &WEB).await.expect(403);
    bob.post(&format!("{path}/enabled"), &[("enabled", "false")]).await.expect(403);
    bob.post(&format!("{path}/removal"), &[]).await.expect(403);
    house.alice().does(&format!("{path}/removal"), &[]).await;
    bob.post(&format!("{path}/restoration"), &[]).await.expect(403);
    assert_eq!(house.count("servers where enabled and removed_at is not null").await, 1);
}
