//! What a program attempts to see whether a sandbox holds: started in one as every program is, by the worker's probe.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, getpid, getppid, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::space;

/// For a connection on loopback.
const DIALLED_WITHIN: Duration = Duration::from_secs(5);

/// What the program is to attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// A file of its own.
    pub own_file: PathBuf,
    /// One of somebody else.
    pub foreign_file: PathBuf,
    /// Where the guard is.
    pub guard: SocketAddr,
    /// Where it is not.
    pub elsewhere: SocketAddr,
    /// The worker, by its number outside.
    pub worker: i32,
}

/// What it could do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is the answer to one question")]
#[expect(missing_docs, reason = "named after the attempts")]
pub struct Found {
    pub own_file: bool,
    pub foreign_file: bool,
    pub guard: bool,
    pub elsewhere: bool,
    pub datagram: bool,
    pub listening: bool,
    pub namespaces: bool,
    pub cutting: bool,
    pub signal: bool,
}

impl Attempts {
    /// Attempts all of it.
    pub(crate) fn make(&self) -> Found {
        let dial = |address| TcpStream::connect_timeout(&address, DIALLED_WITHIN).is_ok();
        let datagram = || UdpSocket::bind(("127.0.0.1", 0)).and_then(|socket| socket.send_to(b"x", self.elsewhere));
        Found {
            own_file: std::fs::write(&self.own_file, "x").and_then(|()| std::fs::read(&self.own_file)).is_ok(),
            foreign_file: std::fs::read(&self.foreign_file).is_ok(),
            guard: dial(self.guard),
            elsewhere: dial(self.elsewhere),
            datagram: datagram().is_ok(),
            listening: TcpListener::bind(("127.0.0.1", 0)).is_ok(),
            cutting: cut(&self.foreign_file),
            signal: can_signal(self.worker),
            // last, for it changes who we are
            namespaces: space::enter().is_ok(),
        }
    }
}

/// By its path, and by opening it for neither reading nor writing (mode 3 of `open(2)`), which no right to read or to write
/// stands before.
fn cut(file: &Path) -> bool {
    let neither = OFlags::from_bits_retain(3) | OFlags::TRUNC;
    nix::unistd::truncate(file, 0).is_ok() || rustix::fs::open(file, neither, Mode::empty()).is_ok()
}

/// Whoever has a namespace of processes may have the worker's number there itself, or its init may: outside nobody is meant
/// by either.
fn can_signal(worker: i32) -> bool {
    let is_apart = getppid().is_none();
    let Some(worker) = Pid::from_raw(worker).filter(|pid| *pid != getpid() && !(is_apart && pid.is_init())) else {
        return false;
    };
    test_kill_process(worker).is_ok()
}
