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
use futures::StreamExt as _;
use futures::future::try_join_all;
use futures::stream::{self, BoxStream};
use haul_shared::job::{Failure, FailureKind};
use tokio::io::AsyncWriteExt as _;

use super::fifo;
use crate::scratch;

/// What of a flow is looked at before ffmpeg begins, in bytes: a first segment, and more than a second of anything.
const HEAD: usize = 4 << 20;

/// One chosen format on its way.
pub struct Flow {
    /// Its bytes in order. It ends with its last byte; an error is the failure of the job.
    pub bytes: BoxStream<'static, Result<Bytes, Failure>>,
    /// How long it plays, in seconds, if its playlist says so.
    pub seconds: Option<f64>,
}

/// A flow whose beginning lies in a file.
pub struct Begun {
    /// Which one it is, from 0.
    at: usize,
    /// Its first bytes.
    pub head: PathBuf,
    /// As the flow said.
    pub seconds: Option<f64>,
    /// The same bytes.
    first: Vec<Bytes>,
    /// What was not fetched yet.
    rest: BoxStream<'static, Result<Bytes, Failure>>,
}

/// Waits for the heads of all flows, in a folder.
///
/// # Errors
/// That of the first flow that fails; when the disk is full.
pub async fn begin(flows: Vec<Flow>, dir: &Path) -> Result<Vec<Begun>, Failure> {
    let begun = flows.into_iter().enumerate().map(|(at, flow)| async move {
        let Flow { mut bytes, seconds } = flow;
        let head = dir.join(format!("head-{at}"));
        let mut file = tokio::fs::File::create(&head).await.map_err(|error| scratch::failure(&error))?;
        let (mut first, mut length) = (Vec::new(), 0);
        while length < HEAD
            && let Some(piece) = bytes.next().await.transpose()?
        {
            file.write_all(&piece).await.map_err(|error| scratch::failure(&error))?;
            length += piece.len();
            first.push(piece);
        }
        file.flush().await.map_err(|error| scratch::failure(&error))?;
        Ok(Begun { at, head, seconds, first, rest: bytes })
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
    /// A pipe for the program that will read it.
    ///
    /// # Errors
    /// When the pipe can't be made.
    pub fn pipe(&self, dir: &Path) -> Result<PathBuf, Failure> {
        let pipe = dir.join(format!("flow-{}", self.at));
        fifo::make(&pipe).map_err(|error| scratch::failure(&error))?;
        Ok(pipe)
    }

    /// Feeds the program that reads the pipe, at most so many bytes; `passed` hears how many were taken.
    ///
    /// # Errors
    /// The flow's own; `too_large`. The program then sees the end of its pipe, and what it makes is worth nothing.
    pub async fn feed(self, pipe: &Path, most: u64, passed: impl Fn(u64)) -> Result<Fed, Failure> {
        let mut feed = fifo::feed(pipe).await.map_err(|error| scratch::failure(&error))?;
        let mut pieces = stream::iter(self.first.into_iter().map(Ok)).chain(self.rest);
        let mut length = 0;
        while let Some(piece) = pieces.next().await.transpose()? {
            length += piece.len() as u64;
            if length > most {
                return Err(Failure::new(FailureKind::TooLarge, format!("more than {most} bytes came")));
            }
            match feed.write(&piece).await {
                Ok(()) => passed(piece.len() as u64),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Fed::Cut),
                Err(error) => return Err(scratch::failure(&error)),
            }
        }
        Ok(Fed::Whole)
    }
}
