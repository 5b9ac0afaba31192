//! How jobs are taken: several at once, by turns, urgent ones first but not always; and what stays of an attempt that
//! did not count.

use haul_shared::redis::Server;
use haul_tests::proxy::{Asked, Loss, Proxy};

use super::*;

#[tokio::test]
async fn several_jobs_are_taken_at_once_and_clients_still_take_turns() -> Result<()> {
    let bench = Bench::new().await?;
    for n in 0..6 {
        bench.submit("a", &format!("https://example.com/a{n}")).await?;
    }
    let small = bench.submit("b", "https://example.com/b").await?;
    let jobs = bench.claims().take(3).await?;
    assert_eq!(jobs.len(), 3);
    assert_eq!(bench.kind(small).await?, StateKind::Running, "it came last, and had its turn");
    assert_eq!(bench.claims().take(10).await?.len(), 4, "and no more than there are");
    Ok(())
}

#[tokio::test]
async fn a_client_at_its_limit_is_passed_over_within_one_call_too() -> Result<()> {
    let bench = Bench::new().await?;
    let limits = ClientLimits { max_queued: None, max_running: Some(2), weight: 1, rate: None, bytes_per_day: None };
    for n in 0..5 {
        bench.store.submit(&Submission { limits, ..order("a", &format!("https://example.com/{n}")) }).await?;
    }
    assert_eq!(bench.claims().take(5).await?.len(), 2);
    assert!(bench.lease().await?.is_none());
    Ok(())
}

#[tokio::test]
async fn one_turn_in_eight_a_job_of_low_priority_goes_first() -> Result<()> {
    let bench = Bench::new().await?;
    for n in 0..20 {
        bench.submit("hurried", &format!("https://example.com/h{n}")).await?;
        let low = Submission { priority: Priority::Low, ..order("patient", &format!("https://example.com/p{n}")) };
        bench.store.submit(&low).await?;
    }
    let mut claims = bench.claims();
    let mut jobs = claims.take(5).await?;
    jobs.extend(claims.take(11).await?);
    let urls = jobs.iter().map(|leased| match &leased.spec {
        Some(JobSpec::Download(spec)) => String::from(spec.url.clone()),
        _ => String::new(),
    });
    let low: Vec<bool> = urls.map(|url| url.contains("/p")).collect();
    let expected: Vec<bool> = (1..=16).map(|turn| turn % 8 == 0).collect();
    assert_eq!(low, expected);
    Ok(())
}

/// A patient job was told that it is the first, while seven others had their turns before it.
#[tokio::test]
async fn a_place_in_line_is_the_turn_in_which_a_job_is_served_whatever_its_priority() -> Result<()> {
    let bench = Bench::new().await?;
    let mut tickets = Vec::new();
    for n in 0..30 {
        tickets.push(bench.submit("hurried", &format!("https://example.com/h{n}")).await?);
    }
    for n in 0..5 {
        let low = Submission { priority: Priority::Low, ..order("patient", &format!("https://example.com/p{n}")) };
        bench.store.submit(&low).await?;
        tickets.push(low.ticket);
    }
    let mut told = Vec::new();
    for ticket in &tickets {
        let JobState::Queued { position } = bench.job(*ticket).await?.state else { panic!("it stands in line") };
        told.push((position, *ticket));
    }
    told.sort_unstable_by_key(|(position, _)| *position);

    let mut claims = bench.claims();
    for (turn, (position, ticket)) in told.into_iter().enumerate() {
        assert_eq!(position, turn as u64 + 1);
        assert_eq!(claims.take(1).await?.len(), 1);
        assert_eq!(bench.kind(ticket).await?, StateKind::Running, "in turn {position}");
    }
    Ok(())
}

#[tokio::test]
async fn who_is_in_a_hurry_takes_those_along_who_are_not() -> Result<()> {
    let bench = Bench::new().await?;
    let low = Submission { priority: Priority::Low, ..order("patient", "https://example.com/v") };
    bench.store.submit(&low).await?;
    bench.submit("other", "https://example.com/w").await?;
    bench.submit("hurried", "https://example.com/v").await?;
    bench.must_lease().await?;
    bench.must_lease().await?;
    assert_eq!(bench.kind(low.ticket).await?, StateKind::Running);
    assert!(bench.lease().await?.is_none(), "it left nothing behind in the slow lane");
    Ok(())
}

#[tokio::test]
async fn the_next_attempt_of_the_same_number_goes_on_from_where_the_lost_one_was() -> Result<()> {
    // The number of the attempt stayed, and its percentage began anew.
    let bench = Bench::new().await?;
    let ticket = bench.submit("a", "https://example.com/v").await?;
    let lost = bench.must_lease().await?;
    bench.store.heartbeat(&[beat(&lost, 40.0)]).await?;
    bench.run_out(lost.lease.job).await?;
    bench.end_delays().await?;
    let next = bench.must_lease().await?;
    assert_eq!((next.attempt, next.reached.map(|reached| reached.percent)), (1, Some(40.0)));
    assert_eq!(bench.job(ticket).await?.progress.map(|progress| progress.percent), Some(40.0));

    bench.store.release(&next.lease).await?;
    let again = bench.must_lease().await?;
    assert_eq!((again.attempt, again.reached.map(|reached| reached.percent)), (1, Some(40.0)));
    bench.store.fail(&again.lease, &trouble(FailureKind::Network), Duration::ZERO).await?;
    bench.end_delays().await?;
    let second = bench.must_lease().await?;
    assert_eq!((second.attempt, second.reached), (2, None));
    Ok(())
}

