//! What the keeper and the init wait for: the death of a child, the signals that they are sent, and the end of the
//! worker.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Held back for good, so that whoever is sent them reads them instead of being ended: `SIGCHLD`, and those that we are
/// sent because the whole group is. They are for the program, who has them too; we stay to see it end.
const READ: [Signal; 4] = [Signal::SIGCHLD, Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];

/// What may happen.
pub(crate) struct News(SignalFd);

impl News {
    /// From now on. Whom we start inherits that signals are held back, until it [lets them through](let_through).
    pub(crate) fn subscribe() -> io::Result<Self> {
        let signals = SigSet::from_iter(READ);
        signals.thread_block()?;
        Ok(Self(SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// Waits for a signal, or until the lifeline is closed: our standard input, at whose other end the worker lives, and on
    /// which nothing is ever said. Is it?
    pub(crate) fn lifeline_closes(&self, at_most: Duration) -> io::Result<bool> {
        let stdin = io::stdin();
        let mut awaited = [PollFd::new(&self.0, PollFlags::IN), PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
        wait(&mut awaited, at_most)?;
        let closed = !awaited[1].revents().is_empty();
        self.forget()?;
        Ok(closed)
    }

    /// Waits for a signal.
    pub(crate) fn signal(&self, at_most: Duration) -> io::Result<()> {
        wait(&mut [PollFd::new(&self.0, PollFlags::IN)], at_most)?;
        self.forget()
    }

    /// Which it was does not matter: whoever waited looks at everything.
    fn forget(&self) -> io::Result<()> {
        while self.0.read_signal()?.is_some() {}
        Ok(())
    }
}

/// No signal is held back any more.
pub(crate) fn let_through() -> io::Result<()> {
    Ok(SigSet::empty().thread_set_mask()?)
}

fn wait(awaited: &mut [PollFd<'_>], at_most: Duration) -> io::Result<()> {
    let at_most = Timespec::try_from(at_most).map_err(io::Error::other)?;
    match poll(awaited, Some(&at_most)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
