//! What people say of an alert: that they know of it, and notes.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::show::page;
use crate::app::App;
use crate::auth::User;
use crate::error::{Error, Fields, Result};
use crate::face::{Form, Path};
use crate::store::Db;
use crate::store::alerts::{self, Named, NewNote, Note};
use crate::web::{Field, Flash, Look, When, go};

/// What was said of an alert, and what the reader may say.
pub(super) struct Handling {
    pub may: bool,
    pub acknowledged: Option<SaidRow>,
    pub notes: Vec<NoteRow>,
    /// The note that is being written.
    pub text: Field,
}

/// Who said it, and when.
pub(super) struct SaidRow {
    pub by: String,
    pub at: When,
}

/// A note.
pub(super) struct NoteRow {
    pub id: i64,
    pub by: String,
    pub at: When,
    pub text: String,
    /// The reader may take it away.
    pub removable: bool,
}

impl Handling {
    /// What was said of it so far.
    pub(super) fn of(user: &User, look: &Look, named: &Named, notes: Vec<Note>, text: Field) -> Self {
        let may = match named.alert.owner_id {
            Some(owner) => user.manages(owner),
            None => user.is_admin(),
        };
        let row = |note: Note| NoteRow {
            id: note.id,
            removable: may && (user.is_admin() || note.user_id == Some(user.id())),
            by: note.by,
            at: When::new(note.at, &look.zone),
            text: note.text,
        };
        let acknowledged = named.acknowledged.as_ref();
        Self {
            may,
            acknowledged: acknowledged
                .map(|said| SaidRow { by: said.by.clone(), at: When::new(said.at, &look.zone) }),
            notes: notes.into_iter().map(row).collect(),
            text,
        }
    }
}

/// `POST /alerts/{id}/acknowledgement`
pub async fn acknowledge(
    State(app): State<App>,
    user: User,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let alert = alerts::find_rw(&mut db, &user.writing(), id).await?;
    let own = format!("/alerts/{id}");
    let flash = if alert.acknowledge(&mut db, &user.actor()).await? {
        Flash::done("Acknowledged: your colleagues see that somebody knows of it.")
            .undo(format!("{own}/acknowledgement/removal"))
    } else {
        Flash::done("Somebody acknowledged it before.")
    };
    go(&session, &own, flash).await
}

/// `POST /alerts/{id}/acknowledgement/removal`
pub async fn unacknowledge(
    State(app): State<App>,
    user: User,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let alert = alerts::find_rw(&mut db, &user.writing(), id).await?;
    alert.unacknowledge(&mut db, &user.actor()).await?;
    let own = format!("/alerts/{id}");
    let undo = format!("{own}/acknowledgement");
    go(&session, &own, Flash::done("It is no longer acknowledged.").undo(undo)).await
}

/// What the form of a note sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Written {
    text: String,
}

/// `POST /alerts/{id}/notes`
pub async fn write(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
    Form(written): Form<Written>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let alert = alerts::find_rw(&mut db, &user.writing(), id).await?;
    let added = match NewNote::check(&written.text) {
        Ok(note) => alert.write(&mut db, note, &user.actor()).await,
        Err(error) => Err(error),
    };
    match added {
        Ok(note) => {
            let own = format!("/alerts/{id}");
            let undo = format!("{own}/notes/{note}/removal");
            go(&session, &own, Flash::done("The note is saved.").undo(undo)).await
        }
        Err(Error::Invalid(fields)) => {
            refused(&mut db, &user, &session, &look, id, written.text, &fields).await
        }
        Err(error) => Err(error),
    }
}

async fn refused(
    db: &mut Db,
    user: &User,
    session: &Session,
    look: &Look,
    id: i64,
    text: String,
    fields: &Fields,
) -> Result<Response> {
    let page = page(db, user, session, look, id, Field::new(text, fields, "text")).await?;
    look.page(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

/// `POST /alerts/{id}/notes/{note}/removal`
pub async fn erase(
    State(app): State<App>,
    user: User,
    session: Session,
    Path((id, note)): Path<(i64, i64)>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let writing = user.writing();
    let alert = alerts::find_rw(&mut db, &writing, id).await?;
    alert.erase(&mut db, &writing, note, &user.actor()).await?;
    go(&session, &format!("/alerts/{id}"), Flash::done("The note is gone.")).await
}
