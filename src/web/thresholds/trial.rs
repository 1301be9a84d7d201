//! What a threshold would have done, before it is saved.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tower_sessions::Session;

use super::page::page;
use super::told::{Told, tell};
use super::{Chosen, Target, Typed};
use crate::app::App;
use crate::auth::User;
use crate::catalogue::{RuleKind, Setting};
use crate::error::{Error, Fields, Result};
use crate::face::{Form, Query};
use crate::prometheus::trial::{Trial, until};
use crate::store::thresholds::{self, Affected, NewThreshold, Place, ThresholdInput};
use crate::store::{Db, kinds, owners};
use crate::web::Look;

/// Servers that are asked about.
const MOST_SERVERS: i64 = 2000;
/// After a publication, for so long, values under an owner's number may still be those of who had it before.
const SETTLED: SignedDuration = SignedDuration::from_mins(5);

/// The answer, below the row that was tried.
#[derive(Template)]
#[template(path = "trial.html")]
pub(super) struct TrialPart {
    rule: String,
    severity: String,
    value: String,
    hold: String,
    enabled: bool,
    owner_id: String,
    server_id: String,
    days: i64,
    told: Option<Told>,
    /// Why there is nothing told.
    why: String,
}

/// How far to look back.
#[derive(Deserialize)]
pub struct Back {
    #[serde(default)]
    days: i64,
}

/// `POST /thresholds/trial?days=`: the page with what the form's threshold would have done, or that part of it. Nothing is saved.
pub async fn trial(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Query(back): Query<Back>,
    Form(typed): Form<Typed>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let target = Target::find(&mut db, &user, &typed).await?;
    let kinds = kinds::catalogue(&mut db).await?;
    typed.threshold.which(&kinds)?;
    let chosen = target.into_chosen(&mut db, &user).await?;
    let days = if back.days == 30 { 30 } else { 7 };
    let (asked, fields) = match typed.threshold.check(&kinds) {
        Ok(new) => (Some(Asked::of(&mut db, &user, &chosen, new, days).await?), Fields::default()),
        Err(Error::Invalid(fields)) => (None, fields),
        Err(error) => return Err(error),
    };
    let whole = if look.fragment {
        None
    } else {
        let frame = look.frame(&mut db, &user, &session).await?;
        Some(page(&mut db, &user, frame, &chosen, Some((&typed.threshold, &fields))).await?)
    };
    // Prometheus takes its time; no connection waits for it
    drop(db);
    let answer = match &asked {
        Some(asked) => asked.ask(&app, &user, &look).await,
        None => Err(fields.0.into_values().collect::<Vec<_>>().join(" ")),
    };
    let status = if asked.is_some() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let (told, why) = match answer {
        Ok(told) => (Some(told), String::new()),
        Err(why) => (None, why),
    };
    let ThresholdInput { rule, severity, value, hold, enabled } = typed.threshold;
    let enabled = enabled.is_some();
    let (owner_id, server_id) = (typed.owner_id, typed.server_id);
    let part = TrialPart { rule, severity, value, hold, enabled, owner_id, server_id, days, told, why };
    match whole {
        // htmx swaps no refusal in, and here nothing was to be done
        None => Ok(Html(part.render().map_err(Error::internal)?).into_response()),
        Some(mut page) => {
            page.tell(part);
            look.page(status, &page)
        }
    }
}

impl TrialPart {
    fn key(&self) -> String {
        format!("{}-{}", self.rule, self.severity)
    }

    pub(super) fn is_of(&self, rule: &str, severity: &str) -> bool {
        self.rule == rule && self.severity == severity
    }
}

/// All that is asked of Prometheus, and of what.
pub(super) struct Asked {
    pub kind: Arc<RuleKind>,
    pub severity: &'static str,
    pub new: Setting,
    pub now: Setting,
    pub affected: Affected,
    pub days: i64,
    /// A single server is meant.
    pub single: bool,
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Asked {
    async fn of(db: &mut Db, user: &User, chosen: &Chosen, new: NewThreshold, days: i64) -> Result<Self> {
        let (kind, severity) = new.which();
        let kind = kind.clone();
        let place = chosen.place();
        let effective = thresholds::effective(db, place, user.all()).await?;
        let now = effective.iter().find(|one| one.kind.name == kind.name && one.severity == severity);
        let now = now.map_or_else(|| kind.default_setting(severity), |one| one.setting);
        let affected =
            thresholds::affected(db, &user.scope(), place, (&kind.name, severity), MOST_SERVERS).await?;
        let to = until(Timestamp::now());
        let mut from = to.checked_sub(SignedDuration::from_hours(24 * days)).unwrap_or(to);
        // the staff may see whatever was recorded under a number that the owner was given later
        if let Some(owner) = chosen.owner.as_ref().filter(|_| !user.is_admin()) {
            let known = owners::known_since(db, owner).await?;
            let settled = known.and_then(|known| known.checked_add(SETTLED).ok());
            from = from.max(settled.unwrap_or(to));
        }
        let single = matches!(place, Place::Server(_));
        let severity = severity.as_str();
        Ok(Self { kind, severity, new: new.setting(), now, affected, days, single, from, to })
    }

    /// What is told of it, or a sentence that says why nothing is.
    async fn ask(&self, app: &App, user: &User, look: &Look) -> Result<Told, String> {
        let Self { from, to, .. } = *self;
        if self.affected.servers.is_empty() {
            return Err(match (self.affected.apart, self.single) {
                (0, true) => "It is paused, so nothing would fire.".into(),
                (0, false) => "There is no server yet that this is for.".into(),
                _ => "Every server has a threshold of its own, so this would change nothing.".into(),
            });
        }
        if from >= to {
            return Err("Prometheus has no values yet: nothing was published so far.".into());
        }
        let pair = |server: &thresholds::AffectedServer| {
            (server.owner_external_id.clone(), server.external_id.clone())
        };
        let servers: Vec<_> = self.affected.servers.iter().map(pair).collect();
        let trial = Trial { kind: &self.kind, settings: [self.new, self.now], servers: &servers, from, to };
        match app.values().try_out(&trial).await {
            Ok(tried) => Ok(tell(self, &tried, user.sees_several(), &look.zone)),
            // where Prometheus is, is for the staff
            Err(error) if user.is_admin() => Err(format!("This cannot be told now: {error}.")),
            Err(_) => Err("Prometheus does not answer just now, so this cannot be told.".into()),
        }
    }
}
