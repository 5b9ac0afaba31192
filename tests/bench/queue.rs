//! No-op jobs per second through one worker process, and the time from submit to start on an idle system.
//!
//! The floors are what Redis could do at most: round trips of a script that does nothing, one after the other and
//! pipelined; for the start, one round trip and the wake of a blocked client. Beside them BullMQ does the same jobs.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::StreamExt as _;
use haul_shared::store::JobStore;
use haul_tests::redis::Redis;
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;

use crate::Plan;
use crate::figures::{Rounds, begin, compare, remark};
use crate::noop::now_ns;
use crate::others::Other;
use crate::roles::Part;
use crate::stage::{self, Stage, address};

/// Jobs that wait when the worker begins.
const SIZES: [u64; 2] = [3_000, 20_000];

/// Clients whose jobs they are.
const CLIENTS: u64 = 100;

/// Jobs that are submitted one by one.
const SINGLES: usize = 300;

/// Between two of them; the system is idle.
const PAUSE: Duration = Duration::from_millis(15);

/// Measures.
///
/// # Errors
/// When a part does not do what it should.
pub async fn run(plan: &Plan) -> Result<()> {
    let bullmq = Other::bullmq(&plan.programs).await?;
    for &finished in &plan.finished {
        let stage = Stage::with_finished(finished).await?;
        begin(&format!("queue: no-op jobs through one worker process, {finished} finished jobs"));
        if bullmq.is_none() {
            remark("BullMQ is left out: npm has not installed it (tests/bench/run does, where npm is there)");
        }
        for jobs in SIZES {
            throughput(plan, &stage, bullmq.as_ref(), jobs, finished).await?;
        }
        latency(plan, &stage, bullmq.as_ref(), finished).await?;
    }
    Ok(())
}

async fn throughput(plan: &Plan, stage: &Stage, bullmq: Option<&Other>, jobs: u64, finished: u64) -> Result<()> {
    let [mut ours, mut theirs, mut trips, mut pipelined] = [const { Rounds::new() }; 4];
    let mut connection = stage.redis.connection().await?;
    for round in 0..plan.rounds as u64 {
        let store = stage::store(&stage.redis.url())?;
        queue(&store, jobs, round).await?;
        ours.add(jobs as f64 / drain(&stage.redis, plan.slots, jobs).await?);
        if finished == 0 {
            redis::cmd("FLUSHDB").query_async::<()>(&mut connection).await?;
        }
        if let Some(bullmq) = bullmq {
            theirs.add(jobs as f64 / bullmq.drain(jobs, 1).await?);
        }
        trips.add(round_trips(&mut connection, 1).await?);
        pipelined.add(round_trips(&mut connection, plan.slots).await?);
    }
    let name = format!("jobs per second, {jobs} waiting, {finished} finished");
    if bullmq.is_some() {
        compare(&format!("{name}: BullMQ"), ours.median(), theirs.median(), ">= 1");
    }
    compare(&format!("{name}: EVALSHA, pipelined"), ours.median(), pipelined.median(), "");
    compare(&format!("{name}: EVALSHA, one by one"), ours.median(), trips.median(), "");
    remark(&format!(
        "noise: {:.0} % of Haul, {:.0} % of BullMQ, {:.0} % of EVALSHA",
        ours.noise() * 100.0,
        theirs.noise() * 100.0,
        trips.noise() * 100.0
    ));
    Ok(())
}

/// Queues so many jobs by the store, many at once.
///
/// # Errors
/// When one is not taken.
pub async fn queue(store: &JobStore, jobs: u64, round: u64) -> Result<()> {
    let submits = (0..jobs).map(|number| async move {
        let client = format!("client {}", number % CLIENTS);
        stage::submit(store, &client, &address(700_000_000_000 + round * 1_000_000 + number)).await
    });
    let mut results = futures::stream::iter(submits).buffer_unordered(64);
    while let Some(result) = results.next().await {
        result?;
    }
    Ok(())
}

