//! The rules one by one, then all of them on histories that arrive in any order.

use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn report(start: i64, end: Option<i64>) -> Times {
    Times { starts_at: at(start), ends_at: end.map(at) }
}

fn firing(start: i64) -> Times {
    report(start, None)
}

fn resolved(start: i64, end: i64) -> Times {
    report(start, Some(end))
}

fn head(open: Option<i64>, last_end: Option<i64>) -> Head {
    Head { open: open.map(|start| OpenEpisode { id: 7, started_at: at(start) }), last_end: last_end.map(at) }
}

#[test]
fn firing_rules() {
    let opened = |start| Action::Open { started_at: at(start) };
    let touched = |start| Action::Touch { id: 7, started_at: at(start) };
    assert_eq!(decide(&head(None, None), firing(10)), opened(10));
    assert_eq!(decide(&head(None, Some(9)), firing(10)), opened(10));
    assert_eq!(decide(&head(None, Some(10)), firing(10)), Action::LateTwin);
    assert_eq!(decide(&head(None, Some(11)), firing(10)), Action::LateTwin);

    assert_eq!(decide(&head(Some(10), None), firing(10)), touched(10));
    assert_eq!(decide(&head(Some(10), None), firing(12)), touched(10));
    // Alertmanager merged overlapping reports.
    assert_eq!(decide(&head(Some(10), None), firing(8)), touched(8));
    assert_eq!(decide(&head(Some(10), Some(7)), firing(8)), touched(8));
    // A late report of the episode before.
    assert_eq!(decide(&head(Some(10), Some(9)), firing(8)), touched(10));
}

#[test]
fn resolved_rules() {
    let close = |start, end| Action::Close { id: 7, started_at: at(start), ended_at: at(end) };
    let insert = |start, end| Action::InsertClosedIfNoOverlap { started_at: at(start), ended_at: at(end) };
    assert_eq!(decide(&head(Some(10), None), resolved(10, 20)), close(10, 20));
    assert_eq!(decide(&head(Some(10), None), resolved(8, 20)), close(8, 20));
    assert_eq!(decide(&head(Some(10), None), resolved(15, 20)), close(10, 20));
    assert_eq!(decide(&head(Some(10), Some(9)), resolved(8, 20)), close(10, 20));
    assert_eq!(decide(&head(Some(10), None), resolved(8, 10)), close(8, 10));
    // Out of order: it was over before the open one began.
    assert_eq!(decide(&head(Some(10), None), resolved(5, 9)), insert(5, 9));
    assert_eq!(decide(&head(Some(10), Some(4)), resolved(5, 9)), insert(5, 9));
    assert_eq!(decide(&head(Some(10), Some(9)), resolved(5, 9)), Action::Ignore);

    assert_eq!(decide(&head(None, None), resolved(5, 9)), insert(5, 9));
    assert_eq!(decide(&head(None, Some(4)), resolved(5, 9)), insert(5, 9));
    // Older than the last one; whether it is known, the history says.
    assert_eq!(decide(&head(None, Some(20)), resolved(5, 9)), insert(5, 9));
    assert_eq!(decide(&head(None, Some(9)), resolved(5, 9)), Action::Ignore);
    assert_eq!(decide(&head(None, Some(8)), resolved(5, 9)), Action::Ignore);
}

/// The history of one alert as the database keeps it: start and end of each row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct History(Vec<(Timestamp, Option<Timestamp>)>);

impl History {
    fn of<'a>(reports: impl IntoIterator<Item = &'a Times>) -> History {
        let mut history = History::default();
        for report in reports {
            history.apply(report);
        }
        history
    }

    fn head(&self) -> Head {
        let open = self.0.iter().position(|(_, end)| end.is_none());
        Head {
            open: open.map(|row| OpenEpisode { id: row as i64, started_at: self.0[row].0 }),
            last_end: self.0.iter().filter_map(|&(_, end)| end).max(),
        }
    }

    fn overlaps(&self, start: Timestamp, end: Timestamp) -> bool {
        let mut rows = self.0.iter();
        rows.any(|&(s, e)| s <= end && e.is_none_or(|e| start <= e))
    }

    fn apply(&mut self, report: &Times) {
        match decide(&self.head(), *report) {
            Action::Open { started_at } => self.0.push((started_at, None)),
            Action::Touch { id, started_at } => self.0[id as usize] = (started_at, None),
            Action::Close { id, started_at, ended_at } => self.0[id as usize] = (started_at, Some(ended_at)),
            Action::InsertClosedIfNoOverlap { started_at, ended_at } => {
                if !self.overlaps(started_at, ended_at) {
                    self.0.push((started_at, Some(ended_at)));
                }
            }
            Action::LateTwin | Action::Ignore => {}
        }
    }

    /// Whether each row ends before the next begins, so that at most the last is open.
    fn is_sound(&self) -> bool {
        let mut rows = self.0.clone();
        rows.sort();
        let apart = |pair: &[(Timestamp, Option<Timestamp>)]| pair[0].1.is_some_and(|end| end < pair[1].0);
        rows.windows(2).all(apart) && rows.iter().all(|&(s, e)| e.is_none_or(|e| s <= e))
    }
}

