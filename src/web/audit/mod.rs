//! The audit: who changed what, when and from where. Admins read all of it, managers what was done to the
//! owners that they manage; for everybody else there is none.

mod files;
mod words;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;
use tower_sessions::Session;

pub use self::files::{csv, json};
pub(super) use self::words::around;
pub use self::words::{ACTIONS, GROUPS, Group};
use self::words::{Change, changes, page_of};
use super::alerts::day;
use super::{Choice, Field, Frame, Link, Look, Pager, When, choices, counted, named_choices, number};
use crate::app::App;
use crate::auth::User;
use crate::error::{Error, Fields, Result};
use crate::face::Query;
use crate::page::{At, Page, SIZE};
use crate::store::audit::{self, Entry, Filter, Living, STAFF};
use crate::store::scope::Writing;
use crate::store::{Db, owners};

/// The list is counted up to here.
const MOST_COUNTED: i64 = 10_000;

/// Fields that stand open, and their characters; more of either is folded.
const OPEN: (usize, usize) = (3, 120);

#[derive(Template)]
#[template(path = "audit/list.html", blocks = ["rows"])]
struct AuditPage {
    frame: Frame,
    show_owner: bool,
    q: String,
    who: String,
    groups: Vec<Choice>,
    owners: Vec<Choice>,
    from: Field,
    to: Field,
    filtered: bool,
    rows: Vec<AuditRow>,
    pager: Pager,
    /// The filters as a query, for the files.
    query: String,
}

struct AuditRow {
    at: When,
    /// What was done: before the object's name, the object, and after it.
    before: String,
    object: Link,
    after: String,
    owner: Option<Link>,
    who: String,
    /// How and from where; may be empty.
    how: String,
    changes: Vec<Change>,
    folded: bool,
}

/// The filters as they stand in the URL.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Filters {
    /// Part of the object's name.
    q: String,
    /// Part of the person's name.
    who: String,
    /// The name of a [`Group`].
    group: String,
    /// An owner's id.
    owner: String,
    /// Days in the person's zone, both included, as 2026-11-22.
    from: String,
    to: String,
    after: Option<String>,
    before: Option<String>,
}

