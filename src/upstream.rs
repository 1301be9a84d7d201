//! A program that we ask over HTTP, Prometheus or Alertmanager: its address, and what went wrong in words.

use std::fmt;
use std::time::Duration;

use url::Url;

const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const ASK_LIMIT: Duration = Duration::from_secs(10);

/// One of them; cheap to clone.
#[derive(Clone)]
pub struct Upstream {
    pub http: reqwest::Client,
    base: Url,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the password that the base may carry.
        f.debug_tuple("Upstream").field(&self.at().as_str()).finish()
    }
}

impl Upstream {
    /// One below `base`, whose path prefix and user are kept; an answer may take 10 s. Fails, in words, where
    /// TLS finds no root certificates, which `http` does not need.
    pub fn new(base: Url) -> Result<Self, String> {
        // A proxy of the environment is for the way out, and these are within.
        let builder = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(ASK_LIMIT)
            .redirect(reqwest::redirect::Policy::none());
        let builder = match base.scheme() {
            "http" => builder.tls_certs_only([]),
            _ => builder,
        };
        let http = builder.build().map_err(|error| root_cause(&error))?;
        Ok(Self { http, base })
    }

    /// The address to show and log, without user and password.
    pub fn at(&self) -> Url {
        let mut at = self.base.clone();
        // Fails only for addresses without a host, which have no user either.
        let _ = at.set_username("");
        let _ = at.set_password(None);
        at
    }

    /// The URL of a path below the prefix, which begins without a slash.
    pub fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }
}

/// Why a request was not answered, in words.
pub fn failure(error: &reqwest::Error) -> String {
    match error.is_timeout() {
        true => "it does not answer in time".to_owned(),
        false => root_cause(error),
    }
}

/// The innermost error: what the outer ones wrap is what helps.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_kept_and_the_password_not_shown() {
        for base in ["http://u:p%40@host:9090/prefix", "http://u:p%40@host:9090/prefix/"] {
            let upstream = Upstream::new(base.parse().unwrap()).unwrap();
            assert_eq!(upstream.url("api/v1/query").path(), "/prefix/api/v1/query");
            assert_eq!(upstream.url("x").password(), Some("p%40"));
            assert!(!format!("{upstream:?}").contains('@'));
        }
    }
}
