//! A command line of ffmpeg or ffprobe, and the only place where an input is written.
//!
//! A site can send a playlist under the name of a video, and ffmpeg would open what it names. So an input names its demuxer,
//! by what its first bytes were found to be, and stands behind both allow-lists: of protocols, files alone; of formats,
//! that demuxer alone, which holds as well for whatever a file leads to. No line can be run that was not made here, and none
//! gets its `-i` in another way (test: every_input_stands_behind_its_allow_lists). File names are ours, never a site's, and
//! marked `file:`, so that none is read as a protocol.
//!
//! Not here: what the bytes are (`verify::sniff`), what else stands on the line.

use std::ffi::OsString;
use std::path::Path;

use super::muxer::demuxer;
use super::picture::Image;
use super::probe::LARGEST_SIDE;
use crate::container::Container;
use crate::ytdlp::captions::CaptionForm;

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A medium, or the pipe of one.
    Medium(Container),
    /// A picture.
    Image(Image),
    /// A text.
    Text(CaptionForm),
    /// Our tags, see [`super::tags`].
    Tags,
    /// Our list of parts of a file of this container, see [`super::parts`]. It is the one input whose demuxer ffmpeg finds by
    /// content, for each part: the list of formats allows that of the container beside its own.
    Parts(Container),
}

impl What {
    fn demuxer(self) -> &'static str {
        match self {
            Self::Medium(container) => demuxer(container),
            Self::Image(image) => image.demuxer(),
            Self::Text(CaptionForm::Vtt) => "webvtt",
            Self::Text(CaptionForm::Srt) => "srt",
            Self::Text(CaptionForm::Ass) => "ass",
            Self::Tags => "ffmetadata",
            Self::Parts(_) => "concat",
        }
    }

    fn formats(self) -> String {
        match self {
            Self::Parts(container) => format!("concat,{}", demuxer(container)),
            other => other.demuxer().to_owned(),
        }
    }

    /// Pictures larger than this many pixels are not decoded, not even by who only looks. A list hands nothing on to its parts:
    /// the file that they are of was looked at before.
    fn most_pixels(self) -> Option<u64> {
        match self {
            Self::Medium(_) | Self::Image(_) => Some(u64::from(LARGEST_SIDE) * u64::from(LARGEST_SIDE)),
            Self::Text(_) | Self::Tags | Self::Parts(_) => None,
        }
    }
}

/// The words of one run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line(Vec<OsString>);

impl Line {
    /// Begins with these words, parted by spaces.
    pub(super) fn of(text: &str) -> Self {
        let mut line = Self::default();
        line.words(text);
        line
    }

    /// Words of ours, parted by spaces.
    pub(super) fn words(&mut self, text: &str) {
        self.extend(words(text));
    }

    /// Words that may have spaces in them. None of them is an input.
    pub(super) fn extend(&mut self, words: impl IntoIterator<Item = OsString>) {
        // what a stranger named is never a word of its own, so that nothing is lost
        self.0.extend(words.into_iter().filter(|word| word != "-i"));
    }

    /// What another line has.
    pub(super) fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// An input, with the options of its own that stand on the line before it.
    pub(super) fn input(&mut self, file: &Path, what: What) {
        if let Some(pixels) = what.most_pixels() {
            self.words(&format!("-max_pixels {pixels}"));
        }
        let (formats, demuxer) = (what.formats(), what.demuxer());
        self.words(&format!("-protocol_whitelist file -format_whitelist {formats} -f {demuxer}"));
        self.0.extend(["-i".into(), url(file)]);
    }

    /// A file that is written, or attached as it is.
    pub(super) fn file(&mut self, file: &Path) {
        self.0.push(url(file));
    }

    /// All of it.
    #[must_use]
    pub fn into_words(self) -> Vec<OsString> {
        self.0
    }
}

pub(super) fn words(text: &str) -> Vec<OsString> {
    text.split_ascii_whitespace().map(OsString::from).collect()
}

fn url(file: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(file);
    url
}

#[cfg(test)]
pub(super) mod tests;
