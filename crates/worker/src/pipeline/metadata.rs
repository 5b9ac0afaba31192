//! A metadata job: what is at an address is written to the cache, a refusal too.

use std::path::Path;
use std::time::Duration;

use haul_shared::job::{Failure, FailureKind};
use haul_shared::metadata::{Finding, Look};

use super::Limits;
use crate::board::Running;
use crate::context::Context;
use crate::guard::Guard;

/// Somebody waits for the answer.
const LONGEST: Duration = Duration::from_secs(60);

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
    match find(&limits, look, scratch).await.map_err(|failure| guard.explain(failure)) {
        Ok(finding) => {
            let kept = ctx.cache.put(look, &finding).await;
            kept.map_err(|error| Failure::new(FailureKind::Internal, format!("the finding could not be kept: {error}")))
        }
        Err(failure) => {
            if !job.stop_token().is_cancelled() {
                // whoever waits is told by the job when the cache cannot tell
                let refused = Finding::Refused { kind: failure.kind, retry_after: failure.retry_after };
                let _ = ctx.cache.put(look, &refused).await;
            }
            Err(failure)
        }
    }
}

async fn find(limits: &Limits<'_>, look: &Look, scratch: &Path) -> Result<Finding, Failure> {
    let Look { url, cookies } = look;
    limits.judge(url)?;
    let jar = limits.step(limits.jar(cookies, url)).await?;
    let info = limits.ctx.ytdlp.with(jar).metadata(url, scratch, &limits.bounds_of_look()).await?;
    Ok(Finding::Found(Box::new(info.into_metadata())))
}
