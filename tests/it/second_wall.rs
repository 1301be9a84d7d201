//! The database's own wall: what a query finds that forgot its scope. Every query here is asked for everything,
//! on a connection that has charlie's rights, or none.

use prommgr::page::At;
use prommgr::store::scope::{All, Scope, Writing};
use prommgr::store::{Db, alerts, audit, changes, owners, publications, quarantine, servers, tokens, users};

use crate::alerts::busy;
use crate::house::House;
use crate::strangers::Scene;

/// Every table that has rows of tenants, of the staff or of people, with the owner's column where it has one.
const TENANTS: [(&str, &str); 11] = [
    ("owners", "id"),
    ("memberships", "owner_id"),
    ("servers", "owner_id"),
    ("server_health", "owner_id"),
    ("thresholds", "owner_id"),
    ("alerts", "owner_id"),
    ("acknowledgements", "owner_id"),
    ("alert_notes", "owner_id"),
    ("suppressions", "owner_id"),
    ("pending_changes", "owner_id"),
    ("unpublished_rows", "owner_id"),
];
/// Without rows of anybody.
const OPEN: [&str; 3] = ["__diesel_schema_migrations", "clusters", "prometheus_health"];

async fn of_charlie(house: &House) -> Db {
    let charlie = house.person_of("charlie").await;
    house.app.db(&charlie).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_forgot_its_scope_finds_only_what_is_the_persons() {
    let (house, _) = busy().await;
    house.db.batch_execute("insert into thresholds (rule, severity, owner_id, hold_seconds, enabled) values ('service_down', 'warning', 101, 60, true)").await.unwrap();
    house.db.batch_execute("insert into audit (user_name, staff, owner_id, action, object) select 'x', false, owner, 'server.added', 'x' from unnest(array[101, 102, null]) owner").await.unwrap();
    let everything: Scope = All::operator().into();
    let mut db = of_charlie(&house).await;
    let alerts =
        alerts::list(&mut db, &everything, &alerts::Filter::default(), &At::default()).await.unwrap();
    assert_eq!(alerts.page.items.iter().map(|one| one.alert.owner_id).collect::<Vec<_>>(), [Some(102)]);
    assert_eq!(alerts::open_count(&mut db, &everything, 10).await.unwrap(), 1);
    let found = owners::list(&mut db, &everything, &owners::Filter::default(), &At::default()).await.unwrap();
    assert_eq!(found.items.iter().map(|owner| owner.id).collect::<Vec<_>>(), [102]);
    assert_eq!(owners::choices(&mut db, &everything).await.unwrap().len(), 1);
    let servers =
        servers::list(&mut db, &everything, &servers::Filter::default(), &At::default()).await.unwrap();
    assert!(servers.items.iter().all(|one| one.server.owner_id == 102));
    let nordwind = house.column("select id::text from servers where owner_id = 101").await;
    assert!(!nordwind.is_empty());
    for id in nordwind {
        let id: i64 = id.parse().unwrap();
        assert!(servers::find(&mut db, &everything, id).await.is_err());
        assert!(servers::find_rw(&mut db, &All::operator().into(), id).await.is_err());
    }
    assert!(changes::notes(&mut db, All::operator(), None, 10).await.unwrap().is_empty());
    assert!(
        changes::net(&mut db, All::operator(), 10).await.unwrap().iter().all(|one| one.owner_id == Some(102))
    );
    assert!(publications::list(&mut db, All::operator(), &At::default()).await.unwrap().items.is_empty());
    assert_eq!(quarantine::count(&mut db, All::operator()).await.unwrap(), 0);
    let (everybodys, any) = (Writing::from(All::operator()), audit::Filter::default());
    let audited = audit::list(&mut db, &everybodys, &any, &At::default()).await.unwrap();
    let owners: Vec<_> =
        audited.items.iter().map(|entry| entry.owner.as_ref().map(|owner| owner.id)).collect();
    assert_eq!(owners, [Some(102)]);
    assert_eq!(audit::count(&mut db, &everybodys, &any, 10).await.unwrap(), Some(1));
    assert_eq!(audit::batch(&mut db, &everybodys, &any, None, 10).await.unwrap().len(), 1);
    let names: Vec<_> =
        users::list(&mut db, All::operator()).await.unwrap().into_iter().map(|user| user.name).collect();
    assert_eq!(names, ["charlie"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_has_the_wall_and_it_holds() {
    let scene = Scene::new().await;
    let house = &scene.house;
    house.alice().post(&format!("/alerts/{}/acknowledgement", scene.alert), &[]).await.leads_to();
    let tables = house.column("select relname::text from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace and not relispartition order by 1").await;
    let bare = house.column("select relname::text from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace and not (relrowsecurity and relforcerowsecurity) order by 1").await;
    assert_eq!(bare, OPEN, "a table without row-level security: whose are its rows?");
    // as the program connects: an ordinary role that owns the tables
    for (rights, sees) in [("", Vec::new()), ("{}", Vec::new()), ("{102}", vec!["102"])] {
        house
            .db
            .batch_execute(&format!("set prommgr.seen = '{rights}'; set prommgr.changed = '{rights}'"))
            .await
            .unwrap();
        for (table, column) in TENANTS {
            let sql = format!("select distinct {column}::text from {table} where {column} is not null");
            let found = house.column(&sql).await;
            assert!(
                found.iter().all(|owner| sees.contains(&owner.as_str())),
                "{table} shows {found:?} to {rights:?}"
            );
            let changed = house
                .db
                .execute(&format!("update {table} set {column} = {column} where {column} = 101"), &[])
                .await
                .unwrap();
            let removed =
                house.db.execute(&format!("delete from {table} where {column} = 101"), &[]).await.unwrap();
            assert_eq!((changed, removed), (0, 0), "{table}, {rights:?}");
        }
        let people = [
            "users",
            "passwords",
            "sessions",
            "tokens",
            "one_time_links",
            "attempts",
            "known_browsers",
            "second_factors",
            "recovery_codes",
            "saved_filters",
            "idempotency_keys",
        ];
        for table in tables.iter().filter(|table| !OPEN.contains(&table.as_str())) {
            if TENANTS.iter().any(|(tenants, _)| tenants == table)
                || rights.is_empty() && people.contains(&table.as_str())
            {
                continue;
            }
            let own = if table == "users" { " where name <> 'charlie'" } else { "" };
            assert_eq!(
                house.count(&format!("{table}{own}")).await,
                0,
                "{table} shows something to {rights:?}"
            );
        }
        // and a row cannot be put among another's
        let refused = house.db.execute("insert into servers (owner_id, external_id, name, address, port) values (101, 'x', 'x', '10.0.0.9', 9100)", &[]).await;
        assert!(refused.unwrap_err().as_db_error().unwrap().message().contains("row-level security"));
    }
    let moved = house.db.execute("update servers set owner_id = 101 where owner_id = 102", &[]).await;
    assert!(moved.is_ok_and(|rows| rows == 0) || house.count("servers where owner_id = 101").await == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_noted_stays_as_it_was() {
    let house = House::new().await;
    house.db.batch_execute("insert into audit (user_name, staff, owner_id, action, object) values ('x', false, 102, 'server.added', 'x')").await.unwrap();
    for rights in ["all", "{102}", "{}", ""] {
        house
            .db
            .batch_execute(&format!("set prommgr.seen = '{rights}'; set prommgr.changed = '{rights}'"))
            .await
            .unwrap();
        for change in
            ["update audit set object = 'y'", "update audit set owner_id = null", "delete from audit"]
        {
            assert_eq!(house.db.execute(change, &[]).await.unwrap(), 0, "{change} with {rights:?}");
        }
        house.db.batch_execute("truncate audit").await.unwrap_err();
    }
    house.db.batch_execute("set prommgr.seen = 'all'").await.unwrap();
    assert_eq!(house.column("select object || owner_id from audit").await, ["x102"]);
    // who only sees an owner has no audit of it
    house.db.batch_execute("set prommgr.seen = '{102}'; set prommgr.changed = '{}'").await.unwrap();
    assert_eq!(house.count("audit").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_keeps_nothing_of_the_request_before() {
    let house = House::with(|settings| settings.database_connections = Some("2".into())).await;
    house.server(101, "1", "nord-web", "10.0.0.1").await;
    let everything: Scope = All::operator().into();
    for _ in 0..5 {
        let mut all = house.app.db(All::operator()).await.unwrap();
        assert_eq!(owners::choices(&mut all, &everything).await.unwrap().len(), 2);
        drop(all);
        assert_eq!(owners::choices(&mut of_charlie(&house).await, &everything).await.unwrap().len(), 1);
        assert!(owners::choices(&mut house.app.door().await.unwrap(), &everything).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_cannot_write_and_viewers_cannot_either() {
    let house = House::new().await;
    let server = house.server(101, "1", "nord-web", "10.0.0.1").await;
    let bob = house.person_of("bob").await;
    let mut db = house.app.db(&bob).await.unwrap();
    // as if the check of his role had been forgotten
    let theirs: Writing = All::operator().into();
    let found = servers::find_rw(&mut db, &theirs, server).await.unwrap();
    found.remove(&mut db, &bob.actor()).await.unwrap_err();
    assert_eq!(house.count("servers where removed_at is null").await, 1);
    assert_eq!(house.count("audit").await, 0);
    // and the connection goes on
    servers::find(&mut db, &bob.scope(), server).await.unwrap();
    assert!(tokens::of(&mut db, bob.id()).await.unwrap().is_empty());
}

/// Colleagues see each other's names; what lets them in they do not see, by whatever way.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_a_secret_of_a_colleague() {
    let house = House::new().await;
    house.token("bob", "deploy", true, None).await;
    let tables = house.column("select relname::text from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace and not relispartition").await;
    let read = async |rights: &str| {
        let set = format!("set prommgr.seen = '{rights}'; set prommgr.changed = '{rights}'");
        house.db.batch_execute(&set).await.unwrap();
        let mut read = String::new();
        for table in &tables {
            read += &house.column(&format!("select r::text from {table} r")).await.concat();
        }
        let people = "select p::text from users u, lateral person(u.id) p where p.id is not null";
        read + &house.column(people).await.concat()
    };
    let secrets = house.column("select hash from passwords union select hash::text from tokens union select encode(sha256(convert_to(hash, 'UTF8')), 'hex') from passwords").await;
    assert!(secrets.len() >= 3);
    for (rights, knows) in [("all", true), ("", true), ("{101}", false), ("{}", false)] {
        let text = read(rights).await;
        assert_eq!(text.contains("bob"), rights != "{}", "{rights:?}");
        for secret in &secrets {
            assert_eq!(text.contains(secret), knows, "{secret} with {rights:?}");
        }
    }
    // not even that there is one
    house.db.batch_execute("reset prommgr.seen; reset prommgr.changed").await.unwrap();
    let alice = house.person_of("alice").await;
    let people = users::list(&mut house.app.db(&alice).await.unwrap(), All::operator()).await.unwrap();
    assert_eq!(
        people.iter().map(|user| (user.name.as_str(), user.has_password)).collect::<Vec<_>>(),
        [("alice", false), ("bob", false)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notes_what_another_did_or_what_was_done_to_another() {
    let house = House::new().await;
    let (alice, bob) = (house.id_of("alice").await, house.id_of("bob").await);
    house
        .db
        .batch_execute(&format!(
            "set prommgr.seen = '{{101}}'; set prommgr.changed = '{{101}}'; set prommgr.person = '{alice}'"
        ))
        .await
        .unwrap();
    let note = async |person: Option<i64>, owner: Option<i64>| {
        let sql = "insert into audit (user_id, user_name, staff, owner_id, action, object) values ($1, 'x', false, $2, 'server.added', 'x')";
        house.db.execute(sql, &[&person, &owner]).await
    };
    note(Some(alice), Some(101)).await.unwrap();
    for (person, owner) in
        [(Some(bob), Some(101)), (None, Some(101)), (Some(alice), Some(102)), (Some(alice), None)]
    {
        let refused = note(person, owner).await.unwrap_err();
        assert!(refused.as_db_error().unwrap().message().contains("row-level security"));
    }
    // and what is not said by a request is nobody's
    house.db.batch_execute("reset prommgr.person").await.unwrap();
    note(Some(alice), Some(101)).await.unwrap_err();
    note(None, Some(101)).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_given_up_holds_no_lock() {
    let mut house = House::new().await;
    let alice = house.person_of("alice").await;
    let blocker = house.db.transaction().await.unwrap();
    blocker.batch_execute("lock table audit in exclusive mode").await.unwrap();
    let app = house.app.clone();
    // at the door: it has locked her row when it waits for the audit
    let given_up = tokio::spawn(async move {
        users::set_time_zone(&mut app.door().await.unwrap(), &alice.actor(), "Europe/Berlin").await
    });
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    crate::house::eventually("it waits", async || {
        (blocker.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    blocker.rollback().await.unwrap();
    // although nobody asks the pool for the connection
    crate::house::eventually("the row is free", async || {
        let free = house.db.query("select from users where name = 'alice' for update skip locked", &[]).await;
        (free.unwrap().len() == 1).then_some(())
    })
    .await;
    assert_eq!(house.count("users where time_zone <> ''").await, 0);
    assert_eq!(house.count("audit").await, 0);
}
