//! What stands around every page: the menu of who is signed in, and the line that is shown once.

use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use super::When;
use crate::auth;
use crate::error::Result;

/// The key of the line that the next page shows once.
const FLASH_KEY: &str = "flash";

/// What stands around every page.
#[derive(Clone, Debug)]
pub struct Frame {
    pub user: Option<FrameUser>,
    /// `light`, `dark`, or empty: as the system has it.
    pub theme: &'static str,
    /// Path of this page without its query.
    pub path: String,
    pub flash: Option<Flash>,
    /// For admins: how many changes wait to be published.
    pub pending: i64,
    /// Open alerts that this person sees.
    pub firing: i64,
    pub css: &'static str,
    pub htmx: &'static str,
    pub app_js: &'static str,
    pub icons: &'static str,
    pub favicon: &'static str,
}

/// Who is signed in, for the menu.
#[derive(Clone, Debug)]
pub struct FrameUser {
    pub name: String,
    pub admin: bool,
    /// The one owner that is being looked at.
    pub looks_at: Option<String>,
    /// Looks as a customer, until then.
    pub until: Option<When>,
    /// More than one owner to choose from.
    pub chooses: bool,
    /// Sees the audit, of an owner or of all.
    pub audits: bool,
}

/// A line shown once, after an act.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Flash {
    /// `ok` or `error`.
    pub kind: String,
    pub text: String,
    /// Where a POST takes the act back.
    pub undo: Option<String>,
}

impl Flash {
    /// An act that worked.
    pub fn done(text: impl Into<String>) -> Self {
        Self { kind: "ok".into(), text: text.into(), undo: None }
    }

    /// An act that did not.
    pub fn failed(text: impl Into<String>) -> Self {
        Self { kind: "error".into(), text: text.into(), undo: None }
    }

    /// With the path whose POST takes it back.
    pub fn undo(self, path: String) -> Self {
        Self { undo: Some(path), ..self }
    }
}

impl Frame {
    /// Whether this page belongs to the menu entry: `/servers` holds for `/servers/7/edit`.
    pub fn at(&self, entry: &str) -> bool {
        self.path == entry
            || self.path.strip_prefix(entry).is_some_and(|rest| entry != "/" && rest.starts_with('/'))
    }

    /// Whether an admin looks at it.
    pub fn admin(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.admin)
    }
}

/// Leaves a line for the next page, and goes there.
pub async fn go(session: &Session, to: &str, flash: Flash) -> Result<Response> {
    session.insert(FLASH_KEY, flash).await.map_err(auth::unavailable)?;
    Ok(Redirect::to(to).into_response())
}

/// The line that was left; it is shown once.
pub(super) async fn take_flash(session: &Session) -> Result<Option<Flash>> {
    let flash = session.get(FLASH_KEY).await.map_err(auth::unavailable)?;
    // taking nothing away would still write the session
    if flash.is_some() {
        session.remove::<Flash>(FLASH_KEY).await.map_err(auth::unavailable)?;
    }
    Ok(flash)
}
