//! Single sign-on with OpenID Connect: the authorization code flow with PKCE (S256), `state` and `nonce`.
//! This room speaks with the provider; `web::sso` speaks with the browser, `store::identities` keeps
//! who is who. Nothing here asks the provider before somebody wants to log in.

#[cfg(not(feature = "sso"))]
mod absent;
#[cfg(feature = "sso")]
mod discovery;
#[cfg(feature = "sso")]
mod provider;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[cfg(not(feature = "sso"))]
pub use self::absent::Provider;
#[cfg(feature = "sso")]
pub use self::provider::Provider;

/// Where the provider sends people back to.
pub const CALLBACK: &str = "/login/sso/callback";
/// How long a person may take at the provider, seconds.
pub const PATIENCE: i64 = 600;

#[cfg(feature = "sso")]
const DOWN: &str =
    "The single sign-on does not answer just now. Try again in a moment, or log in with a password.";
#[cfg(feature = "sso")]
const ODD: &str = "The single sign-on answered in a way that cannot be used. Whoever runs this prommgr finds the reason in its log.";

/// What a trip to the provider is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// To log in as whoever comes back.
    LogIn,
    /// To show anew that this person is still at the keyboard.
    Confirm { user: i64 },
    /// To have this person's account opened by that identity from then on.
    Link { user: i64 },
}

/// A trip to the provider that has begun; the browser's session keeps it until it comes back, once.
#[derive(Clone, Serialize, Deserialize)]
pub struct Trip {
    state: String,
    nonce: String,
    verifier: String,
    /// When it began, seconds since 1970.
    began: i64,
    pub purpose: Purpose,
}

impl fmt::Debug for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // without its secrets
        f.debug_struct("Trip").field("purpose", &self.purpose).field("began", &self.began).finish()
    }
}

impl Trip {
    /// Whether it is this trip that comes back.
    pub fn is(&self, state: &str) -> bool {
        // comparing hashes tells nothing by its timing
        Sha256::digest(&self.state) == Sha256::digest(state)
    }

    /// Whether it took too long.
    pub fn is_over(&self) -> bool {
        Timestamp::now().as_second() - self.began > PATIENCE
    }
}

/// Who came back, as the provider proves it.
#[derive(Debug)]
pub struct Visitor {
    /// The provider's lasting id of the person.
    pub subject: String,
    /// What the person may be called here, the best first.
    pub names: Vec<String>,
    pub groups: Vec<String>,
    /// When the person last showed the provider who they are, seconds since 1970, where it tells.
    pub authenticated: Option<i64>,
}

/// Why there is no visitor. The texts are for the person.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// The provider does not answer, or not as one does.
    #[error("{0}")]
    Unavailable(&'static str),
    /// What came back proves nothing.
    #[error("{0}")]
    Refused(&'static str),
}
