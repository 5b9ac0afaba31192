//! What a download would make, told before a byte of its medium is fetched.
//!
//! Pure: by what the site says, and by the very decisions that a download takes, `select` for streams and container, `part`
//! for the time. What only the file can tell stays open, and no number is made up.
//!
//! Not here: asking the site (`pipeline::plan`), what is really made (`select::settle`).

use haul_shared::job::{DownloadSpec, Failure};
use haul_shared::media::Format;
use haul_shared::metadata::DownloadPlan;

use crate::container::Container;
use crate::ffmpeg::parts::can_be_parted;
use crate::part;
use crate::select::{Selection, Sound, settle};
use crate::sponsorblock::{self, Kept, Segment};
use crate::ytdlp::{Info, Live, SiteFormat};

/// The plan of an order, of what was found and chosen, and of the segments that people have marked in it.
///
/// # Errors
/// `format_unavailable`: nothing of the clip is there.
pub fn forecast(
    info: &Info,
    selection: &Selection,
    segments: &[Segment],
    spec: &DownloadSpec,
) -> Result<DownloadPlan, Failure> {
    let formats: Vec<&SiteFormat> = selection.formats(info).collect();
    // that of a live stream is not what will be recorded
    let whole = info.duration_seconds.filter(|_| info.live != Live::Now);
    let rest = Rest::of(segments, &formats, whole, spec);
    let (kept, left) = match &rest {
        Rest::All => (None, whole),
        Rest::Parts(kept) => (Some(kept), Some(kept.time(f64::INFINITY))),
        Rest::Unknown => (None, None),
    };
    let part = part::part(spec, info.live, kept, left)?;
    let plays = part::seconds(part, left).filter(|_| !matches!(rest, Rest::Unknown));
    let share = match (part, &rest) {
        (None, Rest::All) => Some(1.0),
        _ => plays.zip(whole.filter(|whole| *whole > 0.0)).map(|(plays, whole)| plays / whole),
    };
    let recodes = selection.asked.is_some() && part.is_some_and(part::may_be_coded_anew);
    let container = match (&rest, spec.format) {
        // what is left out of it makes it one of ours
        (Rest::Parts(_), Format::Original) => Some(Container::Mkv),
        (Rest::Unknown, Format::Original) => None,
        _ => selection.container,
    };
    let extent = Extent { plays, share };
    Ok(DownloadPlan {
        container: container.map(|container| container.extension().to_owned()),
        // nobody knows what a coder makes of a picture
        estimated_bytes: if recodes { None } else { extent.of_result(&formats, selection, spec) },
        duration_seconds: plays,
        transcodes: selection.transcodes || recodes,
        asked: selection.asked,
        got: selection.got,
        reason: selection.reason.to_string(),
        streams: formats.into_iter().cloned().map(SiteFormat::into_shown).collect(),
    })
}

/// What stays of a medium once segments are left out.
enum Rest {
    All,
    Parts(Kept),
    /// The files will tell whether anything can be left out, or nobody knows how long they play.
    Unknown,
}

impl Rest {
    fn of(segments: &[Segment], formats: &[&SiteFormat], whole: Option<f64>, spec: &DownloadSpec) -> Self {
        let removed = sponsorblock::parts(segments, &spec.sponsorblock.remove);
        let files: Option<Vec<Container>> = formats.iter().map(|format| format.file()).collect();
        match (files, whole) {
            _ if removed.is_empty() => Self::All,
            (Some(files), _) if !files.iter().all(|file| can_be_parted(*file)) => Self::All,
            (Some(_), Some(whole)) => Kept::without(&removed, whole).map_or(Self::All, Self::Parts),
            (None, _) | (_, None) => Self::Unknown,
        }
    }
}

/// How much of a medium becomes the result, as far as it is known.
struct Extent {
    /// In seconds.
    plays: Option<f64>,
    /// Of the whole, from 0 to 1.
    share: Option<f64>,
}

impl Extent {
    /// Bytes of the result.
    fn of_result(&self, formats: &[&SiteFormat], selection: &Selection, spec: &DownloadSpec) -> Option<u64> {
        let is_sound = spec.format.is_audio();
        let bytes: Option<f64> = if is_sound && selection.transcodes {
            let is_lossy = matches!(settle::sound_of(spec.format), Some(Sound::Mp3 | Sound::Aac | Sound::Opus));
            self.at_rate(Some(f64::from(spec.audio_bitrate_kbps)).filter(|_| is_lossy))
        } else {
            let of = |format: &&SiteFormat| match is_sound && format.video.may_be() {
                // its picture stays behind
                true => self.at_rate(format.audio_kbps),
                false => self.of_stream(format),
            };
            formats.iter().map(of).sum()
        };
        bytes.filter(|bytes| *bytes >= 1.0).map(|bytes| bytes as u64)
    }

    fn of_stream(&self, format: &SiteFormat) -> Option<f64> {
        let of_size = format.size_bytes.zip(self.share).map(|(bytes, share)| bytes as f64 * share);
        of_size.or_else(|| self.at_rate(format.kbps()))
    }

    fn at_rate(&self, kbps: Option<f64>) -> Option<f64> {
        kbps.zip(self.plays).map(|(kbps, seconds)| kbps * 1000.0 / 8.0 * seconds)
    }
}

#[cfg(test)]
mod tests;
