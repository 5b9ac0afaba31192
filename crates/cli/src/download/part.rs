//! A file that is still growing, and the hash of what it has so far.
//!
//! Whoever was killed left a part behind. Opened again, its bytes are hashed with those that follow, so that the file that
//! comes of it is the one that was promised, or none. One process at a time has a part, and in it one order ([`Turns`]).

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::OwnedMutexGuard;

use super::blocking;
use super::place::{Place, hash_of};
use crate::error::Error;
use crate::wire::Digest;

/// How often a part may be finished by another process just when it is opened.
const MOST_LOSSES: usize = 10;

/// An open part; its lock lives as long.
#[derive(Debug)]
pub struct Part {
    path: PathBuf,
    file: tokio::fs::File,
    hash: Sha256,
    size_bytes: u64,
    promised: Digest,
}

/// Which order of a command has which part. Two of them may come to the same bytes: by two spellings of one address, or
/// two jobs that share a run. Then one fetches them, and the other finds the file there.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits until no other order has the part of a file with these bytes, and keeps the others waiting until it is dropped.
    ///
    /// # Panics
    /// When another holder has panicked.
    pub async fn take(&self, place: &Place, promised: &Digest) -> OwnedMutexGuard<()> {
        let turn = self.0.lock().expect("no holder panics").entry(place.part(promised)).or_default().clone();
        turn.lock_owned().await
    }
}

impl Part {
    /// Opens the part of a file of this size with these bytes, or begins it. What it has is kept, unless it is more than
    /// the whole.
    ///
    /// # Errors
    /// When the system refuses, or another process has it.
    pub async fn open(place: &Place, whole_bytes: u64, promised: &Digest) -> Result<Self, Error> {
        let (path, promised) = (place.part(promised), promised.clone());
        blocking(move || {
            let opened = locked(&path).and_then(|mut file| {
                if file.metadata()?.len() > whole_bytes {
                    file.set_len(0)?;
                }
                let mut hash = Sha256::new();
                let size_bytes = hash_of(&mut file, &mut hash)?;
                file.seek(SeekFrom::Start(size_bytes))?;
                Ok((file, hash, size_bytes))
            });
            let (file, hash, size_bytes) = opened.map_err(|error| Error::file(&path, error))?;
            Ok(Self { path, file: file.into(), hash, size_bytes, promised })
        })
        .await
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Adds bytes at its end.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn add(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).await.map_err(|error| Error::file(&self.path, error))?;
        self.hash.update(bytes);
        self.size_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Begins anew, with no byte.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn restart(&mut self) -> Result<(), Error> {
        let emptied = async {
            self.file.flush().await?;
            self.file.set_len(0).await?;
            self.file.seek(SeekFrom::Start(0)).await
        };
        emptied.await.map_err(|error| Error::file(&self.path, error))?;
        (self.hash, self.size_bytes) = (Sha256::new(), 0);
        Ok(())
    }

    /// Makes it the file that it was to become.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when it has other bytes than were promised; then it is removed. Otherwise when the system
    /// refuses; then it stays.
    pub async fn finish(mut self, place: Place) -> Result<PathBuf, Error> {
        let kept = async {
            self.file.flush().await?;
            self.file.sync_all().await
        };
        kept.await.map_err(|error| Error::file(&self.path, error))?;
        let got = Digest::of(self.hash.clone());
        if got != self.promised {
            tokio::fs::remove_file(&self.path).await.map_err(|error| Error::file(&self.path, error))?;
            return Err(Error::Mismatch { got: got.hex().to_owned(), promised: self.promised.hex().to_owned() });
        }
        // the lock goes with `self`, after the name: nobody else takes what is whole for a part
        blocking(move || place.take(&self.path)).await
    }
}

/// Opens the file of this name, for this process alone.
fn locked(path: &Path) -> io::Result<File> {
    for _ in 0..MOST_LOSSES {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::Error::other("another process is saving it")),
            // a file system without locks has one user
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // whoever had the lock before may have made it the whole file, which now has another name
        let (ours, named) = (file.metadata()?, fs::metadata(path));
        if named.is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
            return Ok(file);
        }
    }
    Err(io::Error::other("others save it again and again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn opened(place: &Place, promised: &[u8]) -> Result<Part, Error> {
        Part::open(place, promised.len() as u64, &Digest::of(Sha256::new_with_prefix(promised))).await
    }

    #[tokio::test]
    async fn a_part_that_was_left_behind_is_gone_on_with_and_hashed_from_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path(), "talk.mp4".to_owned(), false);
        let whole = b"beginning and end";
        let mut part = opened(&place, whole).await.unwrap();
        part.add(b"beginning").await.unwrap();
        part.file.flush().await.unwrap();
        let second = opened(&place, whole).await;
        assert!(second.is_err_and(|error| error.to_string().contains("another process")));
        drop(part);

        let mut part = opened(&place, whole).await.unwrap();
        assert_eq!(part.size_bytes(), 9);
        part.add(b" and end").await.unwrap();
        let path = part.finish(place.clone()).await.unwrap();
        assert_eq!(
            (path, fs::read(dir.path().join("talk.mp4")).unwrap()),
            (dir.path().join("talk.mp4"), b"beginning and end".to_vec())
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn what_is_not_what_was_promised_is_removed_and_never_becomes_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path(), "talk.mp4".to_owned(), false);
        let mut part = opened(&place, b"right").await.unwrap();
        part.add(b"wrong").await.unwrap();
        assert!(matches!(part.finish(place.clone()).await, Err(Error::Mismatch { .. })));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        let of = |bytes: &[u8]| Digest::of(Sha256::new_with_prefix(bytes));
        // parts of different results have different names, and one that is too long is none
        fs::write(place.part(&of(b"right")), b"much longer than right").unwrap();
        assert_eq!(opened(&place, b"right").await.unwrap().size_bytes(), 0);
        assert_ne!(place.part(&of(b"right")), place.part(&of(b"other")));
    }

    #[tokio::test]
    async fn a_part_can_begin_anew() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path(), "talk.mp4".to_owned(), false);
        let mut part = opened(&place, b"right").await.unwrap();
        part.add(b"wro").await.unwrap();
        part.restart().await.unwrap();
        part.add(b"right").await.unwrap();
        let path = part.finish(place).await.unwrap();
        assert_eq!(fs::read(path).unwrap(), b"right");
    }
}
