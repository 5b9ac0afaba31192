//! From downloaded files to a proven result, with the real ffmpeg on real media.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::slice;
use std::time::Duration;

use futures::future::join_all;
use haul_shared::job::{DownloadSpec, Failure};
use haul_shared::media::{Fallback, Format, Quality};
use haul_shared::metadata::Chapter;
use haul_tests::media;
use haul_worker::ffmpeg::{Embedded, Ffmpeg, Input, Make, Tags};
use haul_worker::process::{self, Spec, Watch};
use haul_worker::select::{Seen, settle};
use haul_worker::verify::{self, Bounds, Expected, Verified};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::watch;

const BOUNDS: Bounds = Bounds { size_bytes: 100 << 20, duration: None };

/// A job's folder, and the programs.
struct Bench {
    folder: TempDir,
    ffmpeg: Ffmpeg,
}

impl Bench {
    fn new() -> Self {
        Self { folder: TempDir::new().expect("there is room"), ffmpeg: crate::ffmpeg() }
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).expect("there is room");
        path
    }

    async fn look(&self, file: &Path, expected: Expected) -> Result<Seen, Failure> {
        verify::look(&self.ffmpeg, file, expected, BOUNDS, &watch()).await
    }

    /// Looks, settles, makes, verifies.
    async fn result(
        &self,
        files: &[PathBuf],
        spec: &DownloadSpec,
        tags: &Tags,
    ) -> Result<(PathBuf, Verified), Failure> {
        let mut seen = Vec::new();
        for file in files {
            seen.push(self.look(file, Expected::default()).await?);
        }
        let plan = settle(&seen, spec)?;
        let output = if plan.untouched { files[0].clone() } else { self.folder.path().join("result") };
        if !plan.untouched {
            let embedded = self.put("tags.txt", tags.to_ffmetadata(Some(media::DURATION_SECONDS)));
            let embedded = Embedded {
                file: Some(&embedded),
                tags: spec.embed_metadata && tags.has_text(),
                chapters: spec.embed_chapters && !tags.chapters.is_empty(),
                ..Embedded::default()
            };
            let inputs: Vec<_> =
                files.iter().zip(&seen).map(|(file, seen)| Input { file, container: seen.container }).collect();
            let make = Make { embedded, ..crate::plain(&plan, spec, &inputs, &output) };
            let mut reached = 0.0_f64;
            self.ffmpeg.make(&make, &watch(), |seconds| reached = reached.max(seconds)).await?;
            assert!(reached > media::DURATION_SECONDS - 1.0, "progress was told up to {reached} s");
        }
        let verified =
            verify::verify(&self.ffmpeg, &output, verify::hash(&output, &watch()), (&plan, &seen), BOUNDS, &watch())
                .await?;
        Ok((output, verified))
    }
}

fn spec(format: Format) -> DownloadSpec {
    let spec = serde_json::json!({ "url": "https://example.com/" });
    DownloadSpec { format, ..serde_json::from_value(spec).expect("these are its fields") }
}

fn tags() -> Tags {
    let chapter = |title: &str, start, end| Chapter { title: Some(title.to_owned()), start, end };
    Tags {
        title: Some("A=B; a \"title\"".to_owned()),
        artist: Some("Somebody".to_owned()),
        date: Some("2026-11-20".to_owned()),
        cover: None,
        chapters: vec![chapter("One", 0.0, Some(3.0)), chapter("Two", 3.0, None)],
    }
}

/// As a downloader leaves them: one file, or a picture and a sound.
fn downloads() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let one = |name: &str| vec![media::joined(&[name.to_owned()])];
    vec![
        ("progressive mp4", one("progressive.mp4")),
        ("progressive webm", one("progressive.webm")),
        ("progressive mkv", one("progressive.mkv")),
        (
            "hls of transport streams",
            vec![media::joined(&media::segments("hls-ts/360p-*.ts", 0..4).collect::<Vec<_>>())],
        ),
        (
            "hls of fragmented mp4",
            vec![
                media::after("hls-fmp4/init-360p.mp4", media::segments("hls-fmp4/360p-*.m4s", 0..4).collect()),
                media::after("hls-fmp4/init-sound.mp4", media::segments("hls-fmp4/sound-*.m4s", 0..5).collect()),
            ],
        ),
        (
            "dash",
            vec![
                media::after("dash/init-1.m4s", media::segments("dash/seg-1-*.m4s", 1..5).collect()),
                media::after("dash/init-3.m4s", media::segments("dash/seg-3-*.m4s", 1..5).collect()),
            ],
        ),
    ]
}

