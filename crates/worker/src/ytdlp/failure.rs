//! Why a run of yt-dlp failed, told from how it ended and from its last words.
//!
//! yt-dlp has one exit code for everything, so the words decide: a table, read from the top. They are matched after
//! addresses, and ids made of them, are hidden (a site could put words into them, and their queries hold secrets)
//! and after its request to report a bug is cut off (it says "confirm you are on the latest version"). That request is itself a sign: the extractor did not foresee the error.
//!
//! Not here: what follows from a kind (`haul_shared::job::failure`).

use std::time::Duration;

use haul_shared::job::{Failure, FailureKind};

use super::command::mark;
use crate::process::Ended;

use FailureKind as K;

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

/// The longest wait that an answer asked for of the kind that ended the run: lines of `retry_after.py`.
fn longest_asked(stderr: &str, kind: FailureKind, words: &str) -> Option<Duration> {
    let is_the_end = |status: &str| kind == K::SiteRateLimited || words.contains(&format!("HTTP Error {status}"));
    let asked = stderr.lines().filter_map(|line| {
        let (status, seconds) = line.strip_prefix(mark::ASKED)?.trim_start().split_once(' ')?;
        let seconds = seconds.parse().ok()?;
        is_the_end(status).then(|| Duration::from_secs(seconds))
    });
    asked.max().filter(|_| kind.is_retryable())
}

fn kind_of(words: &str, was_live: bool) -> FailureKind {
    let (words, unforeseen) = without_bug_report(words);
    let words = words.to_lowercase();
    let find = |table: &[(&[&str], FailureKind)]| {
        table.iter().find(|(any, _)| any.iter().any(|some| words.contains(some))).map(|(_, kind)| *kind)
    };
    if words.contains(WANTS_FFMPEG) {
        return if was_live { K::LiveNotSupported } else { K::DrmProtected };
    }
    if let Some(kind) = find(EVERYWHERE) {
        return kind;
    }
    if unforeseen || !words.starts_with("error:") {
        return K::ExtractorError;
    }
    find(FORESEEN).unwrap_or(K::ExtractorError)
}

/// The last error, or the last line (the name of the exception, when yt-dlp itself crashed); addresses hidden.
fn last_words(stderr: &str) -> String {
    let is_said = |line: &&str| !line.is_empty() && !line.starts_with(mark::ASKED);
    let lines = || stderr.lines().map(str::trim).filter(is_said).rev();
    let line = lines().find(|line| line.starts_with("ERROR:")).or_else(|| lines().next());
    hide_id(hide_addresses(line.unwrap_or_default()))
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
