//! The form of an owner, for admins, and what else they do with one.

use askama::Template;
use axum::extract::State as AppState;
use axum::http::StatusCode;
use axum::response::Response;
use tower_sessions::Session;

use crate::app::App;
use crate::auth::Admin;
use crate::error::{Error, Fields, Result};
use crate::face::{Form, Path};
use crate::store::owners::{self, Owner, OwnerInput};
use crate::web::{Field, Flash, Frame, Look, go};

#[derive(Template)]
#[template(path = "owners/form.html")]
struct OwnerForm {
    frame: Frame,
    id: Option<i64>,
    /// The stored name, for the heading of an edit.
    title: String,
    name: Field,
    external_id: Field,
    comment: Field,
    history_days: Field,
    /// For how long alerts are kept where it is empty.
    kept: String,
}

impl OwnerForm {
    fn new(app: &App, frame: Frame, stored: Option<&Owner>, typed: OwnerInput, fields: &Fields) -> Self {
        Self {
            frame,
            id: stored.map(|owner| owner.id),
            title: stored.map(|owner| owner.name.clone()).unwrap_or_default(),
            name: Field::new(typed.name, fields, "name"),
            external_id: Field::new(typed.external_id, fields, "external_id"),
            comment: Field::new(typed.comment, fields, "comment"),
            history_days: Field::new(typed.history_days, fields, "history_days"),
            kept: super::kept(None, app.config().history_days),
        }
    }
}

/// `GET /owners/new`
pub async fn new(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
) -> Result<Response> {
    let frame = look.frame(&mut app.db(admin.all()).await?, &admin.0, &session).await?;
    look.page(StatusCode::OK, &OwnerForm::new(&app, frame, None, OwnerInput::default(), &Fields::default()))
}

/// `POST /owners`
pub async fn create(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Form(typed): Form<OwnerInput>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let made = async { owners::create(&mut db, admin.all(), typed.check()?, &admin.actor()).await }.await;
    match made {
        Ok(id) => {
            let flash = Flash::done(format!("{} is added. Now add its first server.", typed.name.trim()));
            go(&session, &format!("/owners/{id}"), flash).await
        }
        Err(Error::Invalid(fields)) => {
            let frame = look.frame(&mut db, &admin.0, &session).await?;
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &OwnerForm::new(&app, frame, None, typed, &fields))
        }
        Err(error) => Err(error),
    }
}

/// `GET /owners/{id}/edit`
pub async fn edit(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let owner = owners::find(&mut db, &admin.0.scope(), id).await?;
    let typed = OwnerInput {
        name: owner.name.clone(),
        external_id: owner.external_id.clone(),
        comment: owner.comment.clone(),
        history_days: owner.history_days.map(|days| days.to_string()).unwrap_or_default(),
    };
    let frame = look.frame(&mut db, &admin.0, &session).await?;
    look.page(StatusCode::OK, &OwnerForm::new(&app, frame, Some(&owner), typed, &Fields::default()))
}

/// `POST /owners/{id}`
pub async fn update(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
    Form(typed): Form<OwnerInput>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let owner = owners::find(&mut db, &admin.0.scope(), id).await?;
    let saved =
        async { owners::update(&mut db, admin.all(), id, typed.check()?, &admin.actor()).await }.await;
    match saved {
        Ok(()) => {
            go(&session, &format!("/owners/{id}"), Flash::done(format!("{} is saved.", typed.name.trim())))
                .await
        }
        Err(Error::Invalid(fields)) => {
            let frame = look.frame(&mut db, &admin.0, &session).await?;
            look.page(
                StatusCode::UNPROCESSABLE_ENTITY,
                &OwnerForm::new(&app, frame, Some(&owner), typed, &fields),
            )
        }
        Err(error) => Err(error),
    }
}

/// `POST /owners/{id}/removal`
pub async fn remove(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Response> {
    let name = owners::remove(&mut app.db(admin.all()).await?, admin.all(), id, &admin.actor()).await?;
    let flash =
        Flash::done(format!("{name} is removed. Prometheus drops its servers with the next publication."));
    go(&session, "/owners", flash.undo(format!("/owners/{id}/restoration"))).await
}

/// `POST /owners/{id}/restoration`
pub async fn restore(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Response> {
    let name = owners::restore(&mut app.db(admin.all()).await?, admin.all(), id, &admin.actor()).await?;
    go(&session, &format!("/owners/{id}"), Flash::done(format!("{name} is back."))).await
}
