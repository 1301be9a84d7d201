//! What a program reads of how much it may ask, with every answer.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;

use crate::auth::Spent;
use crate::face::RATE;

/// Puts the headers to what a token is answered.
pub async fn tell(mut request: Request, next: Next) -> Response {
    let spent = Spent::default();
    request.extensions_mut().insert(spent.clone());
    let mut response = next.run(request).await;
    if let Some(standing) = spent.standing() {
        let headers = response.headers_mut();
        for (name, number) in RATE.into_iter().zip([standing.limit, standing.remaining, standing.reset]) {
            headers.insert(name, HeaderValue::from(number));
        }
    }
    response
}
