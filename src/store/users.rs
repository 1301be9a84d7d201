//! People who may log in, and which owners each may see or change.

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Bool, Text};
use diesel_async::{AsyncConnection, RunQueryDsl};
use jiff::Timestamp;
use rand::RngExt;
use sha2::{Digest, Sha256};

use super::schema::{memberships, one_time_links, owners, users};
use super::scope::All;
use super::{Db, on_constraint};
use crate::error::{Error, Fields, Result};

/// Held while the first admin is made, so that there is one.
const SETUP_LOCK: i64 = 0x7072_6f6d_6d67_7202;
/// The longest password that is hashed, bytes.
const LONGEST_PASSWORD: usize = 1024;
const SHORTEST_PASSWORD: usize = 10;

/// A person.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = users)]
pub struct User {
    pub id: i64,
    pub name: String,
    pub password_hash: String,
    pub admin: bool,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    pub disabled_at: Option<Timestamp>,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    pub last_login_at: Option<Timestamp>,
}

/// A new person, checked.
#[derive(Debug)]
pub struct NewUser {
    name: String,
    password_hash: String,
    admin: bool,
    owner_external_id: Option<String>,
}

/// Checks a login name: 1 to 100 characters, none of them control characters or blanks around.
pub fn check_name(name: &str) -> Result<String, String> {
    let name = name.trim();
    if name.is_empty() {
        return Err("Give a name.".into());
    }
    if name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err("At most 100 characters, on one line.".into());
    }
    Ok(name.to_owned())
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
    /// Checks the fields (`username`, `password`) and hashes the password.
    pub async fn check(
        name: &str,
        password: String,
        admin: bool,
        owner_external_id: Option<String>,
    ) -> Result<Self> {
        let mut fields = Fields::default();
        let name = check_name(name).unwrap_or_else(|why| {
            fields.add("username", why);
            String::new()
        });
        if let Err(why) = check_password(&password) {
            fields.add("password", why);
        }
        fields.into_result()?;
        Ok(Self { name, password_hash: crate::password::hash(password).await?, admin, owner_external_id })
    }
}

/// Makes a person, as manager of the owner with that external id where one is named.
pub async fn create(db: &mut Db, _: All, new: NewUser) -> Result<i64> {
    db.conn().transaction(async |conn| insert(conn, new).await).await
}

