//! `Retry-After`: what a site asks for is kept to, by the job and within a run.

use super::*;

/// R17
#[tokio::test]
async fn a_site_that_is_busy_three_times_is_tried_four_times_and_never_before_it_asked_to_be() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.quick_worker(&[("HAUL_SLOTS", "4")]).await?;
    let faults = [(503, Wait::Seconds(2)), (429, Wait::Seconds(2)), (503, Wait::Until(3)), (403, Wait::Seconds(0))];
    let mut ordered = Vec::new();
    for (status, wait) in faults {
        let url = house.origin.spoilt(Fault::Asks(status, 3, wait), MEDIA);
        ordered.push((house.order(&request(&url, json!({}))).await?, path_of(&url)?, wait));
    }
    for (job, path, wait) in ordered {
        let view = house.end(&job).await?;
        assert_eq!((&view["status"], &view["attempt"]), (&json!("completed"), &json!(4)), "{path}: {view}");
        let least = Duration::from_secs(match wait {
            Wait::Seconds(asked) => asked,
            // a date has no parts of seconds
            Wait::Until(asked) => asked - 1,
        });
        let times = house.origin.times(&path);
        let gaps: Vec<Duration> = times.windows(2).take(3).map(|two| two[1] - two[0]).collect();
        assert!(gaps.len() == 3 && gaps.iter().all(|gap| *gap >= least), "{path}: {gaps:?}");
    }
    Ok(())
}

#[tokio::test]
async fn within_a_run_a_short_wait_is_kept_to_by_every_fragment() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.quick_worker(&[("HAUL_FRAGMENT_RETRIES", "2")]).await?;
    let fault = Fault::Asks(503, 1, Wait::Seconds(3));
    let url = house.origin.spoilt(fault, "/hls-ts/360p.m3u8");
    let job = house.order(&request(&url, json!({}))).await?;
    let view = house.end(&job).await?;
    // the first attempt learned of the playlist only that it has to wait for it
    assert_eq!((&view["status"], &view["attempt"]), (&json!("completed"), &json!(2)), "{view}");
    for fragment in ["/hls-ts/360p-0.ts", "/hls-ts/360p-1.ts"] {
        let times = house.origin.times(&path_of(&house.origin.spoilt(fault, fragment))?);
        assert_eq!(times.len(), 2, "{fragment}");
        assert!(times[1] - times[0] >= Duration::from_secs(3), "{fragment}: {:?}", times[1] - times[0]);
    }
    Ok(())
}

#[tokio::test]
async fn a_long_wait_ends_the_run_and_the_job_waits_without_a_slot() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.quick_worker(&[("HAUL_FRAGMENT_RETRIES", "2"), ("HAUL_SLOTS", "1")]).await?;
    let fragment = path_of(&house.origin.spoilt(Fault::Asks(429, 99, Wait::Seconds(600)), "/hls-ts/360p-1.ts"))?;
    let playlist = std::fs::read_to_string(haul_tests::media::file("hls-ts/360p.m3u8"))?;
    house.origin.put("/hls-ts/patient.m3u8", playlist.replace("360p-1.ts", &fragment));
    let job = house.order(&request(&house.origin.url("/hls-ts/patient.m3u8"), json!({}))).await?;
    let other = house.order(&request(&house.origin.url(MEDIA), json!({}))).await?;
    assert_eq!(house.end(&other).await?["status"], "completed");
    let view = house.until(&job, |job| !job["next_attempt_at"].is_null()).await?;
    assert_eq!((&view["status"], &view["attempt"]), (&json!("queued"), &json!(1)), "{view}");
    let wait = wait_of(&view)?.as_secs();
    assert!((580..=660).contains(&wait), "{wait} s");
    assert_eq!(house.origin.hits(&fragment), 1, "it was not asked again");
    Ok(())
}

#[tokio::test]
async fn who_asks_for_metadata_is_told_how_long_the_site_wants_to_be_left_alone() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let url = house.origin.spoilt(Fault::Asks(429, 99, Wait::Seconds(70)), MEDIA);
    for cache in ["miss", "hit"] {
        let answer = house.ask(Method::POST, "/api/v1/metadata", &json!({ "url": url })).await?;
        assert_eq!((answer.told().as_str(), answer.header("haul-cache")), ("503 site_rate_limited", cache));
        let wait: u64 = answer.header("retry-after").parse()?;
        assert!((60..=70).contains(&wait), "{cache}: {wait}");
        assert_eq!(answer.json()["retry_after"], json!(wait));
    }
    assert_eq!(house.origin.hits(&path_of(&url)?), 1);
    Ok(())
}
