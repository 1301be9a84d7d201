//! The audit as a file: complete, in order, and nothing in it that a spreadsheet would run.

use axum::body::Body;
use axum::http::{Request, header};
use futures_util::StreamExt;
use prommgr::router::router;
use tower::ServiceExt;

use crate::house::House;

/// Five batches and a part, with moments that go over the ends of the batches.
async fn long() -> House {
    let house = House::new().await;
    house.db.batch_execute(
        "insert into audit (at, user_name, staff, address, owner_id, action, object, object_id, old, new) \
         select timestamptz '2026-01-01' + (n / 7) * interval '1.000001 second', 'alice', false, '192.0.2.1', 101 + n % 2, 'server.changed', \
           case n % 5 when 0 then '=1+' || n when 1 then 'a, \"b\"' || chr(10) || n when 2 then '@' || n else 'Süd ' || n end, n, \
           '{\"port\": 1}', jsonb_build_object('port', n, 'comment', 'a, \"b\"') from generate_series(1, 10400) n",
    ).await.unwrap();
    house
}

/// Reads RFC 4180.
pub fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => cell.push(letters.next().unwrap()),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {
                assert_eq!(letters.next(), Some('\n'));
                record.push(std::mem::take(&mut cell));
                records.push(std::mem::take(&mut record));
            }
            letter => cell.push(letter),
        }
    }
    assert!(!quoted && cell.is_empty() && record.is_empty(), "it ends within a record: {record:?} {cell:?}");
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_are_complete_and_in_order() {
    let house = long().await;
    for (person, owners) in [(house.root(), "101, 102"), (house.alice(), "101")] {
        let ids = house
            .column(&format!(
                "select id::text from audit where owner_id in ({owners}) order by at desc, audit.id desc"
            ))
            .await;
        assert!(ids.len() > 5000);
        let csv = person.get("/audit.csv").await.expect(200);
        assert!(csv.header("content-type").starts_with("text/csv; charset=utf-8"));
        let disposition = csv.header("content-disposition");
        assert!(
            disposition.starts_with("attachment; filename=\"prommgr-audit-20")
                && disposition.ends_with(".csv\""),
            "{disposition}"
        );
        let mut rows = records(&csv.text);
        let head = rows.remove(0);
        assert_eq!(head[..3], ["id", "at", "user"]);
        assert!(rows.iter().all(|row| row.len() == head.len()));
        assert_eq!(rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>(), ids);
        let object = head.iter().position(|name| name == "object").unwrap();
        for row in &rows {
            assert!(!row.iter().any(|cell| cell.starts_with(['=', '+', '-', '@', '\t', '\r'])), "{row:?}");
            let n = &row[object + 1];
            let n: u32 = n.parse().unwrap();
            let typed = match n % 5 {
                0 => format!("'=1+{n}"),
                1 => format!("a, \"b\"\n{n}"),
                2 => format!("'@{n}"),
                _ => format!("Süd {n}"),
            };
            assert_eq!(row[object], typed);
        }
        let json = person.get("/audit.json").await.expect(200);
        assert_eq!(json.header("content-type"), "application/json");
        let json = json.json();
        let rows = json.as_array().unwrap();
        assert_eq!(rows.iter().map(|row| row["id"].to_string()).collect::<Vec<_>>(), ids);
        for row in rows {
            assert_eq!(row["new"]["port"], row["object_id"]);
            assert_eq!(
                (row["user"].as_str(), row["through"].as_str(), row["address"].as_str()),
                (Some("alice"), Some(""), Some("192.0.2.1"))
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_may_be_empty_or_end_with_a_batch() {
    let house = long().await;
    let root = house.root();
    for (most, rows) in [(0, 0), (999, 999), (1000, 1000), (1001, 1001), (2000, 2000)] {
        // numbers are given out in order of the moments, seven to each
        let query = if most == 0 { "q=nobody" } else { "" };
        house.db.batch_execute("alter table audit disable trigger user; truncate audit; alter table audit enable trigger user").await.unwrap();
        house.db.execute("insert into audit (user_name, staff, action, object) select 'x', true, 'server.added', 'x' from generate_series(1, $1::int)", &[&most]).await.unwrap();
        assert_eq!(records(&root.get(&format!("/audit.csv?{query}")).await.expect(200).text).len(), rows + 1);
        let json = root.get(&format!("/audit.json?{query}")).await.expect(200).json();
        assert_eq!(json.as_array().unwrap().len(), rows);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_to_its_end_does_not_look_whole() {
    let house = long().await;
    for path in ["/audit.csv", "/audit.json"] {
        let cookie = format!("prommgr={}", house.root().cookie("prommgr"));
        let request = Request::get(path).header(header::COOKIE, cookie).header(header::HOST, "prommgr.test");
        let answer = router(house.app.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        let mut body = answer.into_body().into_data_stream();
        body.next().await.unwrap().unwrap();
        // a batch is not held up, and holds nothing up: the table can be had between two
        house.db.batch_execute("set lock_timeout = '10s'; alter table audit rename to away").await.unwrap();
        let mut ends = Vec::new();
        while let Some(piece) = body.next().await {
            ends.push(piece.is_ok());
        }
        assert_eq!(ends.last(), Some(&false), "{path}");
        // and when it cannot be begun, that is a page
        assert_eq!(house.root().get(path).await.expect(500).all("h1").len(), 1);
        house.db.batch_execute("alter table away rename to audit").await.unwrap();
    }
}
