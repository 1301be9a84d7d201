//! What happened around an episode: its own course, the same alert's others, and what was done before it began.

use jiff::{SignedDuration, Timestamp};

use super::show::reason;
use crate::auth::User;
use crate::error::Result;
use crate::store::Db;
use crate::store::alerts::{Alert, Named};
use crate::store::audit::{self, Entry, Filter, STAFF, kind};
use crate::web::audit::around;
use crate::web::chart::{Like, Span, Strip};
use crate::web::{Look, When};

/// What the strip shows.
const STRIP: SignedDuration = SignedDuration::from_hours(24 * 30);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Something that happened in an episode.
pub(super) struct Moment {
    pub at: When,
    pub text: String,
}

/// Something that was done before an episode.
pub(super) struct Done {
    pub at: When,
    pub text: String,
    pub who: String,
}

/// What is known of the episode's course; acts of people have their lines here, too.
pub(super) fn timeline(alert: &Alert, look: &Look) -> Vec<Moment> {
    let mut moments = vec![
        (alert.started_at, "It began.".to_owned()),
        (alert.received_at, "First heard of, from Alertmanager.".to_owned()),
    ];
    match (alert.ended_at, &alert.close_reason) {
        (Some(at), Some(name)) => moments.push((at, format!("It ended. {}", reason(name)))),
        (Some(at), None) => moments.push((at, "It ended.".to_owned())),
        (None, _) => moments.push((alert.last_seen_at, "Last heard of: it fires.".to_owned())),
    }
    moments.sort_by_key(|(at, _)| *at);
    moments.into_iter().map(|(at, text)| Moment { at: When::new(at, &look.zone), text }).collect()
}

pub(super) fn starts(alert: &Alert, siblings: &[Named]) -> Vec<Timestamp> {
    siblings.iter().map(|named| named.alert.started_at).chain([alert.started_at]).collect()
}

/// When the same alert fired.
pub(super) fn strip(alert: &Alert, siblings: &[Named]) -> Strip {
    let now = Timestamp::now();
    let to = alert.ended_at.and_then(|end| end.checked_add(DAY).ok()).map_or(now, |end| end.min(now));
    let from = to.checked_sub(STRIP).unwrap_or(to);
    let episodes = siblings.iter().map(|named| &named.alert).chain([alert]);
    let spans: Vec<Span> = episodes
        .map(|alert| Span {
            from: alert.started_at,
            to: alert.ended_at.unwrap_or(now),
            like: Like::firing(&alert.severity),
        })
        .collect();
    Strip::new(from, to, &spans, Like::Ok)
}

/// What was changed and published in the day before it began: of its owner and server, and for the staff of everybody.
pub(super) async fn before(db: &mut Db, user: &User, alert: &Alert, look: &Look) -> Result<Vec<Done>> {
    const MOST: i64 = 50;
    let Some(owner) = alert.owner_id.filter(|owner| user.manages(*owner)) else { return Ok(Vec::new()) };
    let writing = user.writing();
    let filter = Filter {
        kinds: Some(&["server", "threshold", "owner"]),
        owner: Some(owner),
        from: alert.started_at.checked_sub(DAY).ok(),
        to: Some(alert.started_at),
        ..Filter::default()
    };
    let mut entries = audit::batch(db, &writing, &filter, None, MOST).await?;
    entries.retain(|entry| match kind(&entry.action) {
        "server" => entry.object_id.is_some() && entry.object_id == alert.server_id,
        "threshold" => entry.object_id.is_none() || entry.object_id == alert.server_id,
        _ => entry.action != "owner.viewed",
    });
    if user.is_admin() {
        let everybodys = Filter { kinds: Some(&["publication", "threshold"]), owner: None, ..filter };
        let found = audit::batch(db, &writing, &everybodys, None, MOST).await?;
        entries.extend(found.into_iter().filter(|entry| entry.owner.is_none()));
        entries.sort_by_key(Entry::place);
        entries.reverse();
    }
    let done = |entry: Entry| {
        let (before, after) = around(&entry.action);
        let object = after.map(|after| format!("{}{after}", entry.object)).unwrap_or_default();
        Done {
            at: When::new(entry.at, &look.zone),
            text: format!("{before}{object}"),
            who: entry.who.map_or_else(|| STAFF.to_owned(), |who| who.name),
        }
    };
    Ok(entries.into_iter().map(done).collect())
}
