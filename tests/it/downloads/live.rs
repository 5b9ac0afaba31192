//! Live streams: recorded for as long as was asked, or up to their end.

use std::time::Duration;

use haul_tests::ranges::{Answer, RangeOrigin};

use super::*;

/// A list of the first so many segments, two seconds each, that may still grow.
fn list(segments: usize) -> String {
    // half of one comes before all of it does
    let folder = |at: usize| if at == 1 { format!("/{}", Fault::CutOnce(20_000)) } else { String::new() };
    let of = |at: usize| format!("#EXTINF:2.0,\n{}/hls-ts/360p-{at}.ts\n", folder(at));
    let segments: String = (0..segments).map(of).collect();
    format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n{segments}")
}

/// How long a recording plays, once it has ended.
async fn recorded(house: &House, job: &str) -> Result<f64> {
    let view = house.end(job).await?;
    ensure!(view["status"] == "completed", "{view}");
    assert_eq!((&view["result"]["vcodec"], &view["result"]["acodec"]), (&json!("h264"), &json!("aac")));
    let fetched = house.fetch(job).await?;
    let path = fetched.file.path().to_owned();
    let seen = tokio::task::spawn_blocking(move || media::ffprobe(&path)).await?;
    let plays: f64 = seen["format"]["duration"].as_str().context("a duration")?.parse()?;
    let says = view["result"]["duration_seconds"].as_f64().context("a duration")?;
    assert!((plays - says).abs() < 0.3, "{says} s, plays {plays} s");
    let pictures = seen["streams"][0]["nb_frames"].as_str().context("a number of pictures")?.parse::<f64>()?;
    assert!((pictures - plays * 25.0).abs() < 4.0, "{pictures} pictures in {plays} s");
    Ok(plays)
}

#[tokio::test]
async fn a_live_stream_is_recorded_for_as_long_as_asked_or_up_to_its_end() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "4"), ("HAUL_MAX_ATTEMPTS", "1")]).await?;
    let worker = house.worker(&[("HAUL_SILENCE_TIMEOUT", "20s")]).await?;
    for path in ["/goes-on.m3u8", "/ends.m3u8", "/stalls.m3u8"] {
        house.origin.put(path, list(2));
    }
    // picture and sound apart
    for name in ["360p", "sound"] {
        let text = std::fs::read_to_string(media::file(&format!("hls-fmp4/{name}.m3u8")))?;
        // the numbers of one are not those of the other
        let number = format!("#EXT-X-MEDIA-SEQUENCE:{}", name.len() * 9);
        let clock = number + "\n#EXT-X-PROGRAM-DATE-TIME:2026-11-21T10:00:00.000Z";
        let text = text.replace("#EXT-X-MEDIA-SEQUENCE:0", &clock);
        ensure!(text.contains(&clock), "{text}");
        let live = text.replace("#EXT-X-ENDLIST", "").replace("#EXT-X-PLAYLIST-TYPE:VOD", "");
        house.origin.put(&format!("/hls-fmp4/live-{name}.m3u8"), live);
    }
    let master = std::fs::read_to_string(media::file("hls-fmp4/master.m3u8"))?;
    let (head, last) = (master.replace("sound.m3u8", "live-sound.m3u8"), "360p.m3u8\n");
    let until = head.find(last).context("a variant")?;
    // the picture's list is asked for where it is not
    let there = house.origin.url("/hls-fmp4/live-360p.m3u8");
    let away = RangeOrigin::start(move |_| Answer::status(302).with("Location", there.as_str())).await;
    let picture = away.url("/live.m3u8");
    let head = head[..until].replace("240p.m3u8", &picture);
    house.origin.put("/hls-fmp4/live.m3u8", format!("{head}{picture}\n"));

    let order = async |path: &str, seconds: u32| {
        house.order(&request(&house.origin.url(path), json!({ "live_seconds": seconds }))).await
    };
    let (goes_on, ends) = (order("/goes-on.m3u8", 5).await?, order("/ends.m3u8", 600).await?);
    let (apart, stalls) = (order("/hls-fmp4/live.m3u8", 3).await?, order("/stalls.m3u8", 600).await?);
    // what is no live stream is downloaded as ever
    let whole = order("/progressive.mp4", 1).await?;
    for path in ["/goes-on.m3u8", "/ends.m3u8"] {
        processes::until("the list was looked at again and again", async || house.origin.hits(path) > 4).await?;
    }
    house.origin.put("/goes-on.m3u8", list(4));
    house.origin.put("/ends.m3u8", list(4) + "#EXT-X-ENDLIST\n");
    for (job, seconds) in [(&goes_on, 5.0), (&ends, 8.0), (&apart, 3.0), (&whole, 8.0)] {
        let plays = recorded(&house, job).await?;
        assert!((plays - seconds).abs() < 0.2, "{plays} s instead of {seconds}");
    }
    // It was handed out again as what goes on now.
    let again = request(&house.origin.url("/goes-on.m3u8"), json!({ "live_seconds": 5 }));
    assert_eq!(house.ask(Method::POST, "/api/v1/downloads", &again).await?.status, 202);
    assert_eq!(house.outcome(&stalls).await?, "stalled");
    let refused = house.order(&request(&house.origin.url("/stalls.m3u8"), json!({}))).await?;
    assert_eq!(house.outcome(&refused).await?, "live_not_supported");

    // the playlist that yt-dlp looks at answers, and the one that is recorded does not
    let variant = |width: u32| {
        format!("#EXT-X-STREAM-INF:BANDWIDTH={width}000,RESOLUTION={width}x90,CODECS=\"avc1.42c01e,mp4a.40.2\"\n")
    };
    house
        .origin
        .put("/silent.m3u8", format!("#EXTM3U\n{}/stalls.m3u8\n{}/hang=/stalls.m3u8\n", variant(160), variant(320)));
    let silent = order("/silent.m3u8", 600).await?;
    processes::until("it waits for the playlist", async || house.origin.hits("/hang=/stalls.m3u8") > 0).await?;
    assert_eq!(house.ask(Method::DELETE, &silent, &Value::Null).await?.status, 202);
    let running = async || house.metric(&worker, "haul_jobs_running").await.unwrap_or(1.0);
    let took = processes::until("its slot is free", async || running().await < 1.0).await?;
    assert!(took < Duration::from_secs(10), "{took:?}");
    Ok(())
}
