//! Plans of what sites really offer, as yt-dlp tells it.

use expect_test::{Expect, expect};
use haul_shared::media::SegmentKind;
use serde_json::{Value, json};

use super::*;
use crate::select::select;

fn info(json: &Value) -> Info {
    let read = Info::read(&serde_json::value::to_raw_value(json).expect("JSON"));
    read.expect("an info")
}

/// An order of an address with these words.
fn spec(words: &Value) -> DownloadSpec {
    let mut spec = json!({ "url": "https://video.example/1" });
    let (Value::Object(spec_of), Value::Object(words)) = (&mut spec, words.clone()) else { panic!("objects") };
    spec_of.extend(words);
    serde_json::from_value(spec).expect("an order")
}

/// `streams container bytes seconds [coded] asked->got: reason`, `?` for what is not known.
fn told(plan: Result<DownloadPlan, Failure>) -> String {
    fn or<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(|| "?".to_owned(), |value| value.to_string())
    }
    match plan {
        Ok(plan) => {
            let ids: Vec<&str> = plan.streams.iter().map(|stream| stream.format_id.as_str()).collect();
            let coded = if plan.transcodes { " coded" } else { "" };
            let (container, bytes, seconds) = (or(plan.container), or(plan.estimated_bytes), or(plan.duration_seconds));
            let (asked, got, reason) = (or(plan.asked), or(plan.got), plan.reason);
            format!("{} {container} {bytes} B {seconds} s{coded} {asked}->{got}: {reason}", ids.join("+"))
        }
        Err(failure) => failure.kind.code().to_owned(),
    }
}

fn planned(info: &Info, segments: &[Segment], words: &Value) -> String {
    let spec = spec(words);
    told(select(info, &spec).and_then(|selection| forecast(info, &selection, segments, &spec)))
}

#[expect(clippy::needless_pass_by_value, reason = "so that a table reads well")]
fn check(site: &Value, orders: &[Value], expected: Expect) {
    let info = info(site);
    let lines: Vec<String> = orders.iter().map(|words| format!("{words}\n  {}", planned(&info, &[], words))).collect();
    expected.assert_eq(&lines.join("\n"));
}

/// Picture and sound apart, some with a size and some with a bitrate only.
fn apart() -> Value {
    json!({ "duration": 100.0, "formats": [
        { "format_id": "140", "ext": "m4a", "protocol": "https", "vcodec": "none", "acodec": "mp4a.40.2", "abr": 128, "filesize": 1_600_000 },
        { "format_id": "251", "ext": "webm", "protocol": "https", "vcodec": "none", "acodec": "opus", "abr": 160, "tbr": 160 },
        { "format_id": "136", "ext": "mp4", "protocol": "https", "vcodec": "avc1.4d401f", "acodec": "none", "width": 1280, "height": 720, "filesize": 20_000_000, "tbr": 2000 },
        { "format_id": "248", "ext": "webm", "protocol": "https", "vcodec": "vp9", "acodec": "none", "width": 1920, "height": 1080, "tbr": 3000 },
        { "format_id": "137", "ext": "mp4", "protocol": "http_dash_segments", "vcodec": "avc1.640028", "acodec": "none", "width": 1920, "height": 1080, "filesize_approx": 50_000_000, "tbr": 4000 },
    ] })
}

/// A master playlist: whole variants, and what they come in nobody says.
fn variants() -> Value {
    let variant = |id: &str, height: u32, kbps: u32| {
        json!({ "format_id": id, "ext": "mp4", "protocol": "m3u8_native", "vcodec": "avc1.4d401f", "acodec": "mp4a.40.2",
            "width": height * 16 / 9, "height": height, "tbr": kbps, "url": "https://video.example/1.m3u8" })
    };
    json!({ "duration": 100.0, "formats": [variant("low", 360, 800), variant("high", 720, 2000)] })
}

