//! The rules of episodes against a model that knows nothing of tables: a list of beginnings and ends. Deliveries of
//! two Alertmanagers in any order, repeated, late, with beginnings that move back.

use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use prommgr::store::episode::Times;
use prommgr::store::intake::{self, Json, Report};
use prommgr::store::scope::All;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::house::House;

/// What is said of an identity: its number, when it began, how long it lasted, if it is over.
type Saying = (usize, i64, Option<i64>);

/// The history of one identity as the rules want it.
#[derive(Default)]
struct Model(Vec<(i64, Option<i64>)>);

impl Model {
    fn hears(&mut self, start: i64, end: Option<i64>) {
        let last_end = self.0.iter().filter_map(|episode| episode.1).max();
        let about_the_past = last_end.is_some_and(|last| start <= last);
        let open = self.0.iter().position(|episode| episode.1.is_none());
        match (open, end) {
            // it goes on, perhaps since earlier than was known, or ends
            (Some(n), end) if end.is_none_or(|end| end >= self.0[n].0) => {
                if !about_the_past {
                    self.0[n].0 = self.0[n].0.min(start);
                }
                self.0[n].1 = end;
            }
            (None, None) if !about_the_past => self.0.push((start, None)),
            (_, Some(end)) => {
                let meets = |&(from, to): &(i64, Option<i64>)| from <= end && to.is_none_or(|to| to >= start);
                if !self.0.iter().any(meets) {
                    self.0.push((start, Some(end)));
                }
            }
            // late
            (_, None) => {}
        }
    }
}

fn report(case: usize, (who, start, length): Saying) -> Report {
    let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
    let labels = [("n".to_owned(), who.to_string())].into();
    Report {
        fingerprint: format!("{case:012x}{who:04x}"),
        times: Times { starts_at: at(start), ends_at: length.map(|length| at(start + length)) },
        rule: "rule".into(),
        severity: "warning".into(),
        instance: String::new(),
        owner: None,
        server: None,
        labels: Json::from(&labels),
        annotations: Json::from(&labels),
        generator_url: None,
    }
}

/// Deliveries close enough in time to collide: anything at all, or true histories of which each Alertmanager tells
/// with repeats and in its own order.
fn deliveries() -> impl Strategy<Value = Vec<Vec<Saying>>> {
    let saying = (0..3_usize, 0..20_i64, prop::option::of(0..8_i64));
    let anything = prop::collection::vec(prop::collection::vec(saying, 1..7), 1..10);
    let truth = prop::collection::vec((0..3_usize, 1..5_i64, 0..5_i64), 1..8).prop_map(|parts| {
        let mut now = [0; 3];
        let mut told = Vec::new();
        for (who, pause, length) in parts {
            let start = now[who] + pause;
            now[who] = start + length;
            told.extend([(who, start, None), (who, start, Some(length))]);
        }
        told
    });
    let two = truth.prop_flat_map(|told| {
        let repeated = prop::collection::vec(prop::sample::select(told.clone()), 0..10);
        let replay = told.clone();
        (Just(told).prop_shuffle(), repeated, any::<bool>()).prop_map(move |(told, repeated, whole)| {
            let all = [told, repeated, if whole { replay.clone() } else { Vec::new() }].concat();
            all.chunks(3).map(<[Saying]>::to_vec).collect()
        })
    });
    prop_oneof![anything, two]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_keeps_the_rules() {
    let house = House::empty(|_| {}).await;
    let cases = AtomicUsize::new(0);
    let handle = tokio::runtime::Handle::current();
    let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    tokio::task::block_in_place(|| {
        runner.run(&deliveries(), |deliveries| {
            let case = cases.fetch_add(1, Ordering::Relaxed);
            let stored = handle.block_on(history(&house, case, &deliveries));
            let mut models: [Model; 3] = Default::default();
            for &(who, start, length) in deliveries.iter().flatten() {
                models[who].hears(start, length.map(|length| start + length));
            }
            for (who, model) in models.iter_mut().enumerate() {
                model.0.sort();
                prop_assert_eq!(&stored[who], &model.0, "identity {}", who);
            }
            Ok(())
        })
    })
    .unwrap();
    // every head says what the history says
    let astray = "alert_heads h where (h.open_id is null) = exists (select from alerts a where a.fingerprint = h.fingerprint and a.ended_at is null) \
        or h.last_end is distinct from (select max(ended_at) from alerts a where a.fingerprint = h.fingerprint) \
        or (h.open_id is not null and not exists (select from alerts a where a.id = h.open_id and a.received_at = h.open_received_at and a.started_at = h.open_started_at and a.ended_at is null))";
    assert_eq!(house.count(astray).await, 0);
    assert!(house.count("alerts").await > 200);
}

/// Tells the store, and reads what is there of the three.
async fn history(house: &House, case: usize, deliveries: &[Vec<Saying>]) -> Vec<Vec<(i64, Option<i64>)>> {
    let all = All::operator();
    let mut db = house.app.db(all).await.unwrap();
    for delivery in deliveries {
        let reports = delivery.iter().map(|saying| report(case, *saying)).collect();
        intake::store(&mut db, all, 1, reports, Vec::new()).await.unwrap();
    }
    let mut found = vec![Vec::new(); 3];
    let sql = "select labels->>'n', extract(epoch from started_at)::bigint - 1700000000, \
        extract(epoch from ended_at)::bigint - 1700000000 from alerts where fingerprint like $1 order by 2, 3";
    for row in house.db.query(sql, &[&format!("{case:012x}%")]).await.unwrap() {
        let who: usize = row.get::<_, String>(0).parse().unwrap();
        found[who].push((row.get(1), row.get(2)));
    }
    found
}
