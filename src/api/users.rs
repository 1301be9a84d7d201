//! People for programs: for admins' tokens. Nobody's password goes over the API; who is new gets a link to choose one by.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::Items;
use super::ask::{Body, Query, place};
use crate::app::App;
use crate::auth::Client;
use crate::error::{Error, Fields, Result};
use crate::face::Path;
use crate::page::At;
use crate::store::scope::All;
use crate::store::users::members::{self, Role};
use crate::store::users::{self, Filter, Made, NewUser};
use crate::store::{Db, owners};

/// A person who can log in.
#[derive(Serialize, ToSchema)]
pub struct User {
    id: i64,
    name: String,
    admin: bool,
    /// May log in.
    enabled: bool,
    /// Has chosen a password.
    has_password: bool,
    created_at: Timestamp,
    last_login_at: Option<Timestamp>,
}

impl From<users::User> for User {
    fn from(user: users::User) -> Self {
        Self {
            id: user.id,
            name: user.name,
            admin: user.admin,
            enabled: user.disabled_at.is_none(),
            has_password: user.has_password,
            created_at: user.created_at,
            last_login_at: user.last_login_at,
        }
    }
}

/// A person with the owners that they belong to.
#[derive(Serialize, ToSchema)]
pub struct UserWithRoles {
    #[serde(flatten)]
    user: User,
    memberships: Vec<Belongs>,
}

/// What a person is of an owner.
#[derive(Serialize, ToSchema)]
pub struct Belongs {
    owner_id: i64,
    /// `manager` or `viewer`
    role: String,
}

/// A link that works once.
#[derive(Serialize, ToSchema)]
pub struct Link {
    url: String,
    expires_at: Timestamp,
}

impl Link {
    /// Below `room`, such as `password`.
    pub(super) fn new(app: &App, room: &str, made: &Made) -> Result<Self> {
        let url =
            app.config().public_url.join(&format!("{room}/{}", made.secret)).map_err(Error::internal)?;
        Ok(Self { url: url.into(), expires_at: made.expires_at })
    }
}

/// A person who was added.
#[derive(Serialize, ToSchema)]
pub struct AddedUser {
    #[serde(flatten)]
    user: User,
    /// By which they choose a password.
    link: Link,
}

/// A new person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "eve", "owner_external_id": "11", "role": "viewer"}))]
pub struct UserBody {
    name: String,
    #[serde(default)]
    admin: bool,
    /// Whom they belong to.
    owner_external_id: Option<String>,
    /// `manager` or `viewer`; `viewer` unless given.
    role: Option<String>,
}

/// What is changed of a person, one at a time: each change is noted by itself.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"enabled": false}))]
pub struct UserChange {
    name: Option<String>,
    admin: Option<bool>,
    enabled: Option<bool>,
}

/// Which people.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Part of the name.
    q: String,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// `GET /api/v1/users`: by name, 50 a page.
#[utoipa::path(get, path = "/api/v1/users", operation_id = "list_users", summary = "List people", tag = "users",
    description = "By name, 50 a page. For admins.", params(Wanted), responses((status = 200, body = Items<User>)))]
pub async fn list(
    State(app): State<App>,
    client: Client,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Items<User>>> {
    let all = admins(&client)?;
    place::<String>(wanted.cursor.as_deref())?;
    let (filter, at) =
        (Filter { q: wanted.q, ..Filter::default() }, At { after: wanted.cursor, ..At::default() });
    let found = users::page(&mut app.db(all).await?, all, &filter, &at).await?;
    let items = found.items.into_iter().map(User::from).collect();
    Ok(Json(Items { items, next_cursor: found.next }))
}

/// `GET /api/v1/users/{id}`
#[utoipa::path(get, path = "/api/v1/users/{id}", operation_id = "get_user", summary = "Get a person", tag = "users",
    description = "For admins.", params(("id" = i64, Path)), responses((status = 200, body = UserWithRoles)))]
pub async fn show(
    State(app): State<App>,
    client: Client,
    Path(id): Path<i64>,
) -> Result<Json<UserWithRoles>> {
    let all = admins(&client)?;
    shown(&mut app.db(all).await?, all, id).await.map(Json)
}

async fn shown(db: &mut Db, all: All, id: i64) -> Result<UserWithRoles> {
    let user = users::find(db, all, id).await?.into();
    let memberships = members::of_user(db, all, id).await?;
    let memberships = memberships.into_iter().map(|(owner_id, _, role)| Belongs { owner_id, role }).collect();
    Ok(UserWithRoles { user, memberships })
}

