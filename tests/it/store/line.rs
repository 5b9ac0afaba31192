//! Who is served when: single flight, turns, limits, lists, and who hears of it.

use super::*;

#[tokio::test]
async fn a_hundred_identical_orders_are_one_run_with_a_hundred_tickets() -> Result<()> {
    let bench = Bench::new().await?;
    let orders: Vec<Submission> =
        (0..100).map(|n| order(&format!("client {}", n % 7), "https://example.com/v")).collect();
    let answers = futures::future::join_all(orders.iter().map(|order| bench.store.submit(order))).await;
    for (order, answer) in orders.iter().zip(answers) {
        accepted(answer?, order.ticket);
    }
    let leased = bench.must_lease().await?;
    assert!(bench.lease().await?.is_none(), "there is one run only");
    bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
    for order in &orders {
        assert_eq!(bench.kind(order.ticket).await?, StateKind::Completed);
    }
    let late = order("late", "https://example.com/v");
    reused(bench.store.submit(&late).await?, late.ticket);
    assert_eq!(bench.traces().await?, [0; 6]);
    Ok(())
}

#[tokio::test]
async fn a_full_queue_and_a_full_share_are_told_apart() -> Result<()> {
    let bench = Bench::with(|settings| settings.queue_limit = Some(3)).await?;
    let small = |url: &str| Submission {
        limits: ClientLimits { max_queued: Some(2), max_running: None, weight: 1, rate: None, bytes_per_day: None },
        ..order("a", url)
    };
    for n in 0..2 {
        bench.store.submit(&small(&format!("https://example.com/{n}"))).await?;
    }
    let answer = bench.store.submit(&small("https://example.com/2")).await?;
    assert!(matches!(answer, Submitted::ClientQueueFull { retry_after } if retry_after >= Duration::from_secs(4)));
    bench.submit("b", "https://example.com/3").await?;
    let answer = bench.store.submit(&order("c", "https://example.com/4")).await?;
    assert!(matches!(answer, Submitted::QueueFull { .. }), "{answer:?}");
    // A running job waits no more: there is room again.
    bench.must_lease().await?;
    bench.must_lease().await?;
    assert!(matches!(bench.store.submit(&small("https://example.com/5")).await?, Submitted::Accepted(_)));
    Ok(())
}

#[tokio::test]
async fn clients_take_turns_and_one_at_its_limit_is_passed_over() -> Result<()> {
    let bench = Bench::new().await?;
    let greedy = |n: u32| Submission {
        limits: ClientLimits { max_queued: None, max_running: Some(2), weight: 1, rate: None, bytes_per_day: None },
        ..order("greedy", &format!("https://example.com/{n}"))
    };
    for n in 0..5 {
        bench.store.submit(&greedy(n)).await?;
    }
    let first = bench.must_lease().await?;
    let small = bench.submit("small", "https://example.com/s").await?;
    assert_eq!(bench.job(small).await?.state, JobState::Queued { position: 1 }, "four others came before it");
    bench.must_lease().await?;
    assert_eq!(bench.kind(small).await?, StateKind::Running);
    bench.must_lease().await?;
    assert!(bench.lease().await?.is_none(), "two of its jobs run, that is its limit");
    bench.store.release(&first.lease).await?;
    assert_eq!(bench.must_lease().await?.lease.job, first.lease.job, "a released job goes first");
    Ok(())
}

#[tokio::test]
async fn a_raised_limit_counts_at_once_and_one_who_joins_has_one_too() -> Result<()> {
    let bench = Bench::new().await?;
    let limited = |client: &str, max_running, url: &str| Submission {
        limits: ClientLimits {
            max_queued: None,
            max_running: Some(max_running),
            weight: 1,
            rate: None,
            bytes_per_day: None,
        },
        ..order(client, &format!("https://example.com/{url}"))
    };
    for url in ["1", "2"] {
        bench.store.submit(&limited("a", 1, url)).await?;
    }
    bench.must_lease().await?;
    assert!(bench.lease().await?.is_none(), "it runs as much as it may");
    bench.store.submit(&limited("a", 2, "2")).await?;
    bench.must_lease().await?;

    for url in ["3", "4"] {
        bench.store.submit(&limited("a", 2, url)).await?;
        bench.store.submit(&limited("b", 1, url)).await?;
    }
    bench.must_lease().await?;
    assert!(bench.lease().await?.is_none(), "b runs one, and a two");
    Ok(())
}

