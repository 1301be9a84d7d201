//! Single sign-on, with a provider that the test starts: in, out, and everything that is refused.

use prommgr::config::Settings;
use serde_json::json;

use crate::house::House;
use crate::page::Page;
use crate::person::Person;
use crate::provider::{Provider, SECRET};

pub const ROLES: &str = "admins=admin, ops=manager:11, support=viewer:11, south=viewer:12, ghosts=viewer:99";

pub async fn both() -> (House, Provider) {
    let provider = Provider::start().await;
    let house = House::with(provider.settings(ROLES)).await;
    (house, provider)
}

/// Out to the provider, and back to our door with its answer, which is returned.
pub async fn trip(who: &Person, provider: &Provider, start: &str) -> String {
    let out = who.get(start).await.leads_to();
    provider.visit(&out).await
}

/// Logs in, as far as it gets.
pub async fn log_in(who: &Person, provider: &Provider) -> Page {
    let back = trip(who, provider, "/login/sso").await;
    who.get(&back).await
}

pub async fn name_of(who: &Person) -> String {
    who.get("/").await.expect(200).one(".menu.user .name")
}

/// Refused, with a page that says so, and without a session.
#[track_caller]
pub fn refused(page: Page, status: u16, why: &str) {
    let page = page.expect(status);
    assert_eq!(page.one("h1"), "Not logged in");
    let said = page.one("[role=alert]");
    assert!(said.contains(why), "{said}");
    assert!(page.offers("Try Keyring again") && page.offers("Log in with a password"));
}

