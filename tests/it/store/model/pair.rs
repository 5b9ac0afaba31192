//! The store and the model side by side: each step is done to both, and both must say and show the same.

use std::collections::HashSet;
use std::fmt;

use super::part::Part;
use super::queue::Queue;
use super::shown::{Answer, Shown};
use super::steps::{Step, Which, Whose};
use super::*;

/// No delay ends by itself while a test runs.
const LATER: Duration = Duration::from_secs(24 * 3600);
const LATER_MS: u64 = 1 << 50;

const UNFINISHED: [StateKind; 3] = [StateKind::Queued, StateKind::Waiting, StateKind::Running];

/// A real store, a model, and those who use both.
pub(super) struct Pair<'a> {
    bench: &'a Bench,
    model: Queue,
    shards: Shards,
    workers: Vec<Claims>,
    orders: Vec<Submission>,
    leases: Vec<Leased>,
}

impl<'a> Pair<'a> {
    /// An empty queue.
    pub(super) async fn new(bench: &'a Bench, shards: Shards, most: Option<u32>) -> Result<Self> {
        let mut connection = bench.redis.connection().await?;
        redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await?;
        let ids = ["one", "two"].map(WorkerId::on_host);
        let workers =
            ids.iter().map(|id| bench.store.claims(id, Kind::Download, &regions::regions(&REGIONS))).collect();
        let model = Queue::new(shards, most, &ids);
        Ok(Self { bench, model, shards, workers, orders: Vec::new(), leases: Vec::new() })
    }

    /// Does a step to both, and compares what both say of it.
    pub(super) async fn take(&mut self, step: &Step) -> Result<()> {
        let store = &self.bench.store;
        match step {
            Step::Submit { order, is_repeated } => {
                let order = order.submission(store);
                for _ in 0..=u8::from(*is_repeated) {
                    self.submit(&order).await?;
                }
                self.orders.push(order);
            }
            Step::SubmitAgain(nth) => {
                if let Some(order) = pick(&self.orders, *nth).cloned() {
                    self.submit(&order).await?;
                }
            }
            Step::Resubmit(nth) => {
                let Some(order) = pick(&self.orders, *nth).cloned() else { return Ok(()) };
                let answer = Answer::from(store.resubmit(&order).await?);
                same("retry", &answer, &self.model.resubmit(&order))?;
                self.name(order.ticket).await?;
            }
            Step::Cancel(nth) => {
                let Some(ticket) = pick(&self.orders, *nth).map(|order| order.ticket) else { return Ok(()) };
                same("cancel", &store.cancel(ticket).await?, &self.model.of(ticket).cancel(ticket))?;
            }
            Step::Forget(nth) => {
                let Some(ticket) = pick(&self.orders, *nth).map(|order| order.ticket) else { return Ok(()) };
                same("forget", &store.forget(ticket).await?, &self.model.of(ticket).forget(ticket))?;
            }
            Step::Lease { worker, most } => drop(self.lease(*worker, *most).await?),
            Step::Sweep => self.sweep().await?,
            Step::Relocate(to) => self.relocate(*to).await?,
            Step::RunOut(which) => self.run_out(which).await?,
            Step::EndDelays(which) => {
                let due = chosen(self.model.jobs(&[StateKind::Waiting]), which);
                self.let_pass("delay", &due).await?;
                due.iter().for_each(|(at, id, _)| self.model.parts[*at].promote(*id));
            }
            Step::Expire(which) => {
                let due = chosen(self.model.jobs(&UNFINISHED), which);
                self.let_pass("live", &due).await?;
                due.iter().for_each(|(at, id, _)| self.model.parts[*at].expire(*id));
            }
            Step::Outlive => self.outlive().await?,
            Step::StopSharing => self.stop_sharing().await?,
            Step::Beat(whose, _)
            | Step::Reserve(whose)
            | Step::Complete { whose, .. }
            | Step::Fail { whose, .. }
            | Step::Release(whose)
            | Step::Defer(whose) => {
                if let Some(leased) = self.leased(whose) {
                    self.work(step, &leased).await?;
                }
            }
        }
        Ok(())
    }

