//! Workers that die of a job, or with it, and clocks that are wrong.

use haul_tests::processes::faketime;

use super::*;

#[tokio::test]
async fn a_job_that_kills_its_worker_each_time_is_begun_three_times_and_no_more() -> Result<()> {
    let house = House::open(Store::Disk, &[SHORT_LEASE, ("HAUL_SLOTS", "1")]).await?;
    let poison = house.order(&request(&house.origin.spoilt(SLOW, "/progressive.mp4"), json!({}))).await?;
    let mut killed = Vec::new();
    for _ in 0..3 {
        let mut worker = house.worker(&[]).await?;
        let view =
            house.until(&poison, |view| view["status"] == "running" && !killed.contains(&view["worker"])).await?;
        killed.push(view["worker"].clone());
        assert_eq!(view["attempt"], 1, "a lost worker is no failed attempt: {view}");
        worker.kill()?;
    }
    let fine = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    assert_eq!(house.outcome(&poison).await?, "worker_lost");
    let failed = "haul_job_failures_total{code=\"worker_lost\"}";
    assert_eq!(house.metric(&house.api, failed).await?, 1.0, "no worker was left to find out");

    let worker = house.worker(&[]).await?;
    assert_eq!(house.outcome(&fine).await?, "completed");
    assert_eq!(house.metric(&worker, failed).await?, 0.0);
    let view = house.get(&poison).await?.json();
    assert_eq!((&view["status"], &view["attempt"]), (&json!("failed"), &json!(1)), "{view}");
    assert_eq!(house.stored(), 1);
    until("scratch is empty", async || house.scratch_files() == 0).await?;
    audit(&house.redis).await
}

/// Leases are measured by the clock of Redis, and by nobody else's.
#[tokio::test]
async fn workers_whose_clocks_are_an_hour_off_lose_no_lease_and_keep_none() -> Result<()> {
    let house = House::open(Store::Disk, &[LONGER_LEASE, ("HAUL_SLOTS", "1")]).await?;
    let preload = faketime()?.display().to_string();
    let off = |by| [("LD_PRELOAD", preload.as_str()), ("FAKETIME", by), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    let mut fast = house.worker(&off("+1h")).await?;
    let slow = house.worker(&off("-1h")).await?;
    assert_eq!(hours_off(&house).await?, [-1, 1]);
    // one for each, and each for longer than two leases
    let leisurely = house.origin.spoilt(Fault::Throttle(30_000), "/progressive.mp4");
    let mut jobs = Vec::new();
    for options in [json!({}), json!({ "format": "mkv" })] {
        jobs.push(house.order(&request(&leisurely, options)).await?);
    }
    for job in &jobs {
        house.is_fetching(job).await?;
    }

    let watched = std::time::Instant::now();
    until("two leases pass", async || watched.elapsed().as_secs() > 12).await?;
    assert_eq!(house.metric(&house.api, "haul_leases_lost_total").await?, 0.0);
    assert_eq!(house.metric(&fast, "haul_jobs_lost_total").await?, 0.0);

    fast.kill()?;
    for job in &jobs {
        assert_eq!(house.outcome(job).await?, "completed");
    }
    assert_eq!(house.metric(&house.api, "haul_leases_lost_total").await?, 1.0);
    assert_eq!(house.metric(&slow, "haul_jobs_lost_total").await?, 0.0);
    Ok(())
}

/// How many hours each worker's clock is off, by what it says of its start; sorted.
async fn hours_off(house: &House) -> Result<Vec<i64>> {
    let stats = house.get("/api/v1/stats").await?.json();
    let now = jiff::Timestamp::now().as_second();
    let started = stats["workers"].as_array().context("workers")?.iter().map(|worker| {
        let started: jiff::Timestamp = worker["started_at"].as_str().context("a time")?.parse()?;
        Ok((started.as_second() - now + 1800).div_euclid(3600))
    });
    let mut hours = started.collect::<Result<Vec<i64>>>()?;
    hours.sort_unstable();
    Ok(hours)
}
