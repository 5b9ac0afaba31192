//! A part of a medium: where it can begin without coding the picture anew, and the words that cut it out.
//!
//! The bounds are options of the output: so they hold for every container, with an index or without, for picture and
//! sound from two files alike, and ffmpeg shifts and cuts the chapters by them. Not here: which part (`pipeline::cut`).

use std::ffi::OsString;
use std::path::Path;

use haul_shared::job::Failure;

use super::line::{Line, What, words};
use super::{Ffmpeg, check, internal};
use crate::container::Container;
use crate::process::{Stream, Supervised, Watch};
use crate::select::Cut;

/// Time stamps are rounded by their containers; less than half a frame of the fastest picture.
const ROUNDING: f64 = 0.002;

impl Ffmpeg {
    /// The last key frame of a stream at or before a time; both in seconds from `begin`, the first time stamp of the file.
    /// Zero when there is none. Reads the file, decodes nothing.
    ///
    /// # Errors
    /// `corrupt_media` when it can't be read.
    pub async fn key_frame(
        &self,
        (file, container, stream): (&Path, Container, u32),
        begin: f64,
        at: f64,
        watch: &Watch,
    ) -> Result<f64, Failure> {
        let found = self.key_frames((file, container, stream), begin, &[at], watch).await?;
        Ok(found.first().copied().unwrap_or_default())
    }

    /// The same for each of several times, by reading the file once.
    ///
    /// # Errors
    /// `corrupt_media` when it can't be read.
    pub async fn key_frames(
        &self,
        (file, container, stream): (&Path, Container, u32),
        begin: f64,
        times: &[f64],
        watch: &Watch,
    ) -> Result<Vec<f64>, Failure> {
        let spec = self.spec(&self.ffprobe, file, asked(file, container, stream));
        let mut last = vec![0.0_f64; times.len()];
        let mut program = Supervised::start(&spec).map_err(|error| internal(&error))?;
        let ended = program
            .run(watch, |line| {
                if line.from == Stream::Stdout
                    && let Some(key) = key(&line.text).map(|time| time - begin)
                {
                    for (last, at) in last.iter_mut().zip(times) {
                        *last = if key <= at + ROUNDING { last.max(key) } else { *last };
                    }
                }
            })
            .await;
        check(ended, program.stderr_tail())?;
        Ok(last)
    }
}

/// Arguments that make ffprobe tell of each packet of a stream when it is shown, and whether it is a key frame.
pub(super) fn asked(file: &Path, container: Container, stream: u32) -> Line {
    let mut line = Line::of("-hide_banner -loglevel error -print_format compact=print_section=0");
    line.words(&format!("-show_entries packet=pts_time,flags -select_streams {stream}"));
    line.input(file, What::Medium(container));
    line
}

/// The time of a key frame, from a line about a packet.
fn key(line: &str) -> Option<f64> {
    let (time, flags) = line.strip_prefix("pts_time=")?.split_once("|flags=")?;
    flags.starts_with('K').then(|| time.parse().ok())?
}

/// Is a key frame at this time as good as one at that?
#[must_use]
pub fn is_same(key: f64, at: f64) -> bool {
    (key - at).abs() <= ROUNDING
}

/// Where the output begins and ends.
pub(super) fn bounds(cut: Cut) -> Vec<OsString> {
    // a hair earlier, so that the key frame itself is not before the beginning
    let from = (cut.from - if cut.recode { 0.0 } else { ROUNDING / 2.0 }).max(0.0);
    let mut arguments = if from > 0.0 { words(&format!("-ss {from:.6}")) } else { Vec::new() };
    if let Some(to) = cut.to {
        arguments.extend(words(&format!("-to {to:.6}")));
    }
    arguments
}

/// How a picture is coded anew: so that nobody sees it, and quickly.
pub(super) fn recoded(container: Container) -> Vec<OsString> {
    match container {
        Container::Webm => words("-c:v:0 libvpx-vp9 -deadline realtime -cpu-used 6 -row-mt 0 -b:v 0 -crf 24"),
        _ => words("-c:v:0 libx264 -preset veryfast -crf 18 -pix_fmt yuv420p"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_are_told_from_the_others() {
        // lines of ffprobe 5.1
        for (line, expected) in [
            ("pts_time=2.000000|flags=K_", Some(2.0)),
            ("pts_time=2.040000|flags=__", None),
            ("pts_time=N/A|flags=K_", None),
            ("flags=K_", None),
            ("", None),
        ] {
            assert_eq!(key(line), expected, "{line}");
        }
    }
}
