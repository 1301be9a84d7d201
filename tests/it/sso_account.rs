//! Single sign-on and an account: who confirms at the provider, and who links and unlinks.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::json;

use crate::house::PASSWORD;
use crate::sso::{both, log_in, name_of, refused, trip};

#[tokio::test(flavor = "multi_thread")]
async fn a_login_at_the_provider_just_now_counts_as_confirmed_and_an_old_one_does_not() {
    let (house, provider) = both().await;
    provider.person("ada-1", "ada", &["ops"]);
    let now = jiff::Timestamp::now().as_second();
    for (authenticated, asked) in [
        (json!(now), false),
        (json!(now - 3600), true),
        // it says nothing, or something of the future
        (json!(null), true),
        (json!(now + 864_000), false),
    ] {
        provider.claim("auth_time", authenticated.clone());
        let ada = house.anyone();
        log_in(&ada, &provider).await.leads_to();
        let page = ada.post("/account/identity", &[]).await;
        assert_eq!(
            (page.status, page.offers("Confirm")),
            (if asked { 403 } else { 200 }, asked),
            "{authenticated}"
        );
    }
    let kept = house.column("select ((data ->> 'confirmed')::bigint <= extract(epoch from now())::bigint)::text from sessions where data ? 'until'").await;
    assert!(kept.iter().all(|past| past == "true"), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_password_confirms_at_the_provider() {
    let (house, provider) = both().await;
    provider.person("ada-1", "ada", &["ops"]);
    let long_ago = json!(jiff::Timestamp::now().as_second() - 3600);
    provider.claim("auth_time", long_ago.clone());
    let ada = house.anyone();
    log_in(&ada, &provider).await.leads_to();
    assert_eq!((provider.asked("prompt"), provider.asked("max_age")), (None, None));
    let form = Request::post("/account/identity")
        .header(header::REFERER, "http://prommgr.test/account/identity?a=b");
    let page = ada.send(form.body(Body::empty()).unwrap()).await.expect(403);
    let start = page.attrs("a.primary", "href").remove(0);
    // a provider that does not ask again, then somebody else at the keyboard, then ada
    let back = trip(&ada, &provider, &start).await;
    assert_eq!(
        (provider.asked("prompt").unwrap(), provider.asked("max_age").unwrap()),
        ("login".into(), "0".into())
    );
    refused(ada.get(&back).await, 403, "did not ask you to log in again");
    provider.person("eve-1", "eve", &["ops"]);
    let back = trip(&ada, &provider, &start).await;
    refused(ada.get(&back).await, 403, "as somebody else");
    ada.post("/account/identity", &[]).await.expect(403);
    assert_eq!(name_of(&ada).await, "ada");
    provider.person("ada-1", "ada", &["ops"]);
    let back = trip(&ada, &provider, &start).await;
    let to = ada.get(&back).await.leads_to();
    assert_eq!(to, "/account/identity?a=b");
    assert!(ada.get(&to).await.expect(200).flash().contains("Confirmed"));
    ada.post("/account/identity", &[]).await.expect(200);
    // whose session ended meanwhile confirms nothing
    let back = trip(&ada, &provider, &start).await;
    house.db.batch_execute("update users set disabled_at = now() where name = 'ada'").await.unwrap();
    refused(ada.get(&back).await, 403, "no longer signed in");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_a_password_is_linked_and_unlinked_by_whose_it_is() {
    let (house, provider) = both().await;
    provider.person("alice-1", "alice", &["south", "admins"]);
    let alice = house.alice();
    assert_eq!(alice.get("/account").await.expect(200).fact("Single sign-on"), "Keyring");
    // not without asking for it first
    assert_eq!(alice.get("/login/sso?link=1").await.leads_to(), "/account/identity");
    let page = alice.get("/account/identity").await.expect(200);
    let page = alice.presses(&page, "Link Keyring", &[]).await.expect(200);
    let start = page.attrs("a.primary", "href").remove(0);
    let back = trip(&alice, &provider, &start).await;
    let to = alice.get(&back).await.leads_to();
    assert_eq!(alice.get(&to).await.expect(200).flash(), "Keyring opens your account from now on.");
    // once asked is once linked
    assert_eq!(alice.get(&start).await.leads_to(), "/account/identity");
    // it opens, and groups give something beside what hands gave
    let elsewhere = house.anyone();
    log_in(&elsewhere, &provider).await.leads_to();
    assert_eq!(name_of(&elsewhere).await, "alice");
    let rights = "select o.external_id || ' ' || m.role || ' ' || u.admin from memberships m join owners o on o.id = m.owner_id join users u on u.id = m.user_id where u.name = 'alice' order by 1";
    assert_eq!(house.column(rights).await, ["11 manager true", "12 viewer true"]);
    // bob cannot have the same
    let bob = house.bob();
    let page = bob.get("/account/identity").await.expect(200);
    let page = bob.presses(&page, "Link Keyring", &[]).await.expect(200);
    let back = trip(&bob, &provider, &page.attrs("a.primary", "href")[0]).await;
    let to = bob.get(&back).await.leads_to();
    assert!(bob.get(&to).await.expect(200).flash().contains("another account"));
    // unlinked, what groups gave is gone
    let page = alice.get("/account/identity").await.expect(200);
    let to = alice.presses(&page, "Unlink Keyring", &[]).await.leads_to();
    assert_eq!(alice.get(&to).await.expect(200).flash(), "Keyring no longer opens your account.");
    assert_eq!(house.column(rights).await, ["11 manager false"]);
    refused(log_in(&house.anyone(), &provider).await, 409, "an account called alice");
    let noted = "select action from audit where user_name = 'alice' and action like 'identity.%' order by at";
    assert_eq!(house.column(noted).await, ["identity.added", "identity.removed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_meant_for_one_person_links_nobody_else() {
    let (house, provider) = both().await;
    provider.person("eve-1", "eve", &["ops"]);
    let browser = house.alice();
    let page = browser.get("/account/identity").await.expect(200);
    let page = browser.presses(&page, "Link Keyring", &[]).await.expect(200);
    let back = trip(&browser, &provider, &page.attrs("a.primary", "href")[0]).await;
    // bob signs in in the same browser before the answer comes
    browser.post("/login", &[("username", "bob"), ("password", PASSWORD)]).await.leads_to();
    refused(browser.get(&back).await, 400, "did not begin in this browser");
    assert_eq!(house.count("identities").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_other_way_in_cannot_unlink() {
    let (house, provider) = both().await;
    provider.person("ada-1", "ada", &["ops"]);
    let ada = house.anyone();
    log_in(&ada, &provider).await.leads_to();
    let page = ada.get("/account/identity").await.expect(200);
    assert!(!page.offers("Unlink Keyring") && page.one(".lead").contains("nothing else does"));
    let to = ada.post("/account/identity/removal", &[]).await.leads_to();
    assert!(ada.get(&to).await.expect(200).flash().contains("You have no password"));
    assert_eq!(house.count("identities").await, 1);
    // and a password that is none opens nothing
    for password in ["", "null", PASSWORD] {
        house.anyone().post("/login", &[("username", "ada"), ("password", password)]).await.expect(422);
    }
}