impl Filters {
    fn pairs(&self) -> [(&'static str, &str); 6] {
        [
            ("q", &self.q),
            ("who", &self.who),
            ("group", &self.group),
            ("owner", &self.owner),
            ("from", &self.from),
            ("to", &self.to),
        ]
    }

    /// What they narrow to. `Invalid` at `from` and `to`: a filter that is not understood narrows nothing, and what
    /// was not looked for must not seem to be all there is.
    fn filter(&self, zone: &TimeZone) -> Result<Filter> {
        let mut fields = Fields::default();
        let mut limit = |name, text: &str, later| {
            let found = day(text, later, zone);
            if found.is_none() && !text.trim().is_empty() {
                fields.add(name, "This is no day. Write it as 2026-11-22.");
            }
            found
        };
        let (from, to) = (limit("from", &self.from, 0), limit("to", &self.to, 1));
        fields.into_result()?;
        let group = GROUPS.iter().find(|group| group.name == self.group);
        Ok(Filter {
            who: self.who.clone(),
            object: self.q.clone(),
            // what is no group or no id finds nothing
            kinds: (!self.group.is_empty()).then(|| group.map_or(&[] as &[_], |group| group.kinds)),
            owner: (!self.owner.is_empty()).then(|| self.owner.parse().unwrap_or(0)),
            from,
            to,
        })
    }
}

/// Viewers have no audit: to them it names colleagues' acts and addresses, and it is no row that they may see
/// and not change, so there is nothing here rather than something forbidden.
fn reader(user: &User) -> Result<()> {
    if user.changes_something() { Ok(()) } else { Err(Error::NotFound) }
}

/// `GET /audit`
pub async fn list(
    State(app): State<App>,
    user: User,
    session: Session,
    look: Look,
    Query(filters): Query<Filters>,
) -> Result<Response> {
    reader(&user)?;
    let mut db = app.db(&user).await?;
    let writing = user.writing();
    let at = At { after: filters.after.clone(), before: filters.before.clone(), ..At::default() };
    let (found, count, fields) = match filters.filter(&look.zone) {
        Ok(filter) => {
            let found = audit::list(&mut db, &writing, &filter, &at).await?;
            let count = count(&mut db, &writing, &filter, &found).await?;
            (found, count, Fields::default())
        }
        Err(Error::Invalid(fields)) => {
            (Page { items: Vec::new(), prev: None, next: None }, String::new(), fields)
        }
        Err(error) => return Err(error),
    };
    let living = audit::living(&mut db, &writing, &found.items).await?;
    let groups = GROUPS.iter().filter(|group| user.is_admin() || group.of_owners);
    let owners = owners::choices_rw(&mut db, &writing).await?;
    let show_owner = user.is_admin() || owners.len() > 1;
    let page = AuditPage {
        show_owner,
        groups: choices(
            std::iter::once(("", "Everything")).chain(groups.map(|group| (group.name, group.label))),
            &filters.group,
        ),
        owners: if show_owner {
            named_choices(Some("Every owner"), owners, &filters.owner)
        } else {
            Vec::new()
        },
        filtered: filters.pairs().iter().any(|(_, value)| !value.is_empty()),
        rows: found.items.iter().map(|entry| row(entry, &living, &user, &look.zone)).collect(),
        pager: Pager::new(&found, "/audit", &filters.pairs(), count),
        query: query(&filters),
        q: filters.q,
        who: filters.who,
        from: Field::new(filters.from, &fields, "from"),
        to: Field::new(filters.to, &fields, "to"),
        frame: look.frame(&mut db, &user, &session).await?,
    };
    let mut response = look.show(&page, |page| page.as_rows().render())?;
    if !fields.0.is_empty() {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(response)
}

/// How many there are, in words.
async fn count(db: &mut Db, writing: &Writing, filter: &Filter, found: &Page<Entry>) -> Result<String> {
    let whole = found.prev.is_none() && found.next.is_none();
    Ok(match audit::count(db, writing, filter, MOST_COUNTED + 1).await? {
        _ if whole => counted(i64::try_from(found.items.len()).unwrap_or_default(), "change"),
        None => format!("{SIZE} at a time"),
        Some(count) if count > MOST_COUNTED => format!("more than {} changes", number(MOST_COUNTED)),
        Some(count) => counted(count, "change"),
    })
}

/// The filters as a query with its question mark; empty where there is none.
fn query(filters: &Filters) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(filters.pairs().into_iter().filter(|(_, value)| !value.is_empty()));
    let query = query.finish();
    if query.is_empty() { query } else { format!("?{query}") }
}

fn row(entry: &Entry, living: &Living, user: &User, zone: &TimeZone) -> AuditRow {
    let (before, after) = around(&entry.action);
    let changes = changes(entry.old.as_ref(), entry.new.as_ref(), zone);
    let length = |change: &Change| {
        let texts = [Some(&change.field), change.old.as_ref(), change.new.as_ref()];
        texts.into_iter().flatten().map(|text| text.chars().count() + 3).sum::<usize>()
    };
    let owner = entry.owner.as_ref().map(|owner| Link {
        href: if owner.removed { String::new() } else { format!("/owners/{}", owner.id) },
        text: owner.name.clone(),
    });
    AuditRow {
        at: When::new(entry.at, zone),
        before,
        object: if after.is_some() {
            let href = page_of(entry, living, user.is_admin()).unwrap_or_default();
            Link { href, text: entry.object.clone() }
        } else {
            Link { href: String::new(), text: String::new() }
        },
        after: after.unwrap_or_default(),
        // of an owner itself it would say the same thing twice
        owner: owner.filter(|_| audit::kind(&entry.action) != "owner"),
        who: entry.who.as_ref().map_or(STAFF, |who| &who.name).to_owned(),
        how: how(entry),
        folded: changes.len() > OPEN.0 || changes.iter().map(length).sum::<usize>() > OPEN.1,
        changes,
    }
}

/// `browser, 192.0.2.7`; without the address where it is not known or not for who reads it.
fn how(entry: &Entry) -> String {
    let Some(who) = &entry.who else { return String::new() };
    // the command line has no other name
    let how = if who.through == who.name { "" } else { who.how() };
    let parts = [how, who.address.as_deref().unwrap_or_default()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}
