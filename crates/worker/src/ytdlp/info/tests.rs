//! The first three are what yt-dlp printed, shortened.

use expect_test::{Expect, expect};

use super::*;
use crate::ytdlp::value::raw;

fn parse(json: &str) -> Option<Info> {
    Info::read(serde_json::from_str(json).ok()?)
}

fn parse_entry(json: &str) -> Option<Info> {
    Info::read_entry(serde_json::from_str(json).ok()?)
}

#[expect(clippy::needless_pass_by_value, reason = "so that a table reads well")]
fn check(json: &str, shown: Expect) {
    let info = parse_entry(json).expect("an entry");
    let formats: Vec<_> = info
        .formats
        .iter()
        .map(|f| format!("{} {} {} {:?}/{:?} {:?}", f.format_id, f.ext, f.protocol, f.video, f.audio, f.height))
        .collect();
    let head = format!("{:?} {:?} {:?}", info.title, info.duration_seconds, info.live);
    shown.assert_eq(&[vec![head], formats].concat().join("\n"));
}

const FILE: &str = r#"{"id": "a", "title": "a", "timestamp": null, "direct": true, "formats": [{"format_id": "mp4", "url": "http://127.0.0.1:8077/a.mp4", "ext": "mp4", "vcodec": null, "protocol": "http", "video_ext": "mp4", "audio_ext": "none", "tbr": null, "filesize_approx": null}], "subtitles": {}, "webpage_url": "http://127.0.0.1:8077/a.mp4", "extractor": "generic", "extractor_key": "Generic", "playlist": null}"#;

