//! Owners for programs: those that the token reaches. Only an admin's adds, changes and removes them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Items, made, one};
use super::ask::{Body, Given, IfMatch, Query, TRIES, busy, given, page, place, there};
use crate::app::App;
use crate::auth::{Client, User};
use crate::error::{Error, Fields, Result};
use crate::face::Path;
use crate::store::Db;
use crate::store::owners::{self, OwnerInput};
use crate::store::scope::All;

/// An owner: a customer.
#[derive(Serialize, ToSchema)]
pub struct Owner {
    id: i64,
    external_id: String,
    name: String,
    comment: String,
    /// For how many days alerts are kept after their end; 0: for ever; `null`: as the settings say.
    history_days: Option<i32>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<owners::Owner> for Owner {
    fn from(owner: owners::Owner) -> Self {
        Self {
            id: owner.id,
            external_id: owner.external_id,
            name: owner.name,
            comment: owner.comment,
            history_days: owner.history_days,
            created_at: owner.created_at,
            updated_at: owner.updated_at,
        }
    }
}

/// An owner's fields. What is left out is as in a new owner, or stays as it was where one is changed; `null` is as in
/// a new owner.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"name": "Acme", "external_id": "11"}))]
pub struct OwnerBody {
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    name: Given<String>,
    /// What alerts carry; one is generated where there is none.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    external_id: Given<String>,
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    comment: Given<String>,
    /// For how many days alerts are kept after their end, 0 for ever.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    history_days: Given<i64>,
}

impl OwnerBody {
    fn over(self, mut input: OwnerInput) -> OwnerInput {
        let put = |into: &mut String, given: Given<String>| {
            if let Some(value) = given {
                *into = value.unwrap_or_default();
            }
        };
        put(&mut input.name, self.name);
        put(&mut input.external_id, self.external_id);
        put(&mut input.comment, self.comment);
        put(&mut input.history_days, self.history_days.map(|days| days.map(|days| days.to_string())));
        input
    }
}

/// What the list is narrowed to.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    #[serde(deserialize_with = "there")]
    #[param(value_type = Option<String>)]
    external_id: Option<String>,
    /// Part of the name or external id.
    q: Option<String>,
    /// Items a page: 50 unless given, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// `GET /api/v1/owners`: those that the token reaches, by name.
#[utoipa::path(get, path = "/api/v1/owners", operation_id = "list_owners", summary = "List owners",
    description = "Those that the token reaches, by name.", tag = "owners", params(Wanted),
    responses((status = 200, body = Items<Owner>)))]
pub async fn list(
    State(app): State<App>,
    client: Client,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Items<Owner>>> {
    place::<(String, i64)>(wanted.cursor.as_deref())?;
    let at = page(wanted.limit, wanted.cursor)?;
    let mut db = app.db(&client.user).await?;
    let filter = owners::Filter {
        q: wanted.q.unwrap_or_default(),
        external_id: wanted.external_id,
        ..owners::Filter::default()
    };
    let found = owners::list(&mut db, &client.user.scope(), &filter, &at).await?;
    let items = found.items.into_iter().map(Owner::from).collect();
    Ok(Json(Items { items, next_cursor: found.next }))
}

/// `GET /api/v1/owners/{id}`
#[utoipa::path(get, path = "/api/v1/owners/{id}", operation_id = "get_owner", summary = "Get an owner", tag = "owners", params(("id" = i64, Path)),
    responses((status = 200, body = Owner, headers(("ETag" = String, description = "For If-Match.")))))]
pub async fn show(State(app): State<App>, client: Client, Path(id): Path<i64>) -> Result<Response> {
    let owner = owners::find(&mut app.db(&client.user).await?, &client.user.scope(), id).await?;
    let updated_at = owner.updated_at;
    Ok(one(&Owner::from(owner), updated_at))
}

/// `POST /api/v1/owners`: adds one.
#[utoipa::path(post, path = "/api/v1/owners", operation_id = "add_owner", summary = "Add an owner",
    description = "For admins. An `external_id` is generated where there is none.", tag = "owners", request_body = OwnerBody,
    responses((status = 201, body = Owner, headers(("ETag" = String, description = "For If-Match.")))))]
pub async fn create(State(app): State<App>, client: Client, Body(body): Body<OwnerBody>) -> Result<Response> {
    let all = client.user.all().ok_or(Error::Forbidden)?;
    let new = body.over(OwnerInput::default()).check()?;
    let mut db = app.db(&client.user).await?;
    let id = owners::create(&mut db, all, new, &client.user.actor()).await?;
    shown(&mut db, &client.user, id, true).await
}

/// Which owner is put.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    #[param(required, nullable = false, example = "11")]
    external_id: Option<String>,
}

/// `PUT /api/v1/owners?external_id=`: makes the owner with that external id what the body says, added where there is none.
#[utoipa::path(put, path = "/api/v1/owners", operation_id = "put_owner", summary = "Add or replace an owner by its external id",
    description = "Makes the owner with that external id what the body says, and adds it where there is none. For admins.", tag = "owners", request_body = OwnerBody,
    params(Which, ("If-Match" = Option<String>, Header, description = "The ETag that it was read with; 412 when it was changed since.")),
    responses((status = 200, body = Owner, headers(("ETag" = String, description = "For If-Match."))), (status = 201, body = Owner, headers(("ETag" = String, description = "For If-Match.")))))]
