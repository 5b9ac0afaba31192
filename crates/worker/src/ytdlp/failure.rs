//! Why a run of yt-dlp failed, told from how it ended and from its last words.
//!
//! The command line has one exit code for everything, so the words decide: a table, read from the top. A warm extractor
//! tells the classes of its errors, which decide first ([`raised`]). Words are matched after
//! addresses, and ids made of them, are hidden (a site could put words into them, and their queries hold secrets)
//! and after its request to report a bug is cut off (it says "confirm you are on the latest version"). That request is itself a sign: the extractor did not foresee the error.
//!
//! Not here: what follows from a kind (`haul_shared::job::failure`).

mod raised;

use std::time::Duration;

use haul_shared::job::{Failure, FailureKind};

use super::command::mark;
use crate::process::Ended;

use FailureKind as K;

pub use raised::{Cause, Raised};

/// yt-dlp refused our options.
const WRONG_OPTIONS: i32 = 2;

/// Words that mean the same from any part of yt-dlp, also in an error that it did not foresee. In lower case.
const EVERYWHERE: &[(&[&str], FailureKind)] = &[
    (&["errno 27]", "file too large", "larger than max-filesize"], K::TooLarge),
    (&["no space left on device", "errno 28]", "disk quota exceeded", "errno 122]"], K::DiskFull),
    (&["memoryerror"], K::InvalidMedia),
    (&["http error 429", "too many requests"], K::SiteRateLimited),
    (&["http error 451"], K::GeoBlocked),
    (&["anti-bot", "cloudflare", "captcha", "not a bot"], K::SiteBlocked),
    (&["http error 401", "http error 402"], K::LoginRequired),
    (&["http error 403"], K::SiteBlocked),
    // the site names a part that it does not have; another extraction may name others
    (&["[download] got error: http error 404", "[download] got error: http error 410"], K::CorruptMedia),
    (&["did not get any data blocks", "fragment not found"], K::CorruptMedia),
    (&["http error 404", "http error 410"], K::Unavailable),
    (&["http error 5", "redirect loop", "http error 408"], K::Network),
    (
        &["unsupported url", "file:// urls are disabled", "no connection adapters", "is not a valid url"],
        K::UnsupportedUrl,
    ),
    // the operator has left the fitting extractor out
    (&["no suitable extractor", "invalid ipv6 url", "unable to handle request"], K::UnsupportedUrl),
    (
        &[
            "giving up after",
            "timed out",
            "failed to resolve",
            "connection",
            "incompleteread",
            "transporterror",
            "sslerror",
        ],
        K::Network,
    ),
    (&["ssl:", "certificate", "bytes read", "bytes, expected", "remote end closed", "proxyerror"], K::Network),
];

/// Words of an extractor that foresaw the error.
const FORESEEN: &[(&[&str], FailureKind)] = &[
    (&["drm"], K::DrmProtected),
    (&["requested format is not available"], K::FormatUnavailable),
    (&["geo restrict", "geo-restrict", "your country", "your region", "this region", "your location"], K::GeoBlocked),
    (&["in taiwan only", "geo block", "geo-block"], K::GeoBlocked),
    (&["rate limit", "rate-limit", "try again later"], K::SiteRateLimited),
    (&["ip address is blocked", "your ip may be blocked", "unusual traffic"], K::SiteBlocked),
    (&["not yet", "not started", "will begin", "will start", "premieres in", "scheduled for"], K::NotYetAvailable),
    (&["not available yet", "will be available", "not currently live", "is not live", "offline"], K::NotYetAvailable),
    (&["confirm your age", "age-restricted", "age restricted", "age verif", "inappropriate for"], K::AgeRestricted),
    (&["private"], K::Private),
    (&["log in", "login", "logged in", "logged-in", "sign in", "registered users", "authenticat"], K::LoginRequired),
    (&["subscri", "premium", "members only", "for members", "password", "purchase", "--cookies"], K::LoginRequired),
    (
        &["does not exist", "doesn't exist", "was deleted", "been deleted", "removed", "no longer available"],
        K::Unavailable,
    ),
    (
        &["unavailable", "not available", "has expired", "most likely expired", "terminated", "not found"],
        K::Unavailable,
    ),
];

/// yt-dlp wants ffmpeg to fetch it: a live stream, or encryption that it leaves to ffmpeg.
const WANTS_FFMPEG: &str = "ffmpeg could not be found";

/// Why it failed. `was_live`: the run said that the medium is a live stream.
#[must_use]
pub fn failure(ended: Ended, stderr: &str, was_live: bool) -> Failure {
    let words = last_words(stderr);
    let kind = match ended {
        Ended::TimedOut => K::Timeout,
        Ended::Silent | Ended::Slow => K::Stalled,
        _ if ended.is_too_large() => K::TooLarge,
        _ if ended.is_not_started() => K::Internal,
        Ended::Signalled(_) | Ended::Cancelled | Ended::Exited(WRONG_OPTIONS) => K::Internal,
        Ended::Exited(_) => kind_of(&words, was_live),
    };
    let asked = longest_asked(stderr, kind, &words);
    let detail = if words.is_empty() { format!("yt-dlp {ended}") } else { words };
    Failure::new(kind, detail).after(asked)
}

