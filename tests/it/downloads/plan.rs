//! What a download would fetch, told by a real worker before it does.

use haul_tests::origin::Origin;
use haul_tests::schema::faults;
use haul_tests::site::Answer;

use super::*;

const PLAN: &str = "/api/v1/plan";
const MASTERS: [&str; 3] = ["/hls-ts/master.m3u8", "/hls-fmp4/master.m3u8", "/dash/manifest.mpd"];

async fn planned(house: &House, order: &Value) -> Result<Answer> {
    house.ask(Method::POST, PLAN, order).await
}

/// How often anything was asked for but what describes the media.
fn fetched(origin: &Origin) -> u64 {
    let lists = ["hls-ts", "hls-fmp4"].map(|folder| {
        ["240p", "360p", "720p", "sound"].map(|name| origin.hits(&format!("/{folder}/{name}.m3u8"))).iter().sum::<u64>()
    });
    let described = MASTERS.iter().map(|path| origin.hits(path)).chain(lists).sum::<u64>();
    origin.all_hits() as u64 - described
}

#[tokio::test]
async fn a_plan_is_what_the_download_then_does_and_fetches_no_media() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "4")]).await?;
    let _worker = house.worker(&[]).await?;
    let [ts, fmp4, dash] = MASTERS;
    let clip = |exact: bool| json!({ "clip": { "start": 3.0, "end": 7.0, "exact": exact } });
    let table = [
        (ts, json!({}), "mp4 best 720p"),
        (ts, json!({ "quality": "480p" }), "mp4 480p 360p"),
        (ts, json!({ "format": "webm" }), "mkv best 720p"),
        (ts, json!({ "format": "m4a" }), "m4a - -"),
        (ts, json!({ "format": "mp3" }), "mp3 - - coded"),
        (ts, clip(true), "mp4 best 720p coded"),
        (fmp4, json!({ "quality": "360p", "fallback": "strict" }), "mp4 360p 360p"),
        (fmp4, json!({ "format": "m4a" }), "m4a - -"),
        (fmp4, json!({ "format": "opus" }), "opus - - coded"),
        (dash, json!({}), "mp4 best 720p"),
        (dash, json!({ "quality": "144p" }), "mp4 144p 240p"),
        (dash, json!({ "format": "original" }), "mp4 best 720p"),
        (dash, json!({ "format": "wav" }), "wav - - coded"),
        (dash, clip(false), "mp4 best 720p"),
    ];
    let mut plans = Vec::new();
    for (path, more, expected) in table {
        let order = request(&house.origin.url(path), more);
        let answer = planned(&house, &order).await?;
        assert_eq!((answer.told(), answer.header("haul-cache")), ("200".to_owned(), "miss"), "{order}");
        plans.push((order, answer.json(), expected));
    }
    assert_eq!(fetched(&house.origin), 0);
    let (document, asked) = (house.get("/openapi.json").await?.json(), house.origin.all_hits());
    for (order, plan, _) in &plans {
        let again = planned(&house, order).await?;
        assert_eq!((again.header("haul-cache"), &again.json()), ("hit", plan), "{order}");
        assert!(again.header("age").parse::<u64>().is_ok());
        assert_eq!(faults(&document, &document["components"]["schemas"]["PlanView"], plan)?, [""; 0]);
    }
    assert_eq!(house.origin.all_hits(), asked);
    assert_eq!(house.get(DOWNLOADS).await?.json()["downloads"], json!([]));

    let mut jobs = Vec::new();
    for (order, plan, expected) in plans {
        jobs.push((house.order(&order).await?, order, plan, expected));
    }
    for (job, order, plan, expected) in jobs {
        let view = house.end(&job).await?;
        let (result, streams) = (&view["result"], plan["streams"].as_array().context("streams")?);
        for field in ["container", "asked", "got"] {
            assert_eq!(plan[field], result[field], "{field}: {order} {plan} {view}");
        }
        // of a picture the first stream, of sound the last
        let (first, last) = (streams.first().context("a stream")?, streams.last().context("a stream")?);
        let (is_sound, is_copied) = (plan["asked"].is_null(), !expected.ends_with("coded"));
        if !is_sound {
            assert_eq!((&first["width"], &first["height"]), (&result["width"], &result["height"]), "{order} {plan}");
        }
        assert!(!is_sound || (result["acodec"] == "aac") == is_copied, "{order} {view}");
        assert!(last["acodec"].as_str().is_none_or(|codec| codec.starts_with("mp4a")), "{plan}");
        let words = ["container", "asked", "got"].map(|word| plan[word].as_str().unwrap_or("-"));
        let coded = if plan["transcodes"] == true { " coded" } else { "" };
        assert_eq!(format!("{}{coded}", words.join(" ")), expected, "{order} {plan}");
        if let (Some(seconds), Some(plays)) = (plan["duration_seconds"].as_f64(), result["duration_seconds"].as_f64()) {
            // a clip that is not exact begins at the key frame before its start
            assert!((0.0..1.1).contains(&(plays - seconds + 0.05)), "{order} {plan} {view}");
        }
        if let (Some(estimated), Some(size)) = (plan["estimated_bytes"].as_f64(), result["size_bytes"].as_f64()) {
            assert!((0.5..2.0).contains(&(estimated / size)), "{order} {plan} {view}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_plan_is_refused_with_the_code_that_the_download_would_fail_with() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_RETRIES", "0"), ("HAUL_MAX_DURATION", "30s")]).await?;
    let _worker = house.worker(&[]).await?;
    let origin = &house.origin;
    let playlist = std::fs::read_to_string(media::file("hls-ts/360p.m3u8"))?;
    origin.put("/hls-ts/live.m3u8", playlist.replace("#EXT-X-ENDLIST", "").replace("#EXT-X-PLAYLIST-TYPE:VOD", ""));
    origin.put(
        "/two.html",
        "<!doctype html><video src=\"/silent.mp4\"></video><video src=\"/progressive.webm\"></video>",
    );
    let ts = MASTERS[0];
    let clip = json!({ "clip": { "start": 60.0, "end": null } });
    for (path, more, expected) in [
        (ts, json!({ "quality": "1080p", "fallback": "strict" }), "422 format_unavailable"),
        (ts, json!({ "codec": "av1", "fallback": "strict" }), "422 format_unavailable"),
        (ts, json!({ "format": "webm", "fallback": "strict" }), "422 format_unavailable"),
        (ts, json!({ "subtitles": { "languages": ["en"] }, "fallback": "strict" }), "422 format_unavailable"),
        (ts, clip, "422 format_unavailable"),
        ("/hls-ts/wrong-duration.m3u8", json!({}), "422 too_long"),
        ("/hls-ts/live.m3u8", json!({}), "422 live_not_supported"),
        ("/hls-ts/live.m3u8", json!({ "live_seconds": 5 }), "200"),
        ("/nothing.mp4", json!({}), "404 unavailable"),
        ("/page.html", json!({}), "422 unsupported_url"),
        ("/two.html", json!({ "playlist_index": 3 }), "404 unavailable"),
    ] {
        let order = request(&origin.url(path), more);
        let told = planned(&house, &order).await?;
        assert_eq!(told.told(), expected, "{order} {}", told.json());
        let asked = origin.all_hits();
        let again = planned(&house, &order).await?;
        assert_eq!((again.told(), again.header("haul-cache")), (told.told(), "hit"), "{order}");
        assert_eq!(origin.all_hits(), asked, "{order}");
        if let Some((_, code)) = expected.split_once(' ') {
            assert_eq!(house.outcome(&house.order(&order).await?).await?, code, "{order}");
        }
    }
    let second =
        planned(&house, &request(&origin.url("/two.html"), json!({ "playlist_index": 2, "format": "webm" }))).await?;
    assert_eq!(second.json()["streams"][0]["ext"], "webm", "{}", second.json());
    Ok(())
}

#[tokio::test]
async fn what_is_forgotten_is_planned_anew_whatever_was_asked_for() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let url = house.origin.url("/hls-ts/master.m3u8");
    let orders = [json!({}), json!({ "format": "mp3" }), json!({ "quality": "1080p", "fallback": "strict" })];
    let cached = async || {
        let mut all = Vec::new();
        for more in &orders {
            all.push(planned(&house, &request(&url, more.clone())).await?.header("haul-cache").to_owned());
        }
        anyhow::Ok(all)
    };
    assert_eq!(cached().await?, ["miss"; 3]);
    assert_eq!(cached().await?, ["hit"; 3]);
    // what lies in the file changes no plan
    let dressed =
        json!({ "embed_chapters": false, "embed_thumbnail": true, "streaming": true, "filename": "a", "tags": ["b"] });
    assert_eq!(planned(&house, &request(&url, dressed)).await?.header("haul-cache"), "hit");
    let forget = format!("/api/v1/metadata?url={url}");
    assert_eq!(house.ask(Method::DELETE, &forget, &Value::Null).await?.status, 204);
    assert_eq!(cached().await?, ["miss"; 3]);
    assert_eq!(cached().await?, ["hit"; 3]);
    Ok(())
}
