//! An object that goes to a bucket in one call while its bytes are still being made. Its length is told with the call, and
//! its last bytes are held back: what is cut off before they come is no object.
//!
//! Not here: when one call is better than parts (`haul-worker`), and what is said to the bucket (`s3`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::s3::SEND_WITHIN;
use super::upload::Intake;
use super::{ObjectKey, StorageError};
use crate::metrics::{Operation, StorageCalls};

/// Pieces that wait until the connection takes them.
const WAITING: usize = 8;
/// The connection takes nothing.
const STUCK_AFTER: Duration = Duration::from_secs(60);

impl Intake {
    /// Begins to store an object of exactly so many bytes, at most 5 GiB, in one call, while they come. It is tried once:
    /// what was sent is not there any more to be sent again. What is kept beside the bytes is their type alone.
    #[must_use]
    pub fn send(&self, key: &ObjectKey, size_bytes: u64, content_type: &str) -> Sending {
        let (bytes, waiting) = mpsc::channel(WAITING);
        let (tell, taken) = watch::channel(0);
        let body = ByteStream::new(SdkBody::from_body_1_x(Coming { waiting, to_come: size_bytes, taken: tell }));
        let (store, key, content_type) = (self.0.clone(), key.clone(), content_type.to_owned());
        let answer = tokio::spawn(async move { store.put_coming(&key, body, &content_type).await });
        let (answer, calls) = (AbortOnDropHandle::new(answer), self.0.calls().clone());
        Sending { bytes, taken, answer, size_bytes, to_come: size_bytes, last: None, calls }
    }
}

/// An object on its way into the store. Dropped before it is finished, it is given up, and leaves nothing.
#[derive(Debug)]
pub struct Sending {
    bytes: mpsc::Sender<Bytes>,
    /// By the connection, in bytes.
    taken: watch::Receiver<u64>,
    answer: AbortOnDropHandle<Result<(), StorageError>>,
    size_bytes: u64,
    /// Bytes that were not given yet.
    to_come: u64,
    /// The last ones, until it is finished.
    last: Option<Bytes>,
    calls: StorageCalls,
}

impl Sending {
    /// Gives the next bytes; waits as long as enough of them wait for the connection. With the last ones it returns at once.
    ///
    /// # Errors
    /// [`StorageError::Refused`] for more bytes than were announced; [`StorageError::Full`],
    /// [`StorageError::Unavailable`]. It is lost then.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let left = self.to_come.checked_sub(bytes.len() as u64);
        self.to_come = left.ok_or_else(|| StorageError::Refused("more bytes than were announced".into()))?;
        if self.to_come == 0 {
            self.last = Some(bytes);
            return Ok(());
        }
        self.give(bytes).await.inspect_err(|error| self.calls.failed(Operation::Send, error))
    }

    async fn give(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        match timeout(STUCK_AFTER, self.bytes.send(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.lost().await),
            Err(_) => Err(StorageError::Unavailable("it takes no more bytes".into())),
        }
    }

    /// Waits until the connection has taken so many bytes.
    ///
    /// # Errors
    /// [`StorageError::Refused`], [`StorageError::Full`], [`StorageError::Unavailable`]. It is lost then.
    pub async fn has_taken(&mut self, bytes: u64) -> Result<(), StorageError> {
        match self.taken.wait_for(|taken| *taken >= bytes).await.map(drop) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.lost().await),
        }
    }

    /// Sends the last bytes. All were given.
    ///
    /// # Errors
    /// [`StorageError::Refused`], also when bytes are missing; [`StorageError::Full`], [`StorageError::Unavailable`]. There
    /// is no object then, save that one whose answer was lost may appear.
    pub async fn finish(mut self) -> Result<(), StorageError> {
        let last = self.last.take().ok_or_else(|| StorageError::Refused("bytes are missing".into()))?;
        let calls = self.calls.clone();
        // what it took until here is the time of who made the bytes
        calls.ask(Operation::Send).answered(self.end_with(last).await)
    }

    async fn end_with(&mut self, last: Bytes) -> Result<(), StorageError> {
        self.give(last).await?;
        let answer = timeout(SEND_WITHIN, &mut self.answer).await;
        let answer = answer.map_err(|_| StorageError::Unavailable("no answer in time".into()))?;
        answer.unwrap_or_else(|stopped| Err(StorageError::Unavailable(stopped.into())))?;
        if *self.taken.borrow() == self.size_bytes { Ok(()) } else { Err(early()) }
    }

    /// Why nobody takes its bytes.
    async fn lost(&mut self) -> StorageError {
        match (&mut self.answer).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) => early(),
            Err(stopped) => StorageError::Unavailable(stopped.into()),
        }
    }
}

/// It says that it has what it has not.
fn early() -> StorageError {
    StorageError::Unavailable("an answer before the last bytes".into())
}

/// The body of the call.
struct Coming {
    waiting: mpsc::Receiver<Bytes>,
    to_come: u64,
    taken: watch::Sender<u64>,
}

impl Body for Coming {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.to_come == 0 {
            return Poll::Ready(None);
        }
        self.waiting.poll_recv(cx).map(|bytes| {
            // an end would do as well, for the length was told; an error leaves no doubt
            let Some(bytes) = bytes else { return Some(Err(io::ErrorKind::UnexpectedEof.into())) };
            self.to_come = self.to_come.saturating_sub(bytes.len() as u64);
            self.taken.send_modify(|taken| *taken += bytes.len() as u64);
            Some(Ok(Frame::data(bytes)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.to_come == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.to_come)
    }
}
