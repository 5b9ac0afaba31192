//! What is seen of a job, by who looks again and again.

use haul_tests::processes::until;

use super::*;

#[tokio::test]
async fn who_looks_again_at_what_has_not_changed_costs_redis_no_script() -> Result<()> {
    let bench = Bench::new().await?;
    let ticket = bench.submit("a", "https://example.com/v").await?;
    let seen = bench.job(ticket).await?;
    // what was seen is kept for a second, and a busy machine may take longer than that between two looks
    until("a look costs no script", async || {
        let before = bench.redis.carried_out("evalsha").await.unwrap();
        assert_eq!(bench.job(ticket).await.unwrap(), seen);
        bench.redis.carried_out("evalsha").await.unwrap() == before
    })
    .await?;
    Ok(())
}

/// As behind another API, or a worker: nothing of it passes through the process that looks.
#[tokio::test]
async fn whatever_another_process_changes_the_next_look_shows() -> Result<()> {
    let bench = Bench::new().await?;
    let other = JobStore::new(bench.redis.server(8)?, bench.settings);
    let look = async |ticket| bench.store.get(ticket).await;
    let (first, second) = (order("a", "https://example.com/1"), order("a", "https://example.com/2"));
    for order in [&first, &second] {
        accepted(other.submit(order).await?, order.ticket);
    }
    let place = async || anyhow::Ok(bench.job(second.ticket).await?.state);
    assert_eq!(place().await?, JobState::Queued { position: 2 });
    let mut claims = other.claims(&bench.worker, Kind::Download, &["default".parse().unwrap()]);
    assert_eq!(bench.kind(first.ticket).await?, StateKind::Queued);

    let leased = claims.take(1).await?.pop().unwrap();
    assert_eq!(bench.kind(first.ticket).await?, StateKind::Running);
    assert_eq!(place().await?, JobState::Queued { position: 1 }, "who stood before it has gone");
    other.heartbeat(&[beat(&leased, 41.5)]).await?;
    assert_eq!(bench.job(first.ticket).await?.progress.map(|progress| progress.percent), Some(41.5));
    let made = artifact(&leased);
    other.reserve(&leased.lease, &made.object).await?;
    other.complete(&leased.lease, &made, &[]).await?;
    assert_eq!(bench.kind(first.ticket).await?, StateKind::Completed);
    assert!(other.forget(first.ticket).await?);
    assert_eq!(look(first.ticket).await?, None);

    assert_eq!(other.cancel(second.ticket).await?, Cancelled::Now);
    assert_eq!(bench.kind(second.ticket).await?, StateKind::Cancelled);
    accepted(other.resubmit(&second).await?, second.ticket);
    assert_eq!(bench.kind(second.ticket).await?, StateKind::Queued);
    Ok(())
}

/// No script runs when a record's life ends by itself.
#[tokio::test]
async fn a_record_that_has_outlived_its_time_is_not_shown_for_long() -> Result<()> {
    let bench = Bench::new().await?;
    let ticket = bench.submit("a", "https://example.com/v").await?;
    bench.job(ticket).await?;
    let mut connection = bench.redis.connection().await?;
    redis::cmd("DEL").arg(format!("haul1:{{0}}:t:{ticket}")).query_async::<()>(&mut connection).await?;
    until("it is gone", async || bench.store.get(ticket).await.is_ok_and(|job| job.is_none())).await?;
    Ok(())
}
