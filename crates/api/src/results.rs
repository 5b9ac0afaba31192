//! The store of results, as this process asks it.
//!
//! A store that refuses the key of this service, or what it asks, does so until someone mends a setting. To clients it is a
//! part that does not answer (`error`); operators are told in the log, once a minute however many ask meanwhile.
//!
//! Not here: which object it is (`routes`), and its bytes on their way to a client (`stored`).

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use haul_shared::storage::{LinkError, LinkSpec, ObjectBody, ObjectKey, SignedLink, Storage, StorageError};
use url::Url;

/// Between two lines about the same refusal.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The store of results. Cheap to clone.
#[derive(Clone)]
pub struct Results(Arc<Inner>);

struct Inner {
    storage: Storage,
    /// When it was last told that it refuses.
    told: Mutex<Option<Instant>>,
}

impl Results {
    /// What is in this store.
    #[must_use]
    pub fn new(storage: Storage) -> Self {
        Self(Arc::new(Inner { storage, told: Mutex::default() }))
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

    /// Tells operators of a refusal, unless they were told lately.
    fn heard<T>(&self, answer: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(StorageError::Refused(why)) = &answer
            && self.is_news()
        {
            tracing::error!(
                error = why.as_ref() as &dyn std::error::Error,
                "the store of results refuses this service's key, or what it asks: nothing is handed out through this API \
                 until that is mended; `haul-api doctor` says what is wrong and what to do"
            );
        }
        answer
    }

    fn is_news(&self) -> bool {
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = told.is_none_or(|last| last.elapsed() > TOLD_EVERY);
        if is_news {
            *told = Some(Instant::now());
        }
        is_news
    }
}
