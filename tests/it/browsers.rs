//! Browsers in which somebody has logged in before: nobody can lock them out, and they open no door.

use prommgr::store::attempts::{self, AT_AN_ACCOUNT, FROM_A_KNOWN_BROWSER, FROM_AN_ADDRESS};

use crate::door::{counting, log_in};
use crate::house::{House, PASSWORD};
use crate::person::Person;

/// A browser in which that person has logged in, and out again.
pub async fn known(house: &House, name: &str) -> Person {
    let person = house.anyone();
    log_in(&person, name, PASSWORD).await.leads_to();
    person.post("/logout", &[]).await.leads_to();
    assert!(person.cookie("prommgr").is_empty());
    person
}

/// Takes what strangers have at an account, as many addresses could.
pub async fn besiege(house: &House, account: &str) {
    let mut db = house.app.door().await.unwrap();
    while attempts::spend(&mut db, &attempts::of_a_stranger(None, account)).await.is_ok() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_locked_out_of_the_browser_that_they_use() {
    let house = House::new().await;
    let (alices, charlies) = (known(&house, "alice").await, known(&house, "charlie").await);
    for n in 0..AT_AN_ACCOUNT {
        let bot = house.anyone().from(&format!("198.51.100.{n}"));
        log_in(&bot, "alice", "wrong").await.expect(422);
    }
    // strangers wait, even with the right password, and so does another's browser
    let (page, runs) = counting(log_in(&house.anyone().from("192.0.2.1"), "alice", PASSWORD)).await;
    assert_eq!((page.status, runs), (429, 0));
    log_in(&charlies, "alice", PASSWORD).await.expect(429);
    assert_eq!(log_in(&alices.from("192.0.2.2"), "ALICE ", PASSWORD).await.leads_to(), "/");
    // at other accounts nothing has happened
    log_in(&house.anyone().from("192.0.2.3"), "bob", PASSWORD).await.leads_to();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_colleague_behind_the_same_address_cannot_lock_others_out() {
    let house = House::new().await;
    let bobs = known(&house, "bob").await.from("203.0.113.7");
    let mallory = house.anyone().from("203.0.113.7");
    for _ in 0..FROM_AN_ADDRESS {
        log_in(&mallory, "alice", "wrong").await.expect(422);
    }
    log_in(&mallory, "bob", PASSWORD).await.expect(429);
    log_in(&bobs, "bob", PASSWORD).await.leads_to();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_browser_has_not_more_than_its_attempts_and_takes_nobody_elses() {
    let house = House::new().await;
    let alices = known(&house, "alice").await.from("203.0.113.7");
    for _ in 0..FROM_A_KNOWN_BROWSER {
        log_in(&alices, "alice", "wrong").await.expect(422);
    }
    let (page, runs) = counting(log_in(&alices, "alice", PASSWORD)).await;
    assert_eq!((page.status, runs), (429, 0));
    log_in(&house.anyone().from("203.0.113.7"), "alice", PASSWORD).await.leads_to();
    // as bob it is a stranger
    log_in(&alices, "bob", "wrong").await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_known_by_a_random_cookie_that_opens_no_door() {
    let house = House::new().await;
    let alice = house.anyone();
    let cookie = log_in(&alice, "alice", PASSWORD).await.set_cookie("known_browser");
    for part in ["; Path=/login;", "; HttpOnly", "; SameSite=Lax", "; Max-Age=15552000"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
    let secret = alice.cookie("known_browser");
    assert_eq!(secret.len(), 32);
    let kept = house.column("select encode(hash, 'hex') || encode(hash, 'escape') from known_browsers").await;
    assert!(kept.len() == 1 && !kept[0].contains(&secret), "{kept:?}");
    let thief = house.anyone();
    thief.plant("known_browser", &secret);
    thief.get("/").await.leads_to();
    // the same browser keeps its secret, another has another
    log_in(&alice, "alice", PASSWORD).await.leads_to();
    assert_eq!(alice.cookie("known_browser"), secret);
    assert_ne!(known(&house, "alice").await.cookie("known_browser"), secret);
    // one that has not been used for long is a stranger, and gets a fresh one
    house.db.batch_execute("update known_browsers set expires_at = now()").await.unwrap();
    log_in(&alice, "alice", PASSWORD).await.leads_to();
    assert_ne!(alice.cookie("known_browser"), secret);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_cookie_does_not_make_the_planter_known() {
    let house = House::new().await;
    // charlie's own, in a browser that charlie and alice use
    let charlies = known(&house, "charlie").await;
    let planted = charlies.cookie("known_browser");
    let shared = house.anyone();
    shared.plant("known_browser", &planted);
    log_in(&shared, "alice", PASSWORD).await.leads_to();
    assert_ne!(shared.cookie("known_browser"), planted);
    besiege(&house, "alice").await;
    besiege(&house, "charlie").await;
    log_in(&charlies, "alice", PASSWORD).await.expect(429);
    // the browser is known for both
    log_in(&shared, "alice", PASSWORD).await.leads_to();
    log_in(&shared, "charlie", PASSWORD).await.leads_to();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_person_twenty_browsers_are_known() {
    let house = House::new().await;
    let first = known(&house, "alice").await;
    for _ in 0..20 {
        log_in(&house.anyone(), "alice", PASSWORD).await.leads_to();
    }
    assert_eq!(house.count("known_browsers").await, 20);
    besiege(&house, "alice").await;
    log_in(&first, "alice", PASSWORD).await.expect(429);
}
