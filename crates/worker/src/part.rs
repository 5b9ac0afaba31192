//! Which part of a medium becomes the result, in time.
//!
//! Pure: by what was asked, and by how long the medium plays. Not here: where a picture can be cut (`pipeline::cut`).

use haul_shared::job::{DownloadSpec, Failure, FailureKind};
use haul_shared::media::Clip;

use crate::sponsorblock::Kept;
use crate::ytdlp::Live;

/// The part that was asked for, as it comes once only this is `kept` of the medium, and ends at the medium's end; `None`: all
/// of it. `whole`: how long that plays, in seconds, if it is known.
///
/// # Errors
/// `format_unavailable`: nothing of it is there.
pub fn part(spec: &DownloadSpec, live: Live, kept: Option<&Kept>, whole: Option<f64>) -> Result<Option<Clip>, Failure> {
    // whole segments are recorded
    let most = spec.live_seconds.filter(|_| live == Live::Now).map(f64::from);
    let asked = spec.clip.or_else(|| most.map(|_| Clip { start: 0.0, end: most, exact: false }));
    let Some(asked) = asked else { return Ok(None) };
    // its times are those of the whole medium
    let nothing = || Failure::new(FailureKind::FormatUnavailable, "all of the clip was left out");
    let clip = kept.map_or(Some(asked), |kept| kept.clip(asked)).ok_or_else(nothing)?;
    begins(clip, whole)?;
    let end = clip.end.into_iter().chain(most).reduce(f64::min).filter(|end| whole.is_none_or(|whole| *end < whole));
    Ok(Some(Clip { end, ..clip }))
}

/// A clip begins before the end of a medium that plays so many seconds.
///
/// # Errors
/// `format_unavailable`.
pub fn begins(clip: Clip, whole: Option<f64>) -> Result<(), Failure> {
    if whole.is_some_and(|seconds| clip.start > 0.0 && clip.start >= seconds) {
        return Err(Failure::new(FailureKind::FormatUnavailable, "the medium ends before the clip begins"));
    }
    Ok(())
}

/// How long a part of a medium plays, in seconds; `None`: nobody knows.
#[must_use]
pub fn seconds(part: Option<Clip>, whole: Option<f64>) -> Option<f64> {
    let Some(part) = part else { return whole };
    let end = part.end.into_iter().chain(whole).reduce(f64::min)?;
    Some((end - part.start).max(0.0))
}

/// Is its picture coded anew, unless a key frame stands where it begins?
#[must_use]
pub fn may_be_coded_anew(part: Clip) -> bool {
    part.exact && part.start > 0.0
}
