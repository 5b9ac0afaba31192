//! Links that lead to the result of a download: cobalt's five parameters, of its lengths.
//!
//! `iv` is the ticket, `id` begins with the style of the file's name, `exp` is the end in ms of Unix time, `sec` is drawn by
//! lot, and `sig` is an HMAC-SHA256 over them. Whoever has a link needs nothing else, and no part of it can be changed.
//!
//! Not here: what is at the end of a link (`tunnel`).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use haul_shared::ids::Ticket;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;
use url::form_urlencoded;
use uuid::Uuid;

use super::name::Style;

/// The names of the parameters, and how long each is: clients and proxies of cobalt's have been seen to count.
const PARTS: [(&str, usize); 5] = [("id", 21), ("exp", 13), ("sig", 43), ("sec", 43), ("iv", 22)];
/// What keeps a signature of ours from being one of something else.
const PURPOSE: &[u8] = b"haul-cobalt-1";

/// What links are signed with.
#[derive(Clone, Copy)]
pub(super) struct LinkSecret([u8; 32]);

impl From<[u8; 32]> for LinkSecret {
    fn from(secret: [u8; 32]) -> Self {
        Self(secret)
    }
}

impl From<LinkSecret> for [u8; 32] {
    fn from(LinkSecret(secret): LinkSecret) -> Self {
        secret
    }
}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSecret(..)")
    }
}

/// What a link says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// Of which download.
    pub(super) ticket: Ticket,
    /// How the file is named.
    pub(super) style: Style,
    /// From this ms of Unix time on there is nothing behind it.
    pub(super) expires_ms: i64,
}

/// Why a link leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoLink {
    /// A parameter is missing, there twice, or not as long as it has to be.
    Malformed,
    /// It was not made here, or not like this.
    Forged,
    /// Its time is over.
    Expired,
}

impl Link {
    /// The query of this link; each call gives another one.
    pub(super) fn query(&self, secret: &LinkSecret) -> String {
        let id = format!("{}{}", self.style.letter(), &Uuid::new_v4().simple().to_string()[..20]);
        let sec = URL_SAFE_NO_PAD.encode([*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat());
        let exp = format!("{:013}", self.expires_ms);
        let ticket = Uuid::parse_str(&self.ticket.to_string()).expect("a ticket is a UUID");
        let iv = URL_SAFE_NO_PAD.encode(ticket.as_bytes());
        let sig = URL_SAFE_NO_PAD.encode(mac(secret, [&id, &exp, &sec, &iv]).finalize().into_bytes());
        format!("id={id}&exp={exp}&sig={sig}&sec={sec}&iv={iv}")
    }

    /// Reads a query back. What else stands in it makes no difference. Signatures are compared in constant time, and before
    /// anything is said about a link's age.
    ///
    /// # Errors
    /// [`NoLink`].
    pub(super) fn read(query: &str, secret: &LinkSecret, now: Timestamp) -> Result<Self, NoLink> {
        let [id, exp, sig, sec, iv] = parts(query).ok_or(NoLink::Malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(&sig).map_err(|_| NoLink::Forged)?;
        mac(secret, [&id, &exp, &sec, &iv]).verify_slice(&signature).map_err(|_| NoLink::Forged)?;
        let link = Self::of(&id, &exp, &iv).ok_or(NoLink::Forged)?;
        if now.as_millisecond() < link.expires_ms { Ok(link) } else { Err(NoLink::Expired) }
    }

    fn of(id: &str, exp: &str, iv: &str) -> Option<Self> {
        let ticket = Uuid::from_slice(&URL_SAFE_NO_PAD.decode(iv).ok()?).ok()?;
        Some(Self {
            ticket: ticket.hyphenated().to_string().parse().ok()?,
            style: Style::of_letter(id.chars().next()?)?,
            expires_ms: exp.parse().ok()?,
        })
    }
}

/// The parameters of a query, each there once and of its length.
fn parts(query: &str) -> Option<[String; 5]> {
    let mut parts: [Option<String>; 5] = Default::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some(at) = PARTS.iter().position(|(known, _)| *known == name) else { continue };
        if value.len() != PARTS[at].1 || parts[at].replace(value.into_owned()).is_some() {
            return None;
        }
    }
    let [id, exp, sig, sec, iv] = parts;
    Some([id?, exp?, sig?, sec?, iv?])
}

/// Each part has one length, so that none can move into the next.
fn mac(secret: &LinkSecret, parts: [&str; 4]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).expect("a key of any length is fine");
    mac.update(PURPOSE);
    parts.iter().for_each(|part| mac.update(part.as_bytes()));
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const ENDS_MS: i64 = 1_800_000_000_000;

    fn link() -> Link {
        Link { ticket: Ticket::new(), style: Style::Nerdy, expires_ms: ENDS_MS }
    }

    #[test]
    fn a_link_has_cobalts_parameters_of_their_lengths_and_gives_back_what_it_was_made_of() {
        let secret = LinkSecret::from([7; 32]);
        let link = link();
        let query = link.query(&secret);
        let lengths: Vec<(String, usize)> =
            form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), value.len())).collect();
        assert_eq!(lengths, PARTS.map(|(name, length)| (name.to_owned(), length)));
        assert_eq!(Link::read(&query, &secret, NOW), Ok(link));
        assert_eq!(Link::read(&format!("{query}&p=1"), &secret, NOW), Ok(link));
        assert_ne!(link.query(&secret), query, "no two are alike");
        assert_eq!(format!("{secret:?}"), "LinkSecret(..)");
    }

    #[test]
    fn no_part_of_a_link_can_be_changed_and_only_a_true_one_is_called_expired() {
        let secret = LinkSecret::from([7; 32]);
        let query = link().query(&secret);
        for (at, (name, _)) in PARTS.iter().enumerate() {
            let mut parts = parts(&query).expect("a link");
            let last = parts[at].pop().expect("a character");
            parts[at].push(if last == 'A' || last == '0' {
                '1'
            } else if at == 1 {
                '0'
            } else {
                'A'
            });
            let changed: Vec<String> =
                PARTS.iter().zip(&parts).map(|((name, _), value)| format!("{name}={value}")).collect();
            assert_eq!(Link::read(&changed.join("&"), &secret, NOW), Err(NoLink::Forged), "{name}");
            let without: Vec<&str> = query.split('&').filter(|part| !part.starts_with(&format!("{name}="))).collect();
            assert_eq!(Link::read(&without.join("&"), &secret, NOW), Err(NoLink::Malformed), "{name}");
        }
        assert_eq!(Link::read(&format!("{query}&{query}"), &secret, NOW), Err(NoLink::Malformed));
        assert_eq!(Link::read("", &secret, NOW), Err(NoLink::Malformed));
        assert_eq!(Link::read(&query, &LinkSecret::from([8; 32]), NOW), Err(NoLink::Forged));
        let at = |ms| Timestamp::from_millisecond(ms).expect("a time");
        assert!(Link::read(&query, &secret, at(ENDS_MS - 1)).is_ok());
        assert_eq!(Link::read(&query, &secret, at(ENDS_MS)), Err(NoLink::Expired));
    }
}
