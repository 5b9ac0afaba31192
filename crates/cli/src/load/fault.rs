//! What may become of a request that did not succeed: a closed set of classes, and in three of them the code of the service.

use std::error::Error as _;
use std::io;

use reqwest::StatusCode;
use serde::Deserialize;

use crate::table::cut;
use crate::text::plain;

/// Characters of a code; those of the service have half of them.
const LONGEST_CODE: usize = 40;

/// Why a request did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// 4xx, with the code of the problem.
    Refused(String),
    /// 429: the service says that it was too much.
    RateLimited,
    /// 5xx, with the code of the problem.
    ServerError(String),
    /// The download of a journey ended without result, for this reason.
    JobFailed(String),
    /// No whole answer came in time.
    Timeout,
    /// Nobody listens there.
    ConnectionRefused,
    /// The connection was closed before the answer was whole.
    ConnectionReset,
    /// There was no connection for another reason: the name is not known, or TLS fails.
    Unreachable,
    /// What came is no answer of this API.
    Garbage,
    /// It had no user: all of them still waited for an answer when it was its time.
    Dropped,
}

/// The one field of a problem that classes go by.
#[derive(Deserialize)]
struct Code {
    code: String,
}

impl Fault {
    /// The word for its class, as in reports.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::RateLimited => "rate_limited",
            Self::ServerError(_) => "server_error",
            Self::JobFailed(_) => "job_failed",
            Self::Timeout => "timeout",
            Self::ConnectionRefused => "connection_refused",
            Self::ConnectionReset => "connection_reset",
            Self::Unreachable => "unreachable",
            Self::Garbage => "garbage",
            Self::Dropped => "dropped",
        }
    }

    /// The code within its class.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(code) | Self::ServerError(code) | Self::JobFailed(code) => Some(code),
            Self::RateLimited
            | Self::Timeout
            | Self::ConnectionRefused
            | Self::ConnectionReset
            | Self::Unreachable
            | Self::Garbage
            | Self::Dropped => None,
        }
    }

    /// The same without what the service calls it, for when it calls it by too many names.
    #[must_use]
    pub fn without_code(self) -> Self {
        let other = || "other".to_owned();
        match self {
            Self::Refused(_) => Self::Refused(other()),
            Self::ServerError(_) => Self::ServerError(other()),
            Self::JobFailed(_) => Self::JobFailed(other()),
            class => class,
        }
    }

    /// What an answer that is none of success means. A page of a proxy has no code; there its status stands for one.
    #[must_use]
    pub fn of_answer(status: StatusCode, body: &[u8]) -> Self {
        let code = serde_json::from_slice::<Code>(body).map(|problem| code(&problem.code));
        let code = code.unwrap_or_else(|_| format!("http_{}", status.as_u16()));
        match status.as_u16() {
            429 => Self::RateLimited,
            400..=499 => Self::Refused(code),
            500..=599 => Self::ServerError(code),
            // a redirect leads to what is no part of the API
            _ => Self::Garbage,
        }
    }

    /// The download of a journey ended without result, for this reason.
    #[must_use]
    pub fn of_job(reason: &str) -> Self {
        Self::JobFailed(code(reason))
    }

    /// What the lack of an answer means.
    #[must_use]
    pub fn of_silence(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(class) = error.downcast_ref::<io::Error>().and_then(of_system) {
                return class;
            }
            if let Some(error) = error.downcast_ref::<hyper::Error>()
                && error.is_parse()
            {
                return Self::Garbage;
            }
            cause = error.source();
        }
        // whoever had a connection lost it
        if error.is_connect() { Self::Unreachable } else { Self::ConnectionReset }
    }
}

fn of_system(error: &io::Error) -> Option<Fault> {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, TimedOut, UnexpectedEof};
    match error.kind() {
        ConnectionRefused => Some(Fault::ConnectionRefused),
        ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof => Some(Fault::ConnectionReset),
        TimedOut => Some(Fault::Timeout),
        _ => None,
    }
}

/// A word of the service, which may be anybody's.
fn code(text: &str) -> String {
    cut(&plain(text), LONGEST_CODE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_success_has_its_class_and_the_code_of_the_service() {
        let problem = |code: &str| format!(r#"{{"status":0,"code":"{code}","detail":"."}}"#).into_bytes();
        for (status, body, class, code) in [
            (404, problem("not_found"), "refused", Some("not_found")),
            (422, problem("invalid_request"), "refused", Some("invalid_request")),
            (429, problem("rate_limited"), "rate_limited", None),
            (503, problem("queue_full"), "server_error", Some("queue_full")),
            (502, b"<!doctype html>".to_vec(), "server_error", Some("http_502")),
            (403, Vec::new(), "refused", Some("http_403")),
            (302, Vec::new(), "garbage", None),
            (500, problem(r"a\u001b[2J"), "server_error", Some("a[2J")),
        ] {
            let fault = Fault::of_answer(StatusCode::from_u16(status).unwrap(), &body);
            assert_eq!((fault.class(), fault.code()), (class, code), "{status}");
        }
        let long = Fault::of_answer(StatusCode::NOT_FOUND, &problem(&"x".repeat(5000)));
        assert_eq!(long.code().map(|code| code.chars().count()), Some(LONGEST_CODE));
        assert_eq!(long.without_code(), Fault::Refused("other".to_owned()));
    }

    #[test]
    fn what_the_system_says_of_a_connection_has_its_class() {
        for (kind, class) in [
            (io::ErrorKind::ConnectionRefused, Some(Fault::ConnectionRefused)),
            (io::ErrorKind::ConnectionReset, Some(Fault::ConnectionReset)),
            (io::ErrorKind::BrokenPipe, Some(Fault::ConnectionReset)),
            (io::ErrorKind::TimedOut, Some(Fault::Timeout)),
            (io::ErrorKind::Other, None),
        ] {
            assert_eq!(of_system(&kind.into()), class, "{kind}");
        }
    }
}
