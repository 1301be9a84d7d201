//! Completeness: whatever changes something is noted, once, with who did it and how, and never with a secret.

use std::collections::BTreeSet;

use axum::extract::FromRequestParts;
use axum::http::{Request, header};
use prommgr::auth::Client;
use prommgr::router::{Door, routes};
use prommgr::store::changes::Actor;
use prommgr::store::owners;
use prommgr::store::scope::All;
use prommgr::store::servers::ServerInput;
use prommgr::store::tokens::{self, NewToken};
use prommgr::store::users::members::Role;
use prommgr::store::users::{self, NewUser};
use prommgr::web::audit::{ACTIONS, GROUPS};

use crate::house::{House, PASSWORD};
use crate::house_rules::sources;
use crate::strangers::{Body, Entry, Gets, SECRETS, Scene, door_of, entries};

/// Why an unsafe request of the walk leaves nothing in the audit.
fn unnoted(entry: &Entry) -> Option<&'static str> {
    match (entry.route, &entry.body) {
        ("/publications/discard" | "/publications/{id}/restoration", _) => {
            Some("nothing was in force in the walk; those that work are in discard.rs and rollback.rs")
        }
        ("/theme", _) => Some("a cookie of the browser's"),
        ("/thresholds/trial", _) => Some("it saves nothing"),
        ("/servers/import" | "/servers/import/{id}", _) => {
            Some("a file changes nothing before it is imported, beside the request: walked in import.rs")
        }
        ("/view", Body::Form([])) => Some("ends a look, which was noted when it began"),
        ("/alerts/filters" | "/alerts/filters/{id}" | "/alerts/filters/{id}/removal", _) => {
            Some("what somebody keeps for their own eyes concerns nobody else")
        }
        ("/thresholds/kinds", _) => Some("without a Prometheus nothing is added; noted in kinds.rs"),
        ("/account/password", _) => Some("asked with a wrong password; the right one is noted in account.rs"),
        (
            "/login/second-factor"
            | "/account/second-factor"
            | "/account/second-factor/confirmation"
            | "/account/second-factor/recovery-codes"
            | "/account/second-factor/removal"
            | "/users/{id}/second-factor/removal",
            _,
        ) => Some("nobody in the walk has a second factor; those who have are in second_factors.rs"),
        ("/login" | "/logout", _) => Some("walked by a test of their own, below"),
        (route, _) if route.contains("{secret}") => Some("the walk has no link that works; others have"),
        ("/account/identity" | "/account/identity/removal", _) => {
            Some("there is no provider; walked with the accounts of single sign-on")
        }
        ("/webhook/alertmanager" | "/webhook/alertmanager/", _) => {
            Some("no person: the history is its own record")
        }
        _ => None,
    }
}

