//! People who may log in, and which owners each may see or change.

pub mod invitations;
mod links;
mod list;
mod manage;
pub mod members;
mod own;
mod passwords;

use std::collections::HashSet;
use std::net::IpAddr;

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use rand::RngExt;

pub use self::links::{
    Made, choose_password, open_password_link, password_link, password_open, set_up, setup_link, setup_open,
};
pub use self::list::{Filter, Kind, Owned, owned, page};
pub use self::manage::{create, disable, enable, end_sessions, find, invite, remove, rename, set_admin};
use self::members::Role;
pub use self::own::{change_password, set_time_zone};
pub(super) use self::passwords::has_password;
pub use self::passwords::{bond, password_hash};
use super::audit::{self, Event};
use super::changes::Actor;
use super::schema::users;
use super::scope::All;
use super::statement::Prepare;
use super::{Db, on_constraint};
use crate::error::{Error, Fields, Result};

/// The longest password that is hashed, bytes.
const LONGEST_PASSWORD: usize = 1024;
const SHORTEST_PASSWORD: usize = 10;

/// A person.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = users)]
pub struct User {
    pub id: i64,
    pub name: String,
    /// Not so for who has not chosen one; always, for who may not see passwords.
    #[diesel(select_expression = has_password(), select_expression_type = has_password)]
    pub has_password: bool,
    pub admin: bool,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    pub disabled_at: Option<Timestamp>,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    pub last_login_at: Option<Timestamp>,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
}

/// A new person, checked.
#[derive(Clone, Debug)]
pub struct NewUser {
    name: String,
    /// `None`: to be chosen by a link.
    password_hash: Option<String>,
    admin: bool,
    /// External ids of owners, and the role in each.
    roles: Vec<(String, Role)>,
}

/// Checks a login name: 1 to 100 characters, none of them control characters or blanks around.
pub fn check_name(name: &str) -> Result<String, String> {
    let name = name.trim();
    if name.is_empty() {
        return Err("Give a name.".into());
    }
    if ["staff", "command line"].contains(&name.to_lowercase().as_str()) {
        return Err("This is what the program calls others. Choose another name.".into());
    }
    if name.chars().any(|c| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')) {
        return Err("It holds characters that cannot be seen; type it anew.".into());
    }
    if name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err("At most 100 characters, on one line.".into());
    }
    Ok(name.to_owned())
}

/// As [`check_name`], with the message at a field.
fn checked_name(name: &str, field: &'static str) -> Result<String> {
    check_name(name).map_err(|why| Error::Invalid(Fields::one(field, why)))
}

/// Checks a new password: 10 characters or more, at most 1,024 bytes.
pub fn check_password(password: &str) -> Result<(), String> {
    if password.chars().count() < SHORTEST_PASSWORD {
        return Err(format!("Use {SHORTEST_PASSWORD} characters or more."));
    }
    if password.len() > LONGEST_PASSWORD {
        return Err(format!("Use at most {LONGEST_PASSWORD} bytes."));
    }
    Ok(())
}

impl NewUser {
    /// What is wrong with a name and a password, by field, before anything is hashed.
    pub fn faults(name: &str, password: &str) -> Fields {
        let mut fields = Fields::default();
        if let Err(why) = check_name(name) {
            fields.add("username", why);
        }
        if let Err(why) = check_password(password) {
            fields.add("password", why);
        }
        fields
    }

    /// Checks the fields (`username`, `password`) and hashes the password.
    pub async fn check(name: &str, password: String, admin: bool) -> Result<Self> {
        Self::faults(name, &password).into_result()?;
        let name = name.trim().to_owned();
        let password_hash = Some(crate::password::hash(password).await?);
        Ok(Self { name, password_hash, admin, roles: Vec::new() })
    }

    /// Checks the field `name`; the person chooses the password by a link.
    pub fn without_password(name: &str, admin: bool) -> Result<Self> {
        let name = checked_name(name, "name")?;
        Ok(Self { name, password_hash: None, admin, roles: Vec::new() })
    }

    /// Who will be a member of the owner with that external id.
    #[must_use]
    pub fn with_role(mut self, owner: impl Into<String>, role: Role) -> Self {
        self.roles.push((owner.into(), role));
        self
    }
}

