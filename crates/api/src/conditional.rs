//! Which part of a file a request wants, if any: preconditions and ranges of RFC 9110, without IO.
//!
//! One range is served; of several, the whole file, which every client has to be ready for.

use std::ops::RangeInclusive;

use axum::http::{HeaderMap, HeaderName, Method, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// What a file is recognised by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validators {
    /// Strong: with quotes, without `W/`.
    pub etag: String,
    /// Last change; none where it is not known.
    pub modified: Option<Timestamp>,
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of it (200).
    Whole,
    /// These bytes (206).
    Part(RangeInclusive<u64>),
    /// The client has it (304).
    Nothing,
    /// The client meant another file (412).
    Other,
    /// The range begins beyond the end (416).
    Outside,
}

/// Decides, in the order of RFC 9110 §13.2.2. `total` is the size in bytes.
#[must_use]
pub fn wanted(method: &Method, headers: &HeaderMap, file: &Validators, total: u64) -> Wanted {
    let matches = match text(headers, header::IF_MATCH) {
        Some(list) => lists_strongly(list, &file.etag),
        None => !is_date_and(headers, header::IF_UNMODIFIED_SINCE, |since| file.changed_after(since)),
    };
    if !matches {
        return Wanted::Other;
    }
    let known = match text(headers, header::IF_NONE_MATCH) {
        Some(list) => lists(list, &file.etag),
        None => is_date_and(headers, header::IF_MODIFIED_SINCE, |since| file.unchanged_since(since)),
    };
    if known {
        return Wanted::Nothing;
    }
    match text(headers, header::RANGE) {
        // §14.2: a range is for GET
        Some(range) if method == Method::GET && file.is_still(text(headers, header::IF_RANGE)) => part(range, total),
        _ => Wanted::Whole,
    }
}

/// Does an `If-None-Match` list this tag? (Weak comparison: a compressed body is the same job.)
#[must_use]
pub fn lists(list: &str, etag: &str) -> bool {
    list.trim() == "*" || list.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)
}

/// A time as HTTP writes it (RFC 9110 §5.6.7).
#[must_use]
pub fn http_date(time: Timestamp) -> String {
    rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).unwrap_or_default()
}

impl Validators {
    fn changed_after(&self, since: Timestamp) -> bool {
        self.modified.is_some_and(|modified| modified.as_second() > since.as_second())
    }

    fn unchanged_since(&self, since: Timestamp) -> bool {
        self.modified.is_some_and(|modified| modified.as_second() <= since.as_second())
    }

