//! Alerts as pictures: how many began when, which servers and rules have the most, and what flaps. A page of its own, which
//! other pages show a part of when they are asked to: counting is not for every look at the list.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use tower_sessions::Session;

use super::filters::Selects;
use super::{Filters, day};
use crate::app::App;
use crate::auth::User;
use crate::error::{Error, Result};
use crate::face::Query;
use crate::store::alerts::figures as counts;
use crate::store::kinds;
use crate::web::chart::{Bar, Bars, FLAPS};
use crate::web::{Frame, Link, Look, number, rule_title};

/// The longest range.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 92);
/// Up to here there is a bar for each hour, beyond for each day.
const BY_HOUR: SignedDuration = SignedDuration::from_hours(72);
const DAY: SignedDuration = SignedDuration::from_hours(24);

#[derive(Template)]
#[template(path = "alerts/figures.html", blocks = ["rows"])]
struct FiguresPage {
    frame: Frame,
    show_owner: bool,
    q: String,
    selects: Selects,
    from: String,
    to: String,
    /// `1,204 alerts began from … to …`
    said: String,
    /// A range that is counted in part, in words.
    part: String,
    bars: Bars,
    noisy_servers: Vec<Noisy>,
    noisy_rules: Vec<Noisy>,
    flapping: Vec<Noisy>,
}

/// What has how many alerts.
struct Noisy {
    what: Link,
    under: String,
    count: String,
}

/// The beginnings of the days or hours of a range, which begins with one; and whether they are hours.
fn times(wanted: &Filters, zone: &TimeZone, now: Timestamp) -> Result<(Vec<Timestamp>, Timestamp, bool)> {
    let to = day(&wanted.to, 1, zone).map_or(now, |to| to.min(now));
    let midnight = |at: Timestamp| at.to_zoned(zone.clone()).start_of_day().map_err(Error::internal);
    let from = match day(&wanted.from, 0, zone) {
        Some(from) => from.max(to.checked_sub(LONGEST).unwrap_or(to)),
        None => midnight(to.checked_sub(DAY * 6).unwrap_or(to))?.timestamp(),
    };
    let hours = to.duration_since(from) <= BY_HOUR;
    let step = if hours { 1.hour() } else { 1.day() };
    let (mut at, mut starts) = (midnight(from)?, Vec::new());
    while at.timestamp() < to {
        starts.push(at.timestamp());
        at = at.checked_add(step).map_err(Error::internal)?;
    }
    Ok((starts, to, hours))
}

fn bars(counted: &counts::Figures, starts: &[Timestamp], zone: &TimeZone, hours: bool) -> Bars {
    let format = if hours { "%a %H:%M" } else { "%a %-d %b" };
    let label = |start: &Timestamp| start.to_zoned(zone.clone()).strftime(format).to_string();
    let mut bars: Vec<Bar> =
        starts.iter().map(|start| Bar { label: label(start), ..Bar::default() }).collect();
    for (quarter, critical, n) in &counted.quarters {
        let place = starts.partition_point(|start| start <= quarter).saturating_sub(1);
        if let Some(bar) = bars.get_mut(place) {
            *(if *critical { &mut bar.critical } else { &mut bar.other }) += n;
        }
    }
    Bars::new(bars)
}

/// `GET /alerts/figures`
pub async fn figures(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Query(wanted): Query<Filters>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let (scope, filter, now) = (user.scope(), wanted.filter(&look.zone), Timestamp::now());
    let selects = Selects::of(&mut db, &user, &wanted).await?;
    let kinds = kinds::catalogue(&mut db).await?;
    let (starts, to, hours) = times(&wanted, &look.zone, now)?;
    let from = starts.first().copied().unwrap_or(to);
    let counted = counts::figures(&mut db, &scope, &filter, from, to).await?;
    let since = now.checked_sub(DAY).unwrap_or(now);
    let flapping = counts::flapping(&mut db, &scope, &filter, since, FLAPS).await?;
    let all: i64 = counted.quarters.iter().map(|(_, _, n)| n).sum();
    let time = |at: Timestamp| at.to_zoned(look.zone.clone()).strftime("%-d %b %H:%M").to_string();
    let noisy = |what: Link, n: i64| Noisy { what, under: String::new(), count: number(n) };
    let page = FiguresPage {
        show_owner: user.sees_several(),
        selects,
        said: format!(
            "{} began from {} to {}.",
            if all == 0 { "No alert".into() } else { crate::web::counted(all, "alert") },
            time(from),
            time(to)
        ),
        part: if let Some(back) = counted.searched_to {
            format!(
                "Many alerts have what was searched for: only those that began since {} are counted.",
                time(back)
            )
        } else if counted.capped {
            format!("There are more: only the newest {} are counted.", number(counts::MOST))
        } else {
            String::new()
        },
        bars: bars(&counted, &starts, &look.zone, hours),
        noisy_servers: counted
            .servers
            .iter()
            .map(|(server, n)| {
                let href = wanted.narrowed("server", &server.id.to_string());
                let href = if server.removed { String::new() } else { href };
                noisy(Link { href, text: server.name.clone() }, *n)
            })
            .collect(),
        noisy_rules: counted
            .rules
            .iter()
            .map(|(rule, n)| {
                noisy(Link { href: wanted.narrowed("rule", rule), text: rule_title(&kinds, rule) }, *n)
            })
            .collect(),
        flapping: flapping
            .into_iter()
            .map(|one| Noisy {
                what: Link { href: format!("/alerts/{}", one.id), text: rule_title(&kinds, &one.rule) },
                under: one.instance,
                count: number(one.n),
            })
            .collect(),
        q: wanted.q,
        from: wanted.from,
        to: wanted.to,
        frame: look.frame(&mut db, &user, &session).await?,
    };
    look.show(&page, |page| page.as_rows().render())
}
