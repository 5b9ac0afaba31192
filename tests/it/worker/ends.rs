//! How attempts end: with a result, with a code, or not at all.

use haul_tests::origin::Fault;

use super::*;

#[tokio::test]
async fn a_download_ends_with_a_verified_result_and_empty_scratch() -> Result<()> {
    let shop = Shop::open().await?;
    let worker = shop.worker(&[]).await?;
    let ticket = shop.submit(&shop.origin.url("/progressive.mp4")).await?;
    let JobState::Completed { artifact, .. } = shop.end(ticket).await? else {
        anyhow::bail!("not completed: {:?}", shop.job(ticket).await?.state)
    };
    assert_eq!((artifact.container.as_str(), artifact.content_type.as_str()), ("mp4", "video/mp4"));
    assert_eq!(shop.stored(), 1);
    let media = shop.job(ticket).await?.media.context("the medium is known")?;
    assert!(media.title.is_some());
    let thumbnail = shop.thumbnail(ticket).await?.context("a frame stands for it")?;
    shop.is_tidy(&worker).await?;
    let stats = shop.store.stats().await?;
    assert_eq!(stats.stored_bytes, artifact.size_bytes + thumbnail.size_bytes);
    assert!(stats.samples["extract"].len() == 1 && stats.samples["upload"].len() == 1);
    worker.stop().await
}

#[tokio::test]
async fn a_passing_failure_is_tried_again_and_a_lasting_one_is_not() -> Result<()> {
    let shop = Shop::open().await?;
    let worker = shop.worker(&[("HAUL_RETRIES", "0")]).await?;
    let passing = shop.submit(&shop.origin.spoilt(Fault::Status(503, 1), "/progressive.mp4")).await?;
    let lasting = shop.submit(&shop.origin.url("/no-such-file.mp4")).await?;
    assert_eq!(shop.end(passing).await?.kind(), StateKind::Completed);
    assert_eq!(shop.job(passing).await?.attempt, 2);
    assert_eq!(shop.failure(lasting).await?, FailureKind::Unavailable);
    assert_eq!(shop.job(lasting).await?.attempt, 1);
    shop.is_tidy(&worker).await
}

#[tokio::test]
async fn what_is_cut_or_lacks_a_segment_never_completes() -> Result<()> {
    let shop = Shop::open().await?;
    let _worker = shop.worker(&[("HAUL_RETRIES", "1"), ("HAUL_FRAGMENT_RETRIES", "1"), ("HAUL_SLOTS", "4")]).await?;
    let origin = &shop.origin;
    let spoilt = [origin.spoilt(Fault::Lying(60), "/progressive.mp4"), origin.url("/empty.mp4")];
    for url in &spoilt {
        let ticket = shop.submit(url).await?;
        let kind = shop.failure(ticket).await?;
        assert!(kind != FailureKind::Internal, "{url} ended as {kind:?}");
    }
    assert_eq!(shop.stored(), 0);
    Ok(())
}

#[tokio::test]
async fn a_site_that_stops_sending_is_stalled() -> Result<()> {
    let shop = Shop::open().await?;
    let worker = shop.worker(&[("HAUL_SILENCE_TIMEOUT", "2s")]).await?;
    let silent = shop.submit(&shop.origin.spoilt(Fault::Hang, "/progressive.mp4")).await?;
    assert_eq!(shop.failure(silent).await?, FailureKind::Stalled);
    assert_eq!((shop.stored(), worker.scratch_files()), (0, 0));
    Ok(())
}

#[tokio::test]
async fn an_endless_body_is_too_large_and_an_endless_wait_is_over_in_time() -> Result<()> {
    let shop = Shop::open().await?;
    let worker = shop.worker(&[("HAUL_JOB_TIMEOUT", "10s"), ("HAUL_MAX_FILE_SIZE", "1MiB")]).await?;
    let endless = shop.submit(&shop.origin.url("/endless.mp4")).await?;
    let slow = shop.submit(&shop.origin.spoilt(Fault::Throttle(4_000), "/progressive.mp4")).await?;
    assert_eq!(shop.failure(endless).await?, FailureKind::TooLarge);
    assert_eq!(shop.failure(slow).await?, FailureKind::Timeout);
    assert_eq!((shop.stored(), worker.scratch_files()), (0, 0));
    Ok(())
}

#[tokio::test]
async fn an_address_that_the_policy_refuses_is_not_fetched() -> Result<()> {
    let shop = Shop::open().await?;
    let _worker = shop.worker(&[("HAUL_EGRESS_ALLOW", "192.0.2.0/24")]).await?;
    let ticket = shop.submit(&shop.origin.url("/progressive.mp4")).await?;
    assert_eq!(shop.failure(ticket).await?, FailureKind::EgressDenied);
    assert_eq!(shop.origin.hits("/progressive.mp4"), 0);
    Ok(())
}

#[tokio::test]
async fn twenty_jobs_on_four_slots_all_end_and_leave_nothing() -> Result<()> {
    let shop = Shop::open().await?;
    let worker = shop.worker(&[("HAUL_SLOTS", "4")]).await?;
    let mut tickets = Vec::new();
    for n in 0..20 {
        tickets.push(shop.submit(&shop.origin.url(&format!("/progressive.mp4?n={n}"))).await?);
    }
    for ticket in tickets {
        assert_eq!(shop.end(ticket).await?.kind(), StateKind::Completed);
    }
    assert_eq!(shop.stored(), 20);
    shop.is_tidy(&worker).await?;
    let stats = shop.store.stats().await?;
    assert_eq!((stats.jobs[&StateKind::Running], stats.jobs[&StateKind::Queued]), (0, 0));
    Ok(())
}

/// The heartbeat waits for nothing but Redis: neither for the program nor for the disk nor for the upload.
#[tokio::test]
async fn a_job_of_several_leases_is_never_taken_away() -> Result<()> {
    let shop = Shop::with_lease(Duration::from_secs(6)).await?;
    let _worker = shop.worker(&[("HAUL_LEASE", "6s")]).await?;
    let began = std::time::Instant::now();
    let ticket = shop.submit(&shop.origin.spoilt(Fault::Throttle(30_000), "/progressive.mp4")).await?;
    assert_eq!(shop.end(ticket).await?.kind(), StateKind::Completed);
    assert!(began.elapsed() > Duration::from_secs(12), "it was over before its lease would have been");
    let stats = shop.store.stats().await?;
    assert_eq!((shop.job(ticket).await?.attempt, stats.leases_lost), (1, 0));
    Ok(())
}
