//! What a bucket takes without there being a whole file: bytes in memory, or an object that comes in parts, of bytes in
//! memory or of a file that grows. Parts may be sent in any order and side by side, and nothing can be reached before the
//! last word is said.
//!
//! Decides how large a part is. Not here: what is said to the bucket (`s3`, `s3::multipart`, which also sees to it that
//! an upload which is given up or dropped leaves nothing behind).

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::s3::{S3Store, body_of, multipart};
use super::{ObjectKey, ObjectMeta, StorageError};
use crate::metrics::{Operation, StorageCalls};

pub(super) const MIB: u64 = 1024 * 1024;
/// The most parts that S3 takes.
pub(super) const PARTS: u64 = 10_000;
/// The smallest part that S3 takes, in bytes: each is held in memory until it is stored.
const PART: u64 = 5 * MIB;
/// The largest that is held so, in bytes.
const LARGEST: u64 = 8 * MIB;

/// How large the parts of so many bytes are, but for the last: whole MiB, at least `least`, and at most [`PARTS`].
/// All of one size: some servers want that.
pub(super) fn part_bytes(size_bytes: u64, least: u64) -> u64 {
    size_bytes.div_ceil(PARTS).next_multiple_of(MIB).max(least)
}

/// A store that takes more than files. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Intake(pub(super) S3Store);

impl Intake {
    /// What comes in parts without being a file has no more bytes than these: 78 GiB. Parts of more than 8 MiB would take
    /// too much memory, and some servers want all of one size.
    pub const MOST_BYTES: u64 = PARTS * LARGEST;

    /// Stores bytes that are in memory, in one call.
    ///
    /// # Errors
    /// [`StorageError::Full`], [`StorageError::Refused`], [`StorageError::Unavailable`].
    pub async fn put(&self, key: &ObjectKey, body: Vec<Bytes>, meta: &ObjectMeta) -> Result<(), StorageError> {
        let asked = self.0.calls().ask(Operation::Put);
        asked.answered(self.0.put_body(key, stream_of(body), &meta.content_type, &meta.sha256).await)
    }

    /// Begins to store an object of at most so many bytes, and at most [`Self::MOST_BYTES`], that comes in parts. Nothing is reachable before
    /// [`Upload::finish`]; what is kept beside the bytes is their type alone, for their hash is not known yet.
    ///
    /// # Errors
    /// [`StorageError::Full`], [`StorageError::Refused`], [`StorageError::Unavailable`].
    pub async fn begin(&self, key: &ObjectKey, most_bytes: u64, content_type: &str) -> Result<Upload, StorageError> {
        self.begin_parts(key, content_type, part_bytes(most_bytes.min(Self::MOST_BYTES), PART)).await
    }

    /// How large the parts are of a file that goes up while it grows, but for the last, in bytes.
    pub const PART_OF_FILE: u64 = LARGEST;

    /// The same for a file that grows, of at most [`Self::MOST_BYTES`], in parts of [`Self::PART_OF_FILE`].
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn begin_file(&self, key: &ObjectKey, content_type: &str) -> Result<Upload, StorageError> {
        self.begin_parts(key, content_type, Self::PART_OF_FILE).await
    }

    async fn begin_parts(&self, key: &ObjectKey, content_type: &str, part_bytes: u64) -> Result<Upload, StorageError> {
        let calls = self.0.calls().clone();
        let asked = calls.ask(Operation::Begin);
        let begun = asked.answered(multipart::Upload::begin(&self.0, key, content_type, None).await)?;
        Ok(Upload { begun, part_bytes, sent: Mutex::default(), calls })
    }
}

/// An object on its way into the store. Dropped before it is finished, it is given up: what was sent is removed in
/// the background. What dies with the process is removed by the bucket's own rule for incomplete uploads.
#[derive(Debug)]
pub struct Upload {
    begun: multipart::Upload,
    part_bytes: u64,
    /// Which parts are there, by number.
    sent: Mutex<BTreeMap<u32, Sent>>,
    calls: StorageCalls,
}

#[derive(Debug)]
struct Sent {
    length: u64,
    proof: CompletedPart,
}

impl Upload {
    /// How large every part but the last is, in bytes.
    #[must_use]
    pub fn part_bytes(&self) -> u64 {
        self.part_bytes
    }

    /// Sends a part; they are numbered from 0. Only the last one may be short. An attempt that fails is repeated here.
    ///
    /// # Errors
    /// [`StorageError::Refused`] for a part that is empty or too long, or one too many; [`StorageError::Full`],
    /// [`StorageError::Unavailable`].
    pub async fn part(&self, number: u32, body: Vec<Bytes>) -> Result<(), StorageError> {
        let length = body.iter().map(|bytes| bytes.len() as u64).sum();
        self.check(number, length)?;
        self.send(number, length, stream_of(body)).await
    }

    /// Sends so many bytes of a file as the part that they are by their place in it; they are read as they are sent, and must
    /// not change any more.
    ///
    /// # Errors
    /// As [`Self::part`]; [`StorageError::File`].
    pub async fn part_of(&self, number: u32, file: &Path, length: u64) -> Result<(), StorageError> {
        self.check(number, length)?;
        let body = body_of(file, u64::from(number) * self.part_bytes, length).await?;
        self.send(number, length, body).await
    }

    fn check(&self, number: u32, length: u64) -> Result<(), StorageError> {
        if length == 0 || length > self.part_bytes || u64::from(number) >= PARTS {
            return Err(StorageError::Refused("a part of a length that it can't have".into()));
        }
        Ok(())
    }

    async fn send(&self, number: u32, length: u64, body: ByteStream) -> Result<(), StorageError> {
        let named = i32::try_from(number + 1).map_err(|error| StorageError::Refused(error.into()))?;
        let asked = self.calls.ask(Operation::Part);
        let proof = asked.answered(self.begun.part(named, length, body).await)?;
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).insert(number, Sent { length, proof });
        Ok(())
    }

    /// Makes the object of its parts, so many bytes together, durable when it returns.
    ///
    /// # Errors
    /// [`StorageError::Refused`] when a part was not sent; [`StorageError::Full`], [`StorageError::Unavailable`]. There
    /// is no object then, save that one whose last step was already under way may appear.
    pub async fn finish(self, size_bytes: u64) -> Result<(), StorageError> {
        let sent = self.sent.into_inner().unwrap_or_else(PoisonError::into_inner);
        let lengths = |number: u64| self.part_bytes.min(size_bytes.saturating_sub(number * self.part_bytes));
        let is_whole = sent.len() as u64 == size_bytes.div_ceil(self.part_bytes)
            && sent.iter().all(|(number, part)| part.length == lengths(u64::from(*number)));
        if !is_whole {
            return Err(StorageError::Refused("a part was not sent".into()));
        }
        let parts = sent.into_values().map(|sent| sent.proof).collect();
        let asked = self.calls.ask(Operation::Complete);
        match asked.answered(self.begun.complete(parts, size_bytes).await) {
            Ok(()) => {
                self.begun.done();
                Ok(())
            }
            Err(error) => {
                self.begun.abort().await;
                Err(error)
            }
        }
    }

    /// Gives it up, and waits until what was sent is removed.
    pub async fn abort(self) {
        self.begun.abort().await;
    }
}

/// A body that can be sent again, without copying it together.
fn stream_of(body: Vec<Bytes>) -> ByteStream {
    ByteStream::new(SdkBody::retryable(move || SdkBody::from_body_1_x(Pieces(body.iter().cloned().collect()))))
}

/// Bytes one after the other, of a length that is known.
struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|bytes| bytes.len() as u64).sum())
    }
}