async fn insert(conn: &mut diesel_async::AsyncPgConnection, new: NewUser) -> Result<i64> {
    let inserted = diesel::insert_into(users::table)
        .values((
            users::name.eq(&new.name),
            users::password_hash.eq(&new.password_hash),
            users::admin.eq(new.admin),
        ))
        .returning(users::id)
        .get_result::<i64>(conn)
        .await;
    let id = on_constraint(inserted, &[("users_name_key", "username", "This name is taken.")])?;
    if let Some(external_id) = &new.owner_external_id {
        let owner: Option<i64> = owners::table
            .filter(owners::external_id.eq(external_id))
            .filter(owners::removed_at.is_null())
            .select(owners::id)
            .first(conn)
            .await
            .optional()?;
        let Some(owner) = owner else {
            return Err(Error::Invalid(Fields::one(
                "owner",
                format!("No owner has the external id `{external_id}`."),
            )));
        };
        diesel::insert_into(memberships::table)
            .values((
                memberships::user_id.eq(id),
                memberships::owner_id.eq(owner),
                memberships::role.eq("manager"),
            ))
            .execute(conn)
            .await?;
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
    /// Owners that this person may see.
    #[diesel(sql_type = Array<Bigint>)]
    pub sees: Vec<i64>,
    /// Owners among them that this person may change.
    #[diesel(sql_type = Array<Bigint>)]
    pub manages: Vec<i64>,
}

/// The person with that id, unless disabled.
pub async fn identity(db: &mut Db, id: i64) -> Result<Option<Identity>> {
    let found = diesel::sql_query(
        "select u.id, u.name, u.admin, \
           array(select m.owner_id from memberships m join owners o on o.id = m.owner_id \
                 where m.user_id = u.id and o.removed_at is null order by 1) as sees, \
           array(select m.owner_id from memberships m join owners o on o.id = m.owner_id \
                 where m.user_id = u.id and m.role = 'manager' and o.removed_at is null order by 1) as manages \
         from users u where u.id = $1 and u.disabled_at is null",
    )
    .bind::<Bigint, _>(id)
    .get_result(db.conn())
    .await
    .optional()?;
    Ok(found)
}

/// Notes a login.
pub async fn logged_in(db: &mut Db, id: i64) -> Result<()> {
    diesel::update(users::table.find(id))
        .set(users::last_login_at.eq(diesel::dsl::now))
        .execute(db.conn())
        .await?;
    Ok(())
}

/// Everybody, by name.
pub async fn list(db: &mut Db, _: All) -> Result<Vec<User>> {
    Ok(users::table.order(users::name).select(User::as_select()).load(db.conn()).await?)
}

/// Gives a person another password and ends the person's sessions.
pub async fn set_password(db: &mut Db, _: All, name: &str, password: String) -> Result<()> {
    check_password(&password).map_err(|why| Error::Invalid(Fields::one("password", why)))?;
    let user = by_name(db, name).await?.ok_or(Error::NotFound)?;
    let hash = crate::password::hash(password).await?;
    db.conn()
        .transaction(async |conn| {
            diesel::update(users::table.find(user.id))
                .set(users::password_hash.eq(hash))
                .execute(conn)
                .await?;
            super::sessions::end_all(conn, user.id).await
        })
        .await
}

/// Locks a person out, ending the person's sessions. The last admin who may log in cannot be.
pub async fn disable(db: &mut Db, _: All, name: &str) -> Result<()> {
    let user = by_name(db, name).await?.ok_or(Error::NotFound)?;
    db.conn()
        .transaction(async |conn| {
            let admins: Vec<i64> = users::table
                .filter(users::admin.and(users::disabled_at.is_null()))
                .select(users::id)
                .for_update()
                .load(conn)
                .await?;
            if admins == [user.id] {
                return Err(Error::Conflict("This is the last admin who can log in.".into()));
            }
            diesel::update(users::table.find(user.id))
                .set(users::disabled_at.eq(super::now().nullable()))
                .execute(conn)
                .await?;
            super::sessions::end_all(conn, user.id).await
        })
        .await
}

/// Whether anybody exists.
pub async fn any(db: &mut Db) -> Result<bool> {
    Ok(diesel::select(diesel::dsl::exists(users::table.select(users::id))).get_result(db.conn()).await?)
}

/// Makes the secret of a link that lets its holder make the first admin, for one day.
pub async fn setup_link(db: &mut Db, _: All) -> Result<String> {
    let secret = random_text(32);
    diesel::sql_query(
        "insert into one_time_links (hash, purpose, expires_at) values ($1, 'setup', now() + interval '1 day')",
    )
    .bind::<diesel::sql_types::Bytea, _>(Sha256::digest(&secret).to_vec())
    .execute(db.conn())
    .await?;
    Ok(secret)
}

/// Whether a setup link still works: nobody exists, and it has not expired.
pub async fn setup_open(db: &mut Db, secret: &str) -> Result<bool> {
    let link = one_time_links::table
        .filter(one_time_links::hash.eq(Sha256::digest(secret).to_vec()))
        .filter(one_time_links::purpose.eq("setup"))
        .filter(one_time_links::expires_at.gt(diesel::dsl::now));
    let open: bool = diesel::select(diesel::dsl::exists(link)).get_result(db.conn()).await?;
    Ok(open && !any(db).await?)
}

/// Makes the first admin by a setup link; every such link is used up by it. `NotFound` when the
/// link does not work or somebody was quicker.
pub async fn set_up(db: &mut Db, secret: &str, new: NewUser) -> Result<i64> {
    if !setup_open(db, secret).await? {
        return Err(Error::NotFound);
    }
    db.conn()
        .transaction(async |conn| {
            diesel::sql_query(format!("select pg_advisory_xact_lock({SETUP_LOCK})")).execute(conn).await?;
            let somebody: bool =
                diesel::select(diesel::dsl::exists(users::table.select(users::id))).get_result(conn).await?;
            if somebody {
                return Err(Error::NotFound);
            }
            diesel::delete(one_time_links::table.filter(one_time_links::purpose.eq("setup")))
                .execute(conn)
                .await?;
            insert(conn, NewUser { admin: true, ..new }).await
        })
        .await
}

/// Random lower-case letters and digits, about 5 bits each.
pub fn random_text(length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut rng = rand::rng();
    (0..length).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
}
