//! An upload in parts, a few of them on their way at the same time.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use haul_shared::job::Failure;
use haul_shared::storage::{StorageError, Upload};
use tokio::task::JoinSet;

use crate::pipeline::storage_failure;

/// Parts on their way at the same time; each is held in memory.
const PARTS_AT_ONCE: usize = 4;

/// An upload in parts.
pub(super) struct Parts {
    upload: Arc<Upload>,
    held: Vec<Bytes>,
    held_bytes: u64,
    /// The number of the next part.
    next: u32,
    on_their_way: JoinSet<Result<(), StorageError>>,
}

impl Parts {
    pub(super) fn of(upload: Upload) -> Self {
        Self { upload: Arc::new(upload), held: Vec::new(), held_bytes: 0, next: 0, on_their_way: JoinSet::new() }
    }

    pub(super) async fn take(&mut self, mut bytes: Bytes) -> Result<(), Failure> {
        let part_bytes = self.upload.part_bytes();
        while self.held_bytes + bytes.len() as u64 >= part_bytes {
            // as far as the part is not full: no more than there are
            self.held.push(bytes.split_to((part_bytes - self.held_bytes) as usize));
            self.held_bytes = part_bytes;
            self.flush().await?;
        }
        if !bytes.is_empty() {
            self.held_bytes += bytes.len() as u64;
            self.held.push(bytes);
        }
        Ok(())
    }

    /// Sends what is held, when fewer than [`PARTS_AT_ONCE`] are on their way.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        while self.on_their_way.len() >= PARTS_AT_ONCE {
            self.landed().await.map_err(|error| storage_failure(&error))?;
        }
        self.held_bytes = 0;
        let (number, body) = (self.next, mem::take(&mut self.held));
        if !body.is_empty() {
            self.next += 1;
            let upload = Arc::clone(&self.upload);
            self.on_their_way.spawn(async move { upload.part(number, body).await });
        }
        Ok(())
    }

    async fn landed(&mut self) -> Result<(), StorageError> {
        match self.on_their_way.join_next().await {
            None => Ok(()),
            Some(landed) => landed.unwrap_or_else(|stopped| Err(StorageError::Unavailable(stopped.into()))),
        }
    }

    pub(super) async fn finish(mut self, size_bytes: u64) -> Result<(), StorageError> {
        while !self.on_their_way.is_empty() {
            self.landed().await?;
        }
        let upload = Arc::into_inner(self.upload);
        upload.ok_or_else(|| StorageError::Unavailable("a part is still on its way".into()))?.finish(size_bytes).await
    }
}
