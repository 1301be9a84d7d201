//! The form by which a server is added or changed.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::id;
use crate::app::App;
use crate::auth::User;
use crate::error::{Error, Fields, Result};
use crate::face::{Form, Path, Query};
use crate::store::Db;
use crate::store::owners::{self, Owner};
use crate::store::scope::Writable;
use crate::store::servers::{self, Server, ServerInput};
use crate::web::{Choice, Field, Flash, Frame, Look, choices, go, named_choices};

#[derive(Template)]
#[template(path = "servers/form.html")]
struct ServerForm {
    frame: Frame,
    id: Option<i64>,
    /// The stored name, for the heading of an edit.
    title: String,
    /// To choose from when new; a single one is sent hidden.
    owners: Vec<Choice>,
    owner_error: Option<String>,
    name: Field,
    address: Field,
    port: Field,
    external_id: Field,
    comment: Field,
    labels: Field,
    enabled: bool,
    job: Field,
    schemes: Vec<Choice>,
    metrics_path: Field,
    /// The second part is opened: it differs from what a new server has, or has a message.
    more: bool,
}

impl ServerForm {
    fn new(
        frame: Frame,
        stored: Option<&Server>,
        owners: Vec<Choice>,
        typed: ServerInput,
        fields: &Fields,
    ) -> Self {
        Self {
            frame,
            id: stored.map(|server| server.id),
            title: stored.map(|server| server.name.clone()).unwrap_or_default(),
            owners,
            owner_error: fields.0.get("owner_id").cloned(),
            more: more(&typed, stored.is_none(), fields),
            enabled: typed.enabled.is_some(),
            schemes: choices([("http", "http"), ("https", "https")], &typed.scheme),
            name: Field::new(typed.name, fields, "name"),
            address: Field::new(typed.address, fields, "address"),
            port: Field::new(typed.port, fields, "port"),
            external_id: Field::new(typed.external_id, fields, "external_id"),
            comment: Field::new(typed.comment, fields, "comment"),
            labels: Field::new(typed.labels, fields, "labels"),
            job: Field::new(typed.job, fields, "job"),
            metrics_path: Field::new(typed.metrics_path, fields, "metrics_path"),
        }
    }
}

fn more(typed: &ServerInput, new: bool, fields: &Fields) -> bool {
    let usual = ServerInput::default();
    let as_usual = typed.labels.is_empty()
        && (typed.external_id.is_empty() || !new)
        && (&typed.job, &typed.scheme, &typed.metrics_path)
            == (&usual.job, &usual.scheme, &usual.metrics_path);
    let bad = ["labels", "external_id", "job", "scheme", "metrics_path"]
        .iter()
        .any(|field| fields.0.contains_key(*field));
    bad || !as_usual
}

/// The owners to choose from, in a form for a new server.
async fn owner_choices(db: &mut Db, user: &User, chosen: &str, fields: &mut Fields) -> Result<Vec<Choice>> {
    let mut list = owners::choices_rw(db, &user.writing()).await?;
    if let Some(owner) = find_owner(db, user, chosen).await?
        && !list.iter().any(|(id, _)| *id == owner.id)
    {
        list.push((owner.id, owner.name.clone()));
    }
    if list.is_empty() {
        fields.add("owner_id", "Add an owner first: every server belongs to one.");
    }
    let only = list.len() == 1 && !fields.0.contains_key("owner_id");
    Ok(if only {
        named_choices(None, list, chosen)
    } else {
        named_choices(Some("Choose an owner"), list, chosen)
    })
}

/// Whose server a new one is to be.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Whose {
    owner: String,
}

/// `GET /servers/new?owner=`
pub async fn new(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Query(whose): Query<Whose>,
) -> Result<Response> {
    if !user.changes_something() {
        return Err(Error::Forbidden);
    }
    let mut db = app.db(&user).await?;
    let mut fields = Fields::default();
    let owners = owner_choices(&mut db, &user, &whose.owner, &mut fields).await?;
    let frame = look.frame(&mut db, &user, &session).await?;
    let typed = ServerInput { enabled: Some("true".into()), ..ServerInput::default() };
    look.page(StatusCode::OK, &ServerForm::new(frame, None, owners, typed, &fields))
}

/// `POST /servers`
pub async fn create(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Form(typed): Form<ServerInput>,
) -> Result<Response> {
    if !user.changes_something() {
        return Err(Error::Forbidden);
    }
    match add(&app, &user, &typed).await {
        Ok(id) => {
            let flash = Flash::done(format!(
                "{} is added. It is watched from the next publication on.",
                typed.name.trim()
            ));
            go(&session, &format!("/servers/{id}"), flash).await
        }
        Err(Error::Invalid(mut fields)) => {
            let mut db = app.db(&user).await?;
            let owners = owner_choices(&mut db, &user, &typed.owner_id, &mut fields).await?;
            let frame = look.frame(&mut db, &user, &session).await?;
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &ServerForm::new(frame, None, owners, typed, &fields))
        }
        Err(error) => Err(error),
    }
}

async fn add(app: &App, user: &User, typed: &ServerInput) -> Result<i64> {
    // before a connection is taken: it may wait for DNS
    let checked = typed.check(user.reach(app.config()), None, app.our_labels()).await;
    let mut db = app.db(user).await?;
    match (find_owner(&mut db, user, &typed.owner_id).await?, checked) {
        (Some(owner), checked) => owner.add_server(&mut db, checked?, &user.actor()).await,
        (None, Ok(_)) => Err(Error::Invalid(Fields::one("owner_id", "Choose an owner."))),
        (None, Err(Error::Invalid(mut fields))) => {
            fields.add("owner_id", "Choose an owner.");
            Err(Error::Invalid(fields))
        }
        (None, Err(error)) => Err(error),
    }
}

/// The owner that was chosen; one that does not exist and one that may not be seen are alike.
async fn find_owner(db: &mut Db, user: &User, typed: &str) -> Result<Option<Writable<Owner>>> {
    let found = match id(typed) {
        Ok(Some(id)) => owners::find_rw(db, &user.writing(), id).await,
        Ok(None) | Err(_) => return Ok(None),
    };
    match found {
        Ok(owner) => Ok(Some(owner)),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `GET /servers/{id}/edit`
pub async fn edit(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let server = servers::find_rw(&mut db, &user.writing(), id).await?;
    let frame = look.frame(&mut db, &user, &session).await?;
    let typed = ServerInput::of(&server);
    look.page(StatusCode::OK, &ServerForm::new(frame, Some(&server), Vec::new(), typed, &Fields::default()))
}

/// `POST /servers/{id}`
pub async fn update(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
    Form(typed): Form<ServerInput>,
) -> Result<Response> {
    let server = servers::find_rw(&mut app.db(&user).await?, &user.writing(), id).await?;
    match save(&app, &user, &server, &typed).await {
        Ok(()) => {
            let flash = Flash::done(format!(
                "{} is saved. Changes take effect with the next publication.",
                typed.name.trim()
            ));
            go(&session, &format!("/servers/{id}"), flash).await
        }
        Err(Error::Invalid(fields)) => {
            let frame = look.frame(&mut app.db(&user).await?, &user, &session).await?;
            let page = ServerForm::new(frame, Some(&server), Vec::new(), typed, &fields);
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error),
    }
}

async fn save(app: &App, user: &User, server: &Writable<Server>, typed: &ServerInput) -> Result<()> {
    let new = typed.check(user.reach(app.config()), Some(server), app.our_labels()).await?;
    server.update(&mut app.db(user).await?, new, &user.actor()).await
}