/// Makes the row and the password; what roles there are is for the caller.
async fn insert(conn: &mut AsyncPgConnection, new: NewUser) -> Result<i64> {
    let inserted = diesel::insert_into(users::table)
        .values((users::name.eq(&new.name), users::admin.eq(new.admin)))
        .returning(users::id)
        .get_result::<i64>(conn)
        .await;
    let field = if new.password_hash.is_some() { "username" } else { "name" };
    let id = on_constraint(inserted, &[("users_name_key", field, "This name is taken.")])?;
    if let Some(hash) = &new.password_hash {
        passwords::put(conn, id, hash).await?;
    }
    Ok(id)
}

/// The person with that name, in whatever case, disabled or not.
pub async fn by_name(db: &mut Db, name: &str) -> Result<Option<User>> {
    diesel::define_sql_function!(fn lower(text: Text) -> Text);
    let found = users::table
        .filter(lower(users::name).eq(lower(name.trim())))
        .select(User::as_select())
        .first(db.conn())
        .await
        .optional()?;
    Ok(found)
}

/// Who asks, read anew for each request, so that a change of rights holds at once.
#[derive(Clone, Debug, QueryableByName)]
pub struct Identity {
    #[diesel(sql_type = Bigint)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Bool)]
    pub admin: bool,
    /// IANA name; empty: the browser's.
    #[diesel(sql_type = Text)]
    pub time_zone: String,
    /// Not so for who comes by single sign-on only.
    #[diesel(sql_type = Bool)]
    pub has_password: bool,
    /// A digest of the password's hash, as [`bond`] makes it: a session that was opened with another is over.
    #[diesel(sql_type = Text)]
    pub bond: String,
    /// Owners that this person may see.
    #[diesel(sql_type = Array<Bigint>)]
    pub sees: Vec<i64>,
    /// Owners among them that this person may change.
    #[diesel(sql_type = Array<Bigint>)]
    pub manages: Vec<i64>,
}

/// The person with that id, unless disabled.
pub async fn identity(db: &mut Db, id: i64) -> Result<Option<Identity>> {
    Ok(diesel::sql_query("select * from person($1) where id is not null")
        .bind::<Bigint, _>(id)
        .prepared()
        .get_result(db.conn())
        .await
        .optional()?)
}

/// Notes a login; `through` is empty for one with a password.
pub async fn logged_in(db: &mut Db, id: i64, from: Option<IpAddr>, through: &str) -> Result<()> {
    db.transaction(async |conn| {
        let (name, staff): (String, bool) = diesel::update(users::table.find(id))
            .set(users::last_login_at.eq(diesel::dsl::now))
            .returning((users::name, users::admin))
            .get_result(conn)
            .await?;
        let by = Actor { id: Some(id), name: name.clone(), from, through: through.to_owned(), staff };
        audit::note(conn, &by, Event::new("session.started", &name).id(id)).await
    })
    .await
}

/// Everybody, by name.
pub async fn list(db: &mut Db, _: All) -> Result<Vec<User>> {
    Ok(users::table.order(users::name).select(User::as_select()).load(db.conn()).await?)
}

/// Gives a person another password and ends the person's sessions.
pub async fn set_password(db: &mut Db, _: All, name: &str, password: String, by: &Actor) -> Result<()> {
    check_password(&password).map_err(|why| Error::Invalid(Fields::one("password", why)))?;
    let user = by_name(db, name).await?.ok_or(Error::NotFound)?;
    let hash = crate::password::hash(password).await?;
    db.transaction(async |conn| {
        passwords::put(conn, user.id, &hash).await?;
        links::forget(conn, user.id).await?;
        super::sessions::end_all(conn, user.id).await?;
        audit::note(conn, by, Event::new("user.password_set", &user.name).id(user.id)).await
    })
    .await
}

/// Which of these people exist.
pub async fn existing(db: &mut Db, ids: Vec<i64>) -> Result<HashSet<i64>> {
    let found: Vec<i64> =
        users::table.filter(users::id.eq_any(ids)).select(users::id).load(db.conn()).await?;
    Ok(found.into_iter().collect())
}

/// Whether anybody exists.
pub async fn any(db: &mut Db) -> Result<bool> {
    Ok(diesel::select(diesel::dsl::exists(users::table.select(users::id))).get_result(db.conn()).await?)
}

/// Random lower-case letters and digits, about 5 bits each.
pub fn random_text(length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut rng = rand::rng();
    (0..length).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
}
