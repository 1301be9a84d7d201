//! The thresholds that apply to a server, where each comes from, and what Prometheus says of them now. It is a part of
//! the server's page, and a page of its own that the former takes its values from: Prometheus may be slow or away.

use askama::Template;
use axum::extract::State as AppState;
use axum::response::Response;
use tower_sessions::Session;

use crate::app::App;
use crate::auth::User;
use crate::catalogue::{Direction, RuleKind};
use crate::error::Result;
use crate::face::Path;
use crate::prometheus::values::Now;
use crate::store::Db;
use crate::store::owners::{self, Owner};
use crate::store::servers::{self, Server};
use crate::store::thresholds::{self, Effective, Layer, Place, format_duration, limit_in_words};
use crate::web::thresholds::{path, source};
use crate::web::{Frame, Link, Look, State, When, amount};

/// What applies to a server.
pub(super) struct Thresholds {
    pub id: i64,
    pub name: String,
    /// Where thresholds are set for this server alone; `None`: not by who reads it.
    pub set: Option<String>,
    pub rows: Vec<Row>,
    /// The titles of kinds that are off and that nobody set.
    pub off: Vec<String>,
    /// Prometheus was asked.
    pub asked: bool,
    /// Why there are no values.
    pub why: String,
}

/// What applies after the layers.
pub(super) struct Row {
    pub rule: String,
    pub severity: &'static str,
    pub value: String,
    pub hold: String,
    pub enabled: bool,
    /// Where it comes from, and where that is changed.
    pub layer: Link,
    /// It was set for this server or its owner.
    pub own: bool,
    pub by: Option<(String, When)>,
    /// What Prometheus says now; empty: nothing.
    pub now: String,
    /// How far that is from the threshold.
    pub distance: String,
    /// The threshold is exceeded.
    pub beyond: Option<State>,
    /// Why it can never fire.
    pub blind: String,
}

#[derive(Template)]
#[template(path = "servers/thresholds.html", blocks = ["thresholds"])]
struct ThresholdsPage {
    frame: Frame,
    thresholds: Thresholds,
}

/// `GET /servers/{id}/thresholds`
pub async fn thresholds(
    AppState(app): AppState<App>,
    user: User,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let scope = user.scope();
    let server = servers::find(&mut db, &scope, id).await?;
    let owner = owners::find(&mut db, &scope, server.owner_id).await?;
    let effective = thresholds::effective(&mut db, Place::Server(&server), user.all()).await?;
    let frame = look.frame(&mut db, &user, &session).await?;
    // Prometheus takes its time; no connection waits for it
    drop(db);
    let mut kinds: Vec<&RuleKind> = effective.iter().map(|one| &*one.kind).collect();
    kinds.dedup();
    let (now, why) = match app.values().now(&kinds, &owner.external_id, &server.external_id).await {
        Ok(Some(now)) if now.is_empty() => (None, "Prometheus has nothing of this server now.".into()),
        Ok(now) => (now, String::new()),
        // where Prometheus is, is for the staff
        Err(error) if user.is_admin() => (None, format!("Its values are not known: {error}.")),
        Err(_) => (None, "Prometheus does not answer just now, so its values are not shown.".into()),
    };
    let thresholds = Thresholds {
        asked: true,
        why,
        ..Thresholds::new(&effective, &user, &owner, &server, now.as_ref(), &look)
    };
    let page = ThresholdsPage { frame, thresholds };
    look.show(&page, |page| page.as_thresholds().render())
}

impl Thresholds {
    /// Of a server, before Prometheus was asked.
    pub async fn of(db: &mut Db, user: &User, owner: &Owner, server: &Server, look: &Look) -> Result<Self> {
        let effective = thresholds::effective(db, Place::Server(server), user.all()).await?;
        Ok(Self::new(&effective, user, owner, server, None, look))
    }

