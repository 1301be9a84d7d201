//! Paths of ours: which ones a browser may be sent to, which one it came from, and which carry a secret.

use axum::http::{HeaderMap, header};
use url::{Position, Url};

/// A path of ours to go to after a login; anything else is the dashboard. Refuses what a browser
/// would read as another host (`//x`, `/\x`).
pub fn local(next: &str) -> &str {
    let ours = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && !next.chars().any(|c| c.is_control() || c.is_whitespace());
    if ours { next } else { "/" }
}

/// The page of ours, with its query, that a request came from, as the browser says. None whose path is a secret:
/// what is made of this ends up in queries.
pub fn came_from(headers: &HeaderMap, public_url: &Url) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let from = Url::parse(text(header::REFERER)?).ok()?;
    // people also reach us by other names than the public one
    let ours = from.origin() == public_url.origin()
        || text(header::HOST).is_some_and(|host| host == &from[Position::BeforeHost..Position::AfterPort]);
    let path = &from[Position::BeforePath..Position::AfterQuery];
    (ours && local(path) == path && !is_secret(path)).then(|| path.to_owned())
}

/// Where one-time links lead, and what the log says instead.
const SECRETS: [(&str, &str); 3] =
    [("/setup/", "/setup/…"), ("/password/", "/password/…"), ("/join/", "/join/…")];

/// Whether a path carries the secret of a one-time link.
pub fn is_secret(path: &str) -> bool {
    SECRETS.iter().any(|(room, _)| path.starts_with(room))
}

/// A path for the log, without the secret of a one-time link.
pub fn redacted(path: &str) -> &str {
    SECRETS.iter().find(|(room, _)| path.starts_with(room)).map_or(path, |(_, said)| said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_does_not_read_the_secret_of_a_link() {
        for (path, said) in [
            ("/setup/s3cret", "/setup/…"),
            ("/password/s3cret", "/password/…"),
            ("/join/s3cret", "/join/…"),
            ("/owners/7/members", "/owners/7/members"),
        ] {
            assert_eq!(redacted(path), said);
            assert_eq!(is_secret(path), path != said);
        }
    }

    #[test]
    fn a_request_came_from_a_page_of_ours_or_from_nowhere() {
        let public_url = Url::parse("https://prommgr.example").unwrap();
        let from = |referer: &str| {
            let request =
                axum::http::Request::get("/").header("host", "10.0.0.5:8080").header("referer", referer);
            came_from(request.body(()).unwrap().headers(), &public_url)
        };
        for (referer, path) in [
            ("https://prommgr.example/servers/new?owner=7#f-name", "/servers/new?owner=7"),
            ("http://10.0.0.5:8080/account", "/account"),
        ] {
            assert_eq!(from(referer).as_deref(), Some(path));
        }
        for referer in [
            "https://evil.example/account",
            "https://prommgr.example.evil.example/account",
            "http://10.0.0.5/account",
            "https://prommgr.example//evil.example",
            "https://prommgr.example/join/s3cret",
            "/account",
            "",
        ] {
            assert_eq!(from(referer), None, "{referer}");
        }
    }

    #[test]
    fn only_paths_of_ours_follow_a_login() {
        for next in ["/servers?q=a", "/", "/alerts/7"] {
            assert_eq!(local(next), next);
        }
        for next in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "javascript:x",
            "/a\nb",
        ] {
            assert_eq!(local(next), "/", "{next}");
        }
    }
}
