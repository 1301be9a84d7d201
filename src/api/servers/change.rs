//! What programs do to servers: the same as the forms do.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Server, ServerBody};
use crate::api::answer::{made, one};
use crate::api::ask::{Body, IfMatch, Query, TRIES, busy, there};
use crate::app::App;
use crate::auth::{Client, User};
use crate::error::{Error, Fields, Result};
use crate::face::Path;
use crate::store::Db;
use crate::store::owners::{self, Owner};
use crate::store::scope::Writable;
use crate::store::servers::{self, ServerInput};

/// `POST /api/v1/servers`: adds one.
#[utoipa::path(post, path = "/api/v1/servers", operation_id = "add_server", summary = "Add a server",
    description = "An `external_id` is generated where there is none. 409: the owner has a server with that external id, or that address, port and job, already.", tag = "servers", request_body = ServerBody,
    responses((status = 201, body = Server, headers(("ETag" = String, description = "For If-Match.")))))]
pub async fn create(
    State(app): State<App>,
    client: Client,
    Body(body): Body<ServerBody>,
) -> Result<Response> {
    let user = client.user;
    if !user.changes_something() {
        return Err(Error::Forbidden);
    }
    let whose = Whose { owner_id: body.owner_id, owner_external_id: body.owner_external_id.clone() };
    let checked = match body.into_new() {
        // before a connection is taken: it may wait for DNS
        Ok(typed) => typed.check(user.reach(app.config()), None, app.our_labels()).await,
        Err(error) => Err(error),
    };
    let mut db = app.db(&user).await?;
    let owner = match whose.owner(&mut db, &user).await {
        Ok(owner) => owner,
        Err(Error::NotFound) => return Err(no_owner(whose.field(), "There is no such owner.", checked)),
        Err(Error::Invalid(fields)) => return Err(no_owner("owner_id", fields.get("owner_id"), checked)),
        Err(error) => return Err(error),
    };
    let id = owner.add_server(&mut db, checked?, &user.actor()).await?;
    shown(&mut db, &user, id, true).await
}

/// The owner's message beside those of the other fields.
fn no_owner<T>(field: &'static str, why: &str, checked: Result<T>) -> Error {
    let mut fields = match checked {
        Err(Error::Invalid(fields)) => fields,
        _ => Fields::default(),
    };
    fields.add(field, why);
    Error::Invalid(fields)
}

/// Whose server is meant.
struct Whose {
    owner_id: Option<i64>,
    owner_external_id: Option<String>,
}

impl Whose {
    fn field(&self) -> &'static str {
        if self.owner_id.is_some() { "owner_id" } else { "owner_external_id" }
    }

    /// The owner, for changing what belongs to it. `NotFound` also when it is not the token's to see.
    async fn owner(&self, db: &mut Db, user: &User) -> Result<Writable<Owner>> {
        let id = match (self.owner_id, &self.owner_external_id) {
            (Some(id), None) => id,
            (None, Some(text)) => owners::by_external_id(db, &user.scope(), text).await?.id,
            _ => {
                let why = "Say whose server it is: by owner_id or by owner_external_id.";
                return Err(Error::Invalid(Fields::one("owner_id", why)));
            }
        };
        owners::find_rw(db, &user.writing(), id).await
    }
}

/// Which server is put.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Whose it is, by this or by `owner_external_id`.
    #[serde(deserialize_with = "there")]
    owner_id: Option<i64>,
    #[serde(deserialize_with = "there")]
    #[param(example = "11")]
    owner_external_id: Option<String>,
    #[serde(deserialize_with = "there")]
    #[param(required, nullable = false, example = "4386")]
    external_id: Option<String>,
}

/// `PUT /api/v1/servers?owner_id=&external_id=`: makes the server with that external id what the body says, added
/// where there is none.
#[utoipa::path(put, path = "/api/v1/servers", operation_id = "put_server", summary = "Add or replace a server by its external id",
    description = "Makes the server with that external id what the body says, and adds it where there is none, so that a script can run twice. Fields that are left out are as in a new server.", tag = "servers", request_body = ServerBody,
    params(Which, ("If-Match" = Option<String>, Header, description = "The ETag that it was read with; 412 when it was changed since.")),
    responses((status = 200, body = Server, headers(("ETag" = String, description = "For If-Match."))), (status = 201, body = Server, headers(("ETag" = String, description = "For If-Match.")))))]
