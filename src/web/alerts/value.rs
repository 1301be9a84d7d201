//! `GET /alerts/{id}/value`: the value against its threshold around an episode. It is a page of its own, which the
//! alert's page takes its part of: Prometheus may be slow or away.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use tower_sessions::Session;

use crate::app::App;
use crate::auth::User;
use crate::catalogue::{self, Direction, RuleKind};
use crate::error::{Error, Result};
use crate::face::Path;
use crate::prometheus::rules::fired_at;
use crate::prometheus::values::Course;
use crate::store::alerts::{self, Alert};
use crate::store::scope::Scope;
use crate::store::thresholds::{self, Place};
use crate::store::{Db, owners, servers};
use crate::web::chart::{Like, Line, round_up};
use crate::web::{Frame, Look, lasted, rule_title};

/// What is shown before the beginning and after the end, at the least and at the most.
const LEAST: SignedDuration = SignedDuration::from_mins(30);
const MOST: SignedDuration = SignedDuration::from_hours(12);
/// The longest time that is shown.
const LONGEST: SignedDuration = SignedDuration::from_hours(31 * 24);

#[derive(Template)]
#[template(path = "alerts/value.html", blocks = ["value"])]
struct ValuePage {
    frame: Frame,
    id: i64,
    rule: String,
    open: bool,
    drawn: Option<Drawn>,
    /// Why there is nothing drawn.
    why: String,
}

/// The picture, and the same in words.
struct Drawn {
    svg: String,
    words: String,
    /// How to read it.
    legend: String,
    top: String,
    /// Both ends of the time.
    ends: [String; 2],
}

/// What a threshold was, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Threshold {
    /// The alert says so itself.
    Fired(f64),
    /// What is set now.
    Now(f64),
    Off,
}

/// `GET /alerts/{id}/value`
pub async fn value(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let scope = user.scope();
    let alert = alerts::find(&mut db, &scope, id).await?.alert;
    let whose = whose(&mut db, &scope, &alert).await?;
    let frame = look.frame(&mut db, &user, &session).await?;
    // Prometheus takes its time; no connection waits for it
    drop(db);
    let drawn = match whose {
        Ok((kind, threshold)) => ask(&app, &user, &look, &alert, kind, threshold).await,
        Err(why) => Err(why.to_owned()),
    };
    let (drawn, why) = match drawn {
        Ok(drawn) => (Some(drawn), String::new()),
        Err(why) => (None, why),
    };
    let (rule, open) = (rule_title(&alert.rule), alert.ended_at.is_none());
    let page = ValuePage { frame, id, rule, open, drawn, why };
    look.show(&page, |page| page.as_value().render())
}

/// The kind and threshold of an alert, or why its values cannot be asked for.
async fn whose(
    db: &mut Db,
    scope: &Scope,
    alert: &Alert,
) -> Result<std::result::Result<(&'static RuleKind, Threshold), &'static str>> {
    let Some(kind) = catalogue::kind(&alert.rule) else {
        return Ok(Err("This alert is of a rule that prommgr does not write, so its values are not known."));
    };
    let owner = match alert.owner_id {
        None => None,
        Some(id) => match owners::find(db, scope, id).await {
            // under an id that was given to somebody else meanwhile, the values would be theirs
            Ok(owner) if alert.owner_external_id.as_ref() == Some(&owner.external_id) => Some(owner),
            Ok(_) | Err(Error::NotFound) => {
                return Ok(Err(
                    "Its owner no longer has the id that the alert names, so its values are not shown.",
                ));
            }
            Err(error) => return Err(error),
        },
    };
    if let Some(value) = said(alert, kind) {
        return Ok(Ok((kind, Threshold::Fired(value))));
    }
    let server = match alert.server_id {
        None => None,
        Some(id) => match servers::find(db, scope, id).await {
            Ok(server) => Some(server),
            Err(Error::NotFound) => None,
            Err(error) => return Err(error),
        },
    };
    let place = match (&server, &owner) {
        (Some(server), _) => Place::Server(server),
        (None, Some(owner)) => Place::Owner(owner),
        (None, None) => Place::Default,
    };
    let effective = thresholds::effective(db, place).await?;
    let its = effective.iter().find(|one| one.kind == kind && one.severity.as_str() == alert.severity);
    let value = its.filter(|one| one.setting.enabled).and_then(|one| one.setting.value);
    Ok(Ok((kind, value.map_or(Threshold::Off, Threshold::Now))))
}

/// The threshold that the alert's own expression names for it.
fn said(alert: &Alert, kind: &RuleKind) -> Option<f64> {
    let url = url::Url::parse(alert.generator_url.as_deref()?).ok()?;
    let expr = url.query_pairs().find(|(name, _)| name == "g0.expr")?.1;
    fired_at(&expr, kind, &labels(alert)).filter(|value| value.is_finite())
}

fn labels(alert: &Alert) -> BTreeMap<&str, &str> {
    let members = alert.labels.as_object().into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect()
}

/// The picture, or a sentence that says why there is none.
async fn ask(
    app: &App,
    user: &User,
    look: &Look,
    alert: &Alert,
    kind: &'static RuleKind,
    threshold: Threshold,
) -> std::result::Result<Drawn, String> {
    let now = Timestamp::now();
    let (from, to) = around(alert.started_at, alert.ended_at, now);
    if from >= to {
        return Err("It is too young for values to be there.".into());
    }
    let course = match app.values().around(kind, &labels(alert), from, to).await {
        Ok(Some(course)) => course,
        Ok(None) => return Err("It does not say which server it is of, so its values are not known.".into()),
        // where Prometheus is, is for the staff
        Err(error) if user.is_admin() => return Err(format!("The values are not known: {error}.")),
        Err(_) => return Err("Prometheus does not answer just now, so the values are not shown.".into()),
    };
    if course.points.is_empty() {
        return Err(
            "Prometheus has no values of this time. It keeps them for a limited time, often for 15 days."
                .into(),
        );
    }
    Ok(draw(alert, kind, threshold, &course, look, now))
}

/// The time that is shown.
fn around(began: Timestamp, ended: Option<Timestamp>, now: Timestamp) -> (Timestamp, Timestamp) {
    let end = ended.unwrap_or(now);
    let room = (began.duration_until(end) / 4).clamp(LEAST, MOST);
    let from = began.checked_sub(room).unwrap_or(began);
    let to = end.checked_add(room).map_or(now, |to| to.min(now));
    (from, from.checked_add(LONGEST).map_or(to, |longest| to.min(longest)))
}

fn draw(
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
        title: &format!("{}: {words}", rule_title(&alert.rule)),
        from: seconds(course.from),
        to: seconds(course.to),
        step: course.step as f64,
        points: &course.points,
        top,
        stairs: kind.direction == Direction::Zero,
        limit: limit.filter(|_| kind.direction != Direction::Zero),
        shade: (seconds(alert.started_at), seconds(alert.ended_at.unwrap_or(now))),
        like: Like::firing(&alert.severity),
    };
    let time = |at: Timestamp| at.to_zoned(look.zone.clone()).strftime("%-d %b %H:%M").to_string();
    Drawn {
        svg: line.svg(),
        legend: legend(line.limit.is_some(), course),
        words,
        top: match kind.direction {
            Direction::Zero => "up".into(),
            _ => amount(top, kind.unit),
        },
        ends: [time(course.from), time(course.to)],
    }
}