#[tokio::test]
async fn what_has_failed_for_good_is_told_at_once_for_a_while_and_tried_again_when_somebody_insists() -> Result<()> {
    let bench = Bench::new().await?;
    let first = bench.submit("a", "https://example.com/v").await?;
    let leased = bench.must_lease().await?;
    bench.store.fail(&leased.lease, &trouble(FailureKind::Private), Duration::ZERO).await?;
    let second = order("b", "https://example.com/v");
    accepted(bench.store.submit(&second).await?, second.ticket);
    assert_eq!((bench.kind(first).await?, bench.kind(second.ticket).await?), (StateKind::Failed, StateKind::Failed));
    assert!(bench.lease().await?.is_none(), "the site is not asked again");
    accepted(bench.store.resubmit(&second).await?, second.ticket);
    let leased = bench.must_lease().await?;
    bench.store.fail(&leased.lease, &trouble(FailureKind::Network), Duration::ZERO).await?;
    bench.end_delays().await?;
    let leased = bench.must_lease().await?;
    bench.store.fail(&leased.lease, &trouble(FailureKind::Network), Duration::ZERO).await?;
    let third = bench.submit("c", "https://example.com/v").await?;
    assert_eq!(bench.kind(third).await?, StateKind::Queued, "what only failed for now is tried anew");
    Ok(())
}

#[tokio::test]
async fn a_clients_rate_holds_over_all_processes_and_shrinks_again() -> Result<()> {
    let bench = Bench::new().await?;
    let other = JobStore::new(bench.redis.server(2)?, bench.settings);
    let rate = |text: &str| text.parse().map_err(|fault| anyhow::anyhow!("{fault}"));
    let limits =
        ClientLimits { max_queued: None, max_running: None, weight: 1, rate: Some(rate("3/m")?), bytes_per_day: None };
    let paced = |n: u32| Submission { limits, ..order("a", &format!("https://example.com/{n}")) };
    for (n, store) in [&bench.store, &other, &bench.store].into_iter().enumerate() {
        let order = paced(u32::try_from(n)?);
        accepted(store.submit(&order).await?, order.ticket);
    }
    let Submitted::RateLimited { retry_after } = other.submit(&paced(3)).await? else { panic!("three a minute") };
    assert!((Duration::from_secs(10)..=Duration::from_secs(20)).contains(&retry_after), "{retry_after:?}");
    bench.submit("b", "https://example.com/4").await?;
    let limits = ClientLimits { rate: Some(rate("60000/m")?), ..limits };
    let quick = Submission { limits, ..order("a", "https://example.com/5") };
    accepted(other.submit(&quick).await?, quick.ticket);
    Ok(())
}

