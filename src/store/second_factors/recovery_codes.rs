//! Codes that let somebody in once without the app: shown once, kept as hashes. They need no key, so they
//! work also when `PROMMGR_SECRET_KEY` is lost.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::store::schema::recovery_codes;
use crate::store::users::random_text;

/// How many somebody has at first.
const SET: usize = 10;
/// Characters of a code, 5 bits each: too many to try, also for whoever has the hashes.
const LENGTH: usize = 16;

/// A code as it is kept, out of what somebody typed: without blanks and dashes, in small letters. `None`
/// when it cannot be one.
pub(super) fn typed(text: &str) -> Option<String> {
    let code: String =
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).take(LENGTH + 1).collect();
    (code.chars().count() == LENGTH).then_some(code)
}

fn shown(code: &str) -> String {
    let groups = code.as_bytes().chunks(4).map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join("-")
}

fn hash(user: i64, code: &str) -> Vec<u8> {
    Sha256::new().chain_update(user.to_be_bytes()).chain_update(code).finalize().to_vec()
}

/// Makes new ones in the place of the old, and returns them as they are shown.
pub(super) async fn renew(conn: &mut AsyncPgConnection, user: i64) -> Result<Vec<String>> {
    let codes: Vec<_> = (0..SET).map(|_| random_text(LENGTH)).collect();
    diesel::delete(recovery_codes::table.filter(recovery_codes::user_id.eq(user))).execute(conn).await?;
    let rows: Vec<_> = codes
        .iter()
        .map(|code| (recovery_codes::user_id.eq(user), recovery_codes::hash.eq(hash(user, code))))
        .collect();
    diesel::insert_into(recovery_codes::table).values(rows).execute(conn).await?;
    Ok(codes.iter().map(|code| shown(code)).collect())
}

/// Uses one up. Of two that try at the same moment the database lets one delete it.
pub(super) async fn spend(conn: &mut AsyncPgConnection, user: i64, code: &str) -> Result<bool> {
    Ok(diesel::delete(recovery_codes::table.find((user, hash(user, code)))).execute(conn).await? == 1)
}

/// How many are left.
pub(super) async fn left(conn: &mut AsyncPgConnection, user: i64) -> Result<i64> {
    Ok(recovery_codes::table.filter(recovery_codes::user_id.eq(user)).count().get_result(conn).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let code = "abcdefghjkmn2345";
        for text in
            ["abcd-efgh-jkmn-2345", " ABCD efgh\tjkmn 2345\n", "abcdefghjkmn2345", "abcd–efgh–jkmn–2345"]
        {
            assert_eq!(typed(text).as_deref(), Some(code), "{text}");
        }
        assert_eq!(shown(code), "abcd-efgh-jkmn-2345");
        for text in ["", "123456", "abcd-efgh-jkmn-234", "abcd-efgh-jkmn-23456"] {
            assert_eq!(typed(text), None, "{text}");
        }
    }

    #[test]
    fn a_hash_is_one_persons() {
        assert_ne!(hash(1, "abcdefghjkmn2345"), hash(2, "abcdefghjkmn2345"));
    }
}
