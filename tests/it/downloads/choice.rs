//! Which of a site's streams a request gets, and what goes into the file beside them.

use super::*;

#[tokio::test]
async fn quality_codec_and_container_are_as_asked_or_the_nearest_or_refused() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let table = [
        ("/hls-ts/master.m3u8", json!({ "quality": "1080p" }), "mp4 video/mp4 h264 aac 1080p 720p"),
        ("/hls-ts/master.m3u8", json!({ "quality": "480p" }), "mp4 video/mp4 h264 aac 480p 360p"),
        ("/hls-fmp4/master.m3u8", json!({ "quality": "360p" }), "mp4 video/mp4 h264 aac 360p 360p"),
        ("/dash/manifest.mpd", json!({ "quality": "240p" }), "mp4 video/mp4 h264 aac 240p 240p"),
        ("/dash/manifest.mpd", json!({ "quality": "144p" }), "mp4 video/mp4 h264 aac 144p 240p"),
        ("/dash/manifest.mpd", json!({ "quality": "144p", "fallback": "strict" }), "format_unavailable"),
        ("/hls-ts/master.m3u8", json!({ "quality": "1080p", "fallback": "strict" }), "format_unavailable"),
        ("/hls-ts/master.m3u8", json!({ "quality": "720p", "fallback": "strict" }), "mp4 video/mp4 h264 aac 720p 720p"),
        ("/hls-ts/master.m3u8", json!({ "fallback": "strict" }), "mp4 video/mp4 h264 aac best 720p"),
        ("/hls-ts/master.m3u8", json!({ "codec": "av1" }), "mp4 video/mp4 h264 aac best 720p"),
        ("/hls-ts/master.m3u8", json!({ "codec": "av1", "fallback": "strict" }), "format_unavailable"),
        ("/hls-ts/master.m3u8", json!({ "format": "webm", "fallback": "strict" }), "format_unavailable"),
        ("/progressive.mp4", json!({ "format": "webm", "fallback": "strict" }), "format_unavailable"),
        ("/progressive.mp4", json!({ "quality": "720p", "fallback": "strict" }), "format_unavailable"),
        ("/portrait.mp4", json!({ "quality": "360p", "fallback": "strict" }), "mp4 video/mp4 h264 aac 360p 360p"),
        ("/silent.mp4", json!({}), "mp4 video/mp4 h264 - best 360p"),
        ("/silent.mp4", json!({ "format": "mp3" }), "format_unavailable"),
        ("/h264-opus.mkv", json!({}), "mp4 video/mp4 h264 opus best 360p"),
    ];
    let mut jobs = Vec::new();
    for (path, more, expected) in table {
        jobs.push((house.order(&request(&house.origin.url(path), more.clone())).await?, path, more, expected));
    }
    for (job, path, more, expected) in jobs {
        let told = match house.outcome(&job).await?.as_str() {
            "completed" => shown(&proven(&house, &job).await?.0),
            code => code.to_owned(),
        };
        assert_eq!(told, expected, "{path} {more}");
    }
    Ok(())
}

#[tokio::test]
async fn the_short_side_of_an_upright_picture_counts() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let job = house.order(&request(&house.origin.url("/portrait.mp4"), json!({ "quality": "360p" }))).await?;
    let (result, _) = proven(&house, &job).await?;
    assert_eq!((&result["width"], &result["height"], &result["got"]), (&json!(360), &json!(640), &json!("360p")));
    Ok(())
}

#[tokio::test]
async fn sound_that_is_coded_anew_has_the_asked_bitrate() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    for (path, format, kbps) in [("/progressive.mp4", "mp3", 64.0), ("/progressive.mp4", "mp3", 320.0)] {
        let more = json!({ "format": format, "audio_bitrate_kbps": kbps as u32 });
        let job = house.order(&request(&house.origin.url(path), more)).await?;
        let (_, seen) = proven(&house, &job).await?;
        let came: f64 = seen["streams"][0]["bit_rate"].as_str().context("a bit rate")?.parse()?;
        assert!((came / 1000.0 - kbps).abs() < kbps * 0.1, "{format}: {came} instead of {kbps}");
    }
    Ok(())
}

#[tokio::test]
async fn title_and_chapters_go_into_the_file_unless_they_are_not_wanted() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    // the page's title, numbered by yt-dlp as one of a list, and the chapters that are in the file
    let page = "<!doctype html><title>A talk</title><video src=\"/chapters.mp4\"></video>";
    house.origin.put("/talk.html", page);
    let url = house.origin.url("/talk.html");
    let table = [
        (json!({}), Some("A talk (1)"), 2),
        (json!({ "format": "mkv" }), Some("A talk (1)"), 2),
        (json!({ "format": "mp3" }), Some("A talk (1)"), 2),
        (json!({ "embed_metadata": false, "embed_chapters": false }), None, 0),
    ];
    for (more, title, chapters) in table {
        let job = house.order(&request(&url, more.clone())).await?;
        let (_, seen) = proven(&house, &job).await?;
        let tags = &seen["format"]["tags"];
        let found = tags["title"].as_str().or(tags["TITLE"].as_str());
        assert_eq!((found, seen["chapters"].as_array().map_or(0, Vec::len)), (title, chapters), "{more}: {tags}");
    }
    Ok(())
}

#[tokio::test]
async fn an_entry_of_a_list_is_chosen_by_its_number() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let page =
        "<!doctype html><title>Two</title><video src=\"/progressive.mp4\"></video><video src=\"/silent.mp4\"></video>";
    house.origin.put("/two.html", page);
    let url = house.origin.url("/two.html");
    for (index, expected) in [(1, "aac"), (2, "-"), (3, "unavailable")] {
        let job = house.order(&request(&url, json!({ "playlist_index": index }))).await?;
        let told = match house.outcome(&job).await?.as_str() {
            "completed" => proven(&house, &job).await?.0["acodec"].as_str().unwrap_or("-").to_owned(),
            code => code.to_owned(),
        };
        assert_eq!(told, expected, "entry {index}");
    }
    Ok(())
}
