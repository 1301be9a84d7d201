//! What owners and their servers have that differs from the defaults: for the page of owners by kinds.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Text};
use diesel_async::RunQueryDsl;

use super::Threshold;
use crate::catalogue::{RuleKind, Setting, Severity};
use crate::error::Result;
use crate::store::Db;
use crate::store::owners::Owner;
use crate::store::schema::thresholds;

/// Servers of one owner and kind that are named; of others the number is told.
const NAMED: i64 = 3;

/// What is set for some owners, beside what holds for everybody.
#[derive(Debug, Default)]
pub struct Overrides {
    rows: Vec<Threshold>,
    servers: BTreeMap<(i64, String), OfServers>,
}

/// Servers of one owner that have thresholds of a kind to themselves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OfServers {
    pub count: i64,
    /// Id and name of the first of them.
    pub first: Vec<(i64, String)>,
}

/// What was set for these owners and for servers of theirs that exist.
pub async fn overrides(db: &mut Db, owners: &[Owner]) -> Result<Overrides> {
    let ids: Vec<i64> = owners.iter().map(|owner| owner.id).collect();
    let rows = thresholds::table
        .filter(
            thresholds::server_id
                .is_null()
                .and(thresholds::owner_id.is_null().or(thresholds::owner_id.eq_any(&ids))),
        )
        .select(Threshold::as_select())
        .load(db.conn())
        .await?;
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bigint)]
        owner: i64,
        #[diesel(sql_type = Text)]
        rule: String,
        #[diesel(sql_type = Bigint)]
        count: i64,
        #[diesel(sql_type = Bigint)]
        id: i64,
        #[diesel(sql_type = Text)]
        name: String,
    }
    let found: Vec<Row> = diesel::sql_query(
        "select owner_id as owner, rule, count, id, name from ( \
           select owner_id, rule, id, name, count(*) over (partition by owner_id, rule) as count, \
             row_number() over (partition by owner_id, rule order by lower(name), id) as nth from ( \
               select distinct t.owner_id, t.rule, s.id, s.name from thresholds t \
               join servers s on s.id = t.server_id and s.removed_at is null where t.owner_id = any($1)) own) numbered \
         where nth <= $2 order by owner_id, rule, nth",
    )
    .bind::<Array<Bigint>, _>(ids)
    .bind::<Bigint, _>(NAMED)
    .load(db.conn())
    .await?;
    let mut servers: BTreeMap<_, OfServers> = BTreeMap::new();
    for row in found {
        let of = servers.entry((row.owner, row.rule)).or_default();
        of.count = row.count;
        of.first.push((row.id, row.name));
    }
    Ok(Overrides { rows, servers })
}

impl Overrides {
    fn at(&self, owner: Option<i64>, kind: &RuleKind, severity: Severity) -> Option<Setting> {
        let row = self
            .rows
            .iter()
            .find(|row| row.owner_id == owner && row.rule == kind.name && row.severity == severity.as_str());
        row.map(Threshold::setting)
    }

    /// What holds for everybody.
    pub fn default(&self, kind: &RuleKind, severity: Severity) -> Setting {
        self.at(None, kind, severity).unwrap_or_else(|| kind.default_setting(severity))
    }

    /// What holds for an owner, where that is something else.
    pub fn of(&self, owner: &Owner, kind: &RuleKind, severity: Severity) -> Option<Setting> {
        let own = self.at(Some(owner.id), kind, severity)?;
        (own != self.default(kind, severity)).then_some(own)
    }

    /// Which of an owner's servers have thresholds of that kind to themselves.
    pub fn of_servers(&self, owner: &Owner, kind: &RuleKind) -> Option<&OfServers> {
        self.servers.get(&(owner.id, kind.name.clone()))
    }
}
