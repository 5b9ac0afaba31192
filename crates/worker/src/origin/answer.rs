//! What the head of an answer says (RFC 9110), as values.
//!
//! Not here: what follows from it (`relay`, `segments`).

use std::time::Duration;

use hyper::header::{
    CONTENT_ENCODING, CONTENT_RANGE, DATE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED, RETRY_AFTER, TRANSFER_ENCODING,
};
use hyper::{HeaderMap, StatusCode};
use jiff::Timestamp;

/// What an origin calls a version of a file; sent back in `If-Range`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validator {
    /// A strong entity tag.
    Tag(HeaderValue),
    /// When it was changed, which was before it was asked for (RFC 9110, 8.8.2.2).
    Modified(HeaderValue),
}

impl Validator {
    /// What a head names its bytes by, if that is enough to tell two versions apart.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let tag = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""));
        let modified = headers.get(LAST_MODIFIED).filter(|when| headers.get(DATE).is_some_and(|date| date != when));
        tag.map(|tag| Self::Tag(tag.clone())).or_else(|| modified.map(|when| Self::Modified(when.clone())))
    }

    pub(crate) fn value(&self) -> &HeaderValue {
        match self {
            Self::Tag(value) | Self::Modified(value) => value,
        }
    }

    /// Whether a head may be of this version. Not every origin repeats the name.
    pub(crate) fn fits(&self, headers: &HeaderMap) -> bool {
        let (name, value): (HeaderName, _) = match self {
            Self::Tag(value) => (ETAG, value),
            Self::Modified(value) => (LAST_MODIFIED, value),
        };
        headers.get(name).is_none_or(|named| named == value)
    }
}

/// A `Content-Range`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContentRange {
    pub(crate) first: u64,
    /// The last byte, not the one behind it.
    pub(crate) last: u64,
    /// `None`: not known to the origin.
    pub(crate) total: Option<u64>,
}

/// `None`: there is none, or it makes no sense.
pub(crate) fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let total = if total.trim() == "*" { None } else { Some(number(total)?) };
    (first <= last && total.is_none_or(|total| last < total)).then_some(ContentRange { first, last, total })
}

/// How many bytes there are, as an origin tells whoever asked for bytes behind them (`Content-Range`, RFC 9110 §14.4).
pub(crate) fn whole_length(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    number(text.trim().strip_prefix("bytes")?.trim_start().strip_prefix("*/")?)
}

/// Digits alone: Rust's own reading takes a sign as well.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Whether the bytes are those of the file.
pub(crate) fn is_plain(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_none_or(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Whether the body comes in chunks and in no other coding; by any other it would end with the connection, whole or not.
pub(crate) fn is_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let only = codings.next().filter(|_| codings.next().is_none());
    only.is_some_and(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// What an answer that is neither the bytes nor a redirect says about asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The origin wants to be left alone: for so long, if it said.
    Busy(Option<Duration>),
    /// It may have the bytes the next time.
    Passing,
    /// It will say the same again.
    Final,
}

impl Refusal {
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Self::Busy(retry_after(headers, Timestamp::now()))
            }
            StatusCode::REQUEST_TIMEOUT => Self::Passing,
            status if status.is_server_error() => Self::Passing,
            _ => Self::Final,
        }
    }
}

/// How long to stay away: seconds, or until a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Some(seconds) = number(text) {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_range_is_read_to_the_letter_or_not_at_all() {
        let read = |text| content_range(&head(&[(CONTENT_RANGE, text)])).map(|it| (it.first, it.last, it.total));
        assert_eq!(read("bytes 0-9/100"), Some((0, 9, Some(100))));
        assert_eq!(read("bytes 90-99/*"), Some((90, 99, None)));
        for text in ["bytes */100", "bytes 9-0/100", "bytes 0-100/100", "bytes +1-2/9", "bytes -2/9", "lines 0-9/9", ""]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn only_what_tells_two_versions_apart_is_a_name() {
        const DAY: &str = "Sat, 21 Nov 2026 06:00:00 GMT";
        const BEFORE: &str = "Fri, 20 Nov 2026 06:00:00 GMT";
        let named = |lines: &[_]| Validator::of(&head(lines)).map(|it| it.value().clone());
        assert_eq!(named(&[(ETAG, "\"a\""), (DATE, DAY), (LAST_MODIFIED, BEFORE)]).unwrap(), "\"a\"");
        assert_eq!(named(&[(ETAG, "W/\"a\""), (DATE, DAY), (LAST_MODIFIED, BEFORE)]).unwrap(), BEFORE);
        assert_eq!(named(&[(DATE, DAY), (LAST_MODIFIED, DAY)]), None);
        assert_eq!(named(&[(LAST_MODIFIED, DAY)]), None);
        assert_eq!(named(&[(ETAG, "W/\"a\"")]), None);
    }

    #[test]
    fn an_origin_may_ask_for_seconds_or_until_a_date() {
        let now = "2026-11-21T06:00:00Z".parse().unwrap();
        let wait = |text| retry_after(&head(&[(RETRY_AFTER, text)]), now);
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Sat, 21 Nov 2026 06:01:00 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(wait("Sat, 21 Nov 2026 05:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }
}
