//! A plan job: what a download of an order would fetch is written to the cache, a refusal too. No byte of the medium is fetched.
//!
//! It goes the way of a download as far as to its first byte, and refuses what that would refuse there. Not here: what is said
//! of what was found (`forecast`).

use std::path::Path;

use haul_shared::job::{Failure, PlanSpec};
use haul_shared::metadata::DownloadPlan;

use super::download::{Run, folder};
use super::metadata::{LONGEST, keep};
use super::{Limits, live};
use crate::board::Running;
use crate::context::Context;
use crate::forecast::forecast;
use crate::guard::Guard;
use crate::ytdlp::Live;

/// Plans a download, with an empty folder for scratch.
///
/// # Errors
/// Why nothing would be fetched, or nobody knows; that, too, is in the cache then, unless the job was stopped: the failure
/// has no meaning then.
pub async fn plan(
    ctx: &Context,
    (job, guard): (&Running, &Guard),
    order: &PlanSpec,
    scratch: &Path,
) -> Result<(), Failure> {
    let limits = Limits::new(ctx, (job, guard), LONGEST);
    let planned = async { Run::begin(limits, &order.download, scratch).await?.plan().await };
    let planned = planned.await.map_err(|failure| guard.explain(failure));
    keep(job, planned, async |finding| ctx.cache.put_plan(order, &finding).await).await
}

impl Run<'_> {
    async fn plan(&self) -> Result<DownloadPlan, Failure> {
        let (info, session) = self.extract(&folder(self.scratch, "download").await?).await?;
        session.end().await;
        let selection = self.choose(&info)?;
        self.wanted_texts(&info)?;
        if info.live == Live::Now {
            selection.formats(&info).try_for_each(|format| live::recorded_from(format).map(drop))?;
        }
        let segments = self.marked_segments(&info).await?;
        forecast(&info, &selection, &segments, self.spec)
    }
}
