//! What single sign-on refuses: proofs that are none, answers to other questions, and a provider that fails.

use serde_json::json;

use crate::house::House;
use crate::prometheus::nobody;
use crate::provider::{CLIENT, Provider, Signs};
use crate::sso::{ROLES, both, log_in, name_of, nobody_is_in, refused, trip};

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_prove_nothing_are_refused() {
    let (house, provider) = both().await;
    provider.person("ada-1", "ada", &["admins"]);
    let now = jiff::Timestamp::now().as_second();
    let claims = [
        ("aud", json!("another-client")),
        ("aud", json!([])),
        ("aud", json!([CLIENT, "another-client"])),
        ("azp", json!("another-client")),
        ("iss", json!("https://evil.example")),
        ("exp", json!(now - 1)),
        ("nonce", json!("another-nonce-altogether")),
        ("nonce", json!(null)),
        ("sub", json!("")),
        ("sub", json!("a\u{0}b")),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
    ];
    for (name, value) in claims {
        provider.claim(name, value.clone());
        let ada = house.anyone();
        let page = log_in(&ada, &provider).await;
        assert_eq!(page.status, 403, "{name}: {value} said {}", page.text);
        refused(page, 403, "does not prove who you are");
        nobody_is_in(&ada, &house).await;
        provider.person("ada-1", "ada", &["admins"]);
    }
    for signs in [Signs::Wrongly, Signs::Hs256, Signs::Hs256WithThePublicKey, Signs::Not] {
        provider.says(|says| says.signs = signs);
        let ada = house.anyone();
        let page = log_in(&ada, &provider).await;
        assert_eq!(page.status, 403, "{signs:?} said {}", page.text);
        refused(page, 403, "does not prove who you are");
        nobody_is_in(&ada, &house).await;
    }
    assert_eq!((house.count("users").await, house.count("identities").await), (4, 0));
    // and with the claims as they were and a right signature of either kind it is believed
    for signs in [Signs::Rs256, Signs::Es256] {
        provider.says(|says| says.signs = signs);
        log_in(&house.anyone(), &provider).await.leads_to();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_works_once_in_the_browser_that_asked() {
    let (house, provider) = both().await;
    provider.person("ada-1", "ada", &["ops"]);
    let (ada, eve) = (house.anyone(), house.anyone());
    let back = trip(&ada, &provider, "/login/sso").await;
    // eve has no trip, then one of her own
    for _ in 0..2 {
        refused(eve.get(&back).await, 400, "did not begin in this browser");
        nobody_is_in(&eve, &house).await;
        eve.get("/login/sso").await.leads_to();
    }
    // another state, or none, and ada's own still works after that
    for forged in ["/login/sso/callback?code=x&state=AAAAAAAAAAAAAAAAAAAAAA", "/login/sso/callback"] {
        refused(ada.get(forged).await, 400, "did not begin in this browser");
    }
    assert_eq!(provider.counts().1, 0, "a code of a stranger was redeemed");
    ada.get(&back).await.leads_to();
    let page = ada.get(&back).await;
    refused(page, 400, "used already");
    assert_eq!(name_of(&ada).await, "ada", "a replay signed out who was in");
    // her answer of an earlier trip, while a new one is under way
    let old = trip(&ada, &provider, "/login/sso").await;
    ada.get("/login/sso").await.leads_to();
    refused(ada.get(&old).await, 400, "did not begin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_somebody_else_is_refused() {
    let (house, provider) = both().await;
    provider.person("ada-1", "ada", &["ops"]);
    let (ada, eve) = (house.anyone(), house.anyone());
    let hers = trip(&ada, &provider, "/login/sso").await;
    let own = trip(&eve, &provider, "/login/sso").await;
    let part = |path: &str, name: &str| {
        let url = url::Url::parse(&format!("http://x{path}")).unwrap();
        url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned()
    };
    // eve's state with ada's code: PKCE's verifier is another one
    let mixed = format!("/login/sso/callback?state={}&code={}", part(&own, "state"), part(&hers, "code"));
    refused(eve.get(&mixed).await, 403, "used already, or it took too long");
    nobody_is_in(&eve, &house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_that_takes_too_long_is_over() {
    let (house, provider) = both().await;
    provider.person("ada-1", "ada", &["ops"]);
    let ada = house.anyone();
    let back = trip(&ada, &provider, "/login/sso").await;
    // what nobody may use for longer than the trip is not kept for longer
    assert_eq!(
        house.count("sessions where user_id is null and expires_at < now() + interval '11 minutes'").await,
        1
    );
    house.db.batch_execute("update sessions set data = jsonb_set(data, '{sso,began}', to_jsonb((data -> 'sso' ->> 'began')::bigint - 601)) where user_id is null").await.unwrap();
    refused(ada.get(&back).await, 400, "took too long");
    nobody_is_in(&ada, &house).await;
    assert_eq!(provider.counts().1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_refuses_is_said_without_its_words() {
    let (house, provider) = both().await;
    for error in ["access_denied", "login_required", "server_error"] {
        provider.says(|says| says.error = Some(error));
        let ada = house.anyone();
        let page = log_in(&ada, &provider).await;
        assert!(!page.text.contains("who knows"));
        refused(page, 403, "You did not log in at Keyring");
        nobody_is_in(&ada, &house).await;
    }
    // an answer that says it comes from another provider
    provider.says(|says| says.error = None);
    let ada = house.anyone();
    let back = trip(&ada, &provider, "/login/sso").await;
    let mixed = format!("{}&iss=https%3A%2F%2Fevil.example", back.replace("iss=", "was="));
    refused(ada.get(&mixed).await, 403, "another provider");
    assert_eq!(provider.counts().1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_or_odd_is_said_so_and_passwords_still_open_the_door() {
    let provider = Provider::start().await;
    let settings = provider.settings(ROLES);
    let gone = nobody().await;
    let house = House::with(|all| {
        settings(all);
        all.sso_issuer = Some(gone);
    })
    .await;
    let ada = house.anyone();
    let page = ada.get("/login/sso?next=/servers").await;
    assert_eq!(page.header("retry-after"), "5");
    assert_eq!(page.attrs("a.button", "href"), ["/login/sso?next=%2Fservers", "/login?next=%2Fservers"]);
    refused(page, 503, "does not answer just now");
    let form = ada.get("/login").await.expect(200);
    let fill = [("username", "alice"), ("password", crate::house::PASSWORD)];
    ada.presses(&form, "Log in", &fill).await.leads_to();

    let house = House::with(provider.settings(ROLES)).await;
    provider.says(|says| says.silent = true);
    refused(house.anyone().get("/login/sso").await, 503, "cannot be used");
    // one that calls itself otherwise
    let other = provider.url.replace("localhost", "127.0.0.1");
    assert_ne!(other, provider.url);
    let settings = provider.settings(ROLES);
    provider.says(|says| says.silent = false);
    let house = House::with(|all| {
        settings(all);
        all.sso_issuer = Some(other);
    })
    .await;
    refused(house.anyone().get("/login/sso").await, 503, "cannot be used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_that_fails_lets_nobody_in() {
    let (house, provider) = both().await;
    for (status, error) in [(401, "invalid_client"), (500, "server_error"), (400, "unauthorized_client")] {
        provider.says(|says| says.token_error = Some((status.try_into().unwrap(), error)));
        let ada = house.anyone();
        refused(log_in(&ada, &provider).await, 503, "cannot be used");
        nobody_is_in(&ada, &house).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_leads_nowhere_else_than_to_us() {
    let (house, provider) = both().await;
    provider.person("ada-1", "ada", &["ops"]);
    for next in ["https://evil.example", "//evil.example", "/\\evil.example"] {
        let start: String =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
        let ada = house.anyone();
        let back = trip(&ada, &provider, &format!("/login/sso?{start}")).await;
        assert_eq!(ada.get(&back).await.leads_to(), "/");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_turned_away_is_noted_once_an_hour() {
    let (house, provider) = both().await;
    let turned = async || {
        house.column("select concat_ws(' | ', user_name, new->>'why', through, user_id is not null) from audit where action = 'session.refused' order by at, id").await
    };
    let ada = |groups: &[&'static str]| provider.person("ada-1", "ada", groups);
    ada(&[]);
    log_in(&house.anyone(), &provider).await.expect(403);
    log_in(&house.anyone(), &provider).await.expect(403);
    let mut expected = vec!["ada | nothing was given to them | single sign-on | f"];
    assert_eq!(turned().await, expected);
    provider.person("eve-1", "alice", &["ops"]);
    log_in(&house.anyone(), &provider).await.expect(409);
    expected.push("alice | the name is a local account's | single sign-on | f");
    assert_eq!(turned().await, expected);
    ada(&["ops"]);
    log_in(&house.anyone(), &provider).await.leads_to();
    house.db.batch_execute("update users set disabled_at = now() where name = 'ada'").await.unwrap();
    house.db.batch_execute("alter table audit no force row level security; update audit set at = at - interval '2 hours'; alter table audit force row level security").await.unwrap();
    log_in(&house.anyone(), &provider).await.expect(403);
    expected.push("ada | the account is disabled | single sign-on | t");
    assert_eq!(turned().await, expected);
    let page = house.root().get("/audit?q=ada&group=sessions").await.expect(200);
    assert!(page.all("tbody .what").contains(&"Was not let in".to_owned()));
    // the staff's to read
    assert!(!house.alice().get("/audit").await.expect(200).text.contains("Was not let in"));
}
