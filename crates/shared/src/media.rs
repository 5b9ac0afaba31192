//! What can be asked of a medium, and what is known of it.
//!
//! The words of the contract's download request (`format`, `quality`, `codec`, `fallback`) as types.
//! Not here: which streams fulfil them (`worker::select`), how a file is made (`worker::ffmpeg`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What sound is encoded with unless the request says otherwise; it may say 32 to 320.
pub const USUAL_AUDIO_BITRATE_KBPS: u16 = 192;

/// What the result shall be. The wire words are the lower-case names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is the well-known name of a format")]
pub enum Format {
    #[default]
    Mp4,
    Webm,
    Mkv,
    /// What the site has, untouched.
    Original,
    Mp3,
    M4a,
    Opus,
    Flac,
    Wav,
}

impl Format {
    /// All formats, in the contract's order.
    pub const ALL: [Self; 9] =
        [Self::Mp4, Self::Webm, Self::Mkv, Self::Original, Self::Mp3, Self::M4a, Self::Opus, Self::Flac, Self::Wav];

    /// Does it hold sound only?
    #[must_use]
    pub fn is_audio(self) -> bool {
        match self {
            Self::Mp3 | Self::M4a | Self::Opus | Self::Flac | Self::Wav => true,
            Self::Mp4 | Self::Webm | Self::Mkv | Self::Original => false,
        }
    }

    /// On the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Webm => "webm",
            Self::Mkv => "mkv",
            Self::Original => "original",
            Self::Mp3 => "mp3",
            Self::M4a => "m4a",
            Self::Opus => "opus",
            Self::Flac => "flac",
            Self::Wav => "wav",
        }
    }

    /// Reads a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.word() == word)
    }
}

/// At most this many lines on the short side of the picture (so that a portrait video has the same rung).
///
/// Wire: `best`, or `2160p` and the like, from a closed ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Quality {
    /// Whatever is best.
    #[default]
    Best,
    /// A rung of [`Quality::LADDER`].
    AtMost(u16),
}

impl Quality {
    /// The rungs, highest first, in pixels.
    pub const LADDER: [u16; 9] = [4320, 2160, 1440, 1080, 720, 480, 360, 240, 144];

    /// The rung that a picture of this short side stands on: the highest that it reaches, or the lowest there is.
    #[must_use]
    pub fn of_short_side(pixels: u32) -> Self {
        let rung = Self::LADDER.into_iter().find(|rung| u32::from(*rung) <= pixels);
        Self::AtMost(rung.unwrap_or(Self::LADDER[Self::LADDER.len() - 1]))
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Best => f.write_str("best"),
            Self::AtMost(pixels) => write!(f, "{pixels}p"),
        }
    }
}

impl FromStr for Quality {
    type Err = UnknownQuality;

    fn from_str(text: &str) -> Result<Self, UnknownQuality> {
        if text == "best" {
            return Ok(Self::Best);
        }
        Self::LADDER.into_iter().find(|rung| format!("{rung}p") == text).map(Self::AtMost).ok_or(UnknownQuality)
    }
}

/// The text names no rung of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be best, 4320p, 2160p, 1440p, 1080p, 720p, 480p, 360p, 240p or 144p")]
pub struct UnknownQuality;

impl TryFrom<String> for Quality {
    type Error = UnknownQuality;

    fn try_from(text: String) -> Result<Self, UnknownQuality> {
        text.parse()
    }
}

impl From<Quality> for String {
    fn from(quality: Quality) -> Self {
        quality.to_string()
    }
}

/// The preferred video codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is the well-known name of a codec")]
pub enum Codec {
    #[default]
    Any,
    H264,
    H265,
    Vp9,
    Av1,
}

/// What to do when the medium has not what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fallback {
    /// Give the nearest, and say so in the result.
    #[default]
    Nearest,
    /// Fail with `format_unavailable`.
    Strict,
}

/// A part of a medium, in seconds from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Clip {
    /// From here; not negative.
    pub start: f64,
    /// To here, after the start; absent: to the end of the medium.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<f64>,
    /// Also between key frames of the picture, which is coded anew then.
    pub exact: bool,
}

