//! What a site offers, in the terms that the choice is made in.

use crate::container::{AudioCodec, Container, VideoCodec};
use crate::ytdlp::{self, Info, Live, SiteFormat};

/// What a site offers under one address.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Offer {
    /// Everything that can be fetched; of equals the later one is better, as yt-dlp sorts them.
    pub streams: Vec<Stream>,
    /// Where it is in its life as a broadcast.
    pub live: Live,
}

impl Offer {
    /// Reads what yt-dlp found.
    #[must_use]
    pub fn of(info: &Info) -> Self {
        Self { streams: info.formats.iter().map(Stream::of).collect(), live: info.live }
    }
}

/// One stream of a site: picture, sound, or both.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// The site's name for it (yt-dlp: `format_id`).
    pub id: String,
    /// What kind of file it comes in; none: the site does not say.
    pub file: Option<Container>,
    /// Which kind of file holds what it holds, as a rule; none: nothing is known of that.
    pub like: Option<Container>,
    /// The picture.
    pub video: Track<VideoCodec>,
    /// The sound.
    pub audio: Track<AudioCodec>,
    /// Of the picture, in pixels.
    pub width: Option<u32>,
    /// Of the picture, in pixels.
    pub height: Option<u32>,
    /// Pictures per second.
    pub fps: Option<f64>,
    /// Of everything in it, in kbit/s.
    pub bitrate_kbps: Option<f64>,
    /// What the site itself thinks of it, where nothing else tells two apart; higher is better.
    pub quality: i64,
    /// Below zero: the site or yt-dlp knows it to be worse than it looks.
    pub preference: i64,
    /// Higher is closer to the original language; below zero is a translation, or not known.
    pub language_preference: i64,
    /// Protected; can't be fetched.
    pub has_drm: bool,
}

/// Is there a picture (or sound), and how is it coded?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Track<C> {
    /// The site says that there is none.
    Absent,
    /// The site does not say.
    Unknown,
    /// There is one, coded so.
    Known(C),
}

impl<C: Copy> Track<C> {
    fn of(track: &ytdlp::Track, read: impl Fn(&str) -> C) -> Self {
        match track {
            ytdlp::Track::Absent => Self::Absent,
            ytdlp::Track::Unknown => Self::Unknown,
            ytdlp::Track::Codec(name) => Self::Known(read(name)),
        }
    }

    /// The site does not rule it out.
    #[must_use]
    pub fn is_possible(self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// How it is coded, if there is one and that is known.
    pub(super) fn codec(self) -> Option<C> {
        match self {
            Self::Absent | Self::Unknown => None,
            Self::Known(codec) => Some(codec),
        }
    }

    /// Nothing is known of it that would not fit.
    pub(super) fn fits(self, holds: impl Fn(C) -> bool) -> bool {
        match self {
            Self::Absent | Self::Unknown => true,
            Self::Known(codec) => holds(codec),
        }
    }
}

impl Stream {
    fn of(format: &SiteFormat) -> Self {
        let rank = |value: Option<f64>| value.unwrap_or(0.0) as i64;
        Self {
            id: format.format_id.clone(),
            file: format.file(),
            like: format.like(),
            video: Track::of(&format.video, VideoCodec::of_name),
            audio: Track::of(&format.audio, AudioCodec::of_name),
            width: format.width,
            height: format.height,
            fps: format.fps,
            bitrate_kbps: format.kbps(),
            quality: rank(format.quality),
            preference: rank(format.preference),
            language_preference: rank(format.language_preference),
            has_drm: format.has_drm,
        }
    }

    /// The short side of the picture in pixels; for a site that gives one side only, that one.
    #[must_use]
    pub fn short_side(&self) -> Option<u32> {
        match (self.width, self.height) {
            (Some(width), Some(height)) => Some(width.min(height)),
            (one, other) => one.or(other),
        }
        .filter(|pixels| *pixels > 0)
    }

    pub(super) fn is_audio_only(&self) -> bool {
        !self.video.is_possible() && self.audio.is_possible()
    }

    /// The site says outright that picture and sound come together.
    pub(super) fn is_muxed(&self) -> bool {
        self.video.is_possible() && matches!(self.audio, Track::Known(_))
    }
}
