//! Flows: chosen formats on their way as ordered bytes, into an ffmpeg that works while they come.
//!
//! Decides when a flow is whole. One that fails, or ends before its own structure does, fails the job, whatever flawless
//! short file ffmpeg makes of its beginning.
//!
//! No flow waits for another one: each has a pipe of its own. ffmpeg reads them by their time stamps, so that one may have
//! to stand still for long while the other is read. A fetcher that shares a bound among them has to keep something for
//! each: the one that stands still must not hold all that the other needs.
//!
//! Not here: where a flow comes from, how much of it is looked at before, and whether what comes is what was meant to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use haul_shared::job::{Failure, FailureKind};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

use super::fifo;
use crate::container::Container;
use crate::scratch;
use crate::verify::whole::Whole;

/// Read of a head at once, in bytes.
const PIECE: usize = 256 << 10;
/// For whoever is not ready for the end: nothing comes any more that could make it so.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// The beginning of a format that is on its way.
#[derive(Debug, Clone)]
pub struct Head {
    /// Its first bytes, enough to tell what it is.
    pub file: PathBuf,
    /// How long all of it plays, in seconds, if its playlist says so.
    pub seconds: Option<f64>,
}

impl Head {
    /// A pipe beside it, for the program that will read all of it.
    ///
    /// # Errors
    /// When the pipe can't be made.
    pub fn pipe(&self) -> Result<PathBuf, Failure> {
        let pipe = self.file.with_added_extension("pipe");
        fifo::make(&pipe).map_err(|error| scratch::failure(&error))?;
        Ok(pipe)
    }
}

/// One chosen format on its way. Nothing of its head is held in memory: a fetcher may have to wait for what is held.
pub struct Flow<'a> {
    /// Its beginning.
    pub head: Head,
    /// What follows, in order. It ends with the last byte; an error is the failure of the job.
    pub rest: BoxStream<'a, Result<Bytes, Failure>>,
    /// Grows while anything arrives for it: what waits for it is not silent.
    pub arrived: Arc<AtomicU64>,
}

/// How feeding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fed {
    /// Every byte was taken.
    Whole,
    /// The program reads no more.
    Cut,
}

impl<'a> Flow<'a> {
    /// All of its bytes.
    ///
    /// # Errors
    /// When its head can't be read.
    pub async fn bytes(self) -> Result<BoxStream<'a, Result<Bytes, Failure>>, Failure> {
        let head = File::open(&self.head.file).await.map_err(|error| scratch::failure(&error))?;
        let head = ReaderStream::with_capacity(head, PIECE).map_err(|error| scratch::failure(&error));
        Ok(head.chain(self.rest).boxed())
    }

    /// All of it in a file: what follows is written behind its head.
    ///
    /// # Errors
    /// The flow's own; when the disk is full.
    pub async fn land(mut self) -> Result<PathBuf, Failure> {
        let failed = |error: io::Error| scratch::failure(&error);
        let mut file = File::options().append(true).open(&self.head.file).await.map_err(failed)?;
        while let Some(piece) = self.rest.next().await.transpose()? {
            file.write_all(&piece).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        Ok(self.head.file)
    }

    /// Feeds the program that reads the pipe, at most so many bytes. It does not see the end before it is `ready` to end,
    /// or a moment has passed.
    ///
    /// # Errors
    /// The flow's own; `too_large`; `corrupt_media` when it ends before its structure does. The program then sees the end
    /// of its pipe, and what it makes is worth nothing.
    pub(super) async fn feed(
        self,
        pipe: &Path,
        container: Container,
        most: u64,
        ready: &CancellationToken,
    ) -> Result<Fed, Failure> {
        let mut feed = fifo::feed(pipe).await.map_err(|error| scratch::failure(&error))?;
        let mut pieces = self.bytes().await?;
        let (mut length, mut whole) = (0, Whole::of(container));
        while let Some(piece) = pieces.next().await.transpose()? {
            length += piece.len() as u64;
            if length > most {
                return Err(Failure::new(FailureKind::TooLarge, format!("more than {most} bytes came")));
            }
            if let Some(whole) = &mut whole {
                whole.take(&piece);
            }
            match feed.write(&piece).await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Fed::Cut),
                Err(error) => return Err(scratch::failure(&error)),
            }
        }
        if whole.is_some_and(|whole| whole.is_cut()) {
            return Err(Failure::new(FailureKind::CorruptMedia, "a flow ends before its structure does"));
        }
        let _ = timeout(READY_WITHIN, ready.cancelled()).await;
        Ok(Fed::Whole)
    }
}
