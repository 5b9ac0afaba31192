//! What becomes a client's own on a day, and what it has.

use haul_shared::ids::Shards;
use haul_shared::store::{Sorting, Usage};

use super::*;

async fn delivered(bench: &Bench, client_or_all: Option<&str>) -> Result<u64> {
    let scope = client_or_all.map_or(Scope::Everyone, |name| Scope::Client(client(name)));
    Ok(bench.store.delivered(&scope).await?.bytes)
}

#[tokio::test]
async fn a_result_becomes_the_own_of_each_who_holds_a_ticket_and_counts_once_for_each() -> Result<()> {
    let bench = Bench::new().await?;
    let url = "https://example.com/v";
    for name in ["a", "a", "b", "b", "gone"] {
        let ticket = bench.submit(name, url).await?;
        if name == "gone" {
            assert_eq!(bench.store.cancel(ticket).await?, Cancelled::Now);
        }
    }
    let leased = bench.must_lease().await?;
    assert_eq!(delivered(&bench, None).await?, 0, "nothing is there before it is completed");
    for _ in 0..2 {
        assert_eq!(bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?, Done::Completed);
        for (name, bytes) in [(Some("a"), 1000), (Some("b"), 1000), (Some("gone"), 0), (Some("late"), 0), (None, 1000)]
        {
            assert_eq!(delivered(&bench, name).await?, bytes, "{name:?}");
        }
    }
    for name in ["late", "late", "a"] {
        let late = order(name, url);
        for _ in 0..2 {
            reused(bench.store.submit(&late).await?, late.ticket);
        }
        assert_eq!(delivered(&bench, Some(name)).await?, 1000, "{name}");
    }
    assert_eq!(delivered(&bench, None).await?, 1000, "it was made once");
    bench.recount().await
}

#[tokio::test]
async fn who_leaves_a_run_to_another_is_not_charged_for_it_and_who_comes_back_is() -> Result<()> {
    let bench = Bench::new().await?;
    let url = "https://example.com/v";
    let owner = bench.submit("owner", url).await?;
    bench.submit("heir", url).await?;
    assert_eq!(bench.store.cancel(owner).await?, Cancelled::Now);
    let leased = bench.must_lease().await?;
    bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
    assert_eq!((delivered(&bench, Some("owner")).await?, delivered(&bench, Some("heir")).await?), (0, 1000));
    let again = Submission { ticket: owner, ..order("owner", url) };
    reused(bench.store.resubmit(&again).await?, owner);
    assert_eq!(delivered(&bench, Some("owner")).await?, 1000);
    Ok(())
}

#[tokio::test]
async fn a_day_has_its_own_count_and_ends_at_midnight() -> Result<()> {
    let bench = Bench::new().await?;
    bench.submit("a", "https://example.com/v").await?;
    let leased = bench.must_lease().await?;
    bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
    let today = bench.store.delivered(&Scope::Client(client("a"))).await?;
    assert_eq!((today.bytes, today.resets.as_second() % 86_400), (1000, 0));
    assert!(today.at < today.resets && today.until_reset() <= MINUTE * 60 * 24, "{today:?}");

    // as if it had been yesterday
    let mut connection = bench.redis.connection().await?;
    let day = |number: i64| format!("haul1:{{0}}:day:{number}");
    let number = today.resets.as_second() / 86_400 - 1;
    let _renamed: String =
        redis::cmd("RENAME").arg(day(number)).arg(day(number - 1)).query_async(&mut connection).await?;
    assert_eq!(delivered(&bench, Some("a")).await?, 0);
    bench.recount().await
}

