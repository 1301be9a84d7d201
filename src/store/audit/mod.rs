//! The audit: who changed what, from where and when. Written in the transaction of the change itself, and
//! never changed: the database has no policy that lets anybody.

mod list;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value};

pub use self::list::{Entry, Filter, Living, Place, STAFF, Who, batch, count, kind, list, living, of_object};
use super::changes::Actor;
use super::schema::audit;
use crate::error::Result;

/// What happened, before it is noted.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    action: &'static str,
    object: &'a str,
    owner: Option<i64>,
    id: Option<i64>,
    old: Option<Value>,
    new: Option<Value>,
}

impl<'a> Event<'a> {
    /// `action` is the kind of object and what was done, as `server.changed`; `object` is what it is called.
    pub fn new(action: &'static str, object: &'a str) -> Self {
        Self { action, object, owner: None, id: None, old: None, new: None }
    }

    /// Whose managers may read it.
    pub fn owner(self, owner: impl Into<Option<i64>>) -> Self {
        Self { owner: owner.into(), ..self }
    }

    /// The object's id; of a threshold its server's.
    pub fn id(self, id: i64) -> Self {
        Self { id: Some(id), ..self }
    }

    /// What a new object is like. Never a secret.
    pub fn made(self, new: Value) -> Self {
        Self { new: Some(new), ..self }
    }

    /// What a removed object was like.
    pub fn gone(self, old: Value) -> Self {
        Self { old: Some(old), ..self }
    }

    /// What differs between the object before and after, by field. Where nothing does, nothing is noted.
    pub fn changed(self, old: Value, new: Value) -> Self {
        let (old, new) = differing(old, new);
        Self { old: Some(old), new: Some(new), ..self }
    }
}

/// The fields of two objects that differ; what are no objects stays as it is.
fn differing(old: Value, new: Value) -> (Value, Value) {
    let (Value::Object(mut old), Value::Object(mut new)) = (old.clone(), new.clone()) else {
        return (old, new);
    };
    let equal: Vec<String> =
        old.iter().filter(|(key, value)| new.get(*key) == Some(value)).map(|(key, _)| key.clone()).collect();
    let forget = |fields: &mut Map<String, Value>| equal.iter().for_each(|key| drop(fields.remove(key)));
    forget(&mut old);
    forget(&mut new);
    (Value::Object(old), Value::Object(new))
}

/// Whether an event says of fields that they changed, and names none.
fn changes_nothing(event: &Event<'_>) -> bool {
    let empty = |value: &Option<Value>| value.as_ref().and_then(Value::as_object).is_some_and(Map::is_empty);
    empty(&event.old) && empty(&event.new)
}

/// Notes an event, in the transaction that it tells of.
pub(super) async fn note(conn: &mut AsyncPgConnection, by: &Actor, event: Event<'_>) -> Result<()> {
    if changes_nothing(&event) {
        return Ok(());
    }
    diesel::insert_into(audit::table).values(Row::new(by, event)).execute(conn).await?;
    Ok(())
}

/// As [`note`], many at once; at most 5,000.
pub(super) async fn note_all(conn: &mut AsyncPgConnection, by: &Actor, events: Vec<Event<'_>>) -> Result<()> {
    let rows: Vec<_> =
        events.into_iter().filter(|event| !changes_nothing(event)).map(|event| Row::new(by, event)).collect();
    diesel::insert_into(audit::table).values(rows).execute(conn).await?;
    Ok(())
}

#[derive(Insertable)]
#[diesel(table_name = audit)]
struct Row<'a> {
    user_id: Option<i64>,
    staff: bool,
    user_name: &'a str,
    through: &'a str,
    address: Option<String>,
    owner_id: Option<i64>,
    action: &'a str,
    object: &'a str,
    object_id: Option<i64>,
    old: Option<Value>,
    new: Option<Value>,
}

impl<'a> Row<'a> {
    fn new(by: &'a Actor, event: Event<'a>) -> Self {
        Self {
            user_id: by.id,
            staff: by.staff,
            user_name: &by.name,
            through: &by.through,
            address: by.from.map(|address| address.to_string()),
            owner_id: event.owner,
            action: event.action,
            object: event.object,
            object_id: event.id,
            old: event.old,
            new: event.new,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_kept() {
        let (old, new) = differing(json!({"a": 1, "b": 2, "c": 3}), json!({"a": 1, "b": 5, "d": 6}));
        assert_eq!((old, new), (json!({"b": 2, "c": 3}), json!({"b": 5, "d": 6})));
    }

    #[test]
    fn what_stays_as_it_was_is_no_change() {
        let same = Event::new("server.changed", "web").changed(json!({"port": 1}), json!({"port": 1}));
        let other = Event::new("server.changed", "web").changed(json!({"port": 1}), json!({"port": 2}));
        let made = Event::new("server.added", "web").made(json!({}));
        assert_eq!([&same, &other, &made].map(changes_nothing), [true, false, false]);
        assert!(!changes_nothing(&Event::new("server.paused", "web")));
    }
}
