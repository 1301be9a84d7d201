//! People, for admins: the list, the form for a new one, a person's page and what is done there.

mod acts;
mod new;
mod show;

use askama::Template;
use axum::extract::State as AppState;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

pub use self::acts::{
    end_sessions, join, leave, make_link, remove, reset_second_factor, set_admin, set_enabled, set_role,
};
pub use self::new::{create, new};
pub use self::show::{rename, show};
use super::{Choice, Frame, Look, Pager, State, When, all_of, choices};
use crate::app::App;
use crate::auth::Admin;
use crate::error::Result;
use crate::face::Query;
use crate::page::At;
use crate::store::users::{self, Filter, Kind, Owned, User};

#[derive(Template)]
#[template(path = "users/list.html", blocks = ["rows"])]
struct UsersPage {
    frame: Frame,
    q: String,
    kinds: Vec<Choice>,
    rows: Vec<UserRow>,
    pager: Pager,
}

struct UserRow {
    id: i64,
    state: State,
    name: String,
    admin: bool,
    owners: Vec<OwnerOf>,
    /// Owners beside those.
    more: i64,
    last_login: Option<When>,
}

/// An owner of a person.
pub(super) struct OwnerOf {
    pub id: i64,
    pub name: String,
    pub role: String,
    /// Nobody else manages it who can log in.
    pub alone: bool,
}

/// What the list is narrowed to.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    q: String,
    kind: String,
    #[serde(flatten)]
    at: At,
}

const KINDS: [(&str, &str, Kind); 4] = [
    ("", "Everybody", Kind::All),
    ("admins", "Admins", Kind::Admins),
    ("invited", "Invited", Kind::Invited),
    ("disabled", "Disabled", Kind::Disabled),
];

/// `GET /users`
pub async fn list(
    AppState(app): AppState<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Query(wanted): Query<Wanted>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let (chosen, _, kind) = KINDS.into_iter().find(|(value, ..)| *value == wanted.kind).unwrap_or(KINDS[0]);
    let filter = Filter { q: wanted.q.clone(), kind };
    let found = users::page(&mut db, admin.all(), &filter, &wanted.at).await?;
    let mut owned = users::owned(&mut db, admin.all(), &found.items).await?;
    let pager = Pager::new(&found, "/users", &[("q", &wanted.q), ("kind", chosen)], all_of(&found, "user"));
    let row = |user: User| UserRow::new(owned.remove(&user.id).unwrap_or_default(), user, &look);
    let page = UsersPage {
        rows: found.items.into_iter().map(row).collect(),
        frame: look.frame(&mut db, &admin.0, &session).await?,
        kinds: choices(KINDS.map(|(value, label, _)| (value, label)), chosen),
        q: wanted.q,
        pager,
    };
    look.show(&page, |page| page.as_rows().render())
}

impl UserRow {
    fn new(owned: Owned, user: User, look: &Look) -> Self {
        let owners: Vec<_> = owned
            .named
            .into_iter()
            .map(|(id, name, role)| OwnerOf { id, name, role, alone: false })
            .collect();
        Self {
            id: user.id,
            state: state(&user),
            admin: user.admin,
            more: owned.count - i64::try_from(owners.len()).unwrap_or_default(),
            owners,
            last_login: user.last_login_at.map(|at| When::new(at, &look.zone)),
            name: user.name,
        }
    }
}

/// Whether a person can log in.
fn state(user: &User) -> State {
    if user.disabled_at.is_some() {
        State::new("paused", "Disabled")
    } else if !user.has_password && user.last_login_at.is_none() {
        State::new("unknown", "Invited")
    } else {
        State::new("ok", "Active")
    }
}
