//! The hash of a result, and the copy of it that is kept: both in the order of the bytes.

use std::fs::File;
use std::io;
use std::mem;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bytes::Bytes;
use haul_shared::job::Failure;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use crate::scratch::{self, off_runtime};
use crate::verify::outline::Outline;

/// Hashed and written in one go, in bytes.
const STEP: usize = 1 << 20;

/// Hashes, and writes the copy.
pub(super) struct Scribe {
    hash: Sha256,
    outline: Outline,
    copy: File,
    at: u64,
}

impl Scribe {
    pub(super) fn begin(copy: &Path, outline: Outline) -> io::Result<Self> {
        Ok(Self { hash: Sha256::new(), outline, copy: File::create_new(copy)?, at: 0 })
    }

    fn take(mut self, pieces: &[Bytes]) -> io::Result<Self> {
        for bytes in pieces {
            self.hash.update(bytes);
            for kept in self.outline.take(bytes) {
                self.copy.write_all_at(&bytes[kept.clone()], self.at + kept.start as u64)?;
            }
            self.at += bytes.len() as u64;
        }
        Ok(self)
    }
}

/// A scribe that works on a thread of its own while the next bytes come.
pub(super) struct Busy {
    scribe: JoinHandle<io::Result<Scribe>>,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

impl Busy {
    pub(super) fn new(scribe: Scribe) -> Self {
        Self { scribe: tokio::spawn(async { Ok(scribe) }), waiting: Vec::new(), waiting_bytes: 0 }
    }

    pub(super) async fn take(&mut self, bytes: Bytes) -> Result<(), Failure> {
        self.waiting_bytes += bytes.len();
        self.waiting.push(bytes);
        if self.waiting_bytes < STEP { Ok(()) } else { self.go_on().await }
    }

    async fn go_on(&mut self) -> Result<(), Failure> {
        let scribe = idle(&mut self.scribe).await?;
        self.waiting_bytes = 0;
        let pieces = mem::take(&mut self.waiting);
        self.scribe = tokio::spawn(off_runtime(move || scribe.take(&pieces)));
        Ok(())
    }

    /// The hash of everything, and how much the copy lacks; it is of full length now.
    pub(super) async fn end(&mut self, size_bytes: u64) -> Result<(String, u64), Failure> {
        self.go_on().await?;
        let Scribe { hash, outline, copy, .. } = idle(&mut self.scribe).await?;
        let sized = off_runtime(move || copy.set_len(size_bytes)).await;
        sized.map_err(|error| scratch::failure(&error))?;
        Ok((hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(), outline.left_out_bytes()))
    }
}

async fn idle(scribe: &mut JoinHandle<io::Result<Scribe>>) -> Result<Scribe, Failure> {
    let ended = scribe.await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
    ended.map_err(|error| scratch::failure(&error))
}
