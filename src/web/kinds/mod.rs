//! Rule kinds, for admins: the list, and what is done to those that admins made.

mod form;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tower_sessions::Session;

pub use self::form::{create, edit, new, update};
use super::{Flash, Frame, Look, go};
use crate::app::App;
use crate::auth::Admin;
use crate::catalogue::{Origin, RuleKind, Severity};
use crate::error::Result;
use crate::face::Path;
use crate::store::kinds::{self, Removed};
use crate::store::thresholds::in_words;

#[derive(Template)]
#[template(path = "kinds/list.html")]
struct KindsPage {
    frame: Frame,
    rows: Vec<KindRow>,
    /// Those that are no longer published: name and title.
    retired: Vec<(String, String)>,
}

struct KindRow {
    name: String,
    title: String,
    description: String,
    /// What applies when nobody has set anything.
    default: String,
    /// An admin made it, and may change it.
    own: bool,
}

/// `GET /thresholds/kinds`
pub async fn list(State(app): State<App>, admin: Admin, session: Session, look: Look) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let catalogue = kinds::catalogue(&mut db).await?;
    let own = kinds::list(&mut db, admin.all()).await?;
    let retired = own.into_iter().filter(|kind| kind.retired_at.is_some());
    let page = KindsPage {
        rows: catalogue.iter().map(|kind| row(kind)).collect(),
        retired: retired.map(|kind| (kind.name, kind.title)).collect(),
        frame: look.frame(&mut db, &admin.0, &session).await?,
    };
    look.page(StatusCode::OK, &page)
}

fn row(kind: &RuleKind) -> KindRow {
    let on = Severity::ALL.into_iter().filter_map(|severity| {
        let setting = kind.default_setting(severity);
        setting.enabled.then(|| format!("{severity} {}", in_words(kind, setting)))
    });
    let default = on.collect::<Vec<_>>().join(", ");
    KindRow {
        name: kind.name.clone(),
        title: kind.title.clone(),
        description: kind.description.clone(),
        default: if default.is_empty() { "off".into() } else { default },
        own: kind.origin == Origin::Own,
    }
}

/// `POST /thresholds/kinds/{name}/removal`
pub async fn remove(
    State(app): State<App>,
    admin: Admin,
    session: Session,
    Path(name): Path<String>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let text = match kinds::remove(&mut db, admin.all(), &name, &admin.actor()).await? {
        Removed::Deleted => format!("{name} is deleted."),
        Removed::Retired => format!(
            "{name} has thresholds or open alerts, so it is retired: nothing is published of it, and it can be brought back."
        ),
    };
    go(&session, "/thresholds/kinds", Flash::done(text)).await
}

/// `POST /thresholds/kinds/{name}/restoration`
pub async fn restore(
    State(app): State<App>,
    admin: Admin,
    session: Session,
    Path(name): Path<String>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let title = kinds::restore(&mut db, admin.all(), &name, &admin.actor()).await?;
    go(&session, "/thresholds/kinds", Flash::done(format!("{title} is in use again."))).await
}
