//! Named pipes in scratch: bytes into a program, and out of it, that no disk sees.
//!
//! Decides how the two ends find each other, and when a pipe has ended. A program opens its pipes when it likes, or
//! never: what is fed waits for its reader, and what is drained has ended when the program has, whether or not it ever
//! opened the pipe.
//!
//! Not here: who writes what, and what it means that one of them gave up.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::io::Errno;
use rustix::pipe::fcntl_setpipe_size;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::{OpenOptions, Receiver, Sender};
use tokio::time::sleep;

/// What a pipe holds, in bytes, where the system allows that much: its usual 64 KiB mean a switch of processes each.
const ROOM: usize = 1 << 20;
/// What is taken out at once at most, in bytes.
const PIECE: usize = 256 << 10;
/// Pieces share a buffer until there is less room than this in it: a program that writes little at a time would have each
/// piece keep a whole one.
const LEAST: usize = 16 << 10;
/// Between two looks whether a program has opened its pipe.
const LOOK: Duration = Duration::from_millis(5);

/// Makes a named pipe, for us and our programs alone.
///
/// # Errors
/// As the system says.
pub fn make(path: &Path) -> io::Result<()> {
    Ok(mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?)
}

/// Opens a pipe to feed it, once a program has opened it to read. Dropped, it is at its end.
///
/// # Errors
/// When it can't be opened.
pub async fn feed(path: &Path) -> io::Result<Feed> {
    loop {
        match OpenOptions::new().open_sender(path) {
            Ok(sender) => {
                // less room is no harm
                let _ = fcntl_setpipe_size(&sender, ROOM);
                return Ok(Feed(sender));
            }
            // nobody reads yet, and there is no call that waits for somebody and can be given up
            Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => sleep(LOOK).await,
            Err(error) => return Err(error),
        }
    }
}

/// The end of a pipe that a program reads.
#[derive(Debug)]
pub struct Feed(Sender);

impl Feed {
    /// Writes all of it; waits for the program to have read enough.
    ///
    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] when the program reads no more.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }
}

/// The end of a pipe that a program writes.
#[derive(Debug)]
pub struct Drain {
    pipe: Receiver,
    piece: BytesMut,
}

/// Keeps a drained pipe from ending. To be dropped when the program has ended.
#[derive(Debug)]
pub struct Keeper {
    _sender: Sender,
}

/// Opens a pipe to drain it, before the program that writes is started.
///
/// # Errors
/// When it can't be opened.
pub fn drain(path: &Path) -> io::Result<(Drain, Keeper)> {
    let pipe = OpenOptions::new().open_receiver(path)?;
    let keeper = Keeper { _sender: OpenOptions::new().open_sender(path)? };
    let _ = fcntl_setpipe_size(&pipe, ROOM);
    Ok((Drain { pipe, piece: BytesMut::new() }, keeper))
}

impl Drain {
    /// The next bytes, at most 256 KiB; `None` when the keeper is gone and everything was taken. May be dropped and
    /// called again.
    ///
    /// # Errors
    /// As the system says.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.piece.capacity() < LEAST {
            self.piece.reserve(PIECE);
        }
        let read = self.pipe.read_buf(&mut self.piece).await?;
        Ok((read > 0).then(|| self.piece.split().freeze()))
    }
}
