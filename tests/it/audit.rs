//! The audit's page: what admins, managers and viewers read of what was done.

use prommgr::store::audit::STAFF;
use prommgr::store::changes::Actor;
use prommgr::store::owners;
use prommgr::store::scope::All;

use crate::house::House;
use crate::page::Page;
use crate::person::Person;

const SERVER: [(&str, &str); 4] =
    [("owner_id", "101"), ("name", "nord-web"), ("address", "10.0.0.5"), ("enabled", "true")];

/// What was done, by the sentences of a page.
fn said(page: &Page) -> Vec<String> {
    page.all("tbody .what")
}

async fn found(person: &Person, query: &str) -> Vec<String> {
    said(&person.get(&format!("/audit?{query}")).await.expect(200))
}

/// The three owners' things: something is done to each by somebody.
async fn busy() -> House {
    let house = House::new().await;
    house.alice().does("/servers", &SERVER).await;
    let sterns: Vec<_> = SERVER
        .iter()
        .map(|(name, value)| {
            (*name, if *name == "owner_id" { "102" } else { value.trim_start_matches("nord-") })
        })
        .collect();
    house.charlie().does("/servers", &sterns).await;
    house.root().does("/owners", &[("name", "Westwind"), ("external_id", "13")]).await;
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_who_did_what_and_what_was_there_before() {
    let house = House::new().await;
    let alice = house.alice();
    let server = alice.post("/servers", &SERVER).await.leads_to();
    let changed = [
        ("name", "nord-web"),
        ("address", "10.0.0.5"),
        ("port", "9101"),
        ("comment", "behind"),
        ("enabled", "true"),
    ];
    alice.does(&server, &changed).await;
    alice.does(&format!("{server}/enabled"), &[("enabled", "false")]).await;
    let cpu =
        [("rule", "cpu_threshold_exceeded"), ("severity", "warning"), ("hold", "1m"), ("owner_id", "101")];
    for value in ["50", "60"] {
        alice.does("/thresholds", &[&cpu[..], &[("value", value), ("enabled", "true")]].concat()).await;
    }
    let page = alice.get("/audit").await.expect(200);
    assert_eq!(
        said(&page),
        [
            "Set cpu_threshold_exceeded (warning) of Nordwind",
            "Set cpu_threshold_exceeded (warning) of Nordwind",
            "Paused server nord-web",
            "Changed server nord-web",
            "Added server nord-web",
        ]
    );
    assert_eq!(page.all("tbody td.second"), vec!["alicebrowser"; 5]);
    assert_eq!(page.attrs("tbody th time", "datetime").len(), 5);
    assert_eq!(page.one("tbody tr:first-child .changes"), "value50 →then 60");
    assert_eq!(
        page.all("tbody tr:nth-child(4) .changes div"),
        ["commentnothing →then behind", "port9100 →then 9101"]
    );
    // what is long is folded
    assert_eq!(page.all("details.changed summary"), ["8 fields"]);
    let id = server.rsplit('/').next().unwrap();
    let links = page.attrs("tbody .what a", "href");
    assert_eq!(links, ["/thresholds?owner=101", "/thresholds?owner=101", &server, &server, &server]);
    for link in links {
        alice.get(&link).await.expect(200);
    }
    // what is gone has no page, and what it was like is kept
    alice.does(&format!("{server}/removal"), &[]).await;
    let page = alice.get("/audit?group=servers").await.expect(200);
    assert_eq!(said(&page)[0], "Removed server nord-web");
    assert!(!page.has("tbody .what a"));
    assert!(page.all("tbody tr:first-child .changes div").contains(&"address10.0.0.5".to_owned()));
    let root = house.root().get("/audit").await.expect(200);
    assert_eq!(said(&root).len(), 6);
    assert!(house.count(&format!("audit where object_id = {id}")).await == 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reads_what_was_done_to_what_they_manage() {
    let house = busy().await;
    assert_eq!(
        found(&house.root(), "").await,
        ["Added owner Westwind", "Added server web", "Added server nord-web"]
    );
    assert_eq!(found(&house.alice(), "").await, ["Added server nord-web"]);
    assert_eq!(found(&house.charlie(), "").await, ["Added server web"]);
    for path in ["/audit", "/audit.csv", "/audit.json"] {
        house.bob().get(path).await.expect(404);
    }
    assert!(
        !house.bob().get("/").await.has("a[href='/audit']")
            && house.alice().get("/").await.has("a[href='/audit']")
    );
    assert!(house.anyone().get("/audit").await.leads_to().starts_with("/login"));
    // there is no choice of one, and asking for another's finds nothing
    let page = house.charlie().get("/audit?owner=101").await.expect(200);
    assert!(said(&page).is_empty() && !page.has("select[name=owner]") && !page.text.contains("Nordwind"));
    assert_eq!(page.one(".empty .title"), "Nothing found");
    assert_eq!(
        page.options("group"),
        ["Everything", "Alerts", "Servers", "Thresholds", "Owners", "Users and members"]
    );
    // bob manages one and sees another
    house.db.execute("insert into memberships (user_id, owner_id, role) select id, 102, 'manager' from users where name = 'bob'", &[]).await.unwrap();
    let page = house.bob().get("/audit").await.expect(200);
    assert_eq!(said(&page), ["Added server web"]);
    assert!(!page.text.contains("nord-web"));
    // and then both, which have names now
    house.db.batch_execute("update memberships set role = 'manager'").await.unwrap();
    let page = house.bob().get("/audit").await.expect(200);
    assert_eq!(page.options("owner"), ["Every owner", "Nordwind", "Südstern"]);
    assert_eq!(page.all("tbody .of a"), ["Südstern", "Nordwind"]);
    assert_eq!(found(&house.bob(), "owner=102").await, ["Added server web"]);
    // what belongs to a removed owner is the staff's to read
    house.root().does("/owners/101/removal", &[]).await;
    house.alice().get("/audit").await.expect(404);
    assert_eq!(found(&house.root(), "owner=101").await, ["Removed owner Nordwind", "Added server nord-web"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_read_that_it_was_the_staff_and_not_who_or_from_where() {
    let house = House::new().await;
    let (root, alice) = (house.person_of("root").await, house.person_of("alice").await);
    let from = |actor: Actor, address: &str| Actor { from: Some(address.parse().unwrap()), ..actor };
    let mut db = house.app.db(All::operator()).await.unwrap();
    let nordwind = owners::find(&mut db, &root.scope(), 101).await.unwrap();
    let deploy = Actor { through: "token night-shift".into(), ..from(root.actor(), "192.0.2.7") };
    owners::note_look(&mut db, All::operator(), &nordwind, &deploy).await.unwrap();
    owners::note_look(&mut db, All::operator(), &nordwind, &from(alice.actor(), "198.51.100.9"))
        .await
        .unwrap();
    owners::note_look(&mut db, All::operator(), &nordwind, &Actor::command_line()).await.unwrap();
    let all = house.root().get("/audit").await.expect(200);
    assert_eq!(
        all.all("tbody td.second"),
        ["command line", "alicebrowser, 198.51.100.9", "roottoken night-shift, 192.0.2.7"]
    );
    let theirs = house.alice().get("/audit").await.expect(200);
    assert_eq!(theirs.all("tbody td.second"), [STAFF, "alicebrowser, 198.51.100.9", STAFF]);
    assert_eq!(said(&theirs), vec!["Looked at everything as Nordwind sees it"; 3]);
    let root_id = root.id().to_string();
    for path in ["/audit", "/audit.csv", "/audit.json"] {
        let text = house.alice().get(path).await.expect(200).text;
        for secret in ["192.0.2.7", "night-shift", "root", "command line", &root_id] {
            assert!(!text.contains(secret), "{path} tells {secret}");
        }
        assert!(text.contains("198.51.100.9") && text.contains(STAFF));
    }
    // nor is a name found out by searching
    for (who, rows) in [("root", 0), ("oo", 0), ("command", 0), ("staff", 2), ("ali", 1)] {
        assert_eq!(found(&house.alice(), &format!("who={who}")).await.len(), rows, "{who}");
    }
    for (who, rows) in [("ROO", 1), ("command", 1), ("staff", 0), ("%25", 0)] {
        assert_eq!(found(&house.root(), &format!("who={who}")).await.len(), rows, "{who}");
    }
    // somebody who leaves is remembered
    house
        .db
        .batch_execute("delete from memberships where user_id in (select id from users where name = 'alice')")
        .await
        .unwrap();
    house.db.batch_execute("update memberships set role = 'manager'").await.unwrap();
    assert!(house.bob().get("/audit").await.expect(200).text.contains("198.51.100.9"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_as_a_customer_has_no_audit() {
    let house = busy().await;
    let root = house.root();
    root.does("/view", &[("owner", "101")]).await;
    for path in ["/audit", "/audit.csv", "/audit.json"] {
        root.get(path).await.expect(404);
    }
    root.does("/view", &[]).await;
    assert_eq!(found(&root, "owner=101").await[0], "Looked at everything as Nordwind sees it");
    assert_eq!(found(&house.alice(), "").await[0], "Looked at everything as Nordwind sees it");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_narrows_it() {
    let house = House::new().await;
    assert_eq!(house.root().get("/audit").await.expect(200).one(".empty .title"), "Nothing was done so far");
    house
        .db
        .batch_execute(
            "insert into audit (at, user_name, staff, owner_id, action, object) values \
         ('2026-01-01T12:00:00Z', 'alice', false, 101, 'server.added', 'nord-web'), \
         ('2026-01-02T23:30:00Z', 'Älice', false, 101, 'threshold.set', 'service_down of nord-web'), \
         ('2026-01-03T12:00:00Z', 'charlie', false, 102, 'server.removed', '50% off'), \
         ('2026-01-04T12:00:00Z', 'charlie', false, null, 'session.started', 'charlie'), \
         ('2026-01-05T12:00:00Z', 'root', true, null, 'second_factor.sung_to', 'root')",
        )
        .await
        .unwrap();
    let (added, set, removed) =
        ("Added server nord-web", "Set service_down of nord-web", "Removed server 50% off");
    let (login, unknown) = ("Logged in", "Second factor sung to: root");
    let root = house.root();
    for (query, expected) in [
        ("", vec![unknown, login, removed, set, added]),
        ("q=NORD", vec![set, added]),
        ("q=%25", vec![removed]),
        ("who=charlie", vec![login, removed]),
        ("who=%C3%A4lice", vec![set]),
        ("group=servers", vec![removed, added]),
        ("group=sessions", vec![unknown, login]),
        ("group=publications", vec![]),
        ("group=nonsense", vec![]),
        ("owner=101", vec![set, added]),
        ("owner=999", vec![]),
        ("owner=x", vec![]),
        ("from=2026-01-04", vec![unknown, login]),
        ("to=2026-01-02", vec![set, added]),
        ("from=2026-01-02&to=2026-01-03", vec![removed, set]),
        ("group=servers&owner=101&q=web&who=a", vec![added]),
    ] {
        assert_eq!(found(&root, query).await, expected, "{query}");
        assert_eq!(said(&root.fragment(&format!("/audit?{query}")).await), expected, "{query}");
        let json = root.get(&format!("/audit.json?{query}")).await.expect(200).json();
        assert_eq!(json.as_array().unwrap().len(), expected.len(), "{query}");
    }
    // days are those of the person
    root.plant("tz", "Europe/Berlin");
    assert_eq!(found(&root, "to=2026-01-02").await, [added]);
    // what was typed stays, and the files are those of the filters
    let page = root.get("/audit?q=nord&who=alice&from=2026-01-01").await.expect(200);
    assert_eq!(
        (page.typed("q"), page.typed("who"), page.typed("from")),
        ("nord".into(), "alice".into(), "2026-01-01".into())
    );
    let files = page.attrs(".files a", "href");
    assert_eq!(
        files,
        ["/audit.csv?q=nord&who=alice&from=2026-01-01", "/audit.json?q=nord&who=alice&from=2026-01-01"]
    );
    // what is no day narrows nothing, and does not look as if it had
    for query in ["from=yesterday&q=nord", "to=2026-02-30&q=nord"] {
        for page in [
            root.get(&format!("/audit?{query}")).await.expect(422),
            root.fragment(&format!("/audit?{query}")).await.expect(422),
        ] {
            assert!(page.one("#days").contains("This is no day."), "{query}");
            assert!(said(&page).is_empty() && !page.has(".files"), "{query}");
        }
        let page = root.get(&format!("/audit?{query}")).await;
        let field = query.split('=').next().unwrap();
        assert_eq!(page.attrs("[aria-invalid=true]", "name"), [field]);
        assert_eq!(page.attrs("[aria-invalid=true]", "aria-describedby"), ["days"]);
        assert_eq!(page.typed("q"), "nord");
        for file in ["csv", "json"] {
            root.get(&format!("/audit.{file}?{query}")).await.expect(422);
            house.bob().get(&format!("/audit.{file}?{query}")).await.expect(404);
        }
    }
    for refused in ["/audit?q=%00", "/audit?after=bm9uc2Vuc2U"] {
        assert!(matches!(root.get(refused).await.status, 200 | 400), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_paged_both_ways() {
    let house = House::new().await;
    // seven at each moment, so that a page ends between equals
    house.db.batch_execute(
        "insert into audit (at, user_name, staff, owner_id, action, object) \
         select timestamptz '2026-01-01' + (n / 7) * interval '1 second', 'alice', false, 101, 'server.added', 's' || n from generate_series(1, 130) n",
    ).await.unwrap();
    let sql = "select 'Added server ' || object from audit order by at desc, id desc";
    let expected = house.column(sql).await;
    let alice = house.alice();
    let (mut seen, mut pages, mut at) = (Vec::new(), Vec::new(), "/audit?q=s".to_owned());
    loop {
        let page = alice.get(&at).await.expect(200);
        assert!(page.one(".pager .count").starts_with("50 at a time"));
        seen.extend(said(&page));
        pages.push(said(&page));
        let Some(next) = page.attrs("a[rel=next]", "href").pop() else {
            at = page.attrs("a[rel=prev]", "href").remove(0);
            break;
        };
        at = next;
    }
    assert_eq!(seen, expected);
    assert_eq!(said(&alice.get(&at).await.expect(200)), pages[1]);
    assert_eq!(alice.get("/audit").await.one(".pager .count"), "130 changes");
}
