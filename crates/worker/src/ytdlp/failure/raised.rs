//! What an error of yt-dlp is: one ladder for both ways.
//!
//! An error has a chain of causes, outermost first. The class of any of them may decide, as may a number (a status, an
//! errno); where an extractor foresaw the error, its words come before the status that it met: a 403 with "this video is
//! private" is private. Classes are from `yt_dlp/utils/_utils.py` and `yt_dlp/networking/exceptions.py`.

use haul_shared::job::FailureKind;

use super::K;
use super::hidden::hide;
use super::words::{EVERYWHERE, FORESEEN, MISSING_PART, WANTS_FFMPEG, find};
use crate::ytdlp::value::{Fields, LINK, WORD};

const CAUSES: usize = 10;
const CLASSES: usize = 10;

/// Classes that say all that there is to say.
const BY_CLASS: &[(&str, FailureKind)] = &[
    // a page that blows up: its child may have so much memory and no more
    ("MemoryError", K::InvalidMedia),
    ("RecursionError", K::InvalidMedia),
    ("GeoRestrictedError", K::GeoBlocked),
    ("UserNotLive", K::NotYetAvailable),
    ("UnsupportedError", K::UnsupportedUrl),
    ("NoSupportingHandlers", K::UnsupportedUrl),
    ("UnsupportedRequest", K::UnsupportedUrl),
    // the operator's, not the site's
    ("ProxyError", K::Internal),
];

/// Classes of what goes wrong between machines; the command line names only the outermost.
const NETWORK: [&str; 9] = [
    "TransportError",
    "IncompleteRead",
    "SSLError",
    "CertificateVerifyError",
    "ContentTooShortError",
    "ConnectionError",
    "ConnectionResetError",
    "TimeoutError",
    "gaierror",
];

/// `No space left on device`, `Disk quota exceeded`.
const NO_ROOM: [i64; 2] = [28, 122];
/// `File too large`: past the limit of the job.
const TOO_LARGE: i64 = 27;

/// An error, as a warm extractor tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Raised {
    /// The error, and what led to it.
    pub causes: Vec<Cause>,
    /// The medium was known to be a live stream.
    pub is_live: bool,
}

/// One error of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cause {
    /// Its class and those above it.
    pub classes: Vec<String>,
    /// Its words, without the request to report a bug.
    pub text: String,
    /// The extractor foresaw it.
    pub expected: Option<bool>,
    /// Of an answer of HTTP.
    pub status: Option<u16>,
    /// Of the system.
    pub errno: Option<i64>,
}

impl Cause {
    fn of(fields: &Fields<'_>) -> Self {
        Self {
            classes: fields.texts("classes", WORD, CLASSES),
            text: fields.text("text", LINK).unwrap_or_default(),
            expected: fields.has("expected").then(|| fields.is_true("expected")),
            status: fields.whole("status").and_then(|status| u16::try_from(status).ok()),
            errno: fields.whole("errno").and_then(|number| i64::try_from(number).ok()),
        }
    }

    pub(super) fn of_classes(classes: &[&str]) -> Self {
        Self { classes: classes.iter().map(|class| (*class).to_owned()).collect(), ..Self::default() }
    }

    fn is(&self, class: &str) -> bool {
        self.classes.iter().any(|one| one == class)
    }
}

impl Raised {
    pub(in crate::ytdlp) fn of(fields: &Fields<'_>) -> Self {
        let causes = fields.list("causes", CAUSES).map(|cause| Cause::of(&cause)).collect();
        Self { causes, is_live: fields.is_true("is_live") }
    }

    /// The words of the outermost error, as the command line has them; what may hold a secret is hidden. Empty when
    /// nothing was said.
    pub(super) fn words(&self) -> String {
        let Some(outer) = self.causes.first() else { return String::new() };
        hide(&match (outer.classes.first(), outer.text.as_str()) {
            (Some(class), "") => class.to_owned(),
            (_, text) if text.starts_with("ERROR:") => text.to_owned(),
            (_, text) if outer.is("YoutubeDLError") => format!("ERROR: {text}"),
            (Some(class), text) => format!("{class}: {text}"),
            (None, text) => text.to_owned(),
        })
    }

