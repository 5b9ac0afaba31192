//! The audit: what is wrong is put right and counted, and what is right is left alone.

use super::*;

/// Does to Redis what no script would.
async fn spoil(bench: &Bench, command: &str) -> Result<()> {
    let mut words = command.split(' ');
    let mut call = redis::cmd(words.next().unwrap_or_default());
    words.for_each(|word| {
        call.arg(word);
    });
    Ok(call.query_async(&mut bench.redis.connection().await?).await?)
}

async fn recounted(bench: &Bench) -> Result<Vec<String>> {
    let mut connection = bench.redis.connection().await?;
    Ok(redis::Script::new(include_str!("audit.lua")).arg("haul1:{0}:").invoke_async(&mut connection).await?)
}

#[tokio::test]
async fn whatever_is_lost_outside_of_the_scripts_is_put_right_and_counted() -> Result<()> {
    let bench = Bench::new().await?;
    let running = bench.submit("a", "https://example.com/running").await?;
    let leased = bench.must_lease().await?;
    bench.submit("b", "https://example.com/waiting").await?;
    let waiting = bench.must_lease().await?;
    bench.store.fail(&waiting.lease, &trouble(FailureKind::Network), MINUTE).await?;
    bench.submit("c", "https://example.com/queued").await?;
    let found = bench.store.audit().await?;
    assert_eq!((found.jobs, found.repairs.len()), (3, 0));

    let (c, job) = (client("c"), leased.lease.job);
    for (command, word) in [
        (format!("ZREM haul1:{{0}}:lease {job}"), "lease"),
        (format!("ZREM haul1:{{0}}:delay {}", waiting.lease.job), "delay"),
        ("DEL haul1:{0}:q:download:default:normal".to_owned(), "queued"),
        (format!("DEL haul1:{{0}}:c:download:default:normal:{}", c.as_str()), "list"),
        ("DEL haul1:{0}:ring:download:default:normal".to_owned(), "ring"),
        ("ZADD haul1:{0}:live 9999999999999 7d0f6f4c-5a0b-4d6e-8a51-000000000000".to_owned(), "live"),
        ("HINCRBY haul1:{0}:run k-nobody 3".to_owned(), "run"),
        ("DEL haul1:{0}:load".to_owned(), "load"),
    ] {
        spoil(&bench, &command).await?;
        assert!(!recounted(&bench).await?.is_empty(), "{command} does no harm");
        let repairs = bench.store.audit().await?.repairs;
        assert!(repairs.iter().any(|repair| repair == word), "{command}: {repairs:?}");
        assert_eq!(recounted(&bench).await?, [""; 0], "{command}");
        assert_eq!(bench.store.audit().await?.repairs, [""; 0], "{command}");
    }
    assert!(bench.store.stats().await?.repairs >= 8);
    bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
    assert_eq!(bench.kind(running).await?, StateKind::Completed);
    Ok(())
}

#[tokio::test]
async fn page_after_page_the_audit_sees_every_job() -> Result<()> {
    let bench = Bench::new().await?;
    for n in 0..300 {
        bench.submit("a", &format!("https://example.com/{n}")).await?;
    }
    let (mut seen, mut pages) = (0, 0);
    while seen < 300 {
        seen += bench.store.audit().await?.jobs;
        pages += 1;
        assert!(pages < 50, "{seen} jobs");
    }
    assert!(pages > 1, "not all of them in one call");
    Ok(())
}

#[tokio::test]
async fn a_client_that_was_passed_over_for_jobs_that_do_not_run_is_served_again() -> Result<()> {
    // Its count was put right, but it stood beside the line until a job of its ended, and none was running.
    let bench = Bench::new().await?;
    let limits = ClientLimits { max_queued: None, max_running: Some(2), weight: 1, rate: None, bytes_per_day: None };
    let order = Submission { limits, ..order("a", "https://example.com/v") };
    bench.store.submit(&order).await?;
    spoil(&bench, &format!("HSET haul1:{{0}}:run {} 2", order.client.as_str())).await?;
    assert!(bench.lease().await?.is_none());
    assert_eq!(bench.store.audit().await?.repairs, ["run"]);
    assert_eq!(bench.store.audit().await?.repairs, ["park"]);
    assert!(bench.lease().await?.is_some());
    Ok(())
}
