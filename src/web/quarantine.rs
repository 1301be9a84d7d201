//! What Alertmanager sent and could not be understood: looked at, read again after a fix, or deleted.

use std::time::{Duration, Instant};

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tower_sessions::Session;

use super::{Flash, Frame, Look, Pager, When, counted, go};
use crate::alertmanager::replay;
use crate::app::App;
use crate::auth::Admin;
use crate::error::Result;
use crate::face::{Path, Query};
use crate::page::At;
use crate::store::mismatches::{self, Mismatch};
use crate::store::quarantine::{self, Kept};

const HOME: &str = "/alerts/quarantine";
/// Bytes of a body that pages show.
const BODY_SHOWN: usize = 4096;
/// Labels that contradict each other, at the most.
const MOST_MISMATCHES: i64 = 20;
/// How long reading everything again may take; the rest waits for the next time.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Template)]
#[template(path = "alerts/quarantine.html")]
struct QuarantinePage {
    frame: Frame,
    rows: Vec<QuarantineRow>,
    total: i64,
    pager: Pager,
    mismatches: Vec<Mismatch>,
}

#[derive(Template)]
#[template(path = "alerts/kept.html")]
struct KeptPage {
    frame: Frame,
    row: QuarantineRow,
    /// Only the beginning was kept, so that it cannot be read again.
    broken: bool,
}

struct QuarantineRow {
    id: i64,
    received: When,
    cluster: String,
    reason: String,
    body: String,
    cut: bool,
}

impl QuarantineRow {
    fn new((kept, cluster): (Kept, String), look: &Look) -> Self {
        let end = kept.body.floor_char_boundary(BODY_SHOWN);
        Self {
            id: kept.id,
            received: When::new(kept.received_at, &look.zone),
            cluster,
            reason: kept.reason,
            cut: kept.truncated || end < kept.body.len(),
            body: kept.body[..end].to_owned(),
        }
    }
}

/// `GET /alerts/quarantine`
pub async fn list(
    State(app): State<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Query(at): Query<At>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let found = quarantine::list(&mut db, admin.all(), &at).await?;
    let total = quarantine::count(&mut db, admin.all()).await?;
    let count = counted(total, "entry").replace("entrys", "entries");
    let page = QuarantinePage {
        pager: Pager::new(&found, HOME, &[], count),
        rows: found.items.into_iter().map(|one| QuarantineRow::new(one, &look)).collect(),
        total,
        mismatches: mismatches::list(&mut db, admin.all(), MOST_MISMATCHES).await?,
        frame: look.frame(&mut db, &admin.0, &session).await?,
    };
    look.page(StatusCode::OK, &page)
}

/// `GET /alerts/quarantine/{id}`
pub async fn show(
    State(app): State<App>,
    admin: Admin,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let found = quarantine::find(&mut db, admin.all(), id).await?;
    let page = KeptPage {
        broken: found.0.truncated,
        row: QuarantineRow::new(found, &look),
        frame: look.frame(&mut db, &admin.0, &session).await?,
    };
    look.page(StatusCode::OK, &page)
}

/// `POST /alerts/quarantine/{id}/replay`
pub async fn replay(
    State(app): State<App>,
    admin: Admin,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Response> {
    match again(&app, &admin, &[id]).await?.refused.pop() {
        None => go(&session, HOME, Flash::done("It is understood now, and in the history.")).await,
        Some((_, reason)) => {
            let flash = Flash::failed(format!("It is still not understood: {reason}."));
            go(&session, &format!("{HOME}/{id}"), flash).await
        }
    }
}

/// `POST /alerts/quarantine/replay`
pub async fn replay_all(State(app): State<App>, admin: Admin, session: Session) -> Result<Response> {
    let ids = quarantine::ids(&mut app.db(admin.all()).await?, admin.all()).await?;
    let went = again(&app, &admin, &ids).await?;
    let words = |n: usize| {
        counted(i64::try_from(n).unwrap_or_default(), "delivery").replace("deliverys", "deliveries")
    };
    let left = ids.len() - went.understood.len() - went.refused.len();
    let rest =
        if left > 0 { format!(" {} still to be read; press again.", words(left)) } else { String::new() };
    let text = format!(
        "{} understood and in the history, {} not.{rest}",
        words(went.understood.len()),
        went.refused.len()
    );
    let flash = if went.refused.is_empty() { Flash::done(text) } else { Flash::failed(text) };
    go(&session, HOME, flash).await
}

#[derive(Default)]
struct Went {
    understood: Vec<i64>,
    refused: Vec<(i64, String)>,
}

/// Reads some again. What is stored twice is stored once, so that what goes wrong on the way can be repeated.
async fn again(app: &App, admin: &Admin, ids: &[i64]) -> Result<Went> {
    let all = admin.all();
    let mut db = app.db(all).await?;
    let ours = app.our_labels().map(str::to_owned);
    let (mut went, until) = (Went::default(), Instant::now() + PATIENCE);
    for id in ids {
        if Instant::now() > until {
            break;
        }
        let (cluster, body, truncated) = quarantine::body(&mut db, all, *id).await?;
        let read = if truncated {
            Err("only its beginning was kept".to_owned())
        } else {
            replay::replay(app.intake(), all, cluster, &body, &ours).await?
        };
        match read {
            Ok(()) => went.understood.push(*id),
            Err(reason) => went.refused.push((*id, reason)),
        }
    }
    if !(went.understood.is_empty() && went.refused.is_empty()) {
        quarantine::replayed(&mut db, all, &went.understood, &went.refused, &admin.actor()).await?;
    }
    Ok(went)
}

/// `POST /alerts/quarantine/{id}/removal`
pub async fn remove(
    State(app): State<App>,
    admin: Admin,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    quarantine::find(&mut db, admin.all(), id).await?;
    quarantine::remove(&mut db, admin.all(), &[id], &admin.actor()).await?;
    go(&session, HOME, Flash::done("It is deleted.")).await
}

/// `POST /alerts/quarantine/removal`
pub async fn remove_all(State(app): State<App>, admin: Admin, session: Session) -> Result<Response> {
    let mut db = app.db(admin.all()).await?;
    let ids = quarantine::ids(&mut db, admin.all()).await?;
    let removed = quarantine::remove(&mut db, admin.all(), &ids, &admin.actor()).await?;
    let removed = i64::try_from(removed).unwrap_or_default();
    let flash = format!("{} deleted.", counted(removed, "delivery").replace("deliverys", "deliveries"));
    go(&session, HOME, Flash::done(flash)).await
}
