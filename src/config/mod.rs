//! Every setting: a flag, a `PROMMGR_*` twin in the environment, and a `*_FILE` twin of that which
//! names a file that holds the value. Read once and checked at start; an error names its setting.

mod check;
mod sso;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use sha2::{Digest, Sha256};
use url::Url;

pub use self::check::{Invalid, is_label_name};
use self::check::{
    days, default_data_dir, default_public_url, given, http_url, label, networks, number, proxies, tokens,
    urls, vault, without_path,
};
pub use self::sso::{Given, Gives, Grant, Sso};
use crate::vault::Vault;

/// The settings as they were given, unchecked. Flags win over the environment.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Settings {
    /// PostgreSQL to use, as postgres://user:password@host/database?sslmode=verify-full. Without it prommgr runs one of its own
    #[arg(long, env = "DATABASE_URL", global = true, hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Address and port to serve on [default: 127.0.0.1:8080]
    #[arg(long, env = "PROMMGR_LISTEN", global = true, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Folder of prommgr's own state [default: /var/lib/prommgr for root, else ~/.local/share/prommgr]
    #[arg(long, env = "PROMMGR_DATA_DIR", global = true, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Folder that Prometheus reads targets/ and rules/ from [default: prom]
    #[arg(long, env = "PROMMGR_PROM_DIR", global = true, value_name = "DIR")]
    pub prom_dir: Option<String>,
    /// Prometheus, one or more, separated by commas [default: http://127.0.0.1:9090]
    #[arg(long, env = "PROMMGR_PROMETHEUS_URL", global = true, hide_env_values = true, value_name = "URLS")]
    pub prometheus_url: Option<String>,
    /// Alertmanager, one or more, separated by commas [default: http://127.0.0.1:9093]
    #[arg(
        long,
        env = "PROMMGR_ALERTMANAGER_URL",
        global = true,
        hide_env_values = true,
        value_name = "URLS"
    )]
    pub alertmanager_url: Option<String>,
    /// What Alertmanager's webhook must present; two, separated by a comma, while it is rotated
    #[arg(long, env = "PROMMGR_WEBHOOK_TOKEN", global = true, hide_env_values = true, value_name = "TOKEN")]
    pub webhook_token: Option<String>,
    /// What secrets in the database are sealed with, 32 random characters or more; several, separated by commas, while it is rotated
    #[arg(long, env = "PROMMGR_SECRET_KEY", global = true, hide_env_values = true, value_name = "KEY")]
    pub secret_key: Option<String>,
    /// Where people reach prommgr, for links and cookies [default: http://LISTEN]
    #[arg(long, env = "PROMMGR_PUBLIC_URL", global = true, value_name = "URL")]
    pub public_url: Option<String>,
    /// Networks of proxies that may say, by X-Forwarded-For, where a request comes from, separated by commas [default: none]
    #[arg(long, env = "PROMMGR_TRUSTED_PROXIES", global = true, value_name = "CIDRS")]
    pub trusted_proxies: Option<String>,
    /// Label that carries an owner's external id [default: cloudnet_owner_id]
    #[arg(long, env = "PROMMGR_OWNER_LABEL", global = true, value_name = "NAME")]
    pub owner_label: Option<String>,
    /// Label that carries a server's external id [default: cloudnet_server_id]
    #[arg(long, env = "PROMMGR_SERVER_LABEL", global = true, value_name = "NAME")]
    pub server_label: Option<String>,
    /// Networks that customers' servers must lie in, separated by commas [default: any but loopback, link-local, multicast and metadata addresses]
    #[arg(long, env = "PROMMGR_CUSTOMER_NETWORKS", global = true, value_name = "CIDRS")]
    pub customer_networks: Option<String>,
    /// OpenID Connect provider that people may log in with, exactly as it names itself [default: none]
    #[arg(long, env = "PROMMGR_SSO_ISSUER", global = true, value_name = "URL")]
    pub sso_issuer: Option<String>,
    /// What the provider knows prommgr as
    #[arg(long, env = "PROMMGR_SSO_CLIENT_ID", global = true, value_name = "ID")]
    pub sso_client_id: Option<String>,
    /// What prommgr shows to the provider; none for a public client
    #[arg(
        long,
        env = "PROMMGR_SSO_CLIENT_SECRET",
        global = true,
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub sso_client_secret: Option<String>,
    /// What the provider is asked for, separated by blanks [default: openid profile email]
    #[arg(long, env = "PROMMGR_SSO_SCOPES", global = true, value_name = "SCOPES")]
    pub sso_scopes: Option<String>,
    /// Claim that lists a person's groups [default: groups]
    #[arg(long, env = "PROMMGR_SSO_GROUPS_CLAIM", global = true, value_name = "NAME")]
    pub sso_groups_claim: Option<String>,
    /// What groups give, as admins=admin,ops=manager:11,support=viewer:11 with external ids of owners
    #[arg(long, env = "PROMMGR_SSO_ROLES", global = true, value_name = "GRANTS")]
    pub sso_roles: Option<String>,
    /// What people call the provider [default: single sign-on]
    #[arg(long, env = "PROMMGR_SSO_NAME", global = true, value_name = "NAME")]
    pub sso_name: Option<String>,
    /// Days for which alerts are kept after their end, where an owner has no number of its own; 0: for ever [default: 400]
    #[arg(long, env = "PROMMGR_HISTORY_DAYS", global = true, value_name = "DAYS")]
    pub history_days: Option<String>,
    /// Requests a minute that one API token may make to one instance, a quarter of them at once; 0: no limit [default: 1200]
    #[arg(long, env = "PROMMGR_API_REQUESTS_PER_MINUTE", global = true, value_name = "N")]
    pub api_requests_per_minute: Option<String>,
    /// Connections to PostgreSQL at the most [default: 16]
    #[arg(long, env = "PROMMGR_DATABASE_CONNECTIONS", global = true, value_name = "N")]
    pub database_connections: Option<String>,
    /// Connections of clients at the same time at the most [default: 1024]
    #[arg(long, env = "PROMMGR_MAX_CONNECTIONS", global = true, value_name = "N")]
    pub max_connections: Option<String>,
    /// What is logged, as info or prommgr=debug,warn [default: info]
    #[arg(long, env = "PROMMGR_LOG", global = true, value_name = "FILTER")]
    pub log: Option<String>,
    /// How it is logged: text or json [default: text]
    #[arg(long, env = "PROMMGR_LOG_FORMAT", global = true, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

