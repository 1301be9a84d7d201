//! Who may import whom, and who may see everything: read from what `src/` names by `crate::`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// From left to right; a room names only rooms on its left. `web` and `api` are beside each other.
const ORDER: [&[&str]; 12] = [
    &["error"],
    &["catalogue", "metrics", "page", "password", "rate", "leash", "totp", "upstream", "vault"],
    &["address", "config"],
    &["store"],
    &["prometheus", "alertmanager", "sso", "live", "import"],
    &["app"],
    &["peer"],
    &["auth"],
    &["face", "web", "api", "worker"],
    &["router", "server"],
    &["serve"],
    &["demo", "main"],
];

/// What goes the other way, and why.
const EXCEPTIONS: [(&str, &str, &str); 5] = [
    ("address", "store", "an admin's reach takes the proof that it is one, which the store makes"),
    ("api", "face", "its extractors reject with an error"),
    ("config", "store", "what a DATABASE_URL is, the store knows"),
    ("face", "web", "an error's face for people is a page"),
    ("web", "face", "its extractors reject with an error"),
];

/// Each file of `src/` by its path below it, without its tests and comments.
pub fn sources() -> BTreeMap<String, String> {
    fn walk(dir: &Path, root: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                walk(&path, root, found);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                found.insert(name, lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    walk(&root, &root, &mut found);
    assert!(found.len() > 40, "{}", found.len());
    found
}

fn room_of(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap()
}

/// The rooms that a file names, in `use` lines (`use crate::{a, b::c};` names two) and elsewhere.
fn named(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            rooms.push(name(rest));
            continue;
        };
        let (mut depth, list) = (0, list.split(';').next().unwrap());
        let parts = list.split(|c: char| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        });
        rooms.extend(parts.map(|part| name(part.trim())).filter(|room| !room.is_empty()));
    }
    rooms
}

fn name(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

#[test]
fn rooms_name_those_on_their_left_only() {
    let place = |room: &str| {
        let found = ORDER.iter().position(|rooms| rooms.contains(&room));
        found.unwrap_or_else(|| panic!("the room {room} has no place in ORDER yet"))
    };
    let mut wrong = Vec::new();
    let mut excused = Vec::new();
    for (path, code) in sources() {
        let room = room_of(&path);
        if room == "lib" {
            continue;
        }
        for other in named(&code).iter().filter(|other| *other != room) {
            if let Some(exception) =
                EXCEPTIONS.iter().position(|(from, to, _)| (*from, *to) == (room, other.as_str()))
            {
                excused.push(exception);
            } else if place(other) >= place(room) {
                wrong.push(format!("{path} names {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (index, (from, to, _)) in EXCEPTIONS.iter().enumerate() {
        assert!(excused.contains(&index), "{from} no longer names {to}: take the exception away");
    }
}

#[test]
fn web_and_api_never_meet() {
    for (path, code) in sources() {
        let forbidden = match room_of(&path) {
            "web" => "crate::api",
            "api" => "crate::web",
            _ => continue,
        };
        assert!(!code.contains(forbidden), "{path} names {forbidden}");
    }
}

#[test]
fn only_the_store_knows_sql_and_it_knows_no_http() {
    for (path, code) in sources() {
        let room = room_of(&path);
        for word in ["diesel::", "diesel_async::", "jiff_diesel::", "tokio_postgres::"] {
            assert!(room == "store" || !code.contains(word), "{path} names {word}");
        }
        for word in ["axum", "hyper", "http::"] {
            assert!(room != "store" || !code.contains(word), "{path} names {word}");
        }
    }
}

#[test]
fn what_is_pure_calls_neither() {
    let pure = [
        "catalogue/mod.rs",
        "catalogue/all.rs",
        "catalogue/disk.rs",
        "catalogue/host.rs",
        "catalogue/promql.rs",
        "import/mod.rs",
        "import/discovery.rs",
        "import/sheet.rs",
        "prometheus/rules.rs",
        "prometheus/targets.rs",
        "prometheus/diff.rs",
        "prometheus/firings.rs",
        "alertmanager/payload.rs",
        "alertmanager/fingerprint.rs",
        "alertmanager/elements.rs",
        "alertmanager/interval.rs",
        "alertmanager/ready.rs",
        "store/episode.rs",
        "totp.rs",
        "vault.rs",
    ];
    let sources = sources();
    for path in pure {
        let code = &sources[path];
        for word in ["axum", "diesel", "tokio", "std::fs", "std::net", "async fn"] {
            assert!(!code.contains(word), "{path} names {word}");
        }
    }
}

/// Whoever sees everything without being an admin: the shell, the demo, the worker, Alertmanager's webhook,
/// and single sign-on, whose groups give roles.
const OPERATORS: [(&str, usize); 14] = [
    ("api/webhook.rs", 1),
    ("demo/mod.rs", 1),
    ("demo/seed.rs", 2),
    ("main.rs", 2),
    ("main/import.rs", 1),
    ("main/tokens.rs", 1),
    ("main/users.rs", 1),
    ("serve.rs", 2),
    ("web/sso/identity.rs", 1),
    ("web/sso/mod.rs", 1),
    ("worker/mod.rs", 4),
    ("worker/path.rs", 1),
    ("worker/publish.rs", 2),
    ("worker/reconcile.rs", 1),
];

#[test]
fn those_who_see_everything_are_counted() {
    let mut found = Vec::new();
    for (path, code) in sources() {
        let calls = code.matches("All::operator()").count();
        if calls > 0 {
            println!("{path}: {calls}");
            found.push((path, calls));
        }
    }
    let expected: Vec<_> = OPERATORS.iter().map(|(path, calls)| ((*path).to_owned(), *calls)).collect();
    assert_eq!(
        found, expected,
        "a new caller of All::operator() is looked at by two people, then written here"
    );
}

/// And those who are made by `auth` for people.
#[test]
fn only_auth_makes_scopes_for_people() {
    for (path, code) in sources() {
        for word in ["All::admin()", "Scope::of(", "Writing::of("] {
            assert!(path.starts_with("auth/") || !code.contains(word), "{path} names {word}");
        }
    }
}
