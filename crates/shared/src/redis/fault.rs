//! What a failed call leaves behind, and so whether it may be sent again.

use deadpool::managed::PoolError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::CallError;

/// What came of a call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It was not carried out, and may be in a moment.
    Undone,
    /// It may have been carried out: the connection broke, or the answer did not come in time.
    Unclear,
    /// The same call fails again.
    Lasting,
}

impl Fault {
    pub(super) fn of(error: &CallError) -> Self {
        match error {
            // nothing was sent yet
            CallError::Connection(PoolError::Backend(error)) if of_redis(error) == Self::Lasting => Self::Lasting,
            CallError::Connection(PoolError::Backend(_) | PoolError::Timeout(_)) => Self::Undone,
            CallError::Connection(_) | CallError::NotReplicated => Self::Lasting,
            CallError::Call(error) => of_redis(error),
        }
    }
}

fn of_redis(error: &RedisError) -> Fault {
    match error.kind() {
        ErrorKind::Server(
            // loading its files; or without its master
            ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown
            // no longer master: the next connection finds the new one
            | ServerErrorKind::ReadOnly
            // between two owners
            | ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::TryAgain | ServerErrorKind::ClusterDown
            // flushed between loading and calling
            | ServerErrorKind::NoScript,
        )
        | ErrorKind::MasterNameNotFoundBySentinel
        | ErrorKind::ClusterConnectionNotFound => Fault::Undone,
        ErrorKind::Extension if matches!(error.code(), Some("NOREPLICAS" | "BUSY")) => Fault::Undone,
        ErrorKind::Io if error.is_connection_refusal() => Fault::Undone,
        ErrorKind::Io => Fault::Unclear,
        _ => Fault::Lasting,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn of_reply(reply: &str) -> Fault {
        let answer = redis::parse_redis_value(reply.as_bytes()).expect("a reply");
        Fault::of(&CallError::Call(answer.extract_error().expect_err("an error")))
    }

    #[test]
    fn what_a_server_refused_for_the_moment_was_not_done() {
        for reply in
            ["LOADING x", "READONLY x", "MASTERDOWN x", "CLUSTERDOWN x", "TRYAGAIN x", "NOREPLICAS x", "BUSY x"]
        {
            assert_eq!(of_reply(&format!("-{reply}\r\n")), Fault::Undone, "{reply}");
        }
        assert_eq!(of_reply("-OOM command not allowed\r\n"), Fault::Lasting);
        assert_eq!(of_reply("-ERR unknown command\r\n"), Fault::Lasting);
        assert_eq!(of_reply("-CROSSSLOT keys\r\n"), Fault::Lasting);
    }

    #[test]
    fn what_was_sent_and_not_answered_may_have_been_done() {
        let of_io = |kind| Fault::of(&CallError::Call(io::Error::from(kind).into()));
        assert_eq!(of_io(io::ErrorKind::BrokenPipe), Fault::Unclear);
        assert_eq!(of_io(io::ErrorKind::TimedOut), Fault::Unclear);
        assert_eq!(of_io(io::ErrorKind::ConnectionRefused), Fault::Undone);
    }
}
