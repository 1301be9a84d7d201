//! The queue in front of the database: deliveries that share a transaction do not share their troubles.

use std::collections::BTreeSet;
use std::time::Duration;

use prommgr::store::intake::CHANNEL;
use prommgr::store::scope::All;
use serde_json::json;
use tokio_postgres::{AsyncMessage, NoTls};

use crate::alertmanager::{Alert, alert, delivery, notification};
use crate::house::{House, eventually};
use crate::page::Page;
use crate::person::Person;

/// The database refuses every alert of this rule.
const POISON: &str = "create function refuse() returns trigger language plpgsql as $$ begin \
       if new.rule = 'poison' then raise exception 'no room for poison'; end if; return new; end $$; \
     create trigger refuse before insert on alerts for each row execute function refuse()";

/// Sends without waiting for the answer.
fn sends(house: &House, alerts: Vec<Alert>) -> tokio::task::JoinHandle<Page> {
    let app = house.app.clone();
    tokio::spawn(async move {
        let body = notification(alerts.iter().map(Alert::json).collect()).to_string();
        Person::new(&app).send(delivery(body)).await
    })
}

/// Nobody can write until it is dropped.
async fn stopped(house: &House) -> tokio_postgres::Client {
    let client = crate::cluster::connect(house.database_url()).await;
    client.batch_execute("begin; lock table alert_heads in exclusive mode").await.unwrap();
    client
}

/// Waits until so many writers wait for a lock.
async fn writers_wait(house: &House) {
    eventually("a writer waits", async || {
        let waiting = "pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        (house.count(waiting).await > 0).then_some(())
    })
    .await;
}

