//! What can go wrong, and which exit code that has.
//!
//! Not here: what a refusal of the server says (`problem`), and how long to try again (`patience`).

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use reqwest::StatusCode;

use crate::problem::{self, Problem};

/// How the program ends. Of several downloads the highest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All is well.
    Done = 0,
    /// A download failed, or its result could not be saved.
    Failed = 1,
    /// The command line, or what it asks for, is wrong.
    Usage = 2,
    /// The server can't be reached, can't serve, or answers what can't be understood.
    Unreachable = 3,
    /// The server refuses: the key, the rate, a full queue, an id that is not there.
    Refused = 4,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is wrong in a way that only its words together are.
    #[error("{0}")]
    Usage(String),
    /// No answer came, or it broke off.
    #[error("{server} can't be reached: {why}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// What the system says.
        why: String,
        /// Was there a connection? Then it may have been heard, and done.
        was_sent: bool,
        /// Has it answered before? Then it may come back, and is waited for.
        was_there: bool,
    },
    /// An answer came that is none of the contract.
    #[error("the server's answer can't be understood: {what}")]
    Garbled {
        /// What is odd about it.
        what: String,
        /// After how long it may be another one, at the least; `None`: it will not be.
        passes: Option<Duration>,
    },
    /// Somebody else refuses: a proxy that speaks for a server that is away, or another service.
    #[error(
        "the server's answer can't be understood: {status}, and no problem of this API; is {server} a Haul service?"
    )]
    Foreign {
        /// Host and port.
        server: String,
        /// What it says.
        status: StatusCode,
        /// After how long another try makes sense, at the least.
        retry_after: Duration,
    },
    /// The server refuses, in its own words.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// A download ended without a result, or has none any more.
    #[error("{message} ({code})")]
    Ended {
        /// The server's sentence.
        message: String,
        /// Its stable code: that of the failure, `cancelled` or `expired`.
        code: String,
    },
    /// The bytes that came are not those that were promised.
    #[error("what came has the SHA-256 {got}, promised was {promised}; it was removed")]
    Mismatch {
        /// Of the bytes, in hex.
        got: String,
        /// By the server, in hex.
        promised: String,
    },
    /// A file can't be written, or read.
    #[error("{what}: {source}")]
    File {
        /// Which one, and what was to be done.
        what: String,
        /// What the system says.
        source: io::Error,
    },
    /// The server takes longer than is waited for.
    #[error("{0}")]
    Unfinished(String),
    /// Whoever started the program stopped it.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// A file, or a folder, that the system refuses.
    #[must_use]
    pub fn file(path: &Path, source: io::Error) -> Self {
        let what = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "there is no room for",
            _ => "can't use",
        };
        Self::File { what: format!("{what} {}", path.display()), source }
    }

    /// Which exit code it has.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Unreachable { .. } | Self::Garbled { .. } | Self::Foreign { .. } | Self::Unfinished(_) => {
                Exit::Unreachable
            }
            Self::Refused(problem) => problem.exit(),
            // whoever reads our output has had enough, as `head` has
            Self::File { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Ended { .. } | Self::Mismatch { .. } | Self::File { .. } => Exit::Failed,
            Self::Interrupted => Exit::Interrupted,
        }
    }

    /// May the same succeed soon? Then after how long at the least; zero where the server has not said so.
    #[must_use]
    pub fn passes(&self) -> Option<Duration> {
        match self {
            Self::Unreachable { was_there: true, .. } => Some(Duration::ZERO),
            Self::Garbled { passes, .. } => *passes,
            Self::Foreign { status, retry_after, .. } => problem::passes(status.as_u16()).then_some(*retry_after),
            Self::Refused(problem) if problem.passes() => {
                Some(Duration::from_secs(problem.retry_after.unwrap_or_default()))
            }
            _ => None,
        }
    }

    /// May an order that came to this be a job all the same?
    #[must_use]
    pub fn may_be_taken(&self) -> bool {
        match self {
            Self::Unreachable { was_sent, .. } => *was_sent,
            Self::Garbled { .. } => true,
            Self::Foreign { status, .. } => problem::may_be_taken(status.as_u16(), None),
            Self::Refused(problem) => problem::may_be_taken(problem.status, Some(&problem.code)),
            Self::Usage(_)
            | Self::Ended { .. }
            | Self::Mismatch { .. }
            | Self::File { .. }
            | Self::Unfinished(_)
            | Self::Interrupted => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_fail_has_its_exit_code_and_the_worst_of_several_counts() {
        let io = |kind: io::ErrorKind| Error::file(Path::new("a"), kind.into()).exit();
        assert_eq!(io(io::ErrorKind::StorageFull), Exit::Failed);
        assert_eq!(io(io::ErrorKind::BrokenPipe), Exit::Done);
        let away =
            |was_there| Error::Unreachable { server: "a".into(), why: "reset".into(), was_sent: true, was_there };
        assert_eq!((away(true).exit(), away(true).passes()), (Exit::Unreachable, Some(Duration::ZERO)));
        assert_eq!(away(false).passes(), None, "a server that was never there is more likely mistyped than away");
        let all = [Exit::Failed, Exit::Interrupted, Exit::Done, Exit::Refused, Exit::Usage, Exit::Unreachable];
        assert_eq!(all.into_iter().max(), Some(Exit::Interrupted));
        assert_eq!(all[..1].iter().chain(&all[2..]).max(), Some(&Exit::Refused));
    }
}
