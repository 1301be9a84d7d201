//! People, as admins make, change and remove them, and the links by which they choose a password.

use axum::extract::FromRequestParts;
use axum::http::Request;
use prommgr::auth::Client;
use prommgr::error::Error;
use prommgr::store::changes::Actor;
use prommgr::store::scope::All;
use prommgr::store::tokens::{self, NewToken};
use prommgr::store::users;

use crate::house::{House, PASSWORD};
use crate::page::Page;
use crate::person::Person;

const OTHER: &str = "quite another password";

/// The path of the one-time link that a page shows.
#[track_caller]
pub fn link_on(page: &Page) -> String {
    let link = page.one("#link");
    link.strip_prefix("http://prommgr.test").unwrap_or_else(|| panic!("{link}")).to_owned()
}

/// `/users/{id}` of a person.
async fn path_of(house: &House, name: &str) -> String {
    let sql = format!("select id::text from users where name = '{name}'");
    format!("/users/{}", house.column(&sql).await.remove(0))
}

/// What the audit says was done, oldest first.
pub async fn audited(house: &House, actions: &str) -> Vec<String> {
    let sql = format!(
        "select action || ' ' || object || ' by ' || user_name || coalesce(' of ' || owner_id, '') from audit where action like '{actions}' order by at, id"
    );
    house.column(&sql).await
}

fn chosen(password: &str) -> [(&str, &str); 2] {
    [("password", password), ("password_again", password)]
}

