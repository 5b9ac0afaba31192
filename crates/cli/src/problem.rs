//! Refusals of the server: `application/problem+json` (RFC 9457), shown as the person meant it who typed a command.
//!
//! Not here: why a download failed, which is no refusal.

use std::fmt;

use serde::Deserialize;

use crate::error::Exit;
use crate::text::plain;

/// Which flag fills which field of a request. What stands lower in a field has the flag of the field.
const FLAGS: [(&str, &str); 24] = [
    ("/url", "URL"),
    ("/format", "--format"),
    ("/quality", "--quality"),
    ("/codec", "--codec"),
    ("/fallback", "--strict"),
    ("/audio_bitrate_kbps", "--audio-bitrate"),
    ("/clip/exact", "--exact"),
    ("/clip", "--clip"),
    ("/subtitles/automatic", "--auto-subs"),
    ("/subtitles/mode", "--sidecar"),
    ("/subtitles", "--subs"),
    ("/sponsorblock/mark", "--sponsorblock-mark"),
    ("/sponsorblock", "--sponsorblock-remove"),
    ("/embed_thumbnail", "--thumbnail"),
    ("/playlist_index", "--item"),
    ("/streaming", "--streaming"),
    ("/live_seconds", "--live"),
    ("/filename", "--filename"),
    ("/priority", "--priority"),
    ("/region", "--region"),
    ("/webhook", "--webhook"),
    ("/external_id", "--external-id"),
    ("/tags", "--tag"),
    ("/expires_in", "--expires-in"),
];

/// A refusal, as far as it is acted on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// Its HTTP status.
    pub status: u16,
    /// Stable, snake_case.
    pub code: String,
    /// What happened, for people.
    pub detail: String,
    /// Seconds after which another try makes sense.
    pub retry_after: Option<u64>,
    /// Every fault of what was asked, and where.
    #[serde(default)]
    pub errors: Vec<Fault>,
    /// What to quote when asking the operator.
    pub request_id: Option<String>,
}

/// One fault of a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Fault {
    /// JSON pointer into the body (RFC 6901), or `/name` of a query parameter.
    pub pointer: String,
    /// What is wrong, for people.
    pub detail: String,
}

impl Problem {
    /// The exit code of who is refused so.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self.code.as_str() {
            "internal" | "service_unavailable" => Exit::Unreachable,
            _ if matches!(self.status, 400 | 413 | 415 | 422) => Exit::Usage,
            _ => Exit::Refused,
        }
    }

    /// May the same be taken later?
    #[must_use]
    pub fn passes(&self) -> bool {
        passes(self.status)
    }
}

/// May what is answered with this status, by whomever, be taken later?
#[must_use]
pub fn passes(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}

/// May an order be a job that is answered with this status, and this code where the service itself speaks? Behind a 5xx it
/// may have been carried out, by a service whose own answer was lost, or be carried out yet, behind a proxy that gave up on
/// it. What is refused is none, nor is what finds the queue full.
#[must_use]
pub fn may_be_taken(status: u16, code: Option<&str>) -> bool {
    matches!(status, 200..=299 | 500..=599) && code != Some("queue_full")
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", plain(&self.detail), plain(&self.code))?;
        for fault in &self.errors {
            write!(f, "\n  {}: {}", flag_of(&fault.pointer), plain(&fault.detail))?;
        }
        if let Some(seconds) = self.retry_after {
            write!(f, "\n  another try makes sense in {seconds} s")?;
        }
        match &self.request_id {
            Some(id) if self.status >= 500 => write!(f, "\n  the operator finds it as request {}", plain(id)),
            _ => Ok(()),
        }
    }
}

/// The flag that fills what a pointer points to; the pointer where there is none.
fn flag_of(pointer: &str) -> String {
    let fills = |field: &str| pointer.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let flag = FLAGS.iter().find(|(field, _)| fills(field)).map(|(_, flag)| (*flag).to_owned());
    // of a query each parameter has the flag of its name
    flag.unwrap_or_else(|| match pointer.strip_prefix('/') {
        Some(name @ ("limit" | "status" | "cursor" | "sort" | "order")) => format!("--{name}"),
        _ => plain(pointer),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::StatusCode;

    use super::*;
    use crate::error::Error;

    fn problem(status: u16, code: &str, pointers: &[&str]) -> Problem {
        let errors = pointers.iter().map(|it| Fault { pointer: (*it).to_owned(), detail: "is odd".to_owned() });
        Problem {
            status,
            code: code.to_owned(),
            detail: "No.".to_owned(),
            retry_after: None,
            errors: errors.collect(),
            request_id: Some("a1".to_owned()),
        }
    }

    #[test]
    fn a_fault_is_told_by_the_flag_that_made_it() {
        for (pointer, told) in [
            ("/url", "URL"),
            ("/clip/end", "--clip"),
            ("/clip/exact", "--exact"),
            ("/subtitles/languages/0", "--subs"),
            ("/sponsorblock/remove/1", "--sponsorblock-remove"),
            ("/tags/3", "--tag"),
            ("/expires_in", "--expires-in"),
            ("/cursor", "--cursor"),
            ("/formats", "/formats"),
            ("/\u{1b}[2J", "/[2J"),
        ] {
            assert_eq!(flag_of(pointer), told);
        }
        let told = problem(422, "invalid_request", &["/clip/end", "/region"]).to_string();
        assert_eq!(told, "No. (invalid_request)\n  --clip: is odd\n  --region: is odd");
    }

    #[test]
    fn who_is_refused_learns_from_the_exit_code_whether_it_was_the_request_or_the_server() {
        for (status, code, exit, passes, may_be_taken) in [
            (400, "malformed_json", Exit::Usage, false, false),
            (422, "invalid_request", Exit::Usage, false, false),
            (401, "unauthorized", Exit::Refused, false, false),
            (403, "forbidden", Exit::Refused, false, false),
            (404, "not_found", Exit::Refused, false, false),
            (409, "not_retryable", Exit::Refused, false, false),
            (429, "rate_limited", Exit::Refused, true, false),
            (502, "site_blocked", Exit::Refused, true, true),
            (503, "queue_full", Exit::Refused, true, false),
            (503, "service_unavailable", Exit::Unreachable, true, true),
            (500, "internal", Exit::Unreachable, true, true),
        ] {
            let problem = problem(status, code, &[]);
            let error = Error::Refused(Box::new(problem.clone()));
            let told = (problem.exit(), problem.passes(), error.may_be_taken());
            assert_eq!(told, (exit, passes, may_be_taken), "{code}");
        }
        // of a proxy, or another service
        for (status, may_be_taken) in [(502, true), (504, true), (404, false), (429, false), (307, false)] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = Error::Foreign { server: "a".to_owned(), status, retry_after: Duration::ZERO };
            assert_eq!(error.may_be_taken(), may_be_taken, "{status}");
        }
    }
}
