//! Workers that are told to stop while there is work: none of it fails, and none is charged for it.

use super::*;

/// Two minutes for the medium, longer than the grace on any machine, and four times as fast as what is stalled.
const LONG: Fault = Fault::Throttle(4_000);

/// Fault: on a busy machine the long jobs came to their ends within the grace.
#[tokio::test]
async fn a_stopping_worker_takes_nothing_new_and_hands_long_jobs_back_to_the_head_of_the_line() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "3"), ("HAUL_SHUTDOWN_GRACE", "20s")]).await?;
    let mut worker = house.worker(&[]).await?;
    let short = house.order(&request(&house.origin.spoilt(UNHURRIED, "/progressive.mp4"), json!({}))).await?;
    let long = order_all(&house, &addresses(&house.origin, Some(LONG), 2)).await?;
    for job in long.iter().chain([&short]) {
        house.is_fetching(job).await?;
    }
    let behind = house.order(&request(&house.origin.url("/silent.mp4"), json!({}))).await?;
    let programs = worker.descendants();
    worker.signal(Signal::TERM)?;
    until("it says that it stops", async || !worker.says_ready().await).await?;
    assert!(worker.ended().await?.success());
    assert!(alive(&programs).is_empty());
    assert_eq!(house.scratch_files(), 0);

    let view = house.get(&short).await?.json();
    assert_eq!((&view["status"], &view["attempt"]), (&json!("completed"), &json!(1)), "{view}");
    let place = async |job: &str| {
        let view = house.get(job).await?.json();
        ensure!(view["status"] == "queued" && view["attempt"] == 0, "{view}");
        view["queue_position"].as_u64().context("a place in line")
    };
    let mut places = vec![place(&long[0]).await?, place(&long[1]).await?];
    places.sort_unstable();
    assert_eq!((places, place(&behind).await?), (vec![1, 2], 3));
    assert_eq!(house.metric(&house.api, "haul_leases_lost_total").await?, 0.0);
    audit(&house.redis).await
}

#[tokio::test]
async fn a_rolling_restart_of_three_workers_fails_no_job_and_charges_none_twice() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "1"), ("HAUL_SHUTDOWN_GRACE", "1s")]).await?;
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(house.worker(&[]).await?);
    }
    // with a grace of a second some end in time and some are handed back
    let mut orders = addresses(&house.origin, Some(Fault::Throttle(120_000)), 6);
    orders.extend(addresses(&house.origin, None, 6));
    let jobs = order_all(&house, &orders).await?;
    for worker in &mut workers {
        until("it has work", async || !worker.programs().is_empty()).await?;
        worker.signal(Signal::TERM)?;
        assert!(worker.ended().await?.success());
        *worker = house.worker(&[]).await?;
    }
    for job in &jobs {
        let view = house.end(job).await?;
        assert_eq!((&view["status"], &view["attempt"]), (&json!("completed"), &json!(1)), "{view}");
    }
    assert_eq!(house.stored(), jobs.len());
    until("scratch is empty", async || house.scratch_files() == 0).await?;
    for name in ["haul_leases_lost_total", "haul_job_failures_total"] {
        assert_eq!(house.metric(&house.api, name).await?, 0.0, "{name}");
    }
    audit(&house.redis).await
}