/// Every setting's name in the environment and its flag.
pub const NAMES: [(&str, &str); 26] = [
    ("DATABASE_URL", "--database-url"),
    ("PROMMGR_LISTEN", "--listen"),
    ("PROMMGR_DATA_DIR", "--data-dir"),
    ("PROMMGR_PROM_DIR", "--prom-dir"),
    ("PROMMGR_PROMETHEUS_URL", "--prometheus-url"),
    ("PROMMGR_ALERTMANAGER_URL", "--alertmanager-url"),
    ("PROMMGR_WEBHOOK_TOKEN", "--webhook-token"),
    ("PROMMGR_SECRET_KEY", "--secret-key"),
    ("PROMMGR_PUBLIC_URL", "--public-url"),
    ("PROMMGR_TRUSTED_PROXIES", "--trusted-proxies"),
    ("PROMMGR_OWNER_LABEL", "--owner-label"),
    ("PROMMGR_SERVER_LABEL", "--server-label"),
    ("PROMMGR_CUSTOMER_NETWORKS", "--customer-networks"),
    ("PROMMGR_SSO_ISSUER", "--sso-issuer"),
    ("PROMMGR_SSO_CLIENT_ID", "--sso-client-id"),
    ("PROMMGR_SSO_CLIENT_SECRET", "--sso-client-secret"),
    ("PROMMGR_SSO_SCOPES", "--sso-scopes"),
    ("PROMMGR_SSO_GROUPS_CLAIM", "--sso-groups-claim"),
    ("PROMMGR_SSO_ROLES", "--sso-roles"),
    ("PROMMGR_SSO_NAME", "--sso-name"),
    ("PROMMGR_HISTORY_DAYS", "--history-days"),
    ("PROMMGR_API_REQUESTS_PER_MINUTE", "--api-requests-per-minute"),
    ("PROMMGR_DATABASE_CONNECTIONS", "--database-connections"),
    ("PROMMGR_MAX_CONNECTIONS", "--max-connections"),
    ("PROMMGR_LOG", "--log"),
    ("PROMMGR_LOG_FORMAT", "--log-format"),
];