/// What the upper edge stands for. A value that may be far from a threshold below is cut, so that this stays in sight.
fn top(kind: &RuleKind, limit: Option<f64>, points: &[(f64, f64)]) -> f64 {
    let most = points.iter().map(|(_, value)| *value).fold(limit.unwrap_or_default(), f64::max);
    match kind.direction {
        Direction::Zero => 1.0,
        _ if kind.unit == "%" => most.max(100.0),
        Direction::Below => round_up(limit.map_or(most, |limit| most.min(limit * 4.0)) * 1.05),
        Direction::Above => round_up(most * 1.05),
    }
}

/// `Highest 93 %, threshold 90 %.`
fn words(kind: &RuleKind, threshold: Threshold, course: &Course) -> String {
    let values = || course.points.iter().map(|(_, value)| *value);
    let extreme = match kind.direction {
        Direction::Zero => {
            let down = values().filter(|value| *value == 0.0).count();
            let down = i64::try_from(down).unwrap_or_default() * course.step;
            return match down {
                0 => "It answered whenever it was asked.".into(),
                down => format!("It did not answer for about {}.", lasted(down)),
            };
        }
        Direction::Above => format!("Highest {}", amount(values().fold(f64::MIN, f64::max), kind.unit)),
        Direction::Below => format!("Lowest {}", amount(values().fold(f64::MAX, f64::min), kind.unit)),
    };
    match threshold {
        Threshold::Fired(value) => format!("{extreme}, threshold {}.", amount(value, kind.unit)),
        Threshold::Now(value) => {
            format!("{extreme}, threshold {} as it is set now.", amount(value, kind.unit))
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

/// A number of three digits or so, and its unit.
fn amount(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} {unit}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-{text}:00Z").parse().unwrap()
    }

    fn course(points: &[(f64, f64)]) -> Course {
        Course { from: at("01T10:00"), to: at("01T11:00"), step: 60, points: points.to_vec() }
    }

    #[test]
    fn there_is_room_around_an_episode() {
        let now = at("22T12:00");
        assert_eq!(around(at("22T11:00"), Some(at("22T11:01")), now), (at("22T10:30"), at("22T11:31")));
        assert_eq!(around(at("22T11:00"), None, now), (at("22T10:30"), now));
        assert_eq!(around(at("22T00:00"), Some(at("22T08:00")), now), (at("21T22:00"), at("22T10:00")));
        assert_eq!(around(at("15T00:00"), Some(at("21T00:00")), now), (at("14T12:00"), at("21T12:00")));
        let (from, to) = around("2026-01-01T00:00:00Z".parse().unwrap(), None, now);
        assert_eq!(from.duration_until(to), LONGEST);
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
