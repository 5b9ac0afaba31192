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
use haul_shared::job::{Failure, FailureKind, JobSpec, StateKind};
use haul_shared::metadata::Look;
use haul_shared::storage::ObjectKey;
use haul_shared::store::{Course, Done, Ended, Kind, Lease, Leased, StoreError};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::board::{Running, StopReason};
use crate::context::Context;
use crate::guard::{Guard, Tally};
use crate::insist::surely;
use crate::pipeline::{self, Made};
use crate::scratch::{self, Folder, Quota};
use crate::spans;
use crate::thumbnails::{self, Fate, Sitting, Subject};

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
pub type Work =
    for<'a> fn(&'a Context, (&'a Running, &'a Guard), &'a JobSpec, &'a Path) -> BoxFuture<'a, Result<Outcome, Failure>>;

/// Runs and settles one attempt. What is left to do for a completed job needs no slot.
pub async fn run(ctx: &Context, leased: Leased, work: Work) -> Option<Sitting> {
    let span = spans::attempt(&leased);
    begin(ctx, leased, work).instrument(span).await
}

async fn begin(ctx: &Context, leased: Leased, work: Work) -> Option<Sitting> {
    let entry = ctx.board.enter(leased.lease.clone(), (leased.attempt, leased.max_attempts), leased.reached);
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
        return None;
    };
    tracing::info!(job.id = %id, attempt = leased.attempt, "job {id} begins, attempt {}", leased.attempt);
    let began = Instant::now();
    let halt = entry.stop_token().child_token();
    let guard = match spec {
        JobSpec::Download(_) => ctx.guards.attempt(&halt),
        JobSpec::Metadata { .. } | JobSpec::Picture(_) | JobSpec::Plan(_) => ctx.guards.look(&halt),
    };
    let (outcome, scratch) = in_scratch(ctx, (&entry, &guard), spec, (work, halt)).await;
    settle(ctx, &entry, &leased, (outcome, scratch), (began.elapsed(), guard.tally())).await
}

/// Does the work in a folder of its own. All that is left of it is what a thumbnail is made of.
async fn in_scratch(
    ctx: &Context,
    held: (&Running, &Guard),
    spec: &JobSpec,
    (work, halt): (Work, CancellationToken),
) -> (Outcome, Option<Folder>) {
    let scratch = match ctx.scratch.attempt().await {
        Ok(scratch) => scratch,
        Err(error) => return (Outcome::Failed(scratch::failure(&error)), None),
    };
    let outcome = within_quota(ctx, scratch.path(), work(ctx, held, spec, scratch.path()), halt).await;
    match &outcome {
        Outcome::Made(made) if !made.subject.is_nothing() => {
            scratch.keep_only(pipeline::PICTURES).await;
            (outcome, Some(scratch))
        }
        Outcome::Made(_) | Outcome::Found | Outcome::Failed(_) => {
            scratch.remove().await;
            (outcome, None)
        }
    }
}

/// Does the work as long as its folder holds no more than it may.
async fn within_quota(
    ctx: &Context,
    scratch: &Path,
    work: BoxFuture<'_, Result<Outcome, Failure>>,
    halt: CancellationToken,
) -> Outcome {
    let quota = Quota::of(ctx.config.limits.max_file_bytes);
    let mut working = AssertUnwindSafe(work).catch_unwind();
    let (ended, over) = tokio::select! {
        biased;
        ended = &mut working => (ended, None),
        over = quota.exceeded(scratch) => {
            // its programs are ended in order, so that nobody writes any more
            halt.cancel();
            (working.await, Some(over))
        }
    };
    match (ended, over) {
        (Ok(Ok(outcome)), _) => outcome,
        (_, Some(over)) => Outcome::Failed(over),
        (Ok(Err(failure)), None) => Outcome::Failed(failure),
        (Err(_), None) => Outcome::Failed(Failure::new(FailureKind::Internal, "the worker panicked")),
    }
}

