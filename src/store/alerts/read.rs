//! Reading what [`Wanted`] says: the rows with their names, in as few index scans as a page needs.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Bool, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use jiff::{SignedDuration, Timestamp};

use super::select::{Key, Order, Part, Wanted};
use super::{Alert, Name, Named, Said};
use crate::error::Result;
use crate::store::Db;
use crate::store::scope::Scope;
use crate::store::statement::Statement;

impl Wanted<'_> {
    /// The parts of what is wanted, in its order.
    pub(super) fn parts(&self) -> Vec<Vec<Self>> {
        if self.filter.from.is_none() {
            return vec![vec![self.clone()]];
        }
        let part = |part| Self { part: Some(part), ..self.clone() };
        let mut parts = vec![vec![part(Part::Recent)], vec![part(Part::Open), part(Part::Long)]];
        if self.order == Order::Oldest {
            parts.reverse();
        }
        parts
    }

    /// The rows with the names of what they belong to.
    pub(super) async fn rows(&self, db: &mut Db) -> Result<Vec<Named>> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let mut rows = Vec::new();
        for parts in self.parts() {
            let several = parts.len() > 1;
            let mut found = Vec::new();
            for part in parts {
                found.extend(part.some_months_first(db).await?);
            }
            if several {
                found.sort_by_key(|named| (named.alert.started_at, named.alert.id));
                if self.order == Order::Newest {
                    found.reverse();
                }
            }
            rows.extend(found);
            if rows.len() >= limit {
                break;
            }
        }
        rows.truncate(limit);
        Ok(rows)
    }

    /// The rows of one part. Where many owners or alerts are asked, few of them fill a page alone: each is asked for a
    /// handful first, and all again for a whole page only where one of them had no more than its handful to give.
    async fn one_part(&self, db: &mut Db) -> Result<Vec<Named>> {
        const HANDFUL: i64 = 10;
        if self.reach.is_empty() {
            return Ok(Vec::new());
        }
        if self.gathers() > 5 && self.limit > HANDFUL && self.each.is_none() && !self.has_few() {
            let rows = Self { each: Some(HANDFUL), ..self.clone() }.loaded(db).await?;
            let mut given: HashMap<_, i64> = HashMap::new();
            for Named { alert, .. } in &rows {
                let source = match self.identities {
                    Some(_) => (i64::from(alert.cluster_id), Some(alert.fingerprint.clone())),
                    None => (alert.owner_id.unwrap_or_default(), None),
                };
                *given.entry(source).or_default() += 1;
            }
            if given.values().all(|given| *given < HANDFUL) {
                return Ok(rows);
            }
        }
        self.loaded(db).await
    }

    async fn loaded(&self, db: &mut Db) -> Result<Vec<Named>> {
        let mut statement = Statement::new(NAMED);
        // its own limit, or the names of every owner's rows would be looked up before most of them are left out
        statement.text("(select a.* from ");
        self.source(&mut statement, "a.*", 0);
        statement.text(self.order.text()).value::<Bigint, _>(self.limit);
        statement.text(") a").text(NAMES).text(self.order.text()).value::<Bigint, _>(self.limit);
        let rows: Vec<Row> = statement.load(db.conn()).await?;
        Ok(rows.into_iter().map(Named::from).collect())
    }

    /// Where many rows are to choose from, the newest months alone, where several index scans are needed then more of them,
    /// then all: each month that is looked into costs time, whether or not it has rows.
    fn newest_months_first(&self) -> impl Iterator<Item = Self> {
        const DAYS: [i64; 2] = [35, 400];
        let newest = self.beyond.map_or_else(Timestamp::now, |(started, _)| started);
        let rounds = match (self.order, self.gathers()) {
            (Order::Newest, 6..) if !self.has_few() => 2,
            (Order::Newest, 1) if !self.has_few() && self.identities.is_none() => 1,
            _ => 0,
        };
        let since = DAYS
            .into_iter()
            .take(rounds)
            .map(move |days| newest.checked_sub(SignedDuration::from_hours(24 * days)).ok());
        since.chain([None]).map(|since| Self { since: since.max(self.since), ..self.clone() })
    }

    /// The rows of one part: older months are only asked as long as there is room.
    async fn some_months_first(&self, db: &mut Db) -> Result<Vec<Named>> {
        let mut rows = Vec::new();
        for wanted in self.newest_months_first() {
            rows = wanted.one_part(db).await?;
            if i64::try_from(rows.len()).is_ok_and(|rows| rows >= self.limit) {
                break;
            }
        }
        Ok(rows)
    }

    /// How many rows there are, up to the limit.
    pub(super) async fn number(&self, db: &mut Db) -> Result<i64> {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = Bigint)]
            n: i64,
        }
        let mut number = 0;
        for part in self.parts().into_iter().flatten().filter(|part| !part.reach.is_empty()) {
            let mut statement = Statement::new("select count(*) as n from (select 1 from ");
            part.source(&mut statement, "a.started_at, a.id", 0);
            statement.text(" limit ").value::<Bigint, _>(part.limit).text(") c");
            number += statement.get_result::<Count>(db.conn()).await?.n;
        }
        Ok(number.min(self.limit))
    }

    /// The row up to which all rows of every owner are among the next `most` in all: where a walk over them ends.
    pub(super) async fn edge(&self, db: &mut Db, most: i64) -> Result<Option<Key>> {
        #[derive(QueryableByName)]
        struct Place {
            #[diesel(sql_type = Timestamptz, deserialize_as = jiff_diesel::Timestamp)]
            started_at: Timestamp,
            #[diesel(sql_type = Bigint)]
            id: i64,
        }
        let each = most / i64::try_from(self.gathers().max(1)).unwrap_or(1);
        for one in self.newest_months_first() {
            let one = Self { limit: 1, terms: Vec::new(), ..one };
            let mut statement = Statement::new("select a.started_at, a.id from ");
            one.source(&mut statement, "a.started_at, a.id", each.max(50));
            statement.text(one.order.text()).value::<Bigint, _>(1);
            let place: Option<Place> = statement.get_result(db.conn()).await.optional()?;
            // an owner with fewer rows in these months ends further back
            if let Some(place) = place {
                return Ok(Some((place.started_at, place.id)));
            }
        }
        Ok(None)
    }
}

