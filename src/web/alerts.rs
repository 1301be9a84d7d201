//! The history of alerts, one of them, and what could not be understood.

use askama::Template;
use axum::extract::State as AppState;
use axum::response::Response;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;
use tower_sessions::Session;

use super::{
    AlertRow, Choice, Frame, Look, Pager, Pair, When, choices, counted, lasted, named_choices, number, pairs,
};
use crate::app::App;
use crate::auth::User;
use crate::catalogue;
use crate::error::Result;
use crate::face::{Path, Query};
use crate::page::{At, SIZE};
use crate::store::alerts::{self, Filter, State, Whose};
use crate::store::mismatches::{self, Mismatch};
use crate::store::reconcile::{self, Reconciliation};
use crate::store::{owners, quarantine, servers};

/// A list is counted up to here.
pub(super) const MOST_COUNTED: i64 = 10_000;

#[derive(Template)]
#[template(path = "alerts/list.html", blocks = ["rows"])]
struct AlertsPage {
    frame: Frame,
    show_owner: bool,
    q: String,
    states: Vec<Choice>,
    rules: Vec<Choice>,
    severities: Vec<Choice>,
    owners: Vec<Choice>,
    /// The server that the list is narrowed to.
    server: Option<Choice>,
    from: String,
    to: String,
    filtered: bool,
    rows: Vec<AlertRow>,
    /// Only so far back was looked for rows; older ones are on the next page.
    searched_to: Option<When>,
    pager: Pager,
    quarantined: i64,
}

/// The filters as they stand in the URL.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Filters {
    q: String,
    /// `open`, `closed`, or all.
    state: String,
    rule: String,
    severity: String,
    /// An owner's id or `unassigned`.
    owner: String,
    /// A server's id.
    server: String,
    /// Days in the person's zone, both included, as 2026-11-22.
    from: String,
    to: String,
    after: Option<String>,
    before: Option<String>,
}