#[test]
fn a_plain_file_has_unknown_tracks() {
    check(
        FILE,
        expect![[r#"
            Some("a") None No
            mp4 mp4 http Unknown/Unknown None"#]],
    );
}

#[test]
fn separate_tracks_and_live_streams_are_told() {
    check(
        r#"{"title": "x", "duration": 4, "is_live": true, "live_status": "is_live", "formats": [
            {"format_id": "a", "ext": "mp4", "protocol": "m3u8_native", "vcodec": "none"},
            {"format_id": "100", "ext": "mp4", "protocol": "m3u8_native", "vcodec": "avc1.4d401e", "acodec": "none", "width": 160, "height": 90},
            {"format_id": "sb0", "ext": "mhtml", "protocol": "mhtml", "vcodec": "none", "acodec": "none"}]}"#,
        expect![[r#"
            Some("x") Some(4.0) Now
            a mp4 m3u8_native Absent/Unknown None
            100 mp4 m3u8_native Codec("avc1.4d401e")/Absent Some(90)"#]],
    );
}

#[test]
fn of_a_list_the_entry_is_read_and_a_lone_format_stands_in_it() {
    check(
        r#"{"_type": "playlist", "title": "T", "entries": [{"title": "T (2)", "url": "http://127.0.0.1/a", "format_id": "0", "ext": "mp4", "protocol": "http"}]}"#,
        expect![[r#"
            Some("T (2)") None No
            0 mp4 http Unknown/Unknown None"#]],
    );
    assert_eq!(parse_entry(r#"{"_type": "playlist", "entries": []}"#), None);
    assert_eq!(parse_entry("null"), None);
    assert_eq!(parse_entry(""), None);
}

#[test]
fn wrong_types_and_giants_are_taken_calmly() {
    let json = serde_json::json!({
        "id": 7, "title": "é".repeat(10_000), "uploader": ["x"], "duration": -1, "is_live": "yes", "upload_date": "20261x20",
        "thumbnail": "javascript:alert(1)", "webpage_url": format!("https://x.example/{}", "a".repeat(5000)),
        "formats": [null, 3, {"ext": "mp4"}, {"format_id": 5, "height": -3, "width": 1e30, "fps": "x", "filesize": "big"}],
        "subtitles": [1], "chapters": {"a": 1},
        "automatic_captions": {"en": null, "de": [{"name": "Deutsch"}], "live_chat": []},
    });
    let info = Info::read(&raw(&json)).expect("an object");
    assert_eq!(info.id.as_deref(), Some("7"));
    assert_eq!(info.title.as_ref().map(|title| title.chars().count()), Some(500));
    assert_eq!((&info.uploader, info.duration_seconds, info.live), (&None, None, Live::No));
    assert_eq!((&info.thumbnail_url, &info.webpage_url, &info.upload_date), (&None, &None, &None));
    let format = SiteFormat { format_id: "5".into(), size_is_a_guess: true, ..SiteFormat::default() };
    assert_eq!(info.formats, [format]);
    let languages: Vec<_> =
        info.subtitles.iter().map(|s| (s.language.as_str(), s.name.as_deref(), s.automatic)).collect();
    assert_eq!(languages, [("de", Some("Deutsch"), true), ("en", None, true)]);
    assert_eq!(info.chapters, []);
}

#[test]
fn metadata_shows_the_rungs_that_there_are_highest_first() {
    let format = |id: &str, width: u32, height: u32| {
        serde_json::json!({"format_id": id, "ext": "mp4", "protocol": "https",
        "width": width, "height": height, "vcodec": "vp9", "acodec": "none", "tbr": 100.5, "filesize_approx": 12})
    };
    let json = serde_json::json!({"extractor": "site", "upload_date": "20261120", "formats": [
        format("1", 640, 360), format("2", 1080, 1920), format("3", 1920, 1080), format("4", 3840, 2160)],
        "chapters": [{"title": "One", "start_time": 0, "end_time": 2.5}]});
    let metadata = Info::read(&raw(&json)).expect("an object").into_metadata();
    assert_eq!(metadata.qualities, ["2160p", "1080p", "360p"]);
    assert_eq!(metadata.upload_date.as_deref(), Some("2026-11-20"));
    assert_eq!(metadata.formats[0].vcodec.as_deref(), Some("vp9"));
    assert_eq!((metadata.formats[0].bitrate_kbps, metadata.formats[0].size_bytes), (Some(100.5), Some(12)));
    assert_eq!(metadata.formats[0].acodec, None);
    assert_eq!(metadata.chapters[0].end, Some(2.5));
}

#[test]
fn a_list_is_listed() {
    let json = r#"{"_type": "playlist", "title": "L", "entries": [{"url": "https://x.example/1", "title": "One", "duration": 3}, null, {"url": "not a link"}]}"#;
    let entries = parse(json).expect("an object").into_metadata().entries;
    assert_eq!(entries.len(), 2);
    assert_eq!((entries[0].url.as_deref(), entries[0].duration_seconds), (Some("https://x.example/1"), Some(3.0)));
    assert_eq!(entries[1], Entry::default());
}

#[test]
fn one_of_several_knows_that_it_is_and_a_list_of_one_is_no_list() {
    let entry = r#"{"title": "T", "url": "http://127.0.0.1/a", "format_id": "0", "ext": "mp4"}"#;
    let list = |count: &str, within: &str| format!(r#"{{"_type": "playlist"{count}, "entries": [{within}]}}"#);
    let of_one = list(r#", "playlist_count": 1"#, entry);
    for (json, is_of_list) in [
        (entry, false),
        (&of_one, false),
        (&list(r#", "playlist_count": 50"#, entry), true),
        // nobody has counted it
        (&list("", entry), true),
        (&list(r#", "playlist_count": null"#, entry), true),
        (&list(r#", "playlist_count": 7"#, &of_one), true),
        (&list(r#", "playlist_count": 1"#, &of_one), false),
    ] {
        let info = parse_entry(json).expect("an entry");
        assert_eq!((info.is_of_list, info.media().is_of_list), (is_of_list, is_of_list), "{json}");
    }
}

#[test]
fn whose_a_site_is_is_told_with_what_was_found_and_is_a_word() {
    for (told, own) in [
        (r#""own_extractor": "youtube", "title": "T""#, Some("youtube")),
        (r#""own_extractor": "youtube", "entries": [{"title": "T", "own_extractor": "vimeo"}]"#, Some("youtube")),
        (r#""own_extractor": null"#, None),
        (r#""own_extractor": """#, None),
        (r#""own_extractor": "1 2""#, None),
        (r#""title": "T""#, None),
    ] {
        let info = parse_entry(&format!("{{{told}}}")).expect("an entry");
        assert_eq!(info.own_extractor.as_deref(), own, "{told}");
    }
}
