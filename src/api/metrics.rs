//! prommgr's own metrics, for Prometheus.

use std::time::Instant;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics::{counter, gauge, histogram};

use crate::app::App;
use crate::auth::Client;
use crate::error::{Error, Result};
use crate::peer::{self, Peer};

/// The format's name, as <https://prometheus.io/docs/instrumenting/exposition_formats/> has it.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /metrics`: for whoever asks from this machine, and by no proxy that says it is one; for others with an admin's
/// token.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response> {
    let (mut parts, _) = request.into_parts();
    let near = parts.extensions.get::<Peer>().is_some_and(|Peer(peer)| peer.to_canonical().is_loopback());
    if !near || peer::is_forwarded(&parts.headers) {
        let client = Client::from_request_parts(&mut parts, &app).await?;
        client.user.all().ok_or(Error::NotFound)?;
    }
    #[allow(clippy::cast_precision_loss, reason = "such numbers are small")]
    let set = |gauge: metrics::Gauge, number: usize| gauge.set(number as f64);
    let pool = app.store().connections();
    set(gauge!("prommgr_database_connections", "state" => "idle"), pool.idle);
    set(gauge!("prommgr_database_connections", "state" => "used"), pool.open.saturating_sub(pool.idle));
    set(gauge!("prommgr_database_connections_max"), pool.most);
    set(gauge!("prommgr_intake_deliveries_waiting"), app.intake().under_way());
    Ok(([(header::CONTENT_TYPE, FORMAT)], crate::metrics::text()).into_response())
}

/// Counts requests and their time, by route, so that no path makes a series of its own.
pub async fn count(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let begin = Instant::now();
    let answer = next.run(request).await;
    let status = answer.status().as_u16().to_string();
    histogram!("prommgr_http_request_duration_seconds", "route" => route.clone(), "method" => method.clone())
        .record(begin.elapsed());
    counter!("prommgr_http_requests_total", "route" => route, "method" => method, "status" => status)
        .increment(1);
    answer
}