    fn new(
        effective: &[Effective],
        user: &User,
        owner: &Owner,
        server: &Server,
        now: Option<&Now>,
        look: &Look,
    ) -> Self {
        let shown = |one: &&Effective| one.setting.enabled || one.layer >= Layer::Owner;
        let of_kinds = effective.chunk_by(|one, next| one.kind.name == next.kind.name);
        let off = of_kinds.filter(|of_kind| !of_kind.iter().any(|one| shown(&one)));
        Self {
            id: server.id,
            name: server.name.clone(),
            set: user.manages(server.owner_id).then(|| path(Some(owner.id), Some(server.id))),
            rows: effective.iter().filter(shown).map(|one| row(one, owner, server, now, look)).collect(),
            off: off.filter_map(|of_kind| Some(of_kind.first()?.kind.title.clone())).collect(),
            asked: false,
            why: String::new(),
        }
    }
}

fn row(one: &Effective, owner: &Owner, server: &Server, now: Option<&Now>, look: &Look) -> Row {
    let href = match one.layer {
        Layer::BuiltIn | Layer::Default => path(None, None),
        Layer::Owner => path(Some(owner.id), None),
        Layer::Server => path(Some(owner.id), Some(server.id)),
    };
    let kind = &*one.kind;
    let said = now.map(|now| said(one, now)).unwrap_or_default();
    Row {
        rule: kind.title.clone(),
        severity: one.severity.as_str(),
        value: limit_in_words(kind, one.setting),
        hold: format_duration(one.setting.hold),
        enabled: one.setting.enabled,
        layer: Link {
            href: format!("{href}#{}-{}", kind.name, one.severity),
            text: source(one.layer, &owner.name),
        },
        own: one.layer >= Layer::Owner,
        by: one.set.as_ref().map(|set| (set.who.clone(), When::new(set.at, &look.zone))),
        now: said.now,
        beyond: said.beyond.then(|| State::new(one.severity.as_str(), said.distance.clone())),
        distance: said.distance,
        blind: said.blind,
    }
}

/// What is said of a threshold in the light of what is.
#[derive(Debug, Default, PartialEq)]
struct Said {
    now: String,
    distance: String,
    beyond: bool,
    blind: String,
}

fn said(one: &Effective, now: &Now) -> Said {
    let kind = &*one.kind;
    if now.is_blind(kind) {
        let first = kind.needed().next().unwrap_or_default();
        return Said { blind: format!("It can never fire: the server gives no {first}."), ..Said::default() };
    }
    let Some((value, labels)) = now.worst(kind) else {
        // it records only what is so
        let now = if kind.direction == Direction::NonZero { "no" } else { "" };
        return Said { now: now.into(), ..Said::default() };
    };
    let place = ["mountpoint", "device", "name"].iter().find_map(|name| labels.get(*name));
    let place = place.map(|place| format!(" at {place}")).unwrap_or_default();
    let limit = one.setting.value.filter(|_| one.setting.enabled).unwrap_or_default();
    let (text, over) = match kind.direction {
        Direction::Zero if value == 0.0 => ("down".into(), 1.0),
        Direction::Zero => ("up".into(), -1.0),
        Direction::NonZero => ((if value == 0.0 { "no" } else { "yes" }).into(), value.abs()),
        Direction::Above => (amount(value, &kind.unit), value - limit),
        Direction::Below => (amount(value, &kind.unit), limit - value),
    };
    let distance = match kind.direction {
        _ if !one.setting.enabled => String::new(),
        Direction::Zero | Direction::NonZero if over > 0.0 => "exceeded".into(),
        Direction::Zero | Direction::NonZero => String::new(),
        _ if over > 0.0 => format!("{} beyond", amount(over, &kind.unit)),
        _ => format!("{} away", amount(-over, &kind.unit)),
    };
    Said {
        now: format!("{text}{place}"),
        beyond: one.setting.enabled && over > 0.0,
        distance,
        blind: String::new(),
    }
}
