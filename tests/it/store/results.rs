//! How long results stay, and who may fetch them meanwhile.

use super::*;

#[tokio::test]
async fn forgetting_the_last_ticket_gives_the_object_to_the_sweep() -> Result<()> {
    let bench = Bench::new().await?;
    let a = bench.submit("a", "https://example.com/v").await?;
    let b = bench.submit("b", "https://example.com/v").await?;
    assert!(!bench.store.forget(a).await?, "it has not ended");
    let leased = bench.must_lease().await?;
    let made = artifact(&leased);
    bench.store.complete(&leased.lease, &made, &[]).await?;

    assert!(bench.store.forget(a).await?);
    assert!(bench.store.get(a).await?.is_none() && !bench.store.forget(a).await?);
    assert!(bench.store.collect(&[], 10).await?.is_empty(), "b may still fetch it");
    assert!(bench.store.forget(b).await?);
    let due = bench.store.collect(&[], 10).await?;
    assert_eq!(due.iter().map(|garbage| &garbage.object).collect::<Vec<_>>(), [&made.object]);
    assert!(bench.store.collect(&due, 10).await?.is_empty());
    let stats = bench.store.stats().await?;
    assert_eq!((stats.stored_bytes, stats.stored_objects), (0, 0));
    Ok(())
}

#[tokio::test]
async fn who_comes_late_keeps_a_result_for_as_long_as_they_asked() -> Result<()> {
    let bench = Bench::new().await?;
    bench.submit("a", "https://example.com/v").await?;
    let leased = bench.must_lease().await?;
    let made = artifact(&leased);
    bench.store.complete(&leased.lease, &made, &[]).await?;
    let mut connection = bench.redis.connection().await?;
    let (job, gc, entry) =
        (format!("haul1:{{0}}:j:{}", leased.lease.job), "haul1:{0}:gc", format!("+1000:{}", made.object));
    // as if most of the result's life were over
    redis::cmd("HINCRBY").arg(&job).arg("del").arg(-240_000).query_async::<()>(&mut connection).await?;
    redis::cmd("ZINCRBY").arg(gc).arg(-240_000).arg(&entry).query_async::<()>(&mut connection).await?;

    let late = Submission { expires_in: MINUTE * 4, ..order("b", "https://example.com/v") };
    reused(bench.store.submit(&late).await?, late.ticket);
    let job = bench.job(late.ticket).await?;
    let JobState::Completed { expires, .. } = job.state else { panic!("not completed") };
    assert!(expires >= job.created + MINUTE * 4, "{expires}");
    let goes: i64 = redis::cmd("ZSCORE").arg(gc).arg(&entry).query_async(&mut connection).await?;
    assert!(goes >= expires.as_millisecond(), "swept while it could be fetched");
    Ok(())
}

#[tokio::test]
async fn an_object_whose_job_was_never_completed_is_swept_when_its_reservation_ends() -> Result<()> {
    let bench = Bench::new().await?;
    bench.submit("a", "https://example.com/v").await?;
    let leased = bench.must_lease().await?;
    let object = artifact(&leased).object;
    bench.store.reserve(&leased.lease, &object).await?;
    let mut connection = bench.redis.connection().await?;
    let held: Vec<String> =
        redis::cmd("ZRANGE").arg("haul1:{0}:gc").arg(0).arg(-1).query_async(&mut connection).await?;
    assert_eq!(held, [format!("-0:{object}")]);
    Ok(())
}

/// One such job made the whole list an error, and one such object kept all others in the store.
#[tokio::test]
async fn what_a_newer_version_wrote_hides_nothing_else() -> Result<()> {
    let bench = Bench::new().await?;
    let mut made = Vec::new();
    for url in ["https://example.com/v", "https://example.com/w"] {
        let ticket = bench.submit("a", url).await?;
        let leased = bench.must_lease().await?;
        bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
        made.push((ticket, leased));
    }
    let [(_, newer), (ticket, known)] = &made[..] else { panic!("two") };
    let mut connection = bench.redis.connection().await?;
    let record = format!("haul1:{{0}}:j:{}", newer.lease.job);
    redis::cmd("HSET").arg(record).arg("res").arg("{}").query_async::<()>(&mut connection).await?;
    redis::cmd("ZADD").arg("haul1:{0}:gc").arg(0).arg("+1:elsewhere").query_async::<()>(&mut connection).await?;

    let listed = bench.store.list(&Scope::Everyone, None, 10).await?;
    assert_eq!(listed.iter().map(|job| job.ticket).collect::<Vec<_>>(), [*ticket]);
    assert!(bench.store.forget(*ticket).await?);
    let due = bench.store.collect(&[], 10).await?;
    assert_eq!(due.iter().map(|garbage| &garbage.object).collect::<Vec<_>>(), [&artifact(known).object]);
    Ok(())
}
