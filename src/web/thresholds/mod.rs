//! Thresholds: a page for each layer, and what is saved from it.

mod matrix;
mod page;
mod told;
mod trial;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

pub use self::matrix::matrix;
use self::page::page;
pub use self::trial::trial;
use super::servers::id;
use super::{Flash, Look, go};
use crate::app::App;
use crate::auth::User;
use crate::catalogue::{RuleKind, Severity};
use crate::error::{Error, Result};
use crate::face::{Form, Query};
use crate::store::changes::Actor;
use crate::store::owners::{self, Owner};
use crate::store::scope::{All, Writable};
use crate::store::servers::{self, Server};
use crate::store::thresholds::{self, Layer, NewThreshold, Place, ThresholdInput};
use crate::store::{Db, kinds};

/// Whose thresholds are asked for.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    owner: String,
    server: String,
}

/// A layer whose thresholds a page shows, found through the person's scope: that of the server,
/// else that of the owner, else the default. A server comes with its owner.
struct Chosen {
    owner: Option<Owner>,
    server: Option<Server>,
}

impl Chosen {
    /// Somebody of a single owner need not choose it.
    async fn find(db: &mut Db, user: &User, wanted: &Wanted) -> Result<Self> {
        let scope = user.scope();
        let owner = match id(&wanted.owner)? {
            None if !user.sees_several() => owners::choices(db, &scope).await?.first().map(|(id, _)| *id),
            chosen => chosen,
        };
        let Some(owner) = owner else {
            return Ok(Self { owner: None, server: None });
        };
        let owner = owners::find(db, &scope, owner).await?;
        let server = match id(&wanted.server)? {
            Some(id) => Some(servers::find(db, &scope, id).await?),
            None => None,
        };
        // it is another's when another owner was chosen while a server of the one before still was
        let server = server.filter(|server| server.owner_id == owner.id);
        Ok(Self { owner: Some(owner), server })
    }

    fn place(&self) -> Place<'_> {
        match (&self.owner, &self.server) {
            (_, Some(server)) => Place::Server(server),
            (Some(owner), None) => Place::Owner(owner),
            (None, None) => Place::Default,
        }
    }

    /// The layer, its name in the page, and what it is called.
    fn names(&self) -> (Layer, &'static str, &str) {
        match self.place() {
            Place::Default => (Layer::Default, "default", "Every server"),
            Place::Owner(owner) => (Layer::Owner, "owner", &owner.name),
            Place::Server(server) => (Layer::Server, "server", &server.name),
        }
    }
}

/// `GET /thresholds?owner=&server=`: those of one layer, and where each comes from.
pub async fn show(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Query(wanted): Query<Wanted>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let chosen = Chosen::find(&mut db, &user, &wanted).await?;
    let frame = look.frame(&mut db, &user, &session).await?;
    look.page(StatusCode::OK, &page(&mut db, &user, frame, &chosen, None).await?)
}

/// Where a threshold comes from, as people read it.
pub(super) fn source(layer: Layer, owner: &str) -> String {
    match layer {
        Layer::BuiltIn => "Built in".into(),
        Layer::Default => "Default".into(),
        Layer::Owner => owner.to_owned(),
        Layer::Server => "This server".into(),
    }
}

/// The page of a layer.
pub(super) fn path(owner: Option<i64>, server: Option<i64>) -> String {
    match (owner, server) {
        (Some(owner), Some(server)) => format!("/thresholds?owner={owner}&server={server}"),
        (Some(owner), None) => format!("/thresholds?owner={owner}"),
        (None, _) => "/thresholds".into(),
    }
}

/// What a row's form sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Typed {
    #[serde(flatten)]
    threshold: ThresholdInput,
    owner_id: String,
    server_id: String,
}

/// A layer that the person may change.
enum Target {
    Default(All),
    Owner(Writable<Owner>),
    Server(Writable<Server>),
}

impl Target {
    async fn find(db: &mut Db, user: &User, typed: &Typed) -> Result<Self> {
        let writing = user.writing();
        if let Some(server) = id(&typed.server_id)? {
            return Ok(Self::Server(servers::find_rw(db, &writing, server).await?));
        }
        if let Some(owner) = id(&typed.owner_id)? {
            return Ok(Self::Owner(owners::find_rw(db, &writing, owner).await?));
        }
        user.all().map(Self::Default).ok_or(Error::Forbidden)
    }

    fn whose(&self) -> &str {
        match self {
            Self::Default(_) => "everybody",
            Self::Owner(owner) => &owner.name,
            Self::Server(server) => &server.name,
        }
    }

    fn path(&self) -> String {
        match self {
            Self::Default(_) => path(None, None),
            Self::Owner(owner) => path(Some(owner.id), None),
            Self::Server(server) => path(Some(server.owner_id), Some(server.id)),
        }
    }

    async fn set(&self, db: &mut Db, new: NewThreshold, by: &Actor) -> Result<()> {
        match self {
            Self::Default(all) => thresholds::set_default(db, *all, new, by).await,
            Self::Owner(owner) => owner.set_threshold(db, new, by).await,
            Self::Server(server) => server.set_threshold(db, new, by).await,
        }
    }

    async fn reset(&self, db: &mut Db, which: (&RuleKind, Severity), by: &Actor) -> Result<()> {
        match self {
            Self::Default(all) => thresholds::reset_default(db, *all, which, by).await,
            Self::Owner(owner) => owner.reset_threshold(db, which, by).await,
            Self::Server(server) => server.reset_threshold(db, which, by).await,
        }
    }

    async fn into_chosen(self, db: &mut Db, user: &User) -> Result<Chosen> {
        Ok(match self {
            Self::Default(_) => Chosen { owner: None, server: None },
            Self::Owner(owner) => Chosen { owner: Some(owner.into_inner()), server: None },
            Self::Server(server) => {
                let owner = owners::find(db, &user.scope(), server.owner_id).await?;
                Chosen { owner: Some(owner), server: Some(server.into_inner()) }
            }
        })
    }
}

/// `POST /thresholds`: sets one threshold of one layer.
pub async fn set(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Form(typed): Form<Typed>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let target = Target::find(&mut db, &user, &typed).await?;
    let kinds = kinds::catalogue(&mut db).await?;
    typed.threshold.which(&kinds)?;
    match typed.threshold.check(&kinds) {
        Ok(new) => {
            let done = new.in_words(target.whose());
            target.set(&mut db, new, &user.actor()).await?;
            go(&session, &target.path(), Flash::done(done)).await
        }
        Err(Error::Invalid(fields)) => {
            let chosen = target.into_chosen(&mut db, &user).await?;
            let frame = look.frame(&mut db, &user, &session).await?;
            let refused = Some((&typed.threshold, &fields));
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &page(&mut db, &user, frame, &chosen, refused).await?)
        }
        Err(error) => Err(error),
    }
}

/// `POST /thresholds/reset`: lets one threshold of one layer be inherited again.
pub async fn reset(
    State(app): State<App>,
    user: User,
    session: Session,
    Form(typed): Form<Typed>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let target = Target::find(&mut db, &user, &typed).await?;
    let (kind, severity) = typed.threshold.which(&kinds::catalogue(&mut db).await?)?;
    target.reset(&mut db, (&kind, severity), &user.actor()).await?;
    let text = format!("{} ({severity}) for {}: inherited again", kind.title, target.whose());
    go(&session, &target.path(), Flash::done(text)).await
}
