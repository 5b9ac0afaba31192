//! Who looks when something is due: one of those who wait, and another one when that one is gone or busy.
//!
//! But for where it says so no API runs here, which would look each second: a retry that nobody looks for begins after most of a
//! minute, when somebody asks who had nothing to look for. No test waits for that.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use haul_tests::processes::until;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{AbortHandle, JoinSet};

use super::*;

/// Less than what anybody sleeps who has nothing to look for.
const SOON: Duration = Duration::from_secs(40);

/// Workers with a slot each, that keep what they have begun.
struct Fleet<'a> {
    bench: &'a Bench,
    loops: JoinSet<Result<()>>,
    free: usize,
    begun: (Sender<Leased>, Receiver<Leased>),
    asked: Arc<AtomicUsize>,
}

impl<'a> Fleet<'a> {
    fn of(bench: &'a Bench) -> Self {
        Self { bench, loops: JoinSet::new(), free: 0, begun: channel(1), asked: Arc::default() }
    }

    /// One more worker. Its loop ends with its first job.
    fn add(&mut self, kind: Kind, region: &str) -> (WorkerId, AbortHandle) {
        let worker = WorkerId::on_host("fleet");
        let mut claims = self.bench.store.claims(&worker, kind, &[region.parse().unwrap()]);
        let (begun, asked) = (self.begun.0.clone(), Arc::clone(&self.asked));
        self.free += 1;
        let its_loop = self.loops.spawn(async move {
            loop {
                asked.fetch_add(1, Ordering::SeqCst);
                if let Some(leased) = claims.take(1).await?.pop() {
                    return Ok(begun.send(leased).await?);
                }
                claims.wait().await?;
            }
        });
        (worker, its_loop)
    }

    /// One more, once it waits with all others: a call comes to whoever has waited longest.
    async fn join(&mut self, kind: Kind) -> Result<(WorkerId, AbortHandle)> {
        let added = self.add(kind, "default");
        self.all_wait().await?;
        Ok(added)
    }

    async fn kill(&mut self, its_loop: AbortHandle) -> Result<()> {
        its_loop.abort();
        self.free -= 1;
        self.all_wait().await
    }

    async fn all_wait(&self) -> Result<()> {
        let mut connection = self.bench.redis.connection().await?;
        let wait = async || {
            let info: Option<redis::InfoDict> =
                redis::cmd("INFO").arg("clients").query_async(&mut connection).await.ok();
            info.and_then(|info| info.get("blocked_clients")) == Some(self.free)
        };
        until("all who are free wait", wait).await.map(drop)
    }

    /// The next job that somebody begins, soon.
    async fn begins(&mut self) -> Result<JobId> {
        let next = tokio::time::timeout(SOON, self.begun.1.recv()).await?;
        self.free -= 1;
        Ok(next.expect("we hold a sender").lease.job)
    }
}

impl Bench {
    /// Jobs that others have begun.
    async fn begun(&self, count: usize) -> Result<Vec<Leased>> {
        for n in 0..count {
            self.submit("a", &format!("https://example.com/{n}")).await?;
        }
        Ok(self.claims().take(count).await?)
    }

    /// Soon this worker has promised to look.
    async fn is_sentry(&self, worker: &WorkerId) -> Result<()> {
        let (mut connection, name) = (self.redis.connection().await?, worker.to_string());
        let promised = async || {
            let mut ask = redis::cmd("GET");
            let sentry: Option<String> =
                ask.arg("haul1:{0}:sentry").query_async(&mut connection).await.unwrap_or_default();
            sentry.is_some_and(|sentry| sentry.contains(&name))
        };
        tokio::time::timeout(SOON, until("it is the sentry", promised)).await?.map(drop)
    }
}

/// All who waited came for each retry: with a thousand workers that was half of what Redis did.
#[tokio::test]
async fn however_many_wait_a_few_come_for_each_retry_that_is_due_and_it_begins_at_once() -> Result<()> {
    let bench = Bench::new().await?;
    let jobs = bench.begun(8).await?;
    let mut fleet = Fleet::of(&bench);
    for _ in 0..10 {
        // it may well be one that can't do the job who looks
        for (kind, region) in [(Kind::Download, "elsewhere"), (Kind::Metadata, "default"), (Kind::Download, "default")]
        {
            fleet.add(kind, region);
        }
    }
    fleet.all_wait().await?;
    let before = fleet.asked.load(Ordering::SeqCst);
    for (leased, n) in jobs.iter().zip(1..) {
        bench.store.defer(&leased.lease, Duration::from_millis(200 * n)).await?;
    }
    let mut begun = HashSet::new();
    while begun.len() < jobs.len() {
        assert!(begun.insert(fleet.begins().await?), "none begins twice");
    }
    assert_eq!(begun, jobs.iter().map(|leased| leased.lease.job).collect());
    let asked = fleet.asked.load(Ordering::SeqCst) - before;
    assert!(asked <= 5 * jobs.len(), "asked {asked} times for {} retries", jobs.len());
    bench.recount().await
}

#[tokio::test]
async fn what_a_killed_sentry_was_to_look_for_begins_and_another_one_stands_in() -> Result<()> {
    let bench = Bench::new().await?;
    let leased = bench.begun(1).await?.remove(0);
    let mut fleet = Fleet::of(&bench);
    let (sentry, its_loop) = fleet.join(Kind::Download).await?;
    let (looker, _) = fleet.join(Kind::Metadata).await?;
    fleet.join(Kind::Download).await?;
    bench.store.defer(&leased.lease, MINUTE).await?;
    bench.is_sentry(&sentry).await?;
    fleet.kill(its_loop).await?;

    let api = tokio::spawn(bench.store.clone().look_after());
    // a minute goes by, and a second
    let mut connection = bench.redis.connection().await?;
    redis::cmd("DEL").arg("haul1:{0}:sentry").query_async::<()>(&mut connection).await?;
    let mut comes = redis::cmd("ZADD");
    comes.arg("haul1:{0}:delay").arg(1).arg(leased.lease.job.to_string());
    comes.query_async::<()>(&mut connection).await?;
    assert_eq!(fleet.begins().await?, leased.lease.job);
    bench.is_sentry(&looker).await?;
    api.abort();
    Ok(())
}

#[tokio::test]
async fn a_sentry_that_signs_off_or_takes_a_job_is_relieved_at_once_without_an_api() -> Result<()> {
    let bench = Bench::new().await?;
    bench.begun(1).await?;
    let mut fleet = Fleet::of(&bench);
    let (first, its_loop) = fleet.join(Kind::Download).await?;
    let (second, _) = fleet.join(Kind::Download).await?;
    bench.is_sentry(&first).await?;
    fleet.kill(its_loop).await?;
    bench.store.sign_off(&regions::worker(&first.to_string(), &["default"])).await?;
    bench.is_sentry(&second).await?;

    let (third, _) = fleet.join(Kind::Metadata).await?;
    bench.submit("a", "https://example.com/another").await?;
    fleet.begins().await?;
    bench.is_sentry(&third).await
}
