//! API tokens: what programs present as a person. Only the SHA-256 is kept; all of it happens at the door,
//! beside the tenants' rows, and always for one person.

use std::net::IpAddr;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::{SignedDuration, Timestamp};
use jiff_diesel::ToDiesel;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::audit::{self, Event};
use super::changes::Actor;
use super::owners::{Owner, check_line};
use super::schema::{owners, tokens, users};
use super::scope::All;
use super::users::random_text;
use super::{Db, on_constraint};
use crate::error::{Error, Fields, Result};

/// What every token begins with, so that people and scanners of leaked secrets recognise one.
pub const PREFIX: &str = "prommgr_";
/// Random characters after the prefix, about 5 bits each.
const LENGTH: usize = 40;
/// Characters of a token that are kept to recognise it by.
const HINT: usize = PREFIX.len() + 4;
/// The longest that a token may live, days.
const LONGEST_DAYS: i64 = 3660;
/// Tokens a person may have.
const MOST: i64 = 100;
/// How often the use of a token is noted, at the most.
const NOTE_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// A token, without its secret.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = tokens)]
pub struct Token {
    pub id: i64,
    pub user_id: i64,
    /// The one owner that it is restricted to.
    pub owner_id: Option<i64>,
    pub name: String,
    /// Its first characters.
    pub hint: String,
    pub may_write: bool,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    pub expires_at: Option<Timestamp>,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    pub last_used_at: Option<Timestamp>,
    pub last_used_from: Option<String>,
}

impl Token {
    /// Whether it has expired.
    pub fn expired(&self) -> bool {
        self.expires_at.is_some_and(|at| at <= Timestamp::now())
    }
}

/// A new token, checked.
#[derive(Clone, Debug)]
pub struct NewToken {
    name: String,
    may_write: bool,
    expires_at: Option<Timestamp>,
}

impl NewToken {
    /// Checks the fields `name` (one line, at most 100 characters) and `expires_in` (as `90d` or `12h`; `None`: never).
    pub fn check(name: &str, may_write: bool, expires_in: Option<&str>) -> Result<Self> {
        let mut fields = Fields::default();
        let name = check_line(name, 100, &mut fields, "name");
        let expires_at = expires_in.and_then(|text| match super::thresholds::parse_duration(text) {
            Some(seconds) if seconds > 0 && i64::from(seconds) <= LONGEST_DAYS * 86_400 => {
                Timestamp::now().checked_add(SignedDuration::from_secs(seconds.into())).ok()
            }
            _ => {
                fields.add("expires_in", "A time such as 90d or 12h, at most ten years.");
                None
            }
        });
        fields.into_result()?;
        Ok(Self { name, may_write, expires_at })
    }

    /// When it will expire.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }
}

/// A name belongs to one token of a person, so that the audit tells them apart and a form that is sent twice
/// makes one.
const TAKEN: &[(&str, &str, &str)] = &[(
    "tokens_user_id_name_key",
    "name",
    "There is a token of this name already. Take another name, or revoke that one first.",
)];

/// Makes a token for the person with that id, restricted to an owner that they see where one is given, and
/// returns it: it cannot be shown again.
pub async fn create(
    db: &mut Db,
    user: i64,
    owner: Option<&Owner>,
    new: NewToken,
    by: &Actor,
) -> Result<String> {
    let secret = format!("{PREFIX}{}", random_text(LENGTH));
    db.transaction(async |conn| {
        let has: i64 = tokens::table.filter(tokens::user_id.eq(user)).count().get_result(conn).await?;
        if has >= MOST {
            return Err(Error::Conflict(format!("A person may have {MOST} tokens. Revoke one first.")));
        }
        let inserted = diesel::insert_into(tokens::table)
            .values((
                tokens::user_id.eq(user),
                tokens::owner_id.eq(owner.map(|owner| owner.id)),
                tokens::name.eq(&new.name),
                tokens::hash.eq(Sha256::digest(&secret).to_vec()),
                tokens::hint.eq(&secret[..HINT]),
                tokens::may_write.eq(new.may_write),
                tokens::expires_at.eq(new.expires_at.map(|at| at.to_diesel())),
            ))
            .returning(tokens::id)
            .get_result::<i64>(conn)
            .await;
        let id = on_constraint(inserted, TAKEN)?;
        let whose: String = users::table.find(user).select(users::name).first(conn).await?;
        let fields = json!({"access": access(new.may_write), "expires_at": new.expires_at, "user": whose,
            "owner": owner.map(|owner| &owner.name)});
        audit::note(conn, by, Event::new("token.added", &new.name).id(id).made(fields)).await
    })
    .await?;
    Ok(secret)
}

