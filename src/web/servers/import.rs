//! Servers from a file: handed in, looked at beside what is there, then imported.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::extract::multipart::{Multipart, MultipartRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use tower_sessions::Session;

use crate::app::App;
use crate::auth::User;
use crate::error::{Error, Result};
use crate::face::{Form, Path};
use crate::import::{self, Labels};
use crate::store::imports::{self, Import};
use crate::store::owners;
use crate::store::servers::{Difference, Fault, Plan, Terms, plan};
use crate::web::{Frame, Look, counted, number};

/// Lines of each kind that a page shows.
const SHOWN: usize = 100;
/// How often it is told how far an import is.
const BEAT: Duration = Duration::from_secs(1);

#[derive(Template)]
#[template(path = "servers/import.html")]
struct NewImport {
    frame: Frame,
    error: Option<String>,
}

/// `GET /servers/import`
pub async fn form(State(app): State<App>, user: User, session: Session, look: Look) -> Result<Response> {
    form_page(&app, &user, &session, &look, StatusCode::OK, None).await
}

async fn form_page(
    app: &App,
    user: &User,
    session: &Session,
    look: &Look,
    status: StatusCode,
    error: Option<String>,
) -> Result<Response> {
    if !user.changes_something() {
        return Err(Error::Forbidden);
    }
    let frame = look.frame(&mut app.db(user).await?, user, session).await?;
    look.page(status, &NewImport { frame, error })
}

/// `POST /servers/import`: a file, which is kept until it is imported. Nothing is changed.
pub async fn hand_in(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    body: Result<Multipart, MultipartRejection>,
) -> Result<Response> {
    if !user.changes_something() {
        return Err(Error::Forbidden);
    }
    let handed = match body {
        Ok(body) => read(&app, body).await,
        Err(_) => Err("Choose a file.".into()),
    };
    match handed {
        Ok((name, text, remove)) => {
            let id = imports::save(&mut app.door().await?, user.id(), &name, &text, remove).await?;
            Ok(Redirect::to(&format!("/servers/import/{id}")).into_response())
        }
        Err(why) => {
            form_page(&app, &user, &session, &look, StatusCode::UNPROCESSABLE_ENTITY, Some(why)).await
        }
    }
}

/// The file's name and text, and whether what is not in it is to go; or what is wrong with it as a whole.
async fn read(app: &App, mut body: Multipart) -> Result<(String, String, bool), String> {
    let (mut file, mut remove) = (None, false);
    let broken = "The file did not arrive whole. Try it again.";
    while let Some(field) = body.next_field().await.map_err(|_| broken)? {
        match field.name() {
            Some("remove") => remove = true,
            Some("file") => {
                let name: String = field.file_name().unwrap_or_default().chars().take(200).collect();
                file = Some((name, field.bytes().await.map_err(|_| broken)?));
            }
            _ => {}
        }
    }
    let (name, bytes) = file.filter(|(_, bytes)| !bytes.is_empty()).ok_or("Choose a file.")?;
    let found = import::read(&name, &bytes, labels(app))?;
    if found.lines.is_empty() && found.faults.is_empty() {
        return Err("There is no server in it.".into());
    }
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| broken)?;
    if text.contains('\0') {
        return Err("It is no text.".into());
    }
    Ok((name, text, remove))
}

fn labels(app: &App) -> Labels<'_> {
    let [owner, server] = app.our_labels();
    Labels { owner, server }
}

#[derive(Template)]
#[template(path = "servers/imported.html", blocks = ["progress"])]
struct ImportPage {
    frame: Frame,
    id: i64,
    name: String,
    state: String,
    said: String,
    /// `1,000 of 20,000 servers`; empty where it is not known.
    progress: String,
    shown: Option<Shown>,
}

/// What would be done.
struct Shown {
    counts: String,
    digest: String,
    /// Nothing stands in the way.
    may: bool,
    added: Vec<String>,
    changed: Vec<(String, Vec<Difference>)>,
    removed: Vec<String>,
    faults: Vec<Fault>,
    /// What is left out of the lists.
    cut: bool,
}

/// `GET /servers/import/{id}`: what the file would change, how far that is, or how it ended.
pub async fn look_at(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
) -> Result<Response> {
    let import = imports::find(&mut app.door().await?, user.id(), id).await?;
    let shown = match import.state.as_str() {
        "ready" | "failed" | "broken_off" => Some(Shown::new(&planned(&app, &user, &import).await?)),
        _ => None,
    };
    let frame = look.frame(&mut app.db(&user).await?, &user, &session).await?;
    let progress = match import.all {
        0 => String::new(),
        all => format!("{} of {}", number(import.done.into()), counted(all.into(), "server")),
    };
    let Import { id, name, state, said, .. } = import;
    let page = ImportPage { frame, id, name, state, said, progress, shown };
    look.show(&page, |page| page.as_progress().render())
}

