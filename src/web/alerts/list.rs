//! The list of the history.

use askama::Template;
use axum::extract::State as AppState;
use axum::response::Response;
use tower_sessions::Session;

use super::Filters;
use super::filters::Selects;
use super::groups::GroupsTable;
use super::live::digest;
use super::saved::Saved;
use crate::app::App;
use crate::auth::User;
use crate::error::Result;
use crate::face::Query;
use crate::page::SIZE;
use crate::store::alerts::{Count, figures};
use crate::store::{alerts, kinds, quarantine};
use crate::web::chart::FLAPS;
use crate::web::{AlertRow, Frame, Look, Pager, When, counted, number};

#[derive(Template)]
#[template(path = "alerts/list.html", blocks = ["rows"])]
struct AlertsPage {
    frame: Frame,
    show_owner: bool,
    q: String,
    selects: Selects,
    /// `None` while an admin looks as a customer, who has others or none.
    saved: Option<Saved>,
    /// In place of the rows.
    groups: Option<GroupsTable>,
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
    // one connection at a time: who holds one and waits for another may wait for ever
    let saved = Saved::of(&mut app.door().await?, &user, &filters).await?;
    let mut db = app.db(&user).await?;
    let scope = user.scope();
    let filter = filters.filter(&look.zone);
    let groups = GroupsTable::of(&mut db, &user, &filters, &look.zone).await?;
    let alerts::Found { page: found, searched_to } = match &groups {
        Some(_) => alerts::Found::none(),
        None => alerts::list(&mut db, &scope, &filter, &filters.at()).await?,
    };
    let flapping = figures::flapping_among(&mut db, &scope, &found.items, FLAPS).await?;
    let rows = AlertRow::marked(&found.items, &flapping, &look.zone, &kinds::catalogue(&mut db).await?);
    let (page_query, live_query) = filters.of_page();
    let whole = found.prev.is_none() && found.next.is_none();
    let items = i64::try_from(found.items.len()).unwrap_or_default();
    let count = if whole { Count::Exactly(items) } else { alerts::count(&mut db, &scope, &filter).await? };
    let count = match count {
        Count::Exactly(count) => counted(count, "alert"),
        Count::MoreThan(count) => format!("more than {} alerts", number(count)),
        Count::Unknown => format!("{SIZE} at a time"),
    };
    let frame = look.frame(&mut db, &user, &session).await?;
    let page = AlertsPage {
        show_owner: user.sees_several(),
        selects: Selects::of(&mut db, &user, &filters).await?,
        saved,
        groups,
        empty: if !filters.q.trim().is_empty() {
            "Search finds labels, as severity=critical, and the beginnings of words: of labels, of what is told, and of servers' names."
        } else if filters.state == "unacknowledged" {
            "Every open alert that fits these filters is acknowledged."
        } else {
            "No alert fits these filters."
        },
        filtered: filters.pairs().iter().any(|(_, value)| !value.is_empty()),
        news: News { page: page_query, stream: live_query, seen: digest(&rows, frame.firing) },
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
        frame,
    };
    look.show(&page, |page| page.as_rows().render())
}
