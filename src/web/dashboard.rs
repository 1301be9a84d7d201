//! The first page: what is wrong now, worst first; one calm sentence when nothing is.

use askama::Template;
use axum::extract::State as AppState;
use axum::response::Response;
use jiff::Timestamp;
use tower_sessions::Session;

use super::chart::FLAPS;
use super::heartbeat::{self, Path};
use super::{AlertRow, Frame, Look, ServerCounts, State, counted, number};
use crate::app::App;
use crate::auth::User;
use crate::error::Result;
use crate::page::At;
use crate::store::alerts::{Open, figures};
use crate::store::health::{self, PrometheusHealth};
use crate::store::servers::Counts;
use crate::store::{Db, alerts, changes, kinds, owners, publications, servers};

/// Open alerts that are shown.
const MOST_WRONG: i64 = 20;
/// Closed alerts that are shown.
const MOST_PAST: i64 = 10;

#[derive(Template)]
#[template(path = "dashboard.html", blocks = ["live"])]
struct DashboardPage {
    frame: Frame,
    show_owner: bool,
    verdict: State,
    counts: ServerCounts,
    wrong: Vec<AlertRow>,
    wrong_more: i64,
    newest: Vec<AlertRow>,
    /// Empty: nothing waits to be published.
    pending: String,
    /// For admins: the way that alerts take.
    path: Option<Path>,
    /// For customers: that the way is broken; empty: it is not.
    late: String,
    /// For admins: how many files in the folder another hand has changed.
    drifted: i64,
    /// For customers: that what they changed waits for the staff; empty: nothing does.
    waits: String,
    /// Empty: done, or not for this person.
    steps: Vec<Step>,
    /// The login name of somebody who belongs to no owner, and so sees nothing.
    stranded: Option<String>,
    /// Has no server yet, and may add one.
    may_begin: bool,
}

struct Step {
    done: bool,
    title: String,
    text: String,
    href: String,
    action: String,
}

/// `GET /`
pub async fn show(
    AppState(app): AppState<App>,
    user: User,
    session: Session,
    look: Look,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let scope = user.scope();
    let prometheis = health::prometheis(&mut db).await?;
    let fresh = health::is_fresh(&prometheis, Timestamp::now());
    let counts = servers::counts(&mut db, &scope, None).await?;
    let open = alerts::open(&mut db, &scope).await?;
    let wrong = alerts::worst(&mut db, &scope, None, None, MOST_WRONG).await?;
    let newest = alerts::newest_closed(&mut db, &scope, None, None, MOST_PAST).await?;
    let kinds = kinds::catalogue(&mut db).await?;
    let shown = wrong.iter().chain(&newest);
    let flapping = figures::flapping_among(&mut db, &scope, shown, FLAPS).await?;
    let path = match user.all() {
        Some(all) => {
            Some(heartbeat::look(&mut db, all, &prometheis).await?).filter(|path| !path.kind.is_empty())
        }
        None => None,
    };
    let late = if user.all().is_none() { heartbeat::sentence(&mut db).await? } else { String::new() };
    let waits = waits_for_staff(&mut db, &user).await?;
    let drifted = match user.all() {
        Some(all) => publications::drifted(&mut db, all).await?,
        None => 0,
    };
    let total = counts.up + counts.down + counts.unknown + counts.paused;
    let page = DashboardPage {
        show_owner: user.sees_several(),
        verdict: verdict(&open, &counts, fresh, &prometheis, user.is_admin()),
        counts: ServerCounts::new(counts, fresh),
        wrong_more: open.critical + open.other - i64::try_from(wrong.len()).unwrap_or_default(),
        wrong: AlertRow::marked(&wrong, &flapping, &look.zone, &kinds),
        newest: AlertRow::marked(&newest, &flapping, &look.zone, &kinds),
        stranded: (!user.is_admin() && user.owners().is_empty()).then(|| user.name().to_owned()),
        may_begin: total == 0 && !user.is_admin() && user.changes_something(),
        pending: waiting(&mut db, &user).await?,
        path,
        late,
        waits,
        drifted,
        steps: steps(&mut db, &user, total).await?,
        frame: look.frame(&mut db, &user, &session).await?,
    };
    look.show(&page, |page| page.as_live().render())
}

