//! `GET /alerts/{id}/value`: the value against its threshold around an episode. It is a page of its own, which the
//! alert's page takes its part of: Prometheus may be slow or away.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use tower_sessions::Session;

use super::drawn::{Drawn, LONGEST, Threshold, draw};
use crate::app::App;
use crate::auth::User;
use crate::catalogue::{Catalogue, RuleKind};
use crate::error::{Error, Result};
use crate::face::Path;
use crate::prometheus::rules::fired_at;
use crate::store::alerts::{self, Alert};
use crate::store::scope::Scope;
use crate::store::thresholds::{self, Place};
use crate::store::{Db, kinds, owners, servers};
use crate::web::{Frame, Look, rule_title};

/// What is shown before the beginning and after the end, at the least and at the most.
const LEAST: SignedDuration = SignedDuration::from_mins(30);
const MOST: SignedDuration = SignedDuration::from_hours(12);

#[derive(Template)]
#[template(path = "alerts/value.html", blocks = ["value"])]
struct ValuePage {
    frame: Frame,
    id: i64,
    rule: String,
    open: bool,
    drawn: Option<Drawn>,
    /// Why there is nothing drawn.
    why: String,
}

/// `GET /alerts/{id}/value`
pub async fn value(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let scope = user.scope();
    let alert = alerts::find(&mut db, &scope, id).await?.alert;
    let kinds = kinds::catalogue(&mut db).await?;
    let whose = whose(&mut db, &scope, &alert, &kinds).await?;
    let frame = look.frame(&mut db, &user, &session).await?;
    // Prometheus takes its time; no connection waits for it
    drop(db);
    let drawn = match whose {
        Ok((kind, threshold)) => ask(&app, &user, &look, &alert, &kind, threshold).await,
        Err(why) => Err(why.to_owned()),
    };
    let (drawn, why) = match drawn {
        Ok(drawn) => (Some(drawn), String::new()),
        Err(why) => (None, why),
    };
    let (rule, open) = (rule_title(&kinds, &alert.rule), alert.ended_at.is_none());
    let page = ValuePage { frame, id, rule, open, drawn, why };
    look.show(&page, |page| page.as_value().render())
}

/// The kind and threshold of an alert, or why its values cannot be asked for.
async fn whose(
    db: &mut Db,
    scope: &Scope,
    alert: &Alert,
    kinds: &Catalogue,
) -> Result<std::result::Result<(Arc<RuleKind>, Threshold), &'static str>> {
    let Some(kind) = kinds.kind(&alert.rule).cloned() else {
        return Ok(Err("This alert is of a rule that prommgr does not write, so its values are not known."));
    };
    let owner = match alert.owner_id {
        None => None,
        Some(id) => match owners::find(db, scope, id).await {
            // under an id that was given to somebody else meanwhile, the values would be theirs
            Ok(owner) if alert.owner_external_id.as_ref() == Some(&owner.external_id) => Some(owner),
            Ok(_) | Err(Error::NotFound) => {
                return Ok(Err(
                    "Its owner was removed or has another id than the alert names, so its values are not shown.",
                ));
            }
            Err(error) => return Err(error),
        },
    };
    if let Some(value) = said(alert, &kind) {
        return Ok(Ok((kind, Threshold::Fired(value))));
    }
    let server = match alert.server_id {
        None => None,
        Some(id) => match servers::find(db, scope, id).await {
            Ok(server) => Some(server),
            Err(Error::NotFound) => None,
            Err(error) => return Err(error),
        },
    };
    let place = match (&server, &owner) {
        (Some(server), _) => Place::Server(server),
        (None, Some(owner)) => Place::Owner(owner),
        (None, None) => Place::Default,
    };
    let effective = thresholds::effective(db, place, None).await?;
    let its = effective.iter().find(|one| one.kind == kind && one.severity.as_str() == alert.severity);
    let value = its.filter(|one| one.setting.enabled).and_then(|one| one.setting.value);
    Ok(Ok((kind, value.map_or(Threshold::Off, Threshold::Now))))
}

/// The threshold that the alert's own expression names for it.
fn said(alert: &Alert, kind: &RuleKind) -> Option<f64> {
    let url = url::Url::parse(alert.generator_url.as_deref()?).ok()?;
    let expr = url.query_pairs().find(|(name, _)| name == "g0.expr")?.1;
    fired_at(&expr, kind, &labels(alert)).filter(|value| value.is_finite())
}

fn labels(alert: &Alert) -> BTreeMap<&str, &str> {
    let members = alert.labels.as_object().into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect()
}

/// The picture, or a sentence that says why there is none.
async fn ask(
    app: &App,
    user: &User,
    look: &Look,
    alert: &Alert,
    kind: &RuleKind,
    threshold: Threshold,
) -> std::result::Result<Drawn, String> {
    let now = Timestamp::now();
    let (from, to) = around(alert.started_at, alert.ended_at, now);
    if from >= to {
        return Err("It is too young for values to be there.".into());
    }
    let labels = labels(alert);
    // the owner's label may have had another name when it came
    let nameless = "It does not say which server it is of, so its values are not known.";
    if labels.get(app.our_labels()[0]).copied() != alert.owner_external_id.as_deref() {
        return Err(nameless.into());
    }
    let course = match app.values().around(kind, &labels, from, to).await {
        Ok(Some(course)) => course,
        Ok(None) => return Err(nameless.into()),
        // where Prometheus is, is for the staff
        Err(error) if user.is_admin() => return Err(format!("The values are not known: {error}.")),
        Err(_) => return Err("Prometheus does not answer just now, so the values are not shown.".into()),
    };
    if course.points.is_empty() {
        return Err(
            "Prometheus has no values of this time. It keeps them for a limited time, often for 15 days."
                .into(),
        );
    }
    Ok(draw(alert, kind, threshold, &course, look, now))
}

/// The time that is shown.
fn around(began: Timestamp, ended: Option<Timestamp>, now: Timestamp) -> (Timestamp, Timestamp) {
    let end = ended.unwrap_or(now);
    let room = (began.duration_until(end) / 4).clamp(LEAST, MOST);
    let from = began.checked_sub(room).unwrap_or(began);
    let to = end.checked_add(room).map_or(now, |to| to.min(now));
    (from, from.checked_add(LONGEST).map_or(to, |longest| to.min(longest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-{text}:00Z").parse().unwrap()
    }

    #[test]
    fn there_is_room_around_an_episode() {
        let now = at("22T12:00");
        assert_eq!(around(at("22T11:00"), Some(at("22T11:01")), now), (at("22T10:30"), at("22T11:31")));
        assert_eq!(around(at("22T11:00"), None, now), (at("22T10:30"), now));
        assert_eq!(around(at("22T00:00"), Some(at("22T08:00")), now), (at("21T22:00"), at("22T10:00")));
        assert_eq!(around(at("15T00:00"), Some(at("21T00:00")), now), (at("14T12:00"), at("21T12:00")));
        let (from, to) = around("2026-01-01T00:00:00Z".parse().unwrap(), None, now);
        assert_eq!(from.duration_until(to), LONGEST);
    }
}
