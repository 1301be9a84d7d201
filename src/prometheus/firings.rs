//! When an alert would have fired: the run lengths of a comparison over recorded values, as Prometheus counts a
//! rule's `for`. Pure.

use crate::catalogue::{Direction, Setting};

/// A while in which an alert would have fired; seconds since 1970, of the first and the last evaluation that fires.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Firing {
    pub from: f64,
    pub to: f64,
}

/// Whether a value is too much. Prometheus compares with `NaN` as this does: it never is.
pub fn is_beyond(direction: Direction, limit: Option<f64>, value: f64) -> bool {
    let limit = limit.unwrap_or_default();
    match direction {
        Direction::Above => value > limit,
        Direction::Below => value < limit,
        Direction::Zero => value == 0.0,
        Direction::NonZero => value != 0.0,
    }
}

/// The firings of one series that a rule evaluated each `step` seconds would have had. `points` are in the order of time, on
/// multiples of the step; where one is missing there was no value then, which ends a run as a value within the limit does.
/// What is off never fires.
pub fn firings(points: &[(f64, f64)], step: f64, direction: Direction, setting: Setting) -> Vec<Firing> {
    let mut found = Vec::new();
    if !setting.enabled {
        return found;
    }
    // an alert fires at the first evaluation that is at least the hold after the one that found it beyond
    let wait = (f64::from(setting.hold) / step).ceil() * step;
    let mut run: Option<Firing> = None;
    let mut end = |run: Option<Firing>| {
        let fired = run.map(|run| Firing { from: run.from + wait, ..run });
        found.extend(fired.filter(|firing| firing.from <= firing.to));
    };
    for &(at, value) in points {
        if !is_beyond(direction, setting.value, value) {
            end(run.take());
            continue;
        }
        let goes_on = run.filter(|run| at - run.to < step * 1.5);
        if goes_on.is_none() {
            end(run.take());
        }
        run = Some(Firing { from: goes_on.map_or(at, |run| run.from), to: at });
    }
    end(run);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEP: u32 = 60;

    /// Prometheus' own way: at each evaluation an alert is inactive, pending or firing.
    fn naive(grid: &[Option<f64>], direction: Direction, setting: Setting) -> Vec<Firing> {
        let (mut active_at, mut fires) = (None, Vec::new());
        for (n, value) in grid.iter().enumerate() {
            let at = n as f64 * f64::from(STEP);
            let limit = setting.value.unwrap_or(0.0);
            let beyond = setting.enabled
                && value.is_some_and(|value| match direction {
                    Direction::Above => value > limit,
                    Direction::Below => value < limit,
                    Direction::Zero => value == 0.0,
                    Direction::NonZero => value != 0.0,
                });
            active_at = if beyond { active_at.or(Some(at)) } else { None };
            fires.push(active_at.is_some_and(|since| at - since >= f64::from(setting.hold)));
        }
        let mut found: Vec<Firing> = Vec::new();
        for (n, _) in fires.iter().enumerate().filter(|(_, fires)| **fires) {
            let at = n as f64 * f64::from(STEP);
            match found.last_mut() {
                Some(last) if n > 0 && fires[n - 1] => last.to = at,
                _ => found.push(Firing { from: at, to: at }),
            }
        }
        found
    }

    fn points(grid: &[Option<f64>]) -> Vec<(f64, f64)> {
        let at = |(n, value): (usize, &Option<f64>)| Some((n as f64 * f64::from(STEP), (*value)?));
        grid.iter().enumerate().filter_map(at).collect()
    }

    fn grid() -> impl Strategy<Value = Vec<Option<f64>>> {
        let value = prop_oneof![
            3 => Just(Some(10.0)),
            6 => Just(Some(90.0)),
            1 => Just(Some(0.0)),
            1 => Just(Some(f64::NAN)),
            1 => Just(Some(f64::INFINITY)),
            1 => Just(None),
        ];
        prop::collection::vec(value, 0..200)
    }

    fn direction() -> impl Strategy<Value = Direction> {
        prop_oneof![
            Just(Direction::Above),
            Just(Direction::Below),
            Just(Direction::Zero),
            Just(Direction::NonZero)
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn firings_are_those_of_the_rule(
            grid in grid(), direction in direction(), limit in prop_oneof![Just(50.0), Just(10.0), Just(90.0)],
            hold in 0_u32..600, enabled in prop::bool::weighted(0.9),
        ) {
            let setting = Setting { value: Some(limit), hold, enabled };
            let found = firings(&points(&grid), f64::from(STEP), direction, setting);
            prop_assert_eq!(found, naive(&grid, direction, setting));
        }

        /// What is answered of a comparison alone, as the simulator asks for it, says the same as all values do.
        #[test]
        fn values_within_the_limit_need_not_be_known(grid in grid(), direction in direction(), hold in 0_u32..600) {
            let setting = Setting { value: Some(50.0), hold, enabled: true };
            let all = points(&grid);
            let beyond: Vec<_> =
                all.iter().copied().filter(|(_, value)| is_beyond(direction, Some(50.0), *value)).collect();
            let step = f64::from(STEP);
            prop_assert_eq!(firings(&beyond, step, direction, setting), firings(&all, step, direction, setting));
        }

        #[test]
        fn a_longer_hold_never_fires_more(grid in grid(), hold in 0_u32..600, more in 0_u32..600) {
            let count = |hold| {
                let setting = Setting { value: Some(50.0), hold, enabled: true };
                firings(&points(&grid), f64::from(STEP), Direction::Above, setting).len()
            };
            prop_assert!(count(hold + more) <= count(hold));
        }
    }

    #[test]
    fn a_gap_ends_a_run() {
        let setting = Setting { value: Some(50.0), hold: 120, enabled: true };
        let at = |minutes: &[u32]| -> Vec<Firing> {
            let points: Vec<_> = minutes.iter().map(|minute| (f64::from(minute * STEP), 99.0)).collect();
            firings(&points, f64::from(STEP), Direction::Above, setting)
        };
        assert_eq!(at(&[0, 1, 2, 3]), [Firing { from: 120.0, to: 180.0 }]);
        assert_eq!(at(&[0, 1, 3, 4]), []);
        assert_eq!(at(&[0, 1, 2, 4, 5, 6]).len(), 2);
        assert_eq!(at(&[]), []);
    }
}
