//! A person's own account: who they are to prommgr, how it looks to them, their password, and where they are
//! signed in.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::sessions::SessionRow;
use super::{Choice, Field, Flash, Frame, Look, When, choices, counted, go};
use crate::app::App;
use crate::auth::{self, Themselves, User};
use crate::error::{Error, Fields, Result};
use crate::face::Form;
use crate::store::{owners, second_factors, sessions, tokens, users};

/// Where the zones are that people live in; the rest of the database are older names of the same.
const REGIONS: [&str; 10] = [
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Europe",
    "Indian",
    "Pacific",
];
/// Sessions that are listed.
const LISTED: usize = 50;

#[derive(Template)]
#[template(path = "account/show.html")]
struct AccountPage {
    frame: Frame,
    name: String,
    /// Sees everything.
    admin: bool,
    owners: Vec<OwnerRow>,
    /// Not so for who looks as a customer.
    may_change: bool,
    has_password: bool,
    /// What people call the provider, where there is one.
    sso: Option<String>,
    /// Whether logins ask for it.
    second_factor: bool,
    /// `3 tokens`
    tokens: String,
    /// Without a zone of their own.
    by_browser: bool,
    utc: bool,
    regions: Vec<Region>,
    zone_error: Option<String>,
    /// What time it is in that zone.
    now: String,
    sessions: Vec<SessionRow>,
    /// Sessions that are not listed.
    more: usize,
}

struct OwnerRow {
    id: i64,
    name: String,
    role: &'static str,
}

struct Region {
    name: &'static str,
    zones: Vec<Choice>,
}

/// The zones of the world, by region.
fn regions(chosen: &str) -> Vec<Region> {
    let mut names: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
    names.sort_unstable();
    let of = |region: &'static str| {
        let here = names.iter().filter_map(|name| {
            let place = name.strip_prefix(region)?.strip_prefix('/')?;
            Some((name.clone(), place.replace('_', " ")))
        });
        Region { name: region, zones: choices(here, chosen) }
    };
    REGIONS.into_iter().map(of).filter(|region| !region.zones.is_empty()).collect()
}

/// What the form about the account sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// IANA name; empty: as the browser says.
    time_zone: String,
}

impl Settings {
    fn check(&self) -> Result<&str> {
        let known =
            || regions(&self.time_zone).iter().flat_map(|region| &region.zones).any(|zone| zone.selected);
        if matches!(self.time_zone.as_str(), "" | "UTC") || known() {
            return Ok(&self.time_zone);
        }
        Err(Error::Invalid(Fields::one("time_zone", "Choose one of the list.")))
    }
}

/// `GET /account`
pub async fn show(
    State(app): State<App>,
    user: User,
    Themselves(me): Themselves,
    session: Session,
    look: Look,
) -> Result<Response> {
    let page = page(&app, &user, &me, &session, &look, &Fields::default()).await?;
    look.page(StatusCode::OK, &page)
}

/// `user` may be looking at less than what `me` sees.
async fn page(
    app: &App,
    user: &User,
    me: &User,
    session: &Session,
    look: &Look,
    fields: &Fields,
) -> Result<AccountPage> {
    let mut door = app.door().await?;
    let tokens = tokens::of(&mut door, me.id()).await?.len();
    let all = sessions::of(&mut door, me.id()).await?;
    let factor = second_factors::of(&mut door, &app.config().vault, me.id()).await?;
    drop(door);
    let mut db = app.db(me).await?;
    let owners = owners::among(&mut db, &me.scope(), me.owners()).await?;
    let row = |owner: owners::Owner| OwnerRow { role: me.role_in(owner.id), id: owner.id, name: owner.name };
    let here = auth::handle_of(session);
    Ok(AccountPage {
        frame: look.frame(&mut db, user, session).await?,
        name: me.name().to_owned(),
        admin: me.is_admin(),
        owners: owners.into_iter().map(row).collect(),
        may_change: !user.looks_as_customer(),
        has_password: me.has_password(),
        sso: app.sso().map(|provider| provider.name().to_owned()),
        second_factor: factor.enabled_at.is_some(),
        tokens: counted(i64::try_from(tokens).unwrap_or_default(), "token"),
        by_browser: me.time_zone().is_empty(),
        utc: me.time_zone() == "UTC",
        regions: regions(me.time_zone()),
        zone_error: fields.0.get("time_zone").cloned(),
        now: When::new(jiff::Timestamp::now(), &look.zone).exact,
        more: all.len().saturating_sub(LISTED),
        sessions: SessionRow::all(all, &here, &look.zone, LISTED),
    })
}

