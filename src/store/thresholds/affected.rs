//! Which servers follow what is set at a place.

use diesel::prelude::*;
use diesel::sql_types::{Array, Bigint, Nullable, Text};
use diesel_async::RunQueryDsl;

use super::Place;
use crate::catalogue::Severity;
use crate::error::Result;
use crate::store::Db;
use crate::store::scope::Scope;

/// A server that follows it.
#[derive(Debug, QueryableByName)]
pub struct Server {
    #[diesel(sql_type = Bigint)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Text)]
    pub external_id: String,
    #[diesel(sql_type = Text)]
    pub owner_name: String,
    #[diesel(sql_type = Text)]
    pub owner_external_id: String,
    #[diesel(sql_type = Bigint)]
    all: i64,
}

/// The servers that follow what is set at a place; those that are paused do not count.
#[derive(Debug)]
pub struct Affected {
    pub servers: Vec<Server>,
    /// With those that were too many.
    pub all: i64,
    /// Those that follow something narrower.
    pub apart: i64,
}

const WITHIN: &str = "from servers s join owners o on o.id = s.owner_id \
    where s.removed_at is null and o.removed_at is null and s.enabled \
    and ($1 is null or s.owner_id = any($1)) and ($2 is null or s.owner_id = $2) and ($3 is null or s.id = $3)";

/// Who follows what is set at a place for a rule and severity, of what the scope may see: at most `most` servers, where there
/// are more some of all owners.
pub async fn affected(
    db: &mut Db,
    scope: &Scope,
    place: Place<'_>,
    (rule, severity): (&str, Severity),
    most: i64,
) -> Result<Affected> {
    #[derive(QueryableByName)]
    struct Counted {
        #[diesel(sql_type = Bigint)]
        count: i64,
    }
    let (owner, server) = place.ids();
    let scope = scope.owners().map(<[i64]>::to_vec);
    // a server's own threshold goes before its owner's, and both before the default; ids are shuffled, so the first are any
    let servers: Vec<Server> = diesel::sql_query(format!(
        "select s.id, s.name, s.external_id, o.name as owner_name, o.external_id as owner_external_id, \
           count(*) over () as all {WITHIN} and ($3 is not null or not exists (select from thresholds t \
             where t.rule = $4 and t.severity = $5 and t.owner_id = s.owner_id \
             and (t.server_id = s.id or t.server_id is null and $2 is null))) \
         order by s.id limit $6"
    ))
    .bind::<Nullable<Array<Bigint>>, _>(&scope)
    .bind::<Nullable<Bigint>, _>(owner)
    .bind::<Nullable<Bigint>, _>(server)
    .bind::<Text, _>(rule)
    .bind::<Text, _>(severity.as_str())
    .bind::<Bigint, _>(most)
    .load(db.conn())
    .await?;
    let within: Counted = diesel::sql_query(format!("select count(*) as count {WITHIN}"))
        .bind::<Nullable<Array<Bigint>>, _>(&scope)
        .bind::<Nullable<Bigint>, _>(owner)
        .bind::<Nullable<Bigint>, _>(server)
        .get_result(db.conn())
        .await?;
    let all = servers.as_slice().first().map_or(0, |server| server.all);
    Ok(Affected { servers, all, apart: within.count - all })
}
