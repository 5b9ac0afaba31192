//! Each script in turn loses one answer: what comes of it all is what comes of it when none is lost.

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use haul_shared::job::Annotation;
use haul_shared::redis::Server;
use haul_shared::store::{Annotated, Progressed, Redelivered, Swept, Then, Told};
use haul_shared::webhook::Secrets;
use haul_tests::proxy::{Asked, Loss, Proxy};

use super::*;

/// Every script that a call of the store may have to send again.
const SCRIPTS: [&str; 20] = [
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
    "thumbnail",
    "annotate",
    "collect",
    "sign_off",
    "sweep",
    "told",
    "redeliver",
    "rotate",
];

#[test]
fn every_script_is_tried_with_its_answer_lost_or_says_what_a_second_call_does() -> Result<()> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/shared/src/store/lua");
    let (mut known, mut silent) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).context("a name")?.to_owned();
        let text = std::fs::read_to_string(&path)?;
        let contract: Vec<&str> = text.lines().take_while(|line| line.starts_with("-- ")).collect();
        let contract = contract.join(" ");
        let says = ["Changes nothing", "Called twice", "A part of other scripts", "What every script shares"];
        if !SCRIPTS.contains(&name.as_str()) && !says.iter().any(|words| contract.contains(words)) {
            silent.push(name.clone());
        }
        known.push(name);
    }
    assert_eq!(silent, [""; 0]);
    assert!(SCRIPTS.iter().all(|script| known.iter().any(|name| name == script)), "{known:?}");
    Ok(())
}

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
    let mut left = comforts(&bench, &direct).await?;
    // promised
    let promise = || Some(Idempotency { key: "k".into(), body_sha256: "b".into() });
    let one = Submission { idempotency: promise(), ..super::order("d", "https://example.com/4") };
    let again = Submission { idempotency: promise(), ..super::order("d", "https://example.com/4") };
    assert!(matches!(store.submit(&one).await?, Submitted::Accepted(job) if job.ticket == one.ticket));
    assert!(matches!(store.submit(&again).await?, Submitted::Replayed(job) if job.ticket == one.ticket));

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

/// What there is beside the queue: what holders keep, who is told of an end, and the looks for what is to be removed.
async fn comforts(bench: &Bench, direct: &JobStore) -> Result<Vec<String>> {
    let (store, mut left) = (&bench.store, Vec::new());
    // a result with a picture, something noted beside it, and both removed
    let ticket = bench.submit("e", "https://example.com/5").await?;
    let leased = bench.must_lease().await?;
    let made = artifact(&leased);
    assert_eq!(store.complete_before_thumbnail(&leased.lease, &made, &[], MINUTE).await?, Done::Completed);
    assert!(store.thumbnail(&leased.lease, &made.object.thumbnail(), Some(7)).await?);
    let noted = Annotation { notes: Some(Some("mine".to_owned())), favourite: Some(true), rating: Some(Some(4)) };
    assert_eq!(store.annotate(ticket, &noted).await?, Annotated::Done);
    left.push(format!("{:?}", bench.job(ticket).await?.library));
    assert!(store.forget(ticket).await?);
    let due = direct.collect(&[], 10).await?;
    assert_eq!(due.len(), 2);
    assert!(store.collect(&due, 10).await?.is_empty());
    // an end that is told in vain, again for who asks, and by another secret
    let limits = ClientLimits { rate: Some("2/h".parse()?), ..order("f", "https://example.com/6").limits };
    let told = Submission { webhook: Some(webhooks::wanted()), ..order("f", "https://example.com/6") };
    store.submit(&told).await?;
    assert_eq!(store.cancel(told.ticket).await?, Cancelled::Now);
    let mut outbox = direct.outboxes().swap_remove(0);
    let first = outbox.take(10, &[]).await?.pop().context("an end")?;
    assert_eq!(store.told(&first, &webhooks::in_vain(), Then::Again(MINUTE)).await?, Told::Pending);
    assert_eq!(store.redeliver(told.ticket, &told.client, &limits).await?, Redelivered::Soon);
    assert_eq!(direct.redeliver(told.ticket, &told.client, &limits).await?, Redelivered::Soon);
    let third = direct.redeliver(told.ticket, &told.client, &limits).await?;
    assert!(matches!(third, Redelivered::RateLimited { .. }), "{third:?}");
    let new = Secrets::read(["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])?;
    store.rotate(Some(&new), &[]).await?;
    let second = outbox.take(10, &[]).await?.pop().context("the same end")?;
    assert_eq!((second.failures, &second.secrets), (0, &Some(new)));
    assert_eq!(direct.told(&second, &webhooks::in_vain(), Then::Never).await?, Told::GivenUp);
    let webhook = direct.webhook(told.ticket).await?.context("somebody is told")?;
    left.push(format!("{:?} after {} attempts", webhook.state, webhook.attempts.len()));
    // a worker that looks for orphans, and stops
    assert!(store.begin_sweep(&bench.worker, MINUTE).await?);
    let swept = Swept { looked_at: 3, ..Swept::default() };
    assert!(direct.report_sweep(&bench.worker, swept, Progressed::Ended).await?);
    assert!(!direct.begin_sweep(&bench.worker, MINUTE).await?);
    let worker = regions::worker("w", &["default"]);
    direct.announce(&worker).await?;
    store.sign_off(&worker).await?;
    let stats = direct.stats().await?;
    left.push(format!("{} workers, {:?}", stats.workers.len(), stats.orphans.swept));
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
