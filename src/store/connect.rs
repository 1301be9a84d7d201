//! How a connection is made: what the URL says, TLS when it asks for it, limits of time.

use std::time::Duration;

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};

/// A request that was given up leaves its statement running; this ends it.
const SESSION_SETUP: &str = "set statement_timeout = '30s'; set idle_in_transaction_session_timeout = '60s'; \
    set lock_timeout = '10s'; set timezone = 'UTC'";

/// Checks a `DATABASE_URL` without connecting; the message is for people.
pub fn check_url(url: &str) -> Result<(), String> {
    Target::parse(url).map(|_| ())
}

/// Where to connect, and how: tokio-postgres refuses `verify-*` and `sslrootcert`, so they are taken out first.
struct Target {
    config: tokio_postgres::Config,
    tls: bool,
    root: Option<String>,
}

impl Target {
    fn parse(text: &str) -> Result<Self, String> {
        let (mut tls, mut root) = (false, None);
        let mut plain = text.to_owned();
        if let Ok(mut url) = url::Url::parse(text) {
            if !matches!(url.scheme(), "postgres" | "postgresql") {
                return Err(format!("`{}://` is not postgres://", url.scheme()));
            }
            let mut rest = Vec::new();
            for (key, value) in url.query_pairs() {
                match (key.as_ref(), value.as_ref()) {
                    // libpq's "prefer" never verifies whom it talks to; we speak TLS when it is asked for
                    ("sslmode", "disable" | "allow" | "prefer") => {}
                    ("sslmode", "require" | "verify-ca" | "verify-full") => tls = true,
                    ("sslmode", other) => return Err(format!("sslmode={other} is not known")),
                    ("sslrootcert", path) => root = (path != "system").then(|| path.to_owned()),
                    _ => rest.push((key.into_owned(), value.into_owned())),
                }
            }
            if url.query_pairs().any(|(key, _)| matches!(key.as_ref(), "sslmode" | "sslrootcert")) {
                url.set_query(None);
                if !rest.is_empty() {
                    url.query_pairs_mut().extend_pairs(rest);
                }
                plain = url.into();
            }
        }
        let mut config: tokio_postgres::Config = plain.parse().map_err(|error| {
            format!("{error}; a URL such as postgres://user:password@host/database is needed")
        })?;
        config.ssl_mode(if tls {
            tokio_postgres::config::SslMode::Require
        } else {
            tokio_postgres::config::SslMode::Disable
        });
        if config.get_application_name().is_none() {
            config.application_name("prommgr");
        }
        config.connect_timeout(Duration::from_secs(5));
        // a server that vanished without a word is noticed
        config.keepalives_idle(Duration::from_secs(30)).tcp_user_timeout(Duration::from_secs(30));
        Ok(Self { config, tls, root })
    }
}

pub(super) async fn connect(url: &str) -> ConnectionResult<AsyncPgConnection> {
    let bad = |error: String| ConnectionError::BadConnection(error);
    let target = Target::parse(url).map_err(bad)?;
    let mut conn = if target.tls {
        let tls = tls_config(target.root.as_deref()).map_err(bad)?;
        let connector = tokio_postgres_rustls::MakeRustlsConnect::new(tls);
        let (client, connection) =
            target.config.connect(connector).await.map_err(|error| bad(explain(&error)))?;
        AsyncPgConnection::try_from_client_and_connection(client, connection).await?
    } else {
        let (client, connection) =
            target.config.connect(tokio_postgres::NoTls).await.map_err(|error| bad(explain(&error)))?;
        AsyncPgConnection::try_from_client_and_connection(client, connection).await?
    };
    conn.batch_execute(SESSION_SETUP).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}

/// A connection for the pool. Over months of partitions a plan takes longer to make than to follow, so it is made
/// once a connection; a statement that is right for some values only does not belong among the reads.
pub(super) async fn pooled(url: &str) -> ConnectionResult<AsyncPgConnection> {
    let mut conn = connect(url).await?;
    let generic = conn.batch_execute("set plan_cache_mode = force_generic_plan").await;
    generic.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}

/// tokio-postgres prints only the outermost error.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        if !text.contains(&inner.to_string()) {
            text = format!("{text}: {inner}");
        }
        source = inner.source();
    }
    text
}

/// Verifies the server against `root` (PEM), or against what the system trusts.
fn tls_config(root: Option<&str>) -> Result<rustls::ClientConfig, String> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    use rustls_platform_verifier::ConfigVerifierExt;
    let Some(path) = root else {
        return rustls::ClientConfig::with_platform_verifier().map_err(|error| error.to_string());
    };
    let mut roots = rustls::RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| format!("sslrootcert {path}: {error}"))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| format!("sslrootcert {path}: {error}"))?;
        roots.add(certificate).map_err(|error| format!("sslrootcert {path}: {error}"))?;
    }
    Ok(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}
