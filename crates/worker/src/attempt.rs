//! One attempt at a job: run it, and tell the store what became of it.
//!
//! Whatever happens, a panic included, the attempt is settled once and its scratch is gone. What is written follows
//! from why it ended: completed, failed, cancelled, handed back, or, when the lease was lost, nothing at all.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable as _};
use futures::FutureExt as _;
use haul_shared::job::{Failure, FailureKind, JobSpec};
use haul_shared::store::{Done, Ended, Kind, Lease, Leased, StoreError};

use crate::board::{Running, StopReason};
use crate::context::Context;
use crate::pipeline::{self, Made};

/// Before a job that this version cannot read is offered again.
const SKEW_DELAY: Duration = Duration::from_secs(5);

/// How an attempt ended, as far as it knows itself.
enum Outcome {
    /// There is a verified result in the store of results.
    Made(Box<Made>),
    /// What was found is in the cache.
    Found,
    /// It ended without one.
    Failed(Failure),
}

/// Runs and settles one attempt.
pub async fn run(ctx: &Context, leased: Leased) {
    let entry = ctx.board.enter(leased.lease.clone());
    if leased.lease.kind == Kind::Download {
        ctx.metrics.waited(leased.waited);
    }
    let id = leased.lease.job;
    let Some(spec) = &leased.spec else {
        tracing::warn!(job.id = %id, "job {id} is of a form that this version does not know; handed back");
        told(ctx.store.defer(&leased.lease, SKEW_DELAY).await);
        return;
    };
    tracing::info!(job.id = %id, attempt = leased.attempt, "job {id} begins, attempt {}", leased.attempt);
    let began = Instant::now();
    let outcome = match AssertUnwindSafe(Box::pin(work(ctx, &entry, spec))).catch_unwind().await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(failure)) => Outcome::Failed(failure),
        Err(_) => Outcome::Failed(Failure::new(FailureKind::Internal, "the worker panicked")),
    };
    settle(ctx, &entry, &leased, outcome, began.elapsed()).await;
}

async fn work(ctx: &Context, job: &Running, spec: &JobSpec) -> Result<Outcome, Failure> {
    match spec {
        JobSpec::Download(spec) => pipeline::download(ctx, job, spec).await.map(|made| Outcome::Made(Box::new(made))),
        JobSpec::Metadata { url } => pipeline::metadata(ctx, job, url).await.map(|()| Outcome::Found),
    }
}

async fn settle(ctx: &Context, job: &Running, leased: &Leased, outcome: Outcome, took: Duration) {
    let id = leased.lease.job;
    let (reason, lease) = (job.stop_reason(), &leased.lease);
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match (reason, outcome) {
        (Some(StopReason::LeaseLost), _) => {
            tracing::warn!(job.id = %id, duration_ms, "job {id} was lost: somebody else has it, or it has ended");
        }
        // A result that is there already is worth completing, whoever wants the worker to stop.
        (None | Some(StopReason::Shutdown | StopReason::Cancelled), Outcome::Made(made)) => {
            complete(ctx, lease, *made, duration_ms).await;
        }
        (_, Outcome::Found) => told(surely(|| ctx.store.found(lease)).await.map(drop)),
        (Some(StopReason::Shutdown), Outcome::Failed(_)) => {
            tracing::info!(job.id = %id, duration_ms, "job {id} goes back to the queue");
            told(surely(|| ctx.store.release(lease)).await);
        }
        (None | Some(StopReason::Cancelled), Outcome::Failed(failure)) => {
            let delay = ctx.config.retry.delay(leased.attempt);
            match surely(|| ctx.store.fail(lease, &failure, delay)).await {
                Ok(Ended::Cancelled) => tracing::info!(job.id = %id, duration_ms, "job {id} was cancelled"),
                Ok(Ended::Waiting) => {
                    if lease.kind == Kind::Download {
                        ctx.metrics.retried(failure.kind);
                    }
                    let (code, detail) = (failure.kind.code(), &failure.detail);
                    tracing::warn!(job.id = %id, code, detail, duration_ms, "job {id} is tried again: {code}");
                }
                Ok(Ended::Failed) => {
                    if lease.kind == Kind::Download {
                        ctx.metrics.failed(failure.kind);
                    }
                    let (code, detail) = (failure.kind.code(), &failure.detail);
                    tracing::warn!(job.id = %id, code, detail, duration_ms, "job {id} has failed: {code}");
                }
                Err(error) => told(Err(error)),
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
            tracing::info!(job.id = %id, duration_ms, size_bytes, "job {id} done");
        }
        Ok(Done::Cancelled) | Err(StoreError::LeaseLost) => {
            tracing::info!(job.id = %id, duration_ms, "job {id} is not wanted any more; its result is removed");
            // Should this fail, the reservation has the object removed later.
            if let Err(error) = ctx.storage.delete(&made.artifact.object).await {
                tracing::warn!(job.id = %id, error = &error as &dyn std::error::Error, "a result could not be removed yet");
            }
        }
        Err(error) => told(Err(error)),
    }
}

/// Tries for minutes: an attempt may be worth hours, and its lease is renewed meanwhile or taken up again.
async fn surely<T, F: Future<Output = Result<T, StoreError>>>(call: impl FnMut() -> F) -> Result<T, StoreError> {
    let pause = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(5))
        .with_max_times(120)
        .with_jitter();
    call.retry(pause).when(|error| matches!(error, StoreError::Unavailable(_))).await
}

/// Logs what could not be told to the store. The lease then runs out, and the job is tried again.
fn told(result: Result<(), StoreError>) {
    match result {
        Ok(()) => {}
        Err(StoreError::LeaseLost) => tracing::info!("an attempt ended after somebody else had taken its job"),
        Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "an attempt could not be settled"),
    }
}
