//! The spans of a job's trace that a worker makes: attempts, their stages and programs, and what comes after them.
//!
//! All of them are children of the request that the job comes from, or of one another; of a job whose trace is not kept
//! nothing is. Programs are children of the attempt: they work across its stages.

use haul_shared::job::{FailureKind, Stage};
use haul_shared::store::{Lane, Leased, Telling};
use haul_shared::trace::{TARGET, adopt, here};
use tracing::Span;
use tracing::field::Empty;

use crate::way::Way;

/// One attempt at a job.
pub(crate) fn attempt(leased: &Leased) -> Span {
    let span = tracing::info_span!(
        target: TARGET, "job", otel.kind = "consumer",
        job.id = %leased.lease.job, job.kind = leased.lease.kind.word(), job.region = %leased.lane.region,
        job.priority = Lane::word(leased.lane.priority),
        job.attempt = leased.attempt, job.waited_seconds = leased.waited.as_secs_f64(),
        job.extractor = Empty, job.outcome = Empty, job.delivery = Empty, job.delivery_reason = Empty,
        error.type = Empty, otel.status_code = Empty,
    );
    if let Some(asked) = leased.trace {
        adopt(&span, asked);
    }
    span
}

/// The attempt that is worked in has ended so.
pub(crate) fn ended(outcome: &'static str) {
    Span::current().record("job.outcome", outcome);
}

/// The attempt that is worked in has made a result.
pub(crate) fn completed(way: Way) {
    let (way, reason) = way.words();
    ended("completed");
    Span::current().record("job.delivery", way).record("job.delivery_reason", reason);
}

/// The attempt that is worked in has failed, for this reason.
pub(crate) fn failed(outcome: &'static str, kind: FailureKind) {
    ended(outcome);
    Span::current().record("error.type", kind.code()).record("otel.status_code", "ERROR");
}

/// A stage of an attempt.
pub(crate) fn stage(attempt: &Span, stage: Stage) -> Span {
    tracing::info_span!(target: TARGET, parent: attempt, "stage", otel.name = stage.word())
}

/// A run of a program.
pub(crate) fn program(name: &str) -> Span {
    tracing::info_span!(
        target: TARGET, "program", otel.name = name, process.executable.name = name, program.ended = Empty,
    )
}

/// The thumbnail of a result, made once its job is completed: for `tracing` no child of the attempt that is worked in, which
/// would not be told before its children have ended.
pub(crate) fn thumbnail() -> Span {
    let span = tracing::info_span!(target: TARGET, parent: None, "thumbnail", thumbnail.fate = Empty);
    if let Some(attempt) = here() {
        adopt(&span, attempt);
    }
    span
}

/// An end that is told to a receiver. That is not told of the trace: it is a stranger.
pub(crate) fn webhook(telling: &Telling) -> Span {
    let span = tracing::info_span!(
        target: TARGET, "webhook", otel.kind = "client", webhook.message = telling.message, webhook.failures = telling.failures,
        http.response.status_code = Empty, error.type = Empty, otel.status_code = Empty, webhook.fate = Empty,
    );
    if let Some(asked) = telling.job.trace {
        adopt(&span, asked);
    }
    span
}

/// What became of it.
pub(crate) fn told(webhook: &Span, status: Option<u16>, error: Option<&'static str>, fate: &'static str) {
    webhook.record("http.response.status_code", status).record("webhook.fate", fate);
    if let Some(error) = error {
        webhook.record("error.type", error).record("otel.status_code", "ERROR");
    }
}
