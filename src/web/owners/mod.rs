//! Owners: the list and an owner's page for whoever may see them, the form for admins.

mod form;
mod show;

use std::collections::HashMap;

use askama::Template;
use axum::extract::State as AppState;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

pub use self::form::{create, edit, new, remove, restore, update};
pub use self::show::show;
pub(super) use self::show::{LAST, OPEN};
use super::{Frame, Look, Pager, State, all_of};
use crate::app::App;
use crate::auth::User;
use crate::error::{Error, Result};
use crate::face::Query;
use crate::page::{At, Page};
use crate::store::owners::{self, Filter, Owner, OwnerCounts};
use crate::store::scope::Scope;
use crate::store::{Db, health};

#[derive(Template)]
#[template(path = "owners/list.html", blocks = ["rows"])]
struct OwnersPage {
    frame: Frame,
    q: String,
    rows: Vec<OwnerRow>,
    pager: Pager,
}

/// For how long alerts are kept, in words.
fn kept(own: Option<i32>, default_days: i32) -> String {
    match own.unwrap_or(default_days) {
        0 => "for ever".into(),
        1 => "for a day".into(),
        days => format!("for {days} days"),
    }
}

struct OwnerRow {
    id: i64,
    state: State,
    name: String,
    external_id: String,
    comment: String,
    servers: i64,
    open_alerts: i64,
}

/// What the list is narrowed to.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    q: String,
    #[serde(flatten)]
    at: At,
}

/// `GET /owners`: those that the person sees.
pub async fn list(
    AppState(app): AppState<App>,
    user: User,
    session: Session,
    look: Look,
    Query(wanted): Query<Wanted>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let filter = Filter { q: wanted.q.clone(), ..Filter::default() };
    let found = owners::list(&mut db, &user.scope(), &filter, &wanted.at).await?;
    let counts = owners::counts(&mut db, &found.items).await?;
    let fresh = health::fresh(&mut db).await?;
    let page = OwnersPage {
        frame: look.frame(&mut db, &user, &session).await?,
        pager: Pager::new(&found, "/owners", &[("q", &wanted.q)], all_of(&found, "owner")),
        rows: rows(found, &counts, fresh),
        q: wanted.q,
    };
    look.show(&page, |page| page.as_rows().render())
}

fn rows(found: Page<Owner>, counts: &HashMap<i64, OwnerCounts>, fresh: bool) -> Vec<OwnerRow> {
    let row = |owner: Owner| {
        let counts = counts.get(&owner.id).copied().unwrap_or_default();
        OwnerRow {
            id: owner.id,
            state: state(counts, fresh),
            name: owner.name,
            external_id: owner.external_id,
            comment: owner.comment,
            servers: counts.servers,
            open_alerts: counts.open.count,
        }
    };
    found.items.into_iter().map(row).collect()
}

/// The worst of an owner's alerts and servers.
fn state(counts: OwnerCounts, fresh: bool) -> State {
    match counts {
        _ if counts.open.critical => State::new("critical", "Critical"),
        _ if counts.open.count > 0 => State::new("warning", "Warning"),
        OwnerCounts { servers: 0, .. } => State::new("unknown", "No servers"),
        OwnerCounts { enabled: 0, .. } => State::new("paused", "Paused"),
        OwnerCounts { up: 1.., .. } if fresh => State::new("ok", "Well"),
        _ => State::new("unknown", "Unknown"),
    }
}

/// Owners to choose from; the chosen one is among them also where there are too many to list.
pub(super) async fn options(db: &mut Db, scope: &Scope, chosen: &str) -> Result<Vec<(i64, String)>> {
    let mut list = owners::choices(db, scope).await?;
    if let Ok(id) = chosen.parse::<i64>()
        && !list.iter().any(|(listed, _)| *listed == id)
    {
        match owners::find(db, scope, id).await {
            Ok(owner) => list.push((owner.id, owner.name)),
            Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::servers::OpenAlerts;

    #[test]
    fn an_owner_is_as_bad_as_its_worst_alert() {
        let quiet = OwnerCounts { servers: 3, enabled: 2, up: 2, open: OpenAlerts::default() };
        let open = |count, critical| OwnerCounts { open: OpenAlerts { count, critical }, ..quiet };
        for (counts, fresh, word) in [
            (open(2, true), false, "Critical"),
            (open(1, false), true, "Warning"),
            (quiet, true, "Well"),
            (quiet, false, "Unknown"),
            (OwnerCounts { up: 0, ..quiet }, true, "Unknown"),
            (OwnerCounts { enabled: 0, up: 0, ..quiet }, true, "Paused"),
            (OwnerCounts::default(), true, "No servers"),
        ] {
            assert_eq!(state(counts, fresh).word, word, "{counts:?}");
        }
    }
}
