//! Publishing: the difference first, then the button, then what Prometheus answered.

mod compare;
mod show;
mod waiting;

use askama::Template;
use axum::extract::State as AppState;
use axum::response::Response;
use jiff::tz::TimeZone;
use tower_sessions::Session;

pub use self::compare::{compare, restore};
pub use self::show::show;
use self::waiting::Pending;
pub use self::waiting::{create, discard, set_automatic};
use super::{Frame, Look, Pager, State, When, between, counted, took};
use crate::app::App;
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::face::Query;
use crate::page::At;
use crate::prometheus::diff::FileDiff;
use crate::store::publications::{self, Automatic, Publication};

/// Files whose difference a page shows.
const MOST_FILES: i64 = 100;
/// What people did that a page tells.
const MOST_NOTES: i64 = 100;

#[derive(Template)]
#[template(path = "publications/list.html", blocks = ["rows"])]
struct PublicationsPage {
    frame: Frame,
    pending: Option<Pending>,
    /// Why the difference cannot be made.
    problem: Option<String>,
    /// The files of another hand, from what was published to what stands there, and how many more there are.
    drift: Vec<FileDiff>,
    more_drift: usize,
    /// The last publication, the one whose files it brought back, and what that took out of force.
    copied: Option<Copied>,
    automatic: Automatic,
    rows: Vec<PublicationRow>,
    pager: Pager,
}

struct Copied {
    id: i64,
    of: i64,
    notes: Vec<String>,
}

struct PublicationRow {
    id: i64,
    state: State,
    created: When,
    who: String,
    summary: String,
    /// Empty while it runs.
    took: String,
}

/// `GET /publications`
pub async fn list(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Query(at): Query<At>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let page = publications::list(&mut db, admin.all(), &at).await?;
    let (mut pending, mut drift, mut more_drift, mut copied) = (None, Vec::new(), 0, None);
    let problem = match app.publisher().preview(&mut db, admin.all()).await {
        Ok(mut preview) => {
            drift = std::mem::take(&mut preview.drift);
            more_drift = preview.drifted - drift.len();
            let problem = preview.problem.take();
            if let Some((id, of)) = preview.copied {
                let notes = publications::notes_between(&mut db, admin.all(), of, id, MOST_NOTES).await?;
                copied = Some(Copied { id, of, notes });
            }
            pending = Pending::of(preview, &look.zone);
            problem
        }
        Err(error @ Error::Unavailable(_)) => Some(error.message()),
        Err(error) => return Err(error),
    };
    let pager = Pager::new(&page, "/publications", &[], String::new());
    let rows = page.items.iter().map(|(publication, files)| row(publication, *files, &look.zone)).collect();
    let page = PublicationsPage {
        frame: look.frame(&mut db, &admin.0, &session).await?,
        pending,
        problem,
        drift,
        more_drift,
        copied,
        automatic: publications::automatic(&mut db, admin.all()).await?,
        rows,
        pager,
    };
    look.show(&page, |page| page.as_rows().render())
}

fn row(publication: &Publication, files: i64, zone: &TimeZone) -> PublicationRow {
    PublicationRow {
        id: publication.id,
        state: state(&publication.state),
        created: When::new(publication.created_at, zone),
        who: publication.user_name.clone(),
        summary: format!(
            "{} changed, {}",
            counted(files, "file"),
            counted(publication.servers.into(), "server")
        ),
        took: how_long(publication),
    }
}

fn how_long(publication: &Publication) -> String {
    publication.finished_at.map(|end| took(between(publication.created_at, end))).unwrap_or_default()
}

fn state(name: &str) -> State {
    match name {
        "in_force" => State::new("ok", "In force"),
        "partly" => State::new("warning", "Partly in force"),
        "running" => State::new("running", "Running"),
        "refused" => State::new("critical", "Refused"),
        "unreachable" => State::new("critical", "Unreachable"),
        "unverified" => State::new("warning", "Not verified"),
        _ => State::new("critical", "Failed"),
    }
}
