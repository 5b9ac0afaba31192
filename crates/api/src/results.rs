//! The store of results, as this process asks it.
//!
//! A store that refuses the key of this service, or what it asks, does so until someone mends a setting. To clients it is a
//! part that does not answer (`error`); operators are told in the log, once a minute however many ask meanwhile.
//!
//! Not here: which object it is (`routes`), and its bytes on their way to a client (`stored`).

mod looks;

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use haul_shared::storage::{LinkError, LinkSpec, ObjectBody, ObjectKey, SignedLink, Storage, StorageError};
use haul_shared::store::IsThere;
use tokio::time::Instant;
use url::Url;

use looks::{Looks, Unanswered};

/// Between two lines about the same.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The store of results. Cheap to clone.
#[derive(Clone)]
pub struct Results(Arc<Inner>);

struct Inner {
    storage: Storage,
    /// That it refuses.
    told: Last,
    looks: Arc<Looks>,
}

impl Results {
    /// What is in this store.
    #[must_use]
    pub fn new(storage: Storage) -> Self {
        Self(Arc::new(Inner { storage, told: Last::default(), looks: Arc::default() }))
    }

    /// Reads an object, or a range of it.
    ///
    /// # Errors
    /// As [`Storage::open`].
    pub async fn open(&self, key: &ObjectKey, range: Option<RangeInclusive<u64>>) -> Result<ObjectBody, StorageError> {
        self.heard("to give an object", self.0.storage.open(key, range).await)
    }

    /// A link to an object, of which it is not asked whether it is there.
    ///
    /// # Errors
    /// As [`Storage::link`].
    pub async fn link(&self, key: &ObjectKey, spec: &LinkSpec) -> Result<Url, StorageError> {
        self.heard("to make a link", self.0.storage.link(key, spec).await)
    }

    /// Checks a link of the disk store.
    ///
    /// # Errors
    /// As [`Storage::verify_link`].
    pub fn verify_link(&self, key: &str, query: &str) -> Result<SignedLink, LinkError> {
        self.0.storage.verify_link(key, query)
    }

    /// Can it be read?
    ///
    /// # Errors
    /// As [`Storage::ready`].
    pub async fn ready(&self) -> Result<(), StorageError> {
        self.heard("to be read", self.0.storage.ready().await)
    }

    /// How orders look whether a finished result is there before they are given it.
    #[must_use]
    pub fn looks(&self) -> IsThere {
        let results = self.clone();
        Box::new(move |key| {
            let results = results.clone();
            async move { results.0.looks.clone().look(async move { results.is_there(&key).await }).await }.boxed()
        })
    }

    /// Is it there? It is asked for a byte, and not for the head alone: that has no body which could tell a missing object
    /// from a missing bucket.
    async fn is_there(&self, key: &ObjectKey) -> Result<bool, Unanswered> {
        let asked = self.open(key, Some(0..=0)).await;
        said(match asked {
            Ok(mut byte) => {
                // taken, so that the connection can be used again
                let _taken = byte.body.next().await;
                Ok(())
            }
            Err(error) => Err(error),
        })
    }

    /// Tells operators of a refusal, unless they were told lately.
    fn heard<T>(&self, asked: &str, answer: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(StorageError::Refused(why)) = &answer
            && self.0.told.is_news(TOLD_EVERY)
        {
            tracing::error!(
                error = why.as_ref() as &dyn std::error::Error,
                "the store of results refuses {asked}: this service's key is wrong or lacks a right, or an object is missing \
                 and the key, which may not list the bucket, is not told so; `haul-api doctor` says what to do"
            );
        }
        answer
    }
}

/// Whether an object is there, by what came of a read of its first byte. Only a plain no is believed: a store that is away
/// must not have everything made anew.
fn said(read: Result<(), StorageError>) -> Result<bool, Unanswered> {
    match read {
        Ok(()) => Ok(true),
        // no result is empty: what a power failure, or a backup, has left of one
        Err(StorageError::NotFound | StorageError::RangeOutside) => Ok(false),
        // an answer, and maybe about this object alone: archived, or missing to who may not list
        Err(StorageError::Refused(_)) => Ok(true),
        Err(StorageError::Unavailable(_) | StorageError::Full | StorageError::File(_)) => Err(Unanswered),
    }
}

/// When something was last told.
#[derive(Default)]
struct Last(Mutex<Option<Instant>>);

impl Last {
    /// Not told within this time, and so it is now.
    fn is_news(&self, time: Duration) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = last.is_none_or(|last| last.elapsed() >= time);
        if is_news {
            *last = Some(Instant::now());
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_plainly_missing_or_empty_is_lost_and_a_refusal_of_one_object_says_nothing_of_others() {
        for (read, is_there) in [
            (Ok(()), Ok(true)),
            (Err(StorageError::NotFound), Ok(false)),
            (Err(StorageError::RangeOutside), Ok(false)),
            (Err(StorageError::Refused("archived".into())), Ok(true)),
            (Err(StorageError::Unavailable("no answer".into())), Err(Unanswered)),
        ] {
            assert_eq!(said(read), is_there);
        }
    }
}