/// With yt-dlp and ffmpeg: a download, a look at metadata, a picture of it, or a plan.
pub fn by_programs<'a>(
    ctx: &'a Context,
    held: (&'a Running, &'a Guard),
    spec: &'a JobSpec,
    scratch: &'a Path,
) -> BoxFuture<'a, Result<Outcome, Failure>> {
    Box::pin(async move {
        match spec {
            JobSpec::Download(spec) => {
                let made = pipeline::download(ctx, held, spec, scratch).await?;
                Ok(Outcome::Made(Box::new(made)))
            }
            JobSpec::Metadata { url, cookies, first } => {
                let look = Look { url: url.clone(), cookies: cookies.clone(), first: *first };
                pipeline::metadata(ctx, held, &look, scratch).await?;
                Ok(Outcome::Found)
            }
            JobSpec::Picture(order) => {
                pipeline::picture(ctx, held, order, scratch).await?;
                Ok(Outcome::Found)
            }
            JobSpec::Plan(order) => {
                pipeline::plan(ctx, held, order, scratch).await?;
                Ok(Outcome::Found)
            }
        }
    })
}

async fn settle(
    ctx: &Context,
    job: &Running,
    leased: &Leased,
    (outcome, scratch): (Outcome, Option<Folder>),
    (took, passed): (Duration, Tally),
) -> Option<Sitting> {
    let id = leased.lease.job;
    let (reason, lease, ytdlp) = (job.stop_reason(), &leased.lease, leased.ytdlp.as_deref());
    let had = |status| {
        if lease.kind == Kind::Download {
            ctx.metrics.had(status, took);
        }
    };
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let Tally { received_bytes, sent_bytes, requests, refused } = passed;
    match (reason, outcome) {
        (Some(StopReason::LeaseLost), outcome) => {
            ctx.metrics.lost();
            spans::ended("lost");
            tracing::warn!(job.id = %id, duration_ms, "job {id} was lost: somebody else has it, or it has ended");
            if let Outcome::Made(made) = outcome {
                // its name has this attempt's fence in it, so that nobody else's result goes
                ctx.discard_all(&made.artifact).await;
            }
            if let Some(scratch) = scratch {
                scratch.remove().await;
            }
        }
        // A result that is there already is worth completing, whoever wants the worker to stop.
        (None | Some(StopReason::Shutdown | StopReason::Cancelled), Outcome::Made(made)) => {
            return complete(ctx, leased, (*made, scratch), (took, passed)).await;
        }
        (_, Outcome::Found) => match surely(|| ctx.store.found(lease)).await {
            Ok(_) => {
                spans::ended("found");
                tracing::info!(
                    job.id = %id, ytdlp, duration_ms, received_bytes, sent_bytes, requests, refused,
                    "job {id} done"
                );
            }
            Err(error) => untold(ctx, id, &error),
        },
        (Some(StopReason::Shutdown), Outcome::Failed(_)) => {
            spans::ended("released");
            tracing::info!(job.id = %id, duration_ms, "job {id} goes back to the queue");
            match surely(|| ctx.store.release(lease)).await {
                Ok(_) => had(StateKind::Queued),
                Err(error) => untold(ctx, id, &error),
            }
        }
        (None | Some(StopReason::Cancelled), Outcome::Failed(failure)) => {
            let may_be_the_store = matches!(failure.kind, FailureKind::StorageUnavailable | FailureKind::DiskFull);
            if lease.kind == Kind::Download && may_be_the_store {
                ctx.storage_watch.failed().await;
            }
            let delay = ctx.config.retry.delay(leased.attempt, failure.retry_after);
            match surely(|| ctx.store.fail(lease, &failure, delay)).await {
                Ok(Ended::Cancelled) => {
                    had(StateKind::Cancelled);
                    spans::ended("cancelled");
                    tracing::info!(
                        job.id = %id, ytdlp, duration_ms, received_bytes, sent_bytes, requests, refused,
                        "job {id} was cancelled"
                    );
                }
                Ok(Ended::Waiting) => {
                    had(StateKind::Queued);
                    spans::failed("retried", failure.kind);
                    if lease.kind == Kind::Download {
                        ctx.metrics.retried(failure.kind);
                    }
                    let (code, detail) = (failure.kind.code(), &failure.detail);
                    let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                    tracing::warn!(
                        job.id = %id, ytdlp, code, detail, duration_ms, delay_ms,
                        received_bytes, sent_bytes, requests, refused,
                        "job {id} is tried again: {code}"
                    );
                }
                Ok(Ended::Failed) => {
                    had(StateKind::Failed);
                    spans::failed("failed", failure.kind);
                    if lease.kind == Kind::Download {
                        ctx.metrics.failed(failure.kind);
                    }
                    let (code, detail) = (failure.kind.code(), &failure.detail);
                    tracing::warn!(
                        job.id = %id, ytdlp, code, detail, duration_ms, received_bytes, sent_bytes, requests, refused,
                        "job {id} has failed: {code}"
                    );
                }
                Err(error) => untold(ctx, id, &error),
            }
        }
    }
    None
}