/// `POST /account`
pub async fn update(
    State(app): State<App>,
    user: User,
    Themselves(me): Themselves,
    session: Session,
    look: Look,
    Form(typed): Form<Settings>,
) -> Result<Response> {
    match typed.check() {
        Ok(zone) => {
            users::set_time_zone(&mut app.door().await?, &user.actor(), zone).await?;
            go(&session, "/account", Flash::done("Your time zone is saved.")).await
        }
        Err(Error::Invalid(fields)) => {
            let page = page(&app, &user, &me, &session, &look, &fields).await?;
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error),
    }
}

#[derive(Template)]
#[template(path = "account/password.html")]
struct PasswordPage {
    frame: Frame,
    /// For the browser's keeper of passwords.
    username: String,
    has_password: bool,
    current_password: Field,
    password: Field,
    password_again: Field,
}

impl PasswordPage {
    fn new(frame: Frame, user: &User, fields: &Fields) -> Self {
        Self {
            frame,
            username: user.name().to_owned(),
            has_password: user.has_password(),
            current_password: Field::new("", fields, "current_password"),
            password: Field::new("", fields, "password"),
            password_again: Field::new("", fields, "password_again"),
        }
    }
}

/// `GET /account/password`
pub async fn password(State(app): State<App>, user: User, session: Session, look: Look) -> Result<Response> {
    user.as_themselves()?;
    let frame = look.frame(&mut app.db(&user).await?, &user, &session).await?;
    look.page(StatusCode::OK, &PasswordPage::new(frame, &user, &Fields::default()))
}

/// What the form sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Passwords {
    current_password: String,
    password: String,
    password_again: String,
}

/// `POST /account/password`. The current password is asked for here, however lately it was given: who sits down
/// at an open browser does not take the account over.
pub async fn change_password(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Form(typed): Form<Passwords>,
) -> Result<Response> {
    let changed = async {
        let mut fields = Fields::default();
        if let Err(why) = users::check_password(&typed.password) {
            fields.add("password", why);
        } else if typed.password != typed.password_again {
            fields.add("password_again", "The two passwords differ.");
        }
        if !auth::check_password(&app, user.id(), &typed.current_password).await? {
            fields.add("current_password", "That is not your password.");
        }
        fields.into_result()?;
        let hash = crate::password::hash(typed.password).await?;
        let here = auth::handle_of(&session);
        users::change_password(&mut app.door().await?, &user.actor(), user.bond(), hash, &here).await
    };
    match changed.await {
        Ok(ended) => {
            auth::renew(&app, &session, user.id()).await?;
            let others = match ended {
                0 => String::new(),
                1 => " Your other session has ended.".into(),
                n => format!(" Your {n} other sessions have ended."),
            };
            go(&session, "/account", Flash::done(format!("Your password is changed.{others}"))).await
        }
        Err(Error::Invalid(fields)) => {
            let frame = look.frame(&mut app.db(&user).await?, &user, &session).await?;
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &PasswordPage::new(frame, &user, &fields))
        }
        Err(error @ Error::TooMany(_)) => {
            let frame = look.frame(&mut app.db(&user).await?, &user, &session).await?;
            let fields = Fields::one("current_password", error.message());
            let page = PasswordPage::new(frame, &user, &fields);
            look.page_until(StatusCode::TOO_MANY_REQUESTS, &page, error.retry_after())
        }
        Err(error) => Err(error),
    }
}
