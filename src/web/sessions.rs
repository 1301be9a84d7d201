//! Where a person is signed in, and how to end that.

use axum::extract::State;
use axum::response::Response;
use jiff::tz::TimeZone;
use tower_sessions::Session;

use super::{Flash, When, go};
use crate::app::App;
use crate::auth::{self, User};
use crate::error::Result;
use crate::face::Path;
use crate::store::sessions;

/// A session in a list.
pub(super) struct SessionRow {
    pub handle: String,
    /// `Firefox on Linux`
    pub browser: String,
    /// The address that the person logged in from; may be empty.
    pub from: String,
    pub started: When,
    pub seen: Option<When>,
    /// The one that asks.
    pub here: bool,
}

impl SessionRow {
    /// Some of a person's sessions, the one with the handle `here` first.
    pub fn all(sessions: Vec<sessions::Session>, here: &str, zone: &TimeZone, most: usize) -> Vec<Self> {
        let row = |session: sessions::Session| Self {
            here: session.handle == here,
            browser: browser(&session.agent),
            from: session.from,
            started: When::new(session.started_at, zone),
            seen: session.seen_at.map(|at| When::new(at, zone)),
            handle: session.handle,
        };
        let mut rows: Vec<_> = sessions.into_iter().map(row).collect();
        rows.sort_by_key(|row| !row.here);
        rows.truncate(most);
        rows
    }
}

/// What a browser is called, by what its `User-Agent` holds. Most pretend to be others too, so the order counts.
const BROWSERS: [(&str, &str); 14] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python-requests/", "Python"),
];
/// And what it runs on.
const SYSTEMS: [(&str, &str); 7] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// A `User-Agent` in words: `Firefox on Linux`.
fn browser(agent: &str) -> String {
    let find = |names: &[(&str, &'static str)]| {
        names.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| *name)
    };
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.into(),
        (None, Some(system)) => format!("A browser on {system}"),
        (None, None) => "An unknown browser".into(),
    }
}

/// `POST /account/sessions/{handle}/end`: one of the person's own.
pub async fn end(
    State(app): State<App>,
    user: User,
    session: Session,
    Path(handle): Path<String>,
) -> Result<Response> {
    sessions::end(&mut app.door().await?, &user.actor(), &handle).await?;
    go(&session, "/account", Flash::done("That session has ended.")).await
}

/// `POST /account/sessions/others/end`
pub async fn end_others(State(app): State<App>, user: User, session: Session) -> Result<Response> {
    let here = auth::handle_of(&session);
    let flash = match sessions::end_others(&mut app.door().await?, &user.actor(), &here).await? {
        0 => "There was no other session.".to_owned(),
        1 => "The other session has ended.".into(),
        n => format!("The {n} other sessions have ended."),
    };
    go(&session, "/account", Flash::done(flash)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_known_by_what_they_say_of_themselves() {
        for (agent, words) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
                "Chrome on Windows",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.0.0 Mobile/15E148 Safari/604.1",
                "Chrome on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 OPR/125.0.0.0",
                "Opera on Linux",
            ),
            ("curl/8.5.0", "curl"),
            ("Links (2.29; Linux 6.8 x86_64; GNU C; text)", "A browser on Linux"),
            ("", "An unknown browser"),
            ("<script>", "An unknown browser"),
        ] {
            assert_eq!(browser(agent), words, "{agent}");
        }
    }
}
