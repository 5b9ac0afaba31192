//! Any actions in any order, through the real scripts, from workers that may be stale. After each, `audit.lua`
//! recounts every list and counter from the jobs' records; at the end, all of them return to zero.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::*;

/// Where jobs are sent.
const REGIONS: [&str; 2] = ["default", "elsewhere"];

/// One step. Indices count into what there is, round and round.
#[derive(Debug, Clone)]
enum Step {
    Submit { client: u8, url: u8, is_low: bool, is_elsewhere: bool, max_running: Option<u32>, is_repeated: bool },
    Retry(usize),
    Cancel(usize),
    Forget(usize),
    Lease { most: usize },
    Beat(usize),
    Reserve(usize),
    Complete { lease: usize, is_repeated: bool },
    Fail { lease: usize, is_retryable: bool },
    Release(usize),
    Defer(usize),
    RunOut,
    EndDelays,
    Expire,
    Sweep,
    Relocate { is_elsewhere: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let nth = 0..1000_usize;
    let submit = (0..4_u8, 0..5_u8, any::<[bool; 3]>(), proptest::option::of(1..3_u32)).prop_map(
        |(client, url, [is_low, is_elsewhere, is_repeated], max_running)| Step::Submit {
            client,
            url,
            is_low,
            is_elsewhere,
            max_running,
            is_repeated,
        },
    );
    prop_oneof![
        6 => submit,
        2 => nth.clone().prop_map(Step::Retry),
        3 => nth.clone().prop_map(Step::Cancel),
        2 => nth.clone().prop_map(Step::Forget),
        6 => (1..4_usize).prop_map(|most| Step::Lease { most }),
        3 => nth.clone().prop_map(Step::Beat),
        1 => nth.clone().prop_map(Step::Reserve),
        3 => (nth.clone(), any::<bool>()).prop_map(|(lease, is_repeated)| Step::Complete { lease, is_repeated }),
        2 => (nth.clone(), any::<bool>()).prop_map(|(lease, is_retryable)| Step::Fail { lease, is_retryable }),
        1 => nth.clone().prop_map(Step::Release),
        1 => nth.prop_map(Step::Defer),
        2 => Just(Step::RunOut),
        2 => Just(Step::EndDelays),
        1 => Just(Step::Expire),
        1 => Just(Step::Sweep),
        2 => any::<bool>().prop_map(|is_elsewhere| Step::Relocate { is_elsewhere }),
    ]
}

/// What has been handed out, and what must therefore hold.
struct Model<'a> {
    bench: &'a Bench,
    claims: Claims,
    orders: Vec<Submission>,
    leases: Vec<Leased>,
    fences: HashMap<JobId, Fence>,
    cancelled: HashSet<Ticket>,
    swept: HashSet<ObjectKey>,
}

