//! What is taken while nobody asks for anything, and what a job leaves in Redis.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use haul_tests::processes::until;
use haul_tests::redis::Redis;
use redis::AsyncCommands as _;
use tokio::time::{Instant, sleep_until};

use super::Field;
use super::downloads::AT_ONCE;
use super::stack::Workers;
use super::table::{Better, Table};
use crate::engine::ours::Haul;
use crate::engine::spent::Meter;
use crate::figures::Rounds;
use crate::load::{Until, drive};
use crate::others::Other;
use crate::stage::{Stage, address, info, write_post};

/// Until what a start brings with it is over, and how long nothing happens then.
const SETTLE: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(15);

/// Jobs whose traces are weighed.
const JOBS: u64 = 10_000;

/// What Redis and the processes did meanwhile.
struct Idle {
    commands_per_second: f64,
    bytes_per_second: f64,
    cpu_percent: f64,
    megabytes: f64,
}

/// Measures.
///
/// # Errors
/// When a part does not do what it should.
pub async fn run(field: &mut Field) -> Result<Table> {
    let mut who = vec!["Haul: API, worker of four slots", "Stack: API, four RQ workers", "Celery: prefork, four"];
    let folder = field.scene.fresh("haul")?;
    let haul = Haul::start(&field.scene.endpoint(false), &folder, &[]).await?;
    let stack = field.stack(Workers::Fork(AT_ONCE), false).await?;
    let celery = Other::python(&field.python()?, "celery_queue.py", "prefork").await?;
    let celery_worker = celery.worker("follow", AT_ONCE).await?;
    let mut idle = vec![
        (&haul.redis, vec![haul.api().id(), haul.worker()]),
        (&stack.redis, stack.processes()),
        (&celery.redis, celery_worker.pid().into_iter().collect()),
    ];
    let bullmq = Other::bullmq(&field.plan.programs).await?;
    let bull = match &bullmq {
        Some(bullmq) => Some(bullmq.worker("follow", 1).await?),
        None => None,
    };
    if let (Some(bullmq), Some(worker)) = (&bullmq, &bull) {
        who.push("BullMQ: one worker");
        idle.push((&bullmq.redis, worker.pid().into_iter().collect()));
    }
    let mut table = Table::of("While nobody asks for anything, and what a job leaves", who);
    let seen = futures::future::try_join_all(idle.into_iter().map(|(redis, roots)| watch(redis, roots))).await?;
    let of = |figure: fn(&Idle) -> f64| seen.iter().map(|one| Rounds::from_iter([figure(one)])).collect();
    table.row("commands/s at Redis", Better::Less, of(|one| one.commands_per_second));
    table.row("bytes/s to and from Redis", Better::Less, of(|one| one.bytes_per_second));
    table.row("CPU of all processes but Redis, % of a core", Better::Less, of(|one| one.cpu_percent));
    table.row("memory of all processes but Redis, MB", Better::Less, of(|one| one.megabytes));
    drop((haul, stack, bull, celery_worker));

    let jobs = JOBS / field.plan.share();
    let (ours, theirs) = (our_traces(jobs).await?, their_traces(field, jobs).await?);
    for (at, what) in ["queued", "finished"].iter().enumerate() {
        let cells = [ours[at], theirs[at]].map(|bytes| Rounds::from_iter([bytes])).into();
        table.row(&format!("bytes of Redis per {what} job"), Better::Less, cells);
    }
    Ok(table)
}

async fn watch(redis: &Redis, roots: Vec<i32>) -> Result<Idle> {
    let mut connection = redis.connection().await?;
    let mut look = async || -> Result<[u64; 3]> {
        let text: String = redis::cmd("INFO").arg("stats").query_async(&mut connection).await?;
        let field = |name: &str| -> Result<u64> {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            Ok(value.context(name.to_owned())?.trim().parse()?)
        };
        let bytes = field("total_net_input_bytes")? + field("total_net_output_bytes")?;
        Ok([field("total_commands_processed")?, bytes, text.len() as u64])
    };
    sleep_until(Instant::now() + SETTLE).await;
    let (before, meter) = (look().await?, Meter::of_running(roots));
    sleep_until(Instant::now() + IDLE).await;
    let (spent, after) = (meter.finish()?, look().await?);
    let per_second = |at: usize, own: u64| (after[at] - before[at]).saturating_sub(own) as f64 / IDLE.as_secs_f64();
    Ok(Idle {
        commands_per_second: per_second(0, 1),
        // the first look's answer went out after it was written
        bytes_per_second: per_second(1, before[2]),
        cpu_percent: spent.cpu_seconds / IDLE.as_secs_f64() * 100.0,
        megabytes: spent.peak_bytes as f64 / 1e6,
    })
}

/// Bytes per job, queued and finished.
async fn our_traces(jobs: u64) -> Result<[f64; 2]> {
    let stage = Stage::with_finished(0).await?;
    let mut redis = stage.redis.connection().await?;
    let empty = info(&mut redis, "memory", "used_memory").await?;
    stage.queue_jobs(jobs, 0).await?;
    let queued = info(&mut redis, "memory", "used_memory").await?;
    stage.finish_jobs(jobs).await?;
    let finished = info(&mut redis, "memory", "used_memory").await?;
    Ok([queued, finished].map(|used| used.saturating_sub(empty) as f64 / jobs as f64))
}

async fn their_traces(field: &mut Field, jobs: u64) -> Result<[f64; 2]> {
    let mut stack = field.stack(Workers::None, false).await?;
    let mut redis = stack.redis.connection().await?;
    let empty = info(&mut redis, "memory", "used_memory").await?;
    let request = Arc::new(|connection: u64, n: u64, to: &mut Vec<u8>| {
        write_post(to, "/downloads", "", &address(300_000_000_000 + n * 32 + connection));
    });
    drive(stack.address(), 32, Until::Answers(jobs), request).await?;
    let queued = info(&mut redis, "memory", "used_memory").await?;
    let warm = field.scene.address(&field.small.path, false);
    stack.work(&field.scene, &field.python()?, Workers::Pretending(2), &warm).await?;
    let finished = async || redis.clone().zcard::<_, u64>("rq:finished:default").await.is_ok_and(|n| n >= jobs);
    until("all are finished", finished).await?;
    let finished = info(&mut redis, "memory", "used_memory").await?;
    Ok([queued, finished].map(|used| used.saturating_sub(empty) as f64 / jobs as f64))
}