impl Filters {
    fn pairs(&self) -> [(&'static str, &str); 8] {
        [
            ("q", &self.q),
            ("state", &self.state),
            ("rule", &self.rule),
            ("severity", &self.severity),
            ("owner", &self.owner),
            ("server", &self.server),
            ("from", &self.from),
            ("to", &self.to),
        ]
    }

    fn filter(&self, zone: &TimeZone) -> Filter {
        Filter {
            state: match self.state.as_str() {
                "open" => State::Open,
                "closed" => State::Closed,
                _ => State::All,
            },
            rule: self.rule.clone(),
            severity: self.severity.clone(),
            owner: match self.owner.as_str() {
                "" => Whose::Any,
                "unassigned" => Whose::Unassigned,
                // what is no id is nobody's
                id => Whose::Owner(id.parse().unwrap_or(0)),
            },
            server: (!self.server.is_empty()).then(|| self.server.parse().unwrap_or(0)),
            from: day(&self.from, 0, zone),
            to: day(&self.to, 1, zone),
            q: self.q.clone(),
        }
    }
}

/// Midnight at the beginning of a day, or of one some days later; `None` for what is no day.
pub(super) fn day(text: &str, later: i32, zone: &TimeZone) -> Option<Timestamp> {
    let date: Date = text.trim().parse().ok()?;
    let date = date.checked_add(later.days()).ok()?;
    Some(date.to_zoned(zone.clone()).ok()?.timestamp())
}

/// `GET /alerts`
pub async fn list(
    AppState(app): AppState<App>,
    user: User,
    session: Session,
    look: Look,
    Query(filters): Query<Filters>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let scope = user.scope();
    let filter = filters.filter(&look.zone);
    let at = At { after: filters.after.clone(), before: filters.before.clone() };
    let alerts::Found { page: found, searched_to } = alerts::list(&mut db, &scope, &filter, &at).await?;
    let whole = found.prev.is_none() && found.next.is_none();
    let items = i64::try_from(found.items.len()).unwrap_or_default();
    let count =
        if whole { Some(items) } else { alerts::count(&mut db, &scope, &filter, MOST_COUNTED + 1).await? };
    let count = match count {
        None => format!("{SIZE} at a time"),
        Some(count) if count > MOST_COUNTED => format!("more than {} alerts", number(MOST_COUNTED)),
        Some(count) => counted(count, "alert"),
    };
    let server = match filter.server {
        None => None,
        Some(id) => Some(servers::find(&mut db, &scope, id).await?),
    };
    let rules = catalogue::KINDS.iter().map(|kind| (kind.name.to_owned(), kind.title.to_owned()));
    let other = (!filters.rule.is_empty() && catalogue::kind(&filters.rule).is_none())
        .then(|| (filters.rule.clone(), filters.rule.clone()));
    let mut owner_choices = Vec::new();
    if user.sees_several() {
        owner_choices =
            named_choices(Some("Every owner"), owners::choices(&mut db, &scope).await?, &filters.owner);
        if user.is_admin() {
            owner_choices.insert(
                1,
                Choice {
                    value: "unassigned".into(),
                    label: "Unassigned".into(),
                    selected: filters.owner == "unassigned",
                },
            );
        }
    }
    let page = AlertsPage {
        show_owner: user.sees_several(),
        states: choices([("", "Open and closed"), ("open", "Open"), ("closed", "Closed")], &filters.state),
        rules: choices(
            std::iter::once((String::new(), "Every rule".to_owned())).chain(rules).chain(other),
            &filters.rule,
        ),
        severities: choices(
            [("", "Every severity"), ("critical", "Critical"), ("warning", "Warning")],
            &filters.severity,
        ),
        owners: owner_choices,
        server: server.map(|server| Choice {
            value: server.id.to_string(),
            label: server.name,
            selected: true,
        }),
        filtered: filters.pairs().iter().any(|(_, value)| !value.is_empty()),
        rows: AlertRow::all(&found.items, &look.zone),
        searched_to: searched_to.map(|at| When::new(at, &look.zone)),
        pager: Pager::new(&found, "/alerts", &filters.pairs(), count),
        quarantined: match user.all() {
            Some(all) => quarantine::count(&mut db, all).await?,
            None => 0,
        },
        q: filters.q,
        from: filters.from,
        to: filters.to,
        frame: look.frame(&mut db, &user, &session).await?,
    };
    look.show(&page, |page| page.as_rows().render())
}

#[derive(Template)]
#[template(path = "alerts/show.html", blocks = ["live"])]
struct AlertPage {
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
}

/// `GET /alerts/{id}`
pub async fn show(
    AppState(app): AppState<App>,
    user: User,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let scope = user.scope();
    let named = alerts::find(&mut db, &scope, id).await?;
    let episodes = alerts::siblings(&mut db, &scope, &named.alert, 10).await?;
    let alert = &named.alert;
    let (mut compared, mut mismatch) = (None, None);
    if let Some(all) = user.all() {
        compared = reconcile::last(&mut db, all, alert.cluster_id).await?.map(|last| comparison(&last));
        mismatch = mismatches::of(&mut db, all, alert).await?;
    }
    let page = AlertPage {
        frame: look.frame(&mut db, &user, &session).await?,
        show_owner: user.sees_several(),
        row: AlertRow::new(&named, &look.zone),
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
        episodes: AlertRow::all(&episodes, &look.zone),
    };
    look.show(&page, |page| page.as_live().render())
}

/// How long ago the history was compared with Alertmanager, and why not since.
fn comparison(last: &Reconciliation) -> String {
    let ago = |at: Timestamp| lasted((Timestamp::now().as_second() - at.as_second()).max(0));
    let when = last.began_at.map_or("never".into(), |at| format!("{} ago", ago(at)));
    if last.error.is_empty() { when } else { format!("{when}; not since, because {}", last.error) }
}

/// Why an episode ended, in words.
fn reason(name: &str) -> String {
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
fn quiet(name: &str) -> &'static str {
    match name {
        "inhibited" => "A worse alert of the same server is open, so nobody is told of this one.",
        "muted" => "It is muted at this time, so nobody is told of it.",
        _ => "A silence covers it, so nobody is told of it.",
    }
}
