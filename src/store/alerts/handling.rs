//! What people say of an episode: that they know of it, and notes.

use diesel::prelude::*;
use diesel::sql_types::{Bigint, Bool, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use serde_json::json;

use super::{Named, read};
use crate::catalogue;
use crate::error::{Error, Fields, Result};
use crate::store::audit::{self, Event};
use crate::store::changes::Actor;
use crate::store::scope::{All, Scope, Writable, Writing};
use crate::store::statement::Prepare;
use crate::store::{Db, live};

/// Characters of a note.
const LONGEST: usize = 2000;
/// Notes of an episode.
const MOST: i64 = 100;

/// Who said something, and when. Customers read of the staff that it was the staff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub by: String,
    pub at: Timestamp,
}

/// What somebody wrote at an episode.
#[derive(Clone, Debug, QueryableByName)]
pub struct Note {
    #[diesel(sql_type = Bigint)]
    pub id: i64,
    #[diesel(sql_type = Nullable<Bigint>)]
    pub user_id: Option<i64>,
    #[diesel(sql_type = Text)]
    pub by: String,
    #[diesel(sql_type = Timestamptz, deserialize_as = jiff_diesel::Timestamp)]
    pub at: Timestamp,
    #[diesel(sql_type = Text)]
    pub text: String,
}

/// A note that was checked.
#[derive(Clone, Debug)]
pub struct NewNote(String);

impl NewNote {
    /// Checks what was typed. `Invalid` at `text`.
    pub fn check(text: &str) -> Result<Self> {
        let text = text.replace("\r\n", "\n").trim().to_owned();
        let message = match text.chars().count() {
            0 => "Write something.".to_owned(),
            n if n > LONGEST => {
                format!("That is {} characters too long.", n - LONGEST)
            }
            _ if text.contains('\0') => "A note may not hold a NUL character.".into(),
            _ => return Ok(Self(text)),
        };
        Err(Error::Invalid(Fields::one("text", message)))
    }
}

/// The episode, to be acknowledged and written at: by admins, and managers of its owner.
pub async fn find_rw(db: &mut Db, writing: &Writing, id: i64) -> Result<Writable<Named>> {
    match super::find(db, &writing.changed, id).await {
        Ok(named) => Ok(Writable::found(named)),
        Err(Error::NotFound) => {
            super::find(db, &writing.seen, id).await?;
            Err(Error::Forbidden)
        }
        Err(error) => Err(error),
    }
}

/// The notes at an episode, the oldest first.
pub async fn notes(db: &mut Db, scope: &Scope, named: &Named) -> Result<Vec<Note>> {
    // found by somebody else's scope, it would be no permission
    if read::by_id(db, scope, named.alert.id).await?.is_none() {
        return Ok(Vec::new());
    }
    let rows = diesel::sql_query(
        "select id, user_id, case when staff and not rights_all('seen') then $2 else user_name end as by, at, text \
         from alert_notes where alert_id = $1 order by at, id limit $3",
    )
    .bind::<Bigint, _>(named.alert.id)
    .bind::<Text, _>(audit::STAFF)
    .bind::<Bigint, _>(MOST)
    .prepared()
    .load(db.conn())
    .await?;
    Ok(rows)
}

/// From when to when nobody was told of an episode.
#[derive(Clone, Debug, QueryableByName)]
pub struct Suppression {
    /// `silenced`, `inhibited` or `muted`.
    #[diesel(sql_type = Text)]
    pub why: String,
    /// When a comparison with Alertmanager found it, and no longer found it.
    #[diesel(sql_type = Timestamptz, deserialize_as = jiff_diesel::Timestamp)]
    pub since: Timestamp,
    #[diesel(sql_type = Nullable<Timestamptz>, deserialize_as = jiff_diesel::NullableTimestamp)]
    pub until: Option<Timestamp>,
}

/// When nobody was told of an episode, the newest [`MOST`] times, the first of them first.
pub async fn suppressions(db: &mut Db, scope: &Scope, named: &Named) -> Result<Vec<Suppression>> {
    // found by somebody else's scope, it would be no permission
    if read::by_id(db, scope, named.alert.id).await?.is_none() {
        return Ok(Vec::new());
    }
    let rows = diesel::sql_query(
        "select why, since, until from (select * from suppressions where alert_id = $1 order by since desc limit $2) s order by since",
    )
    .bind::<Bigint, _>(named.alert.id)
    .bind::<Bigint, _>(MOST)
    .prepared()
    .load(db.conn())
    .await?;
    Ok(rows)
}

impl Writable<Named> {
    /// What the audit calls it.
    fn called(&self) -> String {
        let rule =
            catalogue::kind(&self.alert.rule).map_or(self.alert.rule.as_str(), |kind| kind.title.as_str());
        match &self.server {
            Some(server) => format!("{rule} of {}", server.name),
            None if self.alert.instance.is_empty() => rule.to_owned(),
            None => format!("{rule} of {}", self.alert.instance),
        }
    }

    async fn note(&self, conn: &mut AsyncPgConnection, by: &Actor, event: Event<'_>) -> Result<()> {
        audit::note(conn, by, event.owner(self.alert.owner_id).id(self.alert.id)).await?;
        live::tell(conn, [self.alert.owner_id]).await
    }

