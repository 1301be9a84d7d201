//! What came of a trial, in words and pictures.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::trial::Asked;
use crate::catalogue::{Direction, Setting};
use crate::prometheus::firings::Firing;
use crate::prometheus::trial::{Count, Series, Tried};
use crate::store::thresholds::in_words;
use crate::web::alerts::top;
use crate::web::chart::{Like, Line};
use crate::web::{Link, amount, counted, lasted, number};

/// Labels that tell series of one server apart.
const APART: [&str; 3] = ["mountpoint", "device", "name"];

pub(super) struct Told {
    pub said: String,
    /// The same of what is set now.
    pub now: String,
    /// What limits it.
    pub notes: Vec<String>,
    pub pictures: Vec<Picture>,
}

pub(super) struct Picture {
    pub server: Link,
    /// Whose it is and what of it, where that is not plain.
    pub under: String,
    pub words: String,
    pub top: String,
    pub svg: String,
    pub ends: [String; 2],
}

/// Tells it; `several`: to somebody who sees several owners.
pub(super) fn tell(asked: &Asked, tried: &Tried, several: bool, zone: &TimeZone) -> Told {
    let [new, now] = tried.counts;
    let said = match tried.known {
        None => format!("Prometheus has no values of the last {} days.", asked.days),
        Some(_) if !asked.new.enabled => "Switched off, it fires no more.".into(),
        Some(_) if new.firings == 0 => {
            format!("Over the last {} days this would not have fired.", asked.days)
        }
        Some(_) => {
            format!("Over the last {} days this would have fired {}.", asked.days, times(new, asked.single))
        }
    };
    let now = match tried.known {
        None => String::new(),
        Some(_) if same(asked.new, asked.now) => "It is what is set now.".into(),
        Some(_) if !asked.now.enabled => "Now it is off.".into(),
        Some(_) => {
            let now = if now.firings == 0 { "not once".into() } else { times(now, asked.single) };
            format!("Now, {}: {now}.", in_words(&asked.kind, asked.now))
        }
    };
    let pictures = tried.worst.iter().filter_map(|series| picture(asked, tried, series, several, zone));
    Told { said, now, notes: notes(asked, tried), pictures: pictures.collect() }
}

fn same(one: Setting, other: Setting) -> bool {
    one == other || !one.enabled && !other.enabled
}

/// `14 times on 3 servers`
fn times(count: Count, single: bool) -> String {
    let times = often(count.firings);
    match single {
        true => times,
        false => {
            format!("{times} on {}", counted(i64::try_from(count.servers).unwrap_or(i64::MAX), "server"))
        }
    }
}

fn often(firings: usize) -> String {
    match firings {
        0 => "not once".into(),
        1 => "once".into(),
        2 => "twice".into(),
        more => format!("{} times", number(i64::try_from(more).unwrap_or(i64::MAX))),
    }
}

fn notes(asked: &Asked, tried: &Tried) -> Vec<String> {
    let servers = |n: usize| counted(i64::try_from(n).unwrap_or(i64::MAX), "server");
    let mut notes = Vec::new();
    let late = |since: &Timestamp| since.as_second() - asked.to.as_second() + asked.days * 86_400 > 3600;
    if let Some(since) = tried.known.filter(late) {
        let length = lasted((asked.to.as_second() - since.as_second()).max(1));
        notes.push(format!("There are values of the last {length} only."));
    }
    let all = usize::try_from(asked.affected.all).unwrap_or_default();
    let looked = tried.servers + tried.silent;
    if tried.known.is_some() && looked < all {
        let looked = number(i64::try_from(looked).unwrap_or_default());
        notes.push(format!("There was time for {looked} of {}; the others are not counted.", servers(all)));
    }
    if tried.known.is_some() && tried.silent > 0 {
        notes.push(format!("Without values, so not counted: {}.", servers(tried.silent)));
    }
    if asked.affected.apart > 0 {
        let apart = usize::try_from(asked.affected.apart).unwrap_or_default();
        notes.push(format!("With a threshold of their own, so left as they are: {}.", servers(apart)));
    }
    let short = |setting: Setting| setting.enabled && i64::from(setting.hold) < tried.step;
    if tried.known.is_some() && tried.step > 60 && [asked.new, asked.now].into_iter().any(short) {
        notes.push(format!("Looked at every {}, so what was over sooner is missed.", lasted(tried.step)));
    }
    notes
}

fn picture(asked: &Asked, tried: &Tried, series: &Series, several: bool, zone: &TimeZone) -> Option<Picture> {
    let course = series.course.as_ref().filter(|course| !course.points.is_empty())?;
    let server = asked.affected.servers.get(series.server)?;
    let limit = asked.new.value.filter(|_| asked.kind.bounds.is_some());
    let top = top(&asked.kind, limit, &course.points);
    let own = APART.into_iter().filter_map(|name| series.labels.get(name).cloned());
    let under: Vec<String> = several.then(|| server.owner_name.clone()).into_iter().chain(own).collect();
    let words = match same(asked.new, asked.now) {
        true => often(series.firings[0].len()),
        false => format!("{}, now {}", often(series.firings[0].len()), often(series.firings[1].len())),
    };
    let shades: Vec<(f64, f64)> =
        series.firings[0].iter().map(|Firing { from, to }| (*from, *to + tried.step as f64)).collect();
    let seconds = |at: Timestamp| at.as_second() as f64;
    let line = Line {
        title: &format!("{} of {}: {words}", asked.kind.title, server.name),
        from: seconds(course.from),
        to: seconds(course.to),
        step: course.step as f64,
        points: &course.points,
        top,
        stairs: asked.kind.bounds.is_none(),
        limit,
        shades: &shades,
        like: Like::firing(asked.severity),
    };
    let time = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%-d %b %H:%M").to_string();
    Some(Picture {
        server: Link { href: format!("/servers/{}", server.id), text: server.name.clone() },
        under: under.join(", "),
        svg: line.svg(),
        words,
        top: match asked.kind.direction {
            Direction::Zero => "up".into(),
            Direction::NonZero => "yes".into(),
            _ => amount(top, &asked.kind.unit),
        },
        ends: [time(course.from), time(course.to)],
    })
}