    /// `If-Range`: a strong tag or an exact date; without the header the range counts in any case.
    fn is_still(&self, if_range: Option<&str>) -> bool {
        match if_range.map(str::trim) {
            None => true,
            Some(tag) if tag.starts_with('"') || tag.starts_with("W/") => tag == self.etag,
            Some(date) => {
                let date = rfc2822::parse(date).ok().map(|date| date.timestamp().as_second());
                date.is_some() && date == self.modified.map(Timestamp::as_second)
            }
        }
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn lists_strongly(list: &str, etag: &str) -> bool {
    list.trim() == "*" || list.split(',').any(|tag| tag.trim() == etag)
}

/// A date that can't be read counts as not sent.
fn is_date_and(headers: &HeaderMap, name: HeaderName, holds: impl Fn(Timestamp) -> bool) -> bool {
    let date = text(headers, name).and_then(|date| rfc2822::parse(date).ok());
    date.is_some_and(|date| holds(date.timestamp()))
}

/// Reads a `Range`. One that is not of bytes, not well-formed, or of several parts is as if it were not sent.
fn part(range: &str, total: u64) -> Wanted {
    let Some((unit, spec)) = range.split_once('=') else { return Wanted::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return Wanted::Whole;
    }
    match (number(first), number(last)) {
        (Some(first), None) if last.is_empty() => within(first, u64::MAX, total),
        (Some(first), Some(last)) if first <= last => within(first, last, total),
        (None, Some(0)) if first.is_empty() => Wanted::Outside,
        (None, Some(suffix)) if first.is_empty() => within(total.saturating_sub(suffix), u64::MAX, total),
        _ => Wanted::Whole,
    }
}

fn within(first: u64, last: u64, total: u64) -> Wanted {
    if first >= total { Wanted::Outside } else { Wanted::Part(first..=last.min(total - 1)) }
}

/// Digits; more than fit are as good as the largest number.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"abc\"";
    const DATE: &str = "Fri, 20 Nov 2026 12:00:00 GMT";
    const LATER: &str = "Fri, 20 Nov 2026 12:00:01 GMT";
    const EARLIER: &str = "Fri, 20 Nov 2026 11:59:59 GMT";

    fn of(method: Method, headers: &[(HeaderName, &str)]) -> Wanted {
        let modified = "2026-11-20T12:00:00.75Z".parse().unwrap();
        let file = Validators { etag: TAG.to_owned(), modified: Some(modified) };
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        wanted(&method, &headers, &file, 1000)
    }

    #[test]
    fn a_range_is_what_rfc_9110_says() {
        use Wanted::{Outside, Part, Whole};
        let table = [
            ("bytes=0-0", Part(0..=0)),
            ("bytes=0-499", Part(0..=499)),
            ("bytes=500-", Part(500..=999)),
            ("bytes=500-5000", Part(500..=999)),
            ("bytes=-1", Part(999..=999)),
            ("bytes=-5000", Part(0..=999)),
            ("Bytes = 1-2", Part(1..=2)),
            ("bytes=999-", Part(999..=999)),
            ("bytes=1000-", Outside),
            ("bytes=1000-1001", Outside),
            ("bytes=-0", Outside),
            ("bytes=99999999999999999999-", Outside),
            ("bytes=0-99999999999999999999", Part(0..=999)),
            ("bytes=5-4", Whole),
            ("bytes=0-1,5-6", Whole),
            ("bytes=", Whole),
            ("bytes=-", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("bytes 0-1", Whole),
            ("items=0-1", Whole),
        ];
        for (range, expected) in table {
            assert_eq!(of(Method::GET, &[(header::RANGE, range)]), expected, "{range}");
            assert_eq!(of(Method::HEAD, &[(header::RANGE, range)]), Whole, "{range}");
        }
    }

    #[test]
    fn an_empty_file_has_no_ranges() {
        assert_eq!(part("bytes=0-", 0), Wanted::Outside);
        assert_eq!(part("bytes=-5", 0), Wanted::Outside);
    }

    #[test]
    fn a_range_counts_only_while_the_file_is_the_same() {
        let table = [
            (TAG, true),
            ("\"other\"", false),
            ("W/\"abc\"", false),
            (DATE, true),
            (LATER, false),
            (EARLIER, false),
            ("yesterday", false),
        ];
        for (if_range, counts) in table {
            let wanted = of(Method::GET, &[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, if_range)]);
            assert_eq!(wanted == Wanted::Part(0..=1), counts, "{if_range}");
        }
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        use header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
        let table: [(&[(HeaderName, &str)], Wanted); 12] = [
            (&[(IF_NONE_MATCH, TAG)], Wanted::Nothing),
            (&[(IF_NONE_MATCH, "\"x\", W/\"abc\"")], Wanted::Nothing),
            (&[(IF_NONE_MATCH, "*")], Wanted::Nothing),
            (&[(IF_NONE_MATCH, "\"x\"")], Wanted::Whole),
            (&[(IF_MODIFIED_SINCE, DATE)], Wanted::Nothing),
            (&[(IF_MODIFIED_SINCE, EARLIER)], Wanted::Whole),
            (&[(IF_MODIFIED_SINCE, DATE), (IF_NONE_MATCH, "\"x\"")], Wanted::Whole),
            (&[(IF_MATCH, TAG)], Wanted::Whole),
            (&[(IF_MATCH, "W/\"abc\"")], Wanted::Other),
            (&[(IF_UNMODIFIED_SINCE, DATE)], Wanted::Whole),
            (&[(IF_UNMODIFIED_SINCE, EARLIER)], Wanted::Other),
            (&[(IF_UNMODIFIED_SINCE, "never")], Wanted::Whole),
        ];
        for (headers, expected) in table {
            assert_eq!(of(Method::GET, headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_date_is_written_as_http_wants_it() {
        assert_eq!(http_date("2026-11-20T12:00:00.75Z".parse().unwrap()), DATE);
    }
}
