//! Attempts at what could be guessed, counted across all instances. A bucket holds some attempts; each takes
//! one out, and they come back one by one, so that an empty bucket is full again after [`REFILL`].
//!
//! Whoever checks something that can be guessed spends before the check, and gives back when it was right:
//!
//! ```ignore
//! let bucket = [Bucket::new("code", user.id(), 5)];
//! attempts::spend(&mut db, &bucket).await?; // `TooMany`, for `?` to hand on: a page, or problem+json
//! if is_right(code) {
//!     attempts::give_back(&mut db, &bucket).await?;
//! }
//! ```
//!
//! So requests at the same moment cannot make more attempts than there are, and one that is broken off has
//! had its attempt. `db` is the door's. What is too long to be guessed (one-time links, tokens) needs none of it.

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Bytea, Double, Nullable};
use diesel_async::RunQueryDsl;
use sha2::{Digest, Sha256};

use super::Db;
use super::scope::All;
use crate::error::{Error, Result};

/// After so long without attempts an empty bucket is full again.
pub const REFILL: Duration = Duration::from_secs(15 * 60);
/// Wrong logins from one address (IPv6: one /64, what one machine has), whatever the names: 20 at once, then
/// one each 45 s. Enough for an office behind one address, where only the mistakes count.
pub const FROM_AN_ADDRESS: u32 = 20;
/// From one IPv6 /48, what one customer of a provider may have: 65,536 addresses as above.
pub const FROM_A_SITE: u32 = 100;
/// Wrong logins with one name by strangers, wherever they are: 50 at once, then one each 18 s, 4,800 a day.
/// More than two addresses have, so that it takes three to make strangers wait at somebody's account.
pub const AT_AN_ACCOUNT: u32 = 50;
/// From a browser in which that person has logged in before: 10 at once, then one each 90 s.
pub const FROM_A_KNOWN_BROWSER: u32 = 10;

/// From all browsers together in which that person has logged in before.
pub const FROM_KNOWN_BROWSERS: u32 = 20;

/// Some attempts that are spent together.
#[derive(Clone, Debug)]
pub struct Bucket {
    key: [u8; 32],
    /// After how long one attempt is there again, microseconds.
    step: i64,
}

impl Bucket {
    /// `attempts` at `what`, a word of the caller's, for each `subject`. Neither is stored in clear.
    pub fn new(what: &str, subject: impl Display, attempts: u32) -> Self {
        let key = Sha256::digest(format!("{what}\0{subject}")).into();
        Self { key, step: refill() / i64::from(attempts.max(1)) }
    }
}

/// What a login takes from when the browser is not known. `account` is the name as
/// [`super::browsers::knock`] folds it, whether anybody has it or not.
pub fn of_a_stranger(from: Option<IpAddr>, account: &str) -> Vec<Bucket> {
    let mut buckets = vec![Bucket::new("account", account, AT_AN_ACCOUNT)];
    match from {
        None => {}
        Some(IpAddr::V4(ip)) => buckets.push(Bucket::new("address", ip, FROM_AN_ADDRESS)),
        Some(IpAddr::V6(ip)) => {
            let bits = ip.to_bits();
            buckets.push(Bucket::new("address/64", bits >> 64, FROM_AN_ADDRESS));
            buckets.push(Bucket::new("address/48", bits >> 80, FROM_A_SITE));
        }
    }
    buckets
}

/// What a login takes from in a browser in which this person has logged in before: a bucket that nobody
/// else can empty, neither from the same address nor by trying the same name.
pub fn of_a_known_browser(account: &str, secret: &str) -> Vec<Bucket> {
    vec![
        Bucket::new("browser", format_args!("{account}\0{secret}"), FROM_A_KNOWN_BROWSER),
        // with right passwords one could know as many browsers as one likes, and fill the line at argon2
        Bucket::new("known account", account, FROM_KNOWN_BROWSERS),
    ]
}

fn binds(buckets: &[Bucket]) -> (Vec<Vec<u8>>, Vec<i64>) {
    buckets.iter().map(|bucket| (bucket.key.to_vec(), bucket.step)).unzip()
}

/// Takes one attempt out of each bucket, or none: `TooMany`, with how long to wait, when one is empty.
pub async fn spend(db: &mut Db, buckets: &[Bucket]) -> Result<()> {
    // reading comes first: a flood at an empty bucket waits for no lock and writes nothing
    if let Some(wait) = wait(db, buckets).await? {
        return Err(Error::TooMany(wait));
    }
    let (keys, steps) = binds(buckets);
    let taken = db
        .transaction(async |conn| {
            // always in the same order, so that two never wait for each other
            let taken = diesel::sql_query(
                "insert into attempts as a (key, full_at) \
                 select key, now() + step * interval '1 microsecond' \
                 from unnest($1, $2) as wanted (key, step) order by key \
                 on conflict (key) do update \
                 set full_at = greatest(a.full_at, now()) + (excluded.full_at - now()) \
                 where a.full_at + (excluded.full_at - now()) <= now() + $3 * interval '1 microsecond'",
            )
            .bind::<Array<Bytea>, _>(&keys)
            .bind::<Array<BigInt>, _>(&steps)
            .bind::<BigInt, _>(refill())
            .execute(conn)
            .await?;
            if taken < keys.len() { Err(Error::TooMany(Duration::ZERO)) } else { Ok(()) }
        })
        .await;
    match taken {
        // somebody was quicker
        Err(Error::TooMany(_)) => Err(Error::TooMany(wait(db, buckets).await?.unwrap_or_default())),
        other => other,
    }
}

/// Puts back what was spent on something that turned out right.
pub async fn give_back(db: &mut Db, buckets: &[Bucket]) -> Result<()> {
    let (keys, steps) = binds(buckets);
    let back = diesel::sql_query(
        "with given as (select key, step from unnest($1, $2) as given (key, step)), \
           held as (select key from attempts join given using (key) order by key for update of attempts) \
         update attempts a set full_at = a.full_at - given.step * interval '1 microsecond' \
         from given join held using (key) where a.key = given.key",
    )
    .bind::<Array<Bytea>, _>(keys)
    .bind::<Array<BigInt>, _>(steps);
    db.transaction(async |conn| Ok(back.execute(conn).await.map(drop)?)).await
}

fn refill() -> i64 {
    i64::try_from(REFILL.as_micros()).unwrap_or(i64::MAX)
}

/// How long until each bucket has an attempt again; `None` when each has one now.
async fn wait(db: &mut Db, buckets: &[Bucket]) -> Result<Option<Duration>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<Double>)]
        seconds: Option<f64>,
    }
    let (keys, steps) = binds(buckets);
    let row: Row = diesel::sql_query(
        "select max(extract(epoch from full_at - now()) + (step - $3) / 1e6)::float8 as seconds \
         from attempts join unnest($1, $2) as wanted (key, step) using (key)",
    )
    .bind::<Array<Bytea>, _>(keys)
    .bind::<Array<BigInt>, _>(steps)
    .bind::<BigInt, _>(refill())
    .get_result(db.conn())
    .await?;
    Ok(row.seconds.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64))
}

/// Forgets buckets that are full again. A step of the worker.
pub async fn sweep(db: &mut Db, _: All) -> Result<usize> {
    let full = diesel::sql_query("delete from attempts where full_at <= now()");
    db.transaction(async |conn| Ok(full.execute(conn).await?)).await
}
