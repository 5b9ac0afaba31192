//! Metadata without a download, found by a real worker.

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