#[tokio::test]
async fn a_client_that_has_had_its_bytes_orders_nothing_more_on_whichever_shard() -> Result<()> {
    let bench = Bench::with(|settings| settings.shards = Shards::new(4).unwrap()).await?;
    let limited = |url: &str| {
        let limits = ClientLimits { bytes_per_day: Some(4000), ..order("a", url).limits };
        let order = Submission { limits, ..order("a", url) };
        Submission { ticket: bench.store.draw(&order.spec, &order.region), ..order }
    };
    // more than it may have is under way before the first is there: all of it goes on
    let orders: Vec<Submission> = (0..12).map(|n| limited(&format!("https://example.com/{n}"))).collect();
    for order in &orders {
        accepted(bench.store.submit(order).await?, order.ticket);
    }
    let promised = |key: u32| {
        let idempotency = Some(Idempotency { key: key.to_string(), body_sha256: "0".into() });
        Submission { idempotency, ..limited("https://example.com/next") }
    };
    let mut claims = bench.claims();
    for finished in 0..12 {
        let next = promised(finished);
        match bench.store.submit(&next).await? {
            Submitted::Accepted(_) if finished < 4 => {
                assert_eq!(bench.store.cancel(next.ticket).await?, Cancelled::Now);
            }
            Submitted::QuotaSpent { retry_after } if finished >= 4 => assert!(retry_after <= MINUTE * 60 * 24),
            told => panic!("{told:?} after {finished}"),
        }
        let leased = claims.take(1).await?.pop().expect("a job");
        bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
    }
    assert_eq!(delivered(&bench, Some("a")).await?, 12_000);

    // what it was promised before is still shown, and nothing is handed out, nor tried again
    let early = bench.store.submit(&promised(0)).await?;
    let Submitted::Replayed(job) = &early else { panic!("{early:?}") };
    let again = Submission { ticket: job.ticket, ..limited("https://example.com/next") };
    assert!(matches!(bench.store.resubmit(&again).await?, Submitted::QuotaSpent { .. }));
    let finished = Submission { ticket: orders[0].ticket, ..limited("https://example.com/0") };
    assert_eq!(bench.store.resubmit(&finished).await?, Submitted::NotRetryable);
    let there = limited("https://example.com/1");
    assert!(matches!(bench.store.submit(&there).await?, Submitted::QuotaSpent { .. }));
    let unlimited =
        Submission { limits: ClientLimits { bytes_per_day: None, ..there.limits }, client: client("b"), ..there };
    reused(bench.store.submit(&unlimited).await?, unlimited.ticket);
    Ok(())
}

#[tokio::test]
async fn usage_is_what_a_list_shows_each_ticket_by_its_state_and_each_result_once() -> Result<()> {
    let bench = Bench::with(|settings| settings.shards = Shards::new(3).unwrap()).await?;
    let mut claims = bench.claims();
    let of = |url: &str, name: &str| {
        let order = order(name, url);
        Submission { ticket: bench.store.draw(&order.spec, &order.region), ..order }
    };
    let mut tickets = Vec::new();
    for n in 0..240 {
        // every fourth shares the run of the one before it
        let order = of(&format!("https://example.com/{}", n - n % 4 / 3), if n % 60 == 7 { "b" } else { "a" });
        accepted(bench.store.submit(&order).await?, order.ticket);
        tickets.push(order.ticket);
    }
    for n in 0..80 {
        let leased = claims.take(1).await?.pop().expect("a job");
        match n % 4 {
            0 => drop(bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?),
            1 => drop(bench.store.fail(&leased.lease, &trouble(FailureKind::Private), Duration::ZERO).await?),
            2 => drop(bench.store.fail(&leased.lease, &trouble(FailureKind::Network), MINUTE).await?),
            _ => {}
        }
    }
    for ticket in tickets.iter().step_by(5) {
        bench.store.cancel(*ticket).await?;
    }

    for scope in [Scope::Everyone, Scope::Client(client("a")), Scope::Client(client("b")), Scope::Client(client("c"))] {
        let Usage { jobs, stored_bytes, .. } = bench.store.usage(&scope).await?;
        let listed = bench.store.list(scope.clone(), Sorting::default(), None).await?.next(1000).await?;
        let mut expected = std::collections::BTreeMap::new();
        let mut results = std::collections::HashSet::new();
        for (_, job) in &listed {
            *expected.entry(job.state.kind()).or_default() += 1;
            if let JobState::Completed { artifact, .. } = &job.state {
                results.insert(artifact.object.clone());
            }
        }
        assert_eq!((jobs, stored_bytes), (expected, results.len() as u64 * 1000), "{scope:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_can_no_more_be_fetched_is_not_stored_for_its_client() -> Result<()> {
    let bench = Bench::new().await?;
    let brief = Submission { expires_in: Duration::ZERO, ..order("a", "https://example.com/v") };
    accepted(bench.store.submit(&brief).await?, brief.ticket);
    bench.submit("b", "https://example.com/v").await?;
    let leased = bench.must_lease().await?;
    bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
    for (name, state, bytes) in [("a", StateKind::Expired, 0), ("b", StateKind::Completed, 1000)] {
        let usage = bench.store.usage(&Scope::Client(client(name))).await?;
        assert_eq!((usage.jobs, usage.stored_bytes), ([(state, 1)].into(), bytes), "{name}");
        assert_eq!(usage.delivered.bytes, 1000, "{name}");
    }
    Ok(())
}
