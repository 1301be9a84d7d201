//! Publishing: the difference first, then the button, then what Prometheus answered.

use askama::Template;
use axum::extract::State as AppState;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::tz::TimeZone;
use serde::Deserialize;
use tower_sessions::Session;

use super::{Flash, Frame, Look, Pager, State, When, between, counted, go, took};
use crate::app::App;
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::face::{Form, Path, Query};
use crate::page::At;
use crate::prometheus::Preview;
use crate::prometheus::diff::{self, FileDiff};
use crate::store::publications::{self, Answer, Publication};

/// Files whose difference a page shows.
const MOST_FILES: i64 = 100;

#[derive(Template)]
#[template(path = "publications/list.html", blocks = ["rows"])]
struct PublicationsPage {
    frame: Frame,
    pending: Option<Pending>,
    /// Why the difference cannot be made.
    problem: Option<String>,
    rows: Vec<PublicationRow>,
    pager: Pager,
}

struct Pending {
    summary: Vec<String>,
    revision: String,
    files: Vec<FileDiff>,
    /// Files that differ, too, and are not shown.
    more: usize,
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
    let (pending, problem) = match app.publisher().preview(&mut db, admin.all()).await {
        Ok(preview) => (pending(preview), None),
        Err(error @ Error::Unavailable(_)) => (None, Some(error.message())),
        Err(error) => return Err(error),
    };
    let pager = Pager::new(&page, "/publications", &[], String::new());
    let rows = page.items.iter().map(|(publication, files)| row(publication, *files, &look.zone)).collect();
    let page = PublicationsPage {
        frame: look.frame(&mut db, &admin.0, &session).await?,
        pending,
        problem,
        rows,
        pager,
    };
    look.show(&page, |page| page.as_rows().render())
}

/// What waits, in words; `None` when there is nothing.
fn pending(preview: Preview) -> Option<Pending> {
    if preview.files.is_empty() && preview.changes.is_empty() {
        return None;
    }
    let mut summary: Vec<String> =
        preview.changes.iter().map(|change| format!("{} ({})", change.summary, change.user_name)).collect();
    if preview.first {
        summary.insert(
            0,
            format!(
                "The first publication: the built-in rules and {}",
                counted(preview.servers.into(), "server")
            ),
        );
    }
    if preview.files.is_empty() {
        summary.push("Together these changes leave every file as it is".into());
    }
    Some(Pending {
        summary,
        revision: preview.revision,
        more: preview.differ - preview.files.len(),
        files: preview.files,
    })
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

/// What the button sends: the revision that was looked at.
#[derive(Deserialize)]
pub struct Publish {
    #[serde(default)]
    revision: String,
}

/// `POST /publications`: publishes what was looked at, and shows how it went.
pub async fn create(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    Form(form): Form<Publish>,
) -> Result<Response> {
    let expected = (!form.revision.is_empty()).then_some(form.revision);
    match app.publisher().start(admin.all(), admin.actor(), expected).await {
        Ok(id) => Ok(Redirect::to(&format!("/publications/{id}")).into_response()),
        Err(error @ (Error::Conflict(_) | Error::Unavailable(_))) => {
            go(&session, "/publications", Flash::failed(error.message())).await
        }
        Err(error) => Err(error),
    }
}

#[derive(Template)]
#[template(path = "publications/show.html", blocks = ["live"])]
struct PublicationPage {
    frame: Frame,
    id: i64,
    state: State,
    running: bool,
    created: When,
    who: String,
    took: String,
    servers: i64,
    revision: String,
    reason: String,
    results: Vec<ResultRow>,
    files: Vec<FileDiff>,
    unchanged: i64,
    /// Its files are still there.
    kept: bool,
}

struct ResultRow {
    prometheus: String,
    state: State,
    reason: String,
    took: String,
}

/// `GET /publications/{id}`
pub async fn show(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let publication = publications::find(&mut db, admin.all(), id).await?;
    let answers = publications::answers(&mut db, admin.all(), id).await?;
    let (changed, all) = publications::changed_files(&mut db, admin.all(), id, MOST_FILES).await?;
    let result = |answer: Answer| ResultRow {
        state: state(&answer.state),
        took: took(answer.took_ms.into()),
        prometheus: answer.prometheus,
        reason: answer.reason,
    };
    let page = PublicationPage {
        frame: look.frame(&mut db, &admin.0, &session).await?,
        id,
        state: state(&publication.state),
        running: publication.state == "running",
        created: When::new(publication.created_at, &look.zone),
        took: how_long(&publication),
        who: publication.user_name,
        servers: publication.servers.into(),
        revision: publication.revision.chars().take(12).collect(),
        reason: publication.reason,
        results: answers.into_iter().map(result).collect(),
        files: changed
            .iter()
            .map(|(path, before, after)| diff::file(path, before.as_deref(), after))
            .collect(),
        unchanged: i64::from(publication.files) - all,
        kept: publication.kept,
    };
    look.show(&page, |page| page.as_live().render())
}
