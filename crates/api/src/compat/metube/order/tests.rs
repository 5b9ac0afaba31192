//! Every row of what an `add` may say, in both of its forms.

use serde_json::json;

use super::*;

fn of(body: Value) -> Result<DownloadRequest, String> {
    let Value::Object(mut body) = body else { panic!("an object") };
    body.entry("url").or_insert("https://media.example/talk".into());
    read(&body)
}

/// `format quality codec kbps` of a request, as the API itself has them.
fn medium(body: Value) -> String {
    match of(body) {
        Ok(it) => {
            let codec = serde_json::to_value(it.codec).unwrap();
            format!("{} {} {} {}", it.format.word(), it.quality, codec.as_str().unwrap(), it.audio_bitrate_kbps)
        }
        Err(what) => what,
    }
}

#[test]
fn an_address_alone_is_an_order() {
    let usual = DownloadRequest::of_url("https://media.example/talk".to_owned());
    let expected = DownloadRequest { format: Format::Original, audio_bitrate_kbps: BEST_KBPS, ..usual };
    assert_eq!(of(json!({})), Ok(expected.clone()));
    let padded = json!({"url": " https://media.example/talk ", "playlist_strict_mode": true, "x": [1], "auto_start": null,
        "playlist_item_limit": 5, "subtitle_language": "en", "subtitle_mode": "prefer_manual", "chapter_template": "x",
        "folder": null, "custom_name_prefix": "", "split_by_chapters": false, "sponsorblock": false, "clip_start": "",
        "ytdl_options_presets": [], "ytdl_options_overrides": "{}"});
    assert_eq!(of(padded), Ok(expected), "what is unknown, usual or without meaning here changes nothing");
    for nothing in [json!({"url": null}), json!({"url": "  "}), json!({"url": ["https://media.example/"]})] {
        assert_eq!(of(nothing), Err("url is missing".to_owned()));
    }
}

