//! Headers that bind what a browser does with our pages.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Sets them on every answer; pages are not kept by caches, as they are somebody's.
pub async fn raise(State(app): State<App>, request: Request, next: Next) -> Response {
    // With `no-referrer` browsers would send `Origin: null` even to ourselves, and over plain HTTP, where
    // they send no `Sec-Fetch-Site`, every form would look cross-site. A one-time link keeps its path.
    let referrer = if super::is_secret(request.uri().path()) { "strict-origin" } else { "same-origin" };
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, CSP);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, referrer);
    set(header::X_FRAME_OPTIONS, "DENY");
    // over plain HTTP browsers ignore it and complain
    if app.config().public_url.scheme() == "https" {
        set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    }
    set(HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()");
    set(header::CACHE_CONTROL, "no-store");
    response
}
