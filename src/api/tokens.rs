//! A person's tokens for programs. One that makes another gives it at most its own rights.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::Items;
use super::ask::Body;
use crate::app::App;
use crate::auth::Client;
use crate::error::{Error, Fields, Result};
use crate::face::Path;
use crate::store::owners;
use crate::store::tokens::{self, NewToken, access};

/// A token, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiToken)]
pub struct Token {
    id: i64,
    name: String,
    /// The first characters of its secret.
    hint: String,
    /// `read` or `write`
    access: &'static str,
    /// The one owner that it is restricted to.
    owner_id: Option<i64>,
    created_at: Timestamp,
    /// `null`: never.
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

impl From<tokens::Token> for Token {
    fn from(token: tokens::Token) -> Self {
        Self {
            id: token.id,
            access: access(token.may_write),
            name: token.name,
            hint: token.hint,
            owner_id: token.owner_id,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        }
    }
}

/// What a token is for.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    #[default]
    Read,
    Write,
}

/// A new token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "provisioning", "access": "write", "expires_in": "90d"}))]
pub struct TokenBody {
    name: String,
    /// `read` unless given.
    #[serde(default)]
    access: Access,
    /// Restricts it to one owner.
    owner_id: Option<i64>,
    /// As `90d` or `12h`; never, unless given.
    expires_in: Option<String>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub struct MadeToken {
    #[serde(flatten)]
    token: Token,
    /// Shown this once.
    secret: String,
}

/// `GET /api/v1/tokens`: the person's own, the newest first.
#[utoipa::path(get, path = "/api/v1/tokens", operation_id = "list_tokens", summary = "List your tokens", tag = "tokens",
    description = "Those of the person whose token asks, the newest first; at most 100.",
    responses((status = 200, body = Items<Token>)))]
pub async fn list(State(app): State<App>, client: Client) -> Result<Json<Items<Token>>> {
    let found = tokens::of(&mut app.door().await?, client.user.id()).await?;
    // one that is restricted to an owner reads nothing of where the others reach
    let reached =
        |token: &tokens::Token| client.token.owner_id.is_none_or(|owner| token.owner_id == Some(owner));
    let items = found.into_iter().filter(reached).map(Token::from).collect();
    Ok(Json(Items { items, next_cursor: None }))
}

/// `POST /api/v1/tokens`: makes one, with at most the rights of the one that asks.
#[utoipa::path(post, path = "/api/v1/tokens", operation_id = "add_token", summary = "Make a token", tag = "tokens",
    description = "With at most the rights of the token that asks: of its owner where it is restricted to one, and no longer than it lives itself. \
        The secret is in this answer and nowhere else.",
    request_body = TokenBody, responses((status = 201, body = MadeToken)))]
pub async fn create(State(app): State<App>, client: Client, Body(body): Body<TokenBody>) -> Result<Response> {
    let (user, own) = (&client.user, &client.token);
    let owner_id = body.owner_id.or(own.owner_id);
    let mut fields = Fields::default();
    let new =
        match NewToken::check(&body.name, matches!(body.access, Access::Write), body.expires_in.as_deref()) {
            Ok(new) => Some(new),
            Err(Error::Invalid(wrong)) => {
                fields = wrong;
                None
            }
            Err(error) => return Err(error),
        };
    let mut db = app.db(user).await?;
    let owner = match owner_id {
        None => None,
        Some(id) => match owners::find(&mut db, &user.scope(), id).await {
            Ok(owner) => Some(owner),
            Err(Error::NotFound) => {
                fields.add("owner_id", "There is no such owner.");
                None
            }
            Err(error) => return Err(error),
        },
    };
    drop(db);
    if let (Some(new), Some(end)) = (&new, own.expires_at)
        && new.expires_at().is_none_or(|at| at > end)
    {
        fields.add("expires_in", format!("Not longer than this token itself, which expires at {end}."));
    }
    fields.into_result()?;
    let new = new.ok_or_else(|| Error::internal("a token that was not checked"))?;
    let mut db = app.door().await?;
    let secret = tokens::create(&mut db, user.id(), owner.as_ref(), new, &user.actor()).await?;
    let token = tokens::by_secret(&mut db, &secret).await?.ok_or(Error::NotFound)?;
    Ok((StatusCode::CREATED, Json(MadeToken { token: token.into(), secret })).into_response())
}

/// `DELETE /api/v1/tokens/{id}`: revokes one of the person's own, also the one that asks.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", operation_id = "revoke_token", summary = "Revoke a token", tag = "tokens",
    description = "One of the person's own, also the one that asks.",
    params(("id" = i64, Path)), responses((status = 204)))]
pub async fn revoke(State(app): State<App>, client: Client, Path(id): Path<i64>) -> Result<StatusCode> {
    let mut db = app.door().await?;
    if let Some(owner) = client.token.owner_id {
        let found = tokens::of(&mut db, client.user.id()).await?;
        let reached = found.iter().any(|token| token.id == id && token.owner_id == Some(owner));
        if !reached {
            return Err(Error::NotFound);
        }
    }
    tokens::revoke(&mut db, client.user.id(), id, &client.user.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}
