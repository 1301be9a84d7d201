//! Passwords: argon2id off the async threads, two at a time, on memory that is used again.
//! glibc keeps much of what argon2's large blocks once took, so a fresh allocation a login grows
//! the process by 100 MB and more; two kept ones stay at 40 MB of mapped and 0 of growing memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// At most so many hashes at the same time, each on a thread; the rest waits.
const AT_A_TIME: usize = 2;
/// At most so many wait, a second or two of work; who comes then is told to come again. It is more than one
/// address may have in the line at once ([`crate::store::attempts::FROM_AN_ADDRESS`]).
const WAITING: usize = 64;
/// How long a login may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
static QUEUE: Queue = Queue::new(AT_A_TIME, WAITING);
static MEMORY: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());
/// What an unknown name's password is compared with, so that the answer takes as long: a hash with
/// [`Params::default`], which a test checks, of a password that nobody was told.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$UisjBEco1nQx6/Ur5ubYYA$uJnFlV8Y03f1Fh/2FGIJ6UXXgj9/gt5x5ZhYTW+M3z0";

tokio::task_local! {
    /// Counts the runs of argon2 that a task asks for, where it is in scope. For tests, which run many
    /// tasks in one process.
    pub static RUNS: Arc<AtomicUsize>;
}

/// Hashes a password into PHC string format (argon2id, m=19456, t=2, p=1).
pub async fn hash(password: String) -> Result<String> {
    QUEUE.run(move || compute(password.as_bytes())).await?
}

/// Whether the password is the one of the hash. Takes as long when there is no hash.
pub async fn verify(password: String, hash: Option<String>) -> Result<bool> {
    QUEUE
        .run(move || {
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

/// A line with an end: some work, some wait, and whoever comes then is refused at once.
struct Queue {
    turns: Semaphore,
    places: Semaphore,
}

impl Queue {
    const fn new(at_a_time: usize, waiting: usize) -> Self {
        Self { turns: Semaphore::const_new(at_a_time), places: Semaphore::const_new(at_a_time + waiting) }
    }

    /// Runs `work` on a thread when its turn comes. `Unavailable` when the line is full, or takes too long.
    async fn run<T: Send + 'static>(&'static self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = || Error::Unavailable("Too many people are logging in. Try again in a moment.".into());
        let place = self.places.try_acquire().map_err(|_| busy())?;
        let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
        let turn = turn.map_err(|_| busy())?.map_err(Error::internal)?;
        // out of scope everywhere but in tests
        let _ = RUNS.try_with(|runs| runs.fetch_add(1, Ordering::Relaxed));
        let work = move || {
            // held by the work and not by the request, whose client may go away while it runs
            let _held = (place, turn);
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)
    }
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

    #[tokio::test(flavor = "multi_thread")]
    async fn who_finds_the_line_full_is_told_at_once() {
        static LINE: Queue = Queue::new(2, 3);
        let (gate, waits) = std::sync::mpsc::channel::<()>();
        let waits = Arc::new(Mutex::new(waits));
        let begun = Arc::new(AtomicUsize::new(0));
        let come = || {
            let (waits, begun) = (waits.clone(), begun.clone());
            tokio::spawn(LINE.run(move || {
                begun.fetch_add(1, Ordering::SeqCst);
                waits.lock().unwrap().recv().unwrap();
            }))
        };
        let inside: Vec<_> = (0..5).map(|_| come()).collect();
        while LINE.places.available_permits() > 0 || begun.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(LINE.run(|| ()).await, Err(Error::Unavailable(_))));
        // clients that go away: those who wait leave the line, and what runs goes on in its turn
        for request in inside {
            request.abort();
            let _ = request.await;
        }
        assert_eq!((LINE.places.available_permits(), LINE.turns.available_permits()), (3, 0));
        let next = come();
        while LINE.places.available_permits() > 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(begun.load(Ordering::SeqCst), 2, "more than two at a time");
        for _ in 0..3 {
            gate.send(()).unwrap();
        }
        next.await.unwrap().unwrap();
        assert_eq!(begun.load(Ordering::SeqCst), 3);
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
