//! Why a run of yt-dlp failed, told from how it ended and from what it raised.
//!
//! The command line has one exit code for everything, so its last words are read for the classes that they betray
//! ([`said`]); a warm extractor tells the classes. From there on one ladder decides for both ([`raised()`]): numbers of the
//! system, classes, then words by a table ([`words`]), so that an error has one code whichever way it came. Words are
//! matched, and shown, after addresses and ids made of them are hidden ([`hidden`]): a site could put words into them, and
//! their queries hold secrets.
//!
//! `failure/recorded.json` holds what the pinned yt-dlp really said and raised (`failure/record.py` makes it).
//!
//! Not here: what follows from a kind (`haul_shared::job::failure`).

mod hidden;
mod raised;
mod said;
mod words;

use std::time::Duration;

use haul_shared::job::{Failure, FailureKind};

use super::command::mark;
use crate::process::Ended;

use FailureKind as K;

pub use raised::{Cause, Raised};

/// yt-dlp refused our options.
const WRONG_OPTIONS: i32 = 2;

/// Why it failed. `was_live`: the run said that the medium is a live stream.
#[must_use]
pub fn failure(ended: Ended, stderr: &str, was_live: bool) -> Failure {
    let said = said::raised(stderr, was_live);
    let kind = match ended {
        Ended::TimedOut => K::Timeout,
        Ended::Silent | Ended::Slow => K::Stalled,
        _ if ended.is_too_large() => K::TooLarge,
        // what took so long once takes as long again
        _ if ended.is_too_dear() => K::InvalidMedia,
        _ if ended.is_not_started() => K::Internal,
        Ended::Signalled(_) | Ended::Cancelled | Ended::Exited(WRONG_OPTIONS) => K::Internal,
        Ended::Exited(_) => said.kind(),
    };
    let words = said.words();
    let asked = longest(asked(stderr), kind, |of| words.contains(&format!("HTTP Error {of}")));
    let detail = if words.is_empty() { format!("yt-dlp {ended}") } else { words };
    Failure::new(kind, detail).after(asked)
}

/// An answer with `Retry-After`: its status, and seconds. Told by `plugin.py`.
pub type Asked = (u16, u64);

/// Why it failed, when it said so by itself: a warm extractor. `asked`: what sites have asked for until then.
#[must_use]
pub fn raised(raised: &Raised, asked: &[Asked]) -> Failure {
    let kind = raised.kind();
    let words = raised.words();
    let status = raised.status();
    let is_the_end = |of: u16| status == Some(of) || words.contains(&format!("HTTP Error {of}"));
    Failure::new(kind, words.as_str()).after(longest(asked.iter().copied(), kind, is_the_end))
}

/// What sites have asked for, as the plugin prints it.
fn asked(stderr: &str) -> impl Iterator<Item = Asked> {
    stderr.lines().filter_map(|line| {
        let (status, seconds) = line.strip_prefix(mark::ASKED)?.trim_start().split_once(' ')?;
        Some((status.parse().ok()?, seconds.parse().ok()?))
    })
}

/// The longest wait that an answer asked for of the kind that ended the run.
fn longest(
    asked: impl Iterator<Item = Asked>,
    kind: FailureKind,
    is_the_end: impl Fn(u16) -> bool,
) -> Option<Duration> {
    let counts = asked.filter(|(status, _)| kind == K::SiteRateLimited || is_the_end(*status));
    counts.map(|(_, seconds)| Duration::from_secs(seconds)).max().filter(|_| kind.is_retryable())
}

#[cfg(test)]
mod tests;
