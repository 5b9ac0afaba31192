//! Where results live: an object is put once under its own [`ObjectKey`], never changed, read by ranges, and
//! handed to a client by a signed link.
//!
//! Decides how bytes get into and out of a directory or a bucket, what a link promises, and how a file is named for
//! people. Nothing outside this module knows S3 or the layout on disk.
//!
//! Not here: which job an object belongs to, and when it is deleted (`store`); who may ask for a link (the API).

mod disk;
mod key;
mod link;
mod name;
mod s3;
mod sending;
mod survey;
mod upload;

use std::error::Error;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use url::Url;

use crate::config::StorageConfig;
use crate::metrics::{Operation, StorageCalls};

pub use disk::DiskStore;
pub use key::{BadObjectKey, ObjectKey};
pub use link::{LinkError, SignedLink, SigningKey};
pub use name::{clean_stem, content_disposition, content_type_of};
pub use s3::{AccessKey, Deed, Refusal, S3Options, S3Store, Tried, UploadsRule};
pub use sending::Sending;
pub use survey::{Found, Survey};
pub use upload::{Intake, Upload};

/// The store of results: one directory, or one bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Storage {
    /// A directory that the API and the workers share.
    Disk(DiskStore),
    /// A bucket of S3, R2, or another server that speaks its protocol.
    S3(S3Store),
}

/// Which process uses the store, and so what it must be able to do.
#[derive(Debug, Clone)]
pub enum Role {
    /// Reads objects and makes links.
    Api {
        /// Where clients reach the API: the links of the disk store lead there.
        public_url: Url,
    },
    /// Puts and deletes objects.
    Worker,
}

/// What is kept beside the bytes of an object, where the store can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// From the closed list of [`content_type_of`].
    pub content_type: String,
    /// SHA-256 of the bytes, 64 lower-case hex digits.
    pub sha256: String,
}

/// What a link promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSpec {
    /// How long it works; S3 allows up to 7 days.
    pub expires_in: Duration,
    /// Under which name the client saves the file, with extension.
    pub filename: String,
    /// As which type it is sent.
    pub content_type: String,
    /// To be played rather than saved.
    pub inline: bool,
}

