//! Who is at the other end: the address that a request comes from, also behind proxies that are
//! trusted to say it.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Once;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::{FORWARDED, VIA};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::app::App;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The other end of a request's connection. [`crate::server`] puts it into each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Where a request comes from: the peer or, where that is a trusted proxy, the client that it names.
/// `None` for a request that came over no socket, as in tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

impl ClientAddress {
    /// Reads it from a request's head.
    pub fn of(parts: &Parts, trusted: &[IpNet]) -> Self {
        let peer = parts.extensions.get::<Peer>().map(|Peer(peer)| peer.to_canonical());
        Self(peer.map(|peer| client(peer, &parts.headers, trusted)))
    }
}

impl<S> FromRequestParts<S> for ClientAddress
where
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts, &App::from_ref(state).config().trusted_proxies))
    }
}

/// Whether a proxy says that it asks for somebody else.
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED_FOR) || headers.contains_key(FORWARDED) || headers.contains_key(VIA)
}

/// The rightmost address of `X-Forwarded-For` that is no trusted proxy: each proxy adds its peer at the
/// right, so what stands left of that address is what the client itself wrote. Where all are
/// trusted it is the leftmost, and where one cannot be read the peer.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|network| network.contains(ip));
    if !is_trusted(&peer) {
        if headers.contains_key(FORWARDED_FOR) {
            hint(peer);
        }
        return peer;
    }
    // several lines are one list
    let lines = headers.get_all(FORWARDED_FOR).into_iter().map(|line| line.to_str().unwrap_or("?"));
    let hops: Vec<_> = lines.flat_map(|line| line.split(',')).map(read).collect();
    let mut nearest = peer;
    for hop in hops.into_iter().rev() {
        let Some(ip) = hop else {
            return peer;
        };
        nearest = ip;
        if !is_trusted(&ip) {
            break;
        }
    }
    nearest
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn read(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse().ok().or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()));
    ip.map(|ip: IpAddr| ip.to_canonical())
}

/// Says once what is most likely missing where a proxy beside us is not trusted: everybody comes from
/// its address then, and shares the limits of one.
fn hint(peer: IpAddr) {
    static SAID: Once = Once::new();
    let near = match peer {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    };
    if near {
        SAID.call_once(|| {
            tracing::warn!(
                %peer,
                "X-Forwarded-For is ignored, as its sender is not in PROMMGR_TRUSTED_PROXIES; if that is your proxy, name it there"
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, lines: &[&str]) -> String {
        let trusted: Vec<IpNet> =
            ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"].iter().map(|net| net.parse().unwrap()).collect();
        let mut request = axum::http::Request::get("/").extension(Peer(peer.parse().unwrap()));
        for line in lines {
            request = request.header(FORWARDED_FOR, line.as_bytes());
        }
        let parts = request.body(()).unwrap().into_parts().0;
        ClientAddress::of(&parts, &trusted).0.unwrap().to_string()
    }

    #[test]
    fn a_trusted_proxy_says_who_it_is_and_nobody_else_does() {
        for (peer, lines, client) in [
            ("203.0.113.9", &[][..], "203.0.113.9"),
            // anybody can write the header
            ("203.0.113.9", &["198.51.100.7"], "203.0.113.9"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            // what the client wrote itself stands on the left
            ("127.0.0.1", &["1.1.1.1, 10.9.9.9, 198.51.100.7"], "198.51.100.7"),
            ("127.0.0.1", &["nonsense, 198.51.100.7"], "198.51.100.7"),
            // several proxies, and a header on several lines
            ("127.0.0.1", &["1.1.1.1, 198.51.100.7, 10.0.0.3"], "198.51.100.7"),
            ("127.0.0.1", &["1.1.1.1", "198.51.100.7,10.0.0.3", "10.0.0.4"], "198.51.100.7"),
            ("127.0.0.1", &["10.0.0.8, 10.0.0.3"], "10.0.0.8"),
            // in whatever form
            ("::ffff:127.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7"),
            ("::ffff:203.0.113.9", &["198.51.100.7"], "203.0.113.9"),
            ("fd00::1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("fd00::1", &["[2001:db8::7]"], "2001:db8::7"),
            ("fd00::1", &["2001:DB8::7"], "2001:db8::7"),
            ("127.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            // garbage
            ("127.0.0.1", &[""], "127.0.0.1"),
            ("127.0.0.1", &["unknown"], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.7, "], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.7, 300.1.1.1"], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.7, \u{e9}"], "127.0.0.1"),
        ] {
            assert_eq!(seen(peer, lines), client, "{peer} {lines:?}");
        }
    }

    #[test]
    fn without_a_socket_there_is_no_address() {
        let parts = axum::http::Request::get("/").header(FORWARDED_FOR, "198.51.100.7").body(()).unwrap();
        assert_eq!(ClientAddress::of(&parts.into_parts().0, &[]), ClientAddress(None));
    }
}
