//! Parts of a file, one behind the other, copied into a file of their own.
//!
//! By ffmpeg's list of files (`concat`), which is a text of ours and names one file that was sniffed before. ffmpeg finds the
//! demuxer of each part by content: the list allows that of the sniffed container and no other.

use std::fmt::Write as _;
use std::path::Path;

use haul_shared::job::Failure;

use super::line::{Line, What};
use super::muxer::demuxer;
use super::{Ffmpeg, check, growing, internal};
use crate::container::Container;
use crate::process::{self, Watch};

/// Can such files be read from the middle on, to the packet?
#[must_use]
pub fn can_be_parted(container: Container) -> bool {
    match container {
        Container::Mp4 | Container::M4a | Container::Webm | Container::Mkv | Container::Ogg => true,
        Container::MpegTs
        | Container::Mp3
        | Container::Aac
        | Container::Flac
        | Container::Wav
        | Container::Avi
        | Container::Flv => false,
    }
}

impl Ffmpeg {
    /// Copies parts of a file, in seconds from `begin`, its first time stamp, into an mkv. A part should begin at a key frame.
    /// The growth of the output is a sign of life.
    ///
    /// # Errors
    /// `corrupt_media` when ffmpeg can't do it, `disk_full`, `timeout`, `stalled`.
    pub async fn parts(
        &self,
        (file, container, begin): (&Path, Container, f64),
        parts: &[(f64, f64)],
        output: &Path,
        watch: &Watch,
    ) -> Result<(), Failure> {
        let mut list = String::from("ffconcat version 1.0\n");
        // a folder of the operator's may have a quote in its name
        let name = format!("file 'file:{}'", file.display().to_string().replace('\'', r"'\''"));
        let only = format!("option format_whitelist {}", demuxer(container));
        for (from, to) in parts {
            let (from, to) = (begin + from, begin + to);
            let _ = writeln!(list, "{name}\n{only}\ninpoint {from:.6}\noutpoint {to:.6}");
        }
        let script = output.with_extension("parts");
        tokio::fs::write(&script, list).await.map_err(|error| crate::scratch::failure(&error))?;
        let arguments = copied(&script, container, output);
        let output = process::output(&self.spec(&self.ffmpeg, output, arguments), &growing(watch, output)).await;
        let output = output.map_err(|error| internal(&error))?;
        check(output.ended, &output.stderr_tail)
    }
}

pub(super) fn copied(script: &Path, container: Container, output: &Path) -> Line {
    let mut line = Line::of("-nostdin -hide_banner -loglevel error -y -safe 0");
    line.input(script, What::Parts(container));
    line.words("-map 0:v? -map 0:a? -c copy -f matroska");
    line.file(output);
    line
}
