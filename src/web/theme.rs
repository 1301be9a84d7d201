//! The theme: a cookie, so that the server draws the right one at once.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::{Look, local};
use crate::error::{Error, Result};
use crate::face::Form;

/// What the menu's buttons send.
#[derive(Deserialize)]
pub struct Choice {
    theme: String,
    #[serde(default)]
    next: String,
}

/// `POST /theme`: light, dark or system, for a year; back to the page.
pub async fn choose(look: Look, Form(choice): Form<Choice>) -> Result<Response> {
    let secure = if look.secure { "; Secure" } else { "" };
    let cookie = match choice.theme.as_str() {
        theme @ ("light" | "dark") => {
            format!("theme={theme}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly{secure}")
        }
        _ => format!("theme=; Path=/; Max-Age=0; SameSite=Lax; HttpOnly{secure}"),
    };
    let mut response = Redirect::to(local(&choice.next)).into_response();
    response
        .headers_mut()
        .insert(header::SET_COOKIE, HeaderValue::from_str(&cookie).map_err(Error::internal)?);
    Ok(response)
}
