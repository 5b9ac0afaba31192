//! One attempt at a job: run it, and tell the store what became of it.
//!
//! Whatever happens, a panic included, the attempt is settled once and its scratch is gone. What is written follows
//! from why it ended: completed, failed, cancelled, handed back, or, when the lease was lost, nothing at all.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use haul_shared::ids::JobId;
use haul_shared::job::{Failure, FailureKind, JobSpec};
use haul_shared::store::{Done, Ended, Kind, Lease, Leased, StoreError};

use crate::board::{Running, StopReason};
use crate::context::Context;
use crate::insist::surely;
use crate::pipeline::{self, Made};
use crate::scratch;

/// Before a job that this version cannot read is offered again.
const SKEW_DELAY: Duration = Duration::from_secs(5);

/// How an attempt ended, as far as it knows itself.
#[derive(Debug)]
pub enum Outcome {
    /// There is a verified result in the store of results.
    Made(Box<Made>),
    /// What was found is in the cache.
    Found,
    /// It ended without one.
    Failed(Failure),
}

/// Does the work of an attempt in a folder of its own: with programs ([`by_programs`]), or without any where it is all
/// around the work that is tried.
pub type Work = for<'a> fn(&'a Context, &'a Running, &'a JobSpec, &'a Path) -> BoxFuture<'a, Result<Outcome, Failure>>;

/// Runs and settles one attempt.
pub async fn run(ctx: &Context, leased: Leased, work: Work) {
    let entry = ctx.board.enter(leased.lease.clone(), leased.reached);
    if leased.lease.kind == Kind::Download {
        ctx.metrics.waited(leased.waited);
    }
    let id = leased.lease.job;
    let Some(spec) = &leased.spec else {
        tracing::warn!(job.id = %id, "job {id} is of a form that this version does not know; handed back");
        ctx.metrics.met_newer_order();
        if let Err(error) = surely(|| ctx.store.defer(&leased.lease, SKEW_DELAY)).await {
            untold(ctx, id, &error);
        }
        return;
    };
    tracing::info!(job.id = %id, attempt = leased.attempt, "job {id} begins, attempt {}", leased.attempt);
    let began = Instant::now();
    let outcome = in_scratch(ctx, &entry, spec, work).await;
    settle(ctx, &entry, &leased, outcome, began.elapsed()).await;
}

/// Does the work in a folder of its own, which is gone when this returns.
async fn in_scratch(ctx: &Context, job: &Running, spec: &JobSpec, work: Work) -> Outcome {
    let scratch = match ctx.scratch.attempt().await {
        Ok(scratch) => scratch,
        Err(error) => return Outcome::Failed(scratch::failure(&error)),
    };
    let outcome = match AssertUnwindSafe(work(ctx, job, spec, scratch.path())).catch_unwind().await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(failure)) => Outcome::Failed(failure),
        Err(_) => Outcome::Failed(Failure::new(FailureKind::Internal, "the worker panicked")),
    };
    scratch.remove().await;
    outcome
}

/// With yt-dlp and ffmpeg: a download, or a look at metadata.
pub fn by_programs<'a>(
    ctx: &'a Context,
    job: &'a Running,
    spec: &'a JobSpec,
    scratch: &'a Path,
) -> BoxFuture<'a, Result<Outcome, Failure>> {
    Box::pin(async move {
        match spec {
            JobSpec::Download(spec) => {
                let made = pipeline::download(ctx, job, spec, scratch).await?;
                Ok(Outcome::Made(Box::new(made)))
            }
            JobSpec::Metadata { url } => {
                pipeline::metadata(ctx, job, url, scratch).await?;
                Ok(Outcome::Found)
            }
        }
    })
}

async fn settle(ctx: &Context, job: &Running, leased: &Leased, outcome: Outcome, took: Duration) {
    let id = leased.lease.job;
    let (reason, lease) = (job.stop_reason(), &leased.lease);
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match (reason, outcome) {
        (Some(StopReason::LeaseLost), outcome) => {
            ctx.metrics.lost();
            tracing::warn!(job.id = %id, duration_ms, "job {id} was lost: somebody else has it, or it has ended");
            if let Outcome::Made(made) = outcome {
                // its name has this attempt's fence in it, so that nobody else's result goes
                ctx.discard_all(&made.artifact).await;
            }
        }
        // A result that is there already is worth completing, whoever wants the worker to stop.
        (None | Some(StopReason::Shutdown | StopReason::Cancelled), Outcome::Made(made)) => {
            complete(ctx, lease, *made, duration_ms).await;
        }
        (_, Outcome::Found) => match surely(|| ctx.store.found(lease)).await {
            Ok(_) => tracing::info!(job.id = %id, duration_ms, "job {id} done"),
            Err(error) => untold(ctx, id, &error),
        },
        (Some(StopReason::Shutdown), Outcome::Failed(_)) => {
            tracing::info!(job.id = %id, duration_ms, "job {id} goes back to the queue");
            if let Err(error) = surely(|| ctx.store.release(lease)).await {
                untold(ctx, id, &error);
            }
        }
        (None | Some(StopReason::Cancelled), Outcome::Failed(failure)) => {
            let delay = ctx.config.retry.delay(leased.attempt, failure.retry_after);
            match surely(|| ctx.store.fail(lease, &failure, delay)).await {
                Ok(Ended::Cancelled) => tracing::info!(job.id = %id, duration_ms, "job {id} was cancelled"),
                Ok(Ended::Waiting) => {
                    if lease.kind == Kind::Download {
                        ctx.metrics.retried(failure.kind);
                    }
                    let (code, detail) = (failure.kind.code(), &failure.detail);
                    let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                    tracing::warn!(job.id = %id, code, detail, duration_ms, delay_ms, "job {id} is tried again: {code}");
                }
                Ok(Ended::Failed) => {
                    if lease.kind == Kind::Download {
                        ctx.metrics.failed(failure.kind);
                    }
                    let (code, detail) = (failure.kind.code(), &failure.detail);
                    tracing::warn!(job.id = %id, code, detail, duration_ms, "job {id} has failed: {code}");
                }
                Err(error) => untold(ctx, id, &error),
            }
        }
    }
}

async fn complete(ctx: &Context, lease: &Lease, made: Made, duration_ms: u64) {
    let id = lease.job;
    let done = surely(|| ctx.store.complete(lease, &made.artifact, &made.stages)).await;
    match done {
        Ok(Done::Completed) => {
            let size_bytes = made.artifact.size_bytes;
            let (way, reason) = made.way.words();
            ctx.metrics.delivered(made.way);
            tracing::info!(job.id = %id, duration_ms, size_bytes, way, reason, "job {id} done");
        }
        Ok(Done::Cancelled) | Err(StoreError::LeaseLost) => {
            if done.is_err() {
                ctx.metrics.lost();
            }
            tracing::info!(job.id = %id, duration_ms, "job {id} is not wanted any more; its result is removed");
            ctx.discard_all(&made.artifact).await;
        }
        Err(error) => untold(ctx, id, &error),
    }
}

/// Logs that the store was not told. The lease then runs out, and the job is tried again.
fn untold(ctx: &Context, id: JobId, error: &StoreError) {
    match error {
        StoreError::LeaseLost => {
            ctx.metrics.lost();
            tracing::info!(job.id = %id, "job {id} had been taken by somebody else");
        }
        error => {
            let error = error as &dyn std::error::Error;
            tracing::error!(job.id = %id, error, "job {id} could not be settled; it is tried again when its lease runs out");
        }
    }
}
