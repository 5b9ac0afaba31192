//! The store of results, as this process asks it.
//!
//! A store that refuses the key of this service, or what it asks, does so until someone mends a setting. To clients it is a
//! part that does not answer (`error`); operators are told in the log, once a minute however many ask meanwhile.
//!
//! Not here: which object it is (`routes`), and its bytes on their way to a client (`stored`).

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{FutureExt as _, StreamExt as _};
use haul_shared::storage::{LinkError, LinkSpec, ObjectBody, ObjectKey, SignedLink, Storage, StorageError};
use haul_shared::store::IsThere;
use tokio::time::timeout;
use url::Url;

/// Between two lines about the same refusal.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// For a look at one object: a client waits for it with an order.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
/// How long nothing is looked at after a look that was not answered: of many orders at once, not each may wait in vain.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The store of results. Cheap to clone.
#[derive(Clone)]
pub struct Results(Arc<Inner>);

struct Inner {
    storage: Storage,
    /// That it refuses.
    told: Last,
    /// A look that was not answered.
    unanswered: Last,
}

impl Results {
    /// What is in this store.
    #[must_use]
    pub fn new(storage: Storage) -> Self {
        Self(Arc::new(Inner { storage, told: Last::default(), unanswered: Last::default() }))
    }

    /// Reads an object, or a range of it.
    ///
    /// # Errors
    /// As [`Storage::open`].
    pub async fn open(&self, key: &ObjectKey, range: Option<RangeInclusive<u64>>) -> Result<ObjectBody, StorageError> {
        self.heard(self.0.storage.open(key, range).await)
    }

    /// A link to an object, of which it is not asked whether it is there.
    ///
    /// # Errors
    /// As [`Storage::link`].
    pub async fn link(&self, key: &ObjectKey, spec: &LinkSpec) -> Result<Url, StorageError> {
        self.heard(self.0.storage.link(key, spec).await)
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
        self.heard(self.0.storage.ready().await)
    }

    /// How orders look whether a finished result is there before they are given it.
    #[must_use]
    pub fn looks(&self) -> IsThere {
        let results = self.clone();
        Box::new(move |key| {
            let results = results.clone();
            async move { results.is_there(&key).await }.boxed()
        })
    }

    /// Is it there? Only a store that says no is believed: one that is away must not have everything made anew. It is asked
    /// for a byte, and not for the head alone: that has no body which could tell a missing object from a missing bucket.
    async fn is_there(&self, key: &ObjectKey) -> bool {
        if self.0.unanswered.was_within(LOOK_AGAIN) {
            return true;
        }
        let look = async {
            let mut byte = self.open(key, Some(0..=0)).await?;
            // taken, so that the connection can be used again
            let _taken = byte.body.next().await;
            Ok(())
        };
        match timeout(LOOK_WITHIN, look).await {
            Ok(Ok(()) | Err(StorageError::RangeOutside)) => true,
            Ok(Err(StorageError::NotFound)) => false,
            Ok(Err(_)) | Err(_) => {
                self.0.unanswered.is_now();
                true
            }
        }
    }

    /// Tells operators of a refusal, unless they were told lately.
    fn heard<T>(&self, answer: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(StorageError::Refused(why)) = &answer
            && !self.0.told.was_within(TOLD_EVERY)
        {
            self.0.told.is_now();
            tracing::error!(
                error = why.as_ref() as &dyn std::error::Error,
                "the store of results refuses this service's key, or what it asks with it: clients are answered 503 \
                 until that is mended; `haul-api doctor` says what is wrong and what to do"
            );
        }
        answer
    }
}

/// When something was last so.
#[derive(Default)]
struct Last(Mutex<Option<Instant>>);

impl Last {
    fn was_within(&self, time: Duration) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < time)
    }

    fn is_now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}
