//! A connection to a host that was judged. Every byte is counted, and none passes over a cap.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use super::{Guard, Refusal};

/// The place of one connection; several addresses are tried on one.
pub(crate) type Seat = Arc<OwnedSemaphorePermit>;

/// Who speaks over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    /// We do: questions of a known kind, whose number is bounded.
    Ourselves,
    /// A program does, and says what it likes.
    Program,
}

/// It has its seat among the connections of its guard until it is dropped.
pub(crate) struct Stream {
    socket: TcpStream,
    guard: Guard,
    speaker: Speaker,
    _seat: Seat,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl Stream {
    pub(super) fn new(socket: TcpStream, guard: Guard, speaker: Speaker, seat: Seat) -> Self {
        Self { socket, guard, speaker, _seat: seat }
    }

    fn check(&self) -> io::Result<()> {
        if self.guard.inner.stop.is_cancelled() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    fn count_received(&self, bytes: u64) -> io::Result<()> {
        let inner = &self.guard.inner;
        inner.rules.counts.received.inc_by(bytes);
        inner.received.fetch_add(bytes, Ordering::Relaxed);
        if self.guard.left_bytes() > 0 {
            return Ok(());
        }
        Err(self.refuse(Refusal::Received))
    }

    fn count_sent(&self, bytes: u64) -> io::Result<()> {
        let inner = &self.guard.inner;
        inner.rules.counts.sent.inc_by(bytes);
        inner.sent.fetch_add(bytes, Ordering::Relaxed);
        if self.speaker == Speaker::Ourselves {
            return Ok(());
        }
        let sent = inner.sent_by_programs.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if sent <= self.guard.may_be_sent_bytes() {
            return Ok(());
        }
        Err(self.refuse(Refusal::Sent))
    }

    fn refuse(&self, refusal: Refusal) -> io::Error {
        self.guard.refuse(refusal);
        io::Error::other(refusal)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check()?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.socket).poll_read(cx, buffer))?;
        let bytes = (buffer.filled().len() - before) as u64;
        Poll::Ready(if bytes == 0 { Ok(()) } else { this.count_received(bytes) })
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check()?;
        let written = ready!(Pin::new(&mut this.socket).poll_write(cx, bytes))?;
        Poll::Ready(this.count_sent(written as u64).map(|()| written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check()?;
        let written = ready!(Pin::new(&mut this.socket).poll_write_vectored(cx, bytes))?;
        Poll::Ready(this.count_sent(written as u64).map(|()| written))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
