//! A person's API tokens: what there is, and making and revoking one. The secret is in the answer to the form
//! that makes it and nowhere else.

use std::borrow::Cow;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;
use tower_sessions::Session;

use super::{Choice, Field, Flash, Frame, Look, When, choices, go, named_choices};
use crate::app::App;
use crate::auth::{Themselves, User};
use crate::error::{Error, Fields, Result};
use crate::face::{Form, Path};
use crate::store::Db;
use crate::store::owners::{self, Owner};
use crate::store::tokens::{self, NewToken, Token};

#[derive(Template)]
#[template(path = "tokens/list.html")]
struct TokensPage {
    frame: Frame,
    may_change: bool,
    rows: Vec<TokenRow>,
}

struct TokenRow {
    id: i64,
    name: String,
    hint: String,
    /// What it is for.
    access: &'static str,
    /// The owner that it is restricted to.
    owner: Option<String>,
    expires: Option<When>,
    expired: bool,
    used: Option<When>,
    used_from: String,
}

impl TokenRow {
    fn new(token: Token, owners: &[Owner], zone: &TimeZone) -> Self {
        let name = |id| owners.iter().find(|owner| owner.id == id).map(|owner| owner.name.clone());
        Self {
            id: token.id,
            access: if token.may_write { "reads and changes" } else { "reads" },
            owner: token
                .owner_id
                .map(|id| name(id).unwrap_or_else(|| "an owner that you no longer see".into())),
            expired: token.expired(),
            expires: token.expires_at.map(|at| When::new(at, zone)),
            used: token.last_used_at.map(|at| When::new(at, zone)),
            used_from: token.last_used_from.unwrap_or_default(),
            name: token.name,
            hint: token.hint,
        }
    }
}

/// `GET /account/tokens`
pub async fn list(
    State(app): State<App>,
    user: User,
    Themselves(me): Themselves,
    session: Session,
    look: Look,
) -> Result<Response> {
    let tokens = tokens::of(&mut app.door().await?, me.id()).await?;
    let restricted: Vec<i64> = tokens.iter().filter_map(|token| token.owner_id).collect();
    let mut db = app.db(&me).await?;
    let owners = owners::among(&mut db, &me.scope(), &restricted).await?;
    let page = TokensPage {
        frame: look.frame(&mut db, &user, &session).await?,
        may_change: !user.looks_as_customer(),
        rows: tokens.into_iter().map(|token| TokenRow::new(token, &owners, &look.zone)).collect(),
    };
    look.page(StatusCode::OK, &page)
}

/// How long a token may live, to choose from.
const LIVES: [(&str, &str); 5] = [
    ("30d", "In 30 days"),
    ("90d", "In 90 days"),
    ("365d", "In a year"),
    ("never", "Never"),
    ("custom", "In another time"),
];
const ACCESSES: [(&str, &str); 2] = [("read", "Read"), ("write", "Read and change")];

/// A token as it is typed.
#[derive(Deserialize)]
#[serde(default)]
pub struct TokenInput {
    name: String,
    /// `read` or `write`
    access: String,
    /// One of [`LIVES`].
    expires_in: String,
    /// As `45d`, with `custom`.
    expires_in_custom: String,
    /// Empty: whatever the person sees.
    owner_id: String,
}

impl Default for TokenInput {
    fn default() -> Self {
        let text = str::to_owned;
        Self {
            name: String::new(),
            access: text("read"),
            expires_in: text("90d"),
            expires_in_custom: String::new(),
            owner_id: String::new(),
        }
    }
}

impl TokenInput {
    /// Checks every field; the owner is one that `me` sees.
    async fn check(&self, db: &mut Db, me: &User) -> Result<(NewToken, Option<Owner>)> {
        let mut fields = Fields::default();
        let may_write = self.access == "write";
        if !may_write && self.access != "read" {
            fields.add("access", "Choose one of the list.");
        }
        if may_write && !me.changes_something() {
            fields.add("access", "You may only look, so your tokens can only read.");
        }
        let lives = |life: &str| LIVES.iter().any(|(known, _)| *known == life);
        let (life, field) = match self.expires_in.as_str() {
            "never" => (None, "expires_in"),
            "custom" => (Some(self.expires_in_custom.as_str()), "expires_in_custom"),
            life => (Some(if lives(life) { life } else { "" }), "expires_in"),
        };
        let new = match NewToken::check(&self.name, may_write, life) {
            Ok(new) => Some(new),
            Err(Error::Invalid(wrong)) => {
                let at = |name| if name == "expires_in" { Cow::from(field) } else { name };
                wrong.0.into_iter().for_each(|(name, why)| fields.add(at(name), why));
                None
            }
            Err(error) => return Err(error),
        };
        let mut owner = None;
        if !self.owner_id.is_empty() {
            let found = match self.owner_id.parse() {
                Ok(id) => owners::find(db, &me.scope(), id).await,
                Err(_) => Err(Error::NotFound),
            };
            match found {
                Ok(found) => owner = Some(found),
                Err(Error::NotFound) => fields.add("owner_id", "Choose one of the list."),
                Err(error) => return Err(error),
            }
        }
        match new {
            Some(new) if fields == Fields::default() => Ok((new, owner)),
            _ => Err(Error::Invalid(fields)),
        }
    }
}