/// What a token is for, in one word: `read` or `write`.
pub fn access(may_write: bool) -> &'static str {
    if may_write { "write" } else { "read" }
}

/// A person's tokens, the newest first.
pub async fn of(db: &mut Db, user: i64) -> Result<Vec<Token>> {
    Ok(tokens::table
        .filter(tokens::user_id.eq(user))
        .order((tokens::created_at.desc(), tokens::id))
        .select(Token::as_select())
        .load(db.conn())
        .await?)
}

/// A token, as the staff lists it.
#[derive(Clone, Debug, Queryable)]
pub struct Listed {
    pub token: Token,
    /// Whose it is.
    pub user: String,
    /// The name of the one owner that it is restricted to.
    pub owner: Option<String>,
}

/// Everybody's tokens or one person's, by person and name.
pub async fn list(db: &mut Db, _: All, user: Option<i64>) -> Result<Vec<Listed>> {
    let mut query = tokens::table
        .inner_join(users::table)
        .left_join(owners::table)
        .order((users::name, tokens::name))
        .select((Token::as_select(), users::name, owners::name.nullable()))
        .into_boxed();
    if let Some(user) = user {
        query = query.filter(tokens::user_id.eq(user));
    }
    Ok(query.load(db.conn()).await?)
}

/// Revokes a token of the person with that id; returns its name. `NotFound` when it is not theirs.
pub async fn revoke(db: &mut Db, user: i64, id: i64, by: &Actor) -> Result<String> {
    db.transaction(async |conn| {
        let (name, whose): (String, String) = tokens::table
            .inner_join(users::table)
            .filter(tokens::id.eq(id).and(tokens::user_id.eq(user)))
            .select((tokens::name, users::name))
            .first(conn)
            .await?;
        // another may have been quicker
        if diesel::delete(tokens::table.find(id)).execute(conn).await? == 0 {
            return Err(Error::NotFound);
        }
        let event = Event::new("token.revoked", &name).id(id).gone(json!({"user": whose}));
        audit::note(conn, by, event).await?;
        Ok(name)
    })
    .await
}

/// Whether this may be a token at all, for which nobody has to look it up.
pub fn plausible(secret: &str) -> bool {
    secret.len() == PREFIX.len() + LENGTH && secret.starts_with(PREFIX)
}

/// The token with that secret, unless it has expired.
pub async fn by_secret(db: &mut Db, secret: &str) -> Result<Option<Token>> {
    let found: Option<Token> = tokens::table
        .filter(tokens::hash.eq(Sha256::digest(secret).to_vec()))
        .select(Token::as_select())
        .first(db.conn())
        .await
        .optional()?;
    Ok(found.filter(|token| !token.expired()))
}

/// Notes that a token was used, once a minute at the most.
pub async fn used(db: &mut Db, token: &Token, from: Option<IpAddr>) -> Result<()> {
    if token.last_used_at.is_some_and(|at| Timestamp::now().duration_since(at) <= NOTE_EVERY) {
        return Ok(());
    }
    diesel::update(tokens::table.find(token.id))
        .set((
            tokens::last_used_at.eq(super::now().nullable()),
            tokens::last_used_from.eq(from.map(|address| address.to_string())),
        ))
        .execute(db.conn())
        .await?;
    Ok(())
}
