//! The level of the metadata cache that all processes share.
//!
//! An entry is compressed and bounded. Its age comes from the server's clock: the life it was given, less the
//! life it has left. What was found lives twice its time, so that it can be shown while it is asked again.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{Cached, Finding};
use crate::job::FailureKind;
use crate::redis::{Heard, Listener, Server};
use crate::source::SourceUrl;
use crate::store::{StoreError, forgotten_channel, metadata_key};

/// How long a refusal is believed.
const REFUSAL_TTL: Duration = Duration::from_secs(60);

/// Bytes of an entry's JSON; a larger one is not kept.
const LARGEST: usize = 4 * 1024 * 1024;

/// Findings by address.
#[derive(Clone)]
pub struct MetadataCache {
    server: Server,
    ttl: Duration,
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
    pub async fn get(&self, url: &SourceUrl) -> Result<Option<Cached>, StoreError> {
        let key = key(url);
        let (entry, left_ms): (Option<Vec<u8>>, i64) = self.server.query(redis::pipe().get(&key).pttl(&key)).await?;
        let Some((finding, life)) = entry.as_deref().and_then(read) else { return Ok(None) };
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
        let age = life.saturating_sub(left);
        let stale = matches!(finding, Finding::Found(_)) && age > self.ttl;
        Ok(Some(Cached { finding, age, stale }))
    }

    /// Keeps what was found, a refusal for a shorter time.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put(&self, url: &SourceUrl, finding: &Finding) -> Result<(), StoreError> {
        let life = match finding {
            Finding::Found(_) => self.ttl * 2,
            Finding::Refused { kind, .. } => refusal_ttl(*kind),
        };
        let Some(entry) = write(finding, life) else { return Ok(()) };
        let life_ms = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        Ok(self.server.query(redis::pipe().pset_ex(key(url), entry, life_ms).ignore()).await?)
    }

    /// Forgets what is known of this address, and tells those who [`MetadataCache::listen`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn forget(&self, url: &SourceUrl) -> Result<(), StoreError> {
        self.server.query::<()>(redis::pipe().del(key(url)).ignore()).await?;
        Ok(self.server.query(redis::pipe().publish(forgotten_channel(), url.expose()).ignore()).await?)
    }

    /// Hears, until what is returned is dropped, which addresses are forgotten, by whichever process. `None`: any of them
    /// may have been.
    #[must_use]
    pub fn listen(&self, hear: impl Fn(Option<SourceUrl>) + Send + Sync + 'static) -> Listener {
        self.server.listen(vec![forgotten_channel()], move |heard| match heard {
            Heard::Message(url) => hear(std::str::from_utf8(&url).ok().and_then(|url| SourceUrl::read(url).ok())),
            Heard::Gap => hear(None),
        })
    }
}

/// What the site will say again is believed for a minute, a passing failure only long enough for those who wait.
fn refusal_ttl(kind: FailureKind) -> Duration {
    if kind.is_retryable() { Duration::from_secs(5) } else { REFUSAL_TTL }
}

fn key(url: &SourceUrl) -> String {
    let digest = Sha256::digest(url.expose().as_bytes());
    metadata_key(&digest[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// The life in ms, 8 bytes big-endian, then the compressed JSON.
fn write(finding: &Finding, life: Duration) -> Option<Vec<u8>> {
    let json = serde_json::to_vec(finding).ok().filter(|json| json.len() <= LARGEST)?;
    let mut entry = u64::try_from(life.as_millis()).ok()?.to_be_bytes().to_vec();
    entry.extend(zstd::bulk::compress(&json, 3).ok()?);
    Some(entry)
}

fn read(entry: &[u8]) -> Option<(Finding, Duration)> {
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
        assert_eq!(read(b"short"), None);
        assert_eq!(read(b"12345678 not zstd"), None);
    }
}
