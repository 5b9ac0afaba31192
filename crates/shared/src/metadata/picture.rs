//! The picture that metadata names, made small, on the level of the cache that all processes share.
//!
//! It is fresh as long as a finding is, and is for those who may be shown that finding. That there is none is kept as well,
//! as long as why there is none would keep a finding away. Unlike a finding it is never shown when it is stale: a look at a
//! page is dear, a picture is cheap. Not here: who makes it (a worker), and of what (the finding says that).

use std::time::Duration;

use super::cache::digest;
use super::{Look, MetadataCache, refusal_life};
use crate::job::FailureKind;
use crate::store::{KEEP_PICTURE, StoreError, metadata_key, picture_key};

/// Bytes of a picture that is kept; there is none that is larger.
pub const LARGEST_PICTURE: usize = 64 * 1024;

/// What became of the picture that metadata names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picture {
    /// A JPEG of at most [`LARGEST_PICTURE`].
    Jpeg(Vec<u8>),
    /// It could not be had, or nothing could be made of it.
    None,
}

/// A picture, and how much longer it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPicture {
    /// The picture.
    pub picture: Picture,
    /// Until it is made again.
    pub left: Duration,
}

impl MetadataCache {
    /// The picture of what is at this address; `None`: nobody has made it, or tried to.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn picture(&self, look: &Look) -> Result<Option<KeptPicture>, StoreError> {
        let key = picture_key(&digest(look));
        let (entry, left_ms): (Option<Vec<u8>>, i64) =
            self.server.query("picture", redis::pipe().get(&key).pttl(&key)).await?;
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
        Ok(entry.map(|jpeg| KeptPicture {
            picture: if jpeg.is_empty() { Picture::None } else { Picture::Jpeg(jpeg) },
            left,
        }))
    }

    /// Keeps a JPEG, or why there is none, for no longer than the finding that names it. It is not kept where that is gone:
    /// [`MetadataCache::forget`] forgets also what is on its way. One that is larger than [`LARGEST_PICTURE`] is not kept
    /// either.
    ///
    /// Where the address was looked at again meanwhile, the picture may be one that the new finding does not name, until its
    /// own time is over.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put_picture(&self, look: &Look, made: Result<&[u8], FailureKind>) -> Result<(), StoreError> {
        let (jpeg, life) = match made {
            Ok(jpeg) if jpeg.len() > LARGEST_PICTURE => return Ok(()),
            Ok(jpeg) => (jpeg, self.ttl),
            Err(kind) => match refusal_life(kind, None) {
                Some(life) => (&[][..], life.min(self.ttl)),
                None => return Ok(()),
            },
        };
        let life_ms = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        let (digest, mut keep) = (digest(look), KEEP_PICTURE.call());
        keep.key(picture_key(&digest)).key(metadata_key(&digest)).arg(jpeg).arg(life_ms);
        let is_kept: bool = self.server.call_surely(&keep).await?;
        if !is_kept {
            tracing::debug!("a picture was not kept: nothing is known of its medium any more");
        }
        Ok(())
    }
}
