//! An owner's page.

use askama::Template;
use axum::extract::State as AppState;
use axum::http::StatusCode;
use axum::response::Response;
use tower_sessions::Session;

use crate::app::App;
use crate::auth::User;
use crate::error::Result;
use crate::face::Path;
use crate::store::alerts::{self, figures};
use crate::store::users::members::{self, Member};
use crate::store::{health, kinds, owners, servers, thresholds};
use crate::web::chart::FLAPS;
use crate::web::{AlertRow, Frame, Look, ServerCounts, When};

/// Alerts in one table of an owner's or a server's page.
pub(crate) const OPEN: i64 = 20;
pub(crate) const LAST: i64 = 10;

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
    /// For how long alerts are kept.
    kept: String,
    counts: ServerCounts,
    open: Vec<AlertRow>,
    last: Vec<AlertRow>,
    own_thresholds: i64,
    members: Vec<Member>,
    /// By somebody who can log in.
    managed: bool,
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
    let kinds = kinds::catalogue(&mut db).await?;
    let open = alerts::worst(&mut db, &scope, Some(&owner), None, OPEN).await?;
    let last = alerts::newest_closed(&mut db, &scope, Some(&owner), None, LAST).await?;
    let flapping = figures::flapping_among(&mut db, &scope, open.iter().chain(&last), FLAPS).await?;
    let members = members::of(&mut db, &owner).await?;
    let page = OwnerPage {
        may_edit: user.is_admin(),
        may_add: user.manages(owner.id),
        counts: ServerCounts::new(counts, fresh),
        open: AlertRow::marked(&open, &flapping, &look.zone, &kinds),
        last: AlertRow::marked(&last, &flapping, &look.zone, &kinds),
        own_thresholds: thresholds::count_own(&mut db, &owner).await?,
        managed: members.iter().any(Member::manages),
        members,
        frame: look.frame(&mut db, &user, &session).await?,
        id: owner.id,
        kept: super::kept(owner.history_days, app.config().history_days),
        created: When::new(owner.created_at, &look.zone),
        name: owner.name,
        external_id: owner.external_id,
        comment: owner.comment,
    };
    look.page(StatusCode::OK, &page)
}
