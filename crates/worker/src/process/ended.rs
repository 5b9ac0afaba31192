//! How a run ended.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::Signal;

/// What the launcher exits with when it fails itself, as `env` and `timeout` do; 126 and 127 when it cannot start the
/// program.
pub(super) const LAUNCHER_FAILED: i32 = 125;

/// How a run ended: by itself, or by which of our clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It exited, with this code.
    Exited(i32),
    /// It was killed by this signal, which we did not send.
    Signalled(i32),
    /// We ended it: the wall clock.
    TimedOut,
    /// We ended it: no output and no activity.
    Silent,
    /// We ended it: its activity was slower than allowed.
    Slow,
    /// We ended it: it was cancelled.
    Cancelled,
}

impl Ended {
    /// Did it exit with code 0? For some programs that proves nothing yet.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }

    /// The launcher could not start the program, or failed itself.
    #[must_use]
    pub fn is_not_started(self) -> bool {
        matches!(self, Self::Exited(LAUNCHER_FAILED..=127))
    }

    /// It wrote a file past [`super::Limits::file_size`], and was killed by `SIGXFSZ`.
    #[must_use]
    pub fn is_too_large(self) -> bool {
        self == Self::Signalled(Signal::XFSZ.as_raw())
    }

    /// It used more processor time than [`super::Limits::cpu`], and was killed by `SIGXCPU`.
    #[must_use]
    pub fn is_too_dear(self) -> bool {
        self == Self::Signalled(Signal::XCPU.as_raw())
    }

    pub(super) fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, signal) => Self::Signalled(signal.unwrap_or_default()),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Signalled(signal) => write!(f, "was killed by signal {signal}"),
            Self::TimedOut => f.write_str("took too long"),
            Self::Silent => f.write_str("was silent for too long"),
            Self::Slow => f.write_str("was too slow"),
            Self::Cancelled => f.write_str("was cancelled"),
        }
    }
}