    /// The first status of an answer in the chain.
    pub(super) fn status(&self) -> Option<u16> {
        self.causes.iter().filter(|cause| cause.is("HTTPError")).find_map(|cause| cause.status)
    }

    pub(super) fn kind(&self) -> FailureKind {
        let words = self.words().to_lowercase();
        self.by_errno()
            .or_else(|| self.by_class())
            .or_else(|| find(MISSING_PART, &words))
            .or_else(|| self.by_want_of_ffmpeg(&words))
            .or_else(|| self.by_foreseen_words())
            .or_else(|| find(EVERYWHERE, &words))
            .or_else(|| self.status().and_then(by_status))
            .or_else(|| self.by_network())
            .or_else(|| self.by_own_words(&words))
            .unwrap_or(K::ExtractorError)
    }

    fn by_errno(&self) -> Option<FailureKind> {
        let of_system = self.causes.iter().filter(|cause| cause.is("OSError"));
        of_system.filter_map(|cause| cause.errno).find_map(|number| match number {
            TOO_LARGE => Some(K::TooLarge),
            number if NO_ROOM.contains(&number) => Some(K::DiskFull),
            _ => None,
        })
    }

    fn by_class(&self) -> Option<FailureKind> {
        let is = |class: &str| self.causes.iter().any(|cause| cause.is(class));
        BY_CLASS.iter().find(|(class, _)| is(class)).map(|(_, kind)| *kind)
    }

    fn by_want_of_ffmpeg(&self, words: &str) -> Option<FailureKind> {
        words.contains(WANTS_FFMPEG).then_some(if self.is_live { K::LiveNotSupported } else { K::DrmProtected })
    }

    fn by_foreseen_words(&self) -> Option<FailureKind> {
        let said = self.said().filter(|cause| cause.expected == Some(true))?;
        let words = hide(&said.text).to_lowercase();
        // yt-dlp's own words around a status are no extractor's
        if words.contains("http error") { None } else { find(FORESEEN, &words) }
    }

    /// What yt-dlp itself says, without an extractor.
    fn by_own_words(&self, words: &str) -> Option<FailureKind> {
        let is_its_own = self.said().is_none() && words.starts_with("error:");
        if is_its_own { find(FORESEEN, words) } else { None }
    }

    fn by_network(&self) -> Option<FailureKind> {
        let is_network = |cause: &Cause| NETWORK.iter().any(|class| cause.is(class));
        self.causes.iter().any(is_network).then_some(K::Network)
    }

    /// What an extractor said, if one did.
    fn said(&self) -> Option<&Cause> {
        self.causes.iter().find(|cause| cause.is("ExtractorError"))
    }
}