/// `POST /api/v1/users`: adds one, and answers with the link by which they choose a password.
#[utoipa::path(post, path = "/api/v1/users", operation_id = "add_user", summary = "Add a person", tag = "users",
    description = "Answers with a link that works once, by which they choose a password. For admins.",
    request_body = UserBody, responses((status = 201, body = AddedUser)))]
pub async fn create(State(app): State<App>, client: Client, Body(body): Body<UserBody>) -> Result<Response> {
    let all = admins(&client)?;
    let mut db = app.db(all).await?;
    let mut fields = Fields::default();
    let mut note = |error: Error, as_field: Option<&'static str>| match (error, as_field) {
        (Error::Invalid(wrong), _) => {
            wrong.0.into_iter().for_each(|(field, why)| fields.add(field, why));
            Ok(())
        }
        (Error::NotFound, Some(field)) => {
            fields.add(field, "There is no such owner.");
            Ok(())
        }
        (error, _) => Err(error),
    };
    let new = NewUser::without_password(&body.name, body.admin).map_err(|error| note(error, None));
    let role = Role::check(body.role.as_deref().unwrap_or("viewer")).map_err(|error| note(error, None));
    let owner = match &body.owner_external_id {
        None => Ok(None),
        Some(text) => match owners::by_external_id(&mut db, &all.into(), text).await {
            Ok(owner) => owners::find_rw(&mut db, &all.into(), owner.id).await.map(Some),
            Err(error) => Err(error),
        }
        .map_err(|error| note(error, Some("owner_external_id"))),
    };
    let (new, role, owner) = match (new, role, owner) {
        (Ok(new), Ok(role), Ok(owner)) => (new, role, owner),
        (new, role, owner) => {
            for failed in [new.err(), role.err(), owner.err()].into_iter().flatten() {
                failed?;
            }
            return Err(Error::Invalid(fields));
        }
    };
    let membership = owner.map(|owner| (owner, role));
    let (id, made) = users::invite(&mut db, all, new, membership, &client.user.actor()).await?;
    let user = users::find(&mut db, all, id).await?.into();
    let added = AddedUser { user, link: Link::new(&app, "password", &made)? };
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("/api/v1/users/{id}"))], Json(added))
        .into_response())
}

/// `PATCH /api/v1/users/{id}`: another name, admin or not, enabled or not.
#[utoipa::path(patch, path = "/api/v1/users/{id}", operation_id = "change_user", summary = "Change a person", tag = "users",
    description = "One field at a time. Disabling ends their sessions. The last admin stays one. For admins.",
    request_body = UserChange, params(("id" = i64, Path)), responses((status = 200, body = UserWithRoles)))]
pub async fn change(
    State(app): State<App>,
    client: Client,
    Path(id): Path<i64>,
    Body(body): Body<UserChange>,
) -> Result<Json<UserWithRoles>> {
    let all = admins(&client)?;
    let (mut db, by) = (app.db(all).await?, client.user.actor());
    match body {
        UserChange { name: Some(name), admin: None, enabled: None } => {
            users::rename(&mut db, all, id, &name, &by).await?
        }
        UserChange { name: None, admin: Some(admin), enabled: None } => {
            users::set_admin(&mut db, all, id, admin, &by).await?
        }
        UserChange { name: None, admin: None, enabled: Some(true) } => {
            users::enable(&mut db, all, id, &by).await?
        }
        UserChange { name: None, admin: None, enabled: Some(false) } => {
            users::disable(&mut db, all, id, &by).await?
        }
        _ => {
            users::find(&mut db, all, id).await?;
            let why = "Name one of name, admin and enabled: each change is noted by itself.";
            return Err(Error::Invalid(Fields::one("", why)));
        }
    };
    shown(&mut db, all, id).await.map(Json)
}

/// `DELETE /api/v1/users/{id}`
#[utoipa::path(delete, path = "/api/v1/users/{id}", operation_id = "remove_user", summary = "Remove a person", tag = "users",
    description = "With their sessions and tokens; the audit keeps their name. For admins.",
    params(("id" = i64, Path)), responses((status = 204)))]
pub async fn remove(State(app): State<App>, client: Client, Path(id): Path<i64>) -> Result<StatusCode> {
    let all = admins(&client)?;
    users::remove(&mut app.db(all).await?, all, id, &client.user.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn admins(client: &Client) -> Result<All> {
    client.user.all().ok_or(Error::NotFound)
}
