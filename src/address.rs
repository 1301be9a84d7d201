//! Addresses of servers: what is one, how it is written, and which ones a customer may name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;

use crate::store::scope::All;

/// How long a DNS name may take to resolve while a customer waits.
const DNS_PATIENCE: Duration = Duration::from_secs(2);

/// Which addresses may be named.
#[derive(Clone, Copy, Debug)]
pub enum Reach<'a> {
    /// Any: for admins.
    Any(All),
    /// For customers: in one of these networks, or where none is given in any but the special ones.
    Networks(&'a [IpNet]),
}

/// An address in canonical form: an IPv4 or IPv6 address, or a DNS name in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Ip(IpAddr),
    Name(String),
}

impl Address {
    /// Reads what a person typed; the message says what an address looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("Give an IPv4 or IPv6 address or a DNS name.".into());
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Self::Ip(ip.to_canonical()));
        }
        if text.contains("://") || text.contains('/') {
            return Err("Only the address, without http:// and without a path.".into());
        }
        if text.contains(':') {
            return Err("This is neither an IPv6 address nor a name. The port has a field of its own.".into());
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let label_ok = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if name.len() > 253 || !name.split('.').all(label_ok) {
            return Err("This is neither an IP address nor a DNS name such as web-1.example.com.".into());
        }
        // "127.1" and "0x7f.1" are names to us but IPv4 addresses to some resolvers
        let last = name.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") {
            return Err("This is not a whole IPv4 address such as 192.0.2.7.".into());
        }
        Ok(Self::Name(name))
    }

    /// Whether `reach` allows it, after DNS for a name. A name that does not resolve is refused: it might
    /// resolve to anything later.
    pub async fn check(&self, reach: Reach<'_>) -> Result<(), String> {
        let Reach::Networks(networks) = reach else {
            return Ok(());
        };
        let refused = |ip: IpAddr| {
            Err(format!(
                "{ip} is outside the networks that customers' servers may be in. Ask whoever runs prommgr."
            ))
        };
        match self {
            Self::Ip(ip) if !allowed(*ip, networks) => refused(*ip),
            Self::Ip(_) => Ok(()),
            Self::Name(name) if name == "localhost" || name.ends_with(".localhost") => {
                refused(Ipv4Addr::LOCALHOST.into())
            }
            Self::Name(name) => {
                let lookup = tokio::net::lookup_host((name.as_str(), 0));
                let Ok(Ok(found)) = tokio::time::timeout(DNS_PATIENCE, lookup).await else {
                    return Err(
                        "This name does not resolve. Put it into DNS first, or give its IP address.".into()
                    );
                };
                match found.map(|socket| socket.ip()).find(|ip| !allowed(*ip, networks)) {
                    Some(ip) => refused(ip),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

fn allowed(ip: IpAddr, networks: &[IpNet]) -> bool {
    let ip = ip.to_canonical();
    if networks.is_empty() { !is_special(ip) } else { networks.iter().any(|network| network.contains(&ip)) }
}

/// Loopback, link-local (cloud metadata lives there), unspecified, multicast and reserved addresses,
/// and the IPv6 forms that carry an IPv4 address (RFC 6052, 3056, 4380).
fn is_special(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.octets()[0] == 0 || ip.octets()[0] >= 240
                // metadata services outside link-local: Alibaba's, Azure's and Oracle's
                || ip == Ipv4Addr::new(100, 100, 100, 200) || ip == Ipv4Addr::new(168, 63, 129, 16)
                || ip.octets()[..3] == [192, 0, 0]
        }
        IpAddr::V6(ip) => {
            let s = ip.segments();
            ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local()
                || s[0] & 0xffc0 == 0xfec0
                || (s[0] == 0x64 && s[1] == 0xff9b) || s[0] == 0x2002 || (s[0] == 0x2001 && s[1] == 0)
                || s[..6] == [0; 6] || s[..6] == [0, 0, 0, 0, 0xffff, 0]
                // metadata services over IPv6: AWS's and Google's
                || ip == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
                || ip == Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_canonical() {
        for (typed, canonical) in [
            ("192.0.2.7", "192.0.2.7"),
            (" 2001:DB8::0001 ", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("Web-1.Example.COM.", "web-1.example.com"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(Address::parse(typed).unwrap().to_string(), canonical, "{typed}");
        }
        for typed in [
            "",
            "http://x",
            "10.0.0.5:9100",
            "127.1",
            "1.2.3",
            "0x7f.0x1",
            "a..b",
            "-x.de",
            "a b",
            "x/y",
            "300.1.1.1",
            "é.de",
        ] {
            assert!(Address::parse(typed).is_err(), "{typed} was accepted");
        }
    }

    #[tokio::test]
    async fn customers_may_not_point_us_at_ourselves() {
        let reach = Reach::Networks(&[]);
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "0.0.0.0",
            "::",
            "169.254.169.254",
            "fe80::1",
            "224.0.0.1",
            "255.255.255.255",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fd00:ec2::254",
            "fd20:ce::254",
            "168.63.129.16",
            "::ffff:0:127.0.0.1",
            "localhost",
            "foo.localhost",
            "does-not-resolve.invalid",
        ] {
            assert!(Address::parse(text).unwrap().check(reach).await.is_err(), "{text} was allowed");
        }
        for text in ["10.0.0.5", "203.0.113.9", "2a01:4f8::1"] {
            assert!(Address::parse(text).unwrap().check(reach).await.is_ok(), "{text} was refused");
        }
        let only = ["203.0.113.0/24".parse().unwrap()];
        assert!(Address::parse("203.0.113.9").unwrap().check(Reach::Networks(&only)).await.is_ok());
        assert!(Address::parse("10.0.0.5").unwrap().check(Reach::Networks(&only)).await.is_err());
    }
}
