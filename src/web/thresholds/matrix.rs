//! Owners by kinds: who has other thresholds than the defaults.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::path;
use crate::app::App;
use crate::auth::User;
use crate::catalogue::{RuleKind, Severity};
use crate::error::Result;
use crate::face::Query;
use crate::page::At;
use crate::store::kinds;
use crate::store::owners::{self, Filter, Owner};
use crate::store::thresholds::{self, Overrides, in_words};
use crate::web::{Choice, Frame, Link, Look, Pager, all_of, choices};

#[derive(Template)]
#[template(path = "thresholds/matrix.html", blocks = ["rows"])]
struct MatrixPage {
    frame: Frame,
    q: String,
    show: Vec<Choice>,
    /// Something narrows the list.
    narrowed: bool,
    /// Kinds of which an owner on this page has something else.
    columns: Vec<Column>,
    rows: Vec<MatrixRow>,
    pager: Pager,
}

struct Column {
    title: String,
    /// What holds for everybody.
    default: String,
}

struct MatrixRow {
    owner: Link,
    external_id: String,
    /// One for each column.
    cells: Vec<Cell>,
}

/// What an owner has of a kind that differs from the default.
struct Cell {
    title: String,
    /// Of the owner itself: severity and threshold.
    own: Vec<(&'static str, String)>,
    /// Where that is set.
    href: String,
    servers: Vec<Link>,
    /// Servers that are not named.
    more: i64,
}

impl Cell {
    fn is_empty(&self) -> bool {
        self.own.is_empty() && self.servers.is_empty()
    }
}

/// What the list is narrowed to.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    q: String,
    /// `all`: those without a difference, too.
    show: String,
    #[serde(flatten)]
    at: At,
}

/// `GET /thresholds/matrix?q=&show=`
pub async fn matrix(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Query(wanted): Query<Wanted>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let all = wanted.show == "all";
    let filter = Filter { q: wanted.q.clone(), differs: !all, ..Filter::default() };
    let found = owners::list(&mut db, &user.scope(), &filter, &wanted.at).await?;
    let overrides = thresholds::overrides(&mut db, &found.items).await?;
    let differs = |kind: &RuleKind| found.items.iter().any(|owner| !cell(kind, owner, &overrides).is_empty());
    let catalogue = kinds::catalogue(&mut db).await?;
    let kinds: Vec<_> = catalogue.iter().filter(|kind| differs(kind)).collect();
    let row = |owner: &Owner| MatrixRow {
        owner: Link { href: path(Some(owner.id), None), text: owner.name.clone() },
        external_id: owner.external_id.clone(),
        cells: kinds.iter().map(|kind| cell(kind, owner, &overrides)).collect(),
    };
    let shown = if all { "all" } else { "" };
    let page = MatrixPage {
        rows: found.items.iter().map(row).collect(),
        columns: kinds.iter().map(|kind| column(kind, &overrides)).collect(),
        pager: Pager::new(
            &found,
            "/thresholds/matrix",
            &[("q", &wanted.q), ("show", shown)],
            all_of(&found, "owner"),
        ),
        show: choices([("", "Owners that differ"), ("all", "Every owner")], shown),
        narrowed: !wanted.q.trim().is_empty(),
        q: wanted.q,
        frame: look.frame(&mut db, &user, &session).await?,
    };
    look.show(&page, |page| page.as_rows().render())
}

fn column(kind: &RuleKind, overrides: &Overrides) -> Column {
    let on = Severity::ALL.into_iter().filter_map(|severity| {
        let setting = overrides.default(kind, severity);
        setting.enabled.then(|| format!("{severity} {}", in_words(kind, setting)))
    });
    let default = on.collect::<Vec<_>>().join(", ");
    Column { title: kind.title.clone(), default: if default.is_empty() { "off".into() } else { default } }
}

fn cell(kind: &RuleKind, owner: &Owner, overrides: &Overrides) -> Cell {
    let own = Severity::ALL.into_iter().filter_map(|severity| {
        let setting = overrides.of(owner, kind, severity)?;
        Some((severity.as_str(), in_words(kind, setting)))
    });
    let servers = overrides.of_servers(owner, kind).cloned().unwrap_or_default();
    let named = i64::try_from(servers.first.len()).unwrap_or_default();
    let link = |(id, name): (i64, String)| Link { href: path(Some(owner.id), Some(id)), text: name };
    Cell {
        title: kind.title.clone(),
        own: own.collect(),
        href: path(Some(owner.id), None),
        more: servers.count - named,
        servers: servers.first.into_iter().map(link).collect(),
    }
}
