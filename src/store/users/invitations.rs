//! Invitations: links that make their holder a member of one owner. Whoever manages the owner makes and
//! revokes them; the holder comes to the door, where nothing but the link says whose member they become.

use std::net::IpAddr;

use diesel::prelude::*;
use diesel::sql_types::{Bigint, Bool, Bytea, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use jiff_diesel::ToDiesel;
use serde_json::json;

use super::NewUser;
use super::links::{Made, WELCOME_HOURS, hash};
use super::members::{self, Role};
use crate::error::{Error, Fields, Result};
use crate::store::Db;
use crate::store::audit::{self, Event, STAFF};
use crate::store::changes::Actor;
use crate::store::db::step_in;
use crate::store::owners::Owner;
use crate::store::schema::{one_time_links, owners};
use crate::store::scope::Writable;

/// Invitations that an owner may have open.
const MOST: i64 = 100;

/// A new invitation, checked.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    role: Role,
    note: String,
}

impl NewInvitation {
    /// Checks the fields `role` and `note` (whom it is for: one line, at most 200 characters).
    pub fn check(role: &str, note: &str) -> Result<Self> {
        let mut fields = Fields::default();
        let note = note.trim();
        if note.is_empty() {
            fields.add("note", "Say whom it is for, so that it can be told from others.");
        } else if note.chars().count() > 200 || note.chars().any(char::is_control) {
            fields.add("note", "At most 200 characters, on one line.");
        }
        let role = Role::parse(role).ok_or_else(|| fields.add("role", "A role is manager or viewer."));
        fields.into_result()?;
        Ok(Self { role: role.unwrap_or(Role::Viewer), note: note.to_owned() })
    }
}

/// An open invitation, as those see it who manage the owner.
#[derive(Clone, Debug, QueryableByName)]
pub struct Invitation {
    #[diesel(sql_type = Bigint)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub role: String,
    /// Whom it is for.
    #[diesel(sql_type = Text)]
    pub note: String,
    #[diesel(sql_type = Text)]
    pub made_by: String,
    #[diesel(sql_type = Timestamptz, deserialize_as = jiff_diesel::Timestamp)]
    pub expires_at: Timestamp,
    /// Whether who made it may still invite; else it does not work.
    #[diesel(sql_type = Bool)]
    pub works: bool,
}

/// The invitations to an owner that are neither used nor expired, the newest first.
pub async fn of(db: &mut Db, owner: &Writable<Owner>) -> Result<Vec<Invitation>> {
    let sql = "select l.id, l.role, l.note, l.expires_at, may_invite(l.made_by_id, l.owner_id) as works, \
           case when rights_all('seen') then u.name else l.made_by end as made_by \
         from one_time_links l left join users u on u.id = l.made_by_id \
         where l.purpose = 'invitation' and l.owner_id = $1 and l.expires_at > now() order by l.created_at desc, l.id";
    Ok(diesel::sql_query(sql).bind::<Bigint, _>(owner.id).load(db.conn()).await?)
}

/// Makes an invitation, open for a week. It works as long as who makes it manages the owner: a manager who is
/// shown the door leaves no other one open.
pub async fn make(db: &mut Db, owner: &Writable<Owner>, new: NewInvitation, by: &Actor) -> Result<Made> {
    let owner = owner.id;
    db.transaction(async |conn| {
        let open = one_time_links::table.filter(one_time_links::owner_id.eq(owner)).count();
        if open.get_result::<i64>(conn).await? >= MOST {
            return Err(Error::Conflict(format!(
                "{MOST} invitations are open. Revoke those that nobody needs first."
            )));
        }
        let made = Made::new(WELCOME_HOURS);
        let id: i64 = diesel::insert_into(one_time_links::table)
            .values((
                one_time_links::hash.eq(made.hash()),
                one_time_links::purpose.eq("invitation"),
                one_time_links::expires_at.eq(made.expires_at.to_diesel()),
                one_time_links::owner_id.eq(owner),
                one_time_links::role.eq(new.role.as_str()),
                one_time_links::note.eq(&new.note),
                // customers read it
                one_time_links::made_by.eq(if by.staff { STAFF } else { &by.name }),
                one_time_links::made_by_id.eq(by.id),
            ))
            .returning(one_time_links::id)
            .get_result(conn)
            .await?;
        let fields = json!({"role": new.role.as_str(), "expires_at": made.expires_at});
        audit::note(conn, by, Event::new("invitation.made", &new.note).owner(owner).id(id).made(fields))
            .await?;
        Ok(made)
    })
    .await
}

/// Revokes an invitation to this owner; returns whom it was for.
pub async fn revoke(db: &mut Db, owner: &Writable<Owner>, id: i64, by: &Actor) -> Result<String> {
    let owner = owner.id;
    db.transaction(async |conn| {
        let link = one_time_links::table
            .filter(one_time_links::id.eq(id).and(one_time_links::owner_id.eq(owner)))
            .filter(one_time_links::purpose.eq("invitation"));
        let note: String = diesel::delete(link).returning(one_time_links::note).get_result(conn).await?;
        audit::note(conn, by, Event::new("invitation.revoked", &note).owner(owner).id(id)).await?;
        Ok(note)
    })
    .await
}