pub async fn put(
    State(app): State<App>,
    client: Client,
    if_match: IfMatch,
    Query(which): Query<Which>,
    Body(mut body): Body<ServerBody>,
) -> Result<Response> {
    let user = client.user;
    let external_id = which.external_id.as_deref().map(str::trim).filter(|id| !id.is_empty());
    let external_id = external_id.ok_or_else(|| {
        Error::Invalid(Fields::one("external_id", "Say which server, by its external id in the query."))
    })?;
    let whose = Whose { owner_id: which.owner_id, owner_external_id: which.owner_external_id.clone() };
    let owner = whose.owner(&mut app.db(&user).await?, &user).await?;
    if body.owner_external_id.as_ref() == Some(&owner.external_id) {
        body.owner_external_id = None;
    }
    body.stays_with(owner.id)?;
    if body.external_id.take().flatten().is_some_and(|id| id.trim() != external_id) {
        return Err(Error::Invalid(Fields::one("external_id", "The query names another one.")));
    }
    let typed = ServerInput { external_id: external_id.to_owned(), ..body.into_new()? };
    for _ in 0..TRIES {
        let mut db = app.db(&user).await?;
        let there = servers::by_external_id_rw(&mut db, &owner, external_id).await?;
        drop(db);
        let known = there.as_deref();
        match known {
            Some(server) => if_match.check(server.updated_at)?,
            None => if_match.check_nothing()?,
        }
        let new = typed.check(user.reach(app.config()), known, app.our_labels()).await?;
        let mut db = app.db(&user).await?;
        let Some(server) = there else {
            let added = owner.add_server(&mut db, new, &user.actor()).await;
            // somebody else was faster, and has perhaps the same address too
            if matches!(added, Err(Error::Invalid(_)))
                && servers::by_external_id_rw(&mut db, &owner, external_id).await?.is_some()
            {
                continue;
            }
            return shown(&mut db, &user, added?, true).await;
        };
        let updated = if if_match.is_given() {
            server.update_as_found(&mut db, new, &user.actor()).await
        } else {
            server.update(&mut db, new, &user.actor()).await
        };
        match updated {
            // removed meanwhile
            Err(Error::NotFound) => {}
            updated => {
                updated?;
                return shown(&mut db, &user, server.id, false).await;
            }
        }
    }
    Err(busy())
}

/// `PATCH /api/v1/servers/{id}`: changes the fields that the body names, as RFC 7396 has it.
#[utoipa::path(patch, path = "/api/v1/servers/{id}", operation_id = "change_server", summary = "Change some fields of a server",
    description = "As RFC 7396 has it: fields that are left out stay as they are, and `null` is what a new server has. A server stays with its owner.", tag = "servers", request_body = ServerBody,
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The ETag that it was read with; 412 when it was changed since.")),
    responses((status = 200, body = Server, headers(("ETag" = String, description = "For If-Match.")))))]
pub async fn change(
    State(app): State<App>,
    client: Client,
    Path(id): Path<i64>,
    if_match: IfMatch,
    Body(body): Body<ServerBody>,
) -> Result<Response> {
    let user = client.user;
    for _ in 0..TRIES {
        let server = servers::find_rw(&mut app.db(&user).await?, &user.writing(), id).await?;
        if_match.check(server.updated_at)?;
        let typed = body.clone().into_change(&server)?;
        let new = typed.check(user.reach(app.config()), Some(&server), app.our_labels()).await?;
        let mut db = app.db(&user).await?;
        match server.update_as_found(&mut db, new, &user.actor()).await {
            Err(Error::Stale) if !if_match.is_given() => {}
            updated => {
                updated?;
                return shown(&mut db, &user, id, false).await;
            }
        }
    }
    Err(busy())
}

/// `DELETE /api/v1/servers/{id}`
#[utoipa::path(delete, path = "/api/v1/servers/{id}", operation_id = "remove_server", summary = "Remove a server",
    description = "Its alerts stay in the history. It can be restored on its page.", tag = "servers",
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
    let server = servers::find_rw(&mut db, &user.writing(), id).await?;
    if_match.check(server.updated_at)?;
    if if_match.is_given() {
        server.remove_as_found(&mut db, &user.actor()).await?;
    } else {
        server.remove(&mut db, &user.actor()).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn shown(db: &mut Db, user: &User, id: i64, new: bool) -> Result<Response> {
    let server = servers::find(db, &user.scope(), id).await?;
    let updated_at = server.updated_at;
    let server = Server::of(db, server).await?;
    Ok(if new {
        made(&server, updated_at, format!("/api/v1/servers/{id}"))
    } else {
        one(&server, updated_at)
    })
}