/// Adds to a command line what the `*_FILE` variables name, as flags that never leave the process.
pub fn with_files(
    mut args: Vec<OsString>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Vec<OsString>, Invalid> {
    let mut invalid = Invalid::default();
    for (name, flag) in NAMES {
        let Some(path) = env(&format!("{name}_FILE")).filter(|path| !path.is_empty()) else {
            continue;
        };
        if env(name).is_some_and(|value| !value.is_empty()) {
            invalid.add(name, format!("is set, and {name}_FILE too; keep one of them"));
        }
        match std::fs::read_to_string(&path) {
            Err(error) => invalid.add(name, format!("{name}_FILE: cannot read {path}: {error}")),
            Ok(value) => {
                let given = args.iter().any(|arg| {
                    let arg = arg.to_string_lossy();
                    arg == flag || arg.starts_with(&format!("{flag}="))
                });
                if !given {
                    args.push(format!("{flag}={}", value.trim_end_matches(['\r', '\n'])).into());
                }
            }
        }
    }
    invalid.into_result(args)
}

/// The settings, checked.
#[derive(Clone)]
pub struct Config {
    /// `None`: a PostgreSQL of our own under [`Self::data_dir`].
    pub database_url: Option<String>,
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub prom_dir: PathBuf,
    pub prometheus: Vec<Url>,
    pub alertmanager: Vec<Url>,
    /// SHA-256 of each token that the webhook takes.
    pub webhook_tokens: Vec<[u8; 32]>,
    /// What keeps secrets in the database; without a key it keeps none.
    pub vault: Vault,
    pub public_url: Url,
    /// Empty: nobody may say where a request comes from but the connection itself.
    pub trusted_proxies: Vec<IpNet>,
    pub owner_label: String,
    pub server_label: String,
    /// Empty: every network but the special ones.
    pub customer_networks: Vec<IpNet>,
    /// `None`: people log in with a password only.
    pub sso: Option<Sso>,
    /// Days for which an owner's alerts are kept that has no number of its own; 0: for ever.
    pub history_days: i32,
    /// Of one token to one instance; 0: no limit.
    pub api_requests_per_minute: u32,
    pub database_connections: usize,
    pub max_connections: usize,
    pub log: String,
    pub log_json: bool,
}

impl Config {
    /// Checks every setting; the error lists all that are wrong.
    pub fn check(settings: &Settings) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        let listen_text = given(&settings.listen).unwrap_or("127.0.0.1:8080");
        let listen = listen_text.parse().unwrap_or_else(|_| {
            invalid.add(
                "PROMMGR_LISTEN",
                format!("`{listen_text}` is not an address and port such as 127.0.0.1:8080"),
            );
            SocketAddr::from(([127, 0, 0, 1], 8080))
        });
        let fallback = default_public_url(listen);
        let public_url = match given(&settings.public_url) {
            None => fallback,
            Some(text) => http_url(text).and_then(without_path).unwrap_or_else(|why| {
                invalid.add("PROMMGR_PUBLIC_URL", why);
                fallback
            }),
        };
        if let Some(url) = given(&settings.database_url)
            && let Err(why) = crate::store::check_url(url)
        {
            invalid.add("DATABASE_URL", why);
        }
        let log = given(&settings.log).unwrap_or("info").to_owned();
        if let Err(error) = log.parse::<tracing_subscriber::filter::Targets>() {
            invalid.add("PROMMGR_LOG", error);
        }
        let log_json = match given(&settings.log_format) {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => {
                invalid.add("PROMMGR_LOG_FORMAT", format!("`{other}` is neither text nor json"));
                false
            }
        };
        let owner_label =
            label(&settings.owner_label, "cloudnet_owner_id", "PROMMGR_OWNER_LABEL", &mut invalid);
        let server_label =
            label(&settings.server_label, "cloudnet_server_id", "PROMMGR_SERVER_LABEL", &mut invalid);
        if owner_label == server_label {
            invalid.add("PROMMGR_SERVER_LABEL", "is the same as PROMMGR_OWNER_LABEL");
        }
        let config = Self {
            database_url: given(&settings.database_url).map(str::to_owned),
            listen,
            data_dir: given(&settings.data_dir).map_or_else(default_data_dir, PathBuf::from),
            prom_dir: given(&settings.prom_dir).unwrap_or("prom").into(),
            prometheus: urls(
                &settings.prometheus_url,
                "http://127.0.0.1:9090",
                "PROMMGR_PROMETHEUS_URL",
                &mut invalid,
            ),
            alertmanager: urls(
                &settings.alertmanager_url,
                "http://127.0.0.1:9093",
                "PROMMGR_ALERTMANAGER_URL",
                &mut invalid,
            ),
            webhook_tokens: tokens(&settings.webhook_token, &mut invalid),
            vault: vault(&settings.secret_key, &mut invalid),
            public_url,
            trusted_proxies: proxies(&settings.trusted_proxies, "PROMMGR_TRUSTED_PROXIES", &mut invalid),
            owner_label,
            server_label,
            customer_networks: networks(
                &settings.customer_networks,
                "PROMMGR_CUSTOMER_NETWORKS",
                &mut invalid,
            ),
            sso: sso::sso(settings, &mut invalid),
            history_days: days(&settings.history_days, "PROMMGR_HISTORY_DAYS", &mut invalid),
            api_requests_per_minute: number(
                &settings.api_requests_per_minute,
                1200,
                0,
                "PROMMGR_API_REQUESTS_PER_MINUTE",
                &mut invalid,
            )
            .try_into()
            .unwrap_or(u32::MAX),
            database_connections: number(
                &settings.database_connections,
                16,
                2,
                "PROMMGR_DATABASE_CONNECTIONS",
                &mut invalid,
            ),
            max_connections: number(
                &settings.max_connections,
                1024,
                1,
                "PROMMGR_MAX_CONNECTIONS",
                &mut invalid,
            ),
            log,
            log_json,
        };
        invalid.into_result(config)
    }

    /// Takes one more webhook token, made by the program itself.
    pub fn add_webhook_token(&mut self, token: &str) {
        self.webhook_tokens.push(Sha256::digest(token).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_setting_is_named() {
        let settings = Settings {
            listen: Some("here".into()),
            prometheus_url: Some("ftp://x, http://ok:9090".into()),
            webhook_token: Some("short".into()),
            secret_key: Some("no passphrase will do".into()),
            owner_label: Some("job".into()),
            customer_networks: Some("10.0.0.0/99".into()),
            trusted_proxies: Some("10.0.0.1, 0.0.0.0/0".into()),
            history_days: Some("-1".into()),
            database_connections: Some("1".into()),
            database_url: Some("mysql://x".into()),
            log_format: Some("xml".into()),
            ..Settings::default()
        };
        let Err(invalid) = Config::check(&settings) else { panic!("accepted") };
        let text = invalid.to_string();
        for name in [
            "PROMMGR_LISTEN",
            "PROMMGR_PROMETHEUS_URL",
            "PROMMGR_WEBHOOK_TOKEN",
            "PROMMGR_SECRET_KEY",
            "PROMMGR_OWNER_LABEL",
            "PROMMGR_CUSTOMER_NETWORKS",
            "PROMMGR_TRUSTED_PROXIES",
            "PROMMGR_HISTORY_DAYS",
            "PROMMGR_DATABASE_CONNECTIONS",
            "DATABASE_URL",
            "PROMMGR_LOG_FORMAT",
        ] {
            assert!(text.lines().any(|line| line.starts_with(name)), "{name} is not named in:\n{text}");
        }
    }

    #[test]
    fn a_file_gives_the_value_and_flags_win() {
        let dir = std::env::temp_dir().join(format!("prommgr-config-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("token"), "secret-secret-secret\n").unwrap();
        let path = dir.join("token").to_str().unwrap().to_owned();
        let env = |name: &str| (name == "PROMMGR_WEBHOOK_TOKEN_FILE").then(|| path.clone());
        let args = with_files(vec!["prommgr".into(), "serve".into()], env).unwrap();
        assert_eq!(args[2], "--webhook-token=secret-secret-secret");
        let args = with_files(vec!["prommgr".into(), "--webhook-token=mine".into()], env).unwrap();
        assert_eq!(args.len(), 2);
        let both = |name: &str| name.starts_with("PROMMGR_WEBHOOK_TOKEN").then(|| path.clone());
        assert!(with_files(Vec::new(), both).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