/// What an invitation offers to whoever holds its link.
#[derive(Clone, Debug)]
pub struct Offer {
    pub owner: i64,
    pub owner_name: String,
    pub role: Role,
    /// Who invites; [`STAFF`] for one of the staff.
    pub made_by: String,
    pub expires_at: Timestamp,
    /// The role that the person who asks has already.
    pub has: Option<Role>,
}

impl Offer {
    /// Whether accepting it would give the person something.
    pub fn gives(&self) -> bool {
        self.has < Some(self.role)
    }
}

/// What a link offers, to the person with that id where one is signed in. `NotFound` when it does not work: it
/// is used, revoked or expired, its maker manages the owner no longer, or the owner is gone. `db` is the door's.
pub async fn offer(db: &mut Db, secret: &str, user: Option<i64>) -> Result<Offer> {
    db.transaction(async |conn| {
        let link = find(conn, secret).await?;
        step_in(conn, link.owner_id, user).await?;
        link.offer(conn, user).await
    })
    .await
}

/// Makes the actor a member. The link is used up by it, and a role that is there is never lowered: where there
/// is nothing to give, the link stays for whom it is meant. `NotFound` as [`offer`], also when somebody was quicker.
/// `db` is the door's.
pub async fn accept(db: &mut Db, secret: &str, by: &Actor) -> Result<Offer> {
    let user = by.id.ok_or(Error::Unauthorized)?;
    db.transaction(async |conn| {
        let link = find(conn, secret).await?;
        join(conn, link, user, by).await
    })
    .await
}

/// Makes a person, who becomes a member and nothing more. Returns the person's id. Errors as [`accept`].
pub async fn accept_as_new(
    db: &mut Db,
    secret: &str,
    new: NewUser,
    from: Option<IpAddr>,
) -> Result<(i64, Offer)> {
    let new = NewUser { admin: false, roles: Vec::new(), ..new };
    db.transaction(async |conn| {
        let link = find(conn, secret).await?;
        let name = new.name.clone();
        let user = super::insert(conn, new).await?;
        let through = "invitation".into();
        let by = Actor { id: Some(user), name: name.clone(), from, through, staff: false };
        audit::note(conn, &by, Event::new("user.added", &name).id(user).made(json!({"name": name}))).await?;
        let offer = join(conn, link, user, &by).await?;
        Ok((user, offer))
    })
    .await
}

#[derive(QueryableByName)]
struct Link {
    #[diesel(sql_type = Bigint)]
    id: i64,
    #[diesel(sql_type = Bigint)]
    owner_id: i64,
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Text)]
    note: String,
    #[diesel(sql_type = Text)]
    made_by: String,
    #[diesel(sql_type = Timestamptz, deserialize_as = jiff_diesel::Timestamp)]
    expires_at: Timestamp,
}

/// The link, locked until the transaction ends, so that one holder comes after the other.
async fn find(conn: &mut AsyncPgConnection, secret: &str) -> Result<Link> {
    let sql = "select l.id, l.owner_id, l.role, l.note, l.made_by, l.expires_at from one_time_links l \
         where l.purpose = 'invitation' and l.hash = $1 and l.expires_at > now() \
           and may_invite(l.made_by_id, l.owner_id) for update";
    Ok(diesel::sql_query(sql).bind::<Bytea, _>(hash(secret)).get_result(conn).await?)
}

impl Link {
    /// What it offers; with the rights of the owner.
    async fn offer(&self, conn: &mut AsyncPgConnection, user: Option<i64>) -> Result<Offer> {
        let owner_name = owners::table
            .find(self.owner_id)
            .filter(owners::removed_at.is_null())
            .select(owners::name)
            .for_share()
            .first(conn)
            .await?;
        let has = match user {
            Some(user) => members::role_of(conn, self.owner_id, user).await?,
            None => None,
        };
        Ok(Offer {
            owner: self.owner_id,
            owner_name,
            role: Role::parse(&self.role).ok_or(Error::NotFound)?,
            made_by: self.made_by.clone(),
            expires_at: self.expires_at,
            has,
        })
    }
}

async fn join(conn: &mut AsyncPgConnection, link: Link, user: i64, by: &Actor) -> Result<Offer> {
    step_in(conn, link.owner_id, Some(user)).await?;
    let offer = link.offer(conn, Some(user)).await?;
    if !offer.gives() {
        return Ok(offer);
    }
    diesel::delete(one_time_links::table.filter(one_time_links::id.eq(link.id))).execute(conn).await?;
    members::put(conn, link.owner_id, (user, &by.name), offer.role, by).await?;
    let event = Event::new("invitation.accepted", &link.note).owner(link.owner_id).id(link.id);
    audit::note(conn, by, event.made(json!({"member": by.name, "role": link.role}))).await?;
    Ok(offer)
}
