//! Who says who they are, by a password: checked at a pace that no guessing keeps up with.

use super::Browser;
use crate::app::App;
use crate::error::Result;
use crate::password;
use crate::store::attempts::{self, Bucket};
use crate::store::{browsers, users};

/// The longest that is looked at, bytes.
const LONGEST: usize = 4096;
/// Of a person who is signed in and shall confirm it, each 15 minutes. When somebody else has used them up,
/// logging in anew confirms as well.
const CONFIRMATIONS: u32 = 10;

/// Checks name and password; returns the person's id, and what ties their session to this password. An unknown name, a wrong password and somebody disabled
/// take the same path, with one run of argon2. `TooMany` without any, when the address or the name has had
/// its attempts; a browser in which the person has logged in before has some of its own.
pub async fn check_login(
    app: &App,
    name: &str,
    password: &str,
    browser: &Browser,
) -> Result<Option<(i64, String)>> {
    if password.len() > LONGEST || name.len() > LONGEST || name.contains('\0') {
        return Ok(None);
    }
    let secret = browser.secret.as_deref();
    let mut db = app.door().await?;
    let knock = browsers::knock(&mut db, name, secret).await?;
    let buckets = match secret {
        Some(secret) if knock.known => attempts::of_a_known_browser(&knock.account, secret),
        _ => attempts::of_a_stranger(browser.from, &knock.account),
    };
    attempts::spend(&mut db, &buckets).await?;
    // the line at argon2 may be long, and connections are few
    drop(db);
    let bond = users::bond(knock.password_hash.as_deref().unwrap_or_default());
    let right = password::verify(password.to_owned(), knock.password_hash).await;
    let checked = right.map(|right| knock.user.filter(|_| right && !knock.disabled).map(|id| (id, bond)));
    // only what was looked at and found wrong costs an attempt
    if !matches!(checked, Ok(None)) {
        attempts::give_back(&mut app.door().await?, &buckets).await?;
    }
    checked
}

/// Whether this is the person's password; `false` when they have none. `TooMany` as [`check_login`].
pub async fn check_password(app: &App, id: i64, password: &str) -> Result<bool> {
    if password.len() > LONGEST {
        return Ok(false);
    }
    let mut db = app.door().await?;
    let bucket = [Bucket::new("password", id, CONFIRMATIONS)];
    attempts::spend(&mut db, &bucket).await?;
    let hash = users::password_hash(&mut db, id).await?;
    drop(db);
    let right = password::verify(password.to_owned(), hash).await;
    if !matches!(right, Ok(false)) {
        attempts::give_back(&mut app.door().await?, &bucket).await?;
    }
    right
}
