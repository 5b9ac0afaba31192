//! Parts of a file, one behind the other, copied into a file of their own.
//!
//! By ffmpeg's list of files (`concat`), which is a text of ours and names one file that was sniffed before; what it opens
//! stands behind the same lists of protocols and formats as every input.

use std::fmt::Write as _;
use std::path::Path;

use haul_shared::job::Failure;

use super::command::{FORMATS, file_url};
use super::probe::words;
use super::{Ffmpeg, check, internal};
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
    ///
    /// # Errors
    /// `corrupt_media` when ffmpeg can't do it, `disk_full`, `timeout`, `stalled`.
    pub async fn parts(
        &self,
        file: &Path,
        begin: f64,
        parts: &[(f64, f64)],
        output: &Path,
        watch: &Watch,
    ) -> Result<(), Failure> {
        let mut list = String::from("ffconcat version 1.0\n");
        for (from, to) in parts {
            // names of ours have no quotes
            let _ = writeln!(
                list,
                "file 'file:{}'\ninpoint {:.6}\noutpoint {:.6}",
                file.display(),
                begin + from,
                begin + to
            );
        }
        let script = output.with_extension("parts");
        tokio::fs::write(&script, list).await.map_err(|error| crate::scratch::failure(&error))?;
        let mut arguments =
            words("-nostdin -hide_banner -loglevel error -y -protocol_whitelist file -format_whitelist");
        arguments.push(format!("concat,{FORMATS}").into());
        arguments.extend(words("-safe 0 -f concat -i"));
        arguments.push(file_url(&script));
        arguments.extend(words("-map 0:v? -map 0:a? -c copy -f matroska"));
        arguments.push(file_url(output));
        let output = process::output(&self.spec(&self.ffmpeg, output, arguments), watch).await;
        let output = output.map_err(|error| internal(&error))?;
        check(output.ended, &output.stderr_tail)
    }
}
