//! The last words of the command line, read for what a warm extractor would have told: the classes of an error.
//!
//! Only what yt-dlp itself puts around the words of others is read: `ERROR: [extractor] id: ... (caused by Class(...))`,
//! its request to report a bug, which an error has that was not foreseen (and which says "confirm you are on the latest
//! version"), its advice to use a VPN, which only geo-restriction has, and the last line of a traceback.

use super::raised::{Cause, Raised};
use crate::ytdlp::command::mark;

/// From `_handle_extraction_exceptions` in `yt_dlp/YoutubeDL.py`.
const GEO_ADVICE: &str = "You might want to use a VPN or a proxy server (with --proxy) to workaround.";
/// From `bug_reports_message` in `yt_dlp/utils/_utils.py`.
const BUG_REPORT: &str = "please report this issue on";
/// From `YoutubeDLError.__str__` of an error with a cause.
const CAUSED_BY: &str = " (caused by ";

/// What the last error was. `is_live`: the run said that the medium is a live stream.
pub(super) fn raised(stderr: &str, is_live: bool) -> Raised {
    let is_said = |line: &&str| !line.is_empty() && !line.starts_with(mark::ASKED);
    let lines = || stderr.lines().map(str::trim).filter(is_said).rev();
    let error = lines().find(|line| line.starts_with("ERROR:"));
    let causes = match error {
        Some(line) => by_yt_dlp(line, stderr.contains(GEO_ADVICE)),
        None => lines().next().map(by_python).into_iter().collect(),
    };
    Raised { causes, is_live }
}

/// `ERROR: ...`: the error that ended the run, what an extractor said, and what that came from.
fn by_yt_dlp(line: &str, is_geo: bool) -> Vec<Cause> {
    let (text, unforeseen) = match line.find(BUG_REPORT) {
        Some(at) => (line[..at].trim_end_matches(['.', ';', ' ']), true),
        None => (line, false),
    };
    let mut causes = vec![Cause { text: text.to_owned(), ..Cause::of_classes(&["DownloadError", "YoutubeDLError"]) }];
    let words = text.trim_start_matches("ERROR:").trim_start();
    let (words, cause) = words.rsplit_once(CAUSED_BY).map_or((words, None), |(words, cause)| (words, Some(cause)));
    let is_extractors = words.starts_with('[') && !words.starts_with("[download]");
    if is_extractors || unforeseen {
        let said = words.split_once("] ").and_then(|(_, rest)| rest.split_once(": ")).map_or(words, |(_, said)| said);
        let mut said = Cause {
            text: said.to_owned(),
            expected: Some(!unforeseen),
            ..Cause::of_classes(&["ExtractorError", "YoutubeDLError"])
        };
        if is_geo {
            said.classes.insert(0, "GeoRestrictedError".to_owned());
        }
        causes.push(said);
        causes.extend(cause.map(by_repr));
    } else {
        causes.extend(errno(words));
    }
    causes
}

/// `<HTTPError 404: Not Found>`, or `SSLError('...')`.
fn by_repr(repr: &str) -> Cause {
    if let Some(answer) = repr.strip_prefix("<HTTPError ") {
        let status = answer.split(':').next().and_then(|status| status.parse().ok());
        return Cause { status, ..Cause::of_classes(&["HTTPError"]) };
    }
    let class = repr.trim_start_matches('<').split(['(', ':', ' ']).next().unwrap_or_default();
    Cause::of_classes(&[class])
}

/// `[Errno 28] No space left on device`, in an error that no extractor raised.
fn errno(words: &str) -> Option<Cause> {
    let (_, number) = words.split_once("[Errno ")?;
    let errno = number.split(']').next()?.parse().ok()?;
    Some(Cause { errno: Some(errno), ..Cause::of_classes(&["OSError"]) })
}

/// The end of a traceback: `yt_dlp.networking.exceptions.RequestError: ...`, or `MemoryError` alone.
fn by_python(line: &str) -> Cause {
    let (class, text) = line.split_once(": ").unwrap_or((line, ""));
    let class = class.rsplit('.').next().unwrap_or_default();
    let is_class = !class.is_empty() && class.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match is_class {
        true => Cause { text: text.to_owned(), ..Cause::of_classes(&[class]) },
        false => Cause { text: line.to_owned(), ..Cause::default() },
    }
}
