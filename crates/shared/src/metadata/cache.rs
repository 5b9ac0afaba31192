//! The level of the metadata cache that all processes share.
//!
//! An entry is compressed and bounded. Its age comes from the server's clock: the life it was given, less the
//! life it has left. What was found lives twice its time, so that it can be shown while it is asked again; a refusal
//! lives as long as its code says ([`refusal_life`]), and one that passes takes nothing away that is still there.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::{Cached, Finding, Look};
use crate::cookies::Cookies;
use crate::job::{FailureKind, LONGEST_ASKED};
use crate::redis::{Heard, Listener, Server};
use crate::source::SourceUrl;
use crate::store::{StoreError, forgotten_channel, metadata_key, picture_key, plans_key};

/// What was found is kept for so many times the time in which it is fresh: stale, from the second one on.
pub const KEPT_FOR: u32 = 2;

/// Bytes of an entry's JSON; a larger one is not kept.
const LARGEST: usize = 4 * 1024 * 1024;

/// Findings by address.
#[derive(Clone)]
pub struct MetadataCache {
    pub(super) server: Server,
    pub(super) ttl: Duration,
}

impl MetadataCache {
    /// The findings in this Redis; the first call connects. What was found is fresh for `ttl`.
    #[must_use]
    pub fn new(server: Server, ttl: Duration) -> Self {
        Self { server, ttl }
    }

    /// What is known of this address.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]. An entry of an unknown form counts as none.
    pub async fn get(&self, look: &Look) -> Result<Option<Cached>, StoreError> {
        let key = metadata_key(&digest(look));
        let (entry, left_ms): (Option<Vec<u8>>, i64) =
            self.server.query("metadata", redis::pipe().get(&key).pttl(&key)).await?;
        Ok(entry.and_then(|entry| self.cached(&entry, left_ms)))
    }

    /// An entry, with so many ms left of its life; `None`: of an unknown form.
    pub(super) fn cached<T: DeserializeOwned>(&self, entry: &[u8], left_ms: i64) -> Option<Cached<T>> {
        let (finding, life) = read(entry)?;
        let age = life.saturating_sub(Duration::from_millis(u64::try_from(left_ms).unwrap_or(0)));
        let stale = matches!(finding, Finding::Found(_)) && age >= self.ttl;
        Some(Cached { finding, age, stale })
    }

    /// Keeps what was found, or why nothing was.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put(&self, look: &Look, finding: &Finding) -> Result<(), StoreError> {
        let Some((entry, life_ms)) = entry(finding, self.ttl * KEPT_FOR) else { return Ok(()) };
        let mut set = redis::cmd("SET");
        set.arg(metadata_key(&digest(look))).arg(entry).arg("PX").arg(life_ms);
        if matches!(finding, Finding::Refused { kind, .. } if kind.is_retryable()) {
            set.arg("NX");
        }
        Ok(self.server.query("keep_metadata", redis::pipe().add_command(set).ignore()).await?)
    }

    /// Forgets what is known of this address, its picture and plans too, and tells those who [`MetadataCache::listen`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn forget(&self, look: &Look) -> Result<(), StoreError> {
        let digest = digest(look);
        // in one step: no picture is kept between the two
        let all = [picture_key(&digest), metadata_key(&digest), plans_key(&digest)];
        self.server.query::<()>("forget_metadata", redis::pipe().del(&all).ignore()).await?;
        Ok(self
            .server
            .query("forget_metadata", redis::pipe().publish(forgotten_channel(), told(look)).ignore())
            .await?)
    }

    /// Hears, until what is returned is dropped, which addresses are forgotten, by whichever process. `None`: any of them
    /// may have been.
    #[must_use]
    pub fn listen(&self, hear: impl Fn(Option<Look>) + Send + Sync + 'static) -> Listener {
        self.server.listen(vec![forgotten_channel()], move |heard| match heard {
            Heard::Message(text) => hear(std::str::from_utf8(&text).ok().and_then(read_back)),
            Heard::Gap => hear(None),
        })
    }
}

/// How long a refusal is believed; `None`: not at all, for it says nothing about the medium. A site that asks to be left
/// alone is, up to an hour.
#[must_use]
pub fn refusal_life(kind: FailureKind, asked: Option<Duration>) -> Option<Duration> {
    use FailureKind as K;
    let seconds = match kind {
        K::UnsupportedUrl
        | K::Unavailable
        | K::Private
        | K::LoginRequired
        | K::AgeRestricted
        | K::GeoBlocked
        | K::DrmProtected
        | K::LiveNotSupported
        | K::FormatUnavailable
        | K::TooLarge
        | K::TooLong
        | K::InvalidMedia => 300,
        // soon it may be otherwise
        K::NotYetAvailable | K::EgressDenied | K::SiteRateLimited | K::SiteBlocked => 60,
        K::ExtractorError | K::CorruptMedia => 30,
        // only long enough for those who wait
        K::Network | K::Timeout | K::Stalled => 5,
        K::WorkerLost | K::DiskFull | K::StorageUnavailable | K::Internal => return None,
    };
    let asked = asked.filter(|_| kind.is_retryable()).map(|asked| asked.clamp(Duration::from_secs(1), LONGEST_ASKED));
    Some(asked.unwrap_or(Duration::from_secs(seconds)))
}