#[tokio::test]
async fn a_look_at_metadata_does_not_stand_behind_the_same_clients_downloads() -> Result<()> {
    let bench = Bench::new().await?;
    let limits = ClientLimits { max_queued: Some(1), max_running: Some(1), weight: 1, rate: None, bytes_per_day: None };
    let download = Submission { limits, ..order("a", "https://example.com/v") };
    bench.store.submit(&download).await?;
    bench.must_lease().await?;
    bench.store.submit(&Submission { limits, ..order("a", "https://example.com/w") }).await?;
    let JobSpec::Download(spec) = &download.spec else { panic!("a download") };
    let look = Submission {
        limits,
        spec: JobSpec::Metadata { url: spec.url.clone(), cookies: spec.cookies.clone(), first: 1 },
        ..order("a", "https://example.com/v")
    };
    accepted(bench.store.submit(&look).await?, look.ticket);
    let mut claims = bench.store.claims(&bench.worker, Kind::Metadata, &["default".parse()?]);
    assert_eq!(claims.take(1).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn joining_a_long_backlog_does_not_inherit_it() -> Result<()> {
    let bench = Bench::new().await?;
    for n in 0..1000 {
        bench.submit("backlog", &format!("https://example.com/{n}")).await?;
    }
    let joined = bench.submit("newcomer", "https://example.com/999").await?;
    bench.must_lease().await?;
    bench.must_lease().await?;
    assert_eq!(bench.kind(joined).await?, StateKind::Running);
    Ok(())
}

#[tokio::test]
async fn a_job_that_outlives_its_time_in_line_expires() -> Result<()> {
    let bench = Bench::with(|settings| settings.job_ttl = Duration::from_millis(1)).await?;
    let order = order("a", "https://example.com/v");
    bench.store.submit(&order).await?;
    // The ticket, too, lived two milliseconds: what must be left is nothing.
    bench.store.upkeep().await?;
    while bench.store.get(order.ticket).await?.is_some() {
        bench.store.upkeep().await?;
    }
    assert!(bench.lease().await?.is_none());
    assert_eq!(bench.traces().await?, [0; 6]);
    Ok(())
}

#[tokio::test]
async fn lists_are_newest_first_per_client_and_page_without_gap() -> Result<()> {
    let bench = Bench::new().await?;
    let mut tickets = Vec::new();
    for n in 0..45 {
        tickets.push(bench.submit(if n % 3 == 0 { "a" } else { "b" }, &format!("https://example.com/{n}")).await?);
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = bench.store.list(Scope::Everyone, Sorting::default(), after).await?.next(7).await?;
        seen.extend(page.iter().map(|(_, job)| job.ticket));
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
    }
    assert_eq!(seen.len(), 45);
    let unique: std::collections::HashSet<_> = seen.iter().collect();
    assert_eq!(unique.len(), 45);
    assert_eq!(bench.listed(Scope::Client(client("a"))).await?.len(), 15);
    Ok(())
}

#[tokio::test]
async fn a_watcher_hears_of_a_change_made_by_another_process() -> Result<()> {
    let bench = Bench::new().await?;
    let ticket = bench.submit("a", "https://example.com/v").await?;
    let mut watch = bench.store.watch(ticket).await?.expect("there is such a job");
    let leased = bench.must_lease().await?;
    watch.changed().await;
    assert_eq!(bench.kind(ticket).await?, StateKind::Running);
    bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
    while bench.kind(ticket).await? != StateKind::Completed {
        watch.changed().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_watch_follows_the_job_that_is_tried_again() -> Result<()> {
    let bench = Bench::new().await?;
    let order = order("a", "https://example.com/v");
    accepted(bench.store.submit(&order).await?, order.ticket);
    let mut watch = bench.store.watch(order.ticket).await?.expect("it is known");
    let first = bench.must_lease().await?;
    bench.store.fail(&first.lease, &trouble(FailureKind::Private), MINUTE).await?;
    accepted(bench.store.resubmit(&order).await?, order.ticket);
    let seen = bench.store.look_watched(&mut watch).await?.expect("it is known").job()?;
    assert_eq!(seen.state.kind(), StateKind::Queued);
    // a watch that listens to the first run hears nothing of the second
    let second = bench.must_lease().await?;
    assert_ne!(first.lease.job, second.lease.job);
    tokio::time::timeout(Duration::from_secs(4), watch.changed()).await?;
    let seen = bench.store.look_watched(&mut watch).await?.expect("it is known").job()?;
    assert_eq!(seen.state.kind(), StateKind::Running);
    Ok(())
}

#[tokio::test]
async fn a_waiting_worker_is_woken_by_a_submission() -> Result<()> {
    let bench = Bench::new().await?;
    let mut claims = bench.claims();
    assert!(claims.take(1).await?.is_empty());
    let waiting = tokio::spawn(async move { claims.wait().await });
    bench.submit("a", "https://example.com/v").await?;
    waiting.await??;
    assert!(bench.lease().await?.is_some());
    Ok(())
}

#[tokio::test]
async fn looks_of_one_moment_share_a_call_and_see_all_that_was_done_before_them() -> Result<()> {
    let bench = Bench::new().await?;
    let mut tickets = Vec::new();
    for n in 0..3 {
        tickets.push(bench.submit("a", &format!("https://example.com/{n}")).await?);
    }
    let unknown = bench.store.draw(&order("a", "https://example.com/0").spec, &"default".parse()?);
    bench.kind(tickets[0]).await?;

    // scripts, and the questions for versions, of which each script asks one too
    let calls = async || {
        let (scripts, versions) = (bench.redis.carried_out("evalsha"), bench.redis.carried_out("bitfield_ro"));
        anyhow::Ok(scripts.await? + versions.await?)
    };
    let before = calls().await?;
    let asked = (0..400).map(|n| (n, tickets.get(n % 4).copied().unwrap_or(unknown)));
    let looks = futures::future::join_all(asked.map(async |(n, ticket)| (n, bench.store.get(ticket).await))).await;
    assert!(calls().await? - before <= 20, "four hundred looks at four tickets");
    for (n, job) in looks {
        let expected = (n % 4 < 3).then(|| JobState::Queued { position: n as u64 % 4 + 1 });
        assert_eq!(job?.map(|job| job.state), expected, "{n}");
    }

    // others look all the time; nobody is told what was true before they asked
    let others = async {
        loop {
            futures::future::join_all(tickets.iter().map(|ticket| bench.store.get(*ticket))).await;
        }
    };
    let one = async {
        for ticket in &tickets {
            bench.store.cancel(*ticket).await?;
            assert_eq!(bench.kind(*ticket).await?, StateKind::Cancelled);
        }
        anyhow::Ok(())
    };
    tokio::select! {
        () = others => unreachable!("they never end"),
        done = one => done,
    }
}

/// A client's queue stayed full of jobs that it had taken back, and its turns went to them.
#[tokio::test]
async fn a_job_that_its_owner_gave_back_is_counted_against_one_who_still_wants_it() -> Result<()> {
    let bench = Bench::new().await?;
    let own = |url: &str| Submission {
        limits: ClientLimits { max_queued: Some(1), max_running: None, weight: 1, rate: None, bytes_per_day: None },
        ..order("a", &format!("https://example.com/{url}"))
    };
    let first = own("1");
    accepted(bench.store.submit(&first).await?, first.ticket);
    let shared = bench.submit("b", "https://example.com/1").await?;
    assert!(matches!(bench.store.submit(&own("2")).await?, Submitted::ClientQueueFull { .. }));
    assert_eq!(bench.store.cancel(first.ticket).await?, Cancelled::Now);
    let second = own("2");
    accepted(bench.store.submit(&second).await?, second.ticket);
    for _ in 0..2 {
        let leased = bench.must_lease().await?;
        bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
    }
    assert_eq!(bench.kind(shared).await?, StateKind::Completed);
    assert_eq!(bench.traces().await?, [0; 6]);
    Ok(())
}
