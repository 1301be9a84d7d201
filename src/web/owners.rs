//! Owners: the list and an owner's page for whoever may see them, the form for admins.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State as AppState;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::{AlertRow, Field, Flash, Frame, Look, Pager, ServerCounts, State, When, all_of, go};
use crate::app::App;
use crate::auth::{Admin, User};
use crate::error::{Error, Fields, Result};
use crate::face::{Form, Path, Query};
use crate::page::{At, Page};
use crate::store::owners::{self, Owner, OwnerCounts, OwnerInput};
use crate::store::scope::Scope;
use crate::store::users::members::{self, Member};
use crate::store::{Db, alerts, health, servers, thresholds};

/// Alerts in one table of an owner's or a server's page.
pub(super) const OPEN: i64 = 20;
pub(super) const LAST: i64 = 10;

#[derive(Template)]
#[template(path = "owners/list.html", blocks = ["rows"])]
struct OwnersPage {
    frame: Frame,
    q: String,
    rows: Vec<OwnerRow>,
    pager: Pager,
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
    let found = owners::list(&mut db, &user.scope(), &wanted.q, &wanted.at).await?;
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

#[derive(Template)]
#[template(path = "owners/show.html")]
struct OwnerPage {
    frame: Frame,
    may_edit: bool,
    may_add: bool,
    id: i64,
    name: String,
    external_id: String,
    comment: String,
    created: When,
    counts: ServerCounts,
    open: Vec<AlertRow>,
    last: Vec<AlertRow>,
    own_thresholds: i64,
    members: Vec<Member>,
}

/// `GET /owners/{id}`
pub async fn show(
    AppState(app): AppState<App>,
    user: User,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let scope = user.scope();
    let owner = owners::find(&mut db, &scope, id).await?;
    let fresh = health::fresh(&mut db).await?;
    let counts = servers::counts(&mut db, &scope, Some(&owner)).await?;
    let open = alerts::worst(&mut db, &scope, Some(&owner), None, OPEN).await?;
    let last = alerts::newest_closed(&mut db, &scope, Some(&owner), None, LAST).await?;
    let members = members::of(&mut db, &owner).await?;
    let page = OwnerPage {
        may_edit: user.is_admin(),
        may_add: user.manages(owner.id),
        counts: ServerCounts::new(counts, fresh),
        open: AlertRow::all(&open, &look.zone),
        last: AlertRow::all(&last, &look.zone),
        own_thresholds: thresholds::count_own(&mut db, &owner).await?,
        members,
        frame: look.frame(&mut db, &user, &session).await?,
        id: owner.id,
        created: When::new(owner.created_at, &look.zone),
        name: owner.name,
        external_id: owner.external_id,
        comment: owner.comment,
    };
    look.page(StatusCode::OK, &page)
}

#[derive(Template)]
#[template(path = "owners/form.html")]
struct OwnerForm {
    frame: Frame,
    id: Option<i64>,
    /// The stored name, for the heading of an edit.
    title: String,
    name: Field,
    external_id: Field,
    comment: Field,
}

impl OwnerForm {
    fn new(frame: Frame, stored: Option<&Owner>, typed: OwnerInput, fields: &Fields) -> Self {
        Self {
            frame,
            id: stored.map(|owner| owner.id),
            title: stored.map(|owner| owner.name.clone()).unwrap_or_default(),
            name: Field::new(typed.name, fields, "name"),
            external_id: Field::new(typed.external_id, fields, "external_id"),
            comment: Field::new(typed.comment, fields, "comment"),
        }
    }
}

/// `GET /owners/new`
pub async fn new(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
) -> Result<Response> {
    let frame = look.frame(&mut app.db(admin.all()).await?, &admin.0, &session).await?;
    look.page(StatusCode::OK, &OwnerForm::new(frame, None, OwnerInput::default(), &Fields::default()))
}

/// `POST /owners`
pub async fn create(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Form(typed): Form<OwnerInput>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let made = async { owners::create(&mut db, admin.all(), typed.check()?, &admin.actor()).await }.await;
    match made {
        Ok(id) => {
            let flash = Flash::done(format!("{} is added. Now add its first server.", typed.name.trim()));
            go(&session, &format!("/owners/{id}"), flash).await
        }
        Err(Error::Invalid(fields)) => {
            let frame = look.frame(&mut db, &admin.0, &session).await?;
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &OwnerForm::new(frame, None, typed, &fields))
        }
        Err(error) => Err(error),
    }
}

/// `GET /owners/{id}/edit`
pub async fn edit(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let owner = owners::find(&mut db, &admin.0.scope(), id).await?;
    let typed = OwnerInput {
        name: owner.name.clone(),
        external_id: owner.external_id.clone(),
        comment: owner.comment.clone(),
    };
    let frame = look.frame(&mut db, &admin.0, &session).await?;
    look.page(StatusCode::OK, &OwnerForm::new(frame, Some(&owner), typed, &Fields::default()))
}

/// `POST /owners/{id}`
pub async fn update(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
    Form(typed): Form<OwnerInput>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let owner = owners::find(&mut db, &admin.0.scope(), id).await?;
    let saved =
        async { owners::update(&mut db, admin.all(), id, typed.check()?, &admin.actor()).await }.await;
    match saved {
        Ok(()) => {
            go(&session, &format!("/owners/{id}"), Flash::done(format!("{} is saved.", typed.name.trim())))
                .await
        }
        Err(Error::Invalid(fields)) => {
            let frame = look.frame(&mut db, &admin.0, &session).await?;
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &OwnerForm::new(frame, Some(&owner), typed, &fields))
        }
        Err(error) => Err(error),
    }
}

/// `POST /owners/{id}/removal`
pub async fn remove(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Response> {
    let name = owners::remove(&mut app.db(admin.all()).await?, admin.all(), id, &admin.actor()).await?;
    let flash =
        Flash::done(format!("{name} is removed. Prometheus drops its servers with the next publication."));
    go(&session, "/owners", flash.undo(format!("/owners/{id}/restoration"))).await
}

/// `POST /owners/{id}/restoration`
pub async fn restore(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Response> {
    let name = owners::restore(&mut app.db(admin.all()).await?, admin.all(), id, &admin.actor()).await?;
    go(&session, &format!("/owners/{id}"), Flash::done(format!("{name} is back."))).await
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
