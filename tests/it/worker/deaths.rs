//! Jobs and workers that are stopped half-way.

use std::time::Instant;

use haul_shared::store::Cancelled;
use haul_tests::origin::Fault;

use super::*;

/// Slow enough that nothing here ever gets to its end by itself.
const SLOW: Fault = Fault::Throttle(20_000);

#[tokio::test]
async fn a_cancelled_job_is_dead_within_five_seconds_and_nothing_is_stored() -> Result<()> {
    let shop = Shop::open().await?;
    let worker = shop.worker(&[]).await?;
    let ticket = shop.submit(&shop.origin.spoilt(SLOW, "/progressive.mp4")).await?;
    shop.until(ticket, is_fetching).await?;
    let asked = Instant::now();
    assert_eq!(shop.store.cancel(ticket).await?, Cancelled::Stopping);
    assert_eq!(shop.end(ticket).await?.kind(), StateKind::Cancelled);
    // The bound is the contract's, not a measurement.
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!((shop.stored(), worker.scratch_files()), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_worker_that_stops_hands_its_job_back_uncharged() -> Result<()> {
    let shop = Shop::open().await?;
    let worker = shop.worker(&[("HAUL_SHUTDOWN_GRACE", "0s")]).await?;
    let ticket = shop.submit(&shop.origin.spoilt(SLOW, "/progressive.mp4")).await?;
    shop.until(ticket, is_fetching).await?;
    worker.stop().await?;
    let job = shop.job(ticket).await?;
    assert_eq!((job.state.kind(), job.attempt), (StateKind::Queued, 0));
    Ok(())
}

#[tokio::test]
async fn within_the_grace_a_stopping_worker_finishes_what_it_began_and_takes_nothing_new() -> Result<()> {
    let shop = Shop::open().await?;
    let worker = shop.worker(&[("HAUL_SLOTS", "1"), ("HAUL_SHUTDOWN_GRACE", "2m")]).await?;
    let first = shop.submit(&shop.origin.spoilt(Fault::Throttle(200_000), "/progressive.mp4")).await?;
    shop.until(first, is(StateKind::Running)).await?;
    let second = shop.submit(&shop.origin.url("/progressive.mp4")).await?;
    worker.stop().await?;
    assert_eq!(shop.job(first).await?.state.kind(), StateKind::Completed);
    assert_eq!(shop.job(second).await?.state.kind(), StateKind::Queued);
    Ok(())
}
