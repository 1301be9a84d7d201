//! The list of the history.

use askama::Template;
use axum::extract::State as AppState;
use axum::response::Response;
use tower_sessions::Session;

use super::Filters;
use super::groups::GroupsTable;
use super::live::digest;
use crate::app::App;
use crate::auth::User;
use crate::catalogue;
use crate::error::Result;
use crate::face::Query;
use crate::page::SIZE;
use crate::store::alerts::Count;
use crate::store::{alerts, owners, quarantine, servers};
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
    group: Vec<Choice>,
    /// In place of the rows.
    groups: Option<GroupsTable>,
    /// The server that the list is narrowed to.
    server: Option<Choice>,
    from: String,
    to: String,
    filtered: bool,
    /// Why there may be none.
    empty: &'static str,
    rows: Vec<AlertRow>,
    /// Only so far back was looked for rows; older ones are on the next page.
    searched_to: Option<When>,
    news: News,
    pager: Pager,
    /// The filters as a query, for the files.
    query: String,
    quarantined: i64,
    /// The same as pictures.
    figures: String,
}

/// Where what is new is heard of, and what is shown already.
struct News {
    /// The page's query.
    page: String,
    /// The stream's, up to what is shown.
    stream: String,
    seen: String,
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
    let groups = GroupsTable::of(&mut db, &user, &filters, &look.zone).await?;
    let alerts::Found { page: found, searched_to } = match &groups {
        Some(_) => alerts::Found::none(),
        None => alerts::list(&mut db, &scope, &filter, &filters.at()).await?,
    };
    let rows = AlertRow::all(&found.items, &look.zone);
    let (page_query, live_query) = filters.of_page();
    let whole = found.prev.is_none() && found.next.is_none();
    let items = i64::try_from(found.items.len()).unwrap_or_default();
    let count = if whole { Count::Exactly(items) } else { alerts::count(&mut db, &scope, &filter).await? };
    let count = match count {
        Count::Exactly(count) => counted(count, "alert"),
        Count::MoreThan(count) => format!("more than {} alerts", number(count)),
        Count::Unknown => format!("{SIZE} at a time"),
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
        states: choices(
            [
                ("", "Open and closed"),
                ("open", "Open"),
                ("unacknowledged", "Open, not acknowledged"),
                ("closed", "Closed"),
            ],
            &filters.state,
        ),
        rules: choices(
            std::iter::once((String::new(), "Every rule".to_owned())).chain(rules).chain(other),
            &filters.rule,
        ),
        severities: choices(
            [("", "Every severity"), ("critical", "Critical"), ("warning", "Warning")],
            &filters.severity,
        ),
        owners: owner_choices,
        group: choices(
            [("", "Each by itself"), ("server", "By server"), ("rule", "By alert")],
            &filters.group,
        ),
        groups,
        server: server.map(|server| Choice {
            value: server.id.to_string(),
            label: server.name,
            selected: true,
        }),
        empty: if !filters.q.trim().is_empty() {
            "Search finds labels, as severity=critical, and the beginnings of words: of labels, of what is told, and of servers' names."
        } else if filters.state == "unacknowledged" {
            "Every open alert that fits these filters is acknowledged."
        } else {
            "No alert fits these filters."
        },
        filtered: filters.pairs().iter().any(|(_, value)| !value.is_empty()),
        news: News { page: page_query, stream: live_query, seen: digest(&rows) },
        rows,
        searched_to: searched_to.map(|at| When::new(at, &look.zone)),
        pager: Pager::new(&found, "/alerts", &filters.pairs(), count),
        figures: format!("/alerts/figures{}", filters.query()),
        query: filters.query(),
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
