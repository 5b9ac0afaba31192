//! Webhooks by the Standard Webhooks specification 1.0: what they are signed with, and what became of an attempt to send one.
//!
//! The API is told the secrets, and workers sign; between the two they lie in Redis (`store::webhooks`). Not here: who is told
//! of what and when (`store`), how it is sent (`worker::webhooks`).

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::job::StateKind;

/// Bytes of a key, by the specification.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Secrets of one list: each adds a signature to a header, and a change of secrets needs two.
const MOST: usize = 8;

/// What webhooks are signed with: one to eight secrets, the newest first, each `whsec_` and the base64 of 24 to 64 bytes. While
/// one takes the place of another both are valid, and every message has a signature of each. `Debug` shows how many they are.
#[derive(Clone)]
pub struct Secrets(Arc<[SecretString]>);

/// A text is no such secret, or there are none or too many. Quotes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("1 to {MOST} secrets of whsec_ and the base64 of 24 to 64 bytes")]
pub struct NoSecrets;

impl Secrets {
    /// Reads a list, the newest first.
    ///
    /// # Errors
    /// [`NoSecrets`], if any of it is none.
    pub fn read<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, NoSecrets> {
        let secrets: Arc<[_]> = texts.into_iter().map(secret).collect::<Result<_, _>>()?;
        if (1..=MOST).contains(&secrets.len()) { Ok(Self(secrets)) } else { Err(NoSecrets) }
    }

    /// Each of them, for who signs with it.
    pub fn expose(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(ExposeSecret::expose_secret)
    }

    /// As they are kept for workers: a space between two.
    pub(crate) fn stored(&self) -> String {
        self.expose().collect::<Vec<_>>().join(" ")
    }
}

fn secret(text: &str) -> Result<SecretString, NoSecrets> {
    let key = text.strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok());
    let fits = key.is_some_and(|key| KEY_BYTES.contains(&key.len()));
    if fits { Ok(text.into()) } else { Err(NoSecrets) }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} webhook secrets", self.0.len())
    }
}

impl PartialEq for Secrets {
    /// For finding out whether a list has changed; nothing that a stranger sent is compared by it.
    fn eq(&self, other: &Self) -> bool {
        self.expose().eq(other.expose())
    }
}

/// What the webhooks of one client are signed with.
#[derive(Debug, Clone, PartialEq)]
pub struct Signing {
    /// With these.
    pub secrets: Secrets,
    /// They are the client's own, and not those of the whole service.
    pub is_own: bool,
}

/// The word of an end that somebody is told of. A job whose time was over before it was done has failed; its `status` tells that
/// it expired.
#[must_use]
pub fn event(end: StateKind) -> Option<&'static str> {
    match end {
        StateKind::Completed => Some("download.completed"),
        StateKind::Failed | StateKind::Expired => Some("download.failed"),
        StateKind::Cancelled => Some("download.cancelled"),
        StateKind::Queued | StateKind::Waiting | StateKind::Running => None,
    }
}

/// One attempt to tell, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began, by the clock of Redis.
    pub at: Timestamp,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why it was in vain, one stable word; `None`: it was not.
    pub error: Option<String>,
    /// How long it took, in ms.
    pub duration_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_secret_is_a_prefix_and_a_key_of_the_length_that_the_specification_asks_for() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for (list, fits) in [
            (vec![SECRET.to_owned()], true),
            (vec![of(24), of(64)], true),
            (vec![of(24); MOST], true),
            (vec![of(24); MOST + 1], false),
            (vec![], false),
            (vec![of(23)], false),
            (vec![of(65)], false),
            (vec![SECRET.to_owned(), "hunter2".to_owned()], false),
            (vec![SECRET.replace("whsec_", "")], false),
            (vec![format!("{SECRET}!")], false),
        ] {
            assert_eq!(Secrets::read(list.iter().map(String::as_str)).is_ok(), fits, "{}", list.len());
        }
    }

    #[test]
    fn secrets_are_kept_as_they_are_and_shown_to_nobody() {
        let secrets = Secrets::read([SECRET, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]).unwrap();
        assert_eq!(Secrets::read(secrets.stored().split(' ')), Ok(secrets.clone()));
        assert_eq!(format!("{secrets:?}"), "2 webhook secrets");
    }
}
