//! Requests, right and wrong.

use std::time::Duration;

use haul_shared::media::Format;
use serde_json::json;

use super::*;

pub(super) fn rules() -> Rules {
    Rules {
        regions: ["eu", "us"].map(|name| name.parse().unwrap()).to_vec(),
        result_ttl: Duration::from_secs(86_400),
        egress: EgressPolicy { allow: Vec::new(), ports: vec![80, 443] },
    }
}

fn check(body: &serde_json::Value) -> Result<Order, ApiError> {
    read(&Node::parse(body.to_string().as_bytes()).unwrap(), &rules(), true)
}

/// `code /pointer /pointer ...` of a refusal.
fn refusal(body: &str) -> String {
    let error = read(&Node::parse(body.as_bytes()).unwrap(), &rules(), true).unwrap_err();
    error.summary()
}

#[test]
fn all_defaults_are_filled_in_but_the_region_of_who_asks() {
    let order = check(&json!({ "url": "https://media.example/talk" })).unwrap();
    let shown = serde_json::to_value(&order.request).unwrap();
    let expected = json!({
        "url": "https://media.example/talk",
        "format": "mp4", "quality": "best", "codec": "any", "fallback": "nearest", "audio_bitrate_kbps": 192,
        "clip": null, "subtitles": null,
        "embed_metadata": true, "embed_thumbnail": false, "embed_chapters": true,
        "sponsorblock": { "mark": [], "remove": [] },
        "playlist_index": 1, "streaming": false, "live_seconds": null, "filename": null,
        "priority": "normal", "region": null, "webhook": null, "external_id": null, "tags": [], "expires_in": 86_400,
    });
    assert_eq!(shown, expected);
}

#[test]
fn every_word_of_the_contract_is_taken() {
    let full = json!({
        "url": "https://media.example/talk#part",
        "format": "webm", "quality": "1080p", "codec": "vp9", "fallback": "strict", "audio_bitrate_kbps": 320,
        "clip": { "start": 10.5, "end": 10_000_000.0, "exact": true },
        "subtitles": { "languages": ["en", "zh-Hans-CN", "es-419"], "automatic": true, "mode": "sidecar" },
        "embed_metadata": false, "embed_thumbnail": true, "embed_chapters": false,
        "sponsorblock": { "mark": ["intro", "chapter"], "remove": ["sponsor"] },
        "playlist_index": 7, "streaming": true, "live_seconds": 600, "filename": "Ein Vortrag",
        "priority": "low", "region": "us", "webhook": { "url": "https://hooks.example/haul?for=me" }, "external_id": "order-17", "tags": ["talks", "2026"],
        "expires_in": 60,
    });
    let order = check(&full).unwrap();
    assert_eq!(serde_json::to_value(&order.request).unwrap(), full);
    let spec = order.spec(&haul_shared::cookies::Jars::None);
    assert_eq!((spec.format, spec.playlist_index, spec.embed_metadata), (Format::Webm, 7, false));
    assert!(spec.streaming);
    for format in FORMATS {
        let order = check(&json!({ "url": "https://media.example/", "format": format })).unwrap();
        assert_eq!(serde_json::to_value(order.request.format).unwrap(), *format);
    }
    for quality in QUALITIES {
        check(&json!({ "url": "https://media.example/", "quality": quality })).unwrap();
    }
}

#[test]
fn a_stored_request_of_an_older_version_stays_readable() {
    let request: DownloadRequest = serde_json::from_str("{\"url\":\"https://media.example/\"}").unwrap();
    assert_eq!(request, DownloadRequest::of_url("https://media.example/".to_owned()));
}

