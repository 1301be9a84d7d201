//! How many episodes are open.

use diesel::prelude::*;
use diesel::sql_types::Bigint;
use diesel_async::RunQueryDsl;

use super::select::{Order, Reach, Wanted};
use super::{Filter, State, Whose};
use crate::error::Result;
use crate::store::Db;
use crate::store::scope::Scope;
use crate::store::statement::Statement;

/// How many open episodes the scope may see, up to `limit`.
pub async fn open_count(db: &mut Db, scope: &Scope, limit: i64) -> Result<i64> {
    let filter = Filter { state: State::Open, ..Filter::default() };
    Wanted::new(Reach::of(scope, Whose::Any), &filter, Order::Any, limit).number(db).await
}

/// How many open episodes there are.
#[derive(Clone, Copy, Debug, Default, QueryableByName)]
pub struct Open {
    #[diesel(sql_type = Bigint)]
    pub critical: i64,
    /// Of every other severity.
    #[diesel(sql_type = Bigint)]
    pub other: i64,
    /// Of both, those that Alertmanager does not notify, by its reason.
    #[diesel(sql_type = Bigint)]
    pub silenced: i64,
    #[diesel(sql_type = Bigint)]
    pub inhibited: i64,
    #[diesel(sql_type = Bigint)]
    pub muted: i64,
    /// Critical ones that it does notify.
    #[diesel(sql_type = Bigint)]
    pub loud: i64,
}

/// How many open episodes the scope may see.
pub async fn open(db: &mut Db, scope: &Scope) -> Result<Open> {
    let filter = Filter { state: State::Open, ..Filter::default() };
    let wanted = Wanted::new(Reach::of(scope, Whose::Any), &filter, Order::Any, i64::MAX);
    if wanted.reach.is_empty() {
        return Ok(Open::default());
    }
    let mut statement = Statement::new(
        "select count(*) filter (where a.severity = 'critical') as critical, \
         count(*) filter (where a.severity <> 'critical') as other, \
         count(*) filter (where a.suppressed = 'silenced') as silenced, \
         count(*) filter (where a.suppressed = 'inhibited') as inhibited, \
         count(*) filter (where a.suppressed = 'muted') as muted, \
         count(*) filter (where a.severity = 'critical' and a.suppressed is null) as loud from ",
    );
    wanted.source(&mut statement, "a.severity, a.suppressed, a.started_at, a.id", 0);
    Ok(statement.get_result(db.conn()).await?)
}
