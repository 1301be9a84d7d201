//! What is asked for after the password, and what an answer to it is worth.

use std::net::IpAddr;

use diesel::prelude::*;
use diesel::sql_types::{Bigint, Binary, Bool, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use serde_json::json;

use super::{PURPOSE, recovery_codes, without_blanks};
use crate::error::{Error, Result};
use crate::store::Db;
use crate::store::audit::{self, Event};
use crate::store::changes::Actor;
use crate::totp::{Secret, Worth};
use crate::vault::Vault;

/// After so many wrong codes in a row no code is tried for a while, twice as long each time.
const TRIES: i32 = 5;
const LONGEST_BLOCK_MINUTES: i64 = 24 * 60;

/// What a login waits with for the second factor: it changes with the password and with the factor.
/// `None` for somebody who has none, or is disabled.
pub async fn bond(db: &mut Db, user: i64) -> Result<Option<String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        bond: String,
    }
    let found: Option<Row> = diesel::sql_query(
        "select encode(sha256(convert_to(coalesce(p.hash, '') || f.enabled_at::text, 'UTF8')), 'hex') as bond \
         from users u join second_factors f on f.user_id = u.id left join passwords p on p.user_id = u.id \
         where u.id = $1 and u.disabled_at is null and f.secret is not null",
    )
    .bind::<Bigint, _>(user)
    .get_result(db.conn())
    .await
    .optional()?;
    Ok(found.map(|row| row.bond))
}

/// What somebody's answer to the second question is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The app's code is right, and used up now.
    Code,
    /// A recovery code is right, and used up now.
    RecoveryCode { left: i64 },
    /// Neither six digits nor as long as a recovery code.
    Unclear,
    /// Not right.
    Wrong,
    /// It was right, but it or a later one was used before.
    Used,
    /// Not right, for the last time for so many seconds.
    LastWrong { seconds: i64 },
    /// Not tried, as too many were wrong; for so many seconds yet. Recovery codes are.
    Blocked { seconds: i64 },
    /// The app's codes cannot be checked: no key opens the secret. Recovery codes can.
    Unreadable,
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = Binary)]
    secret: Vec<u8>,
    #[diesel(sql_type = Bigint)]
    last_step: i64,
    #[diesel(sql_type = Integer)]
    wrong: i32,
    #[diesel(sql_type = Bigint)]
    blocked_for: i64,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    admin: bool,
}

/// Checks an answer: a code of the app or a recovery code. The row is locked meanwhile, so that of two that
/// bring the same code at the same moment one is refused, and wrong ones are all counted. `Unauthorized` for
/// somebody without a second factor.
pub async fn check(
    db: &mut Db,
    vault: &Vault,
    user: i64,
    text: &str,
    at: Timestamp,
    from: Option<IpAddr>,
) -> Result<Answer> {
    db.transaction(async |conn| {
        let kept: Kept = diesel::sql_query(
            "select f.secret, f.last_step, f.wrong, u.name, u.admin, \
                   greatest(ceil(extract(epoch from f.blocked_until - now())), 0)::bigint as blocked_for \
                 from second_factors f join users u on u.id = f.user_id \
                 where f.user_id = $1 and f.secret is not null for update of f",
        )
        .bind::<Bigint, _>(user)
        .get_result(conn)
        .await
        .optional()?
        .ok_or(Error::Unauthorized)?;
        let code = without_blanks(text);
        let answer = if code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()) {
            check_code(conn, vault, user, &kept, &code, at).await?
        } else if let Some(code) = recovery_codes::typed(text) {
            if recovery_codes::spend(conn, user, &code).await? {
                right(conn, user, kept.last_step).await?;
                Answer::RecoveryCode { left: recovery_codes::left(conn, user).await? }
            } else {
                Answer::Wrong
            }
        } else {
            Answer::Unclear
        };
        let wrong = kept.wrong + 1;
        let answer = match answer {
            Answer::Wrong | Answer::Used => count_wrong(conn, user, wrong, answer).await?,
            other => other,
        };
        let by = Actor { id: Some(user), from, staff: kept.admin, ..Actor::program(&kept.name) };
        let event = |action| Event::new(action, &kept.name).id(user);
        match answer {
            Answer::RecoveryCode { left } => {
                let used = event("second_factor.recovery_code_used").made(json!({"left": left}));
                audit::note(conn, &by, used).await?;
            }
            Answer::LastWrong { .. } => {
                let blocked = event("second_factor.blocked").made(json!({"wrong_codes": wrong}));
                audit::note(conn, &by, blocked).await?;
            }
            _ => {}
        }
        Ok(answer)
    })
    .await
}

async fn check_code(
    conn: &mut AsyncPgConnection,
    vault: &Vault,
    user: i64,
    kept: &Kept,
    code: &str,
    at: Timestamp,
) -> Result<Answer> {
    if kept.blocked_for > 0 {
        return Ok(Answer::Blocked { seconds: kept.blocked_for });
    }
    let Some(secret) = vault.open(PURPOSE, user, &kept.secret).map(Secret::from_bytes) else {
        tracing::error!(user, "PROMMGR_SECRET_KEY does not open this person's second factor");
        return Ok(Answer::Unreadable);
    };
    Ok(match secret.worth(code, at, kept.last_step)? {
        Worth::Holds(step) => {
            right(conn, user, step).await?;
            Answer::Code
        }
        Worth::Used => Answer::Used,
        Worth::Nothing => Answer::Wrong,
    })
}

async fn right(conn: &mut AsyncPgConnection, user: i64, step: i64) -> Result<()> {
    diesel::sql_query(
        "update second_factors set last_step = $2, wrong = 0, blocked_until = null where user_id = $1",
    )
    .bind::<Bigint, _>(user)
    .bind::<Bigint, _>(step)
    .execute(conn)
    .await?;
    Ok(())
}

/// Somebody who guesses knows the password already. A block that doubles leaves them five guesses a day in
/// the end, and the person a way in by a recovery code.
async fn count_wrong(conn: &mut AsyncPgConnection, user: i64, wrong: i32, answer: Answer) -> Result<Answer> {
    let minutes = block(wrong);
    diesel::sql_query(
        "update second_factors set wrong = $2, \
           blocked_until = coalesce(now() + $3 * interval '1 minute', blocked_until) where user_id = $1",
    )
    .bind::<Bigint, _>(user)
    .bind::<Integer, _>(wrong)
    .bind::<Nullable<Bigint>, _>(minutes)
    .execute(conn)
    .await?;
    Ok(minutes.map_or(answer, |minutes| Answer::LastWrong { seconds: minutes * 60 }))
}

/// For how many minutes no code is tried after so many wrong ones.
fn block(wrong: i32) -> Option<i64> {
    let doubled = (wrong / TRIES - 1).clamp(0, 30);
    (wrong % TRIES == 0).then(|| (1_i64 << doubled).min(LONGEST_BLOCK_MINUTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_double_up_to_a_day() {
        let blocks: Vec<_> = (1..=15).map(block).collect();
        let mut expected = vec![None; 15];
        (expected[4], expected[9], expected[14]) = (Some(1), Some(2), Some(4));
        assert_eq!(blocks, expected);
        assert_eq!(block(55), Some(1024));
        assert_eq!(block(60), Some(1440));
        assert_eq!(block(i32::MAX - i32::MAX % 5), Some(1440));
    }
}
