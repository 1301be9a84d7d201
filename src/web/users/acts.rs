//! What is done on a person's page.

use axum::extract::{FromRequestParts, State as AppState};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::show::{Input, UserPage};
use crate::app::App;
use crate::auth::{self, Admin};
use crate::error::{Error, Result};
use crate::face::{Form, Path};
use crate::store::changes::Actor;
use crate::store::owners::{self, Owner};
use crate::store::scope::{All, Writable};
use crate::store::users::members::{self, Role};
use crate::store::users::{self};
use crate::store::{Db, second_factors};
use crate::web::links::LinkPage;
use crate::web::{Flash, Link, Look, go};

/// An admin who does something with a person.
pub struct Act {
    admin: Admin,
    by: Actor,
    session: Session,
    look: Look,
    db: Db,
    /// The person.
    id: i64,
    /// `0` where the route names none.
    owner: i64,
}

#[derive(Deserialize)]
struct Ids {
    id: i64,
    #[serde(default)]
    owner: i64,
}

impl FromRequestParts<App> for Act {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let admin = Admin::from_request_parts(parts, app).await?;
        let session = auth::session(parts, app).await?;
        let look = Look::from_request_parts(parts, app).await?;
        let Path(Ids { id, owner }) = Path::from_request_parts(parts, app).await?;
        let db = app.db(admin.all()).await?;
        Ok(Self { by: admin.actor(), admin, session, look, db, id, owner })
    }
}

impl Act {
    fn all(&self) -> All {
        self.admin.all()
    }

    /// The route's owner.
    async fn owner(&mut self) -> Result<Writable<Owner>> {
        owners::find_rw(&mut self.db, &self.admin.0.writing(), self.owner).await
    }

    /// Nobody locks themselves out by one click too many.
    fn to_somebody_else(&self) -> Result<()> {
        if self.admin.0.id() == self.id {
            return Err(Error::Conflict("That is you. Another admin has to do it.".into()));
        }
        Ok(())
    }

    /// Back on the person's page.
    async fn done(&self, text: String) -> Result<Response> {
        go(&self.session, &format!("/users/{}", self.id), Flash::done(text)).await
    }
}

/// `POST /users/{id}/password`: makes a link to choose a password by, and shows it.
pub async fn make_link(AppState(app): AppState<App>, mut act: Act) -> Result<Response> {
    let made = users::password_link(&mut act.db, act.admin.all(), act.id, &act.by).await?;
    let user = users::find(&mut act.db, act.admin.all(), act.id).await?;
    let frame = act.look.frame(&mut act.db, &act.admin.0, &act.session).await?;
    let kept = if user.has_password { " The old password stays good until then." } else { "" };
    let text = format!("Give it to {}, who chooses a password by it. It works once.{kept}", user.name);
    let back = Link { href: format!("/users/{}", act.id), text: user.name.clone() };
    let title = format!("A password for {}", user.name);
    let page = LinkPage::new(&app, &act.look, frame, "password", &made, [title, text], back)?;
    act.look.page(StatusCode::OK, &page)
}

/// `POST /users/{id}/logout`: ends every session of the person.
pub async fn end_sessions(mut act: Act) -> Result<Response> {
    let name = users::end_sessions(&mut act.db, act.admin.all(), act.id, &act.by).await?;
    act.done(format!("Every session of {name} has ended.")).await
}

/// `POST /users/{id}/second-factor/removal`: turns off the second factor of somebody who has lost it.
pub async fn reset_second_factor(mut act: Act) -> Result<Response> {
    let name = users::find(&mut act.db, act.admin.all(), act.id).await?.name;
    act.to_somebody_else()?;
    if second_factors::reset(&mut act.db, act.admin.all(), act.id, &act.by).await? {
        let text = format!("{name} logs in with the password alone. Every session of theirs has ended.");
        return act.done(text).await;
    }
    let flash = Flash::failed(format!("{name} has no second factor."));
    go(&act.session, &format!("/users/{}", act.id), flash).await
}

/// What the button sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Enabled {
    enabled: bool,
}

/// `POST /users/{id}/enabled`: locks a person out, or lets them in again.
pub async fn set_enabled(mut act: Act, Form(form): Form<Enabled>) -> Result<Response> {
    if form.enabled {
        let name = users::enable(&mut act.db, act.admin.all(), act.id, &act.by).await?;
        return act.done(format!("{name} can log in again.")).await;
    }
    act.to_somebody_else()?;
    let name = users::disable(&mut act.db, act.admin.all(), act.id, &act.by).await?;
    act.done(format!("{name} is disabled. Sessions have ended, and tokens are refused.")).await
}

/// What the button sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Admins {
    admin: bool,
}

/// `POST /users/{id}/admin`: makes an admin of a person, or takes that away.
pub async fn set_admin(mut act: Act, Form(form): Form<Admins>) -> Result<Response> {
    let name = users::set_admin(&mut act.db, act.admin.all(), act.id, form.admin, &act.by).await?;
    let text =
        if form.admin { format!("{name} is an admin now.") } else { format!("{name} is no admin now.") };
    if act.id == act.admin.0.id() && !form.admin {
        // who gave it up sees this page no longer
        return go(&act.session, "/", Flash::done(text)).await;
    }
    act.done(text).await
}

/// `POST /users/{id}/removal`
pub async fn remove(mut act: Act) -> Result<Response> {
    users::find(&mut act.db, act.admin.all(), act.id).await?;
    act.to_somebody_else()?;
    let name = users::remove(&mut act.db, act.admin.all(), act.id, &act.by).await?;
    go(&act.session, "/users", Flash::done(format!("{name} is removed for good."))).await
}

/// `POST /users/{id}/memberships`: makes the person a member of an owner.
pub async fn join(mut act: Act, Form(typed): Form<Input>) -> Result<Response> {
    let (all, id) = (act.all(), act.id);
    let made = async {
        let owner = owners::named(&mut act.db, all, &typed.owner).await?;
        let role = Role::check(&typed.role)?;
        let name = members::add(&mut act.db, all, &owner, id, role, &act.by).await?;
        Ok(format!("{name} is {} of {} now.", role.as_str(), owner.name))
    };
    match made.await {
        Ok(text) => act.done(text).await,
        Err(Error::Invalid(fields)) => {
            let around = (&act.session, &act.look);
            let page = UserPage::new(&mut act.db, &act.admin, around, id, (typed, &fields)).await?;
            act.look.page(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error),
    }
}

/// `POST /users/{id}/memberships/{owner}`: another role.
pub async fn set_role(mut act: Act, Form(typed): Form<Input>) -> Result<Response> {
    let owner = act.owner().await?;
    let role = Role::check(&typed.role)?;
    let all = Some(act.all());
    let name = members::change(&mut act.db, all, &owner, act.id, role, &act.by).await?;
    act.done(format!("{name} is {} of {} now.", role.as_str(), owner.name)).await
}

/// `POST /users/{id}/memberships/{owner}/removal`
pub async fn leave(mut act: Act) -> Result<Response> {
    let owner = act.owner().await?;
    let name = members::remove(&mut act.db, Some(act.admin.all()), &owner, act.id, &act.by).await?;
    act.done(format!("{name} no longer belongs to {}.", owner.name)).await
}
