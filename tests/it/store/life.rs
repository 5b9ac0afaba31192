//! What may happen to a job, and who may do it.

use anyhow::Context as _;

use super::*;

#[tokio::test]
async fn a_job_goes_from_line_to_result_and_leaves_no_trace_of_work() -> Result<()> {
    let bench = Bench::new().await?;
    let ticket = bench.submit("a", "https://example.com/v").await?;
    assert_eq!(bench.job(ticket).await?.state, JobState::Queued { position: 1 });

    let leased = bench.must_lease().await?;
    assert_eq!((leased.attempt, leased.max_attempts), (1, 2));
    assert_eq!(bench.store.heartbeat(&[beat(&leased, 41.5)]).await?, [Some(Pulse::Ok)]);
    let running = bench.job(ticket).await?;
    assert_eq!(
        (running.state.kind(), running.progress.map(|progress| progress.percent)),
        (StateKind::Running, Some(41.5))
    );

    assert!(leased.waited < MINUTE);
    let made = artifact(&leased);
    assert_eq!(bench.store.reserve(&leased.lease, &made.object).await?, Pulse::Ok);
    assert_eq!(bench.store.complete(&leased.lease, &made, &[("download", MINUTE)]).await?, Done::Completed);
    assert_eq!(bench.store.complete(&leased.lease, &made, &[]).await?, Done::Completed, "an answer may be lost");
    let JobState::Completed { artifact, .. } = bench.job(ticket).await?.state else { panic!("not completed") };
    assert_eq!(artifact, made);
    assert_eq!(bench.traces().await?, [0; 6]);

    let stats = bench.store.stats().await?;
    assert_eq!((stats.jobs[&StateKind::Completed], stats.stored_bytes, stats.stored_objects), (1, 1000, 1));
    assert_eq!(stats.samples["download"], [60.0]);
    assert_eq!(stats.samples["wait"].len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_cannot_write_to_the_job() -> Result<()> {
    let bench = Bench::new().await?;
    let ticket = bench.submit("a", "https://example.com/v").await?;
    let stale = bench.must_lease().await?;
    bench.run_out(stale.lease.job).await?;
    bench.end_delays().await?;
    let fresh = bench.must_lease().await?;
    assert!(fresh.lease.fence > stale.lease.fence);
    assert_eq!(fresh.attempt, 1, "a lost worker is not a failed attempt");

    assert_eq!(bench.store.heartbeat(&[beat(&stale, 90.0)]).await?, [Some(Pulse::Lost)]);
    assert_eq!(bench.store.reserve(&stale.lease, &artifact(&stale).object).await?, Pulse::Lost);
    let late = bench.store.complete(&stale.lease, &artifact(&stale), &[]).await;
    assert!(matches!(late, Err(StoreError::LeaseLost)), "{late:?}");
    let late = bench.store.fail(&stale.lease, &trouble(FailureKind::Network), MINUTE).await;
    assert!(matches!(late, Err(StoreError::LeaseLost)), "{late:?}");
    bench.store.release(&stale.lease).await?;
    bench.store.defer(&stale.lease, MINUTE).await?;
    assert_eq!(bench.kind(ticket).await?, StateKind::Running);

    bench.store.complete(&fresh.lease, &artifact(&fresh), &[]).await?;
    let JobState::Completed { artifact: made, .. } = bench.job(ticket).await?.state else { panic!("not completed") };
    assert_eq!(made.object, artifact(&fresh).object);
    Ok(())
}

#[tokio::test]
async fn a_slow_owner_keeps_its_job_as_long_as_nobody_else_began() -> Result<()> {
    let bench = Bench::new().await?;
    let ticket = bench.submit("a", "https://example.com/v").await?;
    let slow = bench.must_lease().await?;
    bench.run_out(slow.lease.job).await?;
    assert_eq!(bench.kind(ticket).await?, StateKind::Waiting);
    assert_eq!(bench.store.heartbeat(&[beat(&slow, 50.0)]).await?, [Some(Pulse::Ok)]);
    assert_eq!((bench.kind(ticket).await?, bench.job(ticket).await?.attempt), (StateKind::Running, 1));
    bench.run_out(slow.lease.job).await?;
    assert_eq!(bench.store.complete(&slow.lease, &artifact(&slow), &[]).await?, Done::Completed);
    assert_eq!(bench.traces().await?, [0; 6]);
    Ok(())
}

#[tokio::test]
async fn an_owner_that_is_slow_again_and_again_does_not_count_as_dead() -> Result<()> {
    let bench = Bench::new().await?;
    let ticket = bench.submit("a", "https://example.com/v").await?;
    let slow = bench.must_lease().await?;
    for _ in 0..5 {
        bench.run_out(slow.lease.job).await?;
        assert_eq!(bench.store.heartbeat(&[beat(&slow, 50.0)]).await?, [Some(Pulse::Ok)]);
    }
    assert_eq!(bench.kind(ticket).await?, StateKind::Running);
    Ok(())
}

/// While Redis is away every lease runs out, whoever is alive.
#[tokio::test]
async fn no_lease_is_taken_back_right_after_a_time_in_which_nobody_looked() -> Result<()> {
    let bench = Bench::new().await?;
    let ticket = bench.submit("a", "https://example.com/v").await?;
    let leased = bench.must_lease().await?;
    let mut connection = bench.redis.connection().await?;
    bench.store.upkeep().await?;
    redis::cmd("SET").arg("haul1:{0}:tended").arg(1).query_async::<()>(&mut connection).await?;
    bench.run_out(leased.lease.job).await?;
    bench.run_out(leased.lease.job).await?;
    assert_eq!(bench.kind(ticket).await?, StateKind::Running);
    // A lone worker looks so seldom that every look comes after such a time: that one is not pardoned for ever.
    for key in ["haul1:{0}:amnesty", "haul1:{0}:tended"] {
        redis::cmd("SET").arg(key).arg(1).arg("KEEPTTL").query_async::<()>(&mut connection).await?;
    }
    bench.run_out(leased.lease.job).await?;
    assert_eq!(bench.kind(ticket).await?, StateKind::Waiting);
    Ok(())
}

#[tokio::test]
async fn a_job_that_takes_down_three_workers_has_failed_and_is_counted_once_by_who_found_out() -> Result<()> {
    let bench = Bench::new().await?;
    let other = JobStore::new(bench.redis.server(2)?, bench.settings);
    for is_found_by_who_asks_for_jobs in [false, true] {
        let ticket = bench.submit("a", &format!("https://example.com/{is_found_by_who_asks_for_jobs}")).await?;
        for lost in 1..=3 {
            bench.end_delays().await?;
            let job = bench.must_lease().await?.lease.job;
            if lost == 3 && is_found_by_who_asks_for_jobs {
                bench.let_run_out(job).await?;
                let mut claims = other.claims(&bench.worker, Kind::Download, &["default".parse()?]);
                assert!(claims.take(1).await?.is_empty());
            } else {
                bench.run_out(job).await?;
            }
        }
        let JobState::Failed { failure, .. } = bench.job(ticket).await?.state else { panic!("not failed") };
        assert_eq!((failure.kind, bench.job(ticket).await?.attempt), (FailureKind::WorkerLost, 1));
        let counted = (bench.store.failed_as_lost(), other.failed_as_lost());
        assert_eq!(counted, (1, u64::from(is_found_by_who_asks_for_jobs)));
    }
    assert_eq!(bench.traces().await?, [0; 6]);

    // no download, and in no metric
    let look = order("a", "https://example.com/look");
    let JobSpec::Download(spec) = &look.spec else { panic!("a download") };
    let spec = JobSpec::Metadata { url: spec.url.clone(), cookies: spec.cookies.clone(), first: 1 };
    let look = Submission { spec, ..look };
    accepted(bench.store.submit(&look).await?, look.ticket);
    for _ in 0..3 {
        bench.end_delays().await?;
        let mut claims = bench.store.claims(&bench.worker, Kind::Metadata, &["default".parse()?]);
        let taken = claims.take(1).await?.pop().context("a job")?;
        bench.run_out(taken.lease.job).await?;
    }
    assert_eq!((bench.kind(look.ticket).await?, bench.store.failed_as_lost()), (StateKind::Failed, 1));
    Ok(())
}

#[tokio::test]
async fn a_failure_is_tried_again_while_it_is_worth_it_and_attempts_are_left() -> Result<()> {
    let bench = Bench::new().await?;
    let ticket = bench.submit("a", "https://example.com/v").await?;
    let first = bench.must_lease().await?;
    let network = trouble(FailureKind::Network);
    assert_eq!(bench.store.fail(&first.lease, &network, MINUTE).await?, Ended::Waiting);
    assert!(matches!(bench.job(ticket).await?.state, JobState::Waiting { last: Some(last), .. } if last == network));
    // The heartbeat that was under way when the attempt ended must not bring it back.
    assert_eq!(bench.store.heartbeat(&[beat(&first, 50.0)]).await?, [Some(Pulse::Lost)]);
    assert!(bench.lease().await?.is_none(), "the delay is not over");
    bench.end_delays().await?;
    let second = bench.must_lease().await?;
    assert_eq!(second.attempt, 2);
    assert_eq!(bench.store.fail(&second.lease, &network, MINUTE).await?, Ended::Failed);

    let hopeless = bench.submit("a", "https://example.com/private").await?;
    let leased = bench.must_lease().await?;
    assert_eq!(bench.store.fail(&leased.lease, &trouble(FailureKind::Private), MINUTE).await?, Ended::Failed);
    assert_eq!(bench.kind(hopeless).await?, StateKind::Failed);
    assert_eq!(bench.traces().await?, [0; 6]);
    Ok(())
}

#[tokio::test]
async fn the_last_ticket_that_leaves_stops_the_run_and_only_the_last() -> Result<()> {
    let bench = Bench::new().await?;
    let a = bench.submit("a", "https://example.com/v").await?;
    let b = bench.submit("b", "https://example.com/v").await?;
    let leased = bench.must_lease().await?;
    assert_eq!(bench.store.cancel(a).await?, Cancelled::Now);
    assert_eq!((bench.kind(a).await?, bench.kind(b).await?), (StateKind::Cancelled, StateKind::Running));
    assert_eq!(bench.store.heartbeat(&[beat(&leased, 1.0)]).await?, [Some(Pulse::Ok)]);

    assert_eq!(bench.store.cancel(b).await?, Cancelled::Stopping);
    assert_eq!(bench.store.cancel(b).await?, Cancelled::Stopping, "again while it stops");
    assert_eq!(bench.store.heartbeat(&[beat(&leased, 1.0)]).await?, [Some(Pulse::Cancel)]);
    let c = bench.submit("c", "https://example.com/v").await?;
    assert_eq!(bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?, Done::Cancelled);
    assert_eq!(bench.kind(b).await?, StateKind::Cancelled);
    assert_eq!(bench.kind(c).await?, StateKind::Queued, "who asks anew has a run of their own");
    assert_eq!(bench.store.cancel(b).await?, Cancelled::AlreadyEnded);
    Ok(())
}

/// A stranger's ticket on the same run must not change what one's own shows.
#[tokio::test]
async fn a_ticket_that_let_go_shows_the_job_as_it_left_it() -> Result<()> {
    let bench = Bench::new().await?;
    let own = order("a", "https://example.com/v");
    bench.store.submit(&own).await?;
    let other = bench.submit("b", "https://example.com/v").await?;
    let leased = bench.must_lease().await?;
    bench.store.cancel(own.ticket).await?;
    let left = bench.job(own.ticket).await?;
    assert_eq!((left.state.kind(), left.attempt, left.max_attempts), (StateKind::Cancelled, 1, 2));

    bench.store.fail(&leased.lease, &trouble(FailureKind::Network), MINUTE).await?;
    bench.end_delays().await?;
    let leased = bench.must_lease().await?;
    bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
    assert_eq!(bench.job(own.ticket).await?, left, "the run went on without it");
    assert!(bench.store.forget(other).await?);
    assert_eq!(bench.job(own.ticket).await?, left, "the run is gone");
    accepted(bench.store.resubmit(&own).await?, own.ticket);
    assert_eq!((bench.kind(own.ticket).await?, bench.job(own.ticket).await?.attempt), (StateKind::Queued, 0));
    Ok(())
}

#[tokio::test]
async fn cancelling_in_line_is_immediate_and_a_retry_begins_anew_under_the_same_ticket() -> Result<()> {
    let bench = Bench::new().await?;
    let order = order("a", "https://example.com/v");
    bench.store.submit(&order).await?;
    assert_eq!(bench.store.resubmit(&order).await?, Submitted::NotRetryable);
    assert_eq!(bench.store.cancel(order.ticket).await?, Cancelled::Now);
    assert_eq!(bench.kind(order.ticket).await?, StateKind::Cancelled);
    assert!(bench.lease().await?.is_none());

    accepted(bench.store.resubmit(&order).await?, order.ticket);
    let leased = bench.must_lease().await?;
    bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?;
    assert_eq!(bench.kind(order.ticket).await?, StateKind::Completed);
    assert_eq!(bench.store.resubmit(&order).await?, Submitted::NotRetryable);
    assert_eq!(bench.listed(Scope::Everyone).await?.len(), 1, "one ticket, one row");
    Ok(())
}

#[tokio::test]
async fn an_idempotency_key_gives_one_ticket_to_one_body() -> Result<()> {
    let bench = Bench::new().await?;
    let promise = |body: &str| Some(Idempotency { key: "k".into(), body_sha256: body.into() });
    let first = Submission { idempotency: promise("b1"), ..order("a", "https://example.com/v") };
    let again = Submission { idempotency: promise("b1"), ..order("a", "https://example.com/v") };
    let other = Submission { idempotency: promise("b2"), ..order("a", "https://example.com/w") };
    let stranger = Submission { idempotency: promise("b2"), ..order("b", "https://example.com/w") };
    accepted(bench.store.submit(&first).await?, first.ticket);
    let answer = bench.store.submit(&again).await?;
    assert!(matches!(&answer, Submitted::Replayed(job) if job.ticket == first.ticket), "{answer:?}");
    assert_eq!(bench.store.submit(&other).await?, Submitted::IdempotencyConflict);
    accepted(bench.store.submit(&stranger).await?, stranger.ticket);
    Ok(())
}

/// Every action in every state: what the table does not allow changes nothing.
#[tokio::test]
async fn no_action_leaves_a_state_that_the_table_does_not_name() -> Result<()> {
    use haul_shared::job::{Action, Annotation};
    use haul_shared::store::Annotated;
    let may = |action: Action, state| ALLOWED.iter().any(|(known, from)| *known == action && from.contains(&state));
    for state in [StateKind::Completed, StateKind::Failed, StateKind::Cancelled] {
        let bench = Bench::new().await?;
        let ticket = bench.submit("a", "https://example.com/v").await?;
        let leased = bench.must_lease().await?;
        match state {
            StateKind::Completed => drop(bench.store.complete(&leased.lease, &artifact(&leased), &[]).await?),
            StateKind::Failed => {
                bench.store.fail(&leased.lease, &trouble(FailureKind::Private), MINUTE).await?;
            }
            _ => {
                bench.store.cancel(ticket).await?;
                bench.store.fail(&leased.lease, &trouble(FailureKind::Private), MINUTE).await?;
            }
        }
        assert_eq!(bench.kind(ticket).await?, state);
        let mut forged = leased.clone();
        for fence in [leased.lease.fence.0, leased.lease.fence.0 + 1] {
            forged.lease.fence = Fence(fence);
            bench.store.heartbeat(&[beat(&forged, 1.0)]).await?;
            bench.store.reserve(&forged.lease, &artifact(&forged).object).await?;
            bench.store.release(&forged.lease).await?;
            bench.store.defer(&forged.lease, MINUTE).await?;
            let _ = bench.store.fail(&forged.lease, &trouble(FailureKind::Network), MINUTE).await;
        }
        assert!(!may(Action::Heartbeat, state) && !may(Action::Fail, state) && !may(Action::Cancel, state));
        assert_eq!(bench.store.cancel(ticket).await?, Cancelled::AlreadyEnded);
        let noted =
            bench.store.annotate(ticket, &Annotation { rating: Some(Some(3)), ..Annotation::default() }).await?;
        assert_eq!(noted, if may(Action::Annotate, state) { Annotated::Done } else { Annotated::Unready });
        assert_eq!(bench.job(ticket).await?.library.rating.is_some(), may(Action::Annotate, state));
        bench.store.upkeep().await?;
        assert_eq!(bench.kind(ticket).await?, state);
        assert_eq!(bench.traces().await?, [0; 6]);
    }
    Ok(())
}

#[tokio::test]
async fn how_far_an_attempt_came_stays_with_who_gave_it_up() -> Result<()> {
    // A cancelled or failed job was shown at 0 %, so that percent fell within the attempt.
    let bench = Bench::new().await?;
    let (one, other) =
        (bench.submit("a", "https://example.com/v").await?, bench.submit("b", "https://example.com/v").await?);
    let leased = bench.must_lease().await?;
    let percent = async |ticket| anyhow::Ok(bench.job(ticket).await?.progress.map(|progress| progress.percent));
    bench.store.heartbeat(&[beat(&leased, 20.0)]).await?;
    assert_eq!(bench.store.cancel(one).await?, Cancelled::Now);
    bench.store.heartbeat(&[beat(&leased, 30.0)]).await?;
    assert_eq!((percent(one).await?, percent(other).await?), (Some(20.0), Some(30.0)), "it runs on for the other");
    bench.store.fail(&leased.lease, &Failure::new(FailureKind::Network, "reset"), Duration::ZERO).await?;
    assert_eq!(percent(other).await?, Some(30.0));
    bench.end_delays().await?;
    bench.must_lease().await?;
    assert_eq!(percent(other).await?, None, "a new attempt begins anew");
    Ok(())
}