    /// Notes that somebody knows of it; `false` when somebody did before.
    pub async fn acknowledge(&self, db: &mut Db, by: &Actor) -> Result<bool> {
        let called = self.called();
        db.transaction(async |conn| {
            // it may get its owner meanwhile
            let added = diesel::sql_query(
                "insert into acknowledgements (alert_id, received_at, owner_id, user_id, user_name, staff) \
                 select a.id, a.received_at, a.owner_id, $2, $3, $4 from (select * from alerts where id = $1 for share) a \
                 on conflict do nothing",
            )
            .bind::<Bigint, _>(self.alert.id)
            .bind::<Nullable<Bigint>, _>(by.id)
            .bind::<Text, _>(&by.name)
            .bind::<Bool, _>(by.staff)
            .execute(conn)
            .await?;
            if added > 0 {
                self.note(conn, by, Event::new("alert.acknowledged", &called)).await?;
            }
            Ok(added > 0)
        })
        .await
    }

    /// Takes that back, whoever said it.
    pub async fn unacknowledge(&self, db: &mut Db, by: &Actor) -> Result<()> {
        let called = self.called();
        db.transaction(async |conn| {
            let gone = diesel::sql_query("delete from acknowledgements where alert_id = $1")
                .bind::<Bigint, _>(self.alert.id)
                .execute(conn)
                .await?;
            if gone > 0 {
                self.note(conn, by, Event::new("alert.unacknowledged", &called)).await?;
            }
            Ok(())
        })
        .await
    }

    /// Writes a note; returns its id. `Invalid` at `text` when there are too many.
    pub async fn write(&self, db: &mut Db, note: NewNote, by: &Actor) -> Result<i64> {
        #[derive(QueryableByName)]
        struct Added {
            #[diesel(sql_type = Bigint)]
            id: i64,
        }
        let called = self.called();
        db.transaction(async |conn| {
            let added: Option<Added> = diesel::sql_query(
                "insert into alert_notes (alert_id, received_at, owner_id, user_id, user_name, staff, text) \
                 select a.id, a.received_at, a.owner_id, $2, $3, $4, $5 from (select * from alerts where id = $1 for share) a \
                 where (select count(*) from alert_notes where alert_id = $1) < $6 returning id",
            )
            .bind::<Bigint, _>(self.alert.id)
            .bind::<Nullable<Bigint>, _>(by.id)
            .bind::<Text, _>(&by.name)
            .bind::<Bool, _>(by.staff)
            .bind::<Text, _>(&note.0)
            .bind::<Bigint, _>(MOST)
            .get_result(conn)
            .await
            .optional()?;
            let Some(Added { id }) = added else {
                return Err(Error::Invalid(Fields::one("text", format!("This alert has {MOST} notes already."))));
            };
            let event = Event::new("alert.note_added", &called).made(json!({ "note": note.0 }));
            self.note(conn, by, event).await?;
            Ok(id)
        })
        .await
    }

    /// Takes a note away: one's own, or any for admins. `Forbidden` for those of others.
    pub async fn erase(&self, db: &mut Db, writing: &Writing, note: i64, by: &Actor) -> Result<()> {
        #[derive(QueryableByName)]
        struct Old {
            #[diesel(sql_type = Bool)]
            own: bool,
            #[diesel(sql_type = Text)]
            text: String,
        }
        let called = self.called();
        db.transaction(async |conn| {
            let old: Old = diesel::sql_query(
                "select $3 is null or user_id is not distinct from $3 as own, text from alert_notes where id = $1 and alert_id = $2 for update",
            )
            .bind::<Bigint, _>(note)
            .bind::<Bigint, _>(self.alert.id)
            .bind::<Nullable<Bigint>, _>(writing.person)
            .get_result(conn)
            .await?;
            if !old.own {
                return Err(Error::Forbidden);
            }
            diesel::sql_query("delete from alert_notes where id = $1").bind::<Bigint, _>(note).execute(conn).await?;
            let event = Event::new("alert.note_removed", &called).gone(json!({ "note": old.text }));
            self.note(conn, by, event).await
        })
        .await
    }
}

/// What belongs to episodes, and is told of them.
const AROUND: [&str; 3] = ["acknowledgements", "alert_notes", "suppressions"];

/// What was said of unassigned episodes goes with them to their owners.
pub(super) async fn adopt(conn: &mut AsyncPgConnection) -> Result<()> {
    for table in AROUND {
        diesel::sql_query(format!(
            "update {table} t set owner_id = a.owner_id from alerts a \
             where t.owner_id is null and a.id = t.alert_id and a.received_at = t.received_at and a.owner_id is not null"
        ))
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// Forgets what was said of episodes that are gone. A step of the worker.
pub async fn sweep(db: &mut Db, _: All) -> Result<usize> {
    db.transaction(async |conn| {
        let mut swept = 0;
        for table in AROUND {
            swept += diesel::sql_query(format!(
                "delete from {table} t where not exists (select from alerts a where a.id = t.alert_id and a.received_at = t.received_at)"
            ))
            .execute(conn)
            .await?;
        }
        Ok(swept)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_says_something_and_ends_somewhere() {
        let refused = |text: &str| match NewNote::check(text) {
            Err(Error::Invalid(fields)) => fields.get("text").to_owned(),
            other => panic!("{text:?}: {other:?}"),
        };
        assert_eq!(refused(" \r\n "), "Write something.");
        assert_eq!(refused(&"ä".repeat(2003)), "That is 3 characters too long.");
        assert!(refused("a\0b").contains("NUL"));
        assert_eq!(NewNote::check(" two\r\nlines ").unwrap().0, "two\nlines");
        assert_eq!(NewNote::check(&"ä".repeat(2000)).unwrap().0.chars().count(), 2000);
    }
}
