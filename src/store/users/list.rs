//! The list of people, for admins.

use std::collections::HashMap;

use diesel::dsl::{not, sql};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Bool, Text};
use diesel_async::RunQueryDsl;

use super::{User, has_password};
use crate::error::Result;
use crate::page::{At, Page, SIZE, Seek};
use crate::store::schema::users;
use crate::store::scope::All;
use crate::store::{Db, like};

/// Owners of a person that the list names; the others are counted.
const NAMED: i64 = 3;

/// What the list is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Part of the name.
    pub q: String,
    pub kind: Kind,
}

/// Which people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    All,
    Admins,
    Disabled,
    /// Who had no password yet, and never came in without one.
    Invited,
}

/// What a person may see: the first few of their owners by name, with the role in each.
#[derive(Clone, Debug, Default)]
pub struct Owned {
    pub named: Vec<(i64, String, String)>,
    /// Of all their owners.
    pub count: i64,
}

/// People by name.
pub async fn page(db: &mut Db, _: All, filter: &Filter, at: &At) -> Result<Page<User>> {
    let seek = at.seek::<String>();
    let mut query = users::table.into_boxed();
    if !filter.q.trim().is_empty() {
        query = query.filter(users::name.ilike(like(filter.q.trim())));
    }
    query = match filter.kind {
        Kind::All => query,
        Kind::Admins => query.filter(users::admin.and(users::disabled_at.is_null())),
        Kind::Disabled => query.filter(users::disabled_at.is_not_null()),
        Kind::Invited => query
            .filter(not(has_password()).and(users::last_login_at.is_null()))
            .filter(users::disabled_at.is_null()),
    };
    // a name is unique in whatever case
    query = match &seek {
        Seek::Start => query.order(sql::<Text>("lower(users.name)")),
        Seek::After(name) => query
            .filter(sql::<Bool>("lower(users.name) > ").bind::<Text, _>(name.clone()))
            .order(sql::<Text>("lower(users.name)")),
        Seek::Before(name) => query
            .filter(sql::<Bool>("lower(users.name) < ").bind::<Text, _>(name.clone()))
            .order(sql::<Text>("lower(users.name) desc")),
    };
    let rows = query
        .limit(SIZE as i64 + 1)
        .select((User::as_select(), sql::<Text>("lower(users.name)")))
        .load::<(User, String)>(db.conn())
        .await?;
    let page = Page::new(rows, &seek, |(_, key)| key.clone());
    Ok(Page {
        items: page.items.into_iter().map(|(user, _)| user).collect(),
        prev: page.prev,
        next: page.next,
    })
}

/// The owners of each of these people, by the person's id.
pub async fn owned(db: &mut Db, _: All, people: &[User]) -> Result<HashMap<i64, Owned>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bigint)]
        user_id: i64,
        #[diesel(sql_type = Bigint)]
        id: i64,
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        role: String,
        #[diesel(sql_type = Bigint)]
        count: i64,
    }
    let ids: Vec<i64> = people.iter().map(|user| user.id).collect();
    let rows: Vec<Row> = diesel::sql_query(
        "select * from (select m.user_id, o.id, o.name, m.role, count(*) over of_user as count, \
           row_number() over (partition by m.user_id order by lower(o.name), o.id) as place \
         from memberships m join owners o on o.id = m.owner_id and o.removed_at is null \
         where m.user_id = any($1) window of_user as (partition by m.user_id)) each where place <= $2 order by place",
    )
    .bind::<Array<Bigint>, _>(ids)
    .bind::<Bigint, _>(NAMED)
    .load(db.conn())
    .await?;
    let mut owned: HashMap<i64, Owned> = HashMap::new();
    for row in rows {
        let of = owned.entry(row.user_id).or_default();
        of.count = row.count;
        of.named.push((row.id, row.name, row.role));
    }
    Ok(owned)
}
