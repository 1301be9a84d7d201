//! Servers from a file, by the page.

use crate::house::{House, eventually};
use crate::page::Page;
use crate::person::Person;

const HEADER: &str = "owner_external_id,external_id,name,address\n";

async fn estate() -> House {
    let house = House::new().await;
    house.server(house.nordwind, "1", "web", "10.0.0.1").await;
    house.server(house.nordwind, "2", "db", "10.0.0.2").await;
    house.server(house.suedstern, "1", "mail", "10.0.0.1").await;
    house
}

/// Hands a table in, and looks at what it would change.
async fn handed(person: &Person, table: &str, more: &[(&str, &str)]) -> (String, Page) {
    let text = format!("{HEADER}{table}");
    let to = person.hands_in("/servers/import", "servers.csv", text.as_bytes(), more).await.leads_to();
    let page = person.get(&to).await.expect(200);
    (to, page)
}

/// Looks until it is over.
async fn ended(person: &Person, at: &str) -> String {
    eventually("the import ends", async || {
        let page = person.get(at).await.expect(200);
        (!page.attrs("#import", "hx-trigger").concat().contains("every"))
            .then(|| page.one("#import p[role=status]"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_looked_at_and_then_imported() {
    let house = estate().await;
    let alice = house.alice();
    let list = alice.get("/servers").await.expect(200);
    assert_eq!(list.attrs(".head a[href='/servers/import']", "href").len(), 1);
    assert_eq!(list.attrs(".files a", "href"), ["/servers.csv", "/servers.json"]);
    // her own owner need not be named
    let table = ",1,web,10.0.0.11\n11,9,<new>,10.0.0.9\n";
    let (at, page) = handed(&alice, table, &[("remove", "true")]).await;
    assert_eq!(page.one("#import .lead"), "1 added, 1 changed, 1 removed, 0 as they are");
    assert_eq!(page.all("section[aria-labelledby=added] li"), ["<new> (10.0.0.9:9100) of Nordwind"]);
    assert_eq!(page.all("section[aria-labelledby=removed] li"), ["db (10.0.0.2:9100) of Nordwind"]);
    assert_eq!(page.one("section[aria-labelledby=changed] dd"), "10.0.0.1 →then 10.0.0.11");
    assert_eq!(house.count("audit").await, 0, "nothing is done yet");
    let to = alice.presses(&page, "Import", &[]).await.leads_to();
    assert_eq!(to, at);
    let said = ended(&alice, &at).await;
    assert!(said.starts_with("Imported: 1 added, 1 changed, 1 removed"), "{said}");
    assert_eq!(
        house
            .column("select concat_ws(' ', action, object, user_name, owner_id) from audit order by action")
            .await,
        ["server.added <new> alice 101", "server.changed web alice 101", "server.removed db alice 101"]
    );
    assert_eq!(
        house
            .column(
                "select name || address from servers where owner_id = 101 and removed_at is null order by 1"
            )
            .await,
        ["<new>10.0.0.9", "web10.0.0.11"]
    );
    assert_eq!(house.column("select content || state || done from imports").await, ["done3"]);
    // it is done once
    alice.post(&at, &[("digest", "")]).await.expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_file_is_said_before() {
    let house = estate().await;
    let alice = house.alice();
    for (text, why) in [
        (&b""[..], "Choose a file."),
        (b"name\nweb\n", "It has no column `address`. The first line names the columns."),
        (
            b"name,address\n\xff,1\n",
            "It is not UTF-8. In a spreadsheet, save it as \u{201c}CSV UTF-8\u{201d}.",
        ),
        (b"name,address\n", "There is no server in it."),
    ] {
        let page = alice.hands_in("/servers/import", "x.csv", text, &[]).await.expect(422);
        assert_eq!((page.error_at("file"), page.errors()), (why.to_owned(), 1));
    }
    let (at, page) = handed(&alice, "12,1,mail,10.0.0.9\n11,1,web,10.0.0.2\n", &[]).await;
    assert!(!page.offers("Import"));
    assert_eq!(page.all("section[aria-labelledby=faults] dt"), ["line 2", "line 3"]);
    assert_eq!(
        page.all("section[aria-labelledby=faults] dd"),
        ["There is no owner 12.", "db has this address, port and job already."]
    );
    // not even by hand
    alice.post(&at, &[("digest", "x")]).await.leads_to();
    assert!(ended(&alice, &at).await.starts_with("Nothing was changed."));
    assert_eq!(house.count("audit").await, 0);
    // 16 MB, and no more
    let big = vec![b'x'; 17 << 20];
    alice.hands_in("/servers/import", "x.csv", &big, &[]).await.expect(413);
    let (_, page) = handed(&alice, &format!("11,7,big,10.0.0.7\n{}", "\n".repeat(2 << 20)), &[]).await;
    assert!(page.offers("Import"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_imported_is_what_was_looked_at() {
    let house = estate().await;
    let alice = house.alice();
    let (at, page) = handed(&alice, "11,1,web,10.0.0.11\n", &[]).await;
    house.db.batch_execute("update servers set port = 9200 where name = 'web'").await.unwrap();
    alice.presses(&page, "Import", &[]).await.leads_to();
    let said = ended(&alice, &at).await;
    assert!(said.contains("not what you looked at"), "{said}");
    assert_eq!(house.count("audit").await, 0);
    // looked at again, it can be
    let page = alice.get(&at).await.expect(200);
    alice.presses(&page, "Import", &[]).await.leads_to();
    assert!(ended(&alice, &at).await.starts_with("Imported: 0 added, 1 changed"));
    // one whose instance ended can be begun anew
    let (at, page) = handed(&alice, "11,1,web,10.0.0.12\n", &[]).await;
    house.db.batch_execute("update imports set state = 'under_way' where state = 'ready'").await.unwrap();
    assert!(alice.get(&at).await.one("#import p").starts_with("It is being imported"));
    alice.presses(&page, "Import", &[]).await.expect(409);
    house
        .db
        .batch_execute(
            "update imports set updated_at = now() - interval '1 minute' where state = 'under_way'",
        )
        .await
        .unwrap();
    let page = alice.get(&at).await.expect(200);
    assert!(page.one("#import p[role=status]").starts_with("It was broken off"));
    alice.presses(&page, "Import", &[]).await.leads_to();
    assert!(ended(&alice, &at).await.starts_with("Imported: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_its_persons_alone() {
    let house = estate().await;
    let (at, _) = handed(&house.alice(), "11,1,web,10.0.0.11\n", &[]).await;
    for person in [house.charlie(), house.bob(), house.root()] {
        person.get(&at).await.expect(404);
        person.post(&at, &[]).await.expect(404);
    }
    house.bob().get("/servers/import").await.expect(403);
    house.bob().hands_in("/servers/import", "x.csv", b"name,address\na,10.0.0.9\n", &[]).await.expect(403);
    // rights count when it is looked at
    let sql =
        "update memberships set role = 'viewer' where user_id = (select id from users where name = 'alice')";
    house.db.batch_execute(sql).await.unwrap();
    let page = house.alice().get(&at).await.expect(200);
    assert_eq!(page.one("section[aria-labelledby=faults] dd"), "There is no owner 11.");
    house.alice().post(&at, &[]).await.expect(403);
    for _ in 0..7 {
        handed(&house.charlie(), "12,1,mail,10.0.0.5\n", &[]).await;
    }
    assert_eq!(house.count("imports").await, 6, "five of charlie's, one of alice's");
}
