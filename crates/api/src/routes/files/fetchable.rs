//! Whether there is a result, or why there is none.

use std::time::Duration;

use haul_shared::job::{Artifact, Job, JobState};
use jiff::Timestamp;

use crate::error::{ApiError, ApiResult, Code};

/// A result that is there.
pub(crate) struct Fetchable<'a> {
    pub(crate) artifact: &'a Artifact,
    pub(super) finished: Timestamp,
    /// Until it expires.
    pub(super) left: Duration,
}

impl<'a> Fetchable<'a> {
    /// The result of a job, or why there is none.
    pub(crate) fn of(job: &'a Job) -> ApiResult<Self> {
        match &job.state {
            JobState::Queued { .. } | JobState::Waiting { .. } | JobState::Running { .. } => {
                Err(ApiError::new(Code::NotReady))
            }
            JobState::Found { .. } => Err(ApiError::new(Code::NotFound)),
            JobState::Failed { failure, .. } => Err(ApiError::no_result(failure.kind)),
            JobState::Cancelled { .. } => Err(ApiError::new(Code::Cancelled)),
            JobState::Expired { .. } => Err(ApiError::new(Code::Expired)),
            JobState::Completed { artifact, finished, expires } => {
                let left = Duration::try_from(expires.duration_since(Timestamp::now())).unwrap_or_default();
                if left.is_zero() {
                    return Err(ApiError::new(Code::Expired));
                }
                Ok(Self { artifact, finished: *finished, left })
            }
        }
    }
}
