//! An object that comes in parts: they may be sent in any order and side by side, and nothing can be reached before
//! the last word is said.
//!
//! Decides how large a part is. Not here: what a part becomes in a directory (`disk::part`) or a bucket
//! (`s3::multipart`), which also see to it that an upload which is given up or dropped leaves nothing behind.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::StorageError;
use super::disk::part;
use super::s3::multipart;

pub(super) const MIB: u64 = 1024 * 1024;
/// The most parts that S3 takes.
pub(super) const PARTS: u64 = 10_000;
/// The smallest part that S3 takes, in bytes; whoever fetches has to keep that many in memory.
const PART: u64 = 5 * MIB;

/// How large the parts of so many bytes are, but for the last: whole MiB, at least `least`, and at most [`PARTS`].
/// All of one size: some servers want that.
pub(super) fn part_bytes(size_bytes: u64, least: u64) -> u64 {
    size_bytes.div_ceil(PARTS).next_multiple_of(MIB).max(least)
}

/// An object on its way into the store. Dropped before it is finished, it is given up: what was sent is removed in
/// the background. What dies with the process is removed with the object's reservation on disk, and by the bucket's
/// own rule for incomplete uploads on S3.
#[derive(Debug)]
pub struct Upload {
    kind: Kind,
    size_bytes: u64,
    part_bytes: u64,
    /// Which parts are there, by number.
    sent: Mutex<BTreeMap<u32, Sent>>,
}

#[derive(Debug)]
enum Kind {
    Disk(part::Upload),
    S3(multipart::Upload),
}

#[derive(Debug)]
struct Sent {
    length: u64,
    /// None on disk.
    proof: Option<CompletedPart>,
}

impl Upload {
    pub(super) fn to_disk(upload: part::Upload, size_bytes: u64) -> Self {
        Self::of(Kind::Disk(upload), size_bytes)
    }

    pub(super) fn to_bucket(upload: multipart::Upload, size_bytes: u64) -> Self {
        Self::of(Kind::S3(upload), size_bytes)
    }

    fn of(kind: Kind, size_bytes: u64) -> Self {
        Self { kind, size_bytes, part_bytes: part_bytes(size_bytes, PART), sent: Mutex::default() }
    }

    /// How large parts of an object of so many bytes are, in bytes.
    #[must_use]
    pub fn part_bytes_of(size_bytes: u64) -> u64 {
        part_bytes(size_bytes, PART)
    }

    /// How large every part but the last is, in bytes.
    #[must_use]
    pub fn part_bytes(&self) -> u64 {
        self.part_bytes
    }

    /// Sends a part; they are numbered from 0. Each is sent once; an attempt that fails is repeated here.
    ///
    /// # Errors
    /// [`StorageError::Refused`] for a part of another length than it must have; [`StorageError::Full`],
    /// [`StorageError::Unavailable`].
    pub async fn part(&self, number: u32, body: Vec<Bytes>) -> Result<(), StorageError> {
        let length: u64 = body.iter().map(|bytes| bytes.len() as u64).sum();
        let offset = u64::from(number) * self.part_bytes;
        if length == 0 || length != self.part_bytes.min(self.size_bytes.saturating_sub(offset)) {
            return Err(StorageError::Refused("a part of another length than it must have".into()));
        }
        let proof = match &self.kind {
            Kind::Disk(upload) => {
                upload.write(offset, body).await?;
                None
            }
            Kind::S3(upload) => {
                let number = i32::try_from(number + 1).map_err(|error| StorageError::Refused(error.into()))?;
                Some(upload.part(number, length, stream_of(body)).await?)
            }
        };
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).insert(number, Sent { length, proof });
        Ok(())
    }

    /// Makes the object of its parts, durable when it returns.
    ///
    /// # Errors
    /// [`StorageError::Refused`] when a part was not sent; [`StorageError::Full`], [`StorageError::Unavailable`]. There
    /// is no object then, save that one whose last step was already under way may appear.
    pub async fn finish(self) -> Result<(), StorageError> {
        let sent = self.sent.into_inner().unwrap_or_else(PoisonError::into_inner);
        if sent.values().map(|sent| sent.length).sum::<u64>() != self.size_bytes {
            return Err(StorageError::Refused("a part was not sent".into()));
        }
        match self.kind {
            Kind::Disk(upload) => upload.finish().await,
            Kind::S3(upload) => {
                let parts = sent.into_values().filter_map(|sent| sent.proof).collect();
                match upload.complete(parts, self.size_bytes).await {
                    Ok(()) => {
                        upload.done();
                        Ok(())
                    }
                    Err(error) => {
                        upload.abort().await;
                        Err(error)
                    }
                }
            }
        }
    }

    /// Gives it up, and waits until what was sent is removed.
    pub async fn abort(self) {
        match self.kind {
            Kind::Disk(upload) => drop(upload),
            Kind::S3(upload) => upload.abort().await,
        }
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