impl Shown {
    fn new(plan: &Plan) -> Self {
        let owner = |id: i64| plan.owners.get(&id).map(|owner| owner.name.as_str()).unwrap_or_default();
        let numbers = [
            (plan.added.len(), "added"),
            (plan.changed.len(), "changed"),
            (plan.removed.len(), "removed"),
            (plan.same, "as they are"),
        ];
        let text = |n: usize| number(i64::try_from(n).unwrap_or(i64::MAX));
        let counts: Vec<_> = numbers.iter().map(|(n, what)| format!("{} {what}", text(*n))).collect();
        let most = [plan.added.len(), plan.changed.len(), plan.removed.len(), plan.faults.len()];
        Self {
            counts: counts.join(", "),
            digest: plan.digest(),
            may: plan.faults.is_empty() && !plan.is_empty(),
            added: (plan.added.iter().take(SHOWN))
                .map(|one| format!("{} ({}) of {}", one.name(), one.endpoint(), owner(one.owner_id)))
                .collect(),
            changed: (plan.changed.iter().take(SHOWN))
                .map(|one| {
                    (format!("{} of {}", one.server.name, owner(one.server.owner_id)), one.differences())
                })
                .collect(),
            removed: (plan.removed.iter().take(SHOWN))
                .map(|one| format!("{} ({}) of {}", one.name, one.endpoint(), owner(one.owner_id)))
                .collect(),
            faults: plan.faults.iter().take(SHOWN).cloned().collect(),
            cut: most.into_iter().any(|n| n > SHOWN),
        }
    }
}

/// What it would do now, in this person's hands.
async fn planned(app: &App, user: &User, import: &Import) -> Result<Plan> {
    let found =
        import::read(&import.name, import.content.as_bytes(), labels(app)).map_err(Error::Conflict)?;
    let mut db = app.db(user).await?;
    let writing = user.writing();
    // who manages a single owner need not name it
    let own = owners::only_rw(&mut db, &writing).await?;
    let terms = Terms {
        reach: user.reach(app.config()),
        ours: app.our_labels(),
        owner: own.as_deref(),
        remove: import.remove,
    };
    let mut plan = plan(&mut db, &writing, &found.lines, terms).await?;
    plan.faults.extend(found.faults);
    Ok(plan)
}

/// What the button sends: the difference that was looked at.
#[derive(Deserialize)]
pub struct Looked {
    #[serde(default)]
    digest: String,
}

/// `POST /servers/import/{id}`: imports it, in one transaction, beside the request.
pub async fn import(
    State(app): State<App>,
    user: User,
    Path(id): Path<i64>,
    Form(looked): Form<Looked>,
) -> Result<Response> {
    let import = imports::find(&mut app.door().await?, user.id(), id).await?;
    if !user.changes_something() {
        return Err(Error::Forbidden);
    }
    imports::begin(&mut app.door().await?, user.id(), id).await?;
    tokio::spawn(async move {
        let ended = run(&app, &user, &import, &looked.digest).await;
        let (done, said) = match ended {
            Ok(counts) => (true, format!("{counts}. Prometheus knows of it with the next publication.")),
            Err(error @ Error::Internal(_)) => {
                tracing::error!(error = format!("{error:#}"), "an import failed");
                (false, error.message())
            }
            Err(Error::Stale) => (false, "A server was changed meanwhile. Look at it again.".into()),
            Err(error) => (false, error.message()),
        };
        let told = async { imports::end(&mut app.door().await?, import.id, done, &said).await };
        if let Err(error) = told.await {
            tracing::warn!(%error, "how an import ended could not be kept");
        }
    });
    Ok(Redirect::to(&format!("/servers/import/{id}")).into_response())
}

async fn run(app: &App, user: &User, import: &Import, digest: &str) -> Result<String> {
    let plan = planned(app, user, import).await?;
    if plan.digest() != digest || !plan.faults.is_empty() {
        let why =
            "What it would do is not what you looked at: something was changed meanwhile. Look at it again.";
        return Err(Error::Conflict(why.into()));
    }
    let all = plan.added.len() + plan.changed.len() + plan.removed.len();
    let done = Arc::new(AtomicUsize::new(0));
    let mut db = app.db(user).await?;
    let by = user.actor();
    let work = plan.apply(&mut db, &by, &done);
    let tell = async {
        let mut beat = tokio::time::interval(BEAT);
        loop {
            beat.tick().await;
            let told = async {
                imports::progress(&mut app.door().await?, import.id, done.load(Ordering::Relaxed), all).await
            };
            if let Err(error) = told.await {
                tracing::warn!(%error, "how far an import is could not be told");
            }
        }
    };
    tokio::select! {
        ended = work => ended?,
        () = tell => {}
    }
    let told = async { imports::progress(&mut app.door().await?, import.id, all, all).await };
    if let Err(error) = told.await {
        // it is done all the same
        tracing::warn!(%error, "how far an import is could not be told");
    }
    Ok(Shown::new(&plan).counts)
}