    /// What the holder of a lease does.
    async fn work(&mut self, step: &Step, leased: &Leased) -> Result<()> {
        let (store, lease) = (&self.bench.store, &leased.lease);
        let object = artifact(leased).object;
        let model = self.model.around(lease.job);
        match step {
            Step::Beat(_, percent) => {
                let pulses = store.heartbeat(&[beat(leased, f64::from(*percent))]).await?;
                same("heartbeat", &pulses, &vec![Some(model.beat(lease, *percent))])
            }
            Step::Reserve(_) => same("reserve", &store.reserve(lease, &object).await?, &model.reserve(lease, object)),
            Step::Complete { is_repeated, .. } => {
                for _ in 0..=u8::from(*is_repeated) {
                    let done = held(store.complete(lease, &artifact(leased), &[]).await)?;
                    same("complete", &done, &model.complete(lease, object.clone()))?;
                }
                Ok(())
            }
            Step::Fail { is_retryable, is_repeated, .. } => {
                // none that a site is blamed for: its breaker has a model of its own (`store::sites`)
                let kind = if *is_retryable { FailureKind::ExtractorError } else { FailureKind::Private };
                for _ in 0..=u8::from(*is_repeated) {
                    let ended = held(store.fail(lease, &trouble(kind), LATER).await)?.map(|ended| match ended {
                        Ended::Waiting => StateKind::Waiting,
                        Ended::Failed => StateKind::Failed,
                        Ended::Cancelled => StateKind::Cancelled,
                    });
                    same("fail", &ended, &model.fail(lease, kind))?;
                }
                Ok(())
            }
            Step::Release(_) => {
                model.release(lease);
                Ok(store.release(lease).await?)
            }
            Step::Defer(_) => {
                model.defer(lease);
                Ok(store.defer(lease, LATER).await?)
            }
            step => anyhow::bail!("{step:?} is no work"),
        }
    }

    async fn submit(&mut self, order: &Submission) -> Result<()> {
        let answer = Answer::from(self.bench.store.submit(order).await?);
        let ticket = match &answer {
            Answer::Replayed(shown) => shown.ticket,
            _ => order.ticket,
        };
        same("submit", &answer, &self.model.submit(order))?;
        self.name(ticket).await
    }

    /// Learns what the store calls the run behind a ticket.
    async fn name(&mut self, ticket: Ticket) -> Result<()> {
        let key = format!("haul1:{{{}}}:t:{ticket}", ticket.shard(self.shards));
        let Some(run) = self.model.of(ticket).behind(ticket) else { return Ok(()) };
        let mut connection = self.bench.redis.connection().await?;
        let job: String = redis::cmd("HGET").arg(key).arg("jid").query_async(&mut connection).await?;
        same("the run of a ticket", &Some(job.parse()?), &Some(*run.job.get_or_insert(job.parse()?)))
    }

    /// Both give the same jobs in the same order, each under a fence higher than any before.
    async fn lease(&mut self, worker: usize, most: usize) -> Result<usize> {
        let leased = self.workers[worker].take(most).await?;
        let given: Vec<Given> = leased
            .iter()
            .map(|leased| Given {
                job: Some(leased.lease.job),
                attempt: leased.attempt,
                max_attempts: leased.max_attempts,
                reached: leased.reached.map(percent),
            })
            .collect();
        same("lease", &given, &self.model.lease(worker, most))?;
        for Leased { lease: Lease { job, fence, .. }, .. } in &leased {
            let part = self.model.around(*job);
            let run = part.named(*job).and_then(|id| part.runs.get_mut(&id)).expect("a run that was given");
            anyhow::ensure!(run.fence < *fence, "the fence of a job did not rise: {} after {}", fence, run.fence);
            run.fence = *fence;
        }
        self.leases.extend(leased);
        Ok(given.len())
    }

