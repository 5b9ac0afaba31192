//! Each script in turn loses one answer: what comes of it all is what comes of it when none is lost.

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use haul_shared::redis::Server;
use haul_tests::proxy::{Asked, Loss, Proxy};

use super::*;

/// Every script that a call of the store may have to send again.
const SCRIPTS: [&str; 12] = [
    "submit",
    "promise",
    "look",
    "lease",
    "heartbeat",
    "reserve",
    "complete",
    "fail",
    "release",
    "defer",
    "cancel",
    "forget",
];

#[tokio::test]
async fn no_answer_that_is_lost_changes_what_comes_of_it_all() -> Result<()> {
    let expected = lives(None).await?;
    let losses = SCRIPTS.into_iter().flat_map(|script| [Loss::Closed, Loss::Silent].map(|loss| (script, loss)));
    let runs = losses.map(|lost| async move {
        let mut outcome = lives(Some(lost)).await;
        // a call is sent again within four seconds, of which silence takes three: a machine that stands still for the
        // fourth is not what is tried here
        for _ in 0..2 {
            if outcome.is_err() {
                outcome = lives(Some(lost)).await;
            }
        }
        anyhow::Ok((lost, outcome.with_context(|| format!("{lost:?}"))?))
    });
    let outcomes: Vec<_> = futures::stream::iter(runs).buffer_unordered(8).try_collect().await?;
    for (lost, outcome) in outcomes {
        assert_eq!(outcome, expected, "{lost:?}");
    }
    Ok(())
}

/// Lives of some jobs, with every script in them, over a wire that loses an answer; and all that is left of them.
async fn lives(lost: Option<(&'static str, Loss)>) -> Result<Vec<String>> {
    let mut bench = Bench::new().await?;
    let wire = Proxy::to_redis(bench.redis.address()).await;
    let over_the_wire = JobStore::new(Server::at(&wire.redis_url(), 4)?, bench.settings);
    let direct = std::mem::replace(&mut bench.store, over_the_wire);
    if let Some((script, loss)) = lost {
        wire.lose(Asked::Script(script), 0, loss);
    }
    let store = &bench.store;
    // completed, for two, and forgotten by one of them
    let (a, b) = (bench.submit("a", "https://example.com/1").await?, bench.submit("b", "https://example.com/1").await?);
    let mut claims = bench.claims();
    let leased = claims.take(1).await?.pop().expect("a job");
    // an unanswered beat is not sent again: the next one comes in a second, and does the same
    let pulses = match store.heartbeat(&[beat(&leased, 30.0)]).await {
        Ok(pulses) => pulses,
        Err(_) => store.heartbeat(&[beat(&leased, 30.0)]).await?,
    };
    assert_eq!(pulses, [Some(Pulse::Ok)]);
    assert_eq!(store.reserve(&leased.lease, &artifact(&leased).object).await?, Pulse::Ok);
    assert_eq!(store.complete(&leased.lease, &artifact(&leased), &[("download", MINUTE)]).await?, Done::Completed);
    assert!(store.forget(b).await?);
    // handed back, put off, tried again, failed for good, and begun anew under its ticket
    let order = order("a", "https://example.com/2");
    store.submit(&order).await?;
    let leased = claims.take(1).await?.pop().expect("a job");
    store.release(&leased.lease).await?;
    let leased = claims.take(1).await?.pop().expect("a job");
    store.defer(&leased.lease, MINUTE).await?;
    direct_end_of_delays(&bench, &direct).await?;
    for (kind, ended) in [(FailureKind::Network, Ended::Waiting), (FailureKind::Private, Ended::Failed)] {
        let leased = claims.take(1).await?.pop().expect("a job");
        assert_eq!(store.fail(&leased.lease, &trouble(kind), MINUTE).await?, ended);
        direct_end_of_delays(&bench, &direct).await?;
    }
    accepted(store.resubmit(&order).await?, order.ticket);
    // cancelled in line, and while it runs
    assert_eq!(store.cancel(order.ticket).await?, Cancelled::Now);
    let c = bench.submit("c", "https://example.com/3").await?;
    let leased = claims.take(1).await?.pop().expect("a job");
    assert_eq!(store.cancel(c).await?, Cancelled::Stopping);
    assert_eq!(store.fail(&leased.lease, &trouble(FailureKind::Internal), MINUTE).await?, Ended::Cancelled);
    // promised
    let promise = || Some(Idempotency { key: "k".into(), body_sha256: "b".into() });
    let one = Submission { idempotency: promise(), ..super::order("d", "https://example.com/4") };
    let again = Submission { idempotency: promise(), ..super::order("d", "https://example.com/4") };
    assert!(matches!(store.submit(&one).await?, Submitted::Accepted(job) if job.ticket == one.ticket));
    assert!(matches!(store.submit(&again).await?, Submitted::Replayed(job) if job.ticket == one.ticket));

    let mut left = Vec::new();
    for ticket in [a, order.ticket, c, one.ticket] {
        let job = bench.job(ticket).await?;
        left.push(format!("{:?}, attempt {}", job.state.kind(), job.attempt));
    }
    assert!(bench.store.get(b).await?.is_none());
    assert_eq!(wire.lost(), usize::from(lost.is_some()), "{lost:?}");
    left.push(format!("{:?}", bench.traces().await?));
    let mut connection = bench.redis.connection().await?;
    let mut counts: Vec<(String, i64)> =
        redis::cmd("HGETALL").arg("haul1:{0}:count").query_async(&mut connection).await?;
    counts.sort();
    left.push(format!("{counts:?}"));
    for list in ["ends", "time:wait", "time:download"] {
        let length: u64 = redis::cmd("LLEN").arg(format!("haul1:{{0}}:{list}")).query_async(&mut connection).await?;
        left.push(format!("{length} {list}"));
    }
    let wrong: Vec<String> =
        redis::Script::new(include_str!("audit.lua")).arg("haul1:{0}:").invoke_async(&mut connection).await?;
    left.extend(wrong);
    Ok(left)
}

/// Not over the wire: what looks after the queue comes again in a second, answered or not.
async fn direct_end_of_delays(bench: &Bench, direct: &JobStore) -> Result<()> {
    let mut connection = bench.redis.connection().await?;
    let waiting: Vec<String> =
        redis::cmd("ZRANGE").arg("haul1:{0}:delay").arg(0).arg(-1).query_async(&mut connection).await?;
    for job in waiting {
        redis::cmd("ZADD").arg("haul1:{0}:delay").arg(1).arg(job).query_async::<()>(&mut connection).await?;
    }
    Ok(direct.upkeep().await?)
}