/// Seconds in which a new worker does so many jobs.
async fn drain(redis: &Redis, slots: usize, jobs: u64) -> Result<f64> {
    let (slots, jobs) = (slots.to_string(), jobs.to_string());
    let mut worker = Part::start(&["worker", "--redis", &redis.url(), "--slots", &slots, "--jobs", &jobs]).await?;
    worker.go().await?;
    worker.number().await
}

/// Runs per second of a script that does nothing, so many at once on one connection.
async fn round_trips(connection: &mut MultiplexedConnection, at_once: usize) -> Result<f64> {
    const WINDOW: Duration = Duration::from_secs(1);
    let script = redis::Script::new("return 1");
    script.invoke_async::<_, u8>(connection).await?;
    let (began, mut runs) = (Instant::now(), 0_u64);
    let one = |mut connection: MultiplexedConnection| {
        let script = &script;
        async move { script.invoke_async::<_, u8>(&mut connection).await }
    };
    while began.elapsed() < WINDOW {
        let batch = futures::future::join_all((0..at_once).map(|_| one(connection.clone()))).await;
        for run in batch {
            runs += u64::from(run?);
        }
    }
    Ok(runs as f64 / began.elapsed().as_secs_f64())
}

async fn latency(plan: &Plan, stage: &Stage, bullmq: Option<&Other>, finished: u64) -> Result<()> {
    let slots = plan.slots.to_string();
    let mut worker = Part::start(&["worker", "--redis", &stage.redis.url(), "--slots", &slots]).await?;
    worker.go().await?;
    let store = stage::store(&stage.redis.url())?;
    let mut theirs = match bullmq {
        Some(bullmq) => Some(bullmq.singles().await?),
        None => None,
    };
    let mut wake = Wake::new(&stage.redis).await?;
    let [mut ours, mut bulls, mut wakes] = [const { Rounds::new() }; 3];
    let mut tick = tokio::time::interval(PAUSE);
    for number in 0..SINGLES as u64 {
        tick.tick().await;
        let submitted = now_ns();
        stage::submit(&store, "one by one", &address(600_000_000_000 + number)).await?;
        let started: u128 = worker.line().await?.parse()?;
        ours.add(ms_between(submitted, started));
        tick.tick().await;
        wakes.add(wake.once().await?);
        if let Some(theirs) = &mut theirs {
            tick.tick().await;
            bulls.add(theirs.once().await?);
        }
    }
    for (name, part) in [("p50", 0.5), ("p95", 0.95)] {
        let name = format!("ms from submit to start, {name}, {finished} finished");
        compare(&format!("{name}: EVALSHA and BLPOP"), ours.at(part), wakes.at(part), "< 2 ms at p50");
        if bullmq.is_some() {
            compare(&format!("{name}: BullMQ"), ours.at(part), bulls.at(part), "");
        }
    }
    Ok(())
}

/// The least that a start can take: a script that pushes, and a blocked client that is woken by it.
struct Wake {
    pushing: MultiplexedConnection,
    popping: MultiplexedConnection,
    script: redis::Script,
}

impl Wake {
    async fn new(redis: &Redis) -> Result<Self> {
        Ok(Self {
            pushing: redis.connection().await?,
            popping: redis.connection().await?,
            script: redis::Script::new("return redis.call('RPUSH', KEYS[1], 1)"),
        })
    }

    /// Milliseconds.
    async fn once(&mut self) -> Result<f64> {
        let (key, began) = ("bench-wake", now_ns());
        let mut call = self.script.prepare_invoke();
        call.key(key);
        let (pushed, popped) =
            tokio::join!(call.invoke_async::<u8>(&mut self.pushing), self.popping.blpop::<_, (String, u8)>(key, 5.0));
        ensure!(pushed? == 1 && popped?.1 == 1, "nobody was woken");
        Ok(ms_between(began, now_ns()))
    }
}

/// Between two readings of the clock.
pub fn ms_between(from: u128, to: u128) -> f64 {
    to.saturating_sub(from) as f64 / 1e6
}
