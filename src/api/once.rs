//! `Idempotency-Key`: a POST that is sent twice, because nobody knows what became of the first, is done once.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, Response as HttpResponse, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::auth::Client;
use crate::error::{Error, Fields, Result};
use crate::face::FORM_LIMIT;
use crate::store::idempotency::{self, Answer, Begun};

/// The header that names the request.
pub const KEY: &str = "idempotency-key";
/// Where answers hold a secret that is shown once: it would be kept with them, so no key is taken.
pub const SECRET: [&str; 3] = ["/api/v1/tokens", "/api/v1/users", "/api/v1/owners/{id}/invitations"];
/// Said with an answer that was given before.
const REPLAYED: &str = "idempotent-replayed";

/// Around what programs are answered: gives the answer of before to a POST with a known key.
pub async fn once(State(app): State<App>, request: Request, next: Next) -> Result<Response> {
    let Some(key) = request.headers().get(KEY).filter(|_| request.method() == Method::POST) else {
        return Ok(next.run(request).await);
    };
    if request.extensions().get::<MatchedPath>().is_some_and(|path| SECRET.contains(&path.as_str())) {
        return Err(refused("This answer holds a secret, which is not kept: send it without a key."));
    }
    let key = key.to_str().map(str::trim).ok().filter(|key| (1..=255).contains(&key.len()));
    let key =
        key.ok_or_else(|| refused("A key has 1 to 255 visible characters, such as a UUID."))?.to_owned();
    let (mut parts, body) = request.into_parts();
    // whoever may not do it gets the answer of before neither
    let client = Client::from_request_parts(&mut parts, &app).await?;
    let body = axum::body::to_bytes(body, FORM_LIMIT).await.map_err(|_| Error::TooLarge)?;
    let mut hash = Sha256::new();
    hash.update(parts.uri.path_and_query().map_or("", |path| path.as_str()));
    hash.update([0]);
    hash.update(&body);
    let token = client.token.id;
    match idempotency::begin(&mut app.door().await?, token, &key, &hash.finalize()).await? {
        Begun::First => {}
        Begun::UnderWay => {
            return Err(Error::Conflict(
                "A request with this Idempotency-Key is under way, or was cut off. Try again in a moment; if it stays, look \
                 whether it was done, and take another key."
                    .into(),
            ));
        }
        Begun::Another => return Err(refused("This key was sent with another request. Take another one.")),
        Begun::Done(answer) => return replayed(answer),
    }
    let request = Request::from_parts(parts, Body::from(body));
    // goes on to its end also when the client is gone
    let done = tokio::spawn(async move {
        let answered = answered(next.run(request).await).await;
        let answer = answered.as_ref().ok().and_then(|(_, answer)| answer.clone());
        idempotency::finish(&mut app.door().await?, token, &key, answer).await?;
        answered.map(|(response, _)| response)
    });
    done.await.map_err(Error::internal)?
}

/// A response, and what is kept of it when it succeeded.
async fn answered(response: Response) -> Result<(Response, Option<Answer>)> {
    if !response.status().is_success() {
        return Ok((response, None));
    }
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.map_err(Error::internal)?;
    let text =
        |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned);
    let answer = Answer {
        status: Some(i32::from(parts.status.as_u16())),
        location: text(header::LOCATION),
        etag: text(header::ETAG),
        body: String::from_utf8(bytes.to_vec()).ok(),
    };
    Ok((HttpResponse::from_parts(parts, Body::from(bytes)), Some(answer)))
}

fn replayed(answer: Answer) -> Result<Response> {
    let status = answer.status.and_then(|status| u16::try_from(status).ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::builder().status(status).header(REPLAYED, "true");
    if status != StatusCode::NO_CONTENT {
        response = response.header(header::CONTENT_TYPE, "application/json");
    }
    for (name, value) in [(header::LOCATION, answer.location), (header::ETAG, answer.etag)] {
        if let Some(value) = value {
            response = response.header(name, value);
        }
    }
    let body = answer.body.map(Bytes::from).unwrap_or_default();
    response.body(Body::from(body)).map_err(Error::internal)
}

fn refused(why: &str) -> Error {
    Error::Invalid(Fields::one("Idempotency-Key", why))
}
