//! API tokens: making, using and revoking them, and what they never do.

use std::io;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::{Method, Request, StatusCode, header};
use axum::routing::any;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prommgr::app::App;
use prommgr::auth::Client;
use prommgr::error::Error;
use prommgr::store::owners;
use serde_json::{Value, json};
use tower::ServiceExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

use crate::house::{House, PASSWORD};
use crate::page::Page;
use crate::person::Person;

async fn make(person: &Person, fill: &[(&str, &str)]) -> Page {
    let form = person.get("/account/tokens/new").await.expect(200);
    person.presses(&form, "Make token", fill).await
}

/// Asks who one is with some `Authorization`.
async fn me(house: &House, authorization: &str) -> Page {
    let request = Request::get("/api/v1/me").header(header::AUTHORIZATION, authorization);
    house.anyone().send(request.body(Body::empty()).unwrap()).await
}

async fn sees(program: &Person) -> Value {
    program.get("/api/v1/me").await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_once_and_opens_the_api() {
    let house = House::new().await;
    let alice = house.alice();
    let form = alice.get("/account/tokens/new").await.expect(200);
    assert_eq!(form.options("access"), ["Read", "Read and change"]);
    assert_eq!((form.typed("access"), form.typed("expires_in")), ("read".into(), "90d".into()));
    assert!(form.options("owner_id").is_empty(), "one owner is no choice");
    let made = make(&alice, &[("name", "deploy"), ("access", "write")]).await.expect(200);
    assert_eq!(made.one("h1"), "deploy is made");
    assert_eq!(made.header("cache-control"), "no-store");
    let secret = made.one("#token");
    assert!(secret.starts_with("prommgr_") && secret.len() == 48, "{secret}");
    assert!(made.offers("Copy"));

    let list = alice.get("/account/tokens").await.expect(200);
    assert!(!list.text.contains(&secret));
    let row = list.one("tbody th");
    assert!(row.starts_with(&format!("deploy {}… · reads and changes", &secret[..12])), "{row}");
    let expires = &list.all("tbody td")[0];
    assert!(["in 89 days", "in 90 days"].contains(&expires.as_str()), "{expires}");
    assert_eq!(list.all("tbody td")[1], "never");

    let answer = sees(&house.anyone().from("2001:db8::7").with_token(&secret)).await;
    let id = house.id_of("alice").await;
    assert_eq!(answer["user"], json!({"id": id, "name": "alice", "admin": false}));
    let owner = json!({"id": 101, "external_id": "11", "name": "Nordwind", "role": "manager"});
    assert_eq!(answer["owners"], json!([owner]));
    let expires = answer["token"]["expires_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let days = expires.duration_since(jiff::Timestamp::now()).as_hours();
    assert!((89 * 24..=90 * 24).contains(&days), "{days}");
    assert_eq!(answer["token"]["access"], "write");
    assert_eq!(
        (answer["token"]["name"].as_str(), &answer["token"]["owner_id"]),
        (Some("deploy"), &Value::Null)
    );
    let list = alice.get("/account/tokens").await;
    assert_eq!(list.all("tbody td")[1], "just now 2001:db8::7");
    assert_eq!(alice.get("/account").await.fact("API tokens"), "1 token");
    assert_eq!(
        house
            .column(
                "select user_name || ' ' || action || ' ' || object || ' ' || (new->>'access') from audit"
            )
            .await,
        ["alice token.added deploy write"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_sent_twice_makes_one() {
    let house = House::new().await;
    let alice = house.alice();
    let form = [("name", "deploy"), ("access", "read"), ("expires_in", "never")];
    let first = alice.post("/account/tokens", &form).await.expect(200).one("#token");
    let again = alice.post("/account/tokens", &form).await.expect(422);
    assert!(again.error_at("name").starts_with("There is a token of this name already."));
    assert!(!again.text.contains(&first) && !again.has("#token"));
    assert_eq!((again.typed("name"), again.typed("expires_in")), ("deploy".into(), "never".into()));
    assert_eq!(house.count("tokens").await, 1);
    // both at once
    let (form, there) = ([("name", "x")], house.alice());
    let (one, two) = tokio::join!(alice.post("/account/tokens", &form), there.post("/account/tokens", &form));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!((statuses, house.count("tokens").await), ([200, 422], 2));
    // others call theirs what they like
    house.charlie().post("/account/tokens", &form).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_token_is_said_at_the_field() {
    let house = House::new().await;
    let (alice, bob) = (house.alice(), house.bob());
    for (fill, wrong, said) in [
        (&[("name", " ")][..], "name", "Give a name."),
        (&[("name", &"x".repeat(101))], "name", "At most 100 characters, on one line."),
        (&[("name", "x"), ("access", "admin")], "access", "Choose one of the list."),
        (&[("name", "x"), ("access", "")], "access", "Choose one of the list."),
        (&[("name", "x"), ("expires_in", "")], "expires_in", "A time such as 90d or 12h, at most ten years."),
        (
            &[("name", "x"), ("expires_in", "7h")],
            "expires_in",
            "A time such as 90d or 12h, at most ten years.",
        ),
        (
            &[("name", "x"), ("expires_in", "custom"), ("expires_in_custom", "")],
            "expires_in_custom",
            "A time such as 90d or 12h, at most ten years.",
        ),
        (
            &[("name", "x"), ("expires_in", "custom"), ("expires_in_custom", "9999d")],
            "expires_in_custom",
            "A time such as 90d or 12h, at most ten years.",
        ),
        (&[("name", "x"), ("owner_id", "102")], "owner_id", "Choose one of the list."),
        (&[("name", "x"), ("owner_id", "x")], "owner_id", "Choose one of the list."),
    ] {
        let page = alice.post("/account/tokens", fill).await.expect(422);
        assert_eq!((page.error_at(wrong), page.errors()), (said.to_owned(), 1), "{fill:?}");
    }
    // a viewer's token reads, whatever is asked for
    assert_eq!(bob.get("/account/tokens/new").await.options("access"), ["Read"]);
    let page = bob.post("/account/tokens", &[("name", "x"), ("access", "write")]).await.expect(422);
    assert_eq!(page.error_at("access"), "You may only look, so your tokens can only read.");
    assert_eq!(house.count("tokens").await, 0);
    let custom = [("name", "x"), ("expires_in", "custom"), ("expires_in_custom", "12h")];
    let page = make(&bob, &custom).await.expect(200);
    assert_eq!(sees(&house.anyone().with_token(&page.one("#token"))).await["owners"][0]["role"], "viewer");
}

#[tokio::test(flavor = "multi_thread")]
async fn making_and_revoking_ask_for_the_password_after_a_while() {
    let house = House::new().await;
    house.db.execute("update sessions set data = jsonb_set(data, '{confirmed}', to_jsonb(extract(epoch from now())::bigint - 16 * 60))", &[]).await.unwrap();
    let alice = house.alice();
    let asks = make(&alice, &[("name", "deploy"), ("expires_in", "30d")]).await.expect(403);
    assert_eq!((asks.one("h1"), house.count("tokens").await), ("Is it you?".into(), 0));
    let wrong = alice.presses(&asks, "Go on", &[("sudo_password", "wrong")]).await.expect(403);
    let made = alice.presses(&wrong, "Go on", &[("sudo_password", PASSWORD)]).await.expect(200);
    assert_eq!(made.one("h1"), "deploy is made");
    let program = house.anyone().with_token(&made.one("#token"));
    sees(&program).await;
    let list = alice.get("/account/tokens").await;
    let expires = &list.all("tbody td")[0];
    assert!(["in 29 days", "in 30 days"].contains(&expires.as_str()), "{expires}");
    let revoked = alice.presses(&list, "Revoke token", &[]).await;
    assert_eq!(revoked.leads_to(), "/account/tokens");
    let list = alice.get("/account/tokens").await;
    assert_eq!(list.flash(), "deploy is revoked and opens nothing any more.");
    assert_eq!(list.one(".empty .title"), "No tokens yet");
    program.get("/api/v1/me").await.expect(401);
    assert_eq!(house.count("audit where action = 'token.revoked' and object = 'deploy'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_or_revokes_anothers_token() {
    let house = House::new().await;
    let token = house.program("alice", "deploy", true, None).await;
    let id = house.column("select id::text from tokens").await.remove(0);
    for stranger in [house.bob(), house.charlie(), house.root()] {
        assert!(!stranger.get("/account/tokens").await.expect(200).text.contains("deploy"));
        stranger.post(&format!("/account/tokens/{id}/revocation"), &[]).await.expect(404);
    }
    sees(&token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_good_token_gets_one_answer() {
    let house = House::new().await;
    let good = house.token("alice", "deploy", true, None).await;
    let (expired, of_bob) =
        (house.token("alice", "old", true, None).await, house.token("bob", "bobs", false, None).await);
    house.db.batch_execute("update tokens set expires_at = now() where name = 'old'; update users set disabled_at = now() where name = 'bob'").await.unwrap();
    let basic = |text: String| format!("Basic {}", STANDARD.encode(text));
    for header in [
        format!("Bearer {good}"),
        format!("bearer  {good} "),
        basic(format!(":{good}")),
        basic(format!("alice:{good}")),
    ] {
        me(&house, &header).await.expect(200);
    }
    let mut answers = Vec::new();
    for header in [
        String::new(),
        "Bearer".into(),
        "Bearer ".into(),
        good.clone(),
        format!("Token {good}"),
        format!("Bearer {}", good.to_uppercase()),
        format!("Bearer {good}x"),
        format!("Bearer {}", &good[..47]),
        format!("Bearer {good}, Bearer {good}"),
        format!("Bearer prommgr_{}", "a".repeat(40)),
        format!("Bearer prommgr_{}", "a".repeat(100_000)),
        format!("Bearer {expired}"),
        format!("Bearer {of_bob}"),
        basic(good.clone()),
        basic(format!("{good}:")),
        "Basic !!".into(),
        "Bearer prommgr_\u{fc}".into(),
    ] {
        let page = me(&house, &header).await.expect(401);
        assert_eq!(page.header("content-type"), "application/problem+json", "{header}");
        assert!(page.header("www-authenticate").starts_with("Bearer"), "{header}");
        answers.push(page.text);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers[0].contains("Authorization: Bearer"), "{answers:?}");
    // what did not open anything was not used
    let used = "select name from tokens where last_used_at is not null";
    assert_eq!(house.column(used).await, ["deploy"]);
    house.root().get("/api/v1/me").await.expect(401);
    // a token opens no page
    house.anyone().with_token(&good).get("/servers").await.leads_to();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_reaches_what_its_person_does_and_never_more_than_its_owner() {
    let house = House::new().await;
    house.db.execute("insert into memberships (user_id, owner_id, role) select id, 102, 'viewer' from users where name = 'alice'", &[]).await.unwrap();
    let names = async |program: &Person| {
        let answer = sees(program).await;
        let owners = answer["owners"].as_array().unwrap().iter();
        owners
            .map(|owner| format!("{} {}", owner["name"].as_str().unwrap(), owner["role"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    // one of two owners, chosen in the form
    let form = house.alice().get("/account/tokens/new").await;
    assert_eq!(form.options("owner_id"), ["Everything that I see", "Nordwind", "Südstern"]);
    let made = make(&house.alice(), &[("name", "south"), ("access", "write"), ("owner_id", "102")]).await;
    let south = house.anyone().with_token(&made.expect(200).one("#token"));
    let whole = house.program("alice", "whole", true, None).await;
    let (root, root_north) = (
        house.program("root", "whole", true, None).await,
        house.program("root", "north", true, Some(101)).await,
    );
    assert_eq!(names(&whole).await, ["Nordwind manager", "Südstern viewer"]);
    assert_eq!(names(&south).await, ["Südstern viewer"]);
    assert!(house.alice().get("/account/tokens").await.text.contains("only Südstern"));
    // an admin's that is restricted is no admin's
    assert_eq!((sees(&root).await["user"]["admin"].as_bool(), names(&root).await.len()), (Some(true), 0));
    assert_eq!(sees(&root_north).await["user"]["admin"].as_bool(), Some(false));
    assert_eq!(names(&root_north).await, ["Nordwind manager"]);

    // an owner that is removed, and a membership that is lost, at once
    house.db.execute("update owners set removed_at = now() where id = 101", &[]).await.unwrap();
    assert_eq!(names(&whole).await, ["Südstern viewer"]);
    assert!(names(&root_north).await.is_empty());
    house.db.execute("delete from memberships where owner_id = 102", &[]).await.unwrap();
    assert!(names(&south).await.is_empty() && names(&whole).await.is_empty());
    assert!(house.alice().get("/account/tokens").await.text.contains("an owner that you no longer see"));
    house.db.execute("update owners set removed_at = null where id = 101", &[]).await.unwrap();
    assert_eq!(names(&root_north).await, ["Nordwind manager"]);
    assert_eq!(names(&whole).await, ["Nordwind manager"]);
    // and an admin who is none any more
    house.db.execute("update users set admin = false where name = 'root'", &[]).await.unwrap();
    assert_eq!(sees(&root).await["user"]["admin"].as_bool(), Some(false));
    assert!(names(&root_north).await.is_empty());
    house.db.execute("update users set disabled_at = now() where name = 'alice'", &[]).await.unwrap();
    whole.get("/api/v1/me").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_only_reads_changes_nothing() {
    let house = House::new().await;
    // what any handler of the API is given
    let handler = async |client: Client| format!("{}", client.user.manages(101));
    let api = Router::new().route("/", any(handler)).with_state(house.app.clone());
    let ask = async |method: &Method, secret: &str| {
        let request =
            Request::builder().method(method).header(header::AUTHORIZATION, format!("Bearer {secret}"));
        let answer = api.clone().oneshot(request.uri("/").body(Body::empty()).unwrap()).await.unwrap();
        let (status, body) = (answer.status(), axum::body::to_bytes(answer.into_body(), 100).await.unwrap());
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    for name in ["alice", "root"] {
        let (reads, writes) =
            (house.token(name, "r", false, None).await, house.token(name, "w", true, None).await);
        assert_eq!(ask(&Method::GET, &reads).await, (StatusCode::OK, "false".into()));
        assert_eq!(ask(&Method::GET, &writes).await, (StatusCode::OK, "true".into()));
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert_eq!(ask(&method, &reads).await.0, StatusCode::FORBIDDEN, "{method}");
            assert_eq!(ask(&method, &writes).await, (StatusCode::OK, "true".into()));
        }
    }
    // and were the method overlooked, its rights would not do either
    let reads = house.token("alice", "again", false, None).await;
    let mut parts = Request::get("/")
        .header(header::AUTHORIZATION, format!("Bearer {reads}"))
        .body(())
        .unwrap()
        .into_parts()
        .0;
    let client = <Client as FromRequestParts<App>>::from_request_parts(&mut parts, &house.app).await.unwrap();
    let mut db = house.app.db(&client.user).await.unwrap();
    let found = owners::find_rw(&mut db, &client.user.writing(), 101).await;
    assert!(matches!(found, Err(Error::Forbidden)), "{found:?}");
    assert_eq!(client.user.actor().through, "token again");
}

/// Every row of every table, as text.
async fn dump(house: &House) -> String {
    let tables = house.column("select relname::text from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace and not relispartition").await;
    let mut text = String::new();
    for table in tables {
        text += &house.column(&format!("select string_agg(t::text, ' ') from {table} t")).await.concat();
    }
    text
}

/// What is logged, at the finest.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// on one thread, so that the log of all that the house does is this test's
#[tokio::test]
async fn the_secret_is_nowhere_but_in_the_answer() {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
    let everything: Targets = "trace".parse().unwrap();
    let _guard =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(everything).with(lines));
    // beside a single subscriber, tracing asks the thread that comes to a line first whether anybody wants it,
    // which may be another test's
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let house = House::new().await;
    let alice = house.alice();
    let secret = make(&alice, &[("name", "deploy")]).await.expect(200).one("#token");
    let program = house.anyone().with_token(&secret);
    sees(&program).await;
    program.post("/api/v1/me", &[]).await.expect(405);
    house.db.execute("update tokens set expires_at = now()", &[]).await.unwrap();
    program.get("/api/v1/me").await.expect(401);
    let dump = dump(&house).await;
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let hidden = &secret[12..];
    assert!(dump.contains(&secret[..12]) && dump.contains("token.added"), "nothing was dumped");
    assert!(!dump.contains(hidden) && !dump.contains(&hex) && !dump.contains(&STANDARD.encode(&secret)));
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("/api/v1/me") && log.contains("/account/tokens"), "nothing was logged: {log}");
    assert!(!log.contains(hidden), "{}", log.lines().find(|line| line.contains(hidden)).unwrap());
    for path in ["/account", "/account/tokens", "/account/tokens/new"] {
        assert!(!alice.get(path).await.expect(200).text.contains(hidden), "{path}");
    }
    assert!(alice.get("/account/tokens").await.one("tbody th").starts_with("deploy expired"));
}

/// The command, on the house's database.
fn prommgr(house: &House, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prommgr"));
    command.args(["token", "create"]).args(args).env("DATABASE_URL", house.database_url());
    command.env("PROMMGR_WEBHOOK_TOKEN", "x".repeat(32)).env("PROMMGR_DATA_DIR", house.prom.join("data"));
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_a_token_and_nothing_else() {
    let house = House::new().await;
    let made = prommgr(
        &house,
        &["--user", "Alice", "--name", "billing", "--read-only", "--expires-in", "12h", "--owner", "11"],
    );
    let (out, err) = (String::from_utf8(made.stdout).unwrap(), String::from_utf8(made.stderr).unwrap());
    assert!(made.status.success(), "{err}");
    let secret = out.strip_suffix('\n').unwrap();
    assert!(secret.len() == 48 && !err.contains(secret), "{out}{err}");
    assert!(err.contains("The token billing reads what Alice may of Nordwind."), "{err}");
    let answer = sees(&house.anyone().with_token(secret)).await;
    assert_eq!(answer["user"]["name"], "alice");
    assert_eq!((&answer["token"]["access"], &answer["token"]["owner_id"]), (&json!("read"), &json!(101)));
    assert!(answer["token"]["expires_at"].is_string());
    let made = prommgr(&house, &["--user", "root", "--name", "all"]);
    let answer = sees(&house.anyone().with_token(String::from_utf8(made.stdout).unwrap().trim())).await;
    assert_eq!((&answer["token"]["access"], &answer["token"]["expires_at"]), (&json!("write"), &Value::Null));
    assert_eq!(
        house.column("select distinct user_name from audit where action = 'token.added'").await,
        ["command line"]
    );

    house.db.execute("update users set disabled_at = now() where name = 'bob'", &[]).await.unwrap();
    for (args, said) in [
        (&["--user", "nobody", "--name", "x"][..], "there is no user nobody"),
        (&["--user", "bob", "--name", "x"], "bob is locked out"),
        (&["--user", "alice", "--name", "x", "--owner", "99"], "no owner has the external id 99"),
        (&["--user", "alice", "--name", "x", "--owner", "12"], "alice does not see Südstern"),
        (&["--user", "alice", "--name", "x", "--expires-in", "soon"], "--expires-in: A time such as 90d"),
        (&["--user", "alice", "--name", "x", "--expires-in", ""], "--expires-in: A time such as 90d"),
        (&["--user", "alice", "--name", " "], "--name: Give a name."),
        (&["--user", "alice", "--name", "billing"], "--name: There is a token of this name already."),
    ] {
        let refused = prommgr(&house, args);
        let err = String::from_utf8(refused.stderr).unwrap();
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{args:?}: {err}");
        assert!(err.starts_with("prommgr: ") && err.contains(said), "{args:?}: {err}");
    }
    assert_eq!(house.count("tokens").await, 2);
}
