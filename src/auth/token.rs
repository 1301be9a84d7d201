//! Programs: what they present instead of a session.

use std::sync::{Arc, OnceLock};

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header;
use axum::http::request::Parts;
use sha2::{Digest, Sha256};

use super::User;
use crate::app::App;
use crate::error::{Error, Result};
use crate::rate::Standing;
use crate::store::owners;
use crate::store::scope::All;
use crate::store::tokens::{self, Token};
use crate::store::users::{self, Identity};

/// A program with a token, which acts as the person whose token it is, with at most their rights.
#[derive(Clone, Debug)]
pub struct Client {
    /// The person, with the rights narrowed to the token's.
    pub user: User,
    pub token: Token,
}

impl<S> FromRequestParts<S> for Client
where
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let app = App::from_ref(state);
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let secret = presented(header).and_then(|bytes| String::from_utf8(bytes).ok());
        // what cannot be a token costs no connection
        let secret = secret.filter(|secret| tokens::plausible(secret)).ok_or(Error::Unauthorized)?;
        let from = super::address_of(parts, &app);
        let mut db = app.door().await?;
        let token = tokens::by_secret(&mut db, &secret).await?.ok_or(Error::Unauthorized)?;
        spend(&app, parts, &token)?;
        let who = users::identity(&mut db, token.user_id).await?.ok_or(Error::Unauthorized)?;
        tokens::used(&mut db, &token, from).await?;
        drop(db);
        if !token.may_write && !parts.method.is_safe() {
            return Err(Error::Forbidden);
        }
        let mut user = User::new(who, from);
        if let Some(owner) = token.owner_id {
            user.who = restricted(&app, user.who, owner).await?;
            user.chooses = user.sees_several();
        }
        user.through = format!("token {}", token.name);
        user.read_only = !token.may_write;
        Ok(Self { user, token })
    }
}

/// How the token of a request stands, for who tells it with the answer.
#[derive(Clone, Debug, Default)]
pub struct Spent(Arc<OnceLock<Standing>>);

impl Spent {
    /// `None`: no token, or no limit.
    pub fn standing(&self) -> Option<Standing> {
        self.0.get().copied()
    }
}

/// Takes one of the token's requests, once a request. `TooFast` when there is none.
fn spend(app: &App, parts: &Parts, token: &Token) -> Result<()> {
    let spent = parts.extensions.get::<Spent>();
    let before = spent.and_then(Spent::standing);
    let Some(standing) = before.or_else(|| app.rate().take(token.id)) else { return Ok(()) };
    if let Some(spent) = spent {
        spent.0.get_or_init(|| standing);
    }
    standing.wait.map_or(Ok(()), |wait| Err(Error::TooFast(wait)))
}

/// Narrowed to one owner: an admin becomes a manager of it. One that is removed, or that the person sees no
/// longer, leaves nothing to see.
async fn restricted(app: &App, mut who: Identity, owner: i64) -> Result<Identity> {
    if who.admin {
        let all = All::admin();
        let there = !owners::among(&mut app.db(all).await?, &all.into(), &[owner]).await?.is_empty();
        (who.admin, who.sees, who.manages) = (false, Vec::new(), Vec::new());
        if there {
            (who.sees, who.manages) = (vec![owner], vec![owner]);
        }
    }
    who.sees.retain(|id| *id == owner);
    who.manages.retain(|id| *id == owner);
    Ok(who)
}

/// What the `Authorization` header presents, as bearer token or as the password of basic authentication.
fn presented(header: Option<&str>) -> Option<Vec<u8>> {
    use base64::Engine;
    let (scheme, rest) = header?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Some(rest.trim().as_bytes().to_vec())
    } else if scheme.eq_ignore_ascii_case("basic") {
        let decoded = base64::engine::general_purpose::STANDARD.decode(rest.trim()).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        Some(decoded[colon + 1..].to_vec())
    } else {
        None
    }
}

/// Whether the `Authorization` header presents one of the tokens (SHA-256 each).
pub fn carries_token(header: Option<&str>, tokens: &[[u8; 32]]) -> bool {
    let Some(presented) = presented(header) else { return false };
    // comparing hashes tells nothing about the token by its timing
    let hash: [u8; 32] = Sha256::digest(&presented).into();
    tokens.contains(&hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_and_basic_carry_the_token() {
        let tokens = [Sha256::digest("old-token").into(), Sha256::digest("new-token").into()];
        assert!(carries_token(Some("Bearer new-token"), &tokens));
        assert!(carries_token(Some("bearer old-token"), &tokens));
        assert!(carries_token(Some("Basic YW55Om5ldy10b2tlbg=="), &tokens));
        for header in [
            None,
            Some(""),
            Some("Bearer"),
            Some("Bearer x"),
            Some("Basic !!"),
            Some("Basic eA=="),
            Some("Digest new-token"),
        ] {
            assert!(!carries_token(header, &tokens), "{header:?}");
        }
    }
}
