//! May this be reached? The policy for everything that a stranger's URL leads to.
//!
//! Decides from an address, a port and a name alone: public unicast on the usual ports, and what
//! `HAUL_EGRESS_ALLOW` adds. A name is judged twice, at submit by its spelling and in the worker by what it
//! resolves to ([`EgressPolicy::addresses`]); only the second judgement makes a name safe.
//!
//! Not here: how a URL is read (`source`), who dials what was judged (`worker::guard`).

mod blocks;
mod resolve;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::Host;

pub use blocks::is_public;
pub use resolve::Unreachable;

use crate::source::{SourceUrl, is_within};

/// What may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressPolicy {
    /// Blocks that may be reached although they are not public, on every port.
    pub allow: Vec<IpNet>,
    /// Ports that may be reached in the rest of the world.
    pub ports: Vec<u16>,
}

/// Why something may not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Denied {
    /// The address is not public.
    #[error("leads to an address that this service may not reach")]
    Address,
    /// The name is one of a private network.
    #[error("has a host name that is not public")]
    Name,
    /// The port is none of those that media are served on.
    #[error("has a port that this service may not reach")]
    Port,
}

impl Denied {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Address, Self::Name, Self::Port];

    /// The word of the metric's label.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Name => "name",
            Self::Port => "port",
        }
    }
}

/// Names that stand for this machine (RFC 6761) and names that no public zone has: of multicast DNS (RFC 6762),
/// of private use (ICANN's `internal`; RFC 8375), of clusters.
const LOOPBACK: &str = "localhost";
const PRIVATE: [&str; 5] = ["local", "internal", "home.arpa", "svc", "cluster.local"];

enum NameKind {
    Loopback,
    Private,
    Ordinary,
}

impl EgressPolicy {
    /// Judges a URL as far as its text goes: a literal address, a special name, the port.
    ///
    /// # Errors
    /// Why it may not be reached.
    pub fn judge_url(&self, url: &SourceUrl) -> Result<(), Denied> {
        self.judge_host(url.host(), url.port())
    }

    /// Judges a host as far as its text goes.
    ///
    /// # Errors
    /// Why it may not be reached.
    pub fn judge_host(&self, host: Host<&str>, port: u16) -> Result<(), Denied> {
        match host {
            Host::Ipv4(address) => self.judge_address(address.into(), port),
            Host::Ipv6(address) => self.judge_address(address.into(), port),
            Host::Domain(name) => self.judge_name(name, port),
        }
    }

    /// Judges what is about to be dialled. An IPv4 address in IPv6 clothes is the IPv4 address.
    ///
    /// # Errors
    /// [`Denied::Address`] or [`Denied::Port`].
    pub fn judge_address(&self, address: IpAddr, port: u16) -> Result<(), Denied> {
        if self.allows(address) {
            return Ok(());
        }
        if !is_public(address) {
            return Err(Denied::Address);
        }
        self.judge_port(port)
    }

    /// A special name passes if an allowed block could be behind it, and then on every port as that block does.
    fn judge_name(&self, name: &str, port: u16) -> Result<(), Denied> {
        let reachable = match name_kind(name) {
            NameKind::Loopback => self.allows_loopback(),
            // no such name stands for this machine, so a list of loopback blocks says nothing about it
            NameKind::Private => self.allow.iter().any(|net| !net.addr().is_loopback()),
            NameKind::Ordinary => return self.judge_port(port),
        };
        if reachable { Ok(()) } else { Err(Denied::Name) }
    }

    fn judge_port(&self, port: u16) -> Result<(), Denied> {
        if self.ports.contains(&port) { Ok(()) } else { Err(Denied::Port) }
    }

    fn allows(&self, address: IpAddr) -> bool {
        let canonical = address.to_canonical();
        self.allow.iter().any(|net| net.contains(&address) || net.contains(&canonical))
    }

    fn allows_loopback(&self) -> bool {
        self.allows(Ipv4Addr::LOCALHOST.into()) || self.allows(Ipv6Addr::LOCALHOST.into())
    }
}

