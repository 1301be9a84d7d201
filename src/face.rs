//! The two faces of an error: a page for people, problem+json (RFC 9457) for programs, chosen by the
//! path. Every error is logged here, once.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::Error;
use crate::web;

/// How much a program may ask, by its token: of
/// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/07/>.
pub const RATE: [&str; 3] = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];
/// The longest body of a form, bytes.
pub const FORM_LIMIT: usize = 1 << 20;
/// The longest body of a form with a file, bytes.
pub const FILE_LIMIT: usize = 16 << 20;
/// Where such forms go.
const FILES: [&str; 1] = ["/servers/import"];

impl IntoResponse for Error {
    /// The bare status with the error beside it; [`dress`] gives it a face.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// A problem as RFC 9457 has it.
#[derive(Serialize, ToSchema)]
pub struct Problem<'a> {
    title: &'a str,
    status: u16,
    /// What happened, and what to do.
    detail: String,
    /// What is wrong where, with 409 and 422.
    errors: Vec<FieldProblem<'a>>,
    /// Of an error of ours, which finds it in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
struct FieldProblem<'a> {
    field: &'a str,
    message: &'a str,
}

/// Whether programs ask here, not people.
pub fn is_for_programs(path: &str) -> bool {
    ["/api", "/webhook", "/sd", "/healthz", "/readyz", "/metrics"]
        .iter()
        .any(|room| path.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Reads the whole body before anybody asks who sends it: rights that were lost while a body was held back are lost.
pub async fn whole(request: Request, next: Next) -> Result<Response, Error> {
    if request.method().is_safe() {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let limit = if FILES.contains(&parts.uri.path()) { FILE_LIMIT } else { FORM_LIMIT };
    let body = axum::body::to_bytes(body, limit).await.map_err(|_| Error::TooLarge)?;
    Ok(next.run(Request::from_parts(parts, axum::body::Body::from(body))).await)
}

/// Beside an error of a page, the frame of who is signed in, for [`dress`]. What comes from further out, and what
/// is wrong with the database, has none.
pub async fn frame(State(app): State<App>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let mut response = next.run(Request::from_parts(head.clone(), body)).await;
    let status = response.status();
    let known = ![StatusCode::UNAUTHORIZED, StatusCode::SERVICE_UNAVAILABLE].contains(&status);
    if known
        && is_bare(&response)
        && !is_for_programs(head.uri.path())
        && let Ok(frame) = web::Frame::around(&app, head).await
    {
        response.extensions_mut().insert(frame);
    }
    response
}

/// Whether it is an error that has no page yet.
fn is_bare(response: &Response) -> bool {
    let status = response.status();
    (status.is_client_error() || status.is_server_error())
        && !response.headers().contains_key(header::CONTENT_TYPE)
}

/// Gives errors their face, and logs them.
pub async fn dress(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let uri = request.uri().clone();
    let look = web::Look::of(request.headers(), &uri, app.config());
    let mut response = next.run(request).await;
    let status = response.status();
    let error = response.extensions_mut().remove::<Arc<Error>>();
    let frame = response.extensions_mut().remove::<web::Frame>();
    let error = match error {
        Some(error) => error,
        // errors of layers and of the router itself come bare
        None if is_bare(&response)
            || status == StatusCode::FORBIDDEN
                && response.extensions().get::<tower_http::csrf::ProtectionError>().is_some() =>
        {
            Arc::new(from_status(status))
        }
        None => return response,
    };
    let status = if status.is_server_error() {
        StatusCode::from_u16(error.status()).unwrap_or(status)
    } else {
        status
    };
    let reference = log(&error, &method, &uri);
    let rate = RATE.map(HeaderName::from_static);
    let kept: Vec<_> = [header::ALLOW, header::SET_COOKIE]
        .into_iter()
        .chain(rate)
        .flat_map(|name| {
            response
                .headers()
                .get_all(&name)
                .iter()
                .map(|value| (name.clone(), value.clone()))
                .collect::<Vec<_>>()
        })
        .collect();
    let mut dressed = if is_for_programs(uri.path()) {
        problem(status, &error, reference.as_deref())
    } else if matches!(*error, Error::Unauthorized) {
        look.to_login(&method, &uri)
    } else {
        look.error_page(frame, status, &error, reference)
    };
    for (name, value) in kept {
        dressed.headers_mut().append(name, value);
    }
    if let Some(seconds) = error.retry_after() {
        dressed.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED && is_for_programs(uri.path()) {
        dressed
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"prommgr\""));
    }
    dressed
}

fn from_status(status: StatusCode) -> Error {
    match status {
        StatusCode::NOT_FOUND => Error::NotFound,
        StatusCode::FORBIDDEN => Error::BadRequest(
            "This request came from another site, so it was refused. Open prommgr's own page and try there."
                .into(),
        ),
        StatusCode::METHOD_NOT_ALLOWED => {
            Error::BadRequest("This address does not take this kind of request.".into())
        }
        StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => {
            Error::Unavailable("That took too long. Try again in a moment.".into())
        }
        // of the layer of the sessions, when one could not be saved; ours never come bare
        StatusCode::INTERNAL_SERVER_ERROR => {
            Error::Unavailable("The database does not answer just now. Try again in a moment.".into())
        }
        status if status.is_client_error() => {
            Error::BadRequest("The request could not be understood.".into())
        }
        status => Error::internal(format!("a bare {status}")),
    }
}

/// Logs an error of ours and returns its reference.
fn log(error: &Error, method: &Method, uri: &Uri) -> Option<String> {
    let path = web::redacted(uri.path());
    match error {
        Error::Internal(inner) => {
            let reference = crate::store::users::random_text(8);
            tracing::error!(%method, path, reference, error = format!("{inner:#}"), "internal error");
            Some(reference)
        }
        Error::Unavailable(why) => {
            tracing::warn!(%method, path, why, "unavailable");
            None
        }
        other => {
            tracing::debug!(%method, path, error = %other, "refused");
            None
        }
    }
}

fn problem(status: StatusCode, error: &Error, reference: Option<&str>) -> Response {
    let errors = match error {
        Error::Invalid(fields) => {
            fields.0.iter().map(|(field, message)| FieldProblem { field: field.as_ref(), message }).collect()
        }
        _ => Vec::new(),
    };
    let detail = match error {
        Error::Unauthorized => {
            "No token, or one that is wrong, has expired or is revoked. Send it as `Authorization: Bearer …`."
                .into()
        }
        other => other.message(),
    };
    let problem = Problem { title: error.title(), status: status.as_u16(), detail, errors, reference };
    let mut response = (status, axum::Json(&problem)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// A part of the path, refused with [`Error`].
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Error))]
pub struct Path<T>(pub T);

/// The query, refused with [`Error`]. Repeated keys make lists.
#[derive(FromRequestParts)]
#[from_request(via(axum_extra::extract::Query), rejection(Error))]
pub struct Query<T>(pub T);

/// A form, refused with [`Error`]. Repeated keys make lists.
#[derive(FromRequest)]
#[from_request(via(axum_extra::extract::Form), rejection(Error))]
pub struct Form<T>(pub T);

impl From<axum::extract::rejection::PathRejection> for Error {
    fn from(_: axum::extract::rejection::PathRejection) -> Self {
        Self::NotFound
    }
}

impl From<axum_extra::extract::QueryRejection> for Error {
    fn from(rejection: axum_extra::extract::QueryRejection) -> Self {
        Self::BadRequest(rejection.to_string())
    }
}

impl From<axum_extra::extract::FormRejection> for Error {
    fn from(rejection: axum_extra::extract::FormRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            _ => Self::BadRequest(rejection.to_string()),
        }
    }
}