/// The sentence at the top.
fn verdict(open: &Open, counts: &Counts, fresh: bool, prometheis: &[PrometheusHealth], admin: bool) -> State {
    let watched = counts.up + counts.down + counts.unknown;
    match (open.critical, open.other) {
        (0, 0) if watched == 0 => State::new("unknown", "No server is watched yet."),
        (0, 0) if !fresh => {
            let why =
                prometheis.iter().map(|one| one.error.as_str()).find(|error| !error.is_empty() && admin);
            let why = why.map(|why| format!(" {why}.")).unwrap_or_default();
            State::new(
                "unknown",
                format!("No alert is open, but Prometheus has not answered for a while.{why}"),
            )
        }
        (0, 0) if counts.down > 0 => {
            State::new("warning", format!("No alert is open, but {} down.", are(counts.down)))
        }
        (0, 0) if counts.unknown > 0 => State::new(
            "unknown",
            format!("No alert is open; of {} nothing is known yet.", counted(counts.unknown, "server")),
        ),
        (0, 0) if watched == 1 => State::new("ok", "The server is well."),
        (0, 0) => State::new("ok", format!("All {} are well.", counted(watched, "server"))),
        (critical, other) => {
            let what = match (critical, other) {
                (0, other) => counted(other, "warning"),
                (critical, 0) => format!("{} critical", number(critical)),
                (critical, other) => {
                    format!("{} critical and {}", number(critical), counted(other, "warning"))
                }
            };
            let quiet = open.silenced + open.inhibited + open.muted;
            let kind = match open.loud {
                0 if quiet == critical + other => "paused",
                0 => "warning",
                _ => "critical",
            };
            State::new(kind, format!("{what} open{}.", quieted(open)))
        }
    }
}

/// How many of those that are open Alertmanager does not notify: `, 2 of them silenced`; empty: none.
fn quieted(open: &Open) -> String {
    let reasons = [(open.silenced, "silenced"), (open.inhibited, "inhibited"), (open.muted, "muted")];
    let mut text = String::new();
    for (n, word) in reasons.into_iter().filter(|(n, _)| *n > 0) {
        let of = if text.is_empty() { " of them" } else { "" };
        let n = if n == open.critical + open.other { "all".into() } else { number(n) };
        text += &format!(", {n}{of} {word}");
    }
    text
}

fn are(servers: i64) -> String {
    format!("{} {}", counted(servers, "server"), if servers == 1 { "is" } else { "are" })
}

async fn waiting(db: &mut Db, user: &User) -> Result<String> {
    let Some(all) = user.all() else {
        return Ok(String::new());
    };
    Ok(match changes::pending(db, all).await? {
        0 => String::new(),
        1 => changes::net(db, all, 1).await?.pop().map_or_else(|| "1 change".into(), |change| change.text),
        n => counted(n, "change"),
    })
}

/// What customers read of their own changes, on every page that shows what they change; empty: none waits, or admins read it.
pub(super) async fn waits_for_staff(db: &mut Db, user: &User) -> Result<String> {
    if user.is_admin() {
        return Ok(String::new());
    }
    Ok(match changes::waiting(db, &user.scope()).await? {
        0 => String::new(),
        1 => "1 change waits to be published by the staff; until then Prometheus goes on as before.".into(),
        n => format!(
            "{} wait to be published by the staff; until then Prometheus goes on as before.",
            counted(n, "change")
        ),
    })
}

/// What to do first, for admins of an installation that has not published a server yet.
async fn steps(db: &mut Db, user: &User, servers: i64) -> Result<Vec<Step>> {
    let Some(all) = user.all() else {
        return Ok(Vec::new());
    };
    let owner = owners::list(db, &all.into(), &owners::Filter::default(), &At::default())
        .await?
        .items
        .into_iter()
        .next();
    let published = publications::latest_servers(db, all).await?;
    if owner.is_some() && servers > 0 && published > 0 {
        return Ok(Vec::new());
    }
    let step = |done, title: &str, text: &str, href: String, action: &str| Step {
        done,
        title: title.into(),
        text: text.into(),
        href,
        action: action.into(),
    };
    let new_server =
        owner.as_ref().map_or("/servers/new".into(), |owner| format!("/servers/new?owner={}", owner.id));
    Ok(vec![
        step(
            owner.is_some(),
            "Add an owner",
            "The customer whose servers are watched.",
            "/owners/new".into(),
            "Add an owner",
        ),
        step(
            servers > 0,
            "Add a server",
            "Its address, and the port of its node_exporter.",
            new_server,
            "Add a server",
        ),
        step(
            published > 0,
            "Publish",
            "Prometheus begins to scrape it and to watch its thresholds.",
            "/publications".into(),
            "Look and publish",
        ),
    ])
}
