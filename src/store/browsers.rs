//! Browsers in which a person has logged in before. A random secret in a long-lived cookie says so; it opens
//! no door, but gives its browser attempts of its own, so that nobody can lock its owner out by guessing.
//! These are OWASP's device cookies:
//! <https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies>.

use diesel::QueryableByName;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Bytea, Nullable, Text};
use diesel_async::RunQueryDsl;
use sha2::{Digest, Sha256};

use super::schema::known_browsers;
use super::scope::All;
use super::{Db, users};
use crate::error::Result;

/// A browser that is not used for a login is forgotten after so many days.
pub const DAYS: i64 = 180;
/// Browsers known of a person, the last used.
const MOST: i64 = 20;

fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret).to_vec()
}

/// Who knocks, by the name that was typed.
#[derive(Debug, QueryableByName)]
pub struct Knock {
    /// The name as the database compares names.
    #[diesel(sql_type = Text)]
    pub account: String,
    /// Whose name it is; `None` when nobody's.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub user: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    pub password_hash: Option<String>,
    #[diesel(sql_type = Bool)]
    pub disabled: bool,
    /// Whether this person has logged in before in the browser that asks.
    #[diesel(sql_type = Bool)]
    pub known: bool,
}

/// Looks a name up, and the browser's secret where it has one. It is one query whether somebody has
/// the name or nobody.
pub async fn knock(db: &mut Db, name: &str, secret: Option<&str>) -> Result<Knock> {
    let knock = diesel::sql_query(
        "select typed.account, u.id as \"user\", p.hash as password_hash, \
           u.disabled_at is not null as disabled, b.hash is not null as known \
         from (select lower($1) as account) typed \
         left join users u on lower(u.name) = typed.account left join passwords p on p.user_id = u.id \
         left join known_browsers b on b.user_id = u.id and b.hash = $2 and b.expires_at > now()",
    )
    .bind::<Text, _>(name.trim())
    .bind::<Nullable<Bytea>, _>(secret.map(hash))
    .get_result(db.conn())
    .await?;
    Ok(knock)
}

/// Knows this browser from now on, for [`DAYS`] days; returns the secret for its cookie. It is a fresh one
/// unless the browser was known for this person, so one that somebody planted is worth nothing.
pub async fn remember(db: &mut Db, user: i64, presented: Option<&str>) -> Result<String> {
    db.transaction(async |conn| {
        if let Some(secret) = presented {
            let renewed = diesel::sql_query(
                "update known_browsers set expires_at = now() + $3 * interval '1 day' \
                     where hash = $1 and user_id = $2 and expires_at > now()",
            )
            .bind::<Bytea, _>(hash(secret))
            .bind::<BigInt, _>(user)
            .bind::<BigInt, _>(DAYS)
            .execute(conn)
            .await?;
            if renewed > 0 {
                return Ok(secret.to_owned());
            }
        }
        let secret = users::random_text(32);
        // others who log in with the same browser stay known in it
        diesel::sql_query(
            "insert into known_browsers (hash, user_id, expires_at) \
                 select $1, user_id, expires_at from known_browsers where hash = $2 and user_id <> $3 \
                 union all select $1, $3, now() + $4 * interval '1 day'",
        )
        .bind::<Bytea, _>(hash(&secret))
        .bind::<Nullable<Bytea>, _>(presented.map(hash))
        .bind::<BigInt, _>(user)
        .bind::<BigInt, _>(DAYS)
        .execute(conn)
        .await?;
        diesel::sql_query(
            "delete from known_browsers where user_id = $1 and hash in (select hash from known_browsers \
                 where user_id = $1 order by expires_at desc offset $2)",
        )
        .bind::<BigInt, _>(user)
        .bind::<BigInt, _>(MOST)
        .execute(conn)
        .await?;
        Ok(secret)
    })
    .await
}

/// Forgets browsers that were not used for long. A step of the worker.
pub async fn sweep(db: &mut Db, _: All) -> Result<usize> {
    let old = known_browsers::table.filter(known_browsers::expires_at.le(diesel::dsl::now));
    db.transaction(async |conn| Ok(diesel::delete(old).execute(conn).await?)).await
}