fn shown(verified: &Verified) -> String {
    let none = || "-".to_owned();
    format!(
        "{} {} {} {} {}",
        verified.extension,
        verified.content_type,
        verified.vcodec.clone().unwrap_or_else(none),
        verified.acodec.clone().unwrap_or_else(none),
        verified.got.clone().unwrap_or_else(none),
    )
}

#[tokio::test]
async fn every_format_is_made_from_every_kind_of_download() {
    join_all(downloads().into_iter().map(|(source, files)| every_format_is_made(source, files))).await;
}

async fn every_format_is_made(source: &str, files: Vec<Vec<u8>>) {
    for format in Format::ALL {
        let bench = Bench::new();
        let files: Vec<_> = files.iter().enumerate().map(|(at, bytes)| bench.put(&format!("in{at}"), bytes)).collect();
        let (output, verified) = bench
            .result(&files, &spec(format), &tags())
            .await
            .unwrap_or_else(|failure| panic!("{format:?} from {source}: {failure:?}"));
        assert_eq!(shown(&verified), expected(format, source), "{format:?} from {source}");
        let bytes = fs::read(&output).expect("the result exists");
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((verified.size_bytes, verified.sha256), (bytes.len() as u64, hash));
        let duration = verified.duration_seconds.expect("a medium plays for some time");
        assert!((duration - media::DURATION_SECONDS).abs() < 0.2, "{format:?} from {source}: {duration} s");
    }
}

fn expected(format: Format, source: &str) -> &'static str {
    let vp9 = source == "progressive webm";
    match (format, source) {
        (Format::Mp4, _) if vp9 => "mp4 video/mp4 vp9 opus 360p",
        (Format::Webm | Format::Original, _) if vp9 => "webm video/webm vp9 opus 360p",
        (Format::Mkv, _) if vp9 => "mkv video/x-matroska vp9 opus 360p",
        (Format::Original, "hls of transport streams") => "ts video/mp2t h264 aac 360p",
        (Format::Webm | Format::Mkv, _) | (Format::Original, "progressive mkv") => "mkv video/x-matroska h264 aac 360p",
        (Format::Mp4 | Format::Original, _) => "mp4 video/mp4 h264 aac 360p",
        (Format::Mp3, _) => "mp3 audio/mpeg - mp3 -",
        (Format::M4a, _) => "m4a audio/mp4 - aac -",
        (Format::Opus, _) => "opus audio/ogg - opus -",
        (Format::Flac, _) => "flac audio/flac - flac -",
        (Format::Wav, _) => "wav audio/wav - pcm_s16le -",
    }
}

#[tokio::test]
async fn the_sound_is_copied_where_it_fits() {
    let bench = Bench::new();
    for (source, format) in [
        ("audio.m4a", Format::M4a),
        ("audio.mp3", Format::Mp3),
        ("audio.opus", Format::Opus),
        ("audio.flac", Format::Flac),
    ] {
        let file = bench.put(source, fs::read(media::file(source)).unwrap());
        let (output, _) = bench.result(slice::from_ref(&file), &spec(format), &Tags::default()).await.unwrap();
        let grown = fs::metadata(&output).unwrap().len().abs_diff(fs::metadata(&file).unwrap().len());
        assert!(grown < 8192, "{source}: {grown} bytes of difference");
    }
}