#[tokio::test]
async fn an_order_of_a_newer_version_is_handed_back_and_done_by_who_knows_it() -> Result<()> {
    let bench = Bench::new().await?;
    let ticket = bench.submit("a", "https://example.com/v").await?;
    let leased = bench.must_lease().await?;
    let key = format!("haul1:{{0}}:j:{}", leased.lease.job);
    let mut connection = bench.redis.connection().await?;
    let spec: String = redis::cmd("HGET").arg(&key).arg("spec").query_async(&mut connection).await?;
    let mut rewrite = async |text: &str| -> Result<()> {
        Ok(redis::cmd("HSET").arg(&key).arg("spec").arg(text).query_async(&mut connection).await?)
    };
    rewrite(&spec.replace(r#""v":1"#, r#""v":99"#)).await?;
    bench.store.release(&leased.lease).await?;
    let newer = bench.must_lease().await?;
    assert!(newer.spec.is_none());
    bench.store.defer(&newer.lease, MINUTE).await?;
    assert_eq!((bench.kind(ticket).await?, bench.job(ticket).await?.attempt), (StateKind::Waiting, 0));
    rewrite(&spec).await?;
    bench.end_delays().await?;
    assert!(bench.must_lease().await?.spec.is_some());
    Ok(())
}

#[tokio::test]
async fn thousands_of_delays_that_end_together_are_all_over_at_once() -> Result<()> {
    let bench = Bench::new().await?;
    for n in 0..1_000 {
        bench.submit("a", &format!("https://example.com/{n}")).await?;
    }
    let mut claims = bench.claims();
    for _ in 0..10 {
        for leased in claims.take(100).await? {
            bench.store.defer(&leased.lease, MINUTE).await?;
        }
    }
    assert!(bench.lease().await?.is_none());
    bench.end_delays().await?;
    let mut taken = 0;
    while taken < 1_000 {
        let jobs = claims.take(100).await?;
        assert!(!jobs.is_empty(), "{taken} of 1000");
        taken += jobs.len();
    }
    Ok(())
}

#[tokio::test]
async fn whoever_waits_for_jobs_ends_delays_itself_and_does_not_ask_in_between() -> Result<()> {
    let bench = Bench::new().await?;
    let ticket = bench.submit("a", "https://example.com/v").await?;
    let leased = bench.must_lease().await?;
    bench.store.defer(&leased.lease, Duration::from_millis(300)).await?;
    let mut claims = bench.claims();
    let mut calls = 0;
    while claims.take(1).await?.is_empty() {
        claims.wait().await?;
        calls += 1;
    }
    assert!(calls <= 3, "{calls} calls for one delay");
    assert_eq!(bench.kind(ticket).await?, StateKind::Running);
    Ok(())
}

/// An idle worker slept for a minute over a retry that was due after a tenth of a second, unless an API looked.
#[tokio::test]
async fn who_sleeps_without_work_hears_of_a_delay_that_ends_before() -> Result<()> {
    let bench = Bench::new().await?;
    bench.submit("a", "https://example.com/v").await?;
    let leased = bench.must_lease().await?;
    let mut claims = bench.claims();
    assert!(claims.take(1).await?.is_empty());
    let again = async {
        loop {
            claims.wait().await?;
            if let Some(leased) = claims.take(1).await?.pop() {
                return anyhow::Ok(leased);
            }
        }
    };
    let trouble = trouble(FailureKind::Network);
    let failed = bench.store.fail(&leased.lease, &trouble, Duration::from_millis(100));
    let (failed, again) = tokio::join!(failed, tokio::time::timeout(Duration::from_secs(40), again));
    assert_eq!((failed?, again??.attempt), (Ended::Waiting, 2));
    Ok(())
}

#[tokio::test]
async fn who_has_fewer_slots_when_it_asks_again_is_given_no_more_jobs_than_that() -> Result<()> {
    // A worker that had filled its slots from another shard meanwhile was given all jobs of the lost answer, and then
    // asked for a negative number of them.
    let bench = Bench::new().await?;
    assert!(bench.lease().await?.is_none());
    for n in 0..3 {
        bench.submit("a", &format!("https://example.com/{n}")).await?;
    }
    let wire = Proxy::to_redis(bench.redis.address()).await;
    let store = JobStore::new(Server::at(&wire.redis_url(), 2)?, bench.settings);
    let mut claims = store.claims(&bench.worker, Kind::Download, &["default".parse().unwrap()]);
    // more than one call is sent again
    (0..8).for_each(|_| wire.lose(Asked::Command("EVALSHA"), 0, Loss::Closed));
    assert!(claims.take(3).await.is_err());
    assert_eq!(bench.traces().await?[0], 3, "they were given, and nobody knows");
    let jobs = loop {
        if let Ok(jobs) = claims.take(1).await {
            break jobs;
        }
    };
    assert_eq!(jobs.len(), 1);
    assert_eq!(bench.traces().await?[0], 1, "the others went back");
    let others = bench.claims().take(3).await?;
    assert_eq!(others.iter().map(|leased| leased.attempt).collect::<Vec<_>>(), [1, 1], "and no attempt was spent");
    Ok(())
}

#[tokio::test]
async fn time_goes_on_when_the_clock_is_set_back() -> Result<()> {
    // A replica with an earlier clock took over: until that had caught up nothing became due, and whoever waited asked
    // a hundred times a second.
    let bench = Bench::new().await?;
    let ticket = bench.submit("a", "https://example.com/v").await?;
    let leased = bench.must_lease().await?;
    let later = jiff::Timestamp::now().as_millisecond() + 3_600_000;
    let mut connection = bench.redis.connection().await?;
    redis::cmd("SET").arg("haul1:{0}:tended").arg(later).query_async::<()>(&mut connection).await?;
    bench.store.defer(&leased.lease, Duration::from_millis(100)).await?;
    let mut claims = bench.claims();
    for _ in 0..5 {
        if !claims.take(1).await?.is_empty() {
            break;
        }
        claims.wait().await?;
    }
    assert_eq!(bench.kind(ticket).await?, StateKind::Running);
    Ok(())
}

#[tokio::test]
async fn a_rate_beyond_all_measure_lets_everything_in() -> Result<()> {
    // Less than a microsecond for each: Redis refused to keep that for no time at all, and every submission failed.
    let bench = Bench::new().await?;
    let rate = "4000000000/s".parse().map_err(|fault| anyhow::anyhow!("{fault}"))?;
    let limits = ClientLimits { max_queued: None, max_running: None, weight: 1, rate: Some(rate), bytes_per_day: None };
    for n in 0..3 {
        let order = Submission { limits, ..order("a", &format!("https://example.com/{n}")) };
        accepted(bench.store.submit(&order).await?, order.ticket);
    }
    Ok(())
}
