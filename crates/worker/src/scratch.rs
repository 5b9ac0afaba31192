//! Scratch: one directory per attempt, gone whatever happens.
//!
//! Each life of a worker has a directory of its own below the work directory and keeps it locked; one that is not
//! locked belongs to a worker that died, and is swept at the next start.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use haul_shared::ids::WorkerId;
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

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
    pub fn open(work_dir: &Path, worker: &WorkerId) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(work_dir)?;
        sweep(work_dir)?;
        let dir = work_dir.join(worker.to_string());
        DirBuilder::new().mode(0o700).create(&dir)?;
        let lock = File::create(dir.join("lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { dir, _lock: lock })
    }

    /// A directory for one attempt; removed with everything in it when dropped.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn attempt(&self) -> io::Result<TempDir> {
        tempfile::Builder::new().prefix("job-").rand_bytes(12).tempdir_in(&self.dir)
    }

    /// Bytes free for scratch.
    ///
    /// # Errors
    /// When the file system does not tell.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let facts = rustix::fs::statvfs(&self.dir)?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::warn!(%error, "scratch could not be removed; the next start sweeps it");
        }
    }
}

fn sweep(work_dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(work_dir)? {
        let dir = entry?.path();
        let Ok(lock) = File::open(dir.join("lock")) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            fs::remove_dir_all(&dir)?;
            tracing::info!("swept the scratch of a worker that had died");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scratch_of_the_dead_is_swept_and_that_of_the_living_is_not() {
        let work = tempfile::tempdir().unwrap();
        let living = Scratch::open(work.path(), &WorkerId::on_host("a")).unwrap();
        let dead = work.path().join("w-dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("lock"), "").unwrap();
        fs::write(dead.join("media.mp4"), "half").unwrap();

        let newcomer = Scratch::open(work.path(), &WorkerId::on_host("a")).unwrap();
        assert!(!dead.exists() && living.dir.exists());
        let attempt = newcomer.attempt().unwrap();
        fs::write(attempt.path().join("media.mp4"), "x").unwrap();
        let place = attempt.path().to_path_buf();
        drop(attempt);
        assert!(!place.exists());
        drop((living, newcomer));
        assert_eq!(fs::read_dir(work.path()).unwrap().count(), 0);
    }
}