    async fn run_out(&mut self, which: &Which) -> Result<()> {
        let due = chosen(self.model.jobs(&[StateKind::Running]), which);
        self.let_pass("lease", &due).await?;
        due.iter().for_each(|(at, id, _)| self.model.parts[*at].reap(*id));
        // what waits now is not to be due while the next steps are taken
        let mut connection = self.bench.redis.connection().await?;
        for (at, _, job) in &due {
            let key = format!("haul1:{{{at}}}:delay");
            let mut later = redis::cmd("ZADD");
            later.arg(key).arg("XX").arg(LATER_MS).arg(job.to_string());
            later.query_async::<()>(&mut connection).await?;
        }
        Ok(())
    }

    async fn relocate(&mut self, to: usize) -> Result<()> {
        self.bench.age("q").await?;
        self.bench.age("serving").await?;
        self.bench.store.announce(&regions::worker("w-model", &[REGIONS[to]])).await?;
        self.bench.has_been_watched().await?;
        self.bench.store.relocate(&regions::regions(&REGIONS), MINUTE).await?;
        let (from, to) = (region(1 - to), region(to));
        self.model.parts.iter_mut().for_each(|part| part.relocate(&from, &to));
        Ok(())
    }

    async fn outlive(&mut self) -> Result<()> {
        self.stop_sharing_of(&[StateKind::Completed]).await?;
        let mut connection = self.bench.redis.connection().await?;
        for (at, _, job) in self.model.jobs(&[StateKind::Completed]) {
            let (base, mut pipe) = (format!("haul1:{{{at}}}:"), redis::pipe());
            let record = format!("{base}j:{job}");
            let object: String = redis::cmd("HGET").arg(&record).arg("obj").query_async(&mut connection).await?;
            pipe.hset(&record, "del", 1).cmd("ZADD").arg(format!("{base}gc")).arg("XX").arg(1).arg(object);
            // and what was seen of it is not so any more
            let id = job.to_string();
            let version = u16::from_str_radix(&id[id.len() - 3..], 16)?;
            pipe.cmd("BITFIELD").arg(format!("{base}versions")).arg(&["INCRBY", "u32", &format!("#{version}"), "1"]);
            pipe.exec_async(&mut connection).await?;
        }
        self.model.parts.iter_mut().for_each(Part::outlive);
        Ok(())
    }

    async fn stop_sharing(&mut self) -> Result<()> {
        self.stop_sharing_of(&[StateKind::Completed, StateKind::Failed]).await?;
        self.model.parts.iter_mut().for_each(Part::stop_sharing_ends);
        Ok(())
    }

    /// Ends the life of what leads newcomers to jobs that are over.
    async fn stop_sharing_of(&self, states: &[StateKind]) -> Result<()> {
        let mut connection = self.bench.redis.connection().await?;
        for part in 0..self.model.parts.len() {
            for order in self.model.parts[part].shared(states) {
                let key = format!("haul1:{{{part}}}:fp:{order}");
                let removed: u8 = redis::cmd("DEL").arg(key).query_async(&mut connection).await?;
                anyhow::ensure!(removed == 1, "what has ended is not shared");
            }
        }
        Ok(())
    }

    async fn sweep(&mut self) -> Result<()> {
        let store = &self.bench.store;
        let due = store.collect(&[], 1000).await?;
        same("objects still due", &store.collect(&due, 1000).await?, &Vec::new())?;
        let due: HashSet<ObjectKey> = due.into_iter().map(|garbage| garbage.object).collect();
        same("due objects", &due, &self.model.parts.iter_mut().flat_map(Part::sweep).collect())
    }

