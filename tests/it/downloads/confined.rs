//! Whole downloads in each tier of the sandbox, found by warm extractors and by the plain command line: what programs need
//! is there.

use std::collections::BTreeSet;

use super::*;

/// A worker of each kind has a region of its own.
const KINDS: [(&str, &str); 4] = [("a", "1"), ("a", "0"), ("b", "1"), ("b", "0")];

fn region((tier, warm): (&str, &str)) -> String {
    format!("{tier}-{warm}")
}

/// Segments with texts and a picture; a page; and segments of which the last has to be left to yt-dlp.
fn sites(house: &House) -> Result<[&'static str; 3]> {
    let (origin, extinf) = (&house.origin, "#EXTINF:2,\n/hls-ts/360p");
    origin.put("/en.vtt", "WEBVTT\n\n00:00.500 --> 00:02.500\nThe beginning\n");
    origin.put("/en.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXTINF:8,\n/en.vtt\n#EXT-X-ENDLIST\n");
    let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"English\",LANGUAGE=\"en\",URI=\"/en.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=600000,RESOLUTION=640x360,CODECS=\"avc1.42c01e,mp4a.40.2\",SUBTITLES=\"s\"\n/hls-ts/360p.m3u8\n";
    origin.put("/texts.m3u8", master);
    origin.put(
        "/talk.html",
        "<!doctype html><title>A talk</title><video src=/progressive.mp4 poster=/poster.png></video>",
    );
    let last = std::fs::read(media::file("hls-ts/360p-3.ts"))?;
    origin.answer("/odd.ts", 200, &[(axum::http::header::CONTENT_ENCODING, "identity;q=1")], last);
    let list = format!("{extinf}-0.ts\n{extinf}-1.ts\n{extinf}-2.ts\n#EXTINF:2,\n/odd.ts\n");
    origin.put("/odd.m3u8", format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{list}#EXT-X-ENDLIST\n"));
    Ok(["/texts.m3u8", "/talk.html", "/odd.m3u8"])
}

#[tokio::test]
async fn downloads_of_every_kind_are_whole_in_both_tiers_and_by_both_ways_of_extraction() -> Result<()> {
    let all = KINDS.map(region).join(",");
    let regions = [("HAUL_REGION", "a-1"), ("HAUL_REGIONS", all.as_str()), ("HAUL_SLOTS", "2")];
    let house = House::open(Store::Disk, &regions).await?;
    let [texts, talk, odd] = sites(&house)?;
    let (mut workers, mut jobs) = (Vec::new(), Vec::new());
    for kind @ (tier, warm) in KINDS {
        let own = region(kind);
        let variables = [("HAUL_REGION", own.as_str()), ("HAUL_SANDBOX", tier), ("HAUL_WARM_EXTRACTORS", warm)];
        workers.push((own.clone(), warm, house.worker(&variables).await?));
        // each with words of its own, or it would be done already
        let order = |path: &str, more| {
            let mut order = request(&house.origin.url(&format!("{path}?{own}")), more);
            order["region"] = json!(own);
            order
        };
        for order in [
            order(texts, json!({"subtitles": {"languages": ["en"], "mode": "embed"}, "embed_thumbnail": true})),
            order(talk, json!({"format": "mp3", "embed_thumbnail": true})),
            order(odd, json!({})),
        ] {
            jobs.push((own.clone(), house.order(&order).await?));
        }
    }
    for (at, (own, job)) in jobs.iter().enumerate() {
        let (seconds, _, fetched) = played(&house, job).await?;
        assert!((seconds - media::DURATION_SECONDS).abs() < 0.3, "{own}: {seconds} s");
        let (view, file) = (house.get(job).await?.json(), fetched.file.path().to_owned());
        assert_eq!(view["region"], json!(own));
        let (result, seen) = (&view["result"], tokio::task::spawn_blocking(move || media::ffprobe(&file)).await?);
        let streams = seen["streams"].as_array().cloned().unwrap_or_default();
        let kinds: BTreeSet<_> = streams.iter().map(|stream| stream["codec_name"].as_str().unwrap_or("-")).collect();
        let expected = [&["h264", "aac", "mov_text", "mjpeg"][..], &["mp3", "mjpeg"], &["h264", "aac"]][at % 3];
        assert_eq!(kinds, expected.iter().copied().collect(), "{own}: {result}");
        assert_eq!(result["delivery"] == "ytdlp", at % 3 == 2, "{own}: {result}");
        let picture = house.thumbnail(job).await?;
        assert_eq!((picture.status.as_u16(), picture.header("content-type")), (200, "image/jpeg"), "{own}");
    }
    for (own, warm, worker) in &workers {
        let answer = haul_tests::site::send(house.request(worker, Method::GET, "/metrics")).await?;
        let other = if *warm == "1" { "plain" } else { "warm" };
        let none = format!("haul_extractions_total{{way=\"{other}\"}} 0\n");
        assert!(String::from_utf8_lossy(&answer.body).contains(&none), "{own} has done some in the other way");
    }
    Ok(())
}