async fn log_in(person: &Person, name: &str, password: &str) -> Page {
    person.post("/login", &[("username", name), ("password", password)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_person_chooses_a_password_by_a_link_that_works_once() {
    let house = House::new().await;
    let root = house.root();
    let form = root.get("/users/new").await.expect(200);
    let fill = [("name", "dora"), ("owner", "nordwind"), ("role", "viewer")];
    let made = root.presses(&form, "Add user", &fill).await.expect(200);
    assert_eq!(made.one("h1"), "dora is added");
    let link = link_on(&made);
    let list = root.get("/users?kind=invited").await.expect(200);
    assert_eq!((list.rows(), list.one("td .state")), (vec!["dora".to_owned()], "Invited".to_owned()));
    assert!(list.one("td.second:not(.num)").starts_with("Nordwind (viewer)"));
    assert!(root.get(&path_of(&house, "dora").await).await.one(".now").contains("root made a link"));

    // somebody else is signed in where she opens it
    let dora = house.charlie();
    let form = dora.get(&link).await.expect(200);
    assert!(form.one(".door").contains("You log in as dora"));
    assert_eq!(form.header("referrer-policy"), "strict-origin");
    let differ =
        dora.presses(&form, "Set password", &[("password", PASSWORD), ("password_again", "x")]).await;
    assert_eq!(differ.expect(422).error_at("password_again"), "The two passwords differ.");
    let short = dora.presses(&form, "Set password", &chosen("short")).await.expect(422);
    assert_eq!(short.error_at("password"), "Use 10 characters or more.");
    assert_eq!(dora.presses(&form, "Set password", &chosen(PASSWORD)).await.leads_to(), "/");
    let dashboard = dora.get("/").await.expect(200);
    assert_eq!(dashboard.one(".menu.user .name"), "dora");
    assert_eq!(dora.get("/owners").await.rows(), ["Nordwind"]);
    dora.get("/users").await.expect(404);

    // it is used up, and opens nothing else
    for used in [&link, &link.replace("/password/", "/join/"), &link.replace("/password/", "/setup/")] {
        house.anyone().get(used).await.expect(404);
        house.anyone().post(used, &chosen(OTHER)).await.expect(404);
    }
    log_in(&house.anyone(), "dora", PASSWORD).await.leads_to();
    let secret = link.rsplit('/').next().unwrap();
    assert_eq!(house.count(&format!("audit where audit::text like '%{secret}%'")).await, 0);
    assert_eq!(house.count(&format!("sessions where data::text like '%{secret}%'")).await, 0);
    assert_eq!(
        audited(&house, "%").await,
        [
            "user.added dora by root",
            "membership.added dora by root of 101",
            "user.password_link dora by root",
            "user.password_set dora by dora",
            "session.started dora by dora",
            "session.started dora by dora",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_new_person_is_said_at_the_field() {
    let house = House::new().await;
    house.db.batch_execute("insert into owners (external_id, name) values ('13', 'nordwind')").await.unwrap();
    let root = house.root();
    let wrong = root
        .post("/users", &[("name", " "), ("owner", "99"), ("role", "admin"), ("admin", "true")])
        .await
        .expect(422);
    assert_eq!(wrong.error_at("name"), "Give a name.");
    assert_eq!(wrong.error_at("owner"), "No owner has the name or external id `99`.");
    assert_eq!((wrong.typed("owner"), wrong.has("[name=admin][checked]")), ("99".into(), true));
    let two =
        root.post("/users", &[("name", "dora"), ("owner", "Nordwind"), ("role", "viewer")]).await.expect(422);
    assert!(two.error_at("owner").starts_with("Several owners are called"));
    let taken = root.post("/users", &[("name", "ALICE")]).await.expect(422);
    assert_eq!(taken.error_at("name"), "This name is taken.");
    root.post("/users", &[("name", "dora"), ("owner", "11"), ("role", "owner")]).await.expect(422);
    assert_eq!((house.count("users").await, house.count("one_time_links").await), (4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_searched_filtered_and_paged() {
    let house = House::new().await;
    house.db.batch_execute(
        "insert into users (name, disabled_at) select case when n % 2 = 0 then 'kunde ' else 'Kunde ' end || n, case when n = 150 then now() end from generate_series(100, 219) n; \
         insert into passwords (user_id, hash) select id, 'x' from users where name ilike 'kunde %'; \
         insert into owners (external_id, name) select 'o' || n, 'Owner ' || n from generate_series(1, 4) n; \
         insert into memberships (user_id, owner_id, role) select u.id, o.id, 'viewer' from users u, owners o where u.name = 'bob' and o.external_id like 'o%'",
    ).await.unwrap();
    let root = house.root();
    let (mut seen, mut at) = (Vec::new(), "/users".to_owned());
    loop {
        let page = root.get(&at).await.expect(200);
        seen.extend(page.rows());
        let Some(next) = page.attrs("a[rel=next]", "href").pop() else { break };
        at = next;
    }
    assert_eq!((seen.len(), seen[0].as_str(), seen[3].as_str()), (124, "alice", "kunde 100"));
    seen.dedup();
    assert_eq!(seen.len(), 124);
    for (query, found) in [
        ("q=RO", vec!["root"]),
        ("q=%25", vec![]),
        ("kind=admins", vec!["root"]),
        ("kind=disabled", vec!["Kunde 150"]),
        ("kind=invited", vec![]),
        ("q=ali&kind=nonsense", vec!["alice"]),
    ] {
        let found: Vec<_> =
            found.into_iter().map(|name: &str| name.replace("Kunde 150", "kunde 150")).collect();
        assert_eq!(root.get(&format!("/users?{query}")).await.expect(200).rows(), found, "{query}");
    }
    let bob = root.fragment("/users?q=bob").await.expect(200);
    let sees = bob.one("td.second:not(.num)");
    assert!(sees.starts_with("Nordwind (viewer), Owner 1 (viewer)") && sees.ends_with("+2"), "{sees}");
    assert_eq!(root.get("/users?q=root").await.one("td.second:not(.num)"), "Everything (admin)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_set_anew_and_the_old_one_is_good_until_then() {
    let house = House::new().await;
    let (root, alice, path) = (house.root(), house.alice(), path_of(&house, "alice").await);
    let first = link_on(&root.post(&format!("{path}/password"), &[]).await.expect(200));
    let page = root.get(&path).await.expect(200);
    let made = root.presses(&page, "Make a password link", &[]).await.expect(200);
    assert!(made.one(".lead").contains("The old password stays good until then."));
    let link = link_on(&made);
    // the newest only
    house.anyone().get(&first).await.expect(404);
    alice.get("/").await.expect(200);
    log_in(&house.anyone(), "alice", PASSWORD).await.leads_to();

    let (one, other) = (house.anyone(), house.anyone());
    let (mine, theirs) = (chosen(OTHER), chosen("somebody's guess"));
    let (first, second) = tokio::join!(one.post(&link, &mine), other.post(&link, &theirs));
    let mut answers = [first.status, second.status];
    answers.sort_unstable();
    assert_eq!(answers, [303, 404]);
    let (password, winner) = if first.status == 303 { (OTHER, one) } else { ("somebody's guess", other) };
    assert_eq!(winner.get("/").await.expect(200).one(".menu.user .name"), "alice");
    alice.get("/").await.leads_to();
    log_in(&house.anyone(), "alice", PASSWORD).await.expect(422);
    log_in(&house.anyone(), "alice", password).await.leads_to();
    assert_eq!(house.count("one_time_links").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_too_old_or_of_somebody_disabled_does_not_work() {
    let house = House::new().await;
    let (root, path) = (house.root(), path_of(&house, "alice").await);
    let lasts =
        "select round(extract(epoch from expires_at - now()) / 3600)::text || ' hours' from one_time_links";
    let link = link_on(&root.post(&format!("{path}/password"), &[]).await.expect(200));
    assert_eq!(house.column(lasts).await, ["24 hours"]);
    house.db.batch_execute("update one_time_links set expires_at = now()").await.unwrap();
    house.anyone().get(&link).await.expect(404);
    house.anyone().post(&link, &chosen(OTHER)).await.expect(404);

    let link = link_on(&root.post(&format!("{path}/password"), &[]).await.expect(200));
    root.post(&format!("{path}/enabled"), &[("enabled", "false")]).await.leads_to();
    house.anyone().get(&link).await.expect(404);
    house.anyone().post(&link, &chosen(OTHER)).await.expect(404);
    root.post(&format!("{path}/password"), &[]).await.expect(409);
    // and stays dead
    root.post(&format!("{path}/enabled"), &[("enabled", "true")]).await.leads_to();
    house.anyone().get(&link).await.expect(404);
    log_in(&house.anyone(), "alice", PASSWORD).await.leads_to();

    root.post("/users", &[("name", "dora")]).await.expect(200);
    assert_eq!(house.column(lasts).await, ["168 hours"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_disabled_loses_session_and_token_at_once() {
    let house = House::new().await;
    let (root, alice, path) = (house.root(), house.alice(), path_of(&house, "alice").await);
    let id: i64 = path.rsplit('/').next().unwrap().parse().unwrap();
    let new = NewToken::check("deploy", true, None).unwrap();
    let mut door = house.app.door().await.unwrap();
    let token = tokens::create(&mut door, id, None, new, &Actor::command_line()).await.unwrap();
    let ask = async || {
        let request = Request::get("/api/v1/servers").header("authorization", format!("Bearer {token}"));
        Client::from_request_parts(&mut request.body(()).unwrap().into_parts().0, &house.app).await
    };
    assert_eq!(ask().await.unwrap().user.name(), "alice");
    alice.get("/servers").await.expect(200);

    let page = root.get(&path).await.expect(200);
    assert_eq!(page.fact("API tokens"), "deploy");
    let after = root.presses(&page, "Disable", &[]).await.leads_to();
    let after = root.get(&after).await.expect(200);
    assert!(after.flash().starts_with("alice is disabled."));
    assert_eq!(after.one(".now .state"), "Disabled");
    assert_eq!(alice.get("/servers").await.leads_to(), "/login?next=%2Fservers");
    assert!(matches!(ask().await, Err(Error::Unauthorized)));
    log_in(&house.anyone(), "alice", PASSWORD).await.expect(422);

    assert!(!after.offers("Make a password link"));
    root.presses(&after, "Enable", &[]).await.leads_to();
    assert_eq!(ask().await.unwrap().user.name(), "alice");
    alice.get("/servers").await.leads_to();
    assert_eq!(
        audited(&house, "user.%abled").await,
        ["user.disabled alice by root", "user.enabled alice by root"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_admin_stays_one() {
    let house = House::new().await;
    let (root, path) = (house.root(), path_of(&house, "root").await);
    // one who was invited and never came, and one who is locked out, are nobody to rely on
    root.post("/users", &[("name", "ada"), ("admin", "true")]).await.expect(200);
    house
        .db
        .batch_execute(
            "insert into users (name, admin, disabled_at) values ('max', true, now()); \
             insert into passwords (user_id, hash) select id, 'x' from users where name = 'max'",
        )
        .await
        .unwrap();
    let refused = root.post(&format!("{path}/admin"), &[("admin", "false")]).await.expect(409);
    assert!(refused.one(".fault").contains("This is the last admin who can log in."));
    root.post(&format!("{path}/enabled"), &[("enabled", "false")]).await.expect(409);
    root.post(&format!("{path}/removal"), &[]).await.expect(409);
    let page = root.get(&path).await.expect(200);
    assert!(!page.offers("Disable…") && !page.offers("Remove for good…"));
    let mut db = house.app.db(All::operator()).await.unwrap();
    let (id, by) = (house.person_of("root").await.id(), Actor::command_line());
    assert!(matches!(users::disable(&mut db, All::operator(), id, &by).await, Err(Error::Conflict(_))));
    assert!(matches!(users::remove(&mut db, All::operator(), id, &by).await, Err(Error::Conflict(_))));
    // the invited one may go, and once there is another, so may he
    let ada = path_of(&house, "ada").await;
    root.post(&format!("{ada}/admin"), &[("admin", "false")]).await.leads_to();
    let alice = path_of(&house, "alice").await;
    root.post(&format!("{alice}/admin"), &[("admin", "true")]).await.leads_to();
    house.alice().get("/users").await.expect(200);
    assert_eq!(root.post(&format!("{path}/admin"), &[("admin", "false")]).await.leads_to(), "/");
    assert!(root.get("/").await.expect(200).flash().contains("no admin now"));
    root.get("/users").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_who_demote_each_other_leave_one() {
    let house = House::new().await;
    let (root, alice) = (house.person_of("root").await.id(), house.person_of("alice").await.id());
    let all = All::operator();
    for _ in 0..10 {
        house.db.batch_execute("update users set admin = name in ('root', 'alice')").await.unwrap();
        let (by, mut one, mut other) =
            (Actor::command_line(), house.app.db(all).await.unwrap(), house.app.db(all).await.unwrap());
        let (first, second) = tokio::join!(
            users::set_admin(&mut one, all, root, false, &by),
            users::set_admin(&mut other, all, alice, false, &by)
        );
        assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1, "{first:?} {second:?}");
        assert_eq!(house.count("users where admin").await, 1);
    }
    // and over HTTP, each with the last rights they have
    house.db.batch_execute("update users set admin = name in ('root', 'alice')").await.unwrap();
    let (one, other, no) = (house.root(), house.alice(), [("admin", "false")]);
    let (to_alice, to_root) = (format!("/users/{alice}/admin"), format!("/users/{root}/admin"));
    let (first, second) = tokio::join!(one.post(&to_alice, &no), other.post(&to_root, &no));
    let mut answers = [first.status, second.status];
    answers.sort_unstable();
    assert!(answers[0] == 303 && [404, 409].contains(&answers[1]), "{answers:?}");
    assert_eq!(house.count("users where admin").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_left_is_removed_and_the_audit_keeps_the_name() {
    let house = House::new().await;
    let (root, alice, path) = (house.root(), house.alice(), path_of(&house, "alice").await);
    alice
        .does(
            "/servers",
            &[("owner_id", "101"), ("name", "web"), ("address", "10.0.0.5"), ("enabled", "true")],
        )
        .await;
    let page = root.get(&path).await.expect(200);
    assert!(page.one("#remove > p").contains("What alice did stays in the audit."));
    assert!(page.one("#leave-101 > p").starts_with("alice sees nothing of Nordwind any more"));
    let list = root.get(&root.presses(&page, "Remove for good", &[]).await.leads_to()).await.expect(200);
    assert_eq!(
        (list.flash(), list.rows()),
        ("alice is removed for good.".into(), vec!["bob".into(), "charlie".into(), "root".into()])
    );
    alice.get("/servers").await.leads_to();
    log_in(&house.anyone(), "alice", PASSWORD).await.expect(422);
    for gone in [path.clone(), format!("{path}/password")] {
        root.post(&gone, &[("name", "x")]).await.expect(404);
    }
    assert_eq!(audited(&house, "server.added").await, ["server.added web by alice of 101"]);
    assert_eq!(
        audited(&house, "%.removed").await,
        ["membership.removed alice by root of 101", "user.removed alice by root"]
    );
    // the name is free
    root.post("/users", &[("name", "alice")]).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_change_names_and_memberships() {
    let house = House::new().await;
    let (root, bob, path) = (house.root(), house.bob(), path_of(&house, "bob").await);
    let page = root.get(&path).await.expect(200);
    let taken = root.presses(&page, "Rename", &[("name", "Alice")]).await.expect(422);
    assert_eq!((taken.error_at("name"), taken.one("h1")), ("This name is taken.".into(), "bob".into()));
    root.presses(&page, "Rename", &[("name", "robert")]).await.leads_to();
    assert_eq!(bob.get("/").await.expect(200).one(".menu.user .name"), "robert");

    let nobody = root.presses(&page, "Add", &[("owner", "Ostwind")]).await.expect(422);
    assert_eq!(nobody.error_at("owner"), "No owner has the name or external id `Ostwind`.");
    root.presses(&page, "Add", &[("owner", "12"), ("role", "manager")]).await.leads_to();
    assert_eq!(bob.get("/owners").await.rows(), ["Nordwind", "Südstern"]);
    bob.get("/servers/new?owner=102").await.expect(200);
    root.post(&format!("{path}/memberships/102"), &[("role", "viewer")]).await.leads_to();
    bob.get("/servers/new?owner=102").await.expect(403);
    root.post(&format!("{path}/memberships/102"), &[("role", "root")]).await.expect(422);
    root.post(&format!("{path}/memberships/999/removal"), &[]).await.expect(404);
    root.post(&format!("{path}/memberships/102/removal"), &[]).await.leads_to();
    root.post(&format!("{path}/memberships/102/removal"), &[]).await.expect(404);
    bob.get("/owners/102").await.expect(404);
    assert_eq!(
        audited(&house, "membership.%").await,
        [
            "membership.added robert by root of 102",
            "membership.changed robert by root of 102",
            "membership.removed robert by root of 102"
        ]
    );
    root.post(&format!("{path}/logout"), &[]).await.leads_to();
    bob.get("/").await.leads_to();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_while_the_password_is_asked_for_again_and_nothing_typed_is_lost() {
    let house = House::new().await;
    let root = house.root();
    house.db.batch_execute("update sessions set data = jsonb_set(data, '{confirmed}', to_jsonb(extract(epoch from now())::bigint - 901))").await.unwrap();
    root.get("/users").await.expect(200);
    let asked =
        root.post("/users", &[("name", "dora"), ("owner", "11"), ("role", "viewer")]).await.expect(403);
    assert_eq!(asked.one("h1"), "Is it you?");
    let wrong = root.presses(&asked, "Go on", &[("sudo_password", "wrong")]).await.expect(403);
    assert_eq!(wrong.one("[role=alert]"), "That is not your password.");
    assert_eq!(house.count("users").await, 4);
    let made = root.presses(&wrong, "Go on", &[("sudo_password", PASSWORD)]).await.expect(200);
    assert_eq!(made.one("h1"), "dora is added");
    root.post("/users", &[("name", "emil")]).await.expect(200);
    // each of a manager's acts on members too
    for path in ["members/1", "members/1/removal", "invitations", "invitations/1/revocation"] {
        let asked = house.alice().post(&format!("/owners/101/{path}"), &[]).await.expect(403);
        assert_eq!(asked.one("h1"), "Is it you?", "{path}");
    }
}
