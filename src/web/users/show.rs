//! A person's page.

use askama::Template;
use axum::extract::State as AppState;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::OwnerOf;
use crate::app::App;
use crate::auth::Admin;
use crate::error::{Error, Fields, Result};
use crate::face::{Form, Path};
use crate::store::users::{self, members, members::Role};
use crate::store::{Db, owners, second_factors, sessions, tokens};
use crate::web::members::roles;
use crate::web::{Choice, Field, Flash, Frame, Look, State, When, counted, go};

#[derive(Template)]
#[template(path = "users/show.html")]
pub(super) struct UserPage {
    frame: Frame,
    id: i64,
    title: String,
    state: State,
    admin: bool,
    disabled: bool,
    /// Has a password.
    known: bool,
    /// The admin looks at their own page.
    you: bool,
    added: When,
    last_login: Option<When>,
    /// `2 sessions`; empty: none.
    sessions: String,
    tokens: Vec<String>,
    second_factor: Option<When>,
    /// Who made the open link to choose a password, and when it expires.
    link: Option<(String, When)>,
    name: Field,
    owners: Vec<OwnerOf>,
    /// Which owners nobody would manage without this person, as a sentence; empty: none.
    left: String,
    owner: Field,
    roles: Vec<Choice>,
    /// External id and name.
    suggestions: Vec<(String, String)>,
}

/// What was typed into one of the page's forms.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Input {
    pub(super) name: Option<String>,
    pub(super) owner: String,
    pub(super) role: String,
}

impl UserPage {
    pub(super) async fn new(
        db: &mut Db,
        admin: &Admin,
        (session, look): (&Session, &Look),
        id: i64,
        (typed, fields): (Input, &Fields),
    ) -> Result<Self> {
        let all = admin.all();
        let user = users::find(db, all, id).await?;
        let open = sessions::of(db, id).await?.len();
        let alone = members::alone_in(db, all, id).await?;
        let owner = |(id, name, role)| OwnerOf { alone: alone.contains(&id), id, name, role };
        let owners: Vec<_> = members::of_user(db, all, id).await?.into_iter().map(owner).collect();
        let tokens = tokens::of(db, id).await?;
        let link = users::open_password_link(db, all, id).await?;
        Ok(Self {
            frame: look.frame(db, &admin.0, session).await?,
            id,
            state: super::state(&user),
            admin: user.admin,
            disabled: user.disabled_at.is_some(),
            known: user.has_password,
            you: id == admin.0.id(),
            added: When::new(user.created_at, &look.zone),
            last_login: user.last_login_at.map(|at| When::new(at, &look.zone)),
            sessions: match i64::try_from(open).unwrap_or_default() {
                0 => String::new(),
                n => counted(n, "session"),
            },
            tokens: tokens.into_iter().map(|token| token.name).collect(),
            second_factor: second_factors::since(db, all, id).await?.map(|at| When::new(at, &look.zone)),
            link: link.map(|(by, at)| (by, When::new(at, &look.zone))),
            name: Field::new(typed.name.unwrap_or_else(|| user.name.clone()), fields, "name"),
            title: user.name,
            left: left_alone(&owners),
            owners,
            owner: Field::new(typed.owner, fields, "owner"),
            roles: roles(&typed.role),
            suggestions: owners::suggestions(db, all).await?,
        })
    }
}

/// `Nobody manages Nordwind, Acme and 3 more then.`
fn left_alone(owners: &[OwnerOf]) -> String {
    const NAMED: usize = 5;
    let names: Vec<_> = owners.iter().filter(|owner| owner.alone).map(|owner| owner.name.as_str()).collect();
    match names.len() {
        0 => String::new(),
        n if n <= NAMED => format!(" Nobody manages {} then.", names.join(", ")),
        n => format!(" Nobody manages {} and {} more then.", names[..NAMED].join(", "), n - NAMED),
    }
}

impl OwnerOf {
    /// The role that it is not.
    fn other(&self) -> Role {
        if self.role == Role::Manager.as_str() { Role::Viewer } else { Role::Manager }
    }
}

/// `GET /users/{id}`
pub async fn show(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let nothing = (Input::default(), &Fields::default());
    let page = UserPage::new(&mut db, &admin, (&session, &look), id, nothing).await?;
    look.page(StatusCode::OK, &page)
}

/// `POST /users/{id}`: another name.
pub async fn rename(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
    Form(typed): Form<Input>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let name = typed.name.clone().unwrap_or_default();
    match users::rename(&mut db, admin.all(), id, &name, &admin.actor()).await {
        Ok(name) => go(&session, &format!("/users/{id}"), Flash::done(format!("It is {name} now."))).await,
        Err(Error::Invalid(fields)) => {
            let page = UserPage::new(&mut db, &admin, (&session, &look), id, (typed, &fields)).await?;
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error),
    }
}
