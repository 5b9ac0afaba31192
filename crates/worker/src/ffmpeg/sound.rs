//! How sound is written: as it is, or coded anew.

use std::ffi::OsString;

use super::line::words;
use crate::container::{AudioCodec, Container};
use crate::select::Sound;

/// One of each kind; of what is copied, that which is not always left as it is. A match, so that none is forgotten.
pub(super) fn each() -> impl Iterator<Item = Sound> {
    std::iter::successors(Some(Sound::Copy(AudioCodec::Aac)), |sound| match sound {
        Sound::Copy(_) => Some(Sound::Mp3),
        Sound::Mp3 => Some(Sound::Aac),
        Sound::Aac => Some(Sound::Opus),
        Sound::Opus => Some(Sound::Flac),
        Sound::Flac => Some(Sound::Wav),
        Sound::Wav => None,
    })
}

/// The options of the sound. `channels` as in the source; `from`: the container that it comes from.
pub(super) fn arguments(
    sound: Sound,
    channels: u32,
    kbps: u32,
    from: Option<Container>,
    to: Container,
) -> Vec<OsString> {
    match sound {
        // each frame has a head of its own there, and only there
        Sound::Copy(AudioCodec::Aac)
            if matches!(from, Some(Container::MpegTs | Container::Aac)) && to != Container::MpegTs =>
        {
            words("-bsf:a aac_adtstoasc")
        }
        Sound::Copy(_) => Vec::new(),
        // neither mp3 nor ordinary players of opus know more than two channels
        Sound::Mp3 => words(&format!("-c:a libmp3lame -b:a {kbps}k -ac {}", channels.min(2))),
        Sound::Aac => words(&format!("-c:a aac -b:a {kbps}k")),
        Sound::Opus => {
            // the encoder refuses more than 256 kbit/s for each channel
            words(&format!("-c:a libopus -b:a {}k -ac {}", kbps.min(256 * channels), channels.min(2)))
        }
        Sound::Flac => words("-c:a flac"),
        Sound::Wav => words("-c:a pcm_s16le"),
    }
}
