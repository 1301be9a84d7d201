//! A server's page.

use askama::Template;
use axum::extract::State as AppState;
use axum::response::Response;
use jiff::Timestamp;
use tower_sessions::Session;

use super::thresholds::Thresholds;
use super::{day, day_before};
use crate::app::App;
use crate::auth::User;
use crate::error::Result;
use crate::face::Path;
use crate::store::alerts::{self, Named, figures};
use crate::store::owners;
use crate::store::servers::{self, OpenAlerts, Server};
use crate::store::{changes, health, kinds, publications};
use crate::web::chart::{FLAPS, Strip};
use crate::web::owners::{LAST, OPEN};
use crate::web::{AlertRow, Frame, Link, Look, Pair, State, When, pairs};

#[derive(Template)]
#[template(path = "servers/show.html", blocks = ["live"])]
struct ServerPage {
    frame: Frame,
    show_owner: bool,
    may_edit: bool,
    id: i64,
    name: String,
    address: String,
    /// What Prometheus scrapes.
    url: String,
    owner: Link,
    external_id: String,
    job: String,
    comment: String,
    labels: Vec<Pair>,
    enabled: bool,
    created: When,
    state: State,
    state_text: String,
    /// Something of it waits to be published.
    waits: bool,
    /// The last 24 hours.
    day: Strip,
    open: Vec<AlertRow>,
    last: Vec<AlertRow>,
    thresholds: Thresholds,
}

/// `GET /servers/{id}`
pub async fn show(
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
    let kinds = kinds::catalogue(&mut db).await?;
    let open = alerts::worst(&mut db, &scope, None, Some(&server), OPEN).await?;
    let last = alerts::newest_closed(&mut db, &scope, None, Some(&server), LAST).await?;
    let flapping = figures::flapping_among(&mut db, &scope, open.iter().chain(&last), FLAPS).await?;
    let known = Known {
        up: servers::up(&mut db, &server).await?,
        fresh: health::fresh(&mut db).await?,
        published: publications::last_at(&mut db).await?.is_some_and(|at| at >= server.created_at),
        publishes: user.is_admin(),
    };
    let now = Timestamp::now();
    let fired = figures::of_servers(&mut db, &scope, &[server.id], day_before(now)).await?;
    let thresholds = Thresholds::of(&mut db, &user, &owner, &server, &look).await?;
    let page = ServerPage {
        frame: look.frame(&mut db, &user, &session).await?,
        show_owner: user.sees_several(),
        may_edit: user.manages(server.owner_id),
        id: server.id,
        address: server.endpoint(),
        url: url(&server),
        labels: pairs(&server.labels, &[]),
        enabled: server.enabled,
        created: When::new(server.created_at, &look.zone),
        state: State::of_server(server.enabled, known.up, counted(&open), known.fresh),
        state_text: known.in_words(&server),
        waits: changes::server_waits(&mut db, &server).await?,
        day: day(
            &server,
            known.up.filter(|_| known.fresh),
            fired.get(&server.id).map_or(&[], Vec::as_slice),
            now,
        ),
        open: AlertRow::marked(&open, &flapping, &look.zone, &kinds),
        last: AlertRow::marked(&last, &flapping, &look.zone, &kinds),
        thresholds,
        owner: Link { href: format!("/owners/{}", owner.id), text: owner.name },
        name: server.name,
        external_id: server.external_id,
        job: server.job,
        comment: server.comment,
    };
    look.show(&page, |page| page.as_live().render())
}

fn counted(open: &[Named]) -> OpenAlerts {
    OpenAlerts {
        count: i64::try_from(open.len()).unwrap_or(i64::MAX),
        critical: open.iter().any(|named| named.alert.severity == "critical"),
    }
}

fn url(server: &Server) -> String {
    format!("{}://{}{}", server.scheme, server.endpoint(), server.metrics_path)
}

/// What is known of whether Prometheus reaches a server.
struct Known {
    up: Option<bool>,
    fresh: bool,
    /// Something was published since the server was added.
    published: bool,
    /// The person who reads it can publish.
    publishes: bool,
}

impl Known {
    fn in_words(&self, server: &Server) -> String {
        match self.up.filter(|_| self.fresh) {
            Some(_) if !server.enabled => "Prometheus watches it until the next publication.".into(),
            None if !server.enabled => "It is not scraped, and nothing alerts.".into(),
            Some(true) => "It answers Prometheus.".into(),
            Some(false) => format!(
                "Prometheus does not reach it at {}. Check that the exporter runs and that the port is open.",
                url(server)
            ),
            None if !self.published && self.publishes => {
                "Not published yet: Prometheus does not know of it.".into()
            }
            None if !self.published => {
                "Not published yet. It is watched once the staff have published it.".into()
            }
            None if !self.fresh => "Prometheus has not answered for a while, so this is not known.".into(),
            None => "Prometheus has not said yet whether it reaches it.".into(),
        }
    }
}