impl Model<'_> {
    async fn take(&mut self, step: &Step) -> Result<()> {
        let store = &self.bench.store;
        match *step {
            Step::Submit { client, url, is_low, is_elsewhere, max_running, is_repeated } => {
                let order = Submission {
                    limits: ClientLimits { max_queued: None, max_running, weight: 1 + u32::from(client), rate: None },
                    priority: if is_low { Priority::Low } else { Priority::Normal },
                    region: REGIONS[usize::from(is_elsewhere)].parse()?,
                    ..order(&format!("client {client}"), &format!("https://example.com/{url}"))
                };
                for _ in 0..=u8::from(is_repeated) {
                    let answer = store.submit(&order).await?;
                    assert!(
                        matches!(&answer, Submitted::Accepted(job) | Submitted::Reused(job) if job.ticket == order.ticket)
                    );
                }
                self.orders.push(order);
            }
            Step::Retry(at) => {
                let Some(order) = pick(&self.orders, at) else { return Ok(()) };
                let before = self.bench.kind(order.ticket).await?;
                let answer = store.resubmit(order).await?;
                let is_taken = matches!(answer, Submitted::Accepted(_) | Submitted::Reused(_));
                assert_eq!(
                    is_taken,
                    matches!(before, StateKind::Failed | StateKind::Cancelled),
                    "{before:?}: {answer:?}"
                );
                if is_taken {
                    self.cancelled.remove(&order.ticket);
                }
            }
            Step::Cancel(at) => {
                let Some(order) = pick(&self.orders, at) else { return Ok(()) };
                if store.cancel(order.ticket).await? == Cancelled::Now {
                    self.cancelled.insert(order.ticket);
                }
            }
            Step::Forget(at) => {
                let Some(order) = pick(&self.orders, at) else { return Ok(()) };
                let ticket = order.ticket;
                let has_ended = self.bench.kind(ticket).await?.is_end();
                assert_eq!(store.forget(ticket).await?, has_ended);
                if has_ended {
                    self.orders.retain(|order| order.ticket != ticket);
                    self.cancelled.remove(&ticket);
                }
            }
            Step::Lease { most } => self.lease(most).await.map(drop)?,
            Step::Beat(at) => {
                if let Some(leased) = pick(&self.leases, at) {
                    store.heartbeat(&[beat(leased, 1.0)]).await?;
                }
            }
            Step::Reserve(at) => {
                if let Some(leased) = pick(&self.leases, at) {
                    store.reserve(&leased.lease, &artifact(leased).object).await?;
                }
            }
            Step::Complete { lease, is_repeated } => {
                if let Some(leased) = pick(&self.leases, lease) {
                    for _ in 0..=u8::from(is_repeated) {
                        self.bench.end(leased).await?;
                    }
                }
            }
            Step::Fail { lease, is_retryable } => {
                if let Some(leased) = pick(&self.leases, lease) {
                    let failure = trouble(if is_retryable { FailureKind::Network } else { FailureKind::Private });
                    lost_or(store.fail(&leased.lease, &failure, MINUTE).await)?;
                }
            }
            Step::Release(at) => {
                if let Some(leased) = pick(&self.leases, at) {
                    store.release(&leased.lease).await?;
                }
            }
            Step::Defer(at) => {
                if let Some(leased) = pick(&self.leases, at) {
                    store.defer(&leased.lease, MINUTE).await?;
                }
            }
            Step::RunOut => self.bench.let_pass("lease").await?,
            Step::EndDelays => self.bench.let_pass("delay").await?,
            Step::Expire => self.bench.let_pass("live").await?,
            Step::Sweep => {
                let due = store.collect(&[], 100).await?;
                store.collect(&due, 0).await?;
                self.swept.extend(due.into_iter().map(|garbage| garbage.object));
            }
            Step::Relocate { is_elsewhere } => self.relocate(REGIONS[usize::from(is_elsewhere)]).await?,
        }
        Ok(())
    }

    /// Only this region has a worker, and has long been the only one.
    async fn relocate(&self, to: &str) -> Result<()> {
        self.bench.age("q").await?;
        self.bench.age("serving").await?;
        self.bench.store.announce(&regions::worker("w-model", &[to])).await?;
        self.bench.has_been_watched().await?;
        self.bench.store.relocate(&regions::regions(&REGIONS), MINUTE).await?;
        for order in &self.orders {
            let job = self.bench.job(order.ticket).await?;
            if job.state.kind() == StateKind::Queued {
                assert_eq!(job.region.as_str(), to, "it stays in line for a worker that does not come");
            }
        }
        Ok(())
    }

    async fn lease(&mut self, most: usize) -> Result<bool> {
        let leased = self.claims.take(most).await?;
        assert!(leased.len() <= most);
        for Leased { lease: Lease { job, fence, .. }, .. } in &leased {
            let before = self.fences.insert(*job, *fence);
            assert!(before.is_none_or(|before| before < *fence), "fences rise");
        }
        let found = !leased.is_empty();
        self.leases.extend(leased);
        Ok(found)
    }

    async fn check(&self) -> Result<()> {
        let mut connection = self.bench.redis.connection().await?;
        let wrong: Vec<String> =
            redis::Script::new(include_str!("audit.lua")).arg("haul1:{0}:").invoke_async(&mut connection).await?;
        assert!(wrong.is_empty(), "{wrong:#?}");
        for order in &self.orders {
            let state = self.bench.job(order.ticket).await?.state;
            if self.cancelled.contains(&order.ticket) {
                assert_eq!(state.kind(), StateKind::Cancelled);
            }
            if let JobState::Completed { artifact, .. } = state {
                assert!(!self.swept.contains(&artifact.object), "swept while it could be fetched");
            }
        }
        Ok(())
    }

    /// Lets everything come to its end; nothing may be left behind.
    async fn drain(&mut self) -> Result<()> {
        self.bench.let_pass("lease").await?;
        loop {
            self.bench.let_pass("delay").await?;
            if !self.lease(1).await? {
                break;
            }
            let leased = self.leases.last().expect("it was just taken");
            self.bench.end(leased).await?;
            self.check().await?;
        }
        for order in &self.orders {
            assert!(self.bench.kind(order.ticket).await?.is_end(), "a job was left in line");
        }
        assert_eq!(self.bench.traces().await?, [0; 5]);
        let mut connection = self.bench.redis.connection().await?;
        for left in ["c:*", "ring:*", "park:*", "q:*"] {
            let pattern = format!("haul1:?0?:{left}");
            let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await?;
            assert_eq!(keys, [""; 0]);
        }
        Ok(())
    }
}

impl Bench {
    async fn end(&self, leased: &Leased) -> Result<()> {
        lost_or(self.store.complete(&leased.lease, &artifact(leased), &[]).await)
    }

    /// Makes everything in this set due, and looks after it.
    async fn let_pass(&self, set: &str) -> Result<()> {
        let mut connection = self.redis.connection().await?;
        let key = format!("haul1:{{0}}:{set}");
        let members: Vec<String> = redis::cmd("ZRANGE").arg(&key).arg(0).arg(-1).query_async(&mut connection).await?;
        for member in members {
            redis::cmd("ZADD").arg(&key).arg(1).arg(member).query_async::<()>(&mut connection).await?;
        }
        Ok(self.store.upkeep().await?)
    }
}

fn pick<T>(of: &[T], at: usize) -> Option<&T> {
    (!of.is_empty()).then(|| &of[at % of.len()])
}

fn lost_or<T>(answer: Result<T, StoreError>) -> Result<()> {
    match answer {
        Ok(_) | Err(StoreError::LeaseLost) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[test]
fn whatever_happens_in_whatever_order_every_list_and_counter_stays_true() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bench = runtime.block_on(Bench::new())?;
    let sequence = |steps: Vec<Step>| {
        runtime.block_on(async {
            let mut connection = bench.redis.connection().await?;
            redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await?;
            let mut model = Model {
                bench: &bench,
                claims: bench.store.claims(&bench.worker, Kind::Download, &regions::regions(&REGIONS)),
                orders: Vec::new(),
                leases: Vec::new(),
                fences: HashMap::new(),
                cancelled: HashSet::new(),
                swept: HashSet::new(),
            };
            for step in &steps {
                model.take(step).await?;
                model.check().await?;
            }
            model.drain().await
        })
    };
    let mut runner = TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&proptest::collection::vec(step(), 1..40), |steps| {
        sequence(steps).map_err(|error: anyhow::Error| TestCaseError::fail(error.to_string()))
    });
    outcome.map_err(|failure| anyhow::anyhow!("{failure}"))
}
