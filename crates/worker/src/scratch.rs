//! Scratch: one directory per attempt, gone whatever happens.
//!
//! Each life of a worker has a directory of its own below the work directory and keeps it locked; one that is not
//! locked belongs to a worker that died, and is swept at the next start.
//!
//! A slow disk holds up who asks it, so that none of this is done on the threads that the heartbeat needs.

mod quota;
mod remove;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use haul_shared::ids::WorkerId;
use haul_shared::job::{Failure, FailureKind};
use rustix::fs::{FlockOperation, flock};

pub(crate) use quota::Quota;

use remove::remove_tree;

/// The file that a living worker keeps locked.
const LOCK: &str = "lock";

/// The scratch of one life of a worker. Removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes it, and sweeps what dead workers left beside it.
    ///
    /// # Errors
    /// When the work directory cannot be made or written.
    pub async fn open(work_dir: PathBuf, worker: &WorkerId) -> io::Result<Self> {
        let dir = work_dir.join(worker.to_string());
        off_runtime(move || {
            DirBuilder::new().recursive(true).mode(0o700).create(&work_dir)?;
            sweep(&work_dir)?;
            Self::make(dir)
        })
        .await
    }

    /// One in a folder that is there, for who looks on beside the workers: it sweeps nothing.
    ///
    /// # Errors
    /// When nothing can be made in that folder.
    pub async fn aside(folder: &Path, worker: &WorkerId) -> io::Result<Self> {
        let dir = folder.join(worker.to_string());
        off_runtime(move || Self::make(dir)).await
    }

    fn make(dir: PathBuf) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(&dir)?;
        // named when it is locked: who sweeps meanwhile must not find it free
        let (unnamed, named) = (dir.join("lock.new"), dir.join(LOCK));
        let lock = File::create(&unnamed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        fs::rename(unnamed, named)?;
        Ok(Self { dir, _lock: lock })
    }

    /// Where it is: a directory that is this worker's alone.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A directory for one attempt.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn attempt(&self) -> io::Result<Folder> {
        let dir = self.dir.clone();
        off_runtime(move || {
            let made = tempfile::Builder::new().prefix("job-").rand_bytes(12).tempdir_in(dir)?;
            Ok(Folder(made.keep()))
        })
        .await
    }

    /// Bytes free for scratch.
    ///
    /// # Errors
    /// When the file system does not tell.
    pub async fn free_bytes(&self) -> io::Result<u64> {
        let dir = self.dir.clone();
        let facts = off_runtime(move || Ok(rustix::fs::statvfs(&dir)?)).await?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.dir) {
            tracing::warn!(%error, "scratch could not be removed; the next start sweeps it");
        }
    }
}

/// What it means that scratch cannot be written.
#[must_use]
pub fn failure(error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::DiskFull,
        _ => FailureKind::Internal,
    };
    Failure::new(kind, format!("scratch: {error}"))
}

/// The directory of one attempt. Dropped, it is removed on the spot, which may take long: [`Folder::remove`] is better.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Where it is; absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Removes everything in it but the folder of this name, as far as that can be done.
    pub async fn keep_only(&self, name: &'static str) {
        let dir = self.path().to_owned();
        let removed = off_runtime(move || {
            let mut kept = Ok(());
            for entry in fs::read_dir(dir)?.flatten().filter(|entry| entry.file_name() != name) {
                let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let place = entry.path();
                // what can't be removed keeps nothing else
                kept = kept.and(if is_dir { remove_tree(&place) } else { fs::remove_file(place) });
            }
            kept
        });
        if let Err(error) = removed.await {
            tracing::debug!(%error, "what an attempt leaves stays in scratch until its thumbnail is made");
        }
    }

    /// Removes it with everything in it.
    pub async fn remove(self) {
        // by what drops it
        let _ = off_runtime(move || {
            drop(self);
            Ok(())
        })
        .await;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.0) {
            tracing::warn!(%error, "the scratch of an attempt could not be removed; the next start sweeps it");
        }
    }
}

/// Does what waits for the disk on a thread where nobody else has to wait for it.
pub(crate) async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
}

/// Removes a file, or a folder with everything in it, before the attempt ends. That it can't be removed is nobody's fault:
/// it goes with the rest.
pub(crate) async fn make_room(place: &Path) {
    let place = place.to_owned();
    let removed = off_runtime(move || if place.is_dir() { remove_tree(&place) } else { fs::remove_file(place) });
    if let Err(error) = removed.await {
        tracing::debug!(%error, "what was given up stays in scratch until the attempt ends");
    }
}

fn sweep(work_dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(work_dir)? {
        let dir = entry?.path();
        let Ok(lock) = File::open(dir.join(LOCK)) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        match remove(&dir) {
            Ok(()) => tracing::info!("swept the scratch of a worker that had died"),
            Err(error) => tracing::warn!(%error, "the scratch of a worker that had died could not be swept"),
        }
    }
    Ok(())
}

/// Removes a worker's directory, its lock last: after a death half-way the rest is still swept.
fn remove(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    remove_tree(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn open(work: &Path) -> Scratch {
        Scratch::open(work.to_owned(), &WorkerId::on_host("a")).await.unwrap()
    }

    #[tokio::test]
    async fn the_scratch_of_the_dead_is_swept_and_that_of_the_living_is_not() {
        let work = tempfile::tempdir().unwrap();
        let living = open(work.path()).await;
        let dead = work.path().join("w-dead");
        fs::create_dir_all(dead.join("job-1")).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(dead.join("job-1/media.mp4"), "half").unwrap();

        let newcomer = open(work.path()).await;
        assert!(!dead.exists() && living.dir.exists());
        let [dropped, removed] = [newcomer.attempt().await.unwrap(), newcomer.attempt().await.unwrap()];
        let places = [&dropped, &removed].map(|folder| folder.path().to_owned());
        places.iter().for_each(|place| fs::write(place.join("media.mp4"), "x").unwrap());
        removed.remove().await;
        drop(dropped);
        assert!(places.iter().all(|place| !place.exists()));
        drop((living, newcomer));
        assert_eq!(fs::read_dir(work.path()).unwrap().count(), 0);
    }
}