#[test]
fn every_fault_is_told_at_its_place() {
    let table = [
        ("[]", "invalid_request "),
        ("null", "invalid_request "),
        ("{}", "invalid_request /url"),
        (r#"{"url": null}"#, "invalid_request /url"),
        (r#"{"url": 7}"#, "invalid_request /url"),
        (r#"{"url": "no url"}"#, "invalid_request /url"),
        (r#"{"url": "ftp://media.example/"}"#, "unsupported_url /url"),
        (r#"{"url": "https://u:p@media.example/"}"#, "unsupported_url /url"),
        (r#"{"url": "http://localhost/"}"#, "egress_denied /url"),
        (r#"{"url": "ftp://media.example/", "tags": 1}"#, "invalid_request /url /tags"),
        (r#"{"url": "https://a.example/", "url": "https://b.example/"}"#, "invalid_request /url"),
        (r#"{"url": "https://a.example/", "urk": 1, "a/b~c": 2}"#, "invalid_request /urk /a~1b~0c"),
        (r#"{"url": "https://a.example/", "clip": {"start": 42, "end": 10}}"#, "invalid_request /clip/end"),
        (
            r#"{"url": "https://a.example/", "clip": {"start": -1, "end": "x", "by": 1}}"#,
            "invalid_request /clip/start /clip/end /clip/by",
        ),
        (r#"{"url": "https://a.example/", "clip": {"start": 0, "end": 1e-7}}"#, "invalid_request /clip/end"),
        (
            r#"{"url": "https://a.example/", "clip": {"start": 1e13, "end": 1e14}}"#,
            "invalid_request /clip/start /clip/end",
        ),
        (
            r#"{"url": "https://a.example/", "subtitles": {"languages": ["en", 7], "mode": "burn"}}"#,
            "invalid_request /subtitles/languages/1 /subtitles/mode",
        ),
        (
            r#"{"url": "https://a.example/", "subtitles": {"languages": [" ", "en.*", "en-", "1e", "../x", "aaaabbbbc"]}}"#,
            "invalid_request /subtitles/languages/0 /subtitles/languages/1 /subtitles/languages/2 /subtitles/languages/3 \
             /subtitles/languages/4 /subtitles/languages/5",
        ),
        (r#"{"url": "https://a.example/", "subtitles": {}}"#, "invalid_request /subtitles/languages"),
        (
            r#"{"url": "https://a.example/", "sponsorblock": {"remove": ["sponsor", "ads"]}}"#,
            "invalid_request /sponsorblock/remove/1",
        ),
        (
            r#"{"url": "https://a.example/", "sponsorblock": {"mark": ["chapter"], "remove": ["chapter"]}}"#,
            "invalid_request /sponsorblock/remove/0",
        ),
        (r#"{"url": "https://a.example/", "webhook": {}}"#, "invalid_request /webhook/url"),
        (r#"{"url": "https://a.example/", "webhook": {"url": "no url"}}"#, "invalid_request /webhook/url"),
        (r#"{"url": "https://a.example/", "webhook": {"url": "ftp://b.example/"}}"#, "unsupported_url /webhook/url"),
        (r#"{"url": "https://a.example/", "webhook": {"url": "http://10.1.1.1/"}}"#, "egress_denied /webhook/url"),
        (r#"{"url": "https://a.example/", "webhook": {"url": "http://b.example:22/"}}"#, "egress_denied /webhook/url"),
        (r#"{"url": "http://localhost/", "webhook": {"url": "http://[::1]/"}}"#, "invalid_request /url /webhook/url"),
        (
            r#"{"url": "https://a.example/", "webhook": {"url": "https://b.example/", "secret": "x"}}"#,
            "invalid_request /webhook/secret",
        ),
        (
            r#"{"url": "https://a.example/", "embed_thumbnail": "yes", "streaming": 1}"#,
            "invalid_request /embed_thumbnail /streaming",
        ),
        (r#"{"url": "https://a.example/", "live_seconds": 0}"#, "invalid_request /live_seconds"),
        (r#"{"url": "https://a.example/", "tags": ["a", "", 3]}"#, "invalid_request /tags/1 /tags/2"),
        (r#"{"url": "https://a.example/", "format": null}"#, "invalid_request /format"),
        (r#"{"url": "https://a.example/", "region": "mars"}"#, "invalid_request /region"),
    ];
    for (body, expected) in table {
        assert_eq!(refusal(body), expected, "{body}");
    }
}

#[test]
fn nobody_is_told_in_a_message_that_is_not_signed() {
    let body =
        json!({ "url": "https://a.example/", "webhook": { "url": "https://b.example/" }, "tags": 1 }).to_string();
    let read_by = |signs| read(&Node::parse(body.as_bytes()).unwrap(), &rules(), signs).unwrap_err().summary();
    assert_eq!(read_by(false), "invalid_request /webhook /tags");
    assert_eq!(read_by(true), "invalid_request /tags");
}

#[test]
fn numbers_and_lengths_have_bounds() {
    let field = |name: &str, value: serde_json::Value| {
        let mut body = json!({ "url": "https://media.example/" });
        body[name] = value;
        check(&body).is_ok()
    };
    let text = |length: usize| json!("é".repeat(length));
    let table = [
        ("audio_bitrate_kbps", json!(32), json!(31)),
        ("audio_bitrate_kbps", json!(320), json!(321)),
        ("audio_bitrate_kbps", json!(128.0), json!(128.5)),
        ("playlist_index", json!(1), json!(0)),
        ("playlist_index", json!(100_000), json!(-1)),
        ("expires_in", json!(60), json!(59)),
        ("expires_in", json!(86_400), json!(86_401)),
        ("filename", text(100), text(101)),
        ("filename", json!(null), json!("")),
        ("external_id", text(128), text(129)),
        ("tags", json!(vec![text(64); 10]), json!(vec![text(1); 11])),
        ("tags", json!([]), json!([text(65)])),
        ("filename", json!("a b"), json!("a\nb")),
        ("embed_metadata", json!(true), json!("true")),
    ];
    for (name, right, wrong) in table {
        assert!(field(name, right.clone()), "{name}: {right}");
        assert!(!field(name, wrong.clone()), "{name}: {wrong}");
    }
}

#[test]
fn a_batch_is_a_list_of_one_or_more() {
    let of = |body: &str| read_batch(&Node::parse(body.as_bytes()).unwrap(), 2).map(<[Node]>::len);
    assert_eq!(of(r#"{"downloads": [{}, 7]}"#).unwrap(), 2);
    for wrong in ["{}", "[]", r#"{"downloads": []}"#, r#"{"downloads": [1, 2, 3]}"#, r#"{"downloads": [1], "x": 1}"#] {
        assert!(of(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_at_its_default_is_not_kept_and_yet_read_back() {
    let usual = DownloadRequest::of_url("https://media.example/talk".to_owned());
    assert_eq!(usual.stored(), br#"{"url":"https://media.example/talk"}"#);
    let other = DownloadRequest {
        embed_metadata: false,
        playlist_index: 2,
        tags: vec!["talks".to_owned()],
        region: "eu".parse().ok(),
        expires_in: 60,
        ..usual.clone()
    };
    for request in [usual, other] {
        assert_eq!(DownloadRequest::read(&request.stored()).unwrap(), request);
    }
}
