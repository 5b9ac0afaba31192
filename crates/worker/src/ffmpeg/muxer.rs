//! What ffmpeg calls our containers, and how it writes them: as a whole file, or from front to end into a pipe.
//!
//! An mp4 has its index in front, put there in a second pass over the file, or in room that was left for it (`room`). A pipe
//! can't be gone back in. So mp4 becomes fragmented, its index spread over the file; Matroska has its clusters
//! but no index, and its duration only where that was known beforehand.

use std::ffi::OsString;

use super::line::words;
use crate::container::Container;

/// Fragments begin at key frames. The head waits for the first one (`delay_moov`): some codecs are only described by
/// their packets, and sound that begins before the picture is told by an edit list. Not below a second, for pictures
/// that are all key frames; not above ten, for those that hardly have any: a fragment is kept in memory.
const FRAGMENTS: &str = "-movflags +frag_keyframe+delay_moov+default_base_moof \
     -min_frag_duration 1000000 -frag_duration 10000000";

pub(super) fn demuxer(container: Container) -> &'static str {
    match container {
        Container::Mp4 | Container::M4a => "mov",
        Container::Webm | Container::Mkv => "matroska",
        Container::MpegTs => "mpegts",
        Container::Mp3 => "mp3",
        Container::Aac => "aac",
        Container::Ogg => "ogg",
        Container::Flac => "flac",
        Container::Wav => "wav",
        Container::Avi => "avi",
        Container::Flv => "flv",
    }
}

pub(super) fn muxer(container: Container) -> &'static str {
    match container {
        Container::Mp4 => "mp4",
        // not `ipod`, whose codec list is shorter
        Container::M4a => "mp4",
        Container::Webm => "webm",
        Container::Mkv => "matroska",
        Container::MpegTs => "mpegts",
        Container::Mp3 => "mp3",
        Container::Aac => "adts",
        Container::Ogg => "ogg",
        Container::Flac => "flac",
        Container::Wav => "wav",
        Container::Avi => "avi",
        Container::Flv => "flv",
    }
}

/// The options of the output, the last of which names its format. `seconds`: how long it will play, if that is known;
/// `room`: bytes left for the index of an mp4 that is a file, if that is to be.
pub(super) fn output(container: Container, streaming: bool, seconds: Option<f64>, room: Option<u64>) -> Vec<OsString> {
    let mut arguments = match (container, streaming, room) {
        (Container::Mp4 | Container::M4a, true, _) => words(FRAGMENTS),
        (Container::Mp4 | Container::M4a, false, None) => words("-movflags +faststart"),
        (Container::Mp4 | Container::M4a, false, Some(room)) => words(&format!("-moov_size {room}")),
        (Container::Webm | Container::Mkv, true, _) => seconds.map(stated).unwrap_or_default(),
        _ => Vec::new(),
    };
    arguments.extend(["-f".into(), muxer(container).into()]);
    arguments
}

/// Where it can't go back, the muxer writes into the head what it finds under this name, and no tag.
fn stated(seconds: f64) -> Vec<OsString> {
    let millis = (seconds.max(0.0) * 1000.0).round() as u64;
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let (seconds, millis) = (millis / 1000 % 60, millis % 1000);
    words(&format!("-metadata DURATION={hours:02}:{minutes:02}:{seconds:02}.{millis:03}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_as_ffmpeg_reads_times() {
        for (seconds, expected) in [(0.0, "00:00:00.000"), (8.0215, "00:00:08.022"), (36_061.5, "10:01:01.500")] {
            assert_eq!(stated(seconds), ["-metadata", &format!("DURATION={expected}")], "{seconds}");
        }
    }
}
