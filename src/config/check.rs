//! The check of each kind of setting, and what is said of those that cannot be used.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use sha2::{Digest, Sha256};
use url::Url;

use crate::vault::Vault;

/// Settings that cannot be used, a line each, each beginning with the setting's name.
#[derive(Debug, Default, thiserror::Error)]
pub struct Invalid(Vec<String>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Invalid {
    pub(super) fn add(&mut self, name: &str, what: impl fmt::Display) {
        self.0.push(format!("{name}: {what}"));
    }

    pub(super) fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

/// Set, and not to nothing (compose files pass empty variables).
pub(super) fn given(setting: &Option<String>) -> Option<&str> {
    setting.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

pub(super) fn default_data_dir() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    // root's home is closed to the user that PostgreSQL has to run as
    if home.as_os_str() == "/root" || home.as_os_str().is_empty() {
        return "/var/lib/prommgr".into();
    }
    std::env::var_os("XDG_DATA_HOME")
        .filter(|dir| !dir.is_empty())
        .map_or_else(|| home.join(".local/share"), PathBuf::from)
        .join("prommgr")
}

pub(super) fn default_public_url(listen: SocketAddr) -> Url {
    let host = if listen.ip().is_unspecified() {
        format!("127.0.0.1:{}", listen.port())
    } else {
        listen.to_string()
    };
    Url::parse(&format!("http://{host}/"))
        .unwrap_or_else(|_| unreachable!("a socket address is a host and port"))
}

pub(super) fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("{error}; a URL such as http://127.0.0.1:9090 is needed"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("only http:// and https:// URLs can be used".into());
    }
    Ok(url)
}

pub(super) fn without_path(url: Url) -> Result<Url, String> {
    if url.path() != "/" || url.query().is_some() {
        return Err("a path cannot be used; give prommgr a host name of its own".into());
    }
    Ok(url)
}

pub(super) fn urls(setting: &Option<String>, default: &str, name: &str, invalid: &mut Invalid) -> Vec<Url> {
    let mut urls = Vec::new();
    for text in given(setting).unwrap_or(default).split(',').map(str::trim).filter(|text| !text.is_empty()) {
        match http_url(text) {
            Ok(url) => urls.push(url),
            Err(why) => invalid.add(name, why),
        }
    }
    urls
}

pub(super) fn label(setting: &Option<String>, default: &str, name: &str, invalid: &mut Invalid) -> String {
    let label = given(setting).unwrap_or(default);
    if !is_label_name(label)
        || label.starts_with("__")
        || matches!(label, "job" | "instance" | "alertname" | "severity")
    {
        invalid.add(name, format!("`{label}` cannot be used as a label name of our own"));
    }
    label.to_owned()
}

/// Whether Prometheus 2 takes this as a label name (`[a-zA-Z_][a-zA-Z0-9_]*`).
pub fn is_label_name(text: &str) -> bool {
    text.chars().next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

pub(super) fn tokens(setting: &Option<String>, invalid: &mut Invalid) -> Vec<[u8; 32]> {
    let tokens: Vec<_> =
        given(setting).unwrap_or("").split(',').map(str::trim).filter(|token| !token.is_empty()).collect();
    if tokens.len() > 2 {
        invalid.add("PROMMGR_WEBHOOK_TOKEN", "two tokens at the most, the old one and the new one");
    }
    if tokens.iter().any(|token| token.len() < 16) {
        invalid.add(
            "PROMMGR_WEBHOOK_TOKEN",
            "a token needs 16 characters or more (openssl rand -hex 24 makes a good one)",
        );
    }
    tokens.iter().map(|token| Sha256::digest(token).into()).collect()
}

pub(super) fn vault(setting: &Option<String>, invalid: &mut Invalid) -> Vault {
    let keys: Vec<_> =
        given(setting).unwrap_or("").split(',').map(str::trim).filter(|key| !key.is_empty()).collect();
    if keys.iter().any(|key| key.len() < 32) {
        invalid.add(
            "PROMMGR_SECRET_KEY",
            "a key needs 32 random characters or more (openssl rand -hex 24 makes a good one)",
        );
    }
    Vault::new(keys).unwrap_or_else(|why| {
        invalid.add("PROMMGR_SECRET_KEY", why);
        Vault::default()
    })
}

/// Networks by commas; an address alone is a network of one.
pub(super) fn networks(setting: &Option<String>, name: &str, invalid: &mut Invalid) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for text in given(setting).unwrap_or("").split(',').map(str::trim).filter(|text| !text.is_empty()) {
        match text.parse().or_else(|_| text.parse().map(|ip: IpAddr| ip.into())) {
            Ok(network) => networks.push(network),
            Err(_) => invalid.add(name, format!("`{text}` is not a network such as 203.0.113.0/24")),
        }
    }
    networks
}

/// Networks of proxies; all the world cannot be one, as then everybody could say where they come from.
pub(super) fn proxies(setting: &Option<String>, name: &str, invalid: &mut Invalid) -> Vec<IpNet> {
    let networks = networks(setting, name, invalid);
    if networks.iter().any(|network| network.prefix_len() == 0) {
        invalid.add(name, "everybody would be a proxy; name the networks that yours are in");
    }
    networks
}

pub(super) fn days(setting: &Option<String>, name: &str, invalid: &mut Invalid) -> i32 {
    let days = given(setting).unwrap_or("400");
    days.parse().ok().filter(|days| (0..=36_500).contains(days)).unwrap_or_else(|| {
        invalid.add(name, format!("`{days}` is not a number of days up to 36500"));
        0
    })
}

pub(super) fn number(
    setting: &Option<String>,
    default: usize,
    least: usize,
    name: &str,
    invalid: &mut Invalid,
) -> usize {
    let Some(text) = given(setting) else {
        return default;
    };
    match text.parse() {
        Ok(number) if number >= least => number,
        _ => {
            invalid.add(name, format!("`{text}` is not a number from {least} on"));
            default
        }
    }
}
