//! A value as it is drawn, and the same in words.

use jiff::{SignedDuration, Timestamp};

use crate::catalogue::{Direction, RuleKind};
use crate::prometheus::values::Course;
use crate::store::alerts::Alert;
use crate::web::chart::{Like, Line, round_up};
use crate::web::{Look, amount, lasted};

/// The longest time that is shown.
pub(super) const LONGEST: SignedDuration = SignedDuration::from_hours(31 * 24);

/// The picture, and the same in words.
pub(super) struct Drawn {
    pub svg: String,
    pub words: String,
    /// How to read it.
    pub legend: String,
    pub top: String,
    /// Both ends of the time.
    pub ends: [String; 2],
}

/// What a threshold was, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Threshold {
    /// The alert says so itself.
    Fired(f64),
    /// What is set now.
    Now(f64),
    Off,
}

/// Draws it.
pub(super) fn draw(
    alert: &Alert,
    kind: &RuleKind,
    threshold: Threshold,
    course: &Course,
    look: &Look,
    now: Timestamp,
) -> Drawn {
    let limit = match threshold {
        Threshold::Fired(value) | Threshold::Now(value) => Some(value),
        Threshold::Off => None,
    };
    let seconds = |at: Timestamp| at.as_second() as f64;
    let words = words(kind, threshold, course);
    let top = top(kind, limit, &course.points);
    let line = Line {
        title: &format!("{}: {words}", kind.title),
        from: seconds(course.from),
        to: seconds(course.to),
        step: course.step as f64,
        points: &course.points,
        top,
        stairs: kind.bounds.is_none(),
        limit: limit.filter(|_| kind.bounds.is_some()),
        shades: &[(seconds(alert.started_at), seconds(alert.ended_at.unwrap_or(now)))],
        like: Like::firing(&alert.severity),
    };
    let time = |at: Timestamp| at.to_zoned(look.zone.clone()).strftime("%-d %b %H:%M").to_string();
    Drawn {
        svg: line.svg(),
        legend: legend(line.limit.is_some(), course),
        words,
        top: match kind.direction {
            Direction::Zero => "up".into(),
            Direction::NonZero => "yes".into(),
            _ if course.points.iter().any(|(_, value)| *value > top) => {
                format!("{} or more", amount(top, &kind.unit))
            }
            _ => amount(top, &kind.unit),
        },
        ends: [time(course.from), time(course.to)],
    }
}

/// What the upper edge stands for. A value that may be far from a threshold below is cut, so that this stays in sight.
pub(in crate::web) fn top(kind: &RuleKind, limit: Option<f64>, points: &[(f64, f64)]) -> f64 {
    let most = points.iter().map(|(_, value)| *value).fold(limit.unwrap_or_default(), f64::max);
    match kind.direction {
        Direction::Zero | Direction::NonZero => 1.0,
        _ if kind.unit == "%" => most.max(100.0),
        Direction::Below => round_up(limit.map_or(most, |limit| most.min(limit * 4.0)) * 1.05),
        Direction::Above => round_up(most * 1.05),
    }
}

/// `Highest 93 %, threshold 90 %.`
fn words(kind: &RuleKind, threshold: Threshold, course: &Course) -> String {
    let values = || course.points.iter().map(|(_, value)| *value);
    let lasted = |count: usize| lasted(i64::try_from(count).unwrap_or_default() * course.step);
    let extreme = match kind.direction {
        Direction::Zero => {
            return match values().filter(|value| *value == 0.0).count() {
                0 => "It answered whenever it was asked.".into(),
                down => format!("It did not answer for about {}.", lasted(down)),
            };
        }
        Direction::NonZero => {
            return match values().filter(|value| *value != 0.0).count() {
                0 => "It was not so whenever it was asked.".into(),
                so => format!("It was so for about {}.", lasted(so)),
            };
        }
        Direction::Above => format!("Highest {}", amount(values().fold(f64::MIN, f64::max), &kind.unit)),
        Direction::Below => format!("Lowest {}", amount(values().fold(f64::MAX, f64::min), &kind.unit)),
    };
    match threshold {
        Threshold::Fired(value) => format!("{extreme}, threshold {}.", amount(value, &kind.unit)),
        Threshold::Now(value) => {
            format!("{extreme}, threshold {} as it is set now.", amount(value, &kind.unit))
        }
        Threshold::Off => format!("{extreme}. The threshold is off now."),
    }
}

fn legend(limit: bool, course: &Course) -> String {
    let mut legend = String::from("Shaded: it fired.");
    if limit {
        legend.push_str(" Dashed: the threshold.");
    }
    let there = i64::try_from(course.points.len()).unwrap_or_default();
    let all = (course.to.as_second() - course.from.as_second()) / course.step + 1;
    if all - there > 2 {
        legend.push_str(" Where the line is missing, there are no values.");
    }
    if course.from.duration_until(course.to) >= LONGEST {
        legend.push_str(" Only its beginning is shown.");
    }
    legend
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-{text}:00Z").parse().unwrap()
    }

    fn course(points: &[(f64, f64)]) -> Course {
        Course { from: at("01T10:00"), to: at("01T11:00"), step: 60, points: points.to_vec() }
    }

    #[test]
    fn the_picture_is_told_in_words() {
        let said = |kind: &str, threshold, values: &[f64]| {
            let points: Vec<_> = values.iter().map(|value| (0.0, *value)).collect();
            words(catalogue::kind(kind).unwrap(), threshold, &course(&points))
        };
        let cpu = "cpu_threshold_exceeded";
        assert_eq!(said(cpu, Threshold::Fired(90.0), &[12.0, 93.25]), "Highest 93.2 %, threshold 90 %.");
        assert_eq!(
            said("load_threshold_exceeded", Threshold::Now(2.5), &[4.0, 0.125]),
            "Highest 4 per core, threshold 2.5 per core as it is set now."
        );
        assert_eq!(said(cpu, Threshold::Off, &[100.0]), "Highest 100 %. The threshold is off now.");
        assert_eq!(
            said("disk_will_fill_up", Threshold::Fired(4.0), &[300.4, 1.5]),
            "Lowest 1.5 h, threshold 4 h."
        );
        assert_eq!(
            said("service_down", Threshold::Off, &[1.0, 0.0, 0.0]),
            "It did not answer for about 2 minutes."
        );
        assert_eq!(said("service_down", Threshold::Off, &[1.0]), "It answered whenever it was asked.");
        assert_eq!(
            said("filesystem_readonly", Threshold::Off, &[1.0, 1.0, 1.0]),
            "It was so for about 3 minutes."
        );
    }

    #[test]
    fn a_threshold_stays_in_sight() {
        let top = |kind: &str, limit, most| top(catalogue::kind(kind).unwrap(), limit, &[(0.0, most)]);
        assert_eq!(top("cpu_threshold_exceeded", Some(90.0), 3.0), 100.0);
        assert_eq!(top("disk_will_fill_up", Some(4.0), 5000.0), 20.0);
        assert_eq!(top("load_threshold_exceeded", Some(2.0), 0.5), 2.5);
        assert_eq!(top("service_down", None, 0.0), 1.0);
    }
}
