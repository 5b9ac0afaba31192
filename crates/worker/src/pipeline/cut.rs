//! Which part of the downloaded files becomes the result.
//!
//! A clip begins at the last key frame at or before its start, where its picture can be copied; an exact one begins at
//! its start, and is coded anew unless that is a key frame. Sound is never coded anew for a cut.

use haul_shared::job::{Failure, FailureKind};
use haul_shared::media::Clip;

use super::download::Run;
use crate::ffmpeg::clip;
use crate::select::{Cut, Plan, Seen};
use crate::sponsorblock::Kept;
use crate::ytdlp::{DownloadedFile, Info, Live};

impl Run<'_> {
    /// Refuses a clip of which nothing is in the medium, as far as its length is known.
    pub(super) fn check_clip(&self, seconds: Option<f64>) -> Result<(), Failure> {
        self.spec.clip.map_or(Ok(()), |clip| begins(clip, seconds))
    }

    /// The plan for the part that was asked for.
    pub(super) async fn cut(
        &self,
        (info, kept): (&Info, Option<&Kept>),
        plan: Plan,
        files: &[DownloadedFile],
        seen: &[Seen],
    ) -> Result<Plan, Failure> {
        // whole segments were recorded
        let most = self.spec.live_seconds.filter(|_| info.live == Live::Now).map(f64::from);
        let asked = self.spec.clip.or_else(|| most.map(|_| Clip { start: 0.0, end: most, exact: false }));
        let Some(asked) = asked else { return Ok(plan) };
        // its times are those of the whole medium
        let nothing = || Failure::new(FailureKind::FormatUnavailable, "all of the clip was left out");
        let clip = kept.map_or(Some(asked), |kept| kept.clip(asked)).ok_or_else(nothing)?;
        let whole = plan.whole_seconds(seen);
        begins(clip, whole)?;
        // an end beyond the medium's is its end
        let to = clip.end.into_iter().chain(most).reduce(f64::min).filter(|to| whole.is_none_or(|whole| *to < whole));
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
        Ok(Plan { cut: Some(Cut { from, to, recode }), untouched: false, ..plan })
    }
}

/// A clip begins before the end of a medium of this length.
fn begins(clip: Clip, seconds: Option<f64>) -> Result<(), Failure> {
    if seconds.is_some_and(|seconds| clip.start > 0.0 && clip.start >= seconds) {
        return Err(Failure::new(FailureKind::FormatUnavailable, "the medium ends before the clip begins"));
    }
    Ok(())
}