fn by_status(status: u16) -> Option<FailureKind> {
    match status {
        429 => Some(K::SiteRateLimited),
        451 => Some(K::GeoBlocked),
        401 | 402 => Some(K::LoginRequired),
        403 => Some(K::SiteBlocked),
        404 | 410 => Some(K::Unavailable),
        408 | 500..=599 => Some(K::Network),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ytdlp::failure::raised;
    use crate::ytdlp::value::raw;

    #[track_caller]
    fn check(causes: serde_json::Value, kind: FailureKind) {
        let told = json!({ "causes": causes });
        let told = Raised::of(&Fields::of(&raw(&told)).expect("an object"));
        assert_eq!(told.kind(), kind, "{told:?}");
    }

    fn outer(text: &str) -> serde_json::Value {
        json!({"classes": ["DownloadError", "YoutubeDLError"], "text": format!("ERROR: [site] 1: {text}")})
    }

    fn said(text: &str, expected: bool) -> serde_json::Value {
        json!({"classes": ["ExtractorError", "YoutubeDLError"], "text": text, "expected": expected})
    }

    fn answer(status: u16) -> serde_json::Value {
        let text = format!("HTTP Error {status}: Whatever");
        json!({"classes": ["HTTPError", "RequestError", "YoutubeDLError"], "text": text, "status": status})
    }

    #[test]
    fn a_status_decides_unless_an_extractor_says_what_it_means() {
        for (status, kind) in [
            (401, K::LoginRequired),
            (403, K::SiteBlocked),
            (404, K::Unavailable),
            (429, K::SiteRateLimited),
            (451, K::GeoBlocked),
            (503, K::Network),
            (400, K::ExtractorError),
        ] {
            let text = format!("Unable to download webpage: HTTP Error {status}: Whatever");
            check(json!([outer(&text), said(&text, true), answer(status)]), kind);
        }
        let text = "This video is private";
        check(json!([outer(text), said(text, true), answer(403)]), K::Private);
        // a page of an odd address is no reason: the status counts
        check(json!([outer("Failed to parse"), said("Failed to parse", true), answer(404)]), K::Unavailable);
    }

    #[test]
    fn a_class_decides_whatever_the_words_are() {
        for (classes, errno, kind) in [
            (json!(["GeoRestrictedError", "ExtractorError", "YoutubeDLError"]), None, K::GeoBlocked),
            (json!(["UserNotLive", "ExtractorError", "YoutubeDLError"]), None, K::NotYetAvailable),
            (json!(["UnsupportedError", "ExtractorError", "YoutubeDLError"]), None, K::UnsupportedUrl),
            (json!(["NoSupportingHandlers", "RequestError", "YoutubeDLError"]), None, K::UnsupportedUrl),
            (json!(["IncompleteRead", "TransportError", "RequestError", "YoutubeDLError"]), None, K::Network),
            (json!(["MemoryError"]), None, K::InvalidMedia),
            (json!(["RecursionError", "RuntimeError"]), None, K::InvalidMedia),
            (json!(["OSError"]), Some(27), K::TooLarge),
            (json!(["OSError"]), Some(28), K::DiskFull),
            (json!(["KeyError", "LookupError"]), None, K::ExtractorError),
        ] {
            let cause = json!({"classes": classes, "errno": errno, "text": "private", "expected": true});
            check(json!([outer("oh"), cause]), kind);
        }
    }

    #[test]
    fn what_was_not_foreseen_is_an_extractor_error_whatever_it_contains() {
        let text = "Unable to extract private key";
        check(json!([outer(text), said(text, false)]), K::ExtractorError);
        check(json!([outer("Song removed"), said("Song removed", true)]), K::Unavailable);
        check(json!([]), K::ExtractorError);
    }

    #[test]
    fn words_decide_where_no_class_is_told() {
        for (text, kind) in [
            ("[download] Got error: HTTP Error 404: Not Found. Giving up after 1 retries", K::CorruptMedia),
            ("Did not get any data blocks", K::CorruptMedia),
            ("m3u8 download detected but ffmpeg could not be found. Please install", K::DrmProtected),
            ("fragment 3 not found, unable to continue", K::CorruptMedia),
            ("Requested format is not available", K::FormatUnavailable),
        ] {
            check(json!([{"classes": ["DownloadError", "YoutubeDLError"], "text": format!("ERROR: {text}")}]), kind);
        }
    }

    #[test]
    fn a_wait_is_that_of_the_answer_that_ended_the_run_and_addresses_are_hidden() {
        let text = "Unable to download http://site.example/?key=sesame: HTTP Error 503: Busy";
        let told = json!({"causes": [outer(text), said(text, true), answer(503)]});
        let told = Raised::of(&Fields::of(&raw(&told)).expect("an object"));
        let failure = raised(&told, &[(503, 7), (404, 900), (503, 3)]);
        assert_eq!(failure.retry_after, Some(std::time::Duration::from_secs(7)));
        assert!(!failure.detail.contains("sesame"), "{}", failure.detail);
    }
}
