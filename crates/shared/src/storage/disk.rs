//! The store in a directory that the API and the workers share.
//!
//! ```text
//! <data_dir>/objects/m/<job>/<fence>/media.<ext>        an object
//! <data_dir>/objects/m/<job>/<fence>/media.<ext>.part   one being made; a crash leaves it until `delete`
//! <data_dir>/signing.key                                signs links, unless a key is configured
//! ```
//! An object appears by a rename, whole and durable, or not at all. The folder `m` is made by the first and never removed:
//! where it is missing nothing was lost. Nothing was ever stored there, or the disk is not mounted.

mod part;
mod walk;

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;
use url::Url;

pub(super) use walk::Walk;

use super::{LinkError, LinkSpec, ObjectBody, ObjectKey, Role, SignedLink, SigningKey, StorageError};
use crate::metrics::StorageCalls;

/// All keys begin with it.
const TOP: &str = "m";
/// How much is read at once, in bytes.
const CHUNK: usize = 256 * 1024;

/// The store in a directory.
#[derive(Debug, Clone)]
pub struct DiskStore {
    objects: PathBuf,
    /// None in a worker: it makes no links and needs no key.
    links: Option<Links>,
    calls: StorageCalls,
}

#[derive(Debug, Clone)]
struct Links {
    public_url: Url,
    key: SigningKey,
    /// Whose links are taken too: the next key, or the last one.
    other: Option<SigningKey>,
}

impl DiskStore {
    /// Opens the store below `data_dir`, making what is missing: directories of mode 0700 and, for the API without a
    /// configured key, the signing key. Links of `other_key` are taken too. Blocks for a few file operations.
    ///
    /// # Errors
    /// [`StorageError::Full`], [`StorageError::Refused`], [`StorageError::Unavailable`].
    pub fn open(
        data_dir: &Path,
        signing_key: Option<&SecretString>,
        other_key: Option<&SecretString>,
        role: Role,
    ) -> Result<Self, StorageError> {
        let objects = data_dir.join("objects");
        make_directories(&objects).map_err(fault)?;
        let links = match role {
            Role::Worker => None,
            Role::Api { public_url } => {
                let key = match signing_key {
                    Some(secret) => SigningKey::from_secret(secret),
                    None => SigningKey::load_or_create(&Self::signing_key(data_dir)).map_err(fault)?,
                };
                Some(Links { public_url, key, other: other_key.map(SigningKey::from_secret) })
            }
        };
        Ok(Self { objects, links, calls: StorageCalls::new("disk") })
    }

    pub(super) fn calls(&self) -> &StorageCalls {
        &self.calls
    }

    /// The store below `data_dir` as it is: nothing is made, and there are no links. For who looks at it.
    #[must_use]
    pub fn as_it_is(data_dir: &Path) -> Self {
        Self { objects: data_dir.join("objects"), links: None, calls: StorageCalls::new("disk") }
    }

    /// Where the key is that signs links, unless one is configured.
    #[must_use]
    pub fn signing_key(data_dir: &Path) -> PathBuf {
        data_dir.join("signing.key")
    }

    /// Where objects lie.
    #[must_use]
    pub fn objects(&self) -> &Path {
        &self.objects
    }

    pub(super) async fn put(
        &self,
        key: &ObjectKey,
        file: &Path,
        uploaded: impl Fn(u64) + Send + Sync,
    ) -> Result<(), StorageError> {
        part::put(&self.objects, &self.path(key), file, uploaded).await
    }

    pub(super) async fn read(
        &self,
        key: &ObjectKey,
        range: Option<RangeInclusive<u64>>,
    ) -> Result<ObjectBody, StorageError> {
        let mut file = match tokio::fs::File::open(self.path(key)).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // a disk that is not mounted has lost nothing; `objects` itself is made by each start, mounted or not
                tokio::fs::metadata(self.objects.join(TOP)).await.map_err(fault)?;
                return Err(StorageError::NotFound);
            }
            Err(error) => return Err(fault(error)),
        };
        let about = file.metadata().await.map_err(fault)?;
        let total_bytes = about.len();
        let modified = about.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
        let body_bytes = match range {
            None => total_bytes,
            Some(range) if *range.start() < total_bytes => {
                file.seek(io::SeekFrom::Start(*range.start())).await.map_err(fault)?;
                total_bytes.min(range.end().saturating_add(1)) - range.start()
            }
            Some(_) => return Err(StorageError::RangeOutside),
        };
        let body = ReaderStream::with_capacity(file.take(body_bytes), CHUNK).boxed();
        Ok(ObjectBody { total_bytes, modified, body_bytes, body })
    }

    pub(super) fn link(&self, key: &ObjectKey, spec: &LinkSpec, now: Timestamp) -> Result<Url, StorageError> {
        let links = self.links.as_ref().ok_or_else(|| StorageError::Refused("a worker makes no links".into()))?;
        let life = SignedDuration::try_from(spec.expires_in).map_err(|error| StorageError::Refused(error.into()))?;
        let end = now.checked_add(life).map_err(|error| StorageError::Refused(error.into()))?;
        let link = SignedLink {
            key: key.clone(),
            // the next whole second: never less than was promised
            expires_at: end.as_second() + i64::from(end.subsec_nanosecond() > 0),
            filename: spec.filename.clone(),
            content_type: spec.content_type.clone(),
            inline: spec.inline,
        };
        Ok(link.sign(&links.public_url, &links.key))
    }

    pub(super) fn verify_link(&self, key: &str, query: &str, now: Timestamp) -> Result<SignedLink, LinkError> {
        let links = self.links.as_ref().ok_or(LinkError::Forged)?;
        match (SignedLink::verify(key, query, &links.key, now), &links.other) {
            (Err(LinkError::Forged), Some(other)) => SignedLink::verify(key, query, other, now),
            (told, _) => told,
        }
    }

    pub(super) async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let (objects, object) = (self.objects.clone(), self.path(key));
        blocking(move || {
            for file in [part::beside(&object), object.clone()] {
                match fs::remove_file(&file) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            remove_empty_parents(&objects, &object);
            Ok(())
        })
        .await
        .map_err(fault)
    }

    pub(super) async fn ready(&self) -> Result<(), StorageError> {
        let (objects, reads_only) = (self.objects.clone(), self.links.is_some());
        blocking(move || {
            if reads_only {
                return fs::read_dir(&objects).map(drop);
            }
            let mut probe = tempfile::Builder::new().prefix(".ready.").tempfile_in(&objects)?;
            io::Write::write_all(&mut probe, b"ready")
        })
        .await
        .map_err(fault)
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.objects.join(key.as_str())
    }
}

fn make_directories(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes the directories between [`TOP`] and the object, up to the first that is not empty.
fn remove_empty_parents(objects: &Path, object: &Path) {
    let between = object.ancestors().skip(1).take_while(|parent| parent.parent() != Some(objects));
    for parent in between {
        // not empty, or already gone: both are fine, and nothing else is worth failing for
        if fs::remove_dir(parent).is_err() {
            return;
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
}

fn fault(error: io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::InvalidData => {
            StorageError::Refused(error.into())
        }
        _ => StorageError::Unavailable(error.into()),
    }
}
