//! A metadata job: what is at an address is written to the cache, a refusal too.

use std::path::Path;
use std::time::Duration;

use haul_shared::job::{Failure, FailureKind};
use haul_shared::metadata::Finding;
use haul_shared::source::SourceUrl;

use super::Limits;
use crate::board::Running;
use crate::context::Context;

/// Somebody waits for the answer.
const LONGEST: Duration = Duration::from_secs(60);

/// Finds out what is at an address, with an empty folder for scratch.
///
/// # Errors
/// Why nothing was found; that, too, is in the cache then, unless the job was stopped: the failure has no meaning then.
pub async fn metadata(ctx: &Context, job: &Running, url: &SourceUrl, scratch: &Path) -> Result<(), Failure> {
    let limits = Limits::new(ctx, job, LONGEST);
    match find(&limits, url, scratch).await {
        Ok(finding) => {
            let kept = ctx.cache.put(url, &finding).await;
            kept.map_err(|error| Failure::new(FailureKind::Internal, format!("the finding could not be kept: {error}")))
        }
        Err(failure) => {
            if !job.stop_token().is_cancelled() {
                // whoever waits is told by the job when the cache cannot tell
                let refused = Finding::Refused { kind: failure.kind, retry_after: failure.retry_after };
                let _ = ctx.cache.put(url, &refused).await;
            }
            Err(failure)
        }
    }
}

async fn find(limits: &Limits<'_>, url: &SourceUrl, scratch: &Path) -> Result<Finding, Failure> {
    limits.step(limits.judge(url)).await?;
    let info = limits.ctx.ytdlp.metadata(url, scratch, &limits.bounds()).await?;
    Ok(Finding::Found(Box::new(info.into_metadata())))
}
