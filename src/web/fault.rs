//! The page of an error.

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse, Response};

use super::{Frame, Look, links};
use crate::app::App;
use crate::auth::{self, User};
use crate::error::{Error, Result};

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    status: u16,
    title: String,
    message: String,
    reference: Option<String>,
}

impl Look {
    /// The page of an error; without a frame it stands alone.
    pub fn error_page(
        &self,
        frame: Option<Frame>,
        status: StatusCode,
        error: &Error,
        reference: Option<String>,
    ) -> Response {
        // a link that is used up and one that was guessed look alike
        let gone = links::gone(&self.path).filter(|_| status == StatusCode::NOT_FOUND);
        let (title, message) = match gone {
            Some(why) => {
                let used = if frame.is_none() { " If it was you who used it, log in." } else { "" };
                ("This link does not work", format!("{why}{used}"))
            }
            None => (error.title(), error.message()),
        };
        let page = ErrorPage {
            frame: frame.unwrap_or_else(|| self.bare()),
            status: status.as_u16(),
            title: title.to_owned(),
            message,
            reference,
        };
        match page.render() {
            Ok(html) => (status, Html(html)).into_response(),
            Err(error) => {
                tracing::error!(%error, "the error page cannot be made");
                status.into_response()
            }
        }
    }
}

impl Frame {
    /// The frame of whoever sent a request, whatever became of it.
    pub async fn around(app: &App, mut parts: Parts) -> Result<Self> {
        // who looks as a customer is refused anything else
        parts.method = Method::GET;
        let user = User::from_request_parts(&mut parts, app).await?;
        let look = Look::from_request_parts(&mut parts, app).await?;
        let session = auth::session(&mut parts, app).await?;
        look.frame(&mut app.db(&user).await?, &user, &session).await
    }
}
