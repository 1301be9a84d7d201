//! The door that anybody may knock at: how often, from where, and that nobody can keep another out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::http::{Request, header};
use futures_util::StreamExt;
use futures_util::future::join_all;
use prommgr::auth;
use prommgr::error::Error;
use prommgr::password::RUNS;
use prommgr::router::{Door, routes};
use prommgr::store::attempts::{self, Bucket, FROM_AN_ADDRESS};
use prommgr::worker;

use crate::browsers::{besiege, known};
use crate::house::{House, PASSWORD};
use crate::page::Page;
use crate::person::Person;

const AT_ONCE: usize = FROM_AN_ADDRESS as usize;

pub async fn log_in(person: &Person, name: &str, password: &str) -> Page {
    person.post("/login", &[("username", name), ("password", password)]).await
}

/// What comes of it, and how often argon2 ran for it.
pub async fn counting<T>(work: impl Future<Output = T>) -> (T, usize) {
    let runs = Arc::new(AtomicUsize::new(0));
    let done = RUNS.scope(runs.clone(), work).await;
    (done, runs.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_wrong_logins_from_one_address_are_nobody_elses_trouble() {
    let house = House::new().await;
    let alices = known(&house, "alice").await;
    let over = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let (attacker, flooded) = (house.anyone().from("203.0.113.66"), over.clone());
    let flood = tokio::spawn(counting(async move {
        let attacker = &attacker;
        let answers = futures_util::stream::iter(0..10_000)
            .map(async |n: usize| {
                let name = ["alice", "Alice", "root", "nobody", &format!("nobody-{n}")][n % 5].to_owned();
                // nobody has asked it where it comes from
                let request = Request::post("/login")
                    .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .header("X-Forwarded-For", format!("198.51.100.{}", n % 250));
                let request = request.body(Body::from(format!("username={name}&password=wrong-{n}")));
                attacker.send(request.unwrap()).await.status
            })
            .buffer_unordered(64)
            .fold(BTreeMap::<u16, usize>::new(), async |mut answers, status| {
                *answers.entry(status).or_default() += 1;
                answers
            })
            .await;
        flooded.store(true, Ordering::SeqCst);
        answers
    }));
    let mut logins = 0;
    while !over.load(Ordering::SeqCst) {
        for (name, address) in [("bob", "192.0.2.1"), ("alice", "192.0.2.2")] {
            let person = house.anyone().from(address);
            assert_eq!(log_in(&person, name, PASSWORD).await.leads_to(), "/");
            assert_eq!(person.get("/").await.expect(200).one(".menu.user .name"), name);
            logins += 1;
        }
    }
    let (answers, runs) = flood.await.unwrap();
    println!("{answers:?}, {runs} runs of argon2, {logins} logins beside them, {:?}", began.elapsed());
    assert_eq!(answers.keys().collect::<Vec<_>>(), [&422, &429]);
    assert_eq!((answers.values().sum::<usize>(), answers[&422]), (10_000, runs));
    // one more is there each 45 s
    let most = AT_ONCE + began.elapsed().as_secs() as usize / 45 + 1;
    assert!((AT_ONCE..=most).contains(&runs), "{runs} runs of argon2");
    // afterwards too: strangers elsewhere, and alice's own browser even from the attacker's address
    log_in(&house.anyone().from("192.0.2.3"), "alice", PASSWORD).await.leads_to();
    log_in(&house.anyone().from("203.0.113.66"), "alice", PASSWORD).await.expect(429);
    log_in(&alices.from("203.0.113.66"), "alice", PASSWORD).await.leads_to();
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_at_the_same_moment_are_counted_too_by_all_instances_together() {
    let house = House::new().await;
    let twin = house.twin();
    // of three there is another only after 5 minutes
    let apps = [&house.app, &twin].into_iter().cycle().take(16);
    let mut connections: Vec<_> = join_all(apps.map(|app| app.door())).await;
    let code = [Bucket::new("code", 7, 3)];
    let spent = connections.iter_mut().map(|db| attempts::spend(db.as_mut().unwrap(), &code));
    let spent = join_all(spent).await;
    assert_eq!(spent.iter().filter(|spent| spent.is_ok()).count(), 3);
    assert!(spent.iter().all(|spent| matches!(spent, Ok(()) | Err(Error::TooMany(_)))));
    drop(connections);
    let burglars: Vec<_> = (0..60)
        .map(|n| if n % 2 == 0 { house.anyone() } else { Person::new(&twin) }.from("203.0.113.66"))
        .collect();
    let (answers, runs) =
        counting(join_all(burglars.iter().map(|burglar| log_in(burglar, "alice", "wrong")))).await;
    let let_in = answers.iter().filter(|page| page.status == 422).count();
    assert!(answers.iter().all(|page| matches!(page.status, 422 | 429)));
    assert_eq!(let_in, runs);
    // the one is what comes back in 45 s, on a machine that is very slow
    assert!((AT_ONCE..=AT_ONCE + 1).contains(&runs), "{runs} runs of argon2");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_had_all_attempts_is_told_when_there_is_another() {
    let house = House::new().await;
    let somebody = house.anyone().from("203.0.113.66");
    for _ in 0..FROM_AN_ADDRESS {
        log_in(&somebody, "alice", "wrong").await.expect(422);
    }
    let (page, runs) = counting(
        somebody.post("/login", &[("username", "alice"), ("password", PASSWORD), ("next", "/servers?q=a")]),
    )
    .await;
    let page = page.expect(429);
    assert_eq!(runs, 0);
    let wait: u64 = page.header("retry-after").parse().unwrap();
    assert!((1..=45).contains(&wait), "{wait}");
    let said = page.one("[role=alert]");
    assert_eq!(
        said,
        if wait == 1 {
            "Too many attempts. Try again in a second.".to_owned()
        } else {
            format!("Too many attempts. Try again in {wait} seconds.")
        }
    );
    // nothing is lost but the password
    assert_eq!((page.typed("username"), page.typed("next")), ("alice".into(), "/servers?q=a".into()));
    assert_eq!(page.typed("password"), "");
    assert!(!house.db.query("select from attempts where full_at > now()", &[]).await.unwrap().is_empty());
    // it comes back
    house.db.batch_execute("update attempts set full_at = full_at - interval '45 seconds'").await.unwrap();
    log_in(&somebody, "alice", PASSWORD).await.leads_to();
    log_in(&somebody, "charlie", "wrong").await.expect(422);
    log_in(&somebody, "charlie", "wrong").await.expect(429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_password_costs_no_attempt() {
    let house = House::new().await;
    for _ in 1..FROM_AN_ADDRESS {
        log_in(&house.anyone().from("203.0.113.66"), "bob", "wrong").await.expect(422);
    }
    let full = house.column("select full_at::text from attempts order by key").await;
    for _ in 0..5 {
        log_in(&house.anyone().from("203.0.113.66"), "alice", PASSWORD).await.leads_to();
    }
    // alice's own bucket is there now, and full
    let query = "select full_at::text from attempts where full_at > now() order by key";
    assert_eq!(house.column(query).await, full);
    log_in(&house.anyone().from("203.0.113.66"), "bob", "wrong").await.expect(422);
    log_in(&house.anyone().from("203.0.113.66"), "bob", PASSWORD).await.expect(429);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ipv6_neighbourhood_counts_as_one() {
    let house = House::new().await;
    for n in 0..FROM_AN_ADDRESS {
        let burglar = house.anyone().from(&format!("2001:db8:1:1:{n:x}::{n:x}"));
        log_in(&burglar, "alice", "wrong").await.expect(422);
    }
    log_in(&house.anyone().from("2001:db8:1:1::99"), "bob", "wrong").await.expect(429);
    log_in(&house.anyone().from("2001:db8:1:2::99"), "bob", "wrong").await.expect(422);
    // and who has a whole /48, has no 65,536 of them
    let mut db = house.app.door().await.unwrap();
    let mut had = AT_ONCE as u32 + 1;
    let refused = loop {
        let from = format!("2001:db8:1:{had:x}::1").parse().unwrap();
        match attempts::spend(&mut db, &attempts::of_a_stranger(Some(from), &had.to_string())).await {
            Ok(()) => had += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::TooMany(wait) if wait.as_secs() < 9), "{refused:?}");
    assert!((attempts::FROM_A_SITE..attempts::FROM_A_SITE + 5).contains(&had), "{had}");
    log_in(&house.anyone().from("2001:db8:2::1"), "bob", "wrong").await.expect(422);
}

/// All that somebody outside sees of an answer, without what they typed and what differs each time.
fn seen(page: &Page, name: &str) -> (u16, Vec<String>, String) {
    let headers = page.headers.iter().filter(|(name, _)| *name != "x-request-id" && *name != "retry-after");
    let headers = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
    (page.status, headers, page.text.replace(name, "NAME"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_tells_whether_a_name_exists() {
    let house = House::new().await;
    house
        .db
        .batch_execute("update users set disabled_at = now(), name = 'bobby' where name = 'bob'")
        .await
        .unwrap();
    // of equal length, as the page shows them again
    let (names, mut wrong, mut throttled) = (["alice", "alicf", "bobby"], Vec::new(), Vec::new());
    for name in names {
        // of those who are disabled the right one, too
        let password = if name == "bobby" { PASSWORD } else { "wrong" };
        let (page, runs) = counting(log_in(&house.anyone().from("203.0.113.1"), name, password)).await;
        assert_eq!((page.status, runs), (422, 1), "{name}");
        wrong.push(seen(&page, name));
    }
    for name in names {
        besiege(&house, name).await;
        let (page, runs) = counting(log_in(&house.anyone().from("203.0.113.2"), name, PASSWORD)).await;
        assert_eq!((page.status, runs), (429, 0), "{name}");
        assert!((1..=18).contains(&page.header("retry-after").parse::<u64>().unwrap()));
        let said = page.one("[role=alert]");
        throttled.push((
            seen(&page, name).0,
            seen(&page, name).1.len(),
            said.split(" in ").next().unwrap().to_owned(),
        ));
    }
    wrong.dedup();
    throttled.dedup();
    assert_eq!((wrong.len(), throttled.len()), (1, 1), "{wrong:#?} {throttled:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_name_has_attempts_of_its_own() {
    let house = House::new().await;
    besiege(&house, "alice").await;
    for name in ["ALICE", " alice", "aLiCe\n"] {
        log_in(&house.anyone().from("192.0.2.1"), name, "wrong").await.expect(429);
    }
    // as the database folds them, which is how it finds people
    let folded: Vec<String> = house.column("select lower(U&'AL\\0130CE')").await;
    let expected = if folded == ["alice"] { 429 } else { 422 };
    log_in(&house.anyone().from("192.0.2.1"), "AL\u{130}CE", "wrong").await.expect(expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_checks_have_buckets_of_their_own() {
    let house = House::new().await;
    let mut db = house.app.door().await.unwrap();
    let (code, sudo) = (Bucket::new("code", 7, 3), Bucket::new("sudo", 7, 2));
    let one = std::slice::from_ref(&code);
    attempts::spend(&mut db, one).await.unwrap();
    attempts::give_back(&mut db, one).await.unwrap();
    for _ in 0..2 {
        attempts::spend(&mut db, one).await.unwrap();
    }
    // together or not at all
    let both = [code.clone(), sudo.clone()];
    attempts::spend(&mut db, &both).await.unwrap();
    let Err(Error::TooMany(wait)) = attempts::spend(&mut db, &both).await else { panic!("one more") };
    assert!((200..=300).contains(&wait.as_secs()), "{wait:?}");
    attempts::spend(&mut db, std::slice::from_ref(&sudo)).await.unwrap();
    assert!(attempts::spend(&mut db, &[sudo]).await.is_err());
    // 8 is somebody else, and giving back what is long forgotten is no harm
    house.db.batch_execute("delete from attempts").await.unwrap();
    attempts::give_back(&mut db, one).await.unwrap();
    attempts::spend(&mut db, &[Bucket::new("code", 8, 3)]).await.unwrap();
    assert_eq!(house.count("attempts").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_signed_in_cannot_guess_the_password_either() {
    let house = House::new().await;
    let (alice, charlie) = (house.person_of("alice").await.id(), house.person_of("charlie").await.id());
    for _ in 0..10 {
        assert!(!auth::check_password(&house.app, alice, "wrong").await.unwrap());
        assert!(auth::check_password(&house.app, charlie, PASSWORD).await.unwrap());
    }
    let (refused, runs) = counting(auth::check_password(&house.app, alice, PASSWORD)).await;
    assert!(matches!(refused, Err(Error::TooMany(_))));
    assert_eq!(runs, 0);
    assert!(auth::check_password(&house.app, charlie, PASSWORD).await.unwrap());
    // a login is another thing
    log_in(&house.anyone().from("203.0.113.7"), "alice", PASSWORD).await.leads_to();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_full_again_and_browsers_that_nobody_uses_are_forgotten() {
    let house = House::new().await;
    known(&house, "alice").await;
    known(&house, "bob").await;
    log_in(&house.anyone(), "charlie", "wrong").await.expect(422);
    let bobs = "user_id = (select id from users where name = 'bob')";
    let old = format!("update known_browsers set expires_at = now() where {bobs}");
    house.db.batch_execute(&old).await.unwrap();
    worker::tidy(&house.app).await.unwrap();
    assert_eq!((house.count("attempts").await, house.count("known_browsers").await), (1, 1));
    house.db.batch_execute("update attempts set full_at = now()").await.unwrap();
    worker::tidy(&house.app).await.unwrap();
    assert_eq!(house.count("attempts").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_form_can_be_sent_from_another_site() {
    let house = House::new().await;
    let doors: Vec<_> = routes()
        .into_iter()
        .filter(|route| route.methods.contains(&"POST") && route.door != Door::Webhook)
        .collect();
    assert!(doors.len() > 10);
    for route in doors {
        let path = route.path.replace("{id}", "1").replace("{secret}", "0123456789abcdef");
        for (name, value) in [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")] {
            let request = Request::post(&path)
                .header(name, value)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            let form = format!("username=root&password={PASSWORD}");
            let page = house.root().send(request.body(Body::from(form)).unwrap()).await;
            // a browser's session opens no door for programs, from whatever site
            if route.door == Door::Client {
                page.expect(401);
                continue;
            }
            let page = page.expect(403);
            assert!(page.one("main").contains("came from another site"), "{path}: {}", page.text);
            assert!(!page.headers.contains_key(header::SET_COOKIE), "{path} signs in");
        }
    }
}