    /// Makes these due, in this order, and looks after it.
    async fn let_pass(&self, set: &str, due: &[(usize, usize, JobId)]) -> Result<()> {
        let mut connection = self.bench.redis.connection().await?;
        for (place, (at, _, job)) in due.iter().enumerate() {
            let mut now = redis::cmd("ZADD");
            now.arg(format!("haul1:{{{at}}}:{set}")).arg("XX").arg("CH").arg(place + 1).arg(job.to_string());
            let moved: u8 = now.query_async(&mut connection).await?;
            anyhow::ensure!(moved == 1, "{job} is not in {set}");
        }
        Ok(self.bench.store.upkeep().await?)
    }

    /// Every ticket shows what it should, and every list and counter is true.
    pub(super) async fn compare(&mut self) -> Result<()> {
        let tickets: HashSet<Ticket> = self.orders.iter().map(|order| order.ticket).collect();
        let shown = tickets.iter().map(|ticket| async { (*ticket, self.bench.store.get(*ticket).await) });
        for (ticket, job) in futures::future::join_all(shown).await {
            same("what a ticket shows", &job?.as_ref().map(Shown::from), &self.model.shown(ticket))?;
        }
        let mut connection = self.bench.redis.connection().await?;
        let audit = redis::Script::new(include_str!("../audit.lua"));
        for shard in self.shards.all() {
            let base = format!("haul1:{{{shard}}}:");
            let wrong: Vec<String> = audit.arg(base).invoke_async(&mut connection).await?;
            anyhow::ensure!(wrong.is_empty(), "shard {shard}: {wrong:#?}");
        }
        let repairs = self.bench.store.audit().await?.repairs;
        anyhow::ensure!(repairs.is_empty(), "the store's audit repaired {repairs:?}");
        Ok(())
    }

    /// Lets everything come to its end; nothing may be left behind.
    pub(super) async fn drain(&mut self) -> Result<()> {
        self.run_out(&Which::All).await?;
        for _ in 0..100 {
            self.take(&Step::EndDelays(Which::All)).await?;
            let given = self.lease(0, 1).await?;
            for leased in self.leases.split_off(self.leases.len() - given) {
                let done = Step::Complete { whose: Whose { nth: 0, holds: true }, is_repeated: false };
                self.work(&done, &leased).await?;
            }
            self.compare().await?;
            if given == 0 && self.model.jobs(&UNFINISHED).is_empty() {
                return self.nothing_is_left().await;
            }
        }
        anyhow::bail!("jobs are left in line: {:?}", self.model.jobs(&UNFINISHED))
    }

    async fn nothing_is_left(&self) -> Result<()> {
        let mut connection = self.bench.redis.connection().await?;
        for left in ["c:*", "ring:*", "park:*", "q:*", "lease", "delay", "live", "run", "load"] {
            let keys: Vec<String> =
                redis::cmd("KEYS").arg(format!("haul1:*:{left}")).query_async(&mut connection).await?;
            anyhow::ensure!(keys.is_empty(), "left behind: {keys:?}");
        }
        Ok(())
    }

    fn leased(&mut self, whose: &Whose) -> Option<Leased> {
        let mut holds = |leased: &&Leased| self.model.around(leased.lease.job).runs_for(&leased.lease).is_some();
        let held: Vec<Leased> = self.leases.iter().filter(|leased| holds(leased)).cloned().collect();
        let among = if whose.holds && !held.is_empty() { &held } else { &self.leases };
        pick(among, whose.nth).cloned()
    }
}

fn chosen<T>(mut from: Vec<T>, which: &Which) -> Vec<T> {
    match which {
        Which::One(nth) if !from.is_empty() => {
            let at = nth % from.len();
            vec![from.swap_remove(at)]
        }
        _ => from,
    }
}

fn pick<T>(of: &[T], nth: usize) -> Option<&T> {
    (!of.is_empty()).then(|| &of[nth % of.len()])
}

fn same<T: PartialEq + fmt::Debug>(what: &str, store: &T, model: &T) -> Result<()> {
    anyhow::ensure!(store == model, "{what}: the store says {store:#?}, the model {model:#?}");
    Ok(())
}

/// `None`: the lease was lost.
fn held<T>(answer: Result<T, StoreError>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(StoreError::LeaseLost) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
