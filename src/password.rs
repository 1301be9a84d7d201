//! Passwords: argon2id off the async threads, two at a time, on memory that is used again.
//! glibc keeps much of what argon2's large blocks once took, so a fresh allocation a login grows
//! the process by 100 MB and more; two kept ones stay at 40 MB of mapped and 0 of growing memory.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// At most so many hashes at the same time; the rest waits.
const AT_A_TIME: usize = 2;
/// How long a login may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
static TURNS: Semaphore = Semaphore::const_new(AT_A_TIME);
static MEMORY: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());
/// What an unknown name's password is compared with, so that the answer takes as long: a hash with
/// [`Params::default`], which a test checks, of a password that nobody was told.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$UisjBEco1nQx6/Ur5ubYYA$uJnFlV8Y03f1Fh/2FGIJ6UXXgj9/gt5x5ZhYTW+M3z0";

/// Hashes a password into PHC string format (argon2id, m=19456, t=2, p=1).
pub async fn hash(password: String) -> Result<String> {
    in_turn(move || compute(password.as_bytes())).await?
}

/// Whether the password is the one of the hash. Takes as long when there is no hash.
pub async fn verify(password: String, hash: Option<String>) -> Result<bool> {
    in_turn(move || {
        let known = hash.is_some();
        let parsed = PasswordHash::new(hash.as_deref().unwrap_or(NOBODY)).map_err(Error::internal)?;
        let (Some(salt), Some(expected)) = (parsed.salt, parsed.hash) else {
            return Err(Error::internal("a password hash without salt or output"));
        };
        let params = Params::try_from(&parsed).map_err(Error::internal)?;
        let actual = output(password.as_bytes(), &salt, params)?;
        Ok(known & (actual == expected))
    })
    .await?
}

async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let _turn = tokio::time::timeout(PATIENCE, TURNS.acquire())
        .await
        .map_err(|_| Error::Unavailable("Too many people are logging in. Try again in a moment.".into()))?
        .map_err(Error::internal)?;
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
}

fn compute(password: &[u8]) -> Result<String> {
    let salt = Salt::generate();
    let params = Params::default();
    let hash = output(password, &salt, params.clone())?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: params.try_into().map_err(Error::internal)?,
        salt: Some(salt),
        hash: Some(hash),
    };
    Ok(hash.to_string())
}

fn output(password: &[u8], salt: &Salt, params: Params) -> Result<Output> {
    let mut memory = MEMORY.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
    memory.resize(params.block_count(), Block::new());
    let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
    let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
        password,
        salt.as_ref(),
        &mut out,
        &mut memory,
    );
    MEMORY.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
    done.map_err(Error::internal)?;
    Output::new(&out).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_name_passes() {
        let hash = hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!verify("wrong".into(), Some(hash)).await.unwrap());
        assert!(!verify("nobody".into(), None).await.unwrap());
    }

    #[test]
    fn nobody_costs_what_everybody_does() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let costs = |params: Params| (params.m_cost(), params.t_cost(), params.p_cost());
        assert_eq!(costs(Params::try_from(&nobody).unwrap()), costs(Params::default()));
        assert_eq!(nobody.hash.unwrap().len(), Params::DEFAULT_OUTPUT_LEN);
        assert!(nobody.salt.is_some());
    }
}
