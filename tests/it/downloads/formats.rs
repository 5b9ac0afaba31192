//! Every format of the contract from every way in which sites serve media, over both stores.

use super::*;

/// Orders one address in these formats, all at once on four slots, and compares what came.
async fn check(store: Store, path: &str, table: &[(&str, &str)]) -> Result<()> {
    let house = House::open(store, &[("HAUL_SLOTS", "4")]).await?;
    let worker = house.worker(&[]).await?;
    let mut jobs = Vec::new();
    for (format, expected) in table {
        let order = request(&house.origin.url(path), json!({ "format": format, "filename": format!("from {format}") }));
        jobs.push((house.order(&order).await?, *format, *expected));
    }
    for (job, format, expected) in &jobs {
        let (result, _) = proven(&house, job).await.with_context(|| format!("{format} of {path}"))?;
        assert_eq!(shown(&result), *expected, "{format} of {path}");
        let extension = result["container"].as_str().context("a container")?;
        let delivery = if path.starts_with("/progressive") { "relay" } else { "native" };
        assert_eq!(result["delivery"], delivery, "{format} of {path}");
        assert_eq!(result["filename"], format!("from {format}.{extension}"));
    }
    assert_eq!(house.stored(), jobs.len());
    all_gone(&house, &worker).await?;
    Ok(())
}

#[tokio::test]
async fn a_plain_file_becomes_every_format() -> Result<()> {
    let table = [
        ("mp4", "mp4 video/mp4 h264 aac best 360p"),
        ("webm", "mkv video/x-matroska h264 aac best 360p"),
        ("mkv", "mkv video/x-matroska h264 aac best 360p"),
        ("original", "mp4 video/mp4 h264 aac best 360p"),
        ("mp3", "mp3 audio/mpeg - mp3 - -"),
        ("m4a", "m4a audio/mp4 - aac - -"),
        ("opus", "opus audio/ogg - opus - -"),
        ("flac", "flac audio/flac - flac - -"),
        ("wav", "wav audio/wav - pcm_s16le - -"),
    ];
    check(Store::Disk, "/progressive.mp4", &table).await
}

#[tokio::test]
async fn segments_of_mpeg_ts_become_every_format() -> Result<()> {
    let table = [
        ("mp4", "mp4 video/mp4 h264 aac best 720p"),
        ("webm", "mkv video/x-matroska h264 aac best 720p"),
        ("mkv", "mkv video/x-matroska h264 aac best 720p"),
        ("original", "ts video/mp2t h264 aac best 720p"),
        ("mp3", "mp3 audio/mpeg - mp3 - -"),
        ("m4a", "m4a audio/mp4 - aac - -"),
        ("opus", "opus audio/ogg - opus - -"),
        ("flac", "flac audio/flac - flac - -"),
        ("wav", "wav audio/wav - pcm_s16le - -"),
    ];
    check(Store::S3, "/hls-ts/master.m3u8", &table).await
}

#[tokio::test]
async fn segments_of_mp4_with_sound_apart_become_every_format() -> Result<()> {
    let table = [
        ("mp4", "mp4 video/mp4 h264 aac best 720p"),
        ("webm", "mkv video/x-matroska h264 aac best 720p"),
        ("mkv", "mkv video/x-matroska h264 aac best 720p"),
        ("original", "mp4 video/mp4 h264 aac best 720p"),
        ("mp3", "mp3 audio/mpeg - mp3 - -"),
        ("m4a", "m4a audio/mp4 - aac - -"),
        ("opus", "opus audio/ogg - opus - -"),
        ("flac", "flac audio/flac - flac - -"),
        ("wav", "wav audio/wav - pcm_s16le - -"),
    ];
    check(Store::Disk, "/hls-fmp4/master.m3u8", &table).await
}

#[tokio::test]
async fn dash_with_sound_apart_becomes_every_format() -> Result<()> {
    let table = [
        ("mp4", "mp4 video/mp4 h264 aac best 720p"),
        ("webm", "mkv video/x-matroska h264 aac best 720p"),
        ("mkv", "mkv video/x-matroska h264 aac best 720p"),
        ("original", "mp4 video/mp4 h264 aac best 720p"),
        ("mp3", "mp3 audio/mpeg - mp3 - -"),
        ("m4a", "m4a audio/mp4 - aac - -"),
        ("opus", "opus audio/ogg - opus - -"),
        ("flac", "flac audio/flac - flac - -"),
        ("wav", "wav audio/wav - pcm_s16le - -"),
    ];
    check(Store::S3, "/dash/manifest.mpd", &table).await
}

#[tokio::test]
async fn what_fits_is_copied_and_not_coded_anew() -> Result<()> {
    let table = [
        ("mp4", "mp4 video/mp4 vp9 opus best 360p"),
        ("webm", "webm video/webm vp9 opus best 360p"),
        ("original", "webm video/webm vp9 opus best 360p"),
        ("opus", "opus audio/ogg - opus - -"),
    ];
    check(Store::Disk, "/progressive.webm", &table).await
}
