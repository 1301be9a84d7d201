//! Members of an owner, and invitations by a link: by managers, under their own rights.

use prommgr::store::changes::Actor;
use prommgr::store::owners;
use prommgr::store::scope::All;
use prommgr::store::users::invitations::{self, NewInvitation};
use prommgr::store::users::members::{self, Role};

use crate::house::{House, PASSWORD};
use crate::page::Page;
use crate::person::Person;
use crate::users::{audited, link_on};

const MEMBERS: &str = "/owners/101/members";
const NEW: [(&str, &str); 3] = [("username", "dora"), ("password", PASSWORD), ("password_again", PASSWORD)];

/// The path of a link that invites to Nordwind.
async fn invited(by: &Person, role: &str) -> String {
    let page = by.get(MEMBERS).await.expect(200);
    link_on(
        &by.presses(&page, "Invite", &[("note", "Dora from accounting"), ("role", role)]).await.expect(200),
    )
}

async fn id_of(house: &House, name: &str) -> i64 {
    house.person_of(name).await.id()
}

async fn roles(house: &House) -> Vec<String> {
    house.column("select u.name || ' ' || m.role || ' ' || m.owner_id from memberships m join users u on u.id = m.user_id order by 1").await
}

fn names(page: &Page) -> Vec<String> {
    page.all("tbody th .through")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_invites_and_somebody_new_joins_once() {
    let house = House::new().await;
    house.server(101, "1", "nord-web", "10.0.0.1").await;
    let (alice, dora) = (house.alice(), house.anyone());
    let link = invited(&alice, "viewer").await;
    let page = alice.get(MEMBERS).await.expect(200);
    let open = page.one("section[aria-labelledby=open] tbody th");
    assert!(open.starts_with("Dora from accounting by alice"), "{open}");

    let offer = dora.get(&link).await.expect(200);
    assert_eq!(
        (offer.one("h1"), offer.header("referrer-policy")),
        ("Join Nordwind".into(), "strict-origin".into())
    );
    let wrong = [("username", "alice"), ("password", "short"), ("password_again", "other")];
    let wrong = dora.presses(&offer, "Join as viewer", &wrong).await.expect(422);
    assert_eq!(wrong.error_at("password"), "Use 10 characters or more.");
    assert_eq!(wrong.error_at("password_again"), "The two passwords differ.");
    assert_eq!(wrong.typed("username"), "alice");
    let taken = [("username", "alice"), ("password", PASSWORD), ("password_again", PASSWORD)];
    let taken = dora.presses(&offer, "Join as viewer", &taken).await.expect(422);
    assert_eq!(taken.error_at("username"), "This name is taken.");
    // more is not to be had by sending more
    let more = [
        ("admin", "true"),
        ("role", "manager"),
        ("owner", "12"),
        ("owner_id", "102"),
        NEW[0],
        NEW[1],
        NEW[2],
    ];
    assert_eq!(dora.post(&link, &more).await.leads_to(), "/owners/101");
    let page = dora.get("/owners/101").await.expect(200);
    assert_eq!(
        (page.flash(), page.one(".menu.user .name")),
        ("You are viewer of Nordwind now.".into(), "dora".into())
    );
    assert_eq!(dora.get("/servers").await.rows(), ["nord-web"]);
    dora.get("/servers/new").await.expect(403);
    assert_eq!(
        roles(&house).await,
        ["alice manager 101", "bob viewer 101", "charlie manager 102", "dora viewer 101"]
    );
    assert_eq!(house.count("users where admin").await, 1);

    for person in [house.anyone(), house.charlie(), house.root()] {
        person.get(&link).await.expect(404);
        person.post(&link, &[("username", "eve"), NEW[1], NEW[2]]).await.expect(404);
    }
    assert!(!alice.get(MEMBERS).await.has("section[aria-labelledby=open]"));
    assert_eq!(
        audited(&house, "%").await,
        [
            "invitation.made Dora from accounting by alice of 101",
            "user.added dora by dora",
            "membership.added dora by dora of 101",
            "invitation.accepted Dora from accounting by dora of 101",
            "session.started dora by dora",
        ]
    );
    let secret = link.rsplit('/').next().unwrap();
    for place in ["audit", "sessions", "one_time_links"] {
        assert_eq!(house.count(&format!("{place} r where r::text like '%{secret}%'")).await, 0, "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_with_an_account_logs_in_first_and_the_secret_stays_out_of_addresses() {
    let house = House::new().await;
    let link = invited(&house.root(), "manager").await;
    let charlie = house.anyone();
    let offer = charlie.get(&link).await.expect(200);
    assert_eq!(offer.attrs("form[aria-labelledby=known]", "action"), ["/login"]);
    let known = [("username", "charlie"), ("password", "wrong")];
    let again = charlie.presses(&offer, "Log in", &known).await.expect(422);
    let known = [("username", "charlie"), ("password", PASSWORD)];
    assert_eq!(charlie.presses(&again, "Log in", &known).await.leads_to(), link);
    let offer = charlie.get(&link).await.expect(200);
    assert!(offer.one(".door").contains("You are logged in as charlie."));
    assert_eq!(charlie.presses(&offer, "Join as manager", &[]).await.leads_to(), "/owners/101");
    assert_eq!(charlie.get("/owners").await.rows(), ["Nordwind", "Südstern"]);
    charlie.get("/servers/new?owner=101").await.expect(200);
    house.anyone().get(&link).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_an_invitation_one_does_not_learn_who_else_has_an_account() {
    let house = House::new().await;
    let (link, other) = (invited(&house.alice(), "viewer").await, invited(&house.alice(), "viewer").await);
    let form = |name| [("username", name), NEW[1], NEW[2]];
    for _ in 0..10 {
        house.anyone().post(&link, &form("charlie")).await.expect(422);
    }
    for name in ["charlie", "dora"] {
        house.anyone().post(&link, &form(name)).await.expect(429);
    }
    house.anyone().post(&other, &form("dora")).await.leads_to();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_the_same_moment_one_joins() {
    let house = House::new().await;
    for n in 0..5 {
        let link = invited(&house.alice(), "viewer").await;
        let (name, charlie, other) = (format!("dora {n}"), house.charlie(), house.anyone());
        let form = [("username", name.as_str()), NEW[1], NEW[2]];
        let (first, second) = tokio::join!(charlie.post(&link, &[]), other.post(&link, &form));
        let mut answers = [first.status, second.status];
        answers.sort_unstable();
        assert_eq!(answers, [303, 404]);
        assert_eq!(house.count("memberships where owner_id = 101").await, 3);
        assert_eq!(house.count("users where name like 'dora%'").await, i64::from(second.status == 303));
        house.db.batch_execute("delete from memberships m using users u where u.id = m.user_id and owner_id = 101 and u.name not in ('alice', 'bob'); delete from users where name like 'dora%'").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_raises_a_role_and_never_lowers_one() {
    let house = House::new().await;
    let (alice, bob) = (house.alice(), house.bob());
    let link = invited(&alice, "viewer").await;
    for person in [&alice, &bob] {
        let page = person.get(&link).await.expect(200);
        assert!(page.one(".door").contains("already") && !page.offers("Join as viewer"));
        person.post(&link, &[]).await.leads_to();
    }
    // it is still there for whom it is meant
    house.anyone().get(&link).await.expect(200);
    let link = invited(&alice, "manager").await;
    let page = bob.get(&link).await.expect(200);
    bob.presses(&page, "Join as manager", &[]).await.leads_to();
    assert_eq!(roles(&house).await[..2], ["alice manager 101", "bob manager 101"]);
    assert_eq!(audited(&house, "membership.%").await, ["membership.changed bob by bob of 101"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_are_revoked_expired_or_of_nobody_who_may_invite_do_not_work() {
    let house = House::new().await;
    let dead = async |link: &str, why: &str| {
        for person in [house.anyone(), house.charlie()] {
            assert_eq!(person.get(link).await.status, 404, "{why}");
            assert_eq!(person.post(link, &NEW).await.status, 404, "{why}");
        }
    };
    let alice = house.alice();
    let link = invited(&alice, "viewer").await;
    let page = alice.get(MEMBERS).await;
    let gone = alice.presses(&page, "Revoke invitation", &[]).await.leads_to();
    assert!(alice.get(&gone).await.flash().contains("no longer works"));
    dead(&link, "revoked").await;

    let link = invited(&alice, "viewer").await;
    for (change, back, why) in [
        (
            "update one_time_links set expires_at = now()",
            "update one_time_links set expires_at = now() + interval '1 day'",
            "expired",
        ),
        (
            "update owners set removed_at = now() where id = 101",
            "update owners set removed_at = null",
            "its owner is removed",
        ),
        (
            "update memberships set role = 'viewer' where owner_id = 101",
            "update memberships set role = 'manager' where user_id in (select id from users where name = 'alice')",
            "its maker only looks",
        ),
        (
            "delete from memberships where owner_id = 101",
            "insert into memberships (user_id, owner_id, role) select id, 101, 'manager' from users where name = 'alice'",
            "its maker left",
        ),
        (
            "update users set disabled_at = now() where name = 'alice'",
            "update users set disabled_at = null",
            "its maker is disabled",
        ),
    ] {
        house.db.batch_execute(change).await.unwrap();
        dead(&link, why).await;
        if why.contains("maker") {
            let page = house.root().get(MEMBERS).await.expect(200);
            assert!(page.one("section[aria-labelledby=open] tbody th").contains("it does not work"), "{why}");
        }
        house.db.batch_execute(back).await.unwrap();
        house.anyone().get(&link).await.expect(200);
    }
    // an admin's too
    let by_root = invited(&house.root(), "manager").await;
    house.db.batch_execute("update users set admin = name = 'charlie'").await.unwrap();
    dead(&by_root, "its maker is no admin any more").await;
    // and with its maker it goes
    house.db.batch_execute("delete from users where name = 'alice'").await.unwrap();
    dead(&link, "its maker is gone").await;
    assert_eq!(house.count("one_time_links").await, 1);
    dead("/join/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "it never was").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_gives_no_more_than_that_and_no_other_owner() {
    let house = House::new().await;
    let alice = house.alice();
    let other = "/owners/102/members";
    alice.get(other).await.expect(404);
    let form = [("role", "viewer"), ("note", "eve"), ("owner", "102"), ("owner_id", "102")];
    alice.post("/owners/102/invitations", &form).await.expect(404);
    for role in ["admin", "owner", "", "Manager"] {
        let refused = alice.post("/owners/101/invitations", &[("role", role), ("note", "eve")]).await;
        assert_eq!(refused.status, 422, "{role}");
    }
    let nameless =
        alice.post("/owners/101/invitations", &[("role", "manager"), ("note", " ")]).await.expect(422);
    assert!(nameless.error_at("note").starts_with("Say whom it is for"));
    alice.post("/owners/101/invitations", &form).await.expect(200);
    assert_eq!(house.column("select owner_id || role from one_time_links").await, ["101viewer"]);
    // strangers, by their ids, in both places
    let charlie = id_of(&house, "charlie").await;
    for path in [format!("{MEMBERS}/{charlie}"), format!("{other}/{charlie}")] {
        alice.post(&path, &[("role", "viewer")]).await.expect(404);
        alice.post(&format!("{path}/removal"), &[]).await.expect(404);
    }
    alice.post(&format!("{MEMBERS}/{}", id_of(&house, "bob").await), &[("role", "admin")]).await.expect(422);
    // charlie's invitation, in alice's list
    house
        .charlie()
        .post("/owners/102/invitations", &[("role", "viewer"), ("note", "sued")])
        .await
        .expect(200);
    let theirs = house.column("select id::text from one_time_links where owner_id = 102").await.remove(0);
    for owner in ["101", "102"] {
        alice.post(&format!("/owners/{owner}/invitations/{theirs}/revocation"), &[]).await.expect(404);
    }
    assert_eq!(roles(&house).await, ["alice manager 101", "bob viewer 101", "charlie manager 102"]);
    assert_eq!(house.count("one_time_links").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_colleague_who_only_looks_sees_who_belongs_and_no_more() {
    let house = House::new().await;
    invited(&house.alice(), "viewer").await;
    let (bob, alice) = (house.bob(), id_of(&house, "alice").await);
    let page = bob.get(MEMBERS).await.expect(200);
    assert_eq!(names(&page), ["alice", "bob"]);
    assert!(!page.text.contains("Dora") && !page.offers("Invite") && !page.offers("Make viewer"));
    bob.post(&format!("{MEMBERS}/{alice}"), &[("role", "viewer")]).await.expect(403);
    bob.post(&format!("{MEMBERS}/{alice}/removal"), &[]).await.expect(403);
    bob.post("/owners/101/invitations", &[("role", "manager"), ("note", "me")]).await.expect(403);
    assert!(bob.get("/owners/101").await.fact("Members").starts_with("alice, bob (viewer)"));
    house.charlie().get(MEMBERS).await.expect(404);
    assert!(!house.charlie().get("/owners/102/members").await.expect(200).text.contains("alice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_changes_roles_and_removes_and_it_holds_at_once() {
    let house = House::new().await;
    let (alice, bob, id) = (house.alice(), house.bob(), id_of(&house, "bob").await);
    let page = alice.get(MEMBERS).await.expect(200);
    let done = alice.presses(&page, "Make manager", &[]).await.leads_to();
    assert_eq!(alice.get(&done).await.flash(), "bob is manager of Nordwind now.");
    bob.get("/servers/new").await.expect(200);
    alice.post(&format!("{MEMBERS}/{id}"), &[("role", "viewer")]).await.leads_to();
    bob.get("/servers/new").await.expect(403);
    let page = alice.get(MEMBERS).await.expect(200);
    let done = alice.presses(&page, "Remove bob", &[]).await.leads_to();
    assert_eq!(names(&alice.get(&done).await.expect(200)), ["alice"]);
    bob.get("/owners/101").await.expect(404);
    bob.get("/").await.expect(200);
    assert_eq!(
        audited(&house, "membership.%").await,
        [
            "membership.changed bob by alice of 101",
            "membership.changed bob by alice of 101",
            "membership.removed bob by alice of 101"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_manager_stays_one_unless_the_staff_say_otherwise() {
    let house = House::new().await;
    let (alice, root) = (house.alice(), house.root());
    let (a, b) = (id_of(&house, "alice").await, id_of(&house, "bob").await);
    let (alices, bobs) = (format!("{MEMBERS}/{a}"), format!("{MEMBERS}/{b}"));
    let refused = alice.post(&alices, &[("role", "viewer")]).await.expect(409);
    assert!(refused.one(".fault").contains("This is the last manager."));
    alice.post(&format!("{alices}/removal"), &[]).await.expect(409);
    for _ in 0..10 {
        house.db.batch_execute("update memberships set role = 'manager'").await.unwrap();
        // each with the rights that they had when they pressed the button
        let (first, second) = (house.person_of("alice").await, house.person_of("bob").await);
        let mut one = house.app.db(&first).await.unwrap();
        let mut other = house.app.db(&second).await.unwrap();
        let nordwind = owners::find_rw(&mut one, &first.writing(), 101).await.unwrap();
        let (by, with) = (first.actor(), second.actor());
        let (first, second) = tokio::join!(
            members::change(&mut one, None, &nordwind, b, Role::Viewer, &by),
            members::change(&mut other, None, &nordwind, a, Role::Viewer, &with)
        );
        assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1, "{first:?} {second:?}");
        assert_eq!(house.count("memberships where owner_id = 101 and role = 'manager'").await, 1);
    }
    house.db.batch_execute("update memberships set role = 'manager'").await.unwrap();
    let page = alice.get(MEMBERS).await.expect(200);
    assert_eq!(alice.presses(&page, "Leave", &[]).await.leads_to(), "/");
    assert_eq!(alice.get("/").await.expect(200).flash(), "You no longer belong to Nordwind.");
    alice.get(MEMBERS).await.expect(404);
    root.post(&format!("{bobs}/removal"), &[]).await.leads_to();
    assert_eq!(house.count("memberships where owner_id = 101").await, 0);
}

/// As if every check in the program had been forgotten: charlie's connection, with somebody else's proofs.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_lets_a_manager_change_nothing_of_another_owner() {
    let house = House::new().await;
    let link = invited(&house.alice(), "viewer").await;
    let all = All::operator();
    let mut db = house.app.db(all).await.unwrap();
    let nordwind = owners::find_rw(&mut db, &all.into(), 101).await.unwrap();
    let made = invitations::of(&mut db, &nordwind).await.unwrap();
    let (charlie, bob) = (house.person_of("charlie").await, id_of(&house, "bob").await);
    let mut theirs = house.app.db(&charlie).await.unwrap();
    let by = charlie.actor();
    assert!(members::of(&mut theirs, &nordwind).await.unwrap().is_empty());
    assert!(invitations::of(&mut theirs, &nordwind).await.unwrap().is_empty());
    let new = NewInvitation::check("manager", "me").unwrap();
    invitations::make(&mut theirs, &nordwind, new, &by).await.unwrap_err();
    invitations::revoke(&mut theirs, &nordwind, made[0].id, &by).await.unwrap_err();
    members::change(&mut theirs, Some(all), &nordwind, bob, Role::Manager, &by).await.unwrap_err();
    members::remove(&mut theirs, Some(all), &nordwind, bob, &by).await.unwrap_err();
    members::add(&mut theirs, all, &nordwind, charlie.id(), Role::Manager, &by).await.unwrap_err();
    // at the door neither, without a link
    let mut door = house.app.door().await.unwrap();
    let by = Actor { id: Some(charlie.id()), ..Actor::program("charlie") };
    members::add(&mut door, all, &nordwind, charlie.id(), Role::Manager, &by).await.unwrap_err();
    invitations::accept(&mut door, "made up", &by).await.unwrap_err();
    assert_eq!(roles(&house).await, ["alice manager 101", "bob viewer 101", "charlie manager 102"]);
    house.anyone().get(&link).await.expect(200);
}
