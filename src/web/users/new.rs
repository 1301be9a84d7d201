//! A new person: made without a password, who chooses one by a link.

use askama::Template;
use axum::extract::State as AppState;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use crate::app::App;
use crate::auth::Admin;
use crate::error::{Error, Fields, Result};
use crate::face::Form;
use crate::store::owners;
use crate::store::users::{self, NewUser, members::Role};
use crate::web::links::LinkPage;
use crate::web::members::roles;
use crate::web::{Choice, Field, Frame, Link, Look};

#[derive(Template)]
#[template(path = "users/new.html")]
struct NewUserPage {
    frame: Frame,
    name: Field,
    admin: bool,
    owner: Field,
    roles: Vec<Choice>,
    /// External id and name.
    suggestions: Vec<(String, String)>,
}

/// A person as they are typed.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Input {
    name: String,
    /// A checkbox: absent is `false`.
    admin: bool,
    /// Name or external id of an owner; may be empty.
    owner: String,
    role: String,
}

impl NewUserPage {
    async fn new(
        app: &App,
        admin: &Admin,
        (session, look): (&Session, &Look),
        typed: Input,
        fields: &Fields,
    ) -> Result<Self> {
        let mut db = app.db(admin.all()).await?;
        Ok(Self {
            suggestions: owners::suggestions(&mut db, admin.all()).await?,
            frame: look.frame(&mut db, &admin.0, session).await?,
            name: Field::new(typed.name, fields, "name"),
            admin: typed.admin,
            owner: Field::new(typed.owner, fields, "owner"),
            roles: roles(&typed.role),
        })
    }
}

/// `GET /users/new`
pub async fn new(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
) -> Result<Response> {
    let nothing = (Input::default(), Fields::default());
    let page = NewUserPage::new(&app, &admin, (&session, &look), nothing.0, &nothing.1).await?;
    look.page(StatusCode::OK, &page)
}

/// `POST /users`: makes the person and shows the link.
pub async fn create(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Form(typed): Form<Input>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let made = async {
        let mut fields = Fields::default();
        let new = noted(NewUser::without_password(&typed.name, typed.admin), &mut fields)?;
        let membership = if typed.owner.trim().is_empty() {
            None
        } else {
            let owner = noted(owners::named(&mut db, admin.all(), &typed.owner).await, &mut fields)?;
            let role = noted(Role::check(&typed.role), &mut fields)?;
            owner.zip(role)
        };
        fields.into_result()?;
        let new = new.ok_or_else(|| Error::internal("a person without a name"))?;
        users::invite(&mut db, admin.all(), new, membership, &admin.actor()).await
    };
    match made.await {
        Ok((id, made)) => {
            let name = typed.name.trim();
            let text = format!("Give it to {name}, who chooses a password by it. It works once.");
            let frame = look.frame(&mut db, &admin.0, &session).await?;
            let back = Link { href: format!("/users/{id}"), text: name.to_owned() };
            let page = LinkPage::new(
                &app,
                &look,
                frame,
                "password",
                &made,
                [format!("{name} is added"), text],
                back,
            )?;
            look.page(StatusCode::OK, &page)
        }
        Err(Error::Invalid(fields)) => {
            drop(db);
            let page = NewUserPage::new(&app, &admin, (&session, &look), typed, &fields).await?;
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error),
    }
}

/// The value, or `None` with its messages kept for later, so that all that is wrong is said at once.
fn noted<T>(value: Result<T>, fields: &mut Fields) -> Result<Option<T>> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(Error::Invalid(wrong)) => {
            fields.0.extend(wrong.0);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