pub async fn nobody_is_in(who: &Person, house: &House) {
    assert_eq!(who.get("/servers").await.leads_to(), "/login?next=%2Fservers");
    assert_eq!(house.count("sessions where user_id not in (select id from users where name in ('alice', 'bob', 'charlie', 'root'))").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_a_group_comes_in_and_has_what_it_gives() {
    let (house, provider) = both().await;
    provider.person("ada-1", "ada", &["ops", "south", "ghosts", "unheard of"]);
    let ada = house.anyone();
    let form = ada.get("/login?next=/servers?q=a").await.expect(200);
    assert!(form.offers("Log in with Keyring"));
    let link = form.attrs("a[href^='/login/sso']", "href").remove(0);
    let back = trip(&ada, &provider, &link).await;
    let before = ada.cookie("prommgr");
    assert_eq!(ada.get(&back).await.leads_to(), "/servers?q=a");
    assert_ne!(ada.cookie("prommgr"), before, "the session keeps an id that may have been planted");
    assert_eq!(name_of(&ada).await, "ada");
    let rights = "select o.external_id || ' ' || m.role from memberships m join owners o on o.id = m.owner_id join users u on u.id = m.user_id where u.name = 'ada' order by 1";
    assert_eq!(house.column(rights).await, ["11 manager", "12 viewer"]);
    assert_eq!(house.count("users where name = 'ada' and not admin and last_login_at is not null and id not in (select user_id from passwords)").await, 1);
    let noted = "select action || ' ' || coalesce(new ->> 'role', '') from audit where user_name = 'ada' and through = 'single sign-on' and user_id = object_id order by at";
    assert_eq!(
        house.column(noted).await,
        ["user.added ", "membership.added manager", "membership.added viewer", "session.started "]
    );
    // and again, as the same person, although they are called otherwise meanwhile
    provider.claim("preferred_username", json!("countess"));
    log_in(&ada, &provider).await.leads_to();
    assert_eq!(name_of(&ada).await, "ada");
    assert_eq!((house.count("identities").await, house.count("users").await), (1, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_groups_no_longer_give_is_taken_away_and_what_hands_gave_stays() {
    let (house, provider) = both().await;
    provider.person("ada-1", "ada", &["admins", "ops", "south"]);
    let ada = house.anyone();
    log_in(&ada, &provider).await.leads_to();
    ada.get("/publications").await.expect(200);
    let rights = "select o.external_id || ' ' || m.role from memberships m join owners o on o.id = m.owner_id join users u on u.id = m.user_id where u.name = 'ada' order by 1";
    assert_eq!(house.column(rights).await, ["11 manager", "12 viewer"]);
    // by hand: more at one, and another one
    house.db.batch_execute("update memberships set role = 'manager' where owner_id = 102 and sso_role is not null; insert into owners (id, external_id, name) values (103, '13', 'West'); insert into memberships (user_id, owner_id, role) select id, 103, 'viewer' from users where name = 'ada'").await.unwrap();
    provider.claim("groups", json!(["support"]));
    log_in(&ada, &provider).await.leads_to();
    assert_eq!(house.column(rights).await, ["11 viewer", "12 manager", "13 viewer"]);
    ada.get("/publications").await.expect(404);
    provider.claim("groups", json!([]));
    log_in(&ada, &provider).await.leads_to();
    assert_eq!(house.column(rights).await, ["12 manager", "13 viewer"]);
    let noted = "select action || ' ' || coalesce(old::text, '') || ' ' || coalesce(new::text, '') from audit where user_name = 'ada' and action in ('user.changed', 'membership.changed', 'membership.removed') order by at, id";
    assert_eq!(
        house.column(noted).await,
        [
            r#"user.changed {"admin": false} {"admin": true}"#,
            r#"user.changed {"admin": true} {"admin": false}"#,
            r#"membership.changed {"role": "manager"} {"role": "viewer"}"#,
            r#"membership.removed {"role": "viewer"} "#
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_admin_stays_one_and_an_admin_by_hand_too() {
    let (house, provider) = both().await;
    provider.person("ada-1", "ada", &["admins"]);
    let ada = house.anyone();
    log_in(&ada, &provider).await.leads_to();
    house.db.batch_execute("update users set disabled_at = now() where name = 'root'").await.unwrap();
    provider.claim("groups", json!([]));
    log_in(&ada, &provider).await.leads_to();
    ada.get("/publications").await.expect(200);
    // with another one about, it goes, and then nothing is left for ada
    house.db.batch_execute("update users set disabled_at = null where name = 'root'").await.unwrap();
    refused(log_in(&house.anyone(), &provider).await, 403, "nothing here has been given");
    assert_eq!(ada.get("/").await.expect(200).one(".menu.user .name"), "ada");
    ada.get("/publications").await.expect(404);
    house.db.batch_execute("update users set admin = true where name = 'ada'").await.unwrap();
    log_in(&ada, &provider).await.leads_to();
    ada.get("/publications").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_given_nothing_does_not_come_in_and_is_not_made() {
    let (house, provider) = both().await;
    for groups in [json!([]), json!(["others"]), json!(["ghosts"]), json!(7), json!(null)] {
        provider.claim("groups", groups);
        let ada = house.anyone();
        refused(log_in(&ada, &provider).await, 403, "nothing here has been given");
        nobody_is_in(&ada, &house).await;
    }
    assert_eq!((house.count("users").await, house.count("identities").await), (4, 0));
    assert_eq!(house.count("sessions where user_id is null").await, 0, "nobody's sessions are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namesake_does_not_take_over_a_local_account() {
    let (house, provider) = both().await;
    for name in ["root", "ROOT", " Alice "] {
        provider.person("eve-1", name, &["admins"]);
        let eve = house.anyone();
        refused(log_in(&eve, &provider).await, 409, "an account called");
        nobody_is_in(&eve, &house).await;
    }
    assert_eq!((house.count("users").await, house.count("identities").await), (4, 0));
    // without a name that can be used, the address is it, and then the id
    provider.person("eve-1", "\u{7}", &["ops"]);
    provider.claim("email", json!("eve@example.com"));
    let eve = house.anyone();
    log_in(&eve, &provider).await.leads_to();
    assert_eq!(name_of(&eve).await, "eve@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_disabled_does_not_come_in() {
    let (house, provider) = both().await;
    provider.person("ada-1", "ada", &["ops"]);
    let ada = house.anyone();
    log_in(&ada, &provider).await.leads_to();
    house.db.batch_execute("update users set disabled_at = now() where name = 'ada'").await.unwrap();
    ada.get("/").await.leads_to();
    let again = house.anyone();
    refused(log_in(&again, &provider).await, 403, "disabled");
    assert_eq!(again.get("/").await.leads_to(), "/login");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_is_asked_when_it_is_needed_and_remembered() {
    let (house, provider) = both().await;
    provider.person("ada-1", "ada", &["ops"]);
    house.anyone().get("/login").await.expect(200);
    house.alice().get("/").await.expect(200);
    assert_eq!(provider.counts().0, 0);
    for _ in 0..3 {
        log_in(&house.anyone(), &provider).await.leads_to();
    }
    assert_eq!(provider.counts().0, 1);
    // a key that is not known is asked for, once
    provider.says(|says| (says.key, says.key_id) = (1, "key-2".into()));
    for _ in 0..2 {
        log_in(&house.anyone(), &provider).await.leads_to();
    }
    assert_eq!(provider.counts().0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_shown_as_the_provider_wants_it() {
    // Provider::knows_client checks each
    for methods in [json!(["client_secret_basic"]), json!(["client_secret_post"])] {
        let (house, provider) = both().await;
        provider.person("ada-1", "ada", &["ops"]);
        provider.says(|says| says.auth_methods = methods);
        log_in(&house.anyone(), &provider).await.leads_to();
        // and nowhere else
        let all = house
            .column("select row_to_json(audit)::text from audit union all select data::text from sessions")
            .await;
        assert!(all.iter().all(|row| !row.contains(SECRET) && !row.contains("an-access-token")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_found_where_providers_put_them() {
    type Change = fn(&Provider);
    let places: [(&str, Change); 5] = [
        ("groups", |provider| provider.claim("groups", json!("ops"))),
        ("realm_access.roles", |provider| provider.claim("realm_access", json!({"roles": ["ops"]}))),
        ("https://example.com/groups", |provider| {
            provider.claim("https://example.com/groups", json!(["ops"]))
        }),
        // at UserInfo, which is asked where the token has none
        ("groups", |provider| {
            provider.says(|says| says.userinfo = json!({"sub": "ada-1", "groups": ["ops"]}));
        }),
        // but not of somebody else, and not when the token says that there are none
        ("groups", |provider| {
            provider.claim("groups", json!([]));
            provider.says(|says| says.userinfo = json!({"sub": "ada-1", "groups": ["ops"]}));
        }),
    ];
    for (n, (claim, put)) in places.into_iter().enumerate() {
        let provider = Provider::start().await;
        let settings = provider.settings(ROLES);
        let with = |all: &mut Settings| {
            settings(all);
            all.sso_groups_claim = Some(claim.to_owned());
        };
        let house = House::with(with).await;
        provider.claim("groups", json!(null));
        put(&provider);
        let page = log_in(&house.anyone(), &provider).await;
        assert_eq!(page.status, if n == 4 { 403 } else { 303 }, "{n} {claim}: {}", page.text);
    }
    let (house, provider) = both().await;
    provider.claim("groups", json!(null));
    provider.says(|says| says.userinfo = json!({"sub": "root-1", "groups": ["ops"]}));
    refused(log_in(&house.anyone(), &provider).await, 503, "cannot be used");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_half_a_day_the_provider_is_asked_again() {
    let (house, provider) = both().await;
    provider.person("ada-1", "ada", &["ops"]);
    let ada = house.anyone();
    log_in(&ada, &provider).await.leads_to();
    ada.get("/servers").await.expect(200);
    house.db.batch_execute("update sessions set data = jsonb_set(data, '{until}', to_jsonb((data ->> 'until')::bigint - 43200)) where data ? 'until'").await.unwrap();
    assert_eq!(ada.get("/servers").await.leads_to(), "/login?next=%2Fservers");
    log_in(&ada, &provider).await.leads_to();
    ada.get("/servers").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_settings_there_is_none_of_it() {
    let house = House::new().await;
    let form = house.anyone().get("/login").await.expect(200);
    assert!(!form.has("a[href^='/login/sso']"));
    house.anyone().get("/login/sso").await.expect(404);
    house.alice().get("/account/identity").await.expect(404);
}