/// One for each address, jar and beginning.
pub(super) fn digest(look: &Look) -> String {
    half_of_hash(told(look).as_bytes())
}

/// 128 bits, in hexadecimal.
pub(super) fn half_of_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An address, on a line of its own whose cookies, and on a third one from which entry on: no address has two lines, nor
/// have cookies, so that a process which knows of neither takes it for none, and forgets all.
fn told(look: &Look) -> String {
    let url = look.url.expose();
    let cookies = || String::from(look.cookies.clone());
    match (&look.cookies, look.first) {
        (Cookies::None, 1) => url.to_owned(),
        (_, 1) => format!("{url}\n{}", cookies()),
        (_, first) => format!("{url}\n{}\n{first}", cookies()),
    }
}

/// Reads that.
fn read_back(text: &str) -> Option<Look> {
    let mut lines = text.split('\n');
    let url = SourceUrl::read(lines.next()?).ok()?;
    let cookies = lines.next().unwrap_or_default().to_owned().try_into().ok()?;
    let first = lines.next().map_or(Some(1), |first| first.parse().ok())?;
    lines.next().is_none().then_some(Look { url, cookies, first })
}

/// An entry and its life in ms, which of something found is this; `None`: it is not kept.
pub(super) fn entry<T: Serialize>(finding: &Finding<T>, found: Duration) -> Option<(Vec<u8>, u64)> {
    let life = match finding {
        Finding::Found(_) => found,
        Finding::Refused { kind, retry_after } => refusal_life(*kind, *retry_after)?,
    };
    Some((write(finding, life)?, u64::try_from(life.as_millis()).ok()?))
}

/// The life in ms, 8 bytes big-endian, then the compressed JSON.
fn write<T: Serialize>(finding: &Finding<T>, life: Duration) -> Option<Vec<u8>> {
    let json = serde_json::to_vec(finding).ok().filter(|json| json.len() <= LARGEST)?;
    let mut entry = u64::try_from(life.as_millis()).ok()?.to_be_bytes().to_vec();
    entry.extend(zstd::bulk::compress(&json, 3).ok()?);
    Some(entry)
}

fn read<T: DeserializeOwned>(entry: &[u8]) -> Option<(Finding<T>, Duration)> {
    let (life, json) = entry.split_first_chunk::<8>()?;
    let json = zstd::bulk::decompress(json, LARGEST).ok()?;
    Some((serde_json::from_slice(&json).ok()?, Duration::from_millis(u64::from_be_bytes(*life))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Metadata;

    #[test]
    fn an_entry_is_read_back_and_garbage_is_none() {
        let finding = Finding::Found(Box::new(Metadata { title: Some("talk".into()), ..Metadata::default() }));
        let life = Duration::from_secs(7200);
        assert_eq!(read(&write(&finding, life).unwrap()), Some((finding, life)));
        assert_eq!(read::<Metadata>(b"short"), None);
        assert_eq!(read::<Metadata>(b"12345678 not zstd"), None);
    }

    #[test]
    fn each_jar_has_a_finding_of_its_own_and_is_forgotten_by_itself() {
        let url = SourceUrl::read("https://video.example/a").unwrap();
        let look = |cookies| Look { url: url.clone(), cookies, first: 1 };
        let jar = |name: &str| Cookies::Jar(name.parse().unwrap());
        let mut all = [Cookies::None, Cookies::Any, jar("video.example"), jar("other.example")].map(look).to_vec();
        all.extend(all.clone().into_iter().map(|look| Look { first: 101, ..look }));
        for (at, one) in all.iter().enumerate() {
            assert_eq!(read_back(&told(one)).as_ref(), Some(one));
            assert!(all[..at].iter().all(|other| digest(other) != digest(one)), "{one:?}");
        }
        assert_eq!(told(&all[0]), url.expose(), "as it was before there were jars");
        assert!(SourceUrl::read(&told(&all[1])).is_err(), "no address to who knows of no jars");
    }

    #[test]
    fn a_refusal_lives_as_long_as_its_code_says() {
        use FailureKind as K;
        for (kind, asked, seconds) in [
            (K::Unavailable, None, Some(300)),
            (K::GeoBlocked, Some(7), Some(300)),
            (K::NotYetAvailable, None, Some(60)),
            (K::SiteRateLimited, None, Some(60)),
            (K::SiteRateLimited, Some(900), Some(900)),
            (K::SiteRateLimited, Some(9000), Some(3600)),
            (K::SiteBlocked, Some(0), Some(1)),
            (K::ExtractorError, None, Some(30)),
            (K::Network, None, Some(5)),
            (K::Network, Some(40), Some(40)),
            (K::Internal, Some(40), None),
        ] {
            let life = refusal_life(kind, asked.map(Duration::from_secs));
            assert_eq!(life, seconds.map(Duration::from_secs), "{kind:?} {asked:?}");
        }
    }
}