#[derive(Template)]
#[template(path = "tokens/form.html")]
struct TokenForm {
    frame: Frame,
    name: Field,
    accesses: Vec<Choice>,
    access_error: Option<String>,
    lives: Vec<Choice>,
    life_error: Option<String>,
    custom: Field,
    /// Fewer than two: there is nothing to choose.
    owners: Vec<Choice>,
    owner_error: Option<String>,
}

impl TokenForm {
    /// `db` is bound to what `me` sees.
    async fn new(frame: Frame, db: &mut Db, me: &User, typed: &TokenInput, fields: &Fields) -> Result<Self> {
        let owners = super::owners::options(db, &me.scope(), &typed.owner_id).await?;
        let accesses = if me.changes_something() { &ACCESSES[..] } else { &ACCESSES[..1] };
        let error = |name| fields.0.get(name).cloned();
        Ok(Self {
            frame,
            name: Field::new(&typed.name, fields, "name"),
            accesses: choices(accesses.iter().copied(), &typed.access),
            access_error: error("access"),
            lives: choices(LIVES, &typed.expires_in),
            life_error: error("expires_in"),
            custom: Field::new(&typed.expires_in_custom, fields, "expires_in_custom"),
            owners: if me.sees_several() || error("owner_id").is_some() {
                named_choices(Some("Everything that I see"), owners, &typed.owner_id)
            } else {
                Vec::new()
            },
            owner_error: error("owner_id"),
        })
    }
}

/// `GET /account/tokens/new`
pub async fn new(
    State(app): State<App>,
    user: User,
    Themselves(me): Themselves,
    session: Session,
    look: Look,
) -> Result<Response> {
    user.as_themselves()?;
    let mut db = app.db(&me).await?;
    let frame = look.frame(&mut db, &user, &session).await?;
    let page = TokenForm::new(frame, &mut db, &me, &TokenInput::default(), &Fields::default()).await?;
    look.page(StatusCode::OK, &page)
}

#[derive(Template)]
#[template(path = "tokens/made.html")]
struct MadePage {
    frame: Frame,
    name: String,
    secret: String,
    /// An address to try it at.
    url: String,
}

/// `POST /account/tokens`. Answers with the token itself, so that it is in no address, cookie or row; a reload
/// finds its name taken, and makes no second one.
pub async fn create(
    State(app): State<App>,
    user: User,
    Themselves(me): Themselves,
    session: Session,
    look: Look,
    Form(typed): Form<TokenInput>,
) -> Result<Response> {
    // one connection at a time: who holds one and waits for another may wait for ever
    let made = async {
        let (new, owner) = typed.check(&mut app.db(&me).await?, &me).await?;
        tokens::create(&mut app.door().await?, me.id(), owner.as_ref(), new, &user.actor()).await
    };
    let made = made.await;
    let mut db = app.db(&me).await?;
    let frame = look.frame(&mut db, &user, &session).await?;
    match made {
        Ok(secret) => {
            let url = app.config().public_url.join("api/v1/me").map_err(Error::internal)?.to_string();
            let page = MadePage { frame, name: typed.name.trim().to_owned(), secret, url };
            look.page(StatusCode::OK, &page)
        }
        Err(Error::Invalid(fields)) => {
            let page = TokenForm::new(frame, &mut db, &me, &typed, &fields).await?;
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error),
    }
}

/// `POST /account/tokens/{id}/revocation`: of one of the person's own.
pub async fn revoke(
    State(app): State<App>,
    user: User,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Response> {
    let name = tokens::revoke(&mut app.door().await?, user.id(), id, &user.actor()).await?;
    go(&session, "/account/tokens", Flash::done(format!("{name} is revoked and opens nothing any more.")))
        .await
}
