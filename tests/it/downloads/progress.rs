//! What a client is told of how far a job is, as often as it changes.

use haul_tests::site::send;
use reqwest::header;

use super::*;

const STAGES: [&str; 5] = ["extract", "download", "process", "verify", "upload"];

/// All that a client sees that follows a job by its `ETag`, to its end.
async fn followed(house: &House, job: &str) -> Result<Vec<Value>> {
    let (mut views, mut etag) = (Vec::<Value>::new(), String::new());
    while views.last().is_none_or(|view| matches!(view["status"].as_str(), Some("queued" | "running"))) {
        let request = house.request(&house.api, Method::GET, &format!("{job}?wait=10"));
        let answer = send(request.header(header::IF_NONE_MATCH, &etag)).await?;
        if answer.status == 200 {
            etag = answer.header("etag").to_owned();
            views.push(answer.json());
        }
    }
    Ok(views)
}

/// One part after the other is counted once, and nothing is told that is not known.
#[tokio::test]
async fn progress_rises_through_all_stages_and_tells_only_what_is_known() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_LEASE", "3s")]).await?;
    let _worker = house.worker(&[("HAUL_CONCURRENT_FRAGMENTS", "2")]).await?;
    for (path, size_is_known) in [("/progressive.mp4", true), ("/hls-fmp4/master.m3u8", false)] {
        let url = house.origin.spoilt(Fault::Throttle(40_000), path);
        let job = house.order(&request(&url, json!({ "quality": "360p" }))).await?;
        let views = followed(&house, &job).await?;
        let (end, under_way) = views.split_last().context("at least its end")?;
        ensure!(end["status"] == "completed", "{end}");
        assert_eq!(end["progress"]["percent"], 100.0);
        let percent: Vec<f64> = under_way.iter().filter_map(|view| view["progress"]["percent"].as_f64()).collect();
        assert!(percent.is_sorted() && percent.iter().all(|percent| *percent < 100.0), "{path}: {percent:?}");
        let stages: Vec<usize> =
            under_way.iter().filter_map(|view| STAGES.iter().position(|stage| view["stage"] == *stage)).collect();
        assert!(stages.is_sorted(), "{path}: {stages:?}");

        let fetching: Vec<&Value> =
            under_way.iter().filter(|view| view["stage"] == "download").map(|view| &view["progress"]).collect();
        let bytes: Vec<u64> = fetching.iter().filter_map(|progress| progress["downloaded_bytes"].as_u64()).collect();
        assert!(bytes.len() > 2 && bytes.is_sorted(), "{path}: {bytes:?}");
        let knows_total = fetching.iter().any(|progress| !progress["total_bytes"].is_null());
        assert_eq!(knows_total, size_is_known, "{path}: {fetching:?}");
        let in_the_middle = fetching.iter().any(|progress| {
            let percent = progress["percent"].as_f64().unwrap_or_default();
            let (speed, left) = (&progress["speed_bytes_per_second"], &progress["eta_seconds"]);
            (5.0..95.0).contains(&percent) && speed.as_u64() > Some(0) && left.as_u64() > Some(0)
        });
        assert!(in_the_middle, "{path}: {fetching:?}");
    }
    Ok(())
}
