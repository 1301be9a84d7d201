//! Any two publications beside each other, and the files of an earlier one brought back.

use askama::Template;
use axum::extract::State as AppState;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use tower_sessions::Session;

use crate::app::App;
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::face::{Form, Path, Query};
use crate::prometheus::Order;
use crate::prometheus::diff::FileDiff;
use crate::store::publications;
use crate::web::servers::id as id_of;
use crate::web::{Choice, Flash, Frame, Look, go};

/// Publications to choose from.
const CHOICES: i64 = 200;

#[derive(Template)]
#[template(path = "publications/compare.html")]
struct ComparePage {
    frame: Frame,
    from: Vec<Choice>,
    to: Vec<Choice>,
    /// Fewer than two publications: nothing can be compared.
    too_few: bool,
    /// What the second has in place of the first; `None`: one of them is no longer kept.
    files: Option<Vec<FileDiff>>,
    /// Files that differ, too, and are not shown.
    more: usize,
}

/// Which two.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Two {
    from: String,
    to: String,
}

/// `GET /publications/compare?from=&to=`: the last two, where none are named.
pub async fn compare(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Query(two): Query<Two>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let known = publications::comparable(&mut db, admin.all(), CHOICES).await?;
    let nth = |n: usize| known.get(n).map(|one| one.id);
    let to = id_of(&two.to)?.or_else(|| nth(0));
    let from = id_of(&two.from)?.or_else(|| nth(1));
    let (mut files, mut more) = (None, 0);
    if let (Some(from), Some(to)) = (from, to) {
        match app.publisher().compare(&mut db, admin.all(), (from, to)).await {
            Ok((shown, all)) => (more, files) = (all - shown.len(), Some(shown)),
            Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    let choices = |chosen: Option<i64>| -> Vec<Choice> {
        let choice = |one: &publications::Publication| Choice {
            value: one.id.to_string(),
            label: format!(
                "№ {}, {}, {}",
                one.id,
                one.created_at.to_zoned(look.zone.clone()).strftime("%Y-%m-%d %H:%M"),
                one.user_name
            ),
            selected: Some(one.id) == chosen,
        };
        known.iter().map(choice).collect()
    };
    let page = ComparePage {
        from: choices(from),
        to: choices(to),
        too_few: known.len() < 2,
        files,
        more,
        frame: look.frame(&mut db, &admin.0, &session).await?,
    };
    look.page(StatusCode::OK, &page)
}

/// Whether what another hand has changed may be overwritten: a checkbox.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Overwrite {
    overwrite: Option<String>,
}

/// `POST /publications/{id}/restoration`: publishes the files of that one again.
pub async fn restore(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    Path(id): Path<i64>,
    Form(form): Form<Overwrite>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let publication = publications::find(&mut db, admin.all(), id).await?;
    drop(db);
    let here = format!("/publications/{id}");
    if !publication.kept || !matches!(publication.state.as_str(), "in_force" | "partly") {
        let why = "Only files that were in force and are still kept can be brought back.";
        return go(&session, &here, Flash::failed(why)).await;
    }
    let order = Order { copy_of: Some(id), overwrite: form.overwrite.is_some(), expected: None };
    match app.publisher().start(admin.all(), admin.actor(), order).await {
        Ok(new) => Ok(Redirect::to(&format!("/publications/{new}")).into_response()),
        Err(error @ (Error::Conflict(_) | Error::Unavailable(_))) => {
            go(&session, &here, Flash::failed(error.message())).await
        }
        Err(error) => Err(error),
    }
}
