//! Who is asking. A handler's signature is its permission: [`User`] is anybody signed in,
//! [`Admin`] an admin; what either may see and change comes from its scopes.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tower_sessions::Session;

use crate::address::Reach;
use crate::app::App;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::store::changes::Actor;
use crate::store::scope::{All, Scope, Writing};
use crate::store::sessions::USER_KEY;
use crate::store::users::{self, Identity};

/// When the session was last used, seconds; renewed every few minutes so that the session lives on.
const SEEN_KEY: &str = "seen";
const SEEN_EVERY: i64 = 300;

/// Somebody signed in.
#[derive(Clone, Debug)]
pub struct User(Identity);

impl User {
    /// The login name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether this is an admin.
    pub fn is_admin(&self) -> bool {
        self.0.admin
    }

    /// What this person may see.
    pub fn scope(&self) -> Scope {
        if self.0.admin { All::admin().into() } else { Scope::of(self.0.sees.as_slice()) }
    }

    /// What this person may change, beside what they may see.
    pub fn writing(&self) -> Writing {
        if self.0.admin {
            return All::admin().into();
        }
        Writing::of(self.scope(), Scope::of(self.0.manages.as_slice()))
    }

    /// Whether this person may change anything at all.
    pub fn changes_something(&self) -> bool {
        self.0.admin || !self.0.manages.is_empty()
    }

    /// Whether this person may change what belongs to an owner.
    pub fn manages(&self, owner: i64) -> bool {
        self.0.admin || self.0.manages.contains(&owner)
    }

    /// Whether this person sees more than one owner, so that lists have to name them.
    pub fn sees_several(&self) -> bool {
        self.0.admin || self.0.sees.len() > 1
    }

    /// Who is noted for a change.
    pub fn actor(&self) -> Actor {
        Actor { id: Some(self.0.id), name: self.0.name.clone() }
    }

    /// Which addresses this person may give to servers.
    pub fn reach<'a>(&self, config: &'a Config) -> Reach<'a> {
        if self.0.admin { Reach::Any(All::admin()) } else { Reach::Networks(&config.customer_networks) }
    }

    /// The proof that this is an admin, where it is one.
    pub fn all(&self) -> Option<All> {
        self.0.admin.then(All::admin)
    }
}

/// An admin. For others the page does not exist.
#[derive(Clone, Debug)]
pub struct Admin(pub User);

impl Admin {
    /// The proof for what only admins may do.
    pub fn all(&self) -> All {
        All::admin()
    }

    /// Who is noted for a change.
    pub fn actor(&self) -> Actor {
        self.0.actor()
    }
}

impl<S> FromRequestParts<S> for User
where
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let app = App::from_ref(state);
        let session = session(parts, state).await?;
        let id: Option<i64> = session.get(USER_KEY).await.map_err(unavailable)?;
        let Some(id) = id else {
            return Err(Error::Unauthorized);
        };
        let identity = users::identity(&mut app.db().await?, id).await?.ok_or(Error::Unauthorized)?;
        let now = Timestamp::now().as_second();
        let seen: i64 = session.get(SEEN_KEY).await.map_err(unavailable)?.unwrap_or(0);
        if now - seen > SEEN_EVERY {
            session.insert(SEEN_KEY, now).await.map_err(unavailable)?;
        }
        Ok(Self(identity))
    }
}

impl<S> FromRequestParts<S> for Admin
where
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let user = User::from_request_parts(parts, state).await?;
        if user.is_admin() { Ok(Self(user)) } else { Err(Error::NotFound) }
    }
}

/// The browser's session.
pub async fn session<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Session> {
    Session::from_request_parts(parts, state).await.map_err(|(_, why)| Error::internal(why))
}

/// What the session's store could not do, the database could not.
pub fn unavailable(error: tower_sessions::session::Error) -> Error {
    tracing::warn!(%error, "no session");
    Error::Unavailable("The database does not answer just now. Try again in a moment.".into())
}

/// Checks name and password. A name that does not exist takes as long as a wrong password; so
/// does a disabled one. Returns the person's id.
pub async fn check_login(app: &App, name: &str, password: &str) -> Result<Option<i64>> {
    if password.len() > 4096 || name.len() > 4096 || name.contains('\0') {
        return Ok(None);
    }
    let user = users::by_name(&mut app.db().await?, name).await?;
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let right = crate::password::verify(password.to_owned(), hash).await?;
    Ok(user.filter(|user| right && user.disabled_at.is_none()).map(|user| user.id))
}

/// Signs a person in: the session gets another id, so that one that was planted is worth nothing.
pub async fn sign_in(app: &App, session: &Session, id: i64) -> Result<()> {
    session.cycle_id().await.map_err(unavailable)?;
    session.insert(USER_KEY, id).await.map_err(unavailable)?;
    session.insert(SEEN_KEY, Timestamp::now().as_second()).await.map_err(unavailable)?;
    users::logged_in(&mut app.db().await?, id).await
}

/// Whether the `Authorization` header carries one of the tokens (SHA-256 each), as bearer token or
/// as the password of basic authentication.
pub fn carries_token(header: Option<&str>, tokens: &[[u8; 32]]) -> bool {
    use base64::Engine;
    let Some((scheme, rest)) = header.and_then(|header| header.split_once(' ')) else {
        return false;
    };
    let presented = if scheme.eq_ignore_ascii_case("bearer") {
        rest.trim().as_bytes().to_vec()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let Ok(decoded) = base64::engine::general_purpose::STANDARD.decode(rest.trim()) else {
            return false;
        };
        let Some(colon) = decoded.iter().position(|byte| *byte == b':') else {
            return false;
        };
        decoded[colon + 1..].to_vec()
    } else {
        return false;
    };
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
