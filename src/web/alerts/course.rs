//! What happened around an episode: its own course, the same alert's others, and what was done before it began.

use jiff::{SignedDuration, Timestamp};

use super::show::{quiet, reason};
use crate::auth::User;
use crate::error::Result;
use crate::store::Db;
use crate::store::alerts::{self, Alert, Named, Note};
use crate::store::audit::{self, Entry, Filter, STAFF, kind};
use crate::web::audit::around;
use crate::web::chart::{Like, Span, Strip};
use crate::web::{Look, When, quiet_word};

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

/// What is known of the episode's course, and what people did about it, in the order of time.
pub(super) async fn timeline(
    db: &mut Db,
    user: &User,
    named: &Named,
    notes: &[Note],
    look: &Look,
) -> Result<Vec<Moment>> {
    let alert = &named.alert;
    let mut moments = vec![
        (alert.started_at, "It began.".to_owned()),
        (alert.received_at, "First heard of, from Alertmanager.".to_owned()),
    ];
    if let Some(said) = &named.acknowledged {
        moments.push((said.at, format!("{} acknowledged it.", said.by)));
    }
    moments.extend(notes.iter().map(|note| (note.at, format!("{} wrote a note.", note.by))));
    moments.extend(past(db, user, named, notes).await?);
    for told in alerts::suppressions(db, &user.scope(), named).await? {
        let word = quiet_word(Some(&told.why));
        moments.push((told.since, format!("{word}: nobody was told of it from here on.")));
        // what lasts to the end is told there
        if let Some(until) = told.until.filter(|until| alert.ended_at.is_none_or(|end| *until < end)) {
            moments.push((until, format!("No longer {}.", word.to_lowercase())));
        }
    }
    match (alert.ended_at, &alert.close_reason) {
        (Some(at), Some(name)) => moments.push((at, format!("It ended. {}", reason(name)))),
        (Some(at), None) => moments.push((at, "It ended.".to_owned())),
        (None, _) => {
            let quiet = alert.suppressed.as_deref().map(|why| format!(" {}", quiet(why)));
            let text = format!("Last heard of: it fires.{}", quiet.unwrap_or_default());
            moments.push((alert.last_seen_at, text));
        }
    }
    moments.sort_by_key(|(at, _)| *at);
    Ok(moments.into_iter().map(|(at, text)| Moment { at: When::new(at, &look.zone), text }).collect())
}

/// What was said of it and taken back since: who may read the audit finds it there.
async fn past(db: &mut Db, user: &User, named: &Named, notes: &[Note]) -> Result<Vec<(Timestamp, String)>> {
    const MOST: i64 = 100;
    const ACTIONS: [(&str, &str); 4] = [
        ("alert.acknowledged", "acknowledged it"),
        ("alert.unacknowledged", "took the acknowledgement back"),
        ("alert.note_added", "wrote a note"),
        ("alert.note_removed", "took a note away"),
    ];
    if !named.alert.owner_id.map_or(user.is_admin(), |owner| user.manages(owner)) {
        return Ok(Vec::new());
    }
    let entries =
        audit::of_object(db, &user.writing(), &ACTIONS.map(|(action, _)| action), named.alert.id, MOST)
            .await?;
    // what is there still was told already
    let mut acknowledged = named.acknowledged.is_some();
    let mut notes: Vec<&str> = notes.iter().map(|note| note.text.as_str()).collect();
    let mut told = |entry: &Entry| match entry.action.as_str() {
        "alert.acknowledged" => std::mem::take(&mut acknowledged),
        "alert.note_added" => {
            let text = entry.new.as_ref().and_then(|new| new.get("note")).and_then(|note| note.as_str());
            let place = notes.iter().position(|note| Some(*note) == text);
            place.map(|place| notes.swap_remove(place)).is_some()
        }
        _ => false,
    };
    let moment = |entry: Entry| {
        let (_, words) = ACTIONS.into_iter().find(|(action, _)| *action == entry.action)?;
        let who = entry.who.map_or_else(|| STAFF.to_owned(), |who| who.name);
        Some((entry.at, format!("{who} {words}.")))
    };
    Ok(entries.into_iter().filter(|entry| !told(entry)).filter_map(moment).collect())
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
