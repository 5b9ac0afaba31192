//! Which address a request comes from.
//!
//! Anybody can write `X-Forwarded-For`; only what a trusted proxy appended is known to be true. So the hops are
//! walked from the right, from our peer outwards, as long as each is trusted; the first that is not is the client.
//! The left-most entry, which most libraries take, is the one that the client itself wrote.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use ipnet::IpNet;

/// Hops looked at; a longer chain is somebody's joke.
const MOST_HOPS: usize = 32;

/// The client's address: the peer's, or what trusted proxies say of it.
///
/// A proxy writes `X-Forwarded-For` or `Forwarded` (RFC 7239) and lets the other one pass, so of two that disagree
/// one is the client's own; then neither is believed.
#[must_use]
pub fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let forwarded = hops(headers, header::FORWARDED.as_str(), forwarded_for);
    let x_forwarded_for = hops(headers, "x-forwarded-for", |entry| Some(entry));
    let walks = [forwarded, x_forwarded_for].map(|hops| (!hops.is_empty()).then(|| outermost(peer, hops, trusted)));
    match walks {
        [None, None] => peer,
        [Some(client), None] | [None, Some(client)] => client,
        [Some(one), Some(other)] => {
            if one == other {
                one
            } else {
                peer
            }
        }
    }
}

/// The first hop from the right that is not trusted; an unreadable one ends what is known.
fn outermost(peer: IpAddr, hops: Vec<Option<IpAddr>>, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer;
    for hop in hops.into_iter().rev().take(MOST_HOPS) {
        let Some(address) = hop else { break };
        client = address;
        if !is_trusted(client, trusted) {
            break;
        }
    }
    client
}

/// Is what this address says of its clients believed?
#[must_use]
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|net| net.contains(&address))
}

/// All entries of a header, left to right over all its lines; `None` is one that names no address.
fn hops(headers: &HeaderMap, name: &str, address: impl Fn(&str) -> Option<&str>) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
    lines.flat_map(|line| line.split(',')).map(|entry| parse(address(entry)?)).collect()
}

/// The `for` of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<&str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for")).map(|(_, value)| value)
}

/// An address, in the spellings that proxies use: bare, with port, in brackets, in quotes.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        // one colon is a port; more are an IPv6 address without brackets
        None => text.split_once(':').filter(|(_, port)| !port.contains(':')).map_or(text, |(host, _)| host),
    };
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headers<'a> = &'a [(&'static str, &'a str)];

    fn seen(peer: &str, headers: Headers<'_>) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap());
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let mut map = HeaderMap::new();
        headers.for_each(|(name, value): (axum::http::HeaderName, _)| {
            map.append(name, value);
        });
        client_ip(peer.parse().unwrap(), &map, &trusted).to_string()
    }

    #[test]
    fn the_client_is_the_first_hop_from_the_right_that_is_not_trusted() {
        const XFF: &str = "x-forwarded-for";
        const FWD: &str = "forwarded";
        let table: [(&str, Headers<'_>, &str); 19] = [
            ("192.0.2.1", &[], "192.0.2.1"),
            ("192.0.2.1", &[(XFF, "203.0.113.9")], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "6.6.6.6, 203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "6.6.6.6, 203.0.113.9, 10.0.0.2")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "6.6.6.6"), (XFF, "203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "203.0.113.9:4711")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "6.6.6.6, nonsense, 10.0.0.2")], "10.0.0.2"),
            ("10.0.0.1", &[(XFF, "")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("10.0.0.1", &[(XFF, "2001:db8::7")], "2001:db8::7"),
            ("10.0.0.1", &[(XFF, "[2001:db8::7]:99")], "2001:db8::7"),
            ("::ffff:10.0.0.1", &[(XFF, "::ffff:203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(FWD, "for=6.6.6.6, For=\"[2001:db8::7]:99\";proto=https")], "2001:db8::7"),
            ("10.0.0.1", &[(FWD, "proto=http;for=203.0.113.9;by=10.0.0.1")], "203.0.113.9"),
            ("10.0.0.1", &[(FWD, "for=_hidden")], "10.0.0.1"),
            ("fd00::1", &[(FWD, "for=203.0.113.9"), (XFF, "6.6.6.6")], "fd00::1"),
            ("fd00::1", &[(FWD, "for=203.0.113.9"), (XFF, "203.0.113.9")], "203.0.113.9"),
        ];
        for (peer, headers, expected) in table {
            assert_eq!(seen(peer, headers), expected, "{peer} {headers:?}");
        }
    }
}