/// What an entry asks for leaves bob as he is; this changes him.
fn really(entry: &Entry) -> Entry {
    let body = match entry.route {
        // the doors for programs come first
        "/api/v1/owners/{id}/members/{user_id}" => Body::Json(r#"{"role": "manager"}"#),
        "/api/v1/users/{id}" => Body::Json(r#"{"name": "bobbi"}"#),
        "/users/{id}/memberships/{owner}" => Body::Form(&[("role", "manager")]),
        "/users/{id}" => Body::Form(&[("name", "bobby")]),
        "/users/{id}/admin" => Body::Form(&[("admin", "true")]),
        _ => entry.body,
    };
    Entry { body, ..*entry }
}

async fn noted(house: &House) -> Vec<String> {
    house.column("select concat_ws(' | ', action, object, user_name, through, owner_id) from audit order by at, id").await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_by_a_page_is_noted_once() {
    let scene = Scene::new().await;
    let house = &scene.house;
    // so that enabling him changes something
    house.db.batch_execute("update users set disabled_at = now() where name = 'bob'").await.unwrap();
    let (mut wrong, mut walked) = (Vec::new(), BTreeSet::new());
    for entry in entries().iter().filter(|entry| entry.method != "GET") {
        let before = noted(house).await.len();
        if unnoted(entry).is_some() {
            walked.insert((entry.method, entry.route));
            // an end of root's session would end the walk
            if entry.route != "/logout" {
                scene.ask(entry, &house.root()).await;
                assert_eq!(noted(house).await.len(), before, "{} {}", entry.method, entry.asked);
            }
            continue;
        }
        let programs = door_of(entry) == Door::Client;
        let person = match entry {
            Entry { root: Gets::Done | Gets::It, .. } if programs => scene.program("root"),
            Entry { alice: Gets::Done | Gets::It, .. } if programs => scene.program("alice"),
            Entry { root: Gets::Done | Gets::It, .. } => house.root(),
            Entry { alice: Gets::Done | Gets::It, .. } => house.alice(),
            _ => continue,
        };
        walked.insert((entry.method, entry.route));
        let page = scene.ask(&really(entry), &person).await;
        assert!(
            matches!(page.status, 200 | 201 | 204 | 303),
            "{} {}: {}",
            entry.method,
            entry.asked,
            page.status
        );
        let new = noted(house).await.split_off(before);
        let distinct: BTreeSet<_> = new.iter().collect();
        if new.is_empty() || distinct.len() < new.len() {
            wrong.push(format!("{} {} notes {new:?}", entry.method, entry.asked));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for route in routes() {
        for method in route.methods.iter().filter(|method| **method != "GET") {
            assert!(walked.contains(&(*method, route.path)), "{method} {} was not walked", route.path);
        }
    }
    // nothing secret was written down by any of it
    let fields = house
        .column(
            "select distinct key from audit, lateral jsonb_each(coalesce(old, '{}') || coalesce(new, '{}'))",
        )
        .await;
    assert!(fields.contains(&"external_id".into()));
    for field in fields {
        assert!(!["password", "hash", "secret"].iter().any(|word| field.contains(word)), "{field}");
    }
    // and nothing that was done to Nordwind by anybody is Südstern's to read
    house
        .charlie()
        .does("/servers", &[("owner_id", "102"), ("name", "stern-mail"), ("address", "10.0.0.1")])
        .await;
    for path in ["/audit", "/audit.csv", "/audit.json"] {
        let text = house.charlie().get(path).await.expect(200).text;
        assert!(text.contains("stern-mail"));
        let told: Vec<_> = SECRETS.iter().filter(|secret| text.contains(*secret)).collect();
        assert!(told.is_empty(), "{path} tells {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_in_and_out_is_noted() {
    let house = House::new().await;
    let anyone = house.anyone().from("192.0.2.3");
    anyone.post("/login", &[("username", "alice"), ("password", "wrong")]).await.expect(422);
    assert!(noted(&house).await.is_empty());
    anyone.does("/login", &[("username", "ALICE"), ("password", PASSWORD)]).await;
    anyone.post("/logout", &[]).await.leads_to();
    assert_eq!(
        noted(&house).await,
        ["session.started | alice | alice | ", "session.ended | alice | alice | "]
    );
    assert_eq!(house.column("select distinct address from audit").await, ["192.0.2.3"]);
    // there is nothing left to end
    anyone.post("/logout", &[]).await.leads_to();
    assert_eq!(
        (
            noted(&house).await.len(),
            house.count("sessions where user_id = (select id from users where name = 'alice')").await
        ),
        (2, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_is_noted() {
    let house = House::empty(|_| {}).await;
    let secret = users::setup_link(&mut house.app.door().await.unwrap(), All::operator()).await.unwrap();
    let form = [("username", "eve"), ("password", PASSWORD), ("password_again", PASSWORD)];
    house.anyone().does(&format!("/setup/{secret}"), &form).await;
    assert_eq!(
        noted(&house).await,
        ["user.added | eve | eve | setup link", "session.started | eve | eve | "]
    );
    assert_eq!(house.count("audit where staff and user_id = (select id from users)").await, 2);
    let all = house.column("select concat(old, new) from audit").await.concat();
    assert!(!all.contains(PASSWORD) && !all.contains("argon2") && !all.contains(&secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_and_programs_are_told_apart() {
    let house = House::new().await;
    let all = All::operator();
    let mut db = house.app.db(all).await.unwrap();
    let by = Actor::command_line();
    let dora = NewUser::check("dora", PASSWORD.into(), false).await.unwrap();
    let dora = users::create(&mut db, all, dora.with_role("11", Role::Manager), &by).await.unwrap();
    users::set_password(&mut db, all, "dora", "another password".into(), &by).await.unwrap();
    users::disable(&mut db, all, dora, &by).await.unwrap();
    let shell: Vec<_> = noted(&house).await;
    assert!(
        shell.len() >= 3 && shell.iter().all(|line| line.contains(" | dora | command line | command line")),
        "{shell:?}"
    );
    let written = house.column("select concat(old, new) from audit").await.concat();
    assert!(written.contains("dora") && !written.contains("argon2") && !written.contains("password"));
    house.root().get("/audit").await.expect(200);

    // alice's program, and root's, which is restricted to what is Nordwind's
    for (name, staff) in [("alice", false), ("root", true)] {
        let person = house.person_of(name).await;
        let mut door = house.app.door().await.unwrap();
        let nordwind =
            owners::find(&mut house.app.db(all).await.unwrap(), &person.scope(), 101).await.unwrap();
        let new = NewToken::check("deploy", true, None).unwrap();
        let secret =
            tokens::create(&mut door, person.id(), Some(&nordwind), new, &person.actor()).await.unwrap();
        let request = Request::post("/").header(header::AUTHORIZATION, format!("Bearer {secret}"));
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let client = Client::from_request_parts(&mut parts, &house.app).await.unwrap();
        let mut db = house.app.db(&client.user).await.unwrap();
        let owner = owners::find_rw(&mut db, &client.user.writing(), 101).await.unwrap();
        let input = ServerInput {
            name: format!("{name}-web"),
            address: "10.0.0.5".into(),
            job: name.into(),
            ..ServerInput::default()
        };
        let new =
            input.check(client.user.reach(house.app.config()), None, house.app.our_labels()).await.unwrap();
        owner.add_server(&mut db, new, &client.user.actor()).await.unwrap();
        let last = noted(&house).await.pop().unwrap();
        assert_eq!(last, format!("server.added | {name}-web | {name} | token deploy | 101"));
        assert_eq!(house.count(&format!("audit where object = '{name}-web' and staff = {staff}")).await, 1);
        assert!(
            !house
                .column("select concat(object, old, new) from audit")
                .await
                .concat()
                .contains(&secret[..20])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_nothing_is_not_noted() {
    let house = House::new().await;
    let (root, alice) = (house.root(), house.alice());
    let server = format!("/servers/{}", house.server(101, "7", "web", "10.0.0.5").await);
    let cpu = [
        ("rule", "cpu_threshold_exceeded"),
        ("severity", "warning"),
        ("value", "50"),
        ("hold", "1m"),
        ("owner_id", "101"),
    ];
    alice.does("/thresholds", &cpu).await;
    let before = (noted(&house).await, house.count("pending_changes").await);
    assert_eq!(before.0.len(), 1);
    let form = alice.get(&format!("{server}/edit")).await.expect(200);
    alice.presses(&form, "Save", &[]).await.leads_to();
    alice.does(&format!("{server}/enabled"), &[("enabled", "true")]).await;
    alice.does("/thresholds", &cpu).await;
    root.does("/owners/101", &[("name", "Nordwind"), ("external_id", "11")]).await;
    root.does("/thresholds/reset", &[("rule", "service_down"), ("severity", "warning"), ("owner_id", "101")])
        .await;
    alice.post(&server, &[("name", ""), ("address", "10.0.0.6")]).await.expect(422);
    alice.post("/servers/1/removal", &[]).await.expect(404);
    house.bob().post(&format!("{server}/removal"), &[]).await.expect(403);
    assert_eq!((noted(&house).await, house.count("pending_changes").await), before);
    // what is refused by the database at last is not noted either
    house.server(101, "8", "db", "10.0.0.6").await;
    alice.post(&server, &[("name", "web"), ("address", "10.0.0.6"), ("enabled", "true")]).await.expect(422);
    assert_eq!(noted(&house).await, before.0);
}

/// Two that change a server at the same moment: each is noted with what was really there before.
#[tokio::test(flavor = "multi_thread")]
async fn the_old_values_are_those_that_were_replaced() {
    let house = House::new().await;
    let server = format!("/servers/{}", house.server(101, "7", "web", "10.0.0.5").await);
    let ports: Vec<String> = (1..=6).map(|n| (9000 + n).to_string()).collect();
    let form = |port: &str| -> Vec<(String, String)> {
        [("name", "web"), ("address", "10.0.0.5"), ("port", port), ("enabled", "true")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    };
    let sent = ports.iter().map(|port| {
        let (alice, server, form) = (house.alice(), server.clone(), form(port));
        async move {
            let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            alice.post(&server, &form).await.leads_to();
        }
    });
    futures_util::future::join_all(sent).await;
    let chain =
        house.column("select concat(old->>'port', ' ', new->>'port') from audit order by at, id").await;
    let mut before = "9100".to_owned();
    for link in &chain {
        let (old, new) = link.split_once(' ').unwrap();
        assert_eq!(old, before, "{chain:?}");
        before = new.to_owned();
    }
    assert_eq!(chain.len(), 6);
}

#[test]
fn every_action_has_words() {
    let named = |code: &str| -> BTreeSet<String> {
        let kinds: Vec<_> = GROUPS.iter().flat_map(|group| group.kinds).collect();
        let is_action = |text: &&str| {
            let word =
                |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            text.split_once('.')
                .is_some_and(|(kind, verb)| word(verb) && kinds.iter().any(|known| **known == kind))
        };
        let made = code
            .split("Event::new(")
            .skip(1)
            .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
        code.split('"').filter(is_action).chain(made).map(str::to_owned).collect()
    };
    let mut found = BTreeSet::new();
    for (path, code) in sources() {
        if !path.starts_with("web/audit/") {
            found.extend(named(&code));
        }
    }
    assert!(found.len() > 20, "{found:?}");
    let words: BTreeSet<_> = ACTIONS.iter().map(|(action, _)| (*action).to_owned()).collect();
    let missing: Vec<_> = found.difference(&words).collect();
    assert!(missing.is_empty(), "what does one read of these? {missing:?}");
}
