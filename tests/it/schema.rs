//! diesel believes what `src/store/schema.rs` says of the tables, and the compiler believes diesel. That file
//! is written by hand, so that it shows the tables in the order of the migrations and without the partitions;
//! nothing but this test would notice a column that a migration has and the file has not, or whose type or
//! nullability differs. The `table!` macros of its text are compared with `information_schema`, both ways.

use std::collections::{BTreeMap, BTreeSet};

use crate::house::House;

/// Table, then column, then type as diesel names it.
type Tables = BTreeMap<String, BTreeMap<String, String>>;

/// Reads `table!` macros in their one layout: a line `name (key) {`, then `column -> Type,` lines.
fn said() -> Tables {
    let mut tables = Tables::new();
    let mut table = None;
    for line in include_str!("../../src/store/schema.rs").lines().map(str::trim) {
        if line == "diesel::table! {" {
            table = Some(String::new());
        } else if table.as_deref() == Some("") {
            let name = line.split(' ').next().unwrap();
            table = Some(name.to_owned());
            tables.insert(name.to_owned(), BTreeMap::new());
        } else if line == "}" {
            table = None;
        } else if let (Some(name), Some((column, kind))) = (&table, line.split_once(" -> ")) {
            tables.get_mut(name).unwrap().insert(column.to_owned(), kind.trim_end_matches(',').to_owned());
        }
    }
    tables
}

/// What the migrations have made, but for partitions and diesel's own table.
async fn real(house: &House) -> Tables {
    let sql = "select c.table_name::text, c.column_name::text, c.udt_name::text, c.is_nullable::text from information_schema.columns c \
        join pg_class r on r.relname = c.table_name and r.relnamespace = 'public'::regnamespace \
        where c.table_schema = 'public' and not r.relispartition and r.relkind in ('r', 'p') and c.table_name <> '__diesel_schema_migrations'";
    let mut tables = Tables::new();
    for row in house.db.query(sql, &[]).await.unwrap() {
        let (table, column, kind, nullable): (String, String, String, String) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let kind = match kind.as_str() {
            "int4" => "Int4",
            "int8" => "Int8",
            "float8" => "Float8",
            "bool" => "Bool",
            "text" => "Text",
            "bytea" => "Bytea",
            "jsonb" => "Jsonb",
            "timestamptz" => "Timestamptz",
            other => {
                panic!("{table}.{column} is of type {other}, which this test does not know yet")
            }
        };
        let kind = if nullable == "YES" { format!("Nullable<{kind}>") } else { kind.to_owned() };
        tables.entry(table).or_default().insert(column, kind);
    }
    tables
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_are_as_diesel_sees_them() {
    let house = House::empty(|_| {}).await;
    let (said, real) = (said(), real(&house).await);
    let columns = |tables: &Tables| -> BTreeSet<String> {
        let each = tables.iter().flat_map(|(table, columns)| {
            columns.iter().map(move |(column, kind)| format!("{table}.{column} -> {kind}"))
        });
        each.collect()
    };
    let (said, real) = (columns(&said), columns(&real));
    assert!(said.len() > 100, "the parser has lost something: {}", said.len());
    let only_said: Vec<_> = said.difference(&real).collect();
    let only_real: Vec<_> = real.difference(&said).collect();
    assert!(
        only_said.is_empty() && only_real.is_empty(),
        "only in schema.rs: {only_said:#?}\nonly in the database: {only_real:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_migration_can_be_taken_back() {
    let house = House::empty(|_| {}).await;
    let mut folders: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    for folder in folders.iter().rev() {
        let down = std::fs::read_to_string(folder.join("down.sql")).unwrap();
        house.db.batch_execute(&down).await.unwrap_or_else(|error| panic!("{}: {error:?}", folder.display()));
    }
    assert!(real(&house).await.is_empty());
    for folder in &folders {
        house.db.batch_execute(&std::fs::read_to_string(folder.join("up.sql")).unwrap()).await.unwrap();
    }
    assert!(!real(&house).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_migrate_at_the_same_moment_both_end_well() {
    let house = House::empty(|_| {}).await;
    house.db.batch_execute("drop schema public cascade; create schema public").await.unwrap();
    let twin = house.twin();
    let (one, other) = (house.app.clone(), twin);
    let one = tokio::spawn(async move { one.store().migrate().await.unwrap() });
    let other = tokio::spawn(async move { other.store().migrate().await.unwrap() });
    let ran = [one.await.unwrap(), other.await.unwrap()];
    let all = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap().count();
    assert!(ran.contains(&0) && ran.contains(&all), "{ran:?}");
}
