//! Flows: chosen formats on their way as ordered bytes, into an ffmpeg that works while they come.
//!
//! Decides what is known of a flow before it is whole (its head is kept in a file and looked at, like a downloaded file),
//! and when a flow is whole. One that fails fails the job, whatever flawless short file ffmpeg makes of its beginning.
//!
//! No flow waits for another one: each has a pipe and a bound of its own. ffmpeg reads them by their time stamps, so that
//! one may have to stand still for long while the other is read. A fetcher must not share one bound among two flows:
//! the one that stands still would keep what the other needs.
//!
//! Not here: where a flow comes from, and whether it is whole: it says so itself.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use haul_shared::job::{Failure, FailureKind};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

use super::fifo;
use crate::scratch;

/// What of a flow is looked at before ffmpeg begins, in bytes: a first segment, and more than a second of anything.
const HEAD: usize = 4 << 20;
/// Read of a head at once, in bytes.
const PIECE: usize = 256 << 10;

/// One chosen format on its way.
pub struct Flow {
    /// Its bytes in order. It ends with its last byte; an error is the failure of the job.
    pub bytes: BoxStream<'static, Result<Bytes, Failure>>,
    /// How long it plays, in seconds, if its playlist says so.
    pub seconds: Option<f64>,
}

/// A flow whose beginning lies in a file.
pub struct Begun {
    /// Its first bytes.
    pub head: PathBuf,
    /// As the flow said.
    pub seconds: Option<f64>,
    /// What was not fetched yet.
    rest: BoxStream<'static, Result<Bytes, Failure>>,
}

/// Waits for the heads of all flows, in a folder. Nothing of them is held in memory: a fetcher may have to wait for it.
///
/// # Errors
/// That of the first flow that fails; when the disk is full.
pub async fn begin(flows: Vec<Flow>, dir: &Path) -> Result<Vec<Begun>, Failure> {
    let begun = flows.into_iter().enumerate().map(|(at, flow)| async move {
        let Flow { mut bytes, seconds } = flow;
        let head = dir.join(format!("head-{at}"));
        let mut file = File::create(&head).await.map_err(|error| scratch::failure(&error))?;
        let mut length = 0;
        while length < HEAD
            && let Some(piece) = bytes.next().await.transpose()?
        {
            file.write_all(&piece).await.map_err(|error| scratch::failure(&error))?;
            length += piece.len();
        }
        file.flush().await.map_err(|error| scratch::failure(&error))?;
        Ok(Begun { head, seconds, rest: bytes })
    });
    try_join_all(begun).await
}

/// How feeding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fed {
    /// Every byte was taken.
    Whole,
    /// The program reads no more.
    Cut,
}

impl Begun {
    /// A pipe for the program that will read it, beside its head.
    ///
    /// # Errors
    /// When the pipe can't be made.
    pub fn pipe(&self) -> Result<PathBuf, Failure> {
        let pipe = self.head.with_added_extension("pipe");
        fifo::make(&pipe).map_err(|error| scratch::failure(&error))?;
        Ok(pipe)
    }

    /// All of its bytes.
    ///
    /// # Errors
    /// When its head can't be read.
    pub async fn bytes(self) -> Result<BoxStream<'static, Result<Bytes, Failure>>, Failure> {
        let head = File::open(&self.head).await.map_err(|error| scratch::failure(&error))?;
        let head = ReaderStream::with_capacity(head, PIECE).map_err(|error| scratch::failure(&error));
        Ok(head.chain(self.rest).boxed())
    }

    /// Feeds the program that reads the pipe, at most so many bytes.
    ///
    /// # Errors
    /// The flow's own; `too_large`. The program then sees the end of its pipe, and what it makes is worth nothing.
    pub(super) async fn feed(self, pipe: &Path, most: u64) -> Result<Fed, Failure> {
        let mut feed = fifo::feed(pipe).await.map_err(|error| scratch::failure(&error))?;
        let mut pieces = self.bytes().await?;
        let mut length = 0;
        while let Some(piece) = pieces.next().await.transpose()? {
            length += piece.len() as u64;
            if length > most {
                return Err(Failure::new(FailureKind::TooLarge, format!("more than {most} bytes came")));
            }
            match feed.write(&piece).await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Fed::Cut),
                Err(error) => return Err(scratch::failure(&error)),
            }
        }
        Ok(Fed::Whole)
    }
}
