//! How rows of the history are found. The plan of each statement is made once a connection and holds for
//! every value, so a statement is shaped such that one index gives its rows in their order, whoever asks: an owner
//! is compared with `=`, several are asked one by one, and what was searched for comes as identities.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Bool, Integer, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use jiff::{SignedDuration, Timestamp};
use jiff_diesel::ToDiesel;

use super::{Alert, Filter, Name, Named, Said, State, Whose};
use crate::error::Result;
use crate::store::Db;
use crate::store::scope::Scope;
use crate::store::statement::Statement;

/// An alert's identity: cluster and fingerprint.
pub(super) type Identity = (i32, String);
/// A place in the history: start and id.
pub(super) type Key = (Timestamp, i64);

/// Whose rows.
#[derive(Clone, Debug)]
pub(super) enum Reach {
    All,
    Unassigned,
    Owners(Vec<i64>),
}

impl Reach {
    /// What of the scope's is wanted.
    pub(super) fn of(scope: &Scope, whose: Whose) -> Self {
        match (scope.owners(), whose) {
            (None, Whose::Any) => Self::All,
            (None, Whose::Unassigned) => Self::Unassigned,
            (None, Whose::Owner(id)) => Self::Owners(vec![id]),
            (Some(ids), Whose::Any) => Self::Owners(ids.to_vec()),
            (Some(_), Whose::Unassigned) => Self::Owners(Vec::new()),
            (Some(ids), Whose::Owner(id)) => {
                Self::Owners(ids.iter().copied().filter(|own| *own == id).collect())
            }
        }
    }

    /// No row can be found.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Owners(ids) if ids.is_empty())
    }
}

/// In which order, and so by which index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The newest start first.
    Newest,
    /// The oldest start first: a page that is read backwards.
    Oldest,
    /// Critical ones first, then the longest.
    Worst,
    /// As they come, to be counted.
    Any,
}

impl Order {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Newest => " order by a.started_at desc, a.id desc limit ",
            Self::Oldest => " order by a.started_at, a.id limit ",
            Self::Worst => " order by a.severity <> 'critical', a.started_at, a.id limit ",
            Self::Any => " limit ",
        }
    }
}

/// Which of the rows that were open at some time since [`Filter::from`]: each part has its own index, and no row is in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Begun at most a day before.
    Recent,
    /// Begun earlier, and open still.
    Open,
    /// Begun earlier, and over: they lasted a day or more, as few do.
    Long,
}

/// How long an episode lasts that [`Part::Long`] finds by the index of such.
const LONG: SignedDuration = SignedDuration::from_hours(24);

/// What rows have to be like.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    pub reach: Reach,
    pub filter: &'a Filter,
    pub order: Order,
    pub limit: i64,
    /// Only these alerts, each by its own index scan.
    pub identities: Option<Vec<Identity>>,
    /// Terms that the alert must have, see [`super::terms`].
    pub terms: Vec<super::terms::Term>,
    /// Beyond this row, in the order.
    pub beyond: Option<Key>,
    /// Not beyond this one, in the order.
    pub within: Option<Key>,
    /// Not begun before. Months before it are left out, as nothing is received before it begins.
    pub since: Option<Timestamp>,
    /// Not this row.
    pub except: Option<i64>,
    /// Rows of each owner or alert, where several are asked; as many as of all if not said.
    pub each: Option<i64>,
    /// Set wherever the filter has a `from`.
    pub part: Option<Part>,
}

/// By how much a clock of Alertmanager's may be ahead of the database's.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

impl<'a> Wanted<'a> {
    pub(super) fn new(reach: Reach, filter: &'a Filter, order: Order, limit: i64) -> Self {
        Self {
            reach,
            filter,
            order,
            limit,
            identities: None,
            terms: Vec::new(),
            beyond: None,
            within: None,
            since: None,
            except: None,
            each: None,
            part: None,
        }
    }

    /// Whether rows are gathered from many index scans, which are worth it to be kept to some months.
    fn gathers(&self) -> usize {
        match (&self.identities, &self.reach) {
            (Some(identities), _) => identities.len(),
            (None, Reach::Owners(ids)) => ids.len(),
            (None, _) => 1,
        }
    }