#[tokio::test]
async fn every_lawful_bitrate_is_made() {
    let bench = Bench::new();
    let file = bench.put("in", fs::read(media::file("audio.flac")).unwrap());
    for format in [Format::Mp3, Format::M4a, Format::Opus] {
        for audio_bitrate_kbps in [32, 33, 320] {
            let spec = DownloadSpec { audio_bitrate_kbps, ..spec(format) };
            bench.result(slice::from_ref(&file), &spec, &tags()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_original_is_not_touched() {
    for name in ["progressive.mp4", "h264-opus.mkv", "audio.mp3", "audio.wav", "audio.aac", "portrait.mp4"] {
        let bench = Bench::new();
        let bytes = fs::read(media::file(name)).unwrap();
        let file = bench.put("in", &bytes);
        let (output, verified) = bench.result(&[file], &spec(Format::Original), &tags()).await.unwrap();
        assert_eq!(fs::read(output).unwrap(), bytes);
        assert_eq!(verified.extension, name.rsplit('.').next().unwrap());
    }
}

#[tokio::test]
async fn title_and_chapters_are_in_the_file() {
    for format in [Format::Mp4, Format::Mkv, Format::M4a, Format::Mp3] {
        let bench = Bench::new();
        let file = bench.put("in", fs::read(media::file("progressive.mp4")).unwrap());
        let (output, _) = bench.result(&[file], &spec(format), &tags()).await.unwrap();
        let arguments = "-v error -show_chapters -show_format -of json".split(' ');
        let spec = Spec::new(media::program("ffprobe"), bench.folder.path())
            .args(arguments)
            .args([output])
            .launcher(env!("CARGO_BIN_EXE_haul-jail"));
        let answer = process::output(&spec, &watch()).await.unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
        let texts = answer["format"]["tags"].as_object().unwrap();
        let text = |key: &str| {
            texts.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str().unwrap())
        };
        assert_eq!(text("title"), Some("A=B; a \"title\""), "{format:?}");
        assert_eq!(text("artist"), Some("Somebody"), "{format:?}");
        let chapters = answer["chapters"].as_array().unwrap();
        assert_eq!(chapters.len(), 2, "{format:?}");
        assert_eq!(chapters[1]["tags"]["title"], "Two", "{format:?}");
    }
}

#[tokio::test]
async fn what_the_container_cannot_hold_is_mkv_or_refused() {
    let bench = Bench::new();
    let file = bench.put("in", fs::read(media::file("h264-opus.mkv")).unwrap());
    let strict = DownloadSpec { fallback: Fallback::Strict, ..spec(Format::Webm) };
    let failure = bench.result(slice::from_ref(&file), &strict, &tags()).await.unwrap_err();
    assert_eq!(failure.kind.code(), "format_unavailable");
    let (_, verified) = bench.result(slice::from_ref(&file), &spec(Format::Webm), &tags()).await.unwrap();
    assert_eq!(verified.container, "mkv");
    let strict = DownloadSpec { quality: Quality::AtMost(720), ..DownloadSpec { format: Format::Mp4, ..strict } };
    assert_eq!(bench.result(&[file], &strict, &tags()).await.unwrap_err().kind.code(), "format_unavailable");
}

#[tokio::test]
async fn a_cut_file_never_passes() {
    let promised = Expected { duration: Some(media::DURATION_SECONDS), ..Expected::default() };
    for name in [
        "progressive.mp4",
        "progressive.webm",
        "progressive.mkv",
        "audio.m4a",
        "audio.mp3",
        "audio.opus",
        "audio.flac",
        "audio.wav",
        // these two have neither index nor length: only the site's own words help
        "progressive.ts",
        "audio.aac",
    ] {
        let says_nothing = matches!(name, "progressive.ts" | "audio.aac");
        let bytes = fs::read(media::file(name)).unwrap();
        for percent in [1, 10, 40, 60, 85] {
            let bench = Bench::new();
            let file = bench.put("in", &bytes[..bytes.len() * percent / 100]);
            let expected = if says_nothing { promised } else { Expected::default() };
            let failure = bench.look(&file, expected).await.map(|seen| (name, percent, seen)).unwrap_err();
            assert_eq!(failure.kind.code(), "corrupt_media", "{name} {percent} %: {failure:?}");
        }
    }
}

#[tokio::test]
async fn a_missing_middle_never_passes() {
    let without = |pattern, range, missing: &str| {
        let names = media::segments(pattern, range).filter(|name| !name.contains(missing)).collect::<Vec<_>>();
        media::joined(&names)
    };
    let mut fragmented = media::joined(&["hls-fmp4/init-360p.mp4".to_owned()]);
    fragmented.extend(without("hls-fmp4/360p-*.m4s", 0..4, "-1."));
    let mut halved = media::joined(&["hls-ts/360p-0.ts".to_owned()]);
    halved.truncate(halved.len() / 188 / 2 * 188);
    halved.extend(media::joined(&media::segments("hls-ts/360p-*.ts", 1..4).collect::<Vec<_>>()));
    for (case, bytes) in [
        ("a transport stream", without("hls-ts/360p-*.ts", 0..4, "-2.")),
        ("half a segment of a transport stream", halved),
        ("the picture of a fragmented mp4", fragmented),
        ("sound alone", without("hls-audio/*.ts", 0..5, "/1.")),
    ] {
        let bench = Bench::new();
        let file = bench.put("in", bytes);
        let failure = bench.look(&file, Expected::default()).await.map(|seen| (case, seen)).unwrap_err();
        assert_eq!(failure.kind.code(), "corrupt_media", "{case}: {failure:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_what_the_site_promised_never_passes() {
    let bench = Bench::new();
    let silent = bench.put("silent", fs::read(media::file("silent.mp4")).unwrap());
    let sound = bench.put("sound", fs::read(media::file("audio.m4a")).unwrap());
    let whole = bench.put("whole", fs::read(media::file("progressive.mp4")).unwrap());
    let expected = |video, audio, duration| Expected { video, audio, duration };
    for (file, expected, passes) in [
        (&silent, expected(true, false, Some(8.0)), true),
        (&silent, expected(true, true, None), false),
        (&sound, expected(false, true, Some(8.4)), true),
        (&sound, expected(true, false, None), false),
        (&whole, expected(true, true, Some(60.0)), false),
        (&whole, expected(true, true, Some(9.5)), false),
        (&whole, expected(true, true, Some(6.5)), false),
    ] {
        let failure = bench.look(file, expected).await.err().map(|failure| failure.kind.code());
        assert_eq!(failure, (!passes).then_some("corrupt_media"), "{} {expected:?}", file.display());
    }
}

/// Fault: ffmpeg guesses by content, and copied the file of another client out of a "video" that was a playlist.
#[tokio::test]
async fn a_text_that_names_other_files_is_no_medium() {
    let bench = Bench::new();
    let victim = media::file("hls-ts/360p-0.ts");
    for text in [
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXTINF:8,\n{}\n#EXT-X-ENDLIST\n", victim.display()),
        format!("ffconcat version 1.0\nfile '{}'\n", victim.display()),
        format!("<?xml version=\"1.0\"?><MPD><BaseURL>{}</BaseURL></MPD>", victim.display()),
        "<!doctype html><title>Not found</title>".to_owned(),
    ] {
        let file = bench.put("video.mp4", &text);
        let failure = bench.look(&file, Expected::default()).await.unwrap_err();
        assert_eq!(failure.kind.code(), "invalid_media", "{text}");
        // even if it were taken for a medium, the demuxer is named
        let run = bench.ffmpeg.probe(&file, haul_worker::container::Container::Mp4, &watch()).await;
        assert_eq!(run.unwrap_err().kind.code(), "corrupt_media", "{text}");
    }
}

/// Fault: while ffmpeg made room for the index of a large file, it was taken for stalled.
#[tokio::test]
async fn a_program_that_rewrites_its_file_without_a_word_is_not_stalled() {
    let mut bench = Bench::new();
    let script =
        "#!/bin/sh\nfor last; do :; done\nfor n in 1 2 3 4 5 6 7 8; do printf x > \"${last#file:}\"; sleep 0.5; done";
    let silent = bench.put("ffmpeg", script);
    fs::set_permissions(&silent, fs::Permissions::from_mode(0o700)).unwrap();
    let file = bench.put("in", fs::read(media::file("progressive.mp4")).unwrap());
    let seen = [bench.look(&file, Expected::default()).await.unwrap()];
    let (plan, spec) = (settle(&seen, &spec(Format::Mp4)).unwrap(), spec(Format::Mp4));
    let inputs = [Input { file: &file, container: seen[0].container }];
    let output = bench.folder.path().join("result");
    bench.ffmpeg.ffmpeg = silent;
    let make = crate::plain(&plan, &spec, &inputs, &output);
    let watch = Watch { silence: Duration::from_secs(2), ..watch() };
    bench.ffmpeg.make(&make, &watch, |_| {}).await.unwrap();
}

#[tokio::test]
async fn a_result_that_outgrows_the_limit_is_too_large() {
    let mut bench = Bench::new();
    bench.ffmpeg.limits.file_size = Some(100_000);
    let file = bench.put("in", fs::read(media::file("audio.opus")).unwrap());
    let failure = bench.result(&[file], &spec(Format::Wav), &tags()).await.unwrap_err();
    assert_eq!(failure.kind.code(), "too_large", "{failure:?}");
}

#[tokio::test]
async fn size_and_duration_have_bounds() {
    let bench = Bench::new();
    let file = bench.put("in", fs::read(media::file("progressive.mp4")).unwrap());
    let empty = bench.put("empty", "");
    let of = |size_bytes, seconds| Bounds { size_bytes, duration: Some(Duration::from_secs(seconds)) };
    for (file, bounds, expected) in [
        (&file, of(1 << 30, 60), None),
        (&file, of(1000, 60), Some("too_large")),
        (&file, of(1 << 30, 5), Some("too_long")),
        (&empty, of(1 << 30, 60), Some("corrupt_media")),
    ] {
        let result = verify::look(&bench.ffmpeg, file, Expected::default(), bounds, &watch()).await;
        assert_eq!(result.err().map(|failure| failure.kind.code()), expected, "{bounds:?}");
    }
}
