//! Filters that a person has given a name: links above the list, and the page where they are saved, renamed and removed.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::Filters;
use crate::app::App;
use crate::auth::User;
use crate::error::{Error, Fields, Result};
use crate::face::{Form, Path, Query};
use crate::store::saved_filters::{self, LONGEST_NAME, NewName, SavedFilter};
use crate::store::{Db, kinds};
use crate::web::{Field, Flash, Frame, Look, go};

/// The page where they are kept.
const PAGE: &str = "/alerts/filters";

/// The row of links above the list.
pub(super) struct Saved {
    pub links: Vec<SavedLink>,
    /// Where those that are looked at are saved; empty when there are none, or they are.
    pub save: String,
}

/// A link to the list.
pub(super) struct SavedLink {
    pub name: String,
    pub href: String,
    /// It is this list.
    pub here: bool,
}

impl Saved {
    /// A person's own, whatever owner they look at; `None` while an admin looks as a customer.
    pub(super) async fn of(door: &mut Db, user: &User, filters: &Filters) -> Result<Option<Self>> {
        if user.looks_as_customer() {
            return Ok(None);
        }
        let now = filters.saved();
        let link = |saved: SavedFilter| SavedLink {
            here: saved.query == now,
            href: format!("/alerts?{}", saved.query),
            name: saved.name,
        };
        let links: Vec<_> = saved_filters::of(door, user.id()).await?.into_iter().map(link).collect();
        let save = if now.is_empty() || links.iter().any(|link| link.here) {
            String::new()
        } else {
            format!("{PAGE}?{now}")
        };
        Ok(Some(Self { links, save }))
    }
}

#[derive(Template)]
#[template(path = "alerts/saved.html")]
struct SavedPage {
    frame: Frame,
    /// Filters that are to be saved.
    new: Option<New>,
    rows: Vec<Row>,
    longest: usize,
}

struct New {
    words: String,
    /// The filters as fields of the form.
    fields: Vec<(String, String)>,
    name: Field,
}

struct Row {
    id: i64,
    name: String,
    words: String,
    href: String,
    /// As it is typed.
    typed: Field,
}

/// What was typed for which of them, or for new ones, and what is wrong with it.
struct Typed<'a> {
    of: Option<i64>,
    name: &'a str,
    fields: &'a Fields,
}

impl SavedPage {
    async fn new(
        app: &App,
        (user, session, look): (&User, &Session, &Look),
        filters: &Filters,
        typed: Option<Typed<'_>>,
    ) -> Result<Self> {
        let (saved, kinds) = {
            let mut door = app.door().await?;
            (saved_filters::of(&mut door, user.id()).await?, kinds::catalogue(&mut door).await?)
        };
        let field = |of: Option<i64>, now: &str| match &typed {
            Some(typed) if typed.of == of => Field::new(typed.name, typed.fields, "name"),
            _ => Field { value: now.to_owned(), error: None },
        };
        let rows = saved
            .into_iter()
            .map(|saved| Row {
                id: saved.id,
                words: Filters::read(&saved.query).words(&kinds),
                href: format!("/alerts?{}", saved.query),
                typed: field(Some(saved.id), &saved.name),
                name: saved.name,
            })
            .collect();
        let wanted = !filters.saved().is_empty() || typed.as_ref().is_some_and(|typed| typed.of.is_none());
        let new = wanted.then(|| New {
            words: filters.words(&kinds),
            fields: filters
                .saved_pairs()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            name: field(None, ""),
        });
        let frame = look.frame(&mut app.db(user).await?, user, session).await?;
        Ok(Self { frame, new, rows, longest: LONGEST_NAME })
    }
}

/// `GET /alerts/filters`, with filters in its query: those can be saved.
pub async fn saved(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Query(filters): Query<Filters>,
) -> Result<Response> {
    user.as_themselves()?;
    let page = SavedPage::new(&app, (&user, &session, &look), &filters, None).await?;
    look.page(StatusCode::OK, &page)
}

/// What the forms send: a name, and filters where they are new.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Sent {
    name: String,
    #[serde(flatten)]
    filters: Filters,
}

/// `POST /alerts/filters`
pub async fn save(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Form(Sent { name, filters }): Form<Sent>,
) -> Result<Response> {
    let query = filters.saved();
    let done = async {
        let new = NewName::check(&name)?;
        saved_filters::save(&mut app.door().await?, user.id(), new, &query).await
    };
    match done.await {
        Ok(()) => {
            let said = format!("Saved as {}: it stands above the list.", name.trim());
            go(&session, &format!("/alerts?{query}"), Flash::done(said)).await
        }
        Err(Error::Invalid(fields)) => {
            let typed = Typed { of: None, name: &name, fields: &fields };
            let page = SavedPage::new(&app, (&user, &session, &look), &filters, Some(typed)).await?;
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error),
    }
}

/// `POST /alerts/filters/{id}`: another name.
pub async fn rename(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
    Form(Sent { name, .. }): Form<Sent>,
) -> Result<Response> {
    let done = async {
        let new = NewName::check(&name)?;
        saved_filters::rename(&mut app.door().await?, user.id(), id, new).await
    };
    match done.await {
        Ok(()) => go(&session, PAGE, Flash::done(format!("It is called {} now.", name.trim()))).await,
        Err(Error::Invalid(fields)) => {
            let typed = Typed { of: Some(id), name: &name, fields: &fields };
            let none = Filters::default();
            let page = SavedPage::new(&app, (&user, &session, &look), &none, Some(typed)).await?;
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error),
    }
}

/// `POST /alerts/filters/{id}/removal`
pub async fn remove(
    State(app): State<App>,
    user: User,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Response> {
    let name = saved_filters::remove(&mut app.door().await?, user.id(), id).await?;
    go(&session, PAGE, Flash::done(format!("{name} is no longer saved."))).await
}
