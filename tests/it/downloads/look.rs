//! Metadata without a download, found by a real worker.

use haul_shared::cookies::Cookies;
use haul_shared::metadata::{Finding, Look, Metadata, MetadataCache};
use haul_shared::source::SourceUrl;
use haul_tests::processes::until;
use haul_tests::redis::Redis;
use haul_tests::site::send;

use super::*;

const METADATA: &str = "/api/v1/metadata";

#[tokio::test]
async fn a_look_is_a_miss_and_then_a_hit_and_says_what_there_is() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let body = json!({ "url": house.origin.url("/hls-ts/master.m3u8") });
    let first = house.ask(Method::POST, METADATA, &body).await?;
    assert_eq!((first.status.as_u16(), first.header("haul-cache")), (200, "miss"), "{}", first.told());
    let told = first.json();
    assert_eq!((&told["title"], &told["is_live"]), (&json!("master"), &json!(false)));
    assert_eq!(told["qualities"], json!(["720p", "360p", "240p"]), "{told}");
    assert_eq!(told["formats"].as_array().map_or(0, Vec::len), 3);
    let highest = told["formats"].as_array().and_then(|formats| formats.iter().find(|one| one["height"] == 720));
    let highest = highest.context("a picture of 720 lines")?.clone();
    for field in ["format_id", "ext", "width", "vcodec", "acodec", "bitrate_kbps", "protocol"] {
        assert!(!highest[field].is_null(), "{field}: {highest}");
    }
    let hits = house.origin.hits("/hls-ts/master.m3u8");
    let second = house.ask(Method::POST, METADATA, &body).await?;
    assert_eq!((second.header("haul-cache"), second.json()), ("hit", told));
    assert_eq!(house.origin.hits("/hls-ts/master.m3u8"), hits);
    Ok(())
}

#[tokio::test]
async fn a_refusal_has_its_status_and_a_list_its_entries() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[("HAUL_RETRIES", "0")]).await?;
    let origin = &house.origin;
    let table = [
        (origin.url("/nothing.mp4"), "404 unavailable"),
        (origin.url("/page.html"), "422 unsupported_url"),
        (origin.spoilt(Fault::Status(403, 99), "/progressive.mp4"), "502 site_blocked"),
        (origin.spoilt(Fault::Status(503, 99), "/progressive.mp4"), "502 network"),
        (origin.spoilt(Fault::Status(429, 99), "/progressive.mp4"), "503 site_rate_limited"),
        ("http://127.0.0.1:9/nobody.mp4".to_owned(), "502 network"),
    ];
    for (url, expected) in table {
        let answer = house.ask(Method::POST, METADATA, &json!({ "url": url })).await?;
        assert_eq!(answer.told(), expected, "{url}");
    }
    let feed = format!(
        "<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>A feed</title>\
         <item><title>One</title><enclosure url=\"{}\" type=\"video/mp4\"/></item>\
         <item><title>Two</title><enclosure url=\"{}\" type=\"video/mp4\"/></item></channel></rss>",
        origin.url("/progressive.mp4"),
        origin.url("/silent.mp4"),
    );
    origin.put("/feed.xml", feed);
    let answer = house.ask(Method::POST, METADATA, &json!({ "url": origin.url("/feed.xml") })).await?;
    assert_eq!(answer.status, 200, "{}", answer.told());
    let entries = answer.json()["entries"].as_array().cloned().unwrap_or_default();
    let titles: Vec<&str> = entries.iter().filter_map(|entry| entry["title"].as_str()).collect();
    assert_eq!(titles, ["One", "Two"]);
    Ok(())
}

#[tokio::test]
async fn of_a_long_list_a_hundred_entries_are_told() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let videos: String = (0..120).map(|n| format!("<video src='/progressive.mp4?{n}'></video>")).collect();
    house.origin.put("/many.html", format!("<!doctype html><title>Many</title>{videos}"));
    let told = house.ask(Method::POST, METADATA, &json!({ "url": house.origin.url("/many.html") })).await?.json();
    assert_eq!(told["entries"].as_array().map(Vec::len), Some(100), "{told}");
    Ok(())
}

/// What is cached may be old, or another's: it is for display, and no program is ever given any of it.
#[tokio::test]
async fn what_is_cached_is_shown_and_never_downloaded_from() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let url = house.origin.url("/progressive.mp4");
    let poisoned: Metadata = serde_json::from_value(json!({
        "title": "poisoned", "duration_seconds": 1.0, "is_live": true, "webpage_url": house.origin.url("/silent.mp4"),
        "formats": [{ "format_id": "mp4", "ext": "webm", "protocol": "https" }],
        "qualities": [], "subtitles": [], "chapters": [], "entries": [],
    }))?;
    let cache = MetadataCache::new(house.redis.server(2)?, std::time::Duration::from_secs(3600));
    let look = Look { url: SourceUrl::read(&url)?, cookies: Cookies::Any, first: 1 };
    cache.put(&look, &Finding::Found(Box::new(poisoned))).await?;
    let shown = house.ask(Method::POST, METADATA, &json!({ "url": url })).await?;
    assert_eq!((shown.header("haul-cache"), &shown.json()["title"]), ("hit", &json!("poisoned")));
    let job = house.order(&request(&url, json!({ "format": "original" }))).await?;
    let (result, _) = proven(&house, &job).await?;
    assert_eq!(result["container"], "mp4");
    assert_eq!(house.get(&job).await?.json()["media"]["title"], "progressive");
    Ok(())
}

#[tokio::test]
async fn a_live_stream_is_told_as_such_and_not_downloaded() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let playlist = std::fs::read_to_string(media::file("hls-ts/360p.m3u8"))?;
    let live = playlist.replace("#EXT-X-ENDLIST", "").replace("#EXT-X-PLAYLIST-TYPE:VOD", "");
    house.origin.put("/hls-ts/live.m3u8", live);
    let url = house.origin.url("/hls-ts/live.m3u8");
    let told = house.ask(Method::POST, METADATA, &json!({ "url": url })).await?.json();
    assert_eq!(told["is_live"], true, "{told}");
    let job = house.order(&request(&url, json!({}))).await?;
    assert_eq!(house.outcome(&job).await?, "live_not_supported");
    Ok(())
}

/// It was `500 internal`.
#[tokio::test]
async fn who_asks_while_the_cache_is_away_is_told_when_to_come_back_and_downloads_go_on() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let mut cache = Redis::start().await?;
    let url = cache.url();
    let own = [("HAUL_CACHE_REDIS_URL", url.as_str())];
    let (api, _worker) = tokio::try_join!(house.another_api(&own), house.worker(&own))?;
    let media = house.origin.url("/progressive.mp4");
    let look = async || send(house.request(&api, Method::POST, METADATA).json(&json!({ "url": media }))).await;

    cache.kill()?;
    let away = look().await?;
    assert_eq!(away.told(), "503 storage_unavailable");
    assert!(away.header("retry-after").parse::<u64>()? > 0);
    let job = house.order(&request(&media, json!({}))).await?;
    assert_eq!(house.outcome(&job).await?, "completed");

    cache.restart().await?;
    until("the cache is found again", async || look().await.is_ok_and(|answer| answer.status == 200)).await?;
    Ok(())
}
