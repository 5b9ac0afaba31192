//! From an address to a proven result: yt-dlp, the choice, ffmpeg, and the proof, on the loopback site.

use std::time::Duration;

use haul_shared::job::{DownloadSpec, Failure};
use haul_shared::source::SourceUrl;
use haul_tests::media;
use haul_tests::origin::{Fault, Origin};
use haul_worker::ffmpeg::Input;
use haul_worker::process::Watch;
use haul_worker::select::{Take, select, settle};
use haul_worker::verify::{self, Expected, Verified};
use haul_worker::ytdlp::{Bounds, Ytdlp};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(60);

async fn fetch(url: &str, format: &str, quality: &str, fallback: &str) -> Result<Verified, Failure> {
    let folder = TempDir::new().expect("there is room");
    let spec = serde_json::json!({
        "url": url, "format": format, "quality": quality, "codec": "any", "fallback": fallback,
        "audio_bitrate_kbps": 128, "embed_metadata": false, "embed_chapters": false, "playlist_index": 1,
    });
    let spec: DownloadSpec = serde_json::from_value(spec).expect("these are its fields");
    let url = SourceUrl::read(url).expect("an address");
    let cancel = CancellationToken::new();
    let bounds = Bounds {
        wall: LONG,
        silence: LONG,
        cpu: LONG,
        file_size: None,
        cancel: cancel.clone(),
        guard: haul_tests::guard(),
    };
    let watch = Watch::new(LONG, LONG, cancel);
    let ffmpeg = crate::ffmpeg();

    let (info, session) = Ytdlp::new(haul_tests::ytdlp(haul_tests::tools().join("yt-dlp")))
        .extract(&url, 1, folder.path(), &bounds)
        .await?;
    let selection = select(&info, &spec)?;
    let files = session.download(&selection.take.ids(), &bounds, |_| {}).await?;
    let limits = verify::Bounds { size_bytes: 100 << 20, duration: None };
    let mut seen = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let is_pair = matches!(selection.take, Take::Pair { .. });
        let expected = Expected {
            video: !spec.format.is_audio() && at == 0,
            audio: selection.promises_audio && (at == 1 || !is_pair),
            duration: info.duration_seconds,
        };
        seen.push(verify::look(&ffmpeg, &file.path, expected, limits, &watch).await?);
    }
    let plan = settle(&seen, &spec)?;
    let output = folder.path().join("result");
    let inputs: Vec<_> =
        files.iter().zip(&seen).map(|(file, seen)| Input { file: &file.path, container: seen.container }).collect();
    ffmpeg.make(&crate::plain(&plan, &spec, &inputs, &output), &watch, |_| {}).await?;
    verify::verify(&ffmpeg, &output, verify::hash(&output, &watch), (&plan, &seen), limits, &watch).await
}

#[tokio::test]
async fn every_kind_of_source_becomes_what_was_asked() {
    let origin = Origin::start().await;
    for (path, format, quality, expected) in [
        ("/progressive.mp4", "mp4", "best", "mp4 360p h264 aac"),
        ("/progressive.webm", "webm", "720p", "webm 360p vp9 opus"),
        ("/portrait.mp4", "mkv", "360p", "mkv 360p h264 aac"),
        ("/audio.mp3", "mp3", "best", "mp3 - - mp3"),
        ("/hls-ts/master.m3u8", "mp4", "480p", "mp4 360p h264 aac"),
        ("/hls-ts/master.m3u8", "mp3", "best", "mp3 - - mp3"),
        ("/hls-fmp4/master.m3u8", "mp4", "best", "mp4 720p h264 aac"),
        ("/hls-fmp4/without-codecs.m3u8", "mp4", "240p", "mp4 240p h264 aac"),
        ("/hls-fmp4/master.m3u8", "m4a", "best", "m4a - - aac"),
        ("/hls-audio/index.m3u8", "opus", "best", "opus - - opus"),
        ("/dash/manifest.mpd", "mp4", "360p", "mp4 360p h264 aac"),
        ("/dash/manifest.mpd", "webm", "240p", "mkv 240p h264 aac"),
    ] {
        let made = fetch(&origin.url(path), format, quality, "nearest").await;
        let made = made.unwrap_or_else(|failure| panic!("{path} {format} {quality}: {failure:?}"));
        let none = || "-".to_owned();
        let (got, video) = (made.got.unwrap_or_else(none), made.vcodec.unwrap_or_else(none));
        let shown = format!("{} {got} {video} {}", made.container, made.acodec.unwrap_or_else(none));
        assert_eq!(shown, expected, "{path} {format} {quality}");
    }
}

#[tokio::test]
async fn a_spoilt_source_never_becomes_a_result() {
    let origin = Origin::start().await;
    origin.put_playlist_of("/playlist.mp4", &media::file("hls-ts/360p-0.ts"));
    let (mp4, hls, fmp4, dash) =
        ("/progressive.mp4", "/hls-ts/master.m3u8", "/hls-fmp4/master.m3u8", "/dash/manifest.mpd");
    for (url, fallback) in [
        (origin.spoilt(Fault::Lying(60), mp4), "nearest"),
        (origin.spoilt(Fault::Lying(60), "/progressive.webm"), "nearest"),
        (origin.spoilt(Fault::Missing("720p-1.ts"), hls), "nearest"),
        (origin.spoilt(Fault::Halved("720p-1.ts"), hls), "nearest"),
        (origin.spoilt(Fault::Halved("720p-3.ts"), hls), "nearest"),
        (origin.spoilt(Fault::Missing("720p-1.m4s"), fmp4), "nearest"),
        (origin.spoilt(Fault::Halved("sound-2.m4s"), fmp4), "nearest"),
        (origin.spoilt(Fault::Missing("seg-3-2.m4s"), dash), "nearest"),
        (origin.url("/hls-ts/wrong-duration.m3u8"), "nearest"),
        (origin.url("/playlist.mp4"), "nearest"),
        (origin.url("/empty.mp4"), "nearest"),
        (origin.url("/page.html"), "nearest"),
    ] {
        let made = fetch(&url, "mp4", "best", fallback).await;
        assert!(made.is_err(), "{url}: {made:?}");
    }
    // a plain file does not tell its size beforehand; the file itself is judged
    let failure = fetch(&origin.url(mp4), "mp4", "720p", "strict").await.unwrap_err();
    assert_eq!(failure.kind.code(), "format_unavailable");
}