/// Rows `a` with the names of what they belong to: this, the rows, and [`NAMES`].
const NAMED: &str = "select a.*, o.name as owner_name, o.removed_at is not null as owner_removed, s.name as server_name, \
     coalesce(s.removed_at, o.removed_at) is not null as server_removed, k.at as acknowledged_at, \
     case when k.staff and not rights_all('seen') then 'Staff' else k.user_name end as acknowledged_by from ";
/// Looked up one by one: a join may read all servers for one page.
const NAMES: &str = " left join lateral (select name, removed_at from owners where id = a.owner_id limit 1) o on true \
     left join lateral (select name, removed_at from servers where owner_id = a.owner_id and id = a.server_id limit 1) s on true \
     left join lateral (select at, staff, user_name from acknowledgements where alert_id = a.id and received_at = a.received_at limit 1) k on true";

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    alert: Alert,
    #[diesel(sql_type = Nullable<Text>)]
    owner_name: Option<String>,
    #[diesel(sql_type = Bool)]
    owner_removed: bool,
    #[diesel(sql_type = Nullable<Text>)]
    server_name: Option<String>,
    #[diesel(sql_type = Bool)]
    server_removed: bool,
    #[diesel(sql_type = Nullable<Timestamptz>, deserialize_as = jiff_diesel::NullableTimestamp)]
    acknowledged_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Text>)]
    acknowledged_by: Option<String>,
}

impl From<Row> for Named {
    fn from(row: Row) -> Self {
        let name = |id: Option<i64>, name: Option<String>, removed| {
            id.zip(name).map(|(id, name)| Name { id, name, removed })
        };
        Self {
            owner: name(row.alert.owner_id, row.owner_name, row.owner_removed),
            server: name(row.alert.server_id, row.server_name, row.server_removed),
            acknowledged: row.acknowledged_by.zip(row.acknowledged_at).map(|(by, at)| Said { by, at }),
            alert: row.alert,
        }
    }
}

/// The episode with that id.
pub(super) async fn by_id(db: &mut Db, scope: &Scope, id: i64) -> Result<Option<Named>> {
    let mut statement = Statement::new(NAMED);
    statement.text("alerts a").text(NAMES).text(" where a.id = ");
    statement.value::<Bigint, _>(id);
    if let Some(ids) = scope.owners() {
        statement.text(" and a.owner_id = any(").value::<Array<Bigint>, _>(ids.to_vec()).text(")");
    }
    let row: Option<Row> = statement.get_result(db.conn()).await.optional()?;
    Ok(row.map(Named::from))
}
