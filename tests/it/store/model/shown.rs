//! What store and model are compared by: a job as a ticket shows it, and what became of a submission. No times: those are
//! the store's own.

use super::*;

/// A job as the holder of one ticket sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    pub(super) ticket: Ticket,
    pub(super) region: Region,
    pub(super) state: StateKind,
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    pub(super) has_started: bool,
    pub(super) worker: Option<WorkerId>,
    pub(super) failure: Option<FailureKind>,
    pub(super) percent: Option<u8>,
    pub(super) result: Option<ObjectKey>,
}

/// What became of a submission.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Accepted(Shown),
    Reused(Shown),
    Replayed(Shown),
    Conflict,
    RateLimited,
    QueueFull,
    ClientQueueFull,
    QuotaSpent,
    NotRetryable,
    Gone,
}

impl From<&Job> for Shown {
    fn from(job: &Job) -> Self {
        let (mut worker, mut failure, mut result) = (None, None, None);
        match &job.state {
            JobState::Queued { .. } | JobState::Found { .. } | JobState::Cancelled { .. } => {}
            JobState::Waiting { last, .. } => failure = last.as_ref().map(|last| last.kind),
            JobState::Running { worker: who } => worker = Some(who.clone()),
            JobState::Completed { artifact, .. } => result = Some(artifact.object.clone()),
            JobState::Failed { failure: why, .. } => failure = Some(why.kind),
            JobState::Expired { artifact, .. } => result = artifact.as_ref().map(|artifact| artifact.object.clone()),
        }
        Self {
            ticket: job.ticket,
            region: job.region.clone(),
            state: job.state.kind(),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            has_started: job.started.is_some(),
            worker,
            failure,
            percent: job.progress.map(percent),
            result,
        }
    }
}

impl From<Submitted> for Answer {
    fn from(answer: Submitted) -> Self {
        match answer {
            Submitted::Accepted(job) => Self::Accepted((&*job).into()),
            Submitted::Reused(job) => Self::Reused((&*job).into()),
            Submitted::Replayed(job) => Self::Replayed((&*job).into()),
            Submitted::IdempotencyConflict => Self::Conflict,
            Submitted::RateLimited { .. } => Self::RateLimited,
            Submitted::QueueFull { .. } => Self::QueueFull,
            Submitted::ClientQueueFull { .. } => Self::ClientQueueFull,
            Submitted::QuotaSpent { .. } => Self::QuotaSpent,
            Submitted::NotRetryable => Self::NotRetryable,
            Submitted::Gone => Self::Gone,
        }
    }
}
