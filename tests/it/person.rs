//! People and their browsers: requests to the whole router, without a socket.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use prommgr::app::App;
use prommgr::peer::Peer;
use prommgr::router::router;
use tower::ServiceExt;

use crate::page::Page;

/// Somebody with a browser of their own.
pub struct Person {
    house: Router,
    jar: Mutex<BTreeMap<String, String>>,
    peer: Option<IpAddr>,
    /// What a program presents.
    token: Option<String>,
}

impl Person {
    /// Somebody who comes to this prommgr for the first time.
    pub fn new(app: &App) -> Self {
        Self { house: router(app.clone()), jar: Mutex::default(), peer: None, token: None }
    }

    /// The same, at the other end of a connection from this address.
    pub fn from(self, address: &str) -> Self {
        Self { peer: Some(address.parse().unwrap()), ..self }
    }

    /// Themselves, presenting a token with every request.
    pub fn with_token(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    /// Sends JSON, as programs do.
    pub async fn call(&self, method: &str, path: &str, json: &str) -> Page {
        let request = Request::builder().method(method).uri(path);
        let body = Body::from(json.to_owned());
        self.send(request.header(header::CONTENT_TYPE, "application/json").body(body).unwrap()).await
    }

    /// The value of a cookie; empty when there is none.
    pub fn cookie(&self, name: &str) -> String {
        self.jar.lock().unwrap().get(name).cloned().unwrap_or_default()
    }

    /// Puts a cookie into the jar.
    pub fn plant(&self, name: &str, value: &str) {
        self.jar.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    /// Opens a page.
    pub async fn get(&self, path: &str) -> Page {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Asks for the part of a page that htmx swaps.
    pub async fn fragment(&self, path: &str) -> Page {
        let request = Request::get(path).header("HX-Request", "true").header("HX-Request-Type", "partial");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Sends a form.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.send(request.header("Sec-Fetch-Site", "same-origin").body(Body::from(body)).unwrap()).await
    }

    /// As [`Self::presses`], by htmx: only the part that is swapped comes back.
    pub async fn presses_for_part(&self, page: &Page, button: &str, fill: &[(&str, &str)]) -> Page {
        let (path, mut form) = page.form_of(button);
        form.retain(|(field, _)| !fill.iter().any(|(name, _)| name == field));
        form.extend(fill.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = request.header("HX-Request", "true").header("HX-Request-Type", "partial");
        self.send(request.header("Sec-Fetch-Site", "same-origin").body(Body::from(body)).unwrap()).await
    }

    /// Hands a file in, in a form's field `file`, with some more fields.
    pub async fn hands_in(&self, path: &str, name: &str, bytes: &[u8], more: &[(&str, &str)]) -> Page {
        let part = |name: &str| format!("--bound\r\nContent-Disposition: form-data; name=\"{name}\"");
        let mut body = format!("{}; filename=\"{name}\"\r\n\r\n", part("file")).into_bytes();
        body.extend_from_slice(bytes);
        for (name, value) in more {
            body.extend(format!("\r\n{}\r\n\r\n{value}", part(name)).into_bytes());
        }
        body.extend(b"\r\n--bound--\r\n");
        let request = Request::post(path).header(header::CONTENT_TYPE, "multipart/form-data; boundary=bound");
        self.send(request.header("Sec-Fetch-Site", "same-origin").body(Body::from(body)).unwrap()).await
    }

    /// Sends a form as the browser does in which it stands on a page of ours, or on another site's by its whole address.
    pub async fn posts_from(&self, page: &str, path: &str, form: &[(&str, &str)]) -> Page {
        let referer =
            if page.starts_with('/') { format!("http://prommgr.test{page}") } else { page.to_owned() };
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.send(request.header(header::REFERER, referer).body(Body::from(body)).unwrap()).await
    }

    /// Sends a form that is accepted, and opens the page it leads to.
    pub async fn does(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let sent = self.post(path, form).await;
        self.get(&sent.leads_to()).await.expect(200)
    }

    /// Presses a button of a page by its accessible name, with some fields of its form filled in.
    pub async fn presses(&self, page: &Page, button: &str, fill: &[(&str, &str)]) -> Page {
        let (path, mut form) = page.form_of(button);
        for (name, value) in fill {
            form.retain(|(field, _)| field != name);
            form.push(((*name).to_owned(), (*value).to_owned()));
        }
        let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(&path, &form).await
    }

    /// Sends any request, with the cookies of this browser.
    pub async fn send(&self, mut request: Request<Body>) -> Page {
        let cookies: Vec<_> =
            self.jar.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request.headers_mut().insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        }
        if let Some(token) = &self.token {
            let bearer = format!("Bearer {token}").parse().unwrap();
            request.headers_mut().insert(header::AUTHORIZATION, bearer);
        }
        request.headers_mut().entry(header::HOST).or_insert("prommgr.test".parse().unwrap());
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(Peer(peer));
        }
        let what = format!("{} {}", request.method(), request.uri());
        let response = self.house.clone().oneshot(request).await.unwrap();
        for line in response.headers().get_all(header::SET_COOKIE) {
            let (name, rest) = line.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if rest.contains("Max-Age=0") {
                self.jar.lock().unwrap().remove(name);
            } else {
                self.plant(name, value);
            }
        }
        Page::read(what, response).await
    }
}
