//! Which part of the downloaded files becomes the result.
//!
//! A clip begins at the last key frame at or before its start, where its picture can be copied; an exact one begins at
//! its start, and is coded anew unless that is a key frame. Sound is never coded anew for a cut.

use haul_shared::job::Failure;

use super::download::Run;
use crate::ffmpeg::clip;
use crate::part;
use crate::select::{Cut, Plan, Seen};
use crate::sponsorblock::Kept;
use crate::ytdlp::{DownloadedFile, Info};

impl Run<'_> {
    /// Refuses a clip of which nothing is in the medium, as far as its length is known.
    pub(super) fn check_clip(&self, seconds: Option<f64>) -> Result<(), Failure> {
        self.spec.clip.map_or(Ok(()), |clip| part::begins(clip, seconds))
    }

    /// The plan for the part that was asked for.
    pub(super) async fn cut(
        &self,
        (info, kept): (&Info, Option<&Kept>),
        plan: Plan,
        files: &[DownloadedFile],
        seen: &[Seen],
    ) -> Result<Plan, Failure> {
        let asked = part::part(self.spec, info.live, kept, plan.whole_seconds(seen))?;
        let Some(clip) = asked else { return Ok(plan) };
        let picture = plan.video.and_then(|video| Some((video, files.get(video.input)?, seen.get(video.input)?)));
        let key = match picture {
            Some((video, file, seen)) if clip.start > 0.0 => {
                let of = (file.path.as_path(), seen.container, video.index);
                self.ctx.ffmpeg.key_frame(of, seen.probe.start, clip.start, &self.limits.watch()).await?
            }
            _ => clip.start,
        };
        let recode = part::may_be_coded_anew(clip) && !clip::is_same(key, clip.start);
        let from = if recode { clip.start } else { key };
        Ok(Plan { cut: Some(Cut { from, to: clip.end, recode }), untouched: false, ..plan })
    }
}
