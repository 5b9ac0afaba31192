//! `SponsorBlock`: segments that people have marked become chapters, or are left out.
//!
//! Only media of `YouTube` have any. A segment is left out by copying what is around it: what follows begins at the last key
//! frame before the segment's end, so that nothing else is lost and a moment of it may stay. When the service can't be
//! asked, the job goes on without, unless something was to be left out of a strict request.

use std::path::Path;
use std::time::Duration;

use haul_shared::job::{Failure, FailureKind};
use haul_shared::media::Fallback;

use super::download::Run;
use crate::ffmpeg::parts::can_be_parted;
use crate::origin::Asker;
use crate::select::Seen;
use crate::small::{self, NotFetched};
use crate::sponsorblock::{self, Kept, Segment};
use crate::ytdlp::{DownloadedFile, Info};

const ANSWER: small::Bounds = small::Bounds { bytes: 4 << 20, wall: Duration::from_secs(10) };
/// By yt-dlp's name.
const SITE: &str = "youtube";

impl Run<'_> {
    /// The segments of a medium, of the kinds that were asked for.
    pub(super) async fn marked_segments(&self, info: &Info) -> Result<Vec<Segment>, Failure> {
        let asked = &self.spec.sponsorblock;
        let id = info.id.as_deref().filter(|_| info.extractor.as_deref() == Some(SITE));
        let (false, Some(id)) = (asked.is_nothing(), id) else { return Ok(Vec::new()) };
        let config = &self.ctx.config;
        let address = sponsorblock::address(config.sponsorblock_api.as_str(), id, asked);
        let guard = self.limits.guard.for_what_is_optional();
        let nobody = Asker::default();
        let fetched = small::fetch(&guard, &nobody, &address, ANSWER);
        let read = match self.limits.step(async { Ok(fetched.await) }).await? {
            Ok(json) => sponsorblock::read(&json, id).ok_or_else(|| "its answer can't be read".to_owned()),
            // it knows none
            Err(NotFetched::Status(404)) => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(segments) => Ok(segments),
            Err(why) if self.spec.fallback == Fallback::Strict && !asked.remove.is_empty() => {
                Err(Failure::new(FailureKind::Network, format!("sponsorblock: {why}")))
            }
            Err(why) => {
                let id = self.job.lease().job;
                tracing::warn!(job.id = %id, "job {id} goes on without sponsorblock: {why}");
                Ok(Vec::new())
            }
        }
    }

    /// What stays of the medium; `None`: all of it.
    pub(super) async fn kept(
        &self,
        segments: &[Segment],
        files: &[DownloadedFile],
        seen: &[Seen],
    ) -> Result<Option<Kept>, Failure> {
        let removed = sponsorblock::parts(segments, &self.spec.sponsorblock.remove);
        if removed.is_empty() || !seen.iter().all(|seen| can_be_parted(seen.container)) {
            return Ok(None);
        }
        let whole = seconds(seen);
        let picture = files.iter().zip(seen).find_map(|(file, seen)| Some((file, seen, seen.probe.video.as_ref()?)));
        let mut ends: Vec<f64> = removed.iter().map(|(_, to)| *to).collect();
        if let Some((file, seen, video)) = picture {
            // one look at the file for all of them: there may be hundreds
            let of = (file.path.as_path(), seen.container, video.index);
            ends = self.ctx.ffmpeg.key_frames(of, seen.probe.start, &ends, &self.limits.watch()).await?;
        }
        let parts = removed.iter().zip(ends).map(|((from, to), key)| (*from, if *to < whole { key } else { whole }));
        Ok(Kept::without(&parts.collect::<Vec<_>>(), whole))
    }

    /// The files without what is left out.
    pub(super) async fn leave_out(
        &self,
        kept: &Kept,
        files: &[DownloadedFile],
        seen: &[Seen],
        dir: &Path,
    ) -> Result<Vec<DownloadedFile>, Failure> {
        let mut left = Vec::new();
        for (at, (file, seen)) in files.iter().zip(seen).enumerate() {
            let path = dir.join(format!("kept-{at}.mkv"));
            let of = (file.path.as_path(), seen.container, seen.probe.start);
            self.ctx.ffmpeg.parts(of, &kept.0, &path, &self.limits.watch()).await?;
            left.push(DownloadedFile { path, seconds: None, ..file.clone() });
        }
        Ok(left)
    }

    /// What is known of the medium, with marks among its chapters, and as it is without what is left out.
    pub(super) fn marked(&self, info: Info, segments: &[Segment], kept: Option<&Kept>, seen: &[Seen]) -> Info {
        let whole = seconds(seen);
        let marks: Vec<Segment> =
            segments.iter().filter(|segment| self.spec.sponsorblock.mark.contains(&segment.kind)).cloned().collect();
        let site = if self.spec.embed_chapters { info.chapters.clone() } else { Vec::new() };
        let mut chapters = match marks.is_empty() {
            true => site,
            false => sponsorblock::chapters(&site, &marks, info.title.as_deref(), whole),
        };
        let mut duration_seconds = info.duration_seconds;
        if let Some(kept) = kept {
            chapters = kept.chapters(&chapters);
            duration_seconds = None;
        }
        Info { chapters, duration_seconds, ..info }
    }
}

/// How long the medium plays.
fn seconds(seen: &[Seen]) -> f64 {
    seen.iter().map(|seen| seen.duration).fold(0.0, f64::max)
}
