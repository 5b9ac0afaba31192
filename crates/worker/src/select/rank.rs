//! In which order streams are preferred: keys to take the maximum by, the weightiest part first.

use std::cmp::Reverse;

use haul_shared::media::Format;

use super::{Candidate, Size, Stream, Track, familiarity};
use crate::container::AudioCodec;

/// The tallest picture that may come along when only its sound is wanted, in pixels of the short side.
const PICTURE_FOR_SOUND: u32 = 480;

/// A stream of sound alone, for a sound format: language, then one that need not be coded anew, then bits.
pub(super) fn sound(stream: &Stream, fits: bool) -> impl Ord + use<> {
    (stream.preference.min(0), stream.language_preference, fits, bitrate(stream), stream.quality)
}

/// A stream of sound alone, to go with a picture.
pub(super) fn sound_for_picture(stream: &Stream, fits: bool, format: Format) -> impl Ord + use<> {
    // every player of mp4 knows aac; opus in mp4 fits, but not all know it
    let familiar = format == Format::Mp4 && stream.audio == Track::Known(AudioCodec::Aac);
    (stream.preference.min(0), stream.language_preference, fits, familiar, bitrate(stream), stream.quality)
}

/// A stream with a picture, of which only the sound is wanted: the largest small one, else the smallest.
pub(super) fn sound_with_picture(stream: &Stream) -> impl Ord + use<> {
    let side = stream.short_side();
    let small = side.is_none_or(|pixels| pixels <= PICTURE_FOR_SOUND);
    let closeness = if small { i64::from(side.unwrap_or(0)) } else { -i64::from(side.unwrap_or(0)) };
    let sure = matches!(stream.audio, Track::Known(_));
    (sure, stream.preference.min(0), stream.language_preference, small, closeness, bitrate(stream))
}

/// A stream with a picture.
pub(super) fn picture(candidate: &Candidate<'_>, format: Format) -> impl Ord + use<> {
    let stream = candidate.stream;
    let side = i64::from(stream.short_side().unwrap_or(0));
    (
        candidate.size,
        stream.preference.min(0),
        // nothing at or below: the smallest above, before all that follows
        Reverse(if candidate.size == Size::TooLarge { side } else { 0 }),
        candidate.fits,
        candidate.codec_as_asked,
        side,
        stream.fps.map_or(0, |fps| fps.round() as u32),
        familiarity(format, stream.video),
        // this late, as a picture without sound has no language
        stream.language_preference,
        bitrate(stream),
        stream.quality,
        candidate.audio.is_none(),
    )
}

/// In bit/s, so that it can be ordered.
fn bitrate(stream: &Stream) -> u64 {
    stream.bitrate_kbps.map_or(0, |kbps| (kbps * 1000.0) as u64)
}
