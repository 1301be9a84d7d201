//! Who knows of an alert: acknowledgements and notes.

use crate::alertmanager::alert;
use crate::alerts::{busy, found};
use crate::house::House;
use crate::person::Person;
use prommgr::worker;

/// The path of alice's alert with this summary.
async fn path_of(house: &House, summary: &str) -> String {
    let sql = format!("select '/alerts/' || id from alerts where annotations->>'summary' = '{summary}'");
    house.column(&sql).await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_acknowledged_and_that_is_taken_back() {
    let (house, _) = busy().await;
    let (alice, bob) = (house.alice(), house.bob());
    let path = path_of(&house, "web is down").await;
    let unknown = "state=unacknowledged";
    assert_eq!(found(&alice, unknown).await, ["High memory use", "Down"]);
    let page = alice.get(&path).await.expect(200);
    assert!(page.offers("Acknowledge"));
    let to = alice.presses(&page, "Acknowledge", &[]).await.leads_to();
    let page = alice.get(&to).await.expect(200);
    assert!(page.flash().starts_with("Acknowledged"));
    assert!(!page.offers("Acknowledge"));
    assert!(page.one(".said p").starts_with("alice acknowledged it"));
    // it is quiet in lists, and there still
    let list = bob.get("/alerts?state=open").await.expect(200);
    assert_eq!(list.all("tr.known .chip"), ["acknowledged"]);
    assert_eq!(list.rows(), ["High memory use", "Down"]);
    assert_eq!(found(&bob, unknown).await, ["High memory use"]);
    assert_eq!(bob.get(&format!("/alerts?{unknown}")).await.one(".pager .count"), "1 alert");
    let seen = bob.get(&path).await.expect(200);
    assert!(seen.one(".said p").starts_with("alice") && !seen.offers("Take it back"));
    // a second one changes nothing
    let again = house.root().does(&format!("{path}/acknowledgement"), &[]).await;
    assert_eq!(again.flash(), "Somebody acknowledged it before.");
    assert!(again.one(".said p").starts_with("alice"));
    let undone = alice.presses(&page, "Undo", &[]).await.leads_to();
    assert!(alice.get(&undone).await.offers("Acknowledge"));
    assert_eq!(found(&bob, unknown).await, ["High memory use", "Down"]);
    assert_eq!(
        house.column("select concat(action, ' | ', object, ' | ', user_name) from audit order by at").await,
        ["alert.acknowledged | Down of nord-web | alice", "alert.unacknowledged | Down of nord-web | alice"]
    );
    assert_eq!(alice.get("/audit?group=alerts").await.attrs("tbody .what a", "href"), [path.clone(), path]);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_may_only_look_change_nothing() {
    let (house, _) = busy().await;
    let path = path_of(&house, "web is down").await;
    house.alice().does(&format!("{path}/notes"), &[("text", "I look after it.")]).await;
    let note = house.column("select id::text from alert_notes").await.remove(0);
    let looking = house.root();
    looking.post("/view", &[("owner", "101")]).await.leads_to();
    for act in [
        "acknowledgement".to_owned(),
        "acknowledgement/removal".into(),
        "notes".into(),
        format!("notes/{note}/removal"),
    ] {
        let path = format!("{path}/{act}");
        house.bob().post(&path, &[("text", "x")]).await.expect(403);
        looking.post(&path, &[("text", "x")]).await.expect(403);
        house.charlie().post(&path, &[("text", "x")]).await.expect(404);
    }
    assert_eq!((house.count("acknowledgements").await, house.count("alert_notes").await), (0, 1));
    for reader in [house.bob(), looking] {
        let page = reader.get(&path).await.expect(200);
        assert_eq!(page.all(".notes .text"), ["I look after it."]);
        assert!(!page.offers("Save note") && !page.offers("Acknowledge") && !page.has(".notes button"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_written_and_taken_away() {
    let (house, _) = busy().await;
    let (alice, root) = (house.alice(), house.root());
    let path = path_of(&house, "web is down").await;
    let page = alice.get(&path).await.expect(200);
    let empty = alice.presses(&page, "Save note", &[("text", "  ")]).await.expect(422);
    assert_eq!(empty.error_at("text"), "Write something.");
    let long = "é".repeat(2001);
    let refused = alice.presses(&page, "Save note", &[("text", &long)]).await.expect(422);
    assert_eq!(refused.error_at("text"), "That is 1 characters too long.");
    assert_eq!(refused.typed("text"), long);
    let text = "=1 <b>\r\nsecond line";
    let saved = alice.presses(&page, "Save note", &[("text", text)]).await.leads_to();
    let saved = alice.get(&saved).await.expect(200);
    assert_eq!(saved.all(".notes .text"), ["=1 <b> second line"]);
    let staff = root.does(&format!("{path}/notes"), &[("text", "The provider looks at it.")]).await;
    assert_eq!(staff.all(".notes b"), ["alice", "root"]);
    // customers read of the staff that it was the staff, and take away only what is theirs
    let page = alice.get(&path).await.expect(200);
    assert_eq!(page.all(".notes b"), ["alice", "Staff"]);
    assert_eq!(page.all(".notes button").len(), 1);
    let other = house.column("select id::text from alert_notes where user_name = 'root'").await.remove(0);
    alice.post(&format!("{path}/notes/{other}/removal"), &[]).await.expect(403);
    alice.post(&format!("{path}/notes/1/removal"), &[]).await.expect(404);
    // and not by another alert of theirs
    let another = path_of(&house, "memory").await;
    root.post(&format!("{another}/notes/{other}/removal"), &[]).await.expect(404);
    let undone = alice.presses(&saved, "Undo", &[]).await.leads_to();
    assert_eq!(alice.get(&undone).await.all(".notes .text"), ["The provider looks at it."]);
    house.db.batch_execute("insert into alert_notes (alert_id, received_at, owner_id, user_name, staff, text) \
        select id, received_at, owner_id, 'x', false, 'x' from alerts, generate_series(1, 99) where annotations->>'summary' = 'web is down'").await.unwrap();
    let full = alice.post(&format!("{path}/notes"), &[("text", "one more")]).await.expect(422);
    assert_eq!(
        (full.error_at("text"), full.typed("text")),
        ("This alert has 100 notes already.".into(), "one more".into())
    );
}

/// What is told of people in the course of an alert.
async fn course(person: &Person, path: &str) -> Vec<String> {
    let lines = person.get(path).await.expect(200).all("#live .moments li span");
    lines.into_iter().filter(|line| !line.starts_with("It ") && !line.starts_with("First heard")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_course_tells_what_people_did() {
    let (house, _) = busy().await;
    let (alice, bob, root) = (house.alice(), house.bob(), house.root());
    let path = path_of(&house, "web is down").await;
    alice.does(&format!("{path}/acknowledgement"), &[]).await;
    alice.does(&format!("{path}/acknowledgement/removal"), &[]).await;
    for text in ["one", "two"] {
        root.does(&format!("{path}/notes"), &[("text", text)]).await;
    }
    let one = house.column("select id::text from alert_notes where text = 'one'").await.remove(0);
    root.does(&format!("{path}/notes/{one}/removal"), &[]).await;
    root.does(&format!("{path}/acknowledgement"), &[]).await;
    house.db.batch_execute("update alerts set last_seen_at = now(), suppressed = 'silenced'").await.unwrap();
    let last = "Last heard of: it fires. A silence covers it, so nobody is told of it.";
    let told = |staff: &str| {
        [
            "alice acknowledged it.".to_owned(),
            "alice took the acknowledgement back.".into(),
            format!("{staff} wrote a note."),
            format!("{staff} wrote a note."),
            format!("{staff} took a note away."),
            format!("{staff} acknowledged it."),
            last.into(),
        ]
    };
    assert_eq!(course(&root, &path).await, told("root"));
    assert_eq!(course(&alice, &path).await, told("Staff"));
    // who has no audit reads what is there still
    assert_eq!(course(&bob, &path).await, ["Staff wrote a note.", "Staff acknowledged it.", last]);
    // and of no other alert
    let other = path_of(&house, "memory").await;
    assert_eq!(course(&alice, &other).await, [last]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_owns_is_the_staffs_until_it_is_adopted() {
    let (house, _) = busy().await;
    let root = house.root();
    let path = path_of(&house, "whose is it").await;
    house.alice().post(&format!("{path}/acknowledgement"), &[]).await.expect(404);
    root.does(&format!("{path}/acknowledgement"), &[]).await;
    root.does(&format!("{path}/notes"), &[("text", "whose?")]).await;
    house.db.batch_execute("update owners set external_id = '99' where id = 102").await.unwrap();
    house.charlie().get(&path).await.expect(404);
    worker::tidy(&house.app).await.unwrap();
    let page = house.charlie().get(&path).await.expect(200);
    assert!(page.one(".said p").starts_with("Staff") && page.all(".notes .text") == ["whose?"]);
    assert_eq!(house.column("select distinct owner_id::text from alert_notes union select owner_id::text from acknowledgements").await, ["102"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_goes_with_its_alert() {
    let house = House::new().await;
    house.told(&[alert("1").summary("one"), alert("2").summary("two")]).await;
    for summary in ["one", "two"] {
        let path = path_of(&house, summary).await;
        house.alice().does(&format!("{path}/acknowledgement"), &[]).await;
        house.alice().does(&format!("{path}/notes"), &[("text", summary)]).await;
    }
    house.db.batch_execute("delete from alerts where annotations->>'summary' = 'one'").await.unwrap();
    worker::tidy(&house.app).await.unwrap();
    assert_eq!(house.column("select text from alert_notes").await, ["two"]);
    assert_eq!(house.count("acknowledgements").await, 1);
    // its page is gone for the audit, too
    assert_eq!(house.alice().get("/audit?group=alerts").await.all("tbody .what a").len(), 2);
}