impl Clip {
    /// Is it the whole, whatever the medium is?
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.start <= 0.0 && self.end.is_none()
    }
}

/// Which subtitles, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subtitles {
    /// Tags of BCP 47.
    pub languages: Vec<String>,
    /// Also those that a machine made, where nobody wrote any.
    pub automatic: bool,
    /// Where to.
    pub mode: SubtitleMode,
}

/// Where subtitles go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubtitleMode {
    /// Into the file, where its container holds texts; else beside it.
    #[default]
    Embed,
    /// Beside it.
    Sidecar,
}

/// What people mark in media: the categories of `SponsorBlock`, as yt-dlp's `--sponsorblock-mark` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "`name` says what each is")]
pub enum SegmentKind {
    Sponsor,
    Intro,
    Outro,
    Selfpromo,
    Preview,
    Filler,
    Interaction,
    MusicOfftopic,
    Hook,
    PoiHighlight,
    Chapter,
}

impl SegmentKind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Sponsor,
        Self::Intro,
        Self::Outro,
        Self::Selfpromo,
        Self::Preview,
        Self::Filler,
        Self::Interaction,
        Self::MusicOfftopic,
        Self::Hook,
        Self::PoiHighlight,
        Self::Chapter,
    ];

    /// On the wire, of requests and of `SponsorBlock` alike.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().0
    }

    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Reads a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::Sponsor => ("sponsor", "Sponsor"),
            Self::Intro => ("intro", "Intermission/Intro Animation"),
            Self::Outro => ("outro", "Endcards/Credits"),
            Self::Selfpromo => ("selfpromo", "Unpaid/Self Promotion"),
            Self::Preview => ("preview", "Preview/Recap"),
            Self::Filler => ("filler", "Filler Tangent"),
            Self::Interaction => ("interaction", "Interaction Reminder"),
            Self::MusicOfftopic => ("music_offtopic", "Non-Music Section"),
            Self::Hook => ("hook", "Hook/Greetings"),
            Self::PoiHighlight => ("poi_highlight", "Highlight"),
            Self::Chapter => ("chapter", "Chapter"),
        }
    }
}

/// What is done with marked segments.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SponsorBlock {
    /// Made chapters of.
    pub mark: Vec<SegmentKind>,
    /// Left out.
    pub remove: Vec<SegmentKind>,
}

impl SponsorBlock {
    /// Nothing is done.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.mark.is_empty() && self.remove.is_empty()
    }
}

/// Which queue of its client a job stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Served in turn with the other clients.
    #[default]
    Normal,
    /// Served in a smaller proportion.
    Low,
}

/// What a job shows of its medium once it is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the contract")]
pub struct MediaInfo {
    pub title: Option<String>,
    pub uploader: Option<String>,
    pub duration_seconds: Option<f64>,
    pub webpage_url: Option<String>,
    pub extractor: Option<String>,
    /// Its address leads to a list, of which this is one entry. In no view: it is said to who may have meant all of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_of_list: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_words_are_those_of_the_ladder() {
        for rung in Quality::LADDER {
            assert_eq!(format!("{rung}p").parse(), Ok(Quality::AtMost(rung)));
        }
        assert_eq!("best".parse(), Ok(Quality::Best));
        for wrong in ["", "1081p", "1080", "1080P", "0p", "p", " 720p"] {
            assert_eq!(wrong.parse::<Quality>(), Err(UnknownQuality), "{wrong}");
        }
    }

    #[test]
    fn a_format_has_one_word_everywhere() {
        for format in Format::ALL {
            assert_eq!(serde_json::to_value(format).unwrap(), format.word());
            assert_eq!(Format::of_word(format.word()), Some(format));
        }
        assert_eq!(Format::of_word("MP4"), None);
    }

    #[test]
    fn a_picture_stands_on_the_rung_it_reaches() {
        for (pixels, rung) in [(1080, 1080), (1088, 1080), (719, 480), (100, 144), (9000, 4320)] {
            assert_eq!(Quality::of_short_side(pixels), Quality::AtMost(rung));
        }
    }
}
