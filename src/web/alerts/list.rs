//! The list of the history.

use askama::Template;
use axum::extract::State as AppState;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;
use tower_sessions::Session;

use super::{MOST_COUNTED, day};
use crate::app::App;
use crate::auth::User;
use crate::catalogue;
use crate::error::Result;
use crate::face::Query;
use crate::page::{At, SIZE};
use crate::store::alerts::{self, Filter, State, Whose};
use crate::store::{owners, quarantine, servers};
use crate::web::{AlertRow, Choice, Frame, Look, Pager, When, choices, counted, named_choices, number};

#[derive(Template)]
#[template(path = "alerts/list.html", blocks = ["rows"])]
struct AlertsPage {
    frame: Frame,
    show_owner: bool,
    q: String,
    states: Vec<Choice>,
    rules: Vec<Choice>,
    severities: Vec<Choice>,
    owners: Vec<Choice>,
    /// The server that the list is narrowed to.
    server: Option<Choice>,
    from: String,
    to: String,
    filtered: bool,
    rows: Vec<AlertRow>,
    /// Only so far back was looked for rows; older ones are on the next page.
    searched_to: Option<When>,
    pager: Pager,
    quarantined: i64,
}

/// The filters as they stand in the URL.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Filters {
    q: String,
    /// `open`, `closed`, or all.
    state: String,
    rule: String,
    severity: String,
    /// An owner's id or `unassigned`.
    owner: String,
    /// A server's id.
    server: String,
    /// Days in the person's zone, both included, as 2026-11-22.
    from: String,
    to: String,
    after: Option<String>,
    before: Option<String>,
}

impl Filters {
    fn pairs(&self) -> [(&'static str, &str); 8] {
        [
            ("q", &self.q),
            ("state", &self.state),
            ("rule", &self.rule),
            ("severity", &self.severity),
            ("owner", &self.owner),
            ("server", &self.server),
            ("from", &self.from),
            ("to", &self.to),
        ]
    }

    fn filter(&self, zone: &TimeZone) -> Filter {
        Filter {
            state: match self.state.as_str() {
                "open" => State::Open,
                "closed" => State::Closed,
                _ => State::All,
            },
            rule: self.rule.clone(),
            severity: self.severity.clone(),
            owner: match self.owner.as_str() {
                "" => Whose::Any,
                "unassigned" => Whose::Unassigned,
                // what is no id is nobody's
                id => Whose::Owner(id.parse().unwrap_or(0)),
            },
            server: (!self.server.is_empty()).then(|| self.server.parse().unwrap_or(0)),
            from: day(&self.from, 0, zone),
            to: day(&self.to, 1, zone),
            q: self.q.clone(),
        }
    }
}

/// `GET /alerts`
pub async fn list(
    AppState(app): AppState<App>,
    user: User,
    session: Session,
    look: Look,
    Query(filters): Query<Filters>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let scope = user.scope();
    let filter = filters.filter(&look.zone);
    let at = At { after: filters.after.clone(), before: filters.before.clone() };
    let alerts::Found { page: found, searched_to } = alerts::list(&mut db, &scope, &filter, &at).await?;
    let whole = found.prev.is_none() && found.next.is_none();
    let items = i64::try_from(found.items.len()).unwrap_or_default();
    let count =
        if whole { Some(items) } else { alerts::count(&mut db, &scope, &filter, MOST_COUNTED + 1).await? };
    let count = match count {
        None => format!("{SIZE} at a time"),
        Some(count) if count > MOST_COUNTED => format!("more than {} alerts", number(MOST_COUNTED)),
        Some(count) => counted(count, "alert"),
    };
    let server = match filter.server {
        None => None,
        Some(id) => Some(servers::find(&mut db, &scope, id).await?),
    };
    let rules = catalogue::KINDS.iter().map(|kind| (kind.name.to_owned(), kind.title.to_owned()));
    let other = (!filters.rule.is_empty() && catalogue::kind(&filters.rule).is_none())
        .then(|| (filters.rule.clone(), filters.rule.clone()));
    let mut owner_choices = Vec::new();
    if user.sees_several() {
        owner_choices =
            named_choices(Some("Every owner"), owners::choices(&mut db, &scope).await?, &filters.owner);
        if user.is_admin() {
            owner_choices.insert(
                1,
                Choice {
                    value: "unassigned".into(),
                    label: "Unassigned".into(),
                    selected: filters.owner == "unassigned",
                },
            );
        }
    }
    let page = AlertsPage {
        show_owner: user.sees_several(),
        states: choices([("", "Open and closed"), ("open", "Open"), ("closed", "Closed")], &filters.state),
        rules: choices(
            std::iter::once((String::new(), "Every rule".to_owned())).chain(rules).chain(other),
            &filters.rule,
        ),
        severities: choices(
            [("", "Every severity"), ("critical", "Critical"), ("warning", "Warning")],
            &filters.severity,
        ),
        owners: owner_choices,
        server: server.map(|server| Choice {
            value: server.id.to_string(),
            label: server.name,
            selected: true,
        }),
        filtered: filters.pairs().iter().any(|(_, value)| !value.is_empty()),
        rows: AlertRow::all(&found.items, &look.zone),
        searched_to: searched_to.map(|at| When::new(at, &look.zone)),
        pager: Pager::new(&found, "/alerts", &filters.pairs(), count),
        quarantined: match user.all() {
            Some(all) => quarantine::count(&mut db, all).await?,
            None => 0,
        },
        q: filters.q,
        from: filters.from,
        to: filters.to,
        frame: look.frame(&mut db, &user, &session).await?,
    };
    look.show(&page, |page| page.as_rows().render())
}
