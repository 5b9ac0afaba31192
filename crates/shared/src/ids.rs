//! Identities: who and what a message is about.
//!
//! A [`Ticket`] is the only handle that a client ever gets; a [`JobId`] is the run behind it, which several
//! tickets may share. Text becomes one of these types once, at the edge; inside, a wrong id does not compile.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct BadId(&'static str);

/// One of the parts that the queue is cut into: all keys of one job lie on one, so that a script stays within a slot
/// of a cluster. From 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard(u16);

/// How many shards a deployment has, from 1; fixed once there are jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shards(NonZeroU16);

impl Shards {
    /// A queue in one piece.
    pub const ONE: Self = Self(NonZeroU16::MIN);

    /// So many; `None` for 0.
    #[must_use]
    pub fn new(count: u16) -> Option<Self> {
        NonZeroU16::new(count).map(Self)
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> u16 {
        self.0.get()
    }

    /// All of them.
    pub fn all(self) -> impl Iterator<Item = Shard> {
        (0..self.0.get()).map(Shard)
    }

    /// Where a random number falls.
    #[must_use]
    pub fn of(self, number: u128) -> Shard {
        Shard(u16::try_from(number % u128::from(self.0.get())).expect("a remainder of 16 bits"))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// Draws a new random one (UUIDv4: it must not be guessable from the time).
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a default that differs each time would surprise")]
            pub fn new() -> Self {
                Self(Uuid::new_v4())
            }

            /// Draws until one falls on this shard of `shards`; on average as often as there are shards.
            #[must_use]
            pub fn on(shard: Shard, shards: Shards) -> Self {
                std::iter::repeat_with(Self::new).find(|id| id.shard(shards) == shard).expect("an endless iterator")
            }

            /// The shard that it falls on.
            #[must_use]
            pub fn shard(&self, shards: Shards) -> Shard {
                shards.of(self.0.as_u128())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            /// Takes the hyphenated form only, in either case: one id has one spelling in a link.
            fn from_str(text: &str) -> Result<Self, BadId> {
                if text.len() != 36 {
                    return Err(BadId($what));
                }
                Uuid::try_parse(text).map(Self).map_err(|_| BadId($what))
            }
        }
    };
}

random_id!(
    /// What a client holds: the `id` of the contract. Two callers who ask for the same thing get two.
    Ticket,
    "ticket"
);
random_id!(
    /// One run and its result. Never shown to a client.
    JobId,
    "job id"
);

impl JobId {
    /// The id without hyphens, as object names have it.
    #[must_use]
    pub fn simple(&self) -> String {
        self.0.simple().to_string()
    }

    /// Reads such an id back.
    #[must_use]
    pub fn of_simple(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().filter(|_| text.len() == 32).map(Self)
    }
}

/// One life of a worker process: host name and a random part, new at each start, so that a restarted worker
/// never passes for the one that died.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkerId(String);

impl WorkerId {
    /// Names this process. Characters of the host name that are not letters, digits or `-` are dropped.
    #[must_use]
    pub fn on_host(host: &str) -> Self {
        let host: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(32).collect();
        let random = Uuid::new_v4().simple().to_string();
        Self(format!("w-{host}-{}", &random[..8]))
    }

    /// Reads an id back from the store.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whom limits, caps, idempotency and lists are counted against: an API key, else an address.
///
/// Its text is safe inside a Redis key: a hash of the key's name, or a canonical address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientKey(String);

impl ClientKey {
    /// The client behind an API key of this name.
    #[must_use]
    pub fn of_api_key(name: &str) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        let hex: String = digest[..12].iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("k-{hex}"))
    }

    /// The client at this address. IPv6 is grouped by /64, because one household or server has that many;
    /// an IPv4 address in IPv6 clothes is the IPv4 address.
    #[must_use]
    pub fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(format!("a-{v4}")),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self(format!("a-{a:x}-{b:x}-{c:x}-{d:x}"))
            }
        }
    }

    /// The /48 that this client is a part of, as a client; only addresses of IPv6 are part of one.
    #[must_use]
    pub fn site(&self) -> Option<Self> {
        let (site, _) = self.0.strip_prefix("a-")?.rsplit_once('-')?;
        Some(Self(format!("a-{site}")))
    }

    /// Reads a client back from the store.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text as keys have it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The number of one lease. Strictly rising per job; of two writers the one with the lower fence is stale.
/// At most 2^53, so that Lua's doubles hold it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fence(pub u64);

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place where workers run; 1-32 of `[a-z0-9-]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(String);

impl Region {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(BadId("region")) }
    }
}

impl TryFrom<String> for Region {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an address that workers go out through; 1-64 of `[A-Za-z0-9._-]`. What sites allow, they allow to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EgressName(String);

impl EgressName {
    /// The name of a host that shares its address with nobody: what of it fits, or `host`.
    #[must_use]
    pub fn of_host(host: &str) -> Self {
        let fits: String = host.chars().filter(|c| Self::may_have(*c)).take(64).collect();
        Self(if fits.is_empty() { "host".to_owned() } else { fits })
    }

    fn may_have(c: char) -> bool {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
    }
}

impl FromStr for EgressName {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let fits = (1..=64).contains(&text.len()) && text.chars().all(Self::may_have);
        if fits { Ok(Self(text.to_owned())) } else { Err(BadId("egress name")) }
    }
}

impl fmt::Display for EgressName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_has_one_spelling() {
        let ticket = Ticket::new();
        assert_eq!(ticket.to_string().parse(), Ok(ticket));
        for text in ["", "5b0c1f0e", &ticket.to_string().replace('-', ""), &format!("{{{ticket}}}")] {
            assert!(text.parse::<Ticket>().is_err(), "{text}");
        }
    }

    #[test]
    fn ids_are_drawn_until_they_fall_on_their_shard() {
        let shards = Shards::new(7).unwrap();
        for shard in shards.all() {
            let ticket = Ticket::on(shard, shards);
            assert_eq!(ticket.shard(shards), shard);
            assert_eq!(ticket.to_string().parse::<Ticket>().unwrap().shard(shards), shard);
        }
        assert_eq!(Ticket::new().shard(Shards::ONE).to_string(), "0");
    }

    #[test]
    fn addresses_of_one_64_are_one_client() {
        let of = |text: &str| ClientKey::of_address(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
        assert_eq!(of("2001:db8:1:2::1").site(), of("2001:db8:1:3::1").site());
        assert_ne!(of("2001:db8:1:2::1").site(), of("2001:db8:2:2::1").site());
        assert_eq!([of("192.0.2.7").site(), ClientKey::of_api_key("a").site()], [None, None]);
    }
}
