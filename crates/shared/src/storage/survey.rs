//! What lies in a store under names of ours, page by page. What has other names is a stranger's, and passed over.
//!
//! Not here: which of it is wanted (`store::orphans`), and who looks when (`worker::orphans`).

use jiff::Timestamp;

use super::{ObjectKey, Storage, StorageError, disk, s3};
use crate::metrics::{Operation, StorageCalls};

/// Things of one page, at most; also what S3 gives at most.
pub(super) const PAGE: usize = 1000;

/// Something in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name that it has, or is meant to get.
    pub key: ObjectKey,
    /// As the store counts; 0 for an upload.
    pub size_bytes: u64,
    /// When it was put there, or an upload was begun, by the store's clock; of a file that never became an object, when it was
    /// last written.
    pub modified: Timestamp,
    pub(super) what: What,
}

/// How far it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// An object.
    Object,
    /// On disk: a file that was to become one.
    Part,
    /// In a bucket: an upload in parts that was neither completed nor aborted, by its id.
    Upload(String),
}

/// A look at all that lies in a store.
#[derive(Debug)]
pub struct Survey {
    way: Way,
    calls: StorageCalls,
}

#[derive(Debug)]
enum Way {
    /// None while a page is read: a read that hangs is given up with its walk.
    Disk(Option<disk::Walk>),
    S3(s3::Pages),
}

impl Storage {
    /// Begins a survey. What is put or removed meanwhile may be missed.
    #[must_use]
    pub fn survey(&self) -> Survey {
        let way = match self {
            Self::Disk(store) => Way::Disk(Some(store.walk())),
            Self::S3(store) => Way::S3(store.pages()),
        };
        Survey { way, calls: self.calls().clone() }
    }

    /// Removes what a survey found. On disk another file by now stays; in a bucket no name of ours is used again.
    ///
    /// # Errors
    /// [`StorageError::Refused`], [`StorageError::Unavailable`].
    pub async fn remove(&self, found: &Found) -> Result<(), StorageError> {
        let asked = self.calls().ask(Operation::Delete);
        asked.answered(match self {
            Self::Disk(store) => store.remove(found).await,
            Self::S3(store) => store.remove(found).await,
        })
    }
}

impl Survey {
    /// The next things, perhaps none where all are strangers'; `None` at the end. The caller sets the limit of time.
    ///
    /// # Errors
    /// [`StorageError::Refused`], [`StorageError::Unavailable`]: the survey is over then.
    pub async fn next(&mut self) -> Result<Option<Vec<Found>>, StorageError> {
        self.calls.ask(Operation::List).answered(self.way.next().await)
    }
}

impl Way {
    async fn next(&mut self) -> Result<Option<Vec<Found>>, StorageError> {
        match self {
            Self::S3(pages) => pages.next().await,
            Self::Disk(place) => {
                let walk = place.take().ok_or_else(|| StorageError::Unavailable("the walk was given up".into()))?;
                let (walk, page) = walk.page().await?;
                *place = Some(walk);
                Ok(page)
            }
        }
    }
}
