//! One alert, with all that is known of it.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use tower_sessions::Session;

use super::course::{Done, Moment, before, starts, strip, timeline};
use super::handling::Handling;
use crate::app::App;
use crate::auth::User;
use crate::error::Result;
use crate::face::Path;
use crate::store::mismatches::{self, Mismatch};
use crate::store::reconcile::{self, Reconciliation};
use crate::store::{Db, alerts, kinds};
use crate::web::chart::{Strip, flaps};
use crate::web::{AlertRow, Field, Frame, Look, Pair, When, lasted, pairs};

/// Other episodes in the list, and those that the strip and the word on flapping look at.
const LISTED: usize = 10;
const LOOKED_AT: i64 = 100;

#[derive(Template)]
#[template(path = "alerts/show.html", blocks = ["live"])]
pub(super) struct AlertPage {
    frame: Frame,
    show_owner: bool,
    row: AlertRow,
    rule_key: String,
    description: String,
    ended: Option<When>,
    last_seen: When,
    close_reason: Option<String>,
    /// Why nobody is told of it, while it is open.
    quiet: Option<&'static str>,
    /// For admins: how the history was last compared with Alertmanager.
    compared: Option<String>,
    /// For admins: whose the server is that the labels name, where the owner label names another.
    mismatch: Option<Mismatch>,
    /// The owner label as it came, when no owner has it.
    owner_label: Option<String>,
    fingerprint: String,
    generator: Option<String>,
    labels: Vec<Pair>,
    annotations: Vec<Pair>,
    episodes: Vec<AlertRow>,
    /// What happened, the oldest first.
    timeline: Vec<Moment>,
    /// The thirty days up to now, or up to a day after its end.
    strip: Strip,
    /// How often it began within a day, where that is often.
    flaps: Option<usize>,
    /// What was done in the day before it began, as far as the person may read it.
    before: Vec<Done>,
    handling: Handling,
}

/// `GET /alerts/{id}`
pub async fn show(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let page = page(&mut db, &user, &session, &look, id, Field::default()).await?;
    look.show(&page, |page| page.as_live().render())
}

/// The page of an alert, with the note that is being written.
pub(super) async fn page(
    db: &mut Db,
    user: &User,
    session: &Session,
    look: &Look,
    id: i64,
    note: Field,
) -> Result<AlertPage> {
    let scope = user.scope();
    let named = alerts::find(db, &scope, id).await?;
    let siblings = alerts::siblings(db, &scope, &named.alert, LOOKED_AT).await?;
    let before = before(db, user, &named.alert, look).await?;
    let notes = alerts::notes(db, &scope, &named).await?;
    let timeline = timeline(db, user, &named, &notes, look).await?;
    let kinds = kinds::catalogue(db).await?;
    let alert = &named.alert;
    let (mut compared, mut mismatch) = (None, None);
    if let Some(all) = user.all() {
        compared = reconcile::last(db, all, alert.cluster_id).await?.map(|last| comparison(&last));
        mismatch = mismatches::of(db, all, alert).await?;
    }
    Ok(AlertPage {
        frame: look.frame(db, user, session).await?,
        handling: Handling::of(user, look, &named, notes, note),
        show_owner: user.sees_several(),
        row: AlertRow::new(&named, &look.zone, &kinds),
        rule_key: alert.rule.clone(),
        description: alert
            .annotations
            .get("description")
            .and_then(|text| text.as_str())
            .unwrap_or_default()
            .to_owned(),
        ended: alert.ended_at.map(|at| When::new(at, &look.zone)),
        last_seen: When::new(alert.last_seen_at, &look.zone),
        close_reason: alert.close_reason.as_deref().map(reason),
        quiet: alert.suppressed.as_deref().filter(|_| alert.ended_at.is_none()).map(quiet),
        compared,
        mismatch,
        owner_label: alert.owner_external_id.clone().filter(|_| named.owner.is_none()),
        fingerprint: alert.fingerprint.clone(),
        generator: alert.generator_url.clone().filter(|_| user.is_admin()),
        labels: pairs(&alert.labels, &[]),
        annotations: pairs(&alert.annotations, &["summary", "description"]),
        episodes: AlertRow::all(siblings.get(..LISTED).unwrap_or(&siblings), &look.zone, &kinds),
        timeline,
        strip: strip(alert, &siblings),
        flaps: flaps(&starts(alert, &siblings)),
        before,
    })
}

/// How long ago the history was compared with Alertmanager, and why not since.
fn comparison(last: &Reconciliation) -> String {
    let ago = |at: Timestamp| lasted((Timestamp::now().as_second() - at.as_second()).max(0));
    let when = last.began_at.map_or("never".into(), |at| format!("{} ago", ago(at)));
    if last.error.is_empty() { when } else { format!("{when}; not since, because {}", last.error) }
}

/// Why an episode ended, in words.
pub(super) fn reason(name: &str) -> String {
    match name {
        "resolved" => "Alertmanager said that it is resolved.".into(),
        "resolved_unheard" => "Alertmanager no longer has it, but its message did not arrive. It ended at this time or a little before.".into(),
        "silenced" => "It ended while it was silenced, so Alertmanager told no exact time.".into(),
        "inhibited" => "It ended while a worse alert inhibited it, so Alertmanager told no exact time.".into(),
        "muted" => "It ended in a time when it is muted, so Alertmanager told no exact time.".into(),
        "forgotten" => "Alertmanager was started again and no longer knows it.".into(),
        "server_removed" => "Its server was removed.".into(),
        "rule_changed" => "Its threshold was changed and published shortly before.".into(),
        "prometheus_down" => "Prometheus did not answer when it ended. Alertmanager takes what it hears no more of for resolved, so whether it was is not known.".into(),
        other => other.to_owned(),
    }
}

/// Why an open episode is told to nobody, in words.
pub(super) fn quiet(name: &str) -> &'static str {
    match name {
        "inhibited" => "A worse alert of the same server is open, so nobody is told of this one.",
        "muted" => "It is muted at this time, so nobody is told of it.",
        _ => "A silence covers it, so nobody is told of it.",
    }
}
