//! The list of servers.

use askama::Template;
use axum::extract::State as AppState;
use axum::http::Uri;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;
use tower_sessions::Session;

use super::{day, day_before};
use crate::app::App;
use crate::auth::User;
use crate::error::Result;
use crate::face::Query;
use crate::page::At;
use crate::store::alerts::figures;
use crate::store::health;
use crate::store::servers::{self, Filter, Listed};
use crate::web::chart::Strip;
use crate::web::owners::options;
use crate::web::{Choice, Frame, Link, Look, Pager, State, all_of, choices, named_choices};

const STATES: [(&str, &str); 5] =
    [("", "Every state"), ("up", "Up"), ("down", "Down"), ("unknown", "Unknown"), ("paused", "Paused")];

#[derive(Template)]
#[template(path = "servers/list.html", blocks = ["rows"])]
struct ServersPage {
    frame: Frame,
    /// This page with its query, to come back to.
    here: String,
    show_owner: bool,
    may_edit: bool,
    q: String,
    owners: Vec<Choice>,
    states: Vec<Choice>,
    filtered: bool,
    /// The filters as a query, for files.
    query: String,
    rows: Vec<ServerRow>,
    pager: Pager,
}

struct ServerRow {
    id: i64,
    state: State,
    /// The last 24 hours.
    day: Strip,
    name: String,
    address: String,
    owner: Link,
    comment: String,
    enabled: bool,
    open_alerts: i64,
    may_edit: bool,
}

/// What the list is narrowed to, and where it begins.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    #[serde(flatten)]
    filter: Filter,
    #[serde(flatten)]
    at: At,
}

/// `GET /servers`: those that the person sees.
pub async fn list(
    AppState(app): AppState<App>,
    user: User,
    session: Session,
    look: Look,
    uri: Uri,
    Query(Wanted { filter, at }): Query<Wanted>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let scope = user.scope();
    let found = servers::list(&mut db, &scope, &filter, &at).await?;
    let ids: Vec<i64> = found.items.iter().map(|listed| listed.server.id).collect();
    let now = Timestamp::now();
    let mut fired = figures::of_servers(&mut db, &scope, &ids, day_before(now)).await?;
    let fresh = health::fresh(&mut db).await?;
    let owners =
        if user.sees_several() { options(&mut db, &scope, &filter.owner).await? } else { Vec::new() };
    let query = [("q", filter.q.as_str()), ("owner", &filter.owner), ("state", &filter.state)];
    let page = ServersPage {
        frame: look.frame(&mut db, &user, &session).await?,
        here: uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        show_owner: user.sees_several(),
        may_edit: user.changes_something(),
        owners: named_choices(Some("Every owner"), owners, &filter.owner),
        states: choices(STATES, &filter.state),
        filtered: query.iter().any(|(_, value)| !value.trim().is_empty()),
        query: as_query(&query),
        pager: Pager::new(&found, "/servers", &query, all_of(&found, "server")),
        rows: found
            .items
            .into_iter()
            .map(|listed| {
                let fired = fired.remove(&listed.server.id).unwrap_or_default();
                let day = day(&listed.server, listed.up.filter(|_| fresh), &fired, now);
                row(listed, day, &user, fresh)
            })
            .collect(),
        q: filter.q,
    };
    look.show(&page, |page| page.as_rows().render())
}

fn as_query(filters: &[(&str, &str)]) -> String {
    let given = filters.iter().filter(|(_, value)| !value.is_empty());
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    if query.is_empty() { query } else { format!("?{query}") }
}

fn row(listed: Listed, day: Strip, user: &User, fresh: bool) -> ServerRow {
    let Listed { server, owner_name, up, alerts } = listed;
    ServerRow {
        id: server.id,
        day,
        state: State::of_server(server.enabled, up, alerts, fresh),
        address: server.endpoint(),
        owner: Link { href: format!("/owners/{}", server.owner_id), text: owner_name },
        enabled: server.enabled,
        open_alerts: alerts.count,
        may_edit: user.manages(server.owner_id),
        name: server.name,
        comment: server.comment,
    }
}
