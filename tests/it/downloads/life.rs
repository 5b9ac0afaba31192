//! What a client can do with a download besides waiting for it.

use std::time::{Duration, Instant};

use super::*;

#[tokio::test]
async fn a_cancelled_download_is_gone_within_five_seconds_and_its_programs_too() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let worker = house.worker(&[]).await?;
    // one is cancelled while yt-dlp looks, one while it fetches
    let looking = house.order(&request(&house.origin.spoilt(Fault::Hang, "/progressive.mp4"), json!({}))).await?;
    let fetching = house.order(&request(&house.origin.spoilt(SLOW, "/progressive.mp4"), json!({}))).await?;
    house.is_fetching(&fetching).await?;
    house.until(&looking, |view| view["status"] == "running").await?;
    let programs = worker.programs();
    assert!(programs.len() >= 2, "{programs:?}");

    let asked = Instant::now();
    for job in [&looking, &fetching] {
        let answer = house.ask(Method::DELETE, job, &Value::Null).await?;
        assert_eq!(answer.status, 202);
    }
    for job in [&looking, &fetching] {
        assert_eq!(house.outcome(job).await?, "cancelled");
        assert_eq!(house.get(&format!("{job}/link")).await?.told(), "409 cancelled");
    }
    processes::until("the programs have ended", async || worker.programs().is_empty()).await?;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(processes::alive(&programs).is_empty());
    processes::until("scratch is empty", async || house.scratch_files() == 0).await?;
    assert_eq!(house.stored(), 0);

    // the worker has its slots back
    let next = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    proven(&house, &next).await?;
    Ok(())
}

#[tokio::test]
async fn a_deleted_result_is_removed_from_both_stores() -> Result<()> {
    for store in [Store::Disk, Store::S3] {
        let house = House::open(store, &[]).await?;
        let _worker = house.worker(&[]).await?;
        let job = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
        proven(&house, &job).await?;
        assert_eq!(house.stored(), 1);
        let content = house.get(&format!("{job}/content")).await?;
        assert_eq!(content.status, 200);
        assert_eq!(house.ask(Method::DELETE, &job, &Value::Null).await?.status, 204);
        assert_eq!(house.get(&job).await?.told(), "404 not_found");
        processes::until("the object is removed", async || house.stored() == 0).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_large_file_goes_through_both_processes_in_little_memory() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let large = media::large(folder.path());
    let file = std::fs::read(large)?;
    assert!(file.len() > 100 << 20);
    for store in [Store::Disk, Store::S3] {
        let house = House::open(store, &[]).await?;
        let worker = house.worker(&[]).await?;
        house.origin.put("/large.mkv", file.clone());
        let order = request(&house.origin.url("/large.mkv"), json!({ "format": "original" }));
        let job = house.order(&order).await?;
        assert_eq!(house.outcome(&job).await?, "completed");
        assert!(house.fetch(&job).await?.answer.body == file);
        assert!(house.get(&format!("{job}/content")).await?.body == file);
        // a relay may hold 32 MiB
        for (name, process, most) in [("api", &house.api, 64 << 20), ("worker", &worker, 96 << 20)] {
            let peak = process.peak_memory()?;
            assert!(peak < most, "{name}: {peak} bytes over {store:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_failed_download_can_be_tried_again_under_its_id() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_MAX_ATTEMPTS", "1")]).await?;
    let _worker = house.worker(&[]).await?;
    let order = request(&house.origin.url("/later.mp4"), json!({}));
    let job = house.order(&order).await?;
    assert_eq!(house.outcome(&job).await?, "unavailable");
    house.origin.put("/later.mp4", std::fs::read(media::file("progressive.mp4"))?);
    let again = house.ask(Method::POST, &format!("{job}/retry"), &Value::Null).await?;
    assert_eq!(again.status, 202, "{}", again.told());
    proven(&house, &job).await?;
    let once_more = house.ask(Method::POST, &format!("{job}/retry"), &Value::Null).await?;
    assert_eq!(once_more.told(), "409 not_retryable");
    Ok(())
}

#[tokio::test]
async fn what_is_good_in_a_batch_is_downloaded() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let good = |path: &str| request(&house.origin.url(path), json!({}));
    let batch =
        json!({ "downloads": [good("/progressive.mp4"), { "url": "ftp://127.0.0.1/v.mp4" }, good("/silent.mp4")] });
    let answer = house.ask(Method::POST, &format!("{DOWNLOADS}/batch"), &batch).await?;
    assert_eq!(answer.status, 207);
    let results = answer.json()["results"].as_array().cloned().unwrap_or_default();
    let statuses: Vec<_> = results.iter().map(|one| one["status"].as_u64().unwrap_or_default()).collect();
    assert_eq!(statuses, [202, 422, 202]);
    for at in [0, 2] {
        let id = results[at]["job"]["id"].as_str().context("an id")?;
        proven(&house, &format!("{DOWNLOADS}/{id}")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn without_warm_extractors_the_plain_command_line_does_the_same() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let worker = house.worker(&[("HAUL_WARM_EXTRACTORS", "0")]).await?;
    for path in ["/progressive.mp4", "/dash/manifest.mpd"] {
        let job = house.order(&request(&house.origin.url(path), json!({}))).await?;
        proven(&house, &job).await?;
    }
    let look = house.ask(Method::POST, "/api/v1/metadata", &json!({ "url": house.origin.url("/silent.mp4") })).await?;
    assert_eq!(look.told(), "200");
    assert_eq!(house.metric(&worker, "haul_extractors").await?, 0.0);
    assert_eq!(house.metric(&worker, "haul_extractions_total").await?, 3.0);
    Ok(())
}
