//! What the provider says of itself, asked when it is first needed and kept for a while; and how it is
//! asked: no redirects, a limit of time, a limit of size.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openidconnect::core::CoreProviderMetadata;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse, IssuerUrl};
use tokio::sync::Mutex;

use super::{DOWN, Failure, ODD};

/// How long the provider may take for an answer.
const ASK_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The largest answer that is read, bytes.
const ANSWER_LIMIT: usize = 1 << 20;
/// How long what it says is good for; a key that is not known is asked for at once.
const GOOD_FOR: Duration = Duration::from_secs(3600);
/// A provider that did not answer is left alone for so long, so that not everybody waits for it.
const LEFT_ALONE: Duration = Duration::from_secs(3);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silence {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("the answer is longer than {ANSWER_LIMIT} bytes")]
    TooLong,
    #[error("{0}")]
    Nonsense(#[from] openidconnect::http::Error),
}

/// What the provider is asked with; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Http(reqwest::Client);

/// What is known of the provider.
#[derive(Debug)]
pub(super) struct Discovery {
    issuer: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    http: Option<Http>,
    found: Option<(Instant, Arc<Found>)>,
    failed: Option<(Instant, Failure)>,
}

/// The provider's own words, and what it is asked with.
#[derive(Debug)]
pub(super) struct Found {
    pub http: Http,
    pub metadata: CoreProviderMetadata,
}

impl Discovery {
    /// Asks nothing yet.
    pub(super) fn new(issuer: &str) -> Self {
        Self { issuer: issuer.to_owned(), known: Mutex::default() }
    }

    /// What the provider says of itself.
    pub(super) async fn found(&self) -> Result<Arc<Found>, Failure> {
        self.newer_than(None).await
    }

    /// As [`Self::found`], but anew when it still is what was `seen`: a key is not in it.
    pub(super) async fn newer_than(&self, seen: Option<&Arc<Found>>) -> Result<Arc<Found>, Failure> {
        // whoever comes while it is asked waits here, and finds what was found
        let mut known = self.known.lock().await;
        if let Some((at, found)) = &known.found
            && at.elapsed() < GOOD_FOR
            && seen.is_none_or(|seen| !Arc::ptr_eq(seen, found))
        {
            return Ok(found.clone());
        }
        if let Some((at, failure)) = &known.failed
            && at.elapsed() < LEFT_ALONE
        {
            return Err(failure.clone());
        }
        match self.ask(&mut known).await {
            Ok(found) => {
                let found = Arc::new(found);
                known.found = Some((Instant::now(), found.clone()));
                known.failed = None;
                Ok(found)
            }
            Err(failure) => {
                known.failed = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    async fn ask(&self, known: &mut Known) -> Result<Found, Failure> {
        let http = match &known.http {
            Some(http) => http.clone(),
            None => known.http.insert(Http::new(&self.issuer).map_err(|error| down(&error))?).clone(),
        };
        let issuer = IssuerUrl::new(self.issuer.clone()).map_err(|error| odd(&error))?;
        let metadata =
            CoreProviderMetadata::discover_async(issuer, &http).await.map_err(|error| match &error {
                openidconnect::DiscoveryError::Request(silence) => down(silence),
                other => odd(other),
            })?;
        Ok(Found { http, metadata })
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = Silence;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Silence>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

impl Http {
    /// Built late: without certificates to trust on this machine it cannot be, and prommgr is to start.
    fn new(issuer: &str) -> Result<Self, reqwest::Error> {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(ASK_LIMIT)
            // where the provider's answers lead, we do not go
            .redirect(reqwest::redirect::Policy::none());
        let builder = if issuer.starts_with("https:") {
            builder.https_only(true)
        } else {
            // on this machine, as the settings are checked
            builder.no_proxy().tls_certs_only([])
        };
        builder.build().map(Self)
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Silence> {
        let mut response = self.0.execute(request.try_into()?).await?;
        let mut answer = openidconnect::http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.clone_from(response.headers());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > ANSWER_LIMIT {
                return Err(Silence::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(answer.body(body)?)
    }
}

/// It does not answer.
pub(super) fn down(error: &(dyn std::error::Error + 'static)) -> Failure {
    tracing::warn!(error = with_causes(error), "the single sign-on does not answer");
    Failure::Unavailable(DOWN)
}

/// It answers, but not as it should; what it says of itself is no secret.
pub(super) fn odd(error: &(dyn std::error::Error + 'static)) -> Failure {
    tracing::warn!(error = with_causes(error), "the single sign-on's answer cannot be used");
    Failure::Unavailable(ODD)
}

/// As [`odd`], where the answer is about a person: causes may quote it, so they are for debugging only.
pub(super) fn odd_about_somebody(error: &(dyn std::error::Error + 'static)) -> Failure {
    tracing::warn!(%error, "the single sign-on's answer cannot be used");
    tracing::debug!(error = with_causes(error), "the single sign-on's answer cannot be used");
    Failure::Unavailable(ODD)
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // some repeat their cause
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