#[test]
fn the_current_form_says_what_the_result_is_to_be() {
    let video = |more: Value| {
        let mut body = json!({"download_type": "video", "format": "any", "quality": "best"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        medium(body)
    };
    for (more, expected) in [
        (json!({}), "original best any 320"),
        (json!({"codec": "auto"}), "original best any 320"),
        (json!({"codec": "h264"}), "original best h264 320"),
        (json!({"codec": "h265"}), "original best h265 320"),
        (json!({"codec": "AV1"}), "original best av1 320"),
        (json!({"codec": "vp9"}), "original best vp9 320"),
        (json!({"codec": "mpeg2"}), "codec must be auto, h264, h265, av1 or vp9"),
        (json!({"format": "mp4"}), "mp4 best any 320"),
        (json!({"format": "ios"}), "mp4 best h264 320"),
        (json!({"format": "ios", "codec": "h265"}), "mp4 best h265 320"),
        (json!({"format": "avi"}), "format must be any, mp4 or ios for video"),
        (json!({"format": null}), "format must be any, mp4 or ios for video"),
        (json!({"quality": "2160"}), "original 2160p any 320"),
        (json!({"quality": 1080}), "original 1080p any 320"),
        (json!({"quality": "1440p"}), "original 1440p any 320"),
        (json!({"quality": " 720 "}), "original 720p any 320"),
        (json!({"quality": 800}), "original 720p any 320"),
        (json!({"quality": "480"}), "original 480p any 320"),
        (json!({"quality": "360"}), "original 360p any 320"),
        (json!({"quality": "240"}), "original 240p any 320"),
        (json!({"quality": "worst"}), "original 144p any 320"),
        (json!({"quality": ""}), "original best any 320"),
        (json!({"quality": "good"}), "quality must be best, worst or a height such as 1080"),
        (json!({"quality": 0}), "quality must be best, worst or a height such as 1080"),
        (json!({"quality": -1}), "quality must be best, worst or a height such as 1080"),
        (json!({"download_type": "captions", "format": "srt"}), NO_CAPTIONS),
        (json!({"download_type": "thumbnail", "format": "jpg"}), NO_THUMBNAIL),
        (json!({"download_type": "film"}), "download_type must be video or audio"),
    ] {
        assert_eq!(video(more.clone()), expected, "{more}");
    }
    let audio = |format: &str, quality: Value| {
        medium(json!({"download_type": "audio", "format": format, "quality": quality, "codec": "h264"}))
    };
    for (format, quality, expected) in [
        ("mp3", json!("best"), "mp3 best any 320"),
        ("mp3", json!("320"), "mp3 best any 320"),
        ("mp3", json!(192), "mp3 best any 192"),
        ("mp3", json!("128"), "mp3 best any 128"),
        ("mp3", json!("1080"), "mp3 best any 320"),
        ("m4a", json!("192"), "m4a best any 192"),
        ("m4a", json!("128"), "m4a best any 128"),
        ("m4a", json!("320"), "m4a best any 320"),
        ("opus", json!("128"), "opus best any 320"),
        ("wav", json!("best"), "wav best any 320"),
        ("flac", json!("worst"), "flac best any 320"),
        ("mp4", json!("best"), "format must be m4a, mp3, opus, wav or flac for audio"),
    ] {
        assert_eq!(audio(format, quality.clone()), expected, "{format} {quality}");
    }
}

#[test]
fn the_form_of_older_clients_says_it_by_the_format() {
    for (body, expected) in [
        (json!({"quality": "best", "format": "any"}), "original best any 320"),
        (json!({"quality": "720", "format": "mp4", "video_codec": "h264"}), "mp4 720p h264 320"),
        (json!({"quality": "1080p"}), "original 1080p any 320"),
        (json!({"quality": "best_ios"}), "mp4 best h264 320"),
        (json!({"quality": "best_ios", "format": "mp4"}), "mp4 best h264 320"),
        (json!({"quality": "audio"}), "m4a best any 320"),
        (json!({"quality": "audio", "format": "mp4"}), "m4a best any 320"),
        (json!({"quality": "1080", "format": "mp3"}), "mp3 best any 320"),
        (json!({"quality": "128", "format": "mp3"}), "mp3 best any 128"),
        (json!({"format": "m4a"}), "m4a best any 320"),
        (json!({"format": "thumbnail"}), NO_THUMBNAIL),
        (json!({"format": "captions", "subtitle_format": "vtt"}), NO_CAPTIONS),
        (json!({"format": "webm"}), "format must be any, mp4 or ios for video"),
    ] {
        assert_eq!(medium(body.clone()), expected, "{body}");
    }
}

#[test]
fn a_clip_is_of_what_was_said_last() {
    let clip = |more: Value| of(more).map(|it| it.clip.map(|clip| (clip.start, clip.end)));
    let youtube = "https://youtu.be/x?t=30";
    for (body, expected) in [
        (json!({"clip_start": "1:30", "clip_end": 120}), Some((90.0, Some(120.0)))),
        (json!({"clip_start": "1m30s"}), Some((90.0, None))),
        (json!({"clip_end": "90"}), Some((0.0, Some(90.0)))),
        (json!({"clip_start": null, "clip_end": " "}), None),
        (json!({"url": youtube}), Some((30.0, None))),
        (json!({"url": youtube, "clip_start": 5}), Some((5.0, None))),
        (json!({"url": youtube, "clip_end": 5}), Some((0.0, Some(5.0)))),
    ] {
        assert_eq!(clip(body.clone()), Ok(expected), "{body}");
    }
    assert_eq!(of(json!({"url": youtube, "clip_start": 5})).unwrap().url, "https://youtu.be/x");
    for (body, fault) in [
        (json!({"clip_start": 9, "clip_end": 9}), "clip_end must be greater than clip_start"),
        (json!({"clip_end": 0}), "clip_end must be greater than clip_start"),
        (json!({"clip_start": "x"}), "clip_start must be seconds, or like 90s, 1h2m3s, 1:30 or 1:02:03"),
        (json!({"clip_end": true}), "clip_end must be seconds, or like 90s, 1h2m3s, 1:30 or 1:02:03"),
    ] {
        assert_eq!(clip(body), Err(fault.to_owned()));
    }
}

#[test]
fn what_only_metube_knows_is_kept_as_tags() {
    let order = of(json!({"folder": "talks/2026/", "custom_name_prefix": "media.example"})).unwrap();
    assert_eq!(order.tags, ["folder:talks/2026", "prefix:media.example"]);
    assert_eq!(names(&order), ("talks/2026", "media.example"));
    let order = of(json!({"custom_name_prefix": 7, "folder": "/"})).unwrap();
    assert_eq!((order.tags.as_slice(), names(&order)), (["prefix:7".to_owned()].as_slice(), ("", "7")));
    assert_eq!(of(json!({"folder": "é".repeat(57)})).unwrap().tags[0].chars().count(), 64);
    for wrong in ["é".repeat(58), "a\nb".to_owned()] {
        let fault = of(json!({ "folder": wrong })).unwrap_err();
        assert!(fault.starts_with("folder must have at most 57 characters"), "{fault}");
    }
}

#[test]
fn what_would_make_another_file_than_was_asked_for_is_refused() {
    for (body, key) in [
        (json!({"auto_start": false}), "auto_start"),
        (json!({"auto_start": "false"}), "auto_start"),
        (json!({"split_by_chapters": true}), "split_by_chapters"),
        (json!({"ytdl_options_presets": ["best"]}), "ytdl_options_presets"),
        (json!({"ytdl_options_preset": "best"}), "ytdl_options_presets"),
        (json!({"ytdl_options_overrides": {"x": 1}}), "ytdl_options_overrides"),
        (json!({"ytdl_options_overrides": "{\"x\": 1}"}), "ytdl_options_overrides"),
    ] {
        let fault = of(body.clone()).unwrap_err();
        assert!(fault.starts_with(key), "{body}: {fault}");
    }
    assert_eq!(of(json!({"sponsorblock": true})).unwrap().sponsorblock.remove, ["sponsor"]);
    let covers = |format: &str| of(json!({ "format": format })).unwrap().embed_thumbnail;
    assert!(covers("mp3") && covers("m4a") && !covers("wav") && !covers("mp4"));
}
