//! Who belongs to an owner, for programs.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::Items;
use super::ask::Body;
use super::users::Link;
use crate::app::App;
use crate::auth::Client;
use crate::error::{Error, Result};
use crate::face::Path;
use crate::store::owners;
use crate::store::users::invitations::{self, NewInvitation};
use crate::store::users::members::{self, Role};

/// A member of an owner.
#[derive(Serialize, ToSchema)]
pub struct Member {
    user_id: i64,
    name: String,
    /// `manager` or `viewer`
    role: String,
    /// May log in.
    enabled: bool,
}

impl From<members::Member> for Member {
    fn from(member: members::Member) -> Self {
        Self { user_id: member.id, name: member.name, role: member.role, enabled: !member.disabled }
    }
}

/// What a member is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "manager"}))]
pub struct RoleBody {
    /// `manager` or `viewer`
    role: String,
}

/// A new invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "viewer", "note": "eve@example.com"}))]
pub struct InvitationBody {
    /// `manager` or `viewer`
    role: String,
    /// Whom it is for.
    note: String,
}

/// `GET /api/v1/owners/{id}/members`
#[utoipa::path(get, path = "/api/v1/owners/{id}/members", operation_id = "list_members", summary = "List an owner's members",
    tag = "owners", description = "By name, at most 1,000.",
    params(("id" = i64, Path)), responses((status = 200, body = Items<Member>)))]
pub async fn list(
    State(app): State<App>,
    client: Client,
    Path(id): Path<i64>,
) -> Result<Json<Items<Member>>> {
    let mut db = app.db(&client.user).await?;
    let owner = owners::find(&mut db, &client.user.scope(), id).await?;
    let items = members::of(&mut db, &owner).await?.into_iter().map(Member::from).collect();
    Ok(Json(Items { items, next_cursor: None }))
}

/// `PUT /api/v1/owners/{id}/members/{user_id}`: another role; admins also add people.
#[utoipa::path(put, path = "/api/v1/owners/{id}/members/{user_id}", operation_id = "put_member", summary = "Set a member's role",
    tag = "owners", description = "Managers change the role of members; admins also add people. An owner's last manager stays one, but for admins.",
    request_body = RoleBody, params(("id" = i64, Path), ("user_id" = i64, Path)), responses((status = 200, body = Member)))]
pub async fn put(
    State(app): State<App>,
    client: Client,
    Path((id, member)): Path<(i64, i64)>,
    Body(body): Body<RoleBody>,
) -> Result<Json<Member>> {
    let user = &client.user;
    let mut db = app.db(user).await?;
    let owner = owners::find_rw(&mut db, &user.writing(), id).await?;
    let role = Role::check(&body.role)?;
    match members::change(&mut db, user.all(), &owner, member, role, &user.actor()).await {
        Err(Error::NotFound) => {
            let all = user.all().ok_or(Error::NotFound)?;
            members::add(&mut db, all, &owner, member, role, &user.actor()).await?;
        }
        changed => drop(changed?),
    }
    let found = members::of(&mut db, &owner).await?;
    found.into_iter().find(|one| one.id == member).map(|one| Json(one.into())).ok_or(Error::NotFound)
}

/// `DELETE /api/v1/owners/{id}/members/{user_id}`
#[utoipa::path(delete, path = "/api/v1/owners/{id}/members/{user_id}", operation_id = "remove_member", summary = "Remove a member",
    tag = "owners", description = "An owner's last manager stays, but for admins.",
    params(("id" = i64, Path), ("user_id" = i64, Path)), responses((status = 204)))]
pub async fn remove(
    State(app): State<App>,
    client: Client,
    Path((id, member)): Path<(i64, i64)>,
) -> Result<StatusCode> {
    let user = &client.user;
    let mut db = app.db(user).await?;
    let owner = owners::find_rw(&mut db, &user.writing(), id).await?;
    members::remove(&mut db, user.all(), &owner, member, &user.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/owners/{id}/invitations`: answers with the link.
#[utoipa::path(post, path = "/api/v1/owners/{id}/invitations", operation_id = "invite", summary = "Invite somebody",
    tag = "owners", description = "Answers with a link that works once: who opens it and accepts belongs to the owner. For its managers.",
    request_body = InvitationBody, params(("id" = i64, Path)), responses((status = 201, body = Link)))]
pub async fn invite(
    State(app): State<App>,
    client: Client,
    Path(id): Path<i64>,
    Body(body): Body<InvitationBody>,
) -> Result<Response> {
    let user = &client.user;
    let mut db = app.db(user).await?;
    let owner = owners::find_rw(&mut db, &user.writing(), id).await?;
    let new = NewInvitation::check(&body.role, &body.note)?;
    let made = invitations::make(&mut db, &owner, new, &user.actor()).await?;
    Ok((StatusCode::CREATED, Json(Link::new(&app, "join", &made)?)).into_response())
}