async fn complete(
    ctx: &Context,
    leased: &Leased,
    (made, scratch): (Made, Option<Folder>),
    (took, passed): (Duration, Tally),
) -> Option<Sitting> {
    let (lease, ytdlp) = (&leased.lease, leased.ytdlp.as_deref());
    let id = lease.job;
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let Tally { received_bytes, sent_bytes, requests, refused } = passed;
    let sitting = sitting(ctx, lease, (made.artifact.object.thumbnail(), made.subject), scratch).await;
    let within = sitting.as_ref().map_or(Duration::ZERO, |_| thumbnails::COMING);
    let course =
        Course { stages: &made.stages, thumbnail_within: within, own_extractor: made.own_extractor.as_deref() };
    let complete = || ctx.store.complete_after(lease, &made.artifact, course);
    let done = surely(complete).await;
    match done {
        Ok(Done::Completed) => {
            let size_bytes = made.artifact.size_bytes;
            let (way, reason) = made.way.words();
            ctx.metrics.delivered(made.way);
            ctx.metrics.had(StateKind::Completed, took);
            spans::completed(made.way);
            tracing::info!(
                job.id = %id, ytdlp, duration_ms, size_bytes, way, reason, received_bytes, sent_bytes, requests, refused,
                "job {id} done"
            );
            return sitting;
        }
        Ok(Done::Cancelled) | Err(StoreError::LeaseLost) => {
            match done {
                Ok(_) => ctx.metrics.had(StateKind::Cancelled, took),
                Err(_) => ctx.metrics.lost(),
            }
            spans::ended("unwanted");
            tracing::info!(job.id = %id, duration_ms, "job {id} is not wanted any more; its result is removed");
            ctx.discard_all(&made.artifact).await;
        }
        Err(error) => untold(ctx, id, &error),
    }
    if let Some(sitting) = sitting {
        sitting.folder.remove().await;
    }
    None
}

/// What will be done for the thumbnail of a result, once its job is completed.
async fn sitting(
    ctx: &Context,
    lease: &Lease,
    (object, subject): (ObjectKey, Subject),
    scratch: Option<Folder>,
) -> Option<Sitting> {
    let (id, folder) = (lease.job, scratch?);
    let Some(place) = ctx.thumbnails.place(subject.bytes().await) else {
        ctx.metrics.thumbnail(Fate::Crowded);
        tracing::warn!(job.id = %id, "job {id} gets no thumbnail: too many others are still to be made");
        folder.remove().await;
        return None;
    };
    Some(Sitting { lease: lease.clone(), object, subject, folder, place, span: spans::thumbnail() })
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
