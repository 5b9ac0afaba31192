//! Which part of the downloaded files becomes the result.
//!
//! A clip begins at the last key frame at or before its start, where its picture can be copied; an exact one begins at
//! its start, and is coded anew unless that is a key frame. Sound is never coded anew for a cut.

use haul_shared::job::{Failure, FailureKind};

use super::download::Run;
use crate::ffmpeg::clip;
use crate::select::{Cut, Plan, Seen};
use crate::ytdlp::DownloadedFile;

impl Run<'_> {
    /// Refuses a clip of which nothing is in the medium, as far as its length is known.
    pub(super) fn check_clip(&self, seconds: Option<f64>) -> Result<(), Failure> {
        let start = self.spec.clip.map_or(0.0, |clip| clip.start);
        if seconds.is_some_and(|seconds| start > 0.0 && start >= seconds) {
            return Err(Failure::new(FailureKind::FormatUnavailable, "the medium ends before the clip begins"));
        }
        Ok(())
    }

    /// The plan for the part that was asked for.
    pub(super) async fn cut(&self, plan: Plan, files: &[DownloadedFile], seen: &[Seen]) -> Result<Plan, Failure> {
        let Some(clip) = self.spec.clip else { return Ok(plan) };
        self.check_clip(plan.whole_seconds(seen))?;
        let picture = plan.video.and_then(|video| Some((video, files.get(video.input)?, seen.get(video.input)?)));
        let key = match picture {
            Some((video, file, seen)) if clip.start > 0.0 => {
                let of = (file.path.as_path(), seen.container, video.index);
                self.ctx.ffmpeg.key_frame(of, seen.probe.start, clip.start, &self.limits.watch()).await?
            }
            _ => clip.start,
        };
        let recode = clip.exact && !clip::is_same(key, clip.start);
        let from = if recode { clip.start } else { key };
        Ok(Plan { cut: Some(Cut { from, to: clip.end, recode }), untouched: false, ..plan })
    }
}