/// Waits until so many deliveries are in.
async fn under_way(house: &House, many: usize) {
    eventually("they are in", async || (house.app.intake().under_way() == many).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_is_kept_aside_and_spoils_no_neighbour() {
    let house = House::empty(|_| {}).await;
    house.db.batch_execute(POISON).await.unwrap();
    // they wait together, and so come into one batch
    let stop = stopped(&house).await;
    let first = sends(&house, vec![alert("first")]);
    writers_wait(&house).await;
    let mut neighbours = Vec::new();
    for n in 0..20 {
        let good = (0..5).map(|k| alert(&format!("{n}-{k}")));
        let poison = (n % 7 == 3).then(|| alert(&format!("{n}-p")).rule("poison"));
        neighbours.push((poison.is_some(), sends(&house, good.chain(poison).collect())));
    }
    under_way(&house, 21).await;
    stop.batch_execute("rollback").await.unwrap();
    first.await.unwrap().expect(200);
    for (poisoned, neighbour) in neighbours {
        let said = neighbour.await.unwrap().expect(200).json();
        assert_eq!(
            (said["opened"].as_u64(), said["quarantined"].as_u64()),
            (Some(5), Some(u64::from(poisoned)))
        );
    }
    assert_eq!((house.count("alerts").await, house.count("quarantine").await), (101, 3));
    let reasons = house.column("select distinct reason from quarantine").await;
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].contains("no room for poison"), "{reasons:?}");
    // it is kept as Alertmanager said it, so that it can be taken in later
    house.db.batch_execute("drop trigger refuse on alerts").await.unwrap();
    let kept = house.column("select body from quarantine").await;
    let kept = kept.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let said = house.posted(notification(kept).to_string()).await.expect(200).json();
    assert_eq!(said["opened"], 3);
    assert_eq!(house.count("alerts where rule = 'poison' and labels->>'job' = 'node'").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_database_refuses_everything_nothing_is_kept_aside() {
    let house = House::empty(|_| {}).await;
    house.db.batch_execute(&POISON.replace("new.rule = 'poison'", "true")).await.unwrap();
    house.posted(notification(vec![alert("1").json(), alert("2").json()]).to_string()).await.expect(500);
    assert_eq!((house.count("alerts").await, house.count("quarantine").await), (0, 0));
    house.db.batch_execute("drop trigger refuse on alerts").await.unwrap();
    house.told(&[alert("1"), alert("2")]).await;
    assert_eq!(house.count("alerts").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_says_so_at_once() {
    let house = House::empty(|_| {}).await;
    let mut places: Vec<_> = (0..1024).map(|_| house.app.intake().admit().unwrap()).collect();
    let refused = house.posted(notification(vec![alert("1").json()]).to_string()).await.expect(503);
    assert!(!refused.header("retry-after").is_empty());
    // a wrong token is told nothing of it
    let mut request = delivery("{}");
    request.headers_mut().remove("authorization");
    house.anyone().send(request).await.expect(401);
    places.pop();
    house.told(&[alert("1")]).await;
    assert_eq!(house.history().await, ["1 10:00-"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_for_which_there_is_no_room_is_refused_before_it_is_read() {
    let house = House::empty(|_| {}).await;
    let mut places = Vec::new();
    for _ in 0..2 {
        let mut place = house.app.intake().admit().unwrap();
        place.grow(60 << 20).unwrap();
        places.push(place);
    }
    let large = "x".repeat(10 << 20);
    house.posted(large.clone()).await.expect(503);
    house.told(&[alert("1")]).await;
    places.clear();
    house.posted(large).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_client_has_gone_is_stored_once() {
    let house = House::empty(|_| {}).await;
    let stop = stopped(&house).await;
    let gone = sends(&house, vec![alert("1"), alert("2")]);
    writers_wait(&house).await;
    gone.abort();
    assert!(gone.await.is_err_and(|error| error.is_cancelled()));
    stop.batch_execute("rollback").await.unwrap();
    house.told(&[alert("1"), alert("2")]).await;
    assert_eq!(house.history().await, ["1 10:00-", "2 10:00-"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_what_waits_is_stored_and_nothing_more_is_taken() {
    let house = House::empty(|_| {}).await;
    let stop = stopped(&house).await;
    let sent: Vec<_> = (0..20).map(|n| sends(&house, vec![alert(&n.to_string())])).collect();
    writers_wait(&house).await;
    let intake = house.app.intake().clone();
    let closing = tokio::spawn(async move { intake.close().await });
    eventually("the door is closed", async || {
        let refused = house.app.intake().store(All::operator(), 1, Vec::new(), Vec::new()).await.is_err();
        refused.then_some(())
    })
    .await;
    assert!(!closing.is_finished());
    stop.batch_execute("rollback").await.unwrap();
    closing.await.unwrap();
    let mut taken = 0;
    for one in sent {
        taken += i64::from(one.await.unwrap().status == 200);
    }
    assert!(taken > 0);
    assert_eq!(house.count("alerts").await, taken);
    house.posted(notification(vec![alert("x").json()]).to_string()).await.expect(503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_delivery_is_stored_piece_by_piece_and_answered_once() {
    let house = House::empty(|_| {}).await;
    let text = "long ".repeat(60);
    let mut alerts: Vec<_> = (0..12_000).map(|n| alert(&n.to_string()).summary(&text).json()).collect();
    alerts.insert(5_000, json!("no alert"));
    // the same again, far behind, over by then
    alerts.push(alert("7").ended("10:20").json());
    let body = notification(alerts).to_string();
    assert!(body.len() > 5 << 20);
    let large = tokio::spawn({
        let (app, body) = (house.app.clone(), body.clone());
        async move { Person::new(&app).send(delivery(body)).await }
    });
    // a small one comes in between
    eventually("some of it is stored", async || (house.count("alerts").await > 0).then_some(())).await;
    house.told(&[alert("small")]).await;
    let small_first = !large.is_finished();
    let said = large.await.unwrap().expect(200).json();
    assert!(small_first, "the small delivery waited for the large one");
    assert_eq!(
        (said["opened"].as_u64(), said["closed"].as_u64(), said["quarantined"].as_u64()),
        (Some(12_000), Some(1), Some(1))
    );
    assert_eq!(
        (house.count("alerts").await, house.count("alerts where ended_at is not null").await),
        (12_001, 1)
    );
    // and said again
    let again = house.posted(body).await.expect(200).json();
    assert_eq!((again["repeated"].as_u64(), again["ignored"].as_u64()), (Some(11_999), Some(2)));
    assert_eq!(house.count("alerts").await, 12_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_is_told_once_a_batch_whose_alerts_changed() {
    let house = House::new().await;
    let (client, mut connection) = tokio_postgres::connect(house.database_url(), NoTls).await.unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(said) = message {
                tell.send(said.payload().to_owned()).unwrap();
            }
        }
    });
    client.batch_execute(&format!("listen {CHANNEL}")).await.unwrap();
    let next = async |told: &mut tokio::sync::mpsc::UnboundedReceiver<String>| {
        tokio::time::timeout(Duration::from_secs(20), told.recv()).await.expect("nothing was said").unwrap()
    };
    let owners = |text: &str| text.split(',').map(|id| id.parse().unwrap()).collect::<BTreeSet<i64>>();
    for one in [alert("1"), alert("1"), alert("1").ended("10:20")] {
        house.told(&[one]).await;
        assert_eq!(owners(&next(&mut told).await), [house.nordwind].into());
    }
    // nothing new is not news
    house.told(&[alert("1").ended("10:20")]).await;
    house.told(&[alert("2").owner("nobody's")]).await;
    assert_eq!(next(&mut told).await, "");
    // many at once are a few batches
    let stop = stopped(&house).await;
    let first = sends(&house, vec![alert("3").owner("12")]);
    writers_wait(&house).await;
    let sent: Vec<_> = (10..60)
        .map(|n| sends(&house, vec![alert(&n.to_string()), alert(&n.to_string()).owner("12")]))
        .collect();
    under_way(&house, 51).await;
    stop.batch_execute("rollback").await.unwrap();
    for one in sent.into_iter().chain([first]) {
        one.await.unwrap().expect(200);
    }
    let mut named = BTreeSet::new();
    let mut batches = 0;
    house.db.batch_execute(&format!("notify {CHANNEL}, 'that was all'")).await.unwrap();
    loop {
        match next(&mut told).await.as_str() {
            "that was all" => break,
            said => named.extend(owners(said)),
        }
        batches += 1;
    }
    assert_eq!(named, [house.nordwind, house.suedstern].into());
    assert!(batches <= 6, "{batches} notifications of 51 deliveries");
}
