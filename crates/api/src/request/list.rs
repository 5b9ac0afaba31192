//! The request for a playlist: its address, which of its entries, and one request without an address for all of them.

use std::ops::RangeInclusive;

use haul_shared::source::SourceUrl;
use haul_shared::view::DownloadRequest;

use super::fields::{Fields, whole};
use super::node::Node;
use super::{LONGEST_LIST, Rules, read_options, read_url, read_webhook, without_fault};
use crate::error::ApiError;

/// A number of an entry, at most; as `playlist_index` of a download.
const LAST_ENTRY: u64 = 100_000;

/// A request for a playlist without fault.
#[derive(Debug, Clone)]
pub struct ListOrder {
    /// Where the list is, as it was sent.
    pub url: String,
    /// The same, checked.
    pub source: SourceUrl,
    /// Which of its entries, from 1; at most 100.
    pub entries: RangeInclusive<u32>,
    /// Did the request say where to begin?
    pub is_range: bool,
    /// What each download is to be; its address is still to be said.
    pub options: DownloadRequest,
}

/// Reads the body of a request for a playlist, of a caller whose webhooks can be signed, or can't.
///
/// # Errors
/// As [`super::read`].
pub fn read_list(body: &Node, rules: &Rules, signs: bool) -> Result<ListOrder, ApiError> {
    let mut faults = Vec::new();
    let Some(mut fields) = Fields::of(body, "", &mut faults) else { return Err(ApiError::invalid(faults)) };
    let address = read_url(&mut fields, &rules.egress);
    let limit = fields.take("limit", |node| whole(node, 1, LONGEST_LIST.into()).map(|limit| limit as u32));
    let range = fields.take_object("range", read_range);
    if limit.is_some() && range.is_some() {
        fields.fault("limit", "can't be said together with range");
    }
    let options = fields.take_object("options", |options| {
        // a whole request, with its defaults filled in, may be sent again
        if options.take_node("playlist_index").is_some_and(|node| whole(node, 1, 1).is_err()) {
            options.fault("playlist_index", "is each entry's own; range says which entries");
        }
        let webhook = read_webhook(options, &rules.egress, signs);
        webhook.map(|webhook| DownloadRequest { webhook, ..read_options(options, rules) })
    });
    fields.end();
    let usual = || DownloadRequest { expires_in: rules.result_ttl.as_secs(), ..DownloadRequest::of_url(String::new()) };
    let both = address.and_then(|address| Ok((address, options.unwrap_or_else(|| Ok(usual()))?)));
    let ((url, source), options) = without_fault(both, faults)?;
    let is_range = range.is_some();
    let entries = range.unwrap_or(1..=limit.unwrap_or(LONGEST_LIST));
    Ok(ListOrder { url, source, entries, is_range, options })
}

/// Both ends count. What is wrong is noted as a fault.
fn read_range(fields: &mut Fields<'_, '_>) -> RangeInclusive<u32> {
    let mut end_of = |key| fields.take(key, |node| whole(node, 1, LAST_ENTRY).map(|number| number as u32));
    let (start, end) = (end_of("start").unwrap_or(1), end_of("end"));
    let last = start + LONGEST_LIST - 1;
    if end.is_some_and(|end| !(start..=last).contains(&end)) {
        fields.fault("end", format!("must be from start to start + {}", LONGEST_LIST - 1));
    }
    start..=end.unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::super::tests::rules;
    use super::*;

    fn read(body: &str) -> Result<ListOrder, String> {
        let body = Node::parse(body.as_bytes()).expect("JSON");
        read_list(&body, &rules(), false).map_err(|error| error.summary())
    }

    #[test]
    fn a_list_is_asked_for_by_its_first_entries_or_by_a_range_of_them() {
        for (more, entries, is_range) in [
            ("", 1..=100, false),
            (r#", "limit": 1"#, 1..=1, false),
            (r#", "range": null, "options": null"#, 1..=100, false),
            (r#", "range": {}"#, 1..=100, true),
            (r#", "range": {"start": 11, "end": 30}"#, 11..=30, true),
            (r#", "range": {"start": 101}"#, 101..=200, true),
            (r#", "range": {"start": 100000}"#, 100_000..=100_099, true),
        ] {
            let order = read(&format!(r#"{{"url": "https://a.example/"{more}}}"#)).unwrap();
            assert_eq!((order.entries, order.is_range), (entries, is_range), "{more}");
            assert_eq!(order.options.expires_in, 86_400, "{more}");
        }
        let order = read(
            r#"{"url": "https://a.example/#x", "options": {"format": "mp3", "expires_in": 60, "playlist_index": 1}}"#,
        )
        .unwrap();
        assert_eq!((order.url.as_str(), order.options.expires_in), ("https://a.example/#x", 60));
        assert_eq!(serde_json::to_value(order.options.format).unwrap(), "mp3");
    }

    #[test]
    fn every_fault_of_a_list_is_told_at_its_place() {
        for (body, expected) in [
            ("7", "invalid_request "),
            ("{}", "invalid_request /url"),
            (r#"{"url": "ftp://a.example/"}"#, "unsupported_url /url"),
            (r#"{"url": "http://localhost/", "limit": 1}"#, "egress_denied /url"),
            (r#"{"url": "http://localhost/", "limit": 0}"#, "invalid_request /url /limit"),
            (r#"{"url": "https://a.example/", "limit": 101}"#, "invalid_request /limit"),
            (r#"{"url": "https://a.example/", "limit": 1, "range": {}}"#, "invalid_request /limit"),
            (r#"{"url": "https://a.example/", "range": 7}"#, "invalid_request /range"),
            (
                r#"{"url": "https://a.example/", "range": {"start": 0, "to": 1}}"#,
                "invalid_request /range/start /range/to",
            ),
            (r#"{"url": "https://a.example/", "range": {"start": 5, "end": 4}}"#, "invalid_request /range/end"),
            (r#"{"url": "https://a.example/", "range": {"start": 5, "end": 105}}"#, "invalid_request /range/end"),
            (r#"{"url": "https://a.example/", "options": []}"#, "invalid_request /options"),
            (
                r#"{"url": "https://a.example/", "options": {"url": "https://b.example/", "playlist_index": 2}}"#,
                "invalid_request /options/playlist_index /options/url",
            ),
            (
                r#"{"url": "https://a.example/", "options": {"clip": {"start": 2, "end": 1}, "urk": 1}, "urk": 1}"#,
                "invalid_request /options/clip/end /options/urk /urk",
            ),
            (
                r#"{"url": "https://a.example/", "options": {"webhook": {"url": "https://b.example/"}}}"#,
                "invalid_request /options/webhook",
            ),
            // that nothing would be signed is told beside what else is wrong
            (
                r#"{"url": "https://a.example/", "options": {"webhook": {"url": "http://10.1.1.1/"}}}"#,
                "invalid_request /options/webhook/url /options/webhook",
            ),
        ] {
            assert_eq!(read(body).expect_err("a fault"), expected, "{body}");
        }
    }
}