    /// ` from alerts a where …`, and the rows that are read from it, as `a`.
    pub(super) fn source(&self, statement: &mut Statement<'_>, columns: &'static str, offset: i64) {
        let several = match (&self.identities, &self.reach) {
            (Some(identities), _) => {
                let clusters: Vec<i32> = identities.iter().map(|(cluster, _)| *cluster).collect();
                let fingerprints: Vec<String> =
                    identities.iter().map(|(_, fingerprint)| fingerprint.clone()).collect();
                statement.text("unnest(").value::<Array<Integer>, _>(clusters);
                statement.text(", ").value::<Array<Text>, _>(fingerprints);
                statement.text(") u(cluster, fingerprint), lateral ");
                true
            }
            (None, Reach::Owners(ids)) if self.filter.server.is_none() && ids.len() > 1 => {
                statement.text("unnest(").value::<Array<Bigint>, _>(ids.clone());
                statement.text(") u(owner), lateral ");
                true
            }
            _ => false,
        };
        statement.text("(select ").text(columns).text(" from alerts a where ");
        match (&self.identities, &self.reach) {
            (Some(_), reach) => {
                statement.text("a.fingerprint = u.fingerprint and a.cluster_id = u.cluster");
                match reach {
                    Reach::All => {}
                    Reach::Unassigned => {
                        statement.text(" and a.owner_id is null");
                    }
                    Reach::Owners(ids) => {
                        statement
                            .text(" and a.owner_id = any(")
                            .value::<Array<Bigint>, _>(ids.clone())
                            .text(")");
                    }
                }
            }
            (None, Reach::All) => {
                statement.text("true");
            }
            (None, Reach::Unassigned) => {
                statement.text("a.owner_id is null");
            }
            (None, Reach::Owners(_)) if several => {
                statement.text("a.owner_id = u.owner");
            }
            (None, Reach::Owners(ids)) => match ids.as_slice() {
                [id] => {
                    statement.text("a.owner_id = ").value::<Bigint, _>(*id);
                }
                _ => {
                    statement.text("a.owner_id = any(").value::<Array<Bigint>, _>(ids.clone()).text(")");
                }
            },
        }
        self.conditions(statement);
        let each = self.each.filter(|_| several).unwrap_or(self.limit);
        statement.text(self.order.text()).value::<Bigint, _>(each);
        if offset > 0 {
            statement.text(" offset ").value::<Bigint, _>(offset);
        }
        statement.text(") a");
    }

    fn conditions(&self, statement: &mut Statement<'_>) {
        let filter = self.filter;
        match filter.state {
            State::All => {}
            State::Open => {
                statement.text(" and a.ended_at is null");
            }
            State::Unacknowledged => {
                statement.text(" and a.ended_at is null and ").text(ACKNOWLEDGED).text(" is null");
            }
            State::Closed => {
                statement.text(" and a.ended_at is not null");
            }
        }
        if let Some(server) = filter.server {
            statement.text(" and a.server_id = ").value::<Bigint, _>(server);
        }
        if let Some(to) = filter.to {
            statement.text(" and a.started_at < ").value::<Timestamptz, _>(to.to_diesel());
        }
        let early = filter.from.and_then(|from| from.checked_sub(LONG).ok()).zip(self.part);
        let mut since = self.since;
        if let (Some(from), Some((early, part))) = (filter.from, early) {
            match part {
                Part::Recent => {
                    since = since.max(Some(early));
                    statement.text(" and (a.ended_at is null or a.ended_at >= ");
                    statement.value::<Timestamptz, _>(from.to_diesel()).text(")");
                }
                Part::Open => {
                    statement.text(" and a.ended_at is null");
                }
                Part::Long => {
                    statement
                        .text(" and a.ended_at - a.started_at >= interval '24 hours' and a.ended_at >= ");
                    statement.value::<Timestamptz, _>(from.to_diesel());
                }
            }
            if part != Part::Recent {
                statement.text(" and a.started_at < ").value::<Timestamptz, _>(early.to_diesel());
            }
        }
        let (beyond, within) = match self.order {
            Order::Newest | Order::Any => (" and (a.started_at, a.id) < (", " and (a.started_at, a.id) >= ("),
            Order::Oldest | Order::Worst => {
                (" and (a.started_at, a.id) > (", " and (a.started_at, a.id) <= (")
            }
        };
        for (text, key) in [(beyond, &self.beyond), (within, &self.within)] {
            if let Some((started, id)) = key {
                statement.text(text).value::<Timestamptz, _>(started.to_diesel());
                statement.text(", ").value::<Bigint, _>(*id).text(")");
            }
        }
        // what is known of the start prunes months
        let floor = since.max(self.oldest());
        if let Some(since) = since {
            statement.text(" and a.started_at >= ").value::<Timestamptz, _>(since.to_diesel());
        }
        if let Some(received) = floor.and_then(|floor| floor.checked_sub(AHEAD).ok()) {
            statement.text(" and a.received_at >= ").value::<Timestamptz, _>(received.to_diesel());
        }
        if let Some(id) = self.except {
            statement.text(" and a.id <> ").value::<Bigint, _>(id);
        }
        for term in &self.terms {
            // asked row by row: as a join it would read every alert that has the term
            statement.text(
                " and (select true from alert_terms t where t.cluster_id = a.cluster_id and t.fingerprint = a.fingerprint",
            );
            term.condition(statement);
            statement.text(" limit 1)");
        }
    }

    /// The earliest start that the place in the order allows.
    fn oldest(&self) -> Option<Timestamp> {
        match self.order {
            Order::Newest | Order::Any => self.within,
            Order::Oldest | Order::Worst => self.beyond,
        }
        .map(|(started, _)| started)
    }

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
        if self.gathers() > 5 && self.limit > HANDFUL && self.each.is_none() {
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

    /// Where several index scans are needed, the newest months alone, then more of them, then all.
    fn newest_months_first(&self) -> impl Iterator<Item = Self> {
        const DAYS: [i64; 2] = [35, 400];
        let newest = self.beyond.map_or_else(Timestamp::now, |(started, _)| started);
        let some = DAYS.into_iter().filter(|_| self.gathers() > 5 && self.order == Order::Newest);
        let since = some.map(move |days| newest.checked_sub(SignedDuration::from_hours(24 * days)).ok());
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
/// Asked row by row, as terms are.
const ACKNOWLEDGED: &str =
    "(select true from acknowledgements k where k.alert_id = a.id and k.received_at = a.received_at limit 1)";
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
