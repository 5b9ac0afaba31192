//! A metadata job: what is at an address is written to the cache, a refusal too.

use std::time::Duration;

use haul_shared::job::{Failure, FailureKind};
use haul_shared::metadata::Finding;
use haul_shared::source::SourceUrl;

use super::Limits;
use crate::board::Running;
use crate::context::Context;

/// Somebody waits for the answer.
const LONGEST: Duration = Duration::from_secs(60);

/// Finds out what is at an address. Nothing is written when the job is stopped.
///
/// # Errors
/// Why nothing was found; that, too, is in the cache then.
pub async fn metadata(ctx: &Context, job: &Running, url: &SourceUrl) -> Result<(), Failure> {
    let limits = Limits::new(ctx, job, LONGEST);
    let found = find(&limits, url).await;
    if job.stop_token().is_cancelled() {
        return found.map(drop);
    }
    let finding = match &found {
        Ok(finding) => finding.clone(),
        Err(failure) => Finding::Refused(failure.kind),
    };
    let kept = ctx.cache.put(url, &finding).await;
    found?;
    kept.map_err(|error| Failure::new(FailureKind::Internal, format!("the finding could not be kept: {error}")))
}

async fn find(limits: &Limits<'_>, url: &SourceUrl) -> Result<Finding, Failure> {
    limits.step(limits.judge(url)).await?;
    let scratch = limits.scratch()?;
    let info = limits.ctx.ytdlp.metadata(url, scratch.path(), &limits.bounds()).await?;
    Ok(Finding::Found(Box::new(info.into_metadata())))
}