/// `name` is lower-case, as URLs have it.
fn name_kind(name: &str) -> NameKind {
    let name = name.trim_end_matches('.');
    if is_within(name, LOOPBACK) {
        NameKind::Loopback
    } else if !name.contains('.') || PRIVATE.into_iter().any(|zone| is_within(name, zone)) {
        NameKind::Private
    } else {
        NameKind::Ordinary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str]) -> EgressPolicy {
        EgressPolicy { allow: allow.iter().map(|net| net.parse().unwrap()).collect(), ports: vec![80, 443, 8080, 8443] }
    }

    fn judge(allow: &[&str], url: &str) -> Result<(), Denied> {
        policy(allow).judge_url(&SourceUrl::read(url).unwrap_or_else(|fault| panic!("{url}: {fault}")))
    }

    #[test]
    fn every_spelling_of_a_private_address_is_denied() {
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://017700000001/",
            "http://127.1/",
            "http://0177.0.0.1/",
            "http://0xA9.0xFE.0xA9.0xFE/",
            "http://①②⑦.⓪.⓪.①/",
            "http://１２７.０.０.１/",
            "http://127。0。0。1/",
            "http://%31%32%37.0.0.1/",
            "http:127.0.0.1/",
            "http:/127.0.0.1/",
            "http:///127.0.0.1/",
            "http:\\\\127.0.0.1\\",
            "http://127.0.0.1\\@example.com/",
            "http://127.0.0.1./",
            "http://0/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::127.0.0.1]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[64:ff9b:1::1]/",
            "http://[2002:7f00:1::]/",
            "http://[fd00:ec2::254]/",
            "http://169.254.169.254/latest/meta-data/",
            "http://168.63.129.16/",
            "http://100.100.100.200/",
            "http://192.0.0.192/",
        ] {
            assert_eq!(judge(&[], url), Err(Denied::Address), "{url}");
        }
    }

    #[test]
    fn names_of_private_networks_are_denied() {
        for url in [
            "http://localhost/",
            "http://LOCALHOST:8080/",
            "http://localhost./",
            "http://a.localhost/",
            "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
            "http://printer.local/",
            "http://metadata.google.internal/",
            "http://nas.home.arpa/",
            "http://redis.default.svc/",
            "http://redis.default.svc.cluster.local/",
            "http://redis/",
            "http://intranet./",
        ] {
            assert_eq!(judge(&[], url), Err(Denied::Name), "{url}");
        }
    }

    #[test]
    fn the_public_is_reached_on_its_ports_only() {
        for url in
            ["http://example.com/", "https://8.8.8.8/", "http://[2606:4700::1111]:8080/", "http://[64:ff9b::808:808]/"]
        {
            assert_eq!(judge(&[], url), Ok(()), "{url}");
        }
        // only what a name resolves to can tell, so it passes here
        for url in ["http://127.0.0.1.nip.io/", "http://notlocalhost.example/", "http://example.com\\@127.0.0.1/"] {
            assert_eq!(judge(&[], url), Ok(()), "{url}");
        }
        for url in ["http://example.com:22/", "https://8.8.8.8:6379/", "http://example.com:0/"] {
            assert_eq!(judge(&[], url), Err(Denied::Port), "{url}");
        }
    }

    #[test]
    fn an_allowed_block_is_reached_on_every_port_and_by_special_names() {
        let loopback: &[&str] = &["127.0.0.0/8"];
        for url in
            ["http://127.0.0.1:1234/", "http://[::ffff:127.0.0.1]:1/", "http://localhost:9/", "http://a.localhost/"]
        {
            assert_eq!(judge(loopback, url), Ok(()), "{url}");
        }
        assert_eq!(judge(loopback, "http://[::1]/"), Err(Denied::Address));
        assert_eq!(judge(loopback, "http://printer.local/"), Err(Denied::Name));
        assert_eq!(judge(loopback, "http://10.0.0.1/"), Err(Denied::Address));
        assert_eq!(judge(loopback, "http://example.com:22/"), Err(Denied::Port));

        let network: &[&str] = &["10.0.0.0/8"];
        for url in ["http://10.1.2.3:22/", "http://printer.local:22/", "http://nas:5000/"] {
            assert_eq!(judge(network, url), Ok(()), "{url}");
        }
        assert_eq!(judge(network, "http://localhost/"), Err(Denied::Name));
        assert_eq!(judge(network, "http://[64:ff9b::a00:1]/"), Err(Denied::Address));
    }
}
