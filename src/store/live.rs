//! That alerts changed, told from instance to instance by PostgreSQL. What is told names owners only, and is for
//! the program: who may hear of what, [`crate::app`]'s viewers are asked one by one.

use std::collections::HashSet;

use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::StreamExt;

use super::Store;
use super::connect::connect;
use super::intake::CHANNEL;
use super::scope::{All, Scope};
use crate::error::{Error, Result};

/// Owners that are named at once; PostgreSQL takes 8,000 bytes.
const MOST_NAMED: usize = 300;

/// Whose alerts changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Anybody's: what was told may have been missed.
    Any,
    /// These owners'; none of them: unassigned ones.
    Of(HashSet<i64>),
}

impl Changed {
    fn told(text: &str) -> Self {
        if text.is_empty() {
            return Self::Of(HashSet::new());
        }
        // what is not understood is better looked at than missed
        text.split(',').map(str::parse).collect::<Result<_, _>>().map_or(Self::Any, Self::Of)
    }

    /// Whether rows of a scope may be among them.
    pub fn concerns(&self, scope: &Scope) -> bool {
        match (self, scope.owners()) {
            (Self::Any, _) | (_, None) => true,
            (Self::Of(changed), Some(owners)) => owners.iter().any(|owner| changed.contains(owner)),
        }
    }
}

/// Tells, with the commit, that alerts of these owners changed; `None`: unassigned ones.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    owners: impl IntoIterator<Item = Option<i64>>,
) -> Result<()> {
    let owners: HashSet<i64> = owners.into_iter().flatten().collect();
    let text = if owners.len() > MOST_NAMED {
        "*".to_owned()
    } else {
        owners.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
    };
    diesel::sql_query("select pg_notify($1, $2)")
        .bind::<Text, _>(CHANNEL)
        .bind::<Text, _>(text)
        .execute(conn)
        .await?;
    Ok(())
}

impl Store {
    /// Hears what is told, on a connection of its own, until that is lost.
    pub async fn listen(&self, _: All, mut heard: impl FnMut(Changed)) -> Result<()> {
        let mut conn = connect(&self.url).await.map_err(Error::internal)?;
        conn.batch_execute(&format!("listen {CHANNEL}")).await?;
        // nobody heard what was told before
        heard(Changed::Any);
        let mut told = std::pin::pin!(conn.notifications_stream());
        while let Some(told) = told.next().await {
            heard(Changed::told(&told?.payload));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_woken_by_their_own() {
        let alice = Scope::of([101, 103]);
        let root: Scope = All::operator().into();
        for (text, concerns) in [("101", true), ("7,103", true), ("102", false), ("", false), ("*", true)] {
            let changed = Changed::told(text);
            assert_eq!(changed.concerns(&alice), concerns, "{text}");
            assert!(changed.concerns(&root), "{text}");
        }
    }
}
