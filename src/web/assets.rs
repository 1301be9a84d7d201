//! What pages load: embedded, hashed, cached for ever, gzipped when it was built.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::error::{Error, Result};
use crate::face::Path;

/// The folder that `build.rs` fills from `static/`.
#[derive(RustEmbed)]
#[folder = "$OUT_DIR/assets"]
struct Assets;

/// Name to URL; the URL changes with the content.
static URLS: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let named = Assets::iter().filter(|name| !name.ends_with(".gz")).filter_map(|name| {
        let hash = Assets::get(&name)?.metadata.sha256_hash();
        let short: String = hash[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        Some((name.to_string(), format!("/static/{short}/{name}")))
    });
    named.collect()
});

/// The URL of an asset; `/static/missing` for one that does not exist, which a test would see.
pub fn url(name: &str) -> &'static str {
    URLS.get(name).map_or("/static/missing", String::as_str)
}

/// `GET /static/{hash}/{name}`. An old hash is not found rather than the wrong content cached.
pub async fn serve(Path((hash, name)): Path<(String, String)>, headers: HeaderMap) -> Result<Response> {
    if URLS.get(&name).is_none_or(|url| *url != format!("/static/{hash}/{name}")) {
        return Err(Error::NotFound);
    }
    let gzip = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|coding| coding.trim().split(';').next() == Some("gzip") && !coding.contains("q=0"));
    let file = Assets::get(&if gzip { format!("{name}.gz") } else { name.clone() }).ok_or(Error::NotFound)?;
    let mime = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let mut response = (StatusCode::OK, file.data.into_owned()).into_response();
    let mut set =
        |name: HeaderName, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, mime);
    set(header::CACHE_CONTROL, "public, max-age=31536000, immutable");
    set(header::VARY, "Accept-Encoding");
    if gzip {
        set(header::CONTENT_ENCODING, "gzip");
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_asset_that_pages_name_exists() {
        for name in ["app.css", "app.js", "htmx-4.0.1.min.js", "icons.svg", "favicon.svg"] {
            assert!(url(name).ends_with(name), "{name} is missing");
        }
    }
}
