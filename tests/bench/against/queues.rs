//! The queue alone: jobs that are nothing, by one, two and four worker processes of each, and the time from the call that
//! submits a job to its start in another process on an idle system.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use haul_shared::job::StateKind;
use haul_shared::store::JobStore;
use haul_tests::redis::Redis;

use super::Field;
use super::table::{Better, Table};
use crate::figures::Rounds;
use crate::noop::now_ns;
use crate::others::{LOOK, Other, PATIENCE, Singles};
use crate::queue::{self, ms_between};
use crate::roles::Part;
use crate::stage::{self, address};

/// Worker processes of each.
const PROCESSES: [usize; 3] = [1, 2, 4];

/// Jobs that one process of ours does at once.
const SLOTS: usize = 64;

/// Jobs that are submitted one by one, in each round, and the pause between two of them.
const SINGLES: usize = 40;
const PAUSE: Duration = Duration::from_millis(15);

/// One who takes part.
pub struct Contestant {
    /// As the table has it.
    pub name: &'static str,
    /// Jobs that it is given: about two seconds' worth of two processes.
    jobs: u64,
    queue: Queue,
}

enum Queue {
    Ours(Redis),
    Other(Other),
}

impl Contestant {
    /// All whose programs are here, ours first.
    ///
    /// # Errors
    /// When a Redis does not come up.
    pub async fn all(field: &Field) -> Result<Vec<Self>> {
        let redis = Redis::start().await?;
        redis.set("auto-aof-rewrite-percentage", "0").await?;
        let mut all = vec![Self { name: "Haul", jobs: 20_000, queue: Queue::Ours(redis) }];
        let mut add = |name, jobs, other| all.push(Self { name, jobs, queue: Queue::Other(other) });
        if let Some(bullmq) = Other::bullmq(&field.plan.programs).await? {
            add("BullMQ", 20_000, bullmq);
        }
        let python = field.python()?;
        add("Celery, prefork", 2_000, Other::python(&python, "celery_queue.py", "prefork").await?);
        add("Celery, threads", 2_000, Other::python(&python, "celery_queue.py", "threads").await?);
        add("RQ, SimpleWorker", 1_500, Other::python(&python, "rq_queue.py", "simple").await?);
        add("RQ, fork", 100, Other::python(&python, "rq_queue.py", "fork").await?);
        Ok(all)
    }

    /// Jobs per second by so many new worker processes.
    async fn rate(&self, processes: usize, share: u64, round: u64) -> Result<f64> {
        let jobs = (self.jobs / share).max(8) / 4 * 4;
        let seconds = match &self.queue {
            Queue::Ours(redis) => {
                queue::queue(&stage::store(&redis.url())?, jobs, round).await?;
                let seconds = drain(redis, jobs, processes).await?;
                redis::cmd("FLUSHALL").query_async::<()>(&mut redis.connection().await?).await?;
                seconds
            }
            Queue::Other(other) => other.drain(jobs, processes).await?,
        };
        Ok(jobs as f64 / seconds)
    }

    async fn ready(&self) -> Result<Waiting> {
        Ok(match &self.queue {
            Queue::Ours(redis) => {
                let mut worker = Part::start(&["worker", "--redis", &redis.url(), "--slots", "4"]).await?;
                worker.go().await?;
                Waiting::Ours(Box::new((stage::store(&redis.url())?, worker)))
            }
            Queue::Other(other) => Waiting::Other(Box::new(other.singles().await?)),
        })
    }
}

/// One whose worker waits for a job.
enum Waiting {
    Ours(Box<(JobStore, Part)>),
    Other(Box<Singles>),
}

impl Waiting {
    /// Milliseconds from submitting a job to its start.
    async fn once(&mut self, number: u64) -> Result<f64> {
        match self {
            Self::Ours(parts) => {
                let (store, worker) = parts.as_mut();
                let submitted = now_ns();
                stage::submit(store, "one by one", &address(600_000_000_000 + number)).await?;
                Ok(ms_between(submitted, worker.line().await?.parse()?))
            }
            Self::Other(singles) => singles.once().await,
        }
    }
}

/// Seconds in which so many new workers of ours do so many jobs. Which of them does which is left to them: all is done when
/// the store says so.
async fn drain(redis: &Redis, jobs: u64, processes: usize) -> Result<f64> {
    let (store, slots) = (stage::store(&redis.url())?, SLOTS.to_string());
    let arguments = ["worker", "--redis", &redis.url(), "--slots", &slots, "--silent"];
    let mut workers = Vec::new();
    for _ in 0..processes {
        workers.push(Part::start(&arguments).await?);
    }
    let began = Instant::now();
    for worker in &mut workers {
        worker.go().await?;
    }
    let mut tick = tokio::time::interval(LOOK);
    while store.stats().await?.jobs.get(&StateKind::Completed).is_none_or(|done| *done < jobs) {
        tick.tick().await;
        ensure!(began.elapsed() < PATIENCE, "{processes} workers did not get done");
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Measures.
///
/// # Errors
/// When a part does not do what it should.
pub async fn run(field: &Field) -> Result<Table> {
    let all = Contestant::all(field).await?;
    let mut table = Table::of("The queue alone, jobs that are nothing", all.iter().map(|one| one.name));
    for processes in PROCESSES {
        let mut rates = vec![Rounds::new(); all.len()];
        for round in 0..field.plan.rounds as u64 {
            for (one, rates) in all.iter().zip(&mut rates) {
                rates.add(one.rate(processes, field.plan.share(), round).await?);
            }
        }
        let plural = if processes == 1 { "" } else { "es" };
        table.row(&format!("jobs/s, {processes} process{plural}"), Better::More, rates);
    }
    let [mut p50, mut p95] = [const { Vec::new() }; 2];
    p50.resize(all.len(), Rounds::new());
    p95.resize(all.len(), Rounds::new());
    let mut tick = tokio::time::interval(PAUSE);
    let mut number = 0;
    for _ in 0..field.plan.rounds {
        for (at, one) in all.iter().enumerate() {
            let (mut waiting, mut took) = (one.ready().await?, Rounds::new());
            // the first finds everything cold
            waiting.once(number).await?;
            for _ in 0..SINGLES {
                number += 1;
                tick.tick().await;
                took.add(waiting.once(number).await?);
            }
            number += 1;
            p50[at].add(took.median());
            p95[at].add(took.at(0.95));
        }
    }
    table.row("from submit to start, ms, median", Better::Less, p50);
    table.row("from submit to start, ms, p95", Better::Less, p95);
    Ok(table)
}
