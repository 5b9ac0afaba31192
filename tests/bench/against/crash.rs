//! A worker that is killed in mid-job (`kill -9`, it and its children): how long until another has begun the job again.
//!
//! All wait at the same time: nobody has anything to do meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::{LocalBoxFuture, try_join_all};
use haul_tests::processes::until;
use serde_json::json;

use super::Field;
use super::table::{Better, Table};
use crate::engine::made;
use crate::engine::media::Kind;
use crate::engine::ours::Haul;
use crate::engine::spent::kill_all;
use crate::figures::Rounds;
use crate::others::Other;

/// Longest that it may take.
const PATIENCE: Duration = Duration::from_secs(240);

/// The least that a lease may be, with the heartbeat as it is.
const SHORT_LEASE: &str = "15s";

/// Measures.
///
/// # Errors
/// When a part does not start, or a job is never begun again.
pub async fn run(field: &mut Field) -> Result<Table> {
    let python = field.python()?;
    let celery = Other::python(&python, "celery_queue.py", "prefork").await?;
    let rq = Other::python(&python, "rq_queue.py", "fork").await?;
    let bullmq = Other::bullmq(&field.plan.programs).await?;
    let mut waits: Vec<LocalBoxFuture<'_, Result<f64>>> = Vec::new();
    let medium = made(Kind::Progressive, 40.0).await?;
    for lease in ["30s", SHORT_LEASE] {
        let folder = field.scene.fresh(&format!("haul-{lease}"))?;
        let (url, endpoint) = (field.scene.address(&medium.path, false), field.scene.endpoint(false));
        waits.push(Box::pin(async move {
            // slow enough to be killed in mid-job
            let haul = Haul::start(&endpoint, &folder, &[("HAUL_LEASE", lease), (SLOW, "1MB")]).await?;
            ours(&haul, &url).await.context("Haul")
        }));
    }
    for other in [&celery, &rq].into_iter().chain(&bullmq) {
        waits.push(Box::pin(theirs(other)));
    }
    let took = tokio::time::timeout(PATIENCE, try_join_all(waits)).await.context("a job was never begun again")??;
    let mut table = Table::of("A worker is killed (kill -9) in mid-job", ["Haul", "BullMQ", "Celery", "RQ"]);
    let second = |at: usize| took.get(at).copied().into_iter().collect::<Rounds>();
    let none = Rounds::new;
    let begun = "until another has begun the job again, seconds";
    table.row(&format!("{begun}: by the defaults"), Better::Less, vec![second(0), second(4), none(), none()]);
    let set = "Haul: a lease of 15 s; Celery: visible after 30 s; RQ: looking every 5 s";
    table.row(&format!("{begun}: set ({set})"), Better::Less, vec![second(1), none(), second(2), second(3)]);
    Ok(table)
}

/// The variable that slows a worker's downloads.
const SLOW: &str = "HAUL_RATE_LIMIT";

/// Seconds until the second worker has begun the job.
async fn ours(haul: &Haul, url: &str) -> Result<f64> {
    let job = haul.submit(&json!({ "url": url, "format": "original" })).await?;
    // who has it; none while nobody has
    let holder = async || haul.job(&job).await.ok()?["worker"].as_str().map(str::to_owned);
    until("the job runs", async || holder().await.is_some()).await?;
    let first = holder().await;
    let _second = haul.another_worker(SLOW).await?;
    ensure!(first.is_some() && holder().await == first, "the job does not run any more");
    kill_all(haul.worker());
    let killed = Instant::now();
    until("another has the job", async || holder().await.is_some_and(|now| Some(now) != first)).await?;
    Ok(killed.elapsed().as_secs_f64())
}

async fn theirs(other: &Other) -> Result<f64> {
    let mut first = other.worker("hang", 1).await?;
    other.produce(1).await?;
    first.line().await?;
    let mut second = other.worker("follow", 1).await?;
    kill_all(first.pid().context("it runs")?);
    let killed = Instant::now();
    second.line().await?;
    Ok(killed.elapsed().as_secs_f64())
}
