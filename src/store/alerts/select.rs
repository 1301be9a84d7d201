//! How rows of the history are found. The plan of each statement is made once a connection and holds for
//! every value, so a statement is shaped such that one index gives its rows in their order, whoever asks: an owner
//! is compared with `=`, several are asked one by one, and what was searched for comes as identities.

use diesel::sql_types::{Array, Bigint, Integer, Text, Timestamptz};
use jiff::{SignedDuration, Timestamp};
use jiff_diesel::ToDiesel;

use super::{Filter, State, Whose};
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
pub(super) const LONG: SignedDuration = SignedDuration::from_hours(24);

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
    pub(super) fn gathers(&self) -> usize {
        match (&self.identities, &self.reach) {
            (Some(identities), _) => identities.len(),
            (None, Reach::Owners(ids)) => ids.len(),
            (None, _) => 1,
        }
    }

    /// Whether there are few rows whoever asks: those that are open, or one server's.
    pub(super) fn has_few(&self) -> bool {
        matches!(self.filter.state, State::Open | State::Unacknowledged) || self.filter.server.is_some()
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
        // few last long and have an index of their own: a walk in order past all others would be taken for cheaper
        let apart = self.part == Some(Part::Long);
        statement.text(if apart { "(select * from (select " } else { "(select " });
        statement.text(columns).text(" from alerts a where ");
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
        if apart {
            statement.text(" offset 0) a");
        }
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
}

/// Asked row by row, as terms are.
const ACKNOWLEDGED: &str =
    "(select true from acknowledgements k where k.alert_id = a.id and k.received_at = a.received_at limit 1)";