pub async fn put(
    State(app): State<App>,
    client: Client,
    if_match: IfMatch,
    Query(which): Query<Which>,
    Body(mut body): Body<OwnerBody>,
) -> Result<Response> {
    let user = client.user;
    let all = user.all().ok_or(Error::Forbidden)?;
    let external_id = which.external_id.as_deref().map(str::trim).filter(|id| !id.is_empty());
    let external_id = external_id.ok_or_else(|| {
        Error::Invalid(Fields::one("external_id", "Say which owner, by its external id in the query."))
    })?;
    if body.external_id.take().flatten().is_some_and(|id| id.trim() != external_id) {
        return Err(Error::Invalid(Fields::one("external_id", "The query names another one.")));
    }
    let typed = OwnerInput { external_id: external_id.to_owned(), ..body.over(OwnerInput::default()) };
    let mut db = app.db(&user).await?;
    for _ in 0..TRIES {
        let new = typed.check()?;
        match owners::by_external_id(&mut db, &user.scope(), external_id).await {
            Ok(owner) => {
                if_match.check(owner.updated_at)?;
                match save(&mut db, all, &owner, new, &user, if_match.is_given()).await {
                    // removed meanwhile
                    Err(Error::NotFound) => {}
                    saved => {
                        saved?;
                        return shown(&mut db, &user, owner.id, false).await;
                    }
                }
            }
            Err(Error::NotFound) => {
                if_match.check_nothing()?;
                match owners::create(&mut db, all, new, &user.actor()).await {
                    // somebody else was faster
                    Err(Error::Invalid(fields)) if !fields.get("external_id").is_empty() => {}
                    added => return shown(&mut db, &user, added?, true).await,
                }
            }
            Err(error) => return Err(error),
        }
    }
    Err(busy())
}

/// `PATCH /api/v1/owners/{id}`: changes the fields that the body names, as RFC 7396 has it.
#[utoipa::path(patch, path = "/api/v1/owners/{id}", operation_id = "change_owner", summary = "Change some fields of an owner",
    description = "As RFC 7396 has it: fields that are left out stay as they are, and `null` is what a new owner has. For admins.", tag = "owners", request_body = OwnerBody,
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The ETag that it was read with; 412 when it was changed since.")),
    responses((status = 200, body = Owner, headers(("ETag" = String, description = "For If-Match.")))))]
pub async fn change(
    State(app): State<App>,
    client: Client,
    Path(id): Path<i64>,
    if_match: IfMatch,
    Body(body): Body<OwnerBody>,
) -> Result<Response> {
    let user = client.user;
    let mut db = app.db(&user).await?;
    for _ in 0..TRIES {
        let owner = owners::find(&mut db, &user.scope(), id).await?;
        let all = user.all().ok_or(Error::Forbidden)?;
        if_match.check(owner.updated_at)?;
        let typed = OwnerInput {
            name: owner.name.clone(),
            external_id: owner.external_id.clone(),
            comment: owner.comment.clone(),
            history_days: owner.history_days.map(|days| days.to_string()).unwrap_or_default(),
        };
        let new = body.clone().over(typed).check()?;
        match save(&mut db, all, &owner, new, &user, true).await {
            Err(Error::Stale) if !if_match.is_given() => {}
            saved => {
                saved?;
                return shown(&mut db, &user, id, false).await;
            }
        }
    }
    Err(busy())
}

async fn save(
    db: &mut Db,
    all: All,
    owner: &owners::Owner,
    new: owners::NewOwner,
    user: &User,
    as_found: bool,
) -> Result<()> {
    if as_found {
        owners::update_as_found(db, all, owner, new, &user.actor()).await
    } else {
        owners::update(db, all, owner.id, new, &user.actor()).await
    }
}

/// `DELETE /api/v1/owners/{id}`
#[utoipa::path(delete, path = "/api/v1/owners/{id}", operation_id = "remove_owner", summary = "Remove an owner",
    description = "With its servers, which are no longer scraped; its alerts stay in the history. For admins.", tag = "owners",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The ETag that it was read with; 412 when it was changed since.")),
    responses((status = 204)))]
pub async fn remove(
    State(app): State<App>,
    client: Client,
    Path(id): Path<i64>,
    if_match: IfMatch,
) -> Result<StatusCode> {
    let user = client.user;
    let mut db = app.db(&user).await?;
    let owner = owners::find(&mut db, &user.scope(), id).await?;
    let all = user.all().ok_or(Error::Forbidden)?;
    if_match.check(owner.updated_at)?;
    if if_match.is_given() {
        owners::remove_as_found(&mut db, all, &owner, &user.actor()).await?;
    } else {
        owners::remove(&mut db, all, id, &user.actor()).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn shown(db: &mut Db, user: &User, id: i64, new: bool) -> Result<Response> {
    let owner = owners::find(db, &user.scope(), id).await?;
    let updated_at = owner.updated_at;
    let owner = Owner::from(owner);
    Ok(if new { made(&owner, updated_at, format!("/api/v1/owners/{id}")) } else { one(&owner, updated_at) })
}