/// Any reports at all, close enough to each other to collide.
fn any_reports() -> impl Strategy<Value = Vec<Times>> {
    let one = (0..20_i64, prop::option::of(0..8_i64));
    let one = one.prop_map(|(start, length)| report(start, length.map(|l| start + l)));
    prop::collection::vec(one, 0..24)
}

/// True episodes, apart from each other, the last perhaps still open.
fn truth() -> impl Strategy<Value = Vec<(i64, Option<i64>)>> {
    let one = (1..5_i64, 0..5_i64);
    (prop::collection::vec(one, 1..6), any::<bool>()).prop_map(|(parts, open)| {
        let mut now = 0;
        let mut episodes = Vec::new();
        for (pause, length) in parts {
            episodes.push((now + pause, Some(now + pause + length)));
            now += pause + length;
        }
        if let (true, Some(last)) = (open, episodes.last_mut()) {
            last.1 = None;
        }
        episodes
    })
}

/// What is reported of them, in the order of time.
fn reports(truth: &[(i64, Option<i64>)]) -> Vec<Times> {
    let each =
        |&(start, end): &(i64, Option<i64>)| [Some(firing(start)), end.map(|end| resolved(start, end))];
    truth.iter().flat_map(each).flatten().collect()
}

/// Some true episodes, and their reports with repeats in any order.
fn any_order() -> impl Strategy<Value = (Vec<(i64, Option<i64>)>, Vec<Times>)> {
    truth().prop_flat_map(|truth| {
        let all = reports(&truth);
        let repeats = prop::collection::vec(prop::sample::select(all.clone()), 0..12);
        let mixed = repeats.prop_map(move |more| [&all[..], &more].concat()).prop_shuffle();
        (Just(truth), mixed)
    })
}

proptest! {
    #[test]
    fn episodes_never_touch_and_one_is_open_at_most(reports in any_reports()) {
        let mut history = History::default();
        for report in &reports {
            history.apply(report);
            prop_assert!(history.is_sound(), "{:?}", history);
            let once = history.clone();
            history.apply(report);
            prop_assert_eq!(&history, &once, "a repeat changed it: {:?}", report);
        }
    }

    #[test]
    fn in_order_the_history_is_the_truth(truth in truth()) {
        let expected = truth.iter().map(|&(start, end)| (at(start), end.map(at)));
        let history = History::of(&reports(&truth));
        prop_assert_eq!(history, History(expected.collect()));
    }

    #[test]
    fn no_order_makes_more_episodes_than_there_were((truth, mixed) in any_order()) {
        let history = History::of(&mixed);
        prop_assert!(history.is_sound());
        prop_assert!(history.0.len() <= truth.len(), "{:?}", history);
    }

    /// Timess in a confusing order may hide that the alert fires again; one replay in order shows it.
    #[test]
    fn replays_settle((truth, mixed) in any_order(), again in any::<prop::sample::Index>()) {
        let in_time = reports(&truth);
        let mut history = History::of(&mixed);
        in_time.iter().for_each(|report| history.apply(report));
        let settled = history.clone();
        prop_assert_eq!(settled.head().open.is_some(), truth.iter().any(|(_, end)| end.is_none()));
        let (later, earlier) = mixed.split_at(again.index(mixed.len()));
        for replay in [earlier, later, &in_time] {
            replay.iter().for_each(|report| history.apply(report));
            prop_assert_eq!(&history, &settled);
        }
    }
}