#[test]
fn of_picture_and_sound_apart_the_plan_is_the_pair_that_fits() {
    check(
        &apart(),
        &[
            json!({}),
            json!({ "quality": "720p" }),
            json!({ "quality": "480p" }),
            json!({ "quality": "2160p" }),
            json!({ "quality": "480p", "fallback": "strict" }),
            json!({ "quality": "720p", "fallback": "strict" }),
            json!({ "codec": "vp9" }),
            json!({ "codec": "av1" }),
            json!({ "codec": "av1", "fallback": "strict" }),
            json!({ "format": "webm" }),
            json!({ "format": "webm", "quality": "720p" }),
            json!({ "format": "mkv" }),
            json!({ "format": "original" }),
        ],
        expect![[r#"
            {}
              137+140 mp4 51600000 B 100 s best->1080p: the best stream that is as asked
            {"quality":"720p"}
              136+140 mp4 21600000 B 100 s 720p->720p: the best stream that is as asked
            {"quality":"480p"}
              136+140 mp4 21600000 B 100 s 480p->720p: nothing at or below the asked size, the smallest above it
            {"quality":"2160p"}
              137+140 mp4 51600000 B 100 s 2160p->1080p: nothing as large as asked, the largest below it
            {"fallback":"strict","quality":"480p"}
              format_unavailable
            {"fallback":"strict","quality":"720p"}
              136+140 mp4 21600000 B 100 s 720p->720p: the best stream that is as asked
            {"codec":"vp9"}
              248+140 mp4 39100000 B 100 s best->1080p: the best stream that is as asked
            {"codec":"av1"}
              137+140 mp4 51600000 B 100 s best->1080p: the asked codec is not offered in this size
            {"codec":"av1","fallback":"strict"}
              format_unavailable
            {"format":"webm"}
              248+251 webm 39500000 B 100 s best->1080p: the best stream that is as asked
            {"format":"webm","quality":"720p"}
              136+251 mkv 22000000 B 100 s 720p->720p: no streams fit the asked container, mkv holds them as they are
            {"format":"mkv"}
              248+251 mkv 39500000 B 100 s best->1080p: the best stream that is as asked
            {"format":"original"}
              248+251 webm 39500000 B 100 s best->1080p: the best stream that is as asked"#]],
    );
}

#[test]
fn sound_is_copied_where_it_fits_and_as_large_as_asked_where_it_is_coded() {
    let orders =
        ["m4a", "opus", "mp3", "flac", "wav"].map(|format| json!({ "format": format, "audio_bitrate_kbps": 64 }));
    check(
        &apart(),
        &orders,
        expect![[r#"
        {"audio_bitrate_kbps":64,"format":"m4a"}
          140 m4a 1600000 B 100 s ?->?: the best stream that is as asked
        {"audio_bitrate_kbps":64,"format":"opus"}
          251 opus 2000000 B 100 s ?->?: the best stream that is as asked
        {"audio_bitrate_kbps":64,"format":"mp3"}
          251 mp3 800000 B 100 s coded ?->?: the best stream that is as asked
        {"audio_bitrate_kbps":64,"format":"flac"}
          251 flac ? B 100 s coded ?->?: the best stream that is as asked
        {"audio_bitrate_kbps":64,"format":"wav"}
          251 wav ? B 100 s coded ?->?: the best stream that is as asked"#]],
    );
    let mut whole = variants();
    check(
        &whole,
        &orders,
        expect![[r#"
        {"audio_bitrate_kbps":64,"format":"m4a"}
          low m4a ? B 100 s ?->?: no stream with sound alone, taken from a small one with a picture
        {"audio_bitrate_kbps":64,"format":"opus"}
          low opus 800000 B 100 s coded ?->?: no stream with sound alone, taken from a small one with a picture
        {"audio_bitrate_kbps":64,"format":"mp3"}
          low mp3 800000 B 100 s coded ?->?: no stream with sound alone, taken from a small one with a picture
        {"audio_bitrate_kbps":64,"format":"flac"}
          low flac ? B 100 s coded ?->?: no stream with sound alone, taken from a small one with a picture
        {"audio_bitrate_kbps":64,"format":"wav"}
          low wav ? B 100 s coded ?->?: no stream with sound alone, taken from a small one with a picture"#]],
    );
    whole["formats"][0]["abr"] = json!(128);
    check(
        &whole,
        &orders[..1],
        expect![[r#"
        {"audio_bitrate_kbps":64,"format":"m4a"}
          low m4a 1600000 B 100 s ?->?: no stream with sound alone, taken from a small one with a picture"#]],
    );
}

#[test]
fn what_comes_in_segments_is_whatever_they_are() {
    check(
        &variants(),
        &[json!({}), json!({ "format": "webm" }), json!({ "format": "original" })],
        expect![[r#"
        {}
          high mp4 25000000 B 100 s best->720p: the best stream that is as asked
        {"format":"webm"}
          high mkv 25000000 B 100 s best->720p: no streams fit the asked container, mkv holds them as they are
        {"format":"original"}
          high ? 25000000 B 100 s best->720p: the best stream that is as asked"#]],
    );
    // a master playlist that names no codecs
    let silent = json!({ "formats": [
        { "format_id": "sound", "ext": "mp4", "protocol": "m3u8_native", "vcodec": "none" },
        { "format_id": "picture", "ext": "mp4", "protocol": "m3u8_native", "height": 360 },
    ] });
    check(
        &silent,
        &[json!({}), json!({ "format": "webm" }), json!({ "format": "m4a" }), json!({ "format": "mp3" })],
        expect![[r#"
            {}
              picture+sound mp4 ? B ? s best->360p: the site does not describe its streams, the file will be judged
            {"format":"webm"}
              picture+sound ? ? B ? s best->360p: the site does not describe its streams, the file will be judged
            {"format":"m4a"}
              sound m4a ? B ? s ?->?: the site does not describe its streams, the file will be judged
            {"format":"mp3"}
              sound mp3 ? B ? s coded ?->?: the site does not describe its streams, the file will be judged"#]],
    );
}

#[test]
fn of_a_plain_file_only_the_file_can_tell_most() {
    let file = json!({ "direct": true, "formats": [{ "format_id": "mp4", "ext": "mp4", "protocol": "http" }] });
    let orders = ["mp4", "webm", "mkv", "original", "m4a", "mp3", "wav"].map(|format| json!({ "format": format }));
    check(
        &file,
        &orders,
        expect![[r#"
        {"format":"mp4"}
          mp4 mp4 ? B ? s best->?: the site does not describe its streams, the file will be judged
        {"format":"webm"}
          mp4 ? ? B ? s best->?: the site does not describe its streams, the file will be judged
        {"format":"mkv"}
          mp4 mkv ? B ? s best->?: the site does not describe its streams, the file will be judged
        {"format":"original"}
          mp4 mp4 ? B ? s best->?: the site does not describe its streams, the file will be judged
        {"format":"m4a"}
          mp4 m4a ? B ? s ?->?: the site does not describe its streams, the file will be judged
        {"format":"mp3"}
          mp4 mp3 ? B ? s coded ?->?: the site does not describe its streams, the file will be judged
        {"format":"wav"}
          mp4 wav ? B ? s coded ?->?: the site does not describe its streams, the file will be judged"#]],
    );
    check(
        &file,
        &[json!({ "format": "webm", "quality": "720p", "fallback": "strict" })],
        expect![[r#"
        {"fallback":"strict","format":"webm","quality":"720p"}
          mp4 webm ? B ? s 720p->?: the site does not describe its streams, the file will be judged"#]],
    );
    let unknown = json!({ "formats": [{ "format_id": "0", "ext": "webm", "protocol": "https", "vcodec": "none" }] });
    check(
        &unknown,
        &[json!({ "format": "opus" }), json!({ "format": "original" }), json!({})],
        expect![[r#"
        {"format":"opus"}
          0 opus ? B ? s coded ?->?: the site does not describe its streams, the file will be judged
        {"format":"original"}
          0 webm ? B ? s ?->?: the site does not describe its streams, the file will be judged
        {}
          format_unavailable"#]],
    );
}

#[test]
fn a_clip_is_a_part_of_the_bytes_and_an_exact_one_may_be_coded_anew() {
    let clip = |start: f64, end: Option<f64>, exact: bool| json!({ "start": start, "end": end, "exact": exact });
    check(
        &apart(),
        &[
            json!({ "clip": clip(10.0, Some(60.0), false) }),
            json!({ "clip": clip(75.0, Some(500.0), false) }),
            json!({ "clip": clip(10.0, Some(60.0), true) }),
            json!({ "clip": clip(0.0, Some(60.0), true) }),
            json!({ "clip": clip(10.0, Some(60.0), true), "format": "m4a" }),
            json!({ "clip": clip(10.0, Some(60.0), true), "format": "mp3" }),
            json!({ "clip": clip(100.0, None, false) }),
        ],
        expect![[r#"
            {"clip":{"end":60.0,"exact":false,"start":10.0}}
              137+140 mp4 25800000 B 50 s best->1080p: the best stream that is as asked
            {"clip":{"end":500.0,"exact":false,"start":75.0}}
              137+140 mp4 12900000 B 25 s best->1080p: the best stream that is as asked
            {"clip":{"end":60.0,"exact":true,"start":10.0}}
              137+140 mp4 ? B 50 s coded best->1080p: the best stream that is as asked
            {"clip":{"end":60.0,"exact":true,"start":0.0}}
              137+140 mp4 30960000 B 60 s best->1080p: the best stream that is as asked
            {"clip":{"end":60.0,"exact":true,"start":10.0},"format":"m4a"}
              140 m4a 800000 B 50 s ?->?: the best stream that is as asked
            {"clip":{"end":60.0,"exact":true,"start":10.0},"format":"mp3"}
              251 mp3 1200000 B 50 s coded ?->?: the best stream that is as asked
            {"clip":{"end":null,"exact":false,"start":100.0}}
              format_unavailable"#]],
    );
    let mut endless = variants();
    endless["duration"] = Value::Null;
    check(
        &endless,
        &[json!({}), json!({ "clip": clip(10.0, Some(60.0), false) }), json!({ "clip": clip(10.0, None, false) })],
        expect![[r#"
        {}
          high mp4 ? B ? s best->720p: the best stream that is as asked
        {"clip":{"end":60.0,"exact":false,"start":10.0}}
          high mp4 12500000 B 50 s best->720p: the best stream that is as asked
        {"clip":{"end":null,"exact":false,"start":10.0}}
          high mp4 ? B ? s best->720p: the best stream that is as asked"#]],
    );
}

#[test]
fn of_a_live_stream_as_much_as_is_asked_for_is_recorded() {
    let mut live = variants();
    live["live_status"] = json!("is_live");
    check(
        &live,
        &[json!({}), json!({ "live_seconds": 60 }), json!({ "live_seconds": 60, "format": "mp3" })],
        expect![[r#"
            {}
              live_not_supported
            {"live_seconds":60}
              high mp4 15000000 B 60 s best->720p: the best stream that is as asked
            {"format":"mp3","live_seconds":60}
              low mp3 1440000 B 60 s coded ?->?: no stream with sound alone, taken from a small one with a picture"#]],
    );
}

#[test]
fn what_is_left_out_is_not_in_the_plan_as_far_as_that_can_be_told() {
    let segments = [Segment { from: 20.0, to: 45.0, kind: SegmentKind::Sponsor, title: None }];
    let without = |site: &Value, mut words: Value| {
        words["sponsorblock"] = json!({ "mark": [], "remove": ["sponsor"] });
        planned(&info(site), &segments, &words)
    };
    let clip = |start: f64, end: f64| json!({ "clip": { "start": start, "end": end, "exact": false } });
    for (site, words, expected) in [
        (apart(), json!({}), "137+140 mp4 38700000 B 75 s best->1080p: the best stream that is as asked"),
        // what is made of it is ours
        (
            apart(),
            json!({ "format": "original" }),
            "248+251 mkv 29625000 B 75 s best->1080p: the best stream that is as asked",
        ),
        (apart(), clip(10.0, 60.0), "137+140 mp4 12900000 B 25 s best->1080p: the best stream that is as asked"),
        (apart(), clip(25.0, 40.0), "format_unavailable"),
        // MPEG-TS stays whole, and nobody says whether this is
        (variants(), json!({}), "high mp4 ? B ? s best->720p: the best stream that is as asked"),
        (variants(), json!({ "format": "original" }), "high ? ? B ? s best->720p: the best stream that is as asked"),
    ] {
        assert_eq!(without(&site, words.clone()), expected, "{words}");
    }
    let (info, marked) = (info(&apart()), json!({ "sponsorblock": { "mark": ["sponsor"], "remove": [] } }));
    assert_eq!(planned(&info, &segments, &marked), planned(&info, &[], &json!({})));
}

#[test]
fn a_plan_shows_the_streams_as_metadata_does() {
    let (info, spec) = (info(&apart()), spec(&json!({})));
    let plan = forecast(&info, &select(&info, &spec).unwrap(), &[], &spec).unwrap();
    let shown = info.into_metadata().formats;
    let chosen = ["137", "140"].map(|id| shown.iter().find(|format| format.format_id == id).cloned().unwrap());
    assert_eq!(plan.streams, chosen);
}
