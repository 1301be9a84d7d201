//! What is done on a person's page.

use axum::extract::State as AppState;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::show::{Input, UserPage};
use crate::app::App;
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::face::{Form, Path};
use crate::store::users::members::{self, Role};
use crate::store::users::{self};
use crate::store::{owners, second_factors};
use crate::web::links::LinkPage;
use crate::web::{Flash, Link, Look, go};

/// `POST /users/{id}/password`: makes a link to choose a password by, and shows it.
pub async fn make_link(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let made = users::password_link(&mut db, admin.all(), id, &admin.actor()).await?;
    let user = users::find(&mut db, admin.all(), id).await?;
    let frame = look.frame(&mut db, &admin.0, &session).await?;
    let kept = if user.password_hash.is_some() { " The old password stays good until then." } else { "" };
    let text = format!("Give it to {}, who chooses a password by it. It works once.{kept}", user.name);
    let back = Link { href: format!("/users/{id}"), text: user.name.clone() };
    let title = format!("A password for {}", user.name);
    let page = LinkPage::new(&app, &look, frame, "password", &made, [title, text], back)?;
    look.page(StatusCode::OK, &page)
}

/// `POST /users/{id}/logout`: ends every session of the person.
pub async fn end_sessions(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let name = users::end_sessions(&mut db, admin.all(), id, &admin.actor()).await?;
    go(&session, &format!("/users/{id}"), Flash::done(format!("Every session of {name} has ended."))).await
}

/// `POST /users/{id}/second-factor/removal`: turns off the second factor of somebody who has lost it.
pub async fn reset_second_factor(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let name = users::find(&mut db, admin.all(), id).await?.name;
    somebody_else(&admin, id)?;
    let flash = if second_factors::reset(&mut db, admin.all(), id, &admin.actor()).await? {
        Flash::done(format!("{name} logs in with the password alone. Every session of theirs has ended."))
    } else {
        Flash::failed(format!("{name} has no second factor."))
    };
    go(&session, &format!("/users/{id}"), flash).await
}

/// Nobody locks themselves out by one click too many.
fn somebody_else(admin: &Admin, id: i64) -> Result<()> {
    if admin.0.id() == id {
        return Err(Error::Conflict("That is you. Another admin has to do it.".into()));
    }
    Ok(())
}

/// What the button sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Enabled {
    enabled: bool,
}

/// `POST /users/{id}/enabled`: locks a person out, or lets them in again.
pub async fn set_enabled(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    Path(id): Path<i64>,
    Form(form): Form<Enabled>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let text = if form.enabled {
        let name = users::enable(&mut db, admin.all(), id, &admin.actor()).await?;
        format!("{name} can log in again.")
    } else {
        somebody_else(&admin, id)?;
        let name = users::disable(&mut db, admin.all(), id, &admin.actor()).await?;
        format!("{name} is disabled. Sessions have ended, and tokens are refused.")
    };
    go(&session, &format!("/users/{id}"), Flash::done(text)).await
}

/// What the button sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Admins {
    admin: bool,
}

/// `POST /users/{id}/admin`: makes an admin of a person, or takes that away.
pub async fn set_admin(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    Path(id): Path<i64>,
    Form(form): Form<Admins>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let name = users::set_admin(&mut db, admin.all(), id, form.admin, &admin.actor()).await?;
    let text =
        if form.admin { format!("{name} is an admin now.") } else { format!("{name} is no admin now.") };
    // who gave it up sees this page no longer
    let to = if id == admin.0.id() && !form.admin { "/".to_owned() } else { format!("/users/{id}") };
    go(&session, &to, Flash::done(text)).await
}

/// `POST /users/{id}/removal`
pub async fn remove(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    users::find(&mut db, admin.all(), id).await?;
    somebody_else(&admin, id)?;
    let name = users::remove(&mut db, admin.all(), id, &admin.actor()).await?;
    go(&session, "/users", Flash::done(format!("{name} is removed for good."))).await
}

/// `POST /users/{id}/memberships`: makes the person a member of an owner.
pub async fn join(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
    Form(typed): Form<Input>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let made = async {
        let owner = owners::named(&mut db, admin.all(), &typed.owner).await?;
        let role = Role::check(&typed.role)?;
        let name = members::add(&mut db, admin.all(), &owner, id, role, &admin.actor()).await?;
        Ok(format!("{name} is {} of {} now.", role.as_str(), owner.name))
    };
    match made.await {
        Ok(text) => go(&session, &format!("/users/{id}"), Flash::done(text)).await,
        Err(Error::Invalid(fields)) => {
            let page = UserPage::new(&mut db, &admin, (&session, &look), id, (typed, &fields)).await?;
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error),
    }
}

/// `POST /users/{id}/memberships/{owner}`: another role.
pub async fn set_role(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    Path((id, owner)): Path<(i64, i64)>,
    Form(typed): Form<Input>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let owner = owners::find_rw(&mut db, &admin.0.writing(), owner).await?;
    let role = Role::check(&typed.role)?;
    let all = Some(admin.all());
    let name = members::change(&mut db, all, &owner, id, role, &admin.actor()).await?;
    let flash = Flash::done(format!("{name} is {} of {} now.", role.as_str(), owner.name));
    go(&session, &format!("/users/{id}"), flash).await
}

/// `POST /users/{id}/memberships/{owner}/removal`
pub async fn leave(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    Path((id, owner)): Path<(i64, i64)>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let owner = owners::find_rw(&mut db, &admin.0.writing(), owner).await?;
    let name = members::remove(&mut db, Some(admin.all()), &owner, id, &admin.actor()).await?;
    let flash = Flash::done(format!("{name} no longer belongs to {}.", owner.name));
    go(&session, &format!("/users/{id}"), flash).await
}
