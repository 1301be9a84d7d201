//! One publication: how it went at each Prometheus, and what it changed.

use askama::Template;
use axum::extract::State as AppState;
use axum::response::Response;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tower_sessions::Session;

use super::{MOST_FILES, MOST_NOTES, how_long, state};
use crate::app::App;
use crate::auth::Admin;
use crate::error::Result;
use crate::face::Path;
use crate::prometheus::diff::{self, FileDiff};
use crate::prometheus::fault::{Fault, Shown};
use crate::store::changes;
use crate::store::publications::{self, Answer, Changed, Publication};
use crate::web::{Frame, Look, State, When, between, took};

/// Milliseconds after its end for which the targets of a publication may be followed.
const FOLLOWED: i64 = 60_000;

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
    fault: Option<FaultPart>,
    results: Vec<ResultRow>,
    /// What people did that it brought.
    notes: Vec<String>,
    files: Vec<FileDiff>,
    unchanged: i64,
    /// Its files are still there.
    kept: bool,
    /// They can be brought back: they were in force, and others are now.
    returns: bool,
    /// The publication whose files it brought back.
    copy_of: Option<i64>,
}

struct ResultRow {
    prometheus: String,
    state: State,
    reason: String,
    took: String,
    steps: Vec<Step>,
}

/// A rung of the ladder: saved, written, loaded, rules in force, targets in force.
struct Step {
    state: State,
    at: Option<When>,
}

/// The rule that was refused.
struct FaultPart {
    at: String,
    message: String,
    lines: Vec<Shown>,
    /// Where its thresholds are set; empty: it is none of ours.
    href: String,
}

impl FaultPart {
    fn of(reason: &str, files: &[Changed]) -> Option<Self> {
        let fault = Fault::find(reason)?;
        let files = files.iter().map(|(path, _, after)| (path.clone(), after.clone())).collect();
        let href = fault.kind().map(|(kind, severity)| format!("/thresholds#{kind}-{severity}"));
        Some(Self {
            at: format!("{}, line {}", fault.path, fault.line),
            lines: fault.lines(&files),
            href: href.unwrap_or_default(),
            message: fault.message,
        })
    }
}

/// How far one Prometheus has come.
fn steps(publication: &Publication, answer: &Answer, reloads: bool, zone: &TimeZone) -> Vec<Step> {
    let step = |kind, word: &str, at: Option<Timestamp>| Step {
        state: State::new(kind, word.to_owned()),
        at: at.map(|at| When::new(at, zone)),
    };
    let running = publication.state == "running";
    let written = match publication.written_at {
        Some(at) => step("ok", "Written", Some(at)),
        None if running => step("running", "Being written", None),
        None => step("critical", "Taken back", None),
    };
    let loaded = match (answer.loaded_at, answer.rules_at) {
        (Some(at), _) => step("ok", "Loaded", Some(at)),
        (None, Some(_)) if !reloads => step("ok", "No reload needed", None),
        (None, Some(at)) => step("ok", "Loaded, as its rules show", Some(at)),
        (None, None) if running => step("running", "Loads", None),
        (None, None) => step("critical", "Not loaded", None),
    };
    let rules = match answer.rules_at {
        Some(at) => step("ok", "Rules in force", Some(at)),
        None if running => step("running", "Rules not seen yet", None),
        None => step("critical", "Rules not in force", None),
    };
    let targets = match (answer.targets_at, answer.targets.is_empty()) {
        (Some(at), _) => step("ok", "Targets in force", Some(at)),
        (None, false) => step("warning", "Targets not seen", None),
        (None, true) if running || answer.awaits_targets() => step("running", "Targets not seen yet", None),
        (None, true) => step("unknown", "Targets not looked at", None),
    };
    vec![step("ok", "Saved", Some(publication.created_at)), written, loaded, rules, targets]
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
    let notes = changes::notes(&mut db, admin.all(), Some(id), MOST_NOTES).await?;
    let notes = notes.iter().map(|note| format!("{} ({})", note.summary, note.user_name)).collect();
    // one whose targets nobody follows any more: its instance was stopped
    let recent = publication.finished_at.is_some_and(|at| between(at, Timestamp::now()) < FOLLOWED);
    let follows = recent && answers.iter().any(Answer::awaits_targets);
    let reloads = changed.iter().any(|(path, ..)| path.starts_with("rules/"));
    let result = |answer: Answer| ResultRow {
        steps: steps(&publication, &answer, reloads, &look.zone),
        state: state(&answer.state),
        took: took(answer.took_ms.into()),
        prometheus: answer.prometheus,
        reason: [answer.reason, answer.targets]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
    };
    let results = answers.into_iter().map(result).collect();
    let was_in_force = matches!(publication.state.as_str(), "in_force" | "partly");
    let newest = publications::latest(&mut db, admin.all()).await? == Some(id);
    let page = PublicationPage {
        returns: was_in_force && publication.kept && !newest,
        copy_of: publication.copy_of,
        frame: look.frame(&mut db, &admin.0, &session).await?,
        id,
        state: if follows {
            State::new("running", "Following the targets")
        } else {
            state(&publication.state)
        },
        running: follows || publication.state == "running",
        fault: FaultPart::of(&publication.reason, &changed),
        created: When::new(publication.created_at, &look.zone),
        took: how_long(&publication),
        who: publication.user_name,
        servers: publication.servers.into(),
        revision: publication.revision.chars().take(12).collect(),
        reason: publication.reason,
        results,
        files: changed
            .iter()
            .map(|(path, before, after)| diff::file(path, before.as_deref(), after))
            .collect(),
        notes,
        unchanged: i64::from(publication.files) - all,
        kept: publication.kept,
    };
    look.show(&page, |page| page.as_live().render())
}
