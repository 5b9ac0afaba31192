//! A metadata job: what is at an address is written to the cache, a refusal too.
//!
//! Also here: how such a job ends, which plans have in common with it.

use std::path::Path;
use std::time::Duration;

use haul_shared::job::{Failure, FailureKind};
use haul_shared::metadata::{Finding, Look, Metadata};
use haul_shared::store::StoreError;

use super::Limits;
use crate::board::Running;
use crate::context::Context;
use crate::guard::Guard;

/// Somebody waits for the answer.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// Finds out what is at an address, with an empty folder for scratch.
///
/// # Errors
/// Why nothing was found; that, too, is in the cache then, unless the job was stopped: the failure has no meaning then.
pub async fn metadata(
    ctx: &Context,
    (job, guard): (&Running, &Guard),
    look: &Look,
    scratch: &Path,
) -> Result<(), Failure> {
    let limits = Limits::new(ctx, (job, guard), LONGEST);
    let found = find(&limits, look, scratch).await.map_err(|failure| guard.explain(failure));
    keep(job, found, async |finding| ctx.cache.put(look, &finding).await).await
}

/// Keeps what a job has found, or why it found nothing, unless the job was stopped.
///
/// # Errors
/// That nothing was found, or could be kept.
pub(super) async fn keep<T>(
    job: &Running,
    found: Result<T, Failure>,
    put: impl AsyncFnOnce(Finding<T>) -> Result<(), StoreError>,
) -> Result<(), Failure> {
    match found {
        Ok(found) => put(Finding::Found(Box::new(found))).await.map_err(|error| not_kept("finding", &error)),
        Err(failure) => {
            if !job.stop_token().is_cancelled() {
                // whoever waits is told by the job when the cache cannot tell
                let _ = put(Finding::Refused { kind: failure.kind, retry_after: failure.retry_after }).await;
            }
            Err(failure)
        }
    }
}

/// The cache is away, and with it the way to whoever waits: they are told to come back.
pub(super) fn not_kept(what: &str, error: &StoreError) -> Failure {
    Failure::new(FailureKind::StorageUnavailable, format!("the {what} could not be kept: {error}"))
}

async fn find(limits: &Limits<'_>, look: &Look, scratch: &Path) -> Result<Metadata, Failure> {
    let Look { url, cookies, first } = look;
    limits.judge(url)?;
    let jar = limits.step(limits.jar(cookies, url)).await?;
    let info = limits.ctx.ytdlp.with(jar).metadata(url, *first, scratch, &limits.bounds_of_look()).await?;
    Ok(info.into_metadata())
}
