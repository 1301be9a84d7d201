//! Which of several owners is being looked at: a member's choice, and an admin's look as a customer, which
//! changes nothing, ends by itself and is recorded.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::{Flash, Frame, Look, go};
use crate::app::App;
use crate::auth::{self, Themselves, User, View};
use crate::error::{Error, Result};
use crate::face::{Form, Query};
use crate::page::{At, Page};
use crate::store::owners::{self, Owner};

#[derive(Template)]
#[template(path = "looking.html")]
struct LookingPage {
    frame: Frame,
    /// An admin chooses a customer to look as.
    admin: bool,
    q: String,
    owners: Vec<Owner>,
    /// The one that is looked at now; `0`: everything.
    now: i64,
    pager: super::Pager,
}

/// What the list is narrowed to.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    q: String,
    #[serde(flatten)]
    at: At,
}

/// `GET /view`: the owners to choose from.
pub async fn show(
    State(app): State<App>,
    user: User,
    Themselves(me): Themselves,
    session: Session,
    look: Look,
    Query(wanted): Query<Wanted>,
) -> Result<Response> {
    // the choice is everything's, the frame as every other page's
    let mut db = app.db(&me).await?;
    let filter = owners::Filter { q: wanted.q.clone(), ..owners::Filter::default() };
    let found: Page<Owner> = owners::list(&mut db, &me.scope(), &filter, &wanted.at).await?;
    let now = auth::looked_at(&session).await?;
    let page = LookingPage {
        frame: look.frame(&mut db, &user, &session).await?,
        admin: me.is_admin(),
        pager: super::Pager::new(&found, "/view", &[("q", &wanted.q)], super::all_of(&found, "owner")),
        q: wanted.q,
        owners: found.items,
        now: now.map_or(0, |view| view.owner),
    };
    look.page(StatusCode::OK, &page)
}

/// What the buttons send.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Choice {
    /// An owner's id; empty: everything again.
    owner: String,
}

/// `POST /view`: looks at one owner alone, or at everything again.
pub async fn choose(
    State(app): State<App>,
    Themselves(user): Themselves,
    session: Session,
    Form(choice): Form<Choice>,
) -> Result<Response> {
    if choice.owner.is_empty() {
        auth::look_at(&session, None).await?;
        return go(&session, "/", Flash::done("You look at everything again.")).await;
    }
    let id = choice.owner.parse().map_err(|_| Error::NotFound)?;
    let mut db = app.db(&user).await?;
    let owner = owners::find(&mut db, &user.scope(), id).await?;
    let view = match user.all() {
        Some(all) => {
            owners::note_look(&mut db, all, &owner, &user.actor()).await?;
            View::as_customer(owner.id, owner.name)
        }
        None => View::of(owner.id, owner.name),
    };
    auth::look_at(&session, Some(view)).await?;
    Ok(axum::response::IntoResponse::into_response(axum::response::Redirect::to("/")))
}