/// An answer with `Retry-After`: its status, and seconds. Told by `retry_after.py`.
pub type Asked = (u16, u64);

/// Why it failed, when it said so by itself: a warm extractor. `asked`: what sites have asked for until then.
#[must_use]
pub fn raised(raised: &Raised, asked: &[Asked]) -> Failure {
    let kind = raised.kind();
    let words = raised.words();
    let status = raised.status();
    let is_the_end = |of: u16| status == Some(of) || words.contains(&format!("HTTP Error {of}"));
    Failure::new(kind, hide(&words)).after(longest(asked.iter().copied(), kind, is_the_end))
}

/// The longest wait that an answer asked for of the kind that ended the run.
fn longest_asked(stderr: &str, kind: FailureKind, words: &str) -> Option<Duration> {
    let asked = stderr.lines().filter_map(|line| {
        let (status, seconds) = line.strip_prefix(mark::ASKED)?.trim_start().split_once(' ')?;
        Some((status.parse().ok()?, seconds.parse().ok()?))
    });
    longest(asked, kind, |status| words.contains(&format!("HTTP Error {status}")))
}

fn longest(
    asked: impl Iterator<Item = Asked>,
    kind: FailureKind,
    is_the_end: impl Fn(u16) -> bool,
) -> Option<Duration> {
    let counts = asked.filter(|(status, _)| kind == K::SiteRateLimited || is_the_end(*status));
    counts.map(|(_, seconds)| Duration::from_secs(seconds)).max().filter(|_| kind.is_retryable())
}

fn kind_of(words: &str, was_live: bool) -> FailureKind {
    let (words, unforeseen) = without_bug_report(words);
    let words = words.to_lowercase();
    if let Some(kind) = everywhere(&words, was_live) {
        return kind;
    }
    if unforeseen || !words.starts_with("error:") {
        return K::ExtractorError;
    }
    find(FORESEEN, &words).unwrap_or(K::ExtractorError)
}

/// What these words, in lower case, mean whoever says them.
fn everywhere(words: &str, was_live: bool) -> Option<FailureKind> {
    if words.contains(WANTS_FFMPEG) {
        return Some(if was_live { K::LiveNotSupported } else { K::DrmProtected });
    }
    find(EVERYWHERE, words)
}

fn find(table: &[(&[&str], FailureKind)], words: &str) -> Option<FailureKind> {
    table.iter().find(|(any, _)| any.iter().any(|some| words.contains(some))).map(|(_, kind)| *kind)
}

/// The last error, or the last line (the name of the exception, when yt-dlp itself crashed); addresses hidden.
fn last_words(stderr: &str) -> String {
    let is_said = |line: &&str| !line.is_empty() && !line.starts_with(mark::ASKED);
    let lines = || stderr.lines().map(str::trim).filter(is_said).rev();
    let line = lines().find(|line| line.starts_with("ERROR:")).or_else(|| lines().next());
    hide(line.unwrap_or_default())
}

/// Hides what may hold a secret.
fn hide(words: &str) -> String {
    hide_id(hide_addresses(words))
}

/// `; please report this issue on ...`, from `bug_reports_message` in `yt_dlp/utils/_utils.py`.
fn without_bug_report(words: &str) -> (&str, bool) {
    match words.find("please report this issue on") {
        Some(at) => (words[..at].trim_end_matches(['.', ';', ' ']), true),
        None => (words, false),
    }
}

/// Hides an id that was made of an address, as that of the generic extractor is: `ERROR: [generic] x?key=1: ...`.
fn hide_id(words: String) -> String {
    let extractor = words.strip_prefix("ERROR: [").and_then(|rest| rest.split_once("] "));
    let Some((extractor, (id, said))) = extractor.and_then(|(name, rest)| Some((name, rest.split_once(": ")?))) else {
        return words;
    };
    if extractor == "generic" || id.contains(['?', '=']) { format!("ERROR: [{extractor}] (id): {said}") } else { words }
}

/// Keeps of each address only that there was one.
fn hide_addresses(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let begin = rest[..at]
            .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '+')
            .map_or(0, |before| before + rest[before..].chars().next().map_or(1, char::len_utf8));
        shown.push_str(&rest[..begin]);
        // a scheme alone, as in "file:// URLs are disabled", hides nothing
        let after = &rest[at + 3..];
        let end = after.find(|c: char| c.is_whitespace() || "'\"<>)".contains(c)).unwrap_or(after.len());
        shown.push_str(if end == 0 { &rest[begin..at + 3] } else { "(address)" });
        rest = &after[end..];
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests;
