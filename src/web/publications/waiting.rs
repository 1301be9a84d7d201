//! What waits: published, or set back.

use axum::extract::State as AppState;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::tz::TimeZone;
use serde::Deserialize;
use tower_sessions::Session;

use crate::app::App;
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::face::Form;
use crate::prometheus::diff::FileDiff;
use crate::prometheus::{Order, Preview};
use crate::store::changes::NetChange;
use crate::store::publications::{self, Automatic, QUIET};
use crate::web::{Flash, When, counted, go};

/// What waits to be published.
pub(super) struct Pending {
    pub lines: Vec<PendingLine>,
    /// Of the difference that is looked at.
    pub revision: String,
    pub files: Vec<FileDiff>,
    /// Files that differ, too, and are not shown.
    pub more: usize,
    /// How many changes can be discarded.
    pub discards: usize,
    /// There is something that another hand has changed: publishing asks whether it may be overwritten.
    pub overwrites: bool,
}

pub(super) struct PendingLine {
    pub text: String,
    pub who: String,
    pub at: Option<When>,
}

impl Pending {
    /// `None` when there is nothing.
    pub(super) fn of(preview: Preview, zone: &TimeZone) -> Option<Self> {
        if preview.files.is_empty() && preview.changes.is_empty() && preview.drifted == 0 {
            return None;
        }
        let plain = |text: String| PendingLine { text, who: String::new(), at: None };
        let line = |change: &NetChange| PendingLine {
            text: change.text.clone(),
            who: change.who.join(", "),
            at: change.at.map(|at| When::new(at, zone)),
        };
        let mut lines: Vec<_> = preview.changes.iter().map(line).collect();
        if preview.first {
            let servers = counted(preview.servers.into(), "server");
            lines.insert(0, plain(format!("The first publication: the built-in rules and {servers}")));
        } else if lines.is_empty() && preview.files.is_empty() {
            lines.push(plain(
                "The files as they were published, in place of what another hand has made of them".into(),
            ));
        } else if lines.is_empty() {
            lines.push(plain("The files differ from what the servers and thresholds are now".into()));
        }
        if preview.files.is_empty() && !preview.changes.is_empty() {
            lines.push(plain("Together these changes leave every file as it is".into()));
        }
        Some(Self {
            lines,
            revision: preview.revision,
            more: preview.differ - preview.files.len(),
            files: preview.files,
            discards: if preview.first || preview.copied.is_some() { 0 } else { preview.changes.len() },
            overwrites: preview.drifted > 0,
        })
    }
}

/// What the buttons send: the revision that was looked at.
#[derive(Deserialize)]
pub struct Looked {
    #[serde(default)]
    revision: String,
    /// A checkbox: present or not.
    overwrite: Option<String>,
}

/// `POST /publications`: publishes what was looked at, and shows how it went.
pub async fn create(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    Form(form): Form<Looked>,
) -> Result<Response> {
    let expected = (!form.revision.is_empty()).then_some(form.revision);
    let order = Order { expected, overwrite: form.overwrite.is_some(), copy_of: None };
    match app.publisher().start(admin.all(), admin.actor(), order).await {
        Ok(id) => Ok(Redirect::to(&format!("/publications/{id}")).into_response()),
        Err(error @ (Error::Conflict(_) | Error::Unavailable(_))) => {
            go(&session, "/publications", Flash::failed(error.message())).await
        }
        Err(error) => Err(error),
    }
}

/// `POST /publications/discard`: sets back what waits, as it was looked at.
pub async fn discard(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    Form(form): Form<Looked>,
) -> Result<Response> {
    let flash = match app.publisher().discard(admin.all(), &admin.actor(), &form.revision).await {
        Ok(()) => Flash::done("Discarded: everything is as it was published last."),
        Err(error @ (Error::Conflict(_) | Error::Unavailable(_))) => Flash::failed(error.message()),
        Err(error) => return Err(error),
    };
    go(&session, "/publications", flash).await
}

/// The setting as it is typed.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct AutomaticInput {
    /// A checkbox: present or not.
    automatic: Option<String>,
    quiet_seconds: String,
}

/// `POST /publications/automatic`: whether changes are published by themselves.
pub async fn set_automatic(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    Form(form): Form<AutomaticInput>,
) -> Result<Response> {
    let Some(quiet_seconds) = form.quiet_seconds.trim().parse().ok().filter(|n| QUIET.contains(n)) else {
        let why =
            format!("Seconds without a change: a whole number from {} to {}.", QUIET.start(), QUIET.end());
        return go(&session, "/publications", Flash::failed(why)).await;
    };
    let new = Automatic { automatic: form.automatic.is_some(), quiet_seconds };
    let mut db = app.db(admin.all()).await?;
    publications::set_automatic(&mut db, admin.all(), new, &admin.actor()).await?;
    let text = if new.automatic {
        format!("Changes are published by themselves, {quiet_seconds} s after the last one.")
    } else {
        "Changes wait until somebody publishes them.".into()
    };
    go(&session, "/publications", Flash::done(text)).await
}