/// An object, or a range of it, being read. Memory stays constant: a chunk is read when the last one was taken.
pub struct ObjectBody {
    /// Size of the whole object.
    pub total_bytes: u64,
    /// When it was put there, where the store tells.
    pub modified: Option<Timestamp>,
    /// How many bytes `body` gives.
    pub body_bytes: u64,
    /// The bytes; an error ends it.
    pub body: BoxStream<'static, io::Result<Bytes>>,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// No such object.
    #[error("no such object")]
    NotFound,
    /// The range begins at or behind the end of the object, or ends before it begins.
    #[error("range is outside of the object")]
    RangeOutside,
    /// No room: the disk is full, or the quota of the bucket.
    #[error("storage is full")]
    Full,
    /// It said no and will say no again, until someone mends a setting: credentials, policy, bucket, permissions.
    #[error("storage refused")]
    Refused(#[source] BoxError),
    /// It did not answer, or not now: another attempt may succeed.
    #[error("storage is unavailable")]
    Unavailable(#[source] BoxError),
    /// The local file that was to be stored cannot be read.
    #[error("the file to store cannot be read")]
    File(#[source] io::Error),
}

/// What a store died of.
pub type BoxError = Box<dyn Error + Send + Sync>;

impl Storage {
    /// Opens the configured store. On disk, what is missing is made; a bucket must exist, and is not asked yet.
    ///
    /// # Errors
    /// As [`DiskStore::open`].
    pub async fn connect(config: &StorageConfig, role: Role) -> Result<Self, StorageError> {
        match config.clone() {
            StorageConfig::Disk { data_dir, signing_key, other_key } => {
                let open =
                    move || DiskStore::open(data_dir.as_std_path(), signing_key.as_ref(), other_key.as_ref(), role);
                let opened = tokio::task::spawn_blocking(open).await;
                opened.unwrap_or_else(|stopped| Err(StorageError::Unavailable(stopped.into()))).map(Self::Disk)
            }
            StorageConfig::S3 { bucket, endpoint, region, public_endpoint, path_style, sse } => {
                let credentials = None;
                let options = S3Options { bucket, endpoint, region, public_endpoint, path_style, sse, credentials };
                Ok(Self::S3(S3Store::open(&options, &role).await))
            }
        }
    }

    /// Stores the bytes of `file` under `key`, durable when it returns. `uploaded` hears how many bytes are there so
    /// far. Called again for the same key and file, it gives the same object. Nothing is left behind when it fails or
    /// is dropped, save that an object whose last step was already under way may appear.
    ///
    /// `file` may become the object itself (a hard link): do not write to it afterwards.
    ///
    /// # Errors
    /// All but [`StorageError::NotFound`] and [`StorageError::RangeOutside`].
    pub async fn put(
        &self,
        key: &ObjectKey,
        file: &Path,
        meta: &ObjectMeta,
        uploaded: impl Fn(u64) + Send + Sync,
    ) -> Result<(), StorageError> {
        let asked = self.calls().ask(Operation::Put);
        asked.answered(match self {
            Self::Disk(store) => store.put(key, file, uploaded).await,
            Self::S3(store) => store.put(key, file, meta, uploaded).await,
        })
    }

    /// Where bytes go that are no file yet. A directory has none: it takes a file by a link, which costs nothing.
    #[must_use]
    pub fn intake(&self) -> Option<Intake> {
        match self {
            Self::Disk(_) => None,
            Self::S3(store) => Some(Intake(store.clone())),
        }
    }

    /// Reads an object, or the bytes `first..=last` of it; `last` may lie behind the end.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::RangeOutside`], [`StorageError::Refused`],
    /// [`StorageError::Unavailable`].
    pub async fn open(&self, key: &ObjectKey, range: Option<RangeInclusive<u64>>) -> Result<ObjectBody, StorageError> {
        if range.as_ref().is_some_and(RangeInclusive::is_empty) {
            return Err(StorageError::RangeOutside);
        }
        let asked = self.calls().ask(Operation::Read);
        asked.answered(match self {
            Self::Disk(store) => store.read(key, range).await,
            Self::S3(store) => store.read(key, range).await,
        })
    }

    /// A link to the object for anyone who holds it. Does not ask whether the object exists.
    ///
    /// # Errors
    /// [`StorageError::Refused`] for a life the store does not allow, without credentials, and in a worker on disk;
    /// [`StorageError::Unavailable`] when credentials cannot be fetched.
    pub async fn link(&self, key: &ObjectKey, spec: &LinkSpec) -> Result<Url, StorageError> {
        let asked = self.calls().ask(Operation::Link);
        asked.answered(match self {
            Self::Disk(store) => store.link(key, spec, Timestamp::now()),
            Self::S3(store) => store.link(key, spec).await,
        })
    }

    /// Checks a link of the disk store: `key` and `query` are what follows `/files/` and `?` in the request.
    ///
    /// # Errors
    /// [`LinkError`]; always [`LinkError::Forged`] in a store that answers its links itself.
    pub fn verify_link(&self, key: &str, query: &str) -> Result<SignedLink, LinkError> {
        match self {
            Self::Disk(store) => store.verify_link(key, query, Timestamp::now()),
            Self::S3(_) => Err(LinkError::Forged),
        }
    }

    /// Removes an object and what a broken [`Storage::put`] of it left; one that is not there is no error.
    ///
    /// # Errors
    /// [`StorageError::Refused`], [`StorageError::Unavailable`].
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let asked = self.calls().ask(Operation::Delete);
        asked.answered(match self {
            Self::Disk(store) => store.delete(key).await,
            Self::S3(store) => store.delete(key).await,
        })
    }

    /// Returns when nothing is on its way into the store any more, and what was given up is removed as far as it can be. A
    /// runtime that ends earlier leaves parts behind. There is no limit of its own.
    pub async fn settled(&self) {
        match self {
            Self::Disk(_) => {}
            Self::S3(store) => store.settled().await,
        }
    }

    /// Whether the store can do what this process needs of it: read for the API, write for a worker. Answers within
    /// five seconds. On S3 a worker's question is a `PutObject`, which is paid for: see [`Self::answers`].
    ///
    /// # Errors
    /// [`StorageError::Full`], [`StorageError::Refused`], [`StorageError::Unavailable`].
    pub async fn ready(&self) -> Result<(), StorageError> {
        self.asked_whether_ready(async {
            match self {
                Self::Disk(store) => store.ready().await,
                Self::S3(store) => store.ready().await,
            }
        })
        .await
    }

    /// Whether the store is still there, for who knows what it can do. On S3 nothing is written, unless it does not say so
    /// plainly. Answers within five seconds.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn answers(&self) -> Result<(), StorageError> {
        self.asked_whether_ready(async {
            match self {
                Self::Disk(store) => store.ready().await,
                Self::S3(store) => store.answers().await,
            }
        })
        .await
    }

    async fn asked_whether_ready(
        &self,
        answer: impl Future<Output = Result<(), StorageError>>,
    ) -> Result<(), StorageError> {
        let asked = self.calls().ask(Operation::Ready);
        let answer = tokio::time::timeout(READY_WITHIN, answer).await;
        asked.answered(answer.unwrap_or_else(|late| Err(StorageError::Unavailable(late.into()))))
    }

    /// What is measured of its calls.
    #[must_use]
    pub fn calls(&self) -> &StorageCalls {
        match self {
            Self::Disk(store) => store.calls(),
            Self::S3(store) => store.calls(),
        }
    }
}

const READY_WITHIN: Duration = Duration::from_secs(5);

async fn size_of(file: &Path) -> Result<u64, StorageError> {
    // not followed: a link would put whatever it points at into the store
    let metadata = tokio::fs::symlink_metadata(file).await.map_err(StorageError::File)?;
    if metadata.is_file() {
        Ok(metadata.len())
    } else {
        Err(StorageError::File(io::Error::other("not a regular file")))
    }
}
