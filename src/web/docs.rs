//! `/docs`: the document of the API to read and to try, by Swagger UI, which is embedded.

use std::sync::Arc;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_swagger_ui::Config;

use super::{Look, assets};
use crate::error::{Error, Result};
use crate::face::Path;

/// As that of every page, but for styles: Swagger UI sets some at elements.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// What of Swagger UI is served.
const FILES: [&str; 2] = ["swagger-ui.css", "swagger-ui-bundle.js"];

#[derive(Template)]
#[template(path = "docs.html")]
struct DocsPage {
    theme: &'static str,
    favicon: &'static str,
    css: &'static str,
    script: &'static str,
}

/// `GET /docs`
pub async fn show(look: Look) -> Result<Response> {
    let page = DocsPage {
        theme: look.theme,
        favicon: assets::url("favicon.svg"),
        css: assets::url("docs.css"),
        script: assets::url("docs.js"),
    };
    let mut response = look.page(StatusCode::OK, &page)?;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP));
    Ok(response)
}

/// `GET /docs/{name}`: a file of Swagger UI's.
pub async fn file(Path(name): Path<String>) -> Result<Response> {
    let known = FILES.contains(&name.as_str());
    let config = Arc::new(Config::from("/api/openapi.json"));
    let found = utoipa_swagger_ui::serve(&name, config).map_err(Error::internal)?;
    let file = found.filter(|_| known).ok_or(Error::NotFound)?;
    let kind = HeaderValue::from_str(&file.content_type).map_err(Error::internal)?;
    let mut response = file.bytes.into_owned().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    if file.gzpipped {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}
