//! What asks for the password again when it was last given a while ago.

use prommgr::router::routes;

use crate::house::{House, PASSWORD};

/// As if everybody had given their password 16 minutes ago.
async fn a_while_later(house: &House) {
    house.db.batch_execute("update sessions set data = data || jsonb_build_object('confirmed', extract(epoch from now())::bigint - 16 * 60)").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_is_asked_again_and_nothing_is_lost() {
    let house = House::new().await;
    let alice = house.alice();
    a_while_later(&house).await;
    let form = [("name", "for the \"deploy\" & more"), ("access", "write"), ("expires_in", "30d")];
    let asked = alice.post("/account/tokens", &form).await.expect(403);
    assert_eq!(asked.one("h1"), "Is it you?");
    assert_eq!(house.count("tokens").await, 0);
    let wrong = alice.presses(&asked, "Go on", &[("sudo_password", "not it")]).await.expect(403);
    assert_eq!(wrong.one("[role=alert]"), "That is not your password.");
    assert_eq!(house.count("tokens").await, 0);
    let done = alice.presses(&wrong, "Go on", &[("sudo_password", PASSWORD)]).await;
    assert!(done.status < 400, "{}", done.text);
    assert_eq!(house.column("select name from tokens").await, ["for the \"deploy\" & more"]);
    assert_eq!(house.count("audit where new::text like '%horse%' or old::text like '%horse%'").await, 0);
    // and it holds for a while
    alice.post("/account/tokens", &[("name", "another"), ("access", "read")]).await;
    assert_eq!(house.count("tokens").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_asks_for_nothing_and_who_is_not_signed_in_logs_in() {
    let house = House::new().await;
    a_while_later(&house).await;
    house.alice().get("/account/tokens").await.expect(200);
    let sent = house.anyone().post("/account/tokens", &[("name", "x")]).await;
    assert!(sent.leads_to().starts_with("/login"), "{}", sent.leads_to());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_a_megabyte_is_refused() {
    let house = House::new().await;
    a_while_later(&house).await;
    let name = "x".repeat(2 << 20);
    house.alice().post("/account/tokens", &[("name", &name)]).await.expect(413);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_for_and_leads_back_to_the_form() {
    let house = House::new().await;
    let alice = house.alice();
    a_while_later(&house).await;
    let asked =
        alice.posts_from("/owners/101/members", "/owners/101/invitations", &[("role", "viewer")]).await;
    assert!(asked.one(".door > p").contains(" to invite somebody."), "{}", asked.one(".door > p"));
    let wrong = alice.presses(&asked, "Go on", &[("sudo_password", "not it")]).await.expect(403);
    for page in [asked, wrong] {
        assert_eq!(page.attrs(".door a", "href"), ["/owners/101/members"]);
    }
    // nobody is led elsewhere, and where the browser does not say it, the form is found
    let away = [("sudo_back", "https://evil.example/")];
    let asked = alice.post("/owners/101/invitations", &away).await.expect(403);
    assert_eq!(asked.attrs(".door a", "href"), ["/"]);
    let asked = alice.post("/owners/101/invitations", &[]).await.expect(403);
    let form = asked.attrs(".door a", "href").remove(0);
    assert_eq!(alice.get(&form).await.leads_to(), "/owners/101/members");
}

/// The page that asks would carry each of them along, in many times its length.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_very_many_fields_is_refused() {
    let house = House::new().await;
    a_while_later(&house).await;
    let alice = house.alice();
    let some = vec![("a", ""); 200];
    alice.post("/account/tokens", &some).await.expect(403);
    let many = vec![("a", ""); 100_000];
    let refused = alice.post("/account/tokens", &many).await.expect(413);
    assert!(refused.text.len() < 20_000, "{}", refused.text.len());
}

/// Members, users, tokens, passwords, second factors: whatever changes them asks.
#[test]
fn every_route_that_needs_it_has_it() {
    let mut without = Vec::new();
    for route in routes() {
        let dangerous = ["/users", "/members", "/tokens", "/second-factor", "/invitations"];
        // a login's second step is no change; a changed password asks for the one before, in its own form
        let login = route.path.starts_with("/login") || route.path.starts_with("/api");
        if !login
            && route.methods.contains(&"POST")
            && dangerous.iter().any(|part| route.path.contains(part))
            && route.sudo.is_none()
        {
            without.push(route.path);
        }
    }
    assert!(without.is_empty(), "{without:?}");
    assert!(routes().iter().filter(|route| route.sudo.is_some()).count() > 5);
}
