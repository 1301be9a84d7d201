//! Whose a token is, and what it reaches.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Client;
use crate::error::Result;
use crate::store::owners::{self, Owner};
use crate::store::tokens;

/// Who asks.
#[derive(Serialize, ToSchema)]
pub struct Me {
    user: Person,
    token: Token,
    /// What is seen, by name; not listed for an admin, who sees everything.
    owners: Vec<Membership>,
}

/// Whose token it is.
#[derive(Serialize, ToSchema)]
struct Person {
    id: i64,
    name: String,
    /// Whether the token reaches everything; not so for an admin's that is restricted to one owner.
    admin: bool,
}

#[derive(Serialize, ToSchema)]
struct Token {
    name: String,
    /// `read` or `write`
    access: &'static str,
    /// The one owner that it is restricted to.
    owner_id: Option<i64>,
    /// `null`: never.
    expires_at: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
struct Membership {
    id: i64,
    external_id: String,
    name: String,
    /// `manager` or `viewer`
    role: &'static str,
}

/// `GET /api/v1/me`
#[utoipa::path(get, path = "/api/v1/me", operation_id = "me", summary = "Whose token it is, and what it reaches", tag = "me",
    responses((status = 200, body = Me)))]
pub async fn show(State(app): State<App>, client: Client) -> Result<Json<Me>> {
    let Client { user, token } = client;
    let owners = owners::among(&mut app.db(&user).await?, &user.scope(), user.owners()).await?;
    let membership = |owner: Owner| Membership {
        role: user.role_in(owner.id),
        id: owner.id,
        external_id: owner.external_id,
        name: owner.name,
    };
    Ok(Json(Me {
        owners: owners.into_iter().map(membership).collect(),
        user: Person { id: user.id(), name: user.name().to_owned(), admin: user.is_admin() },
        token: Token {
            access: tokens::access(token.may_write),
            name: token.name,
            owner_id: token.owner_id,
            expires_at: token.expires_at,
        },
    }))
}
