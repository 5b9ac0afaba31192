//! Which of a site's streams fulfil a request.
//!
//! Decided here, without any IO: the format ids to fetch, what can be said beforehand of the container, and whether
//! sound will be coded anew. Rules in their order: what is playable at all, at most the asked lines of the picture, the
//! asked container, the asked codec, then the best there is. What a site does not say (a plain file says nothing) stays
//! open and is decided on the file itself by [`settle`](mod@settle).
//!
//! Not here: the site's own words (`ytdlp::info`), how a file is made (`ffmpeg`).

mod offer;
mod rank;
pub mod settle;

use std::fmt;

use haul_shared::job::{DownloadSpec, Failure, FailureKind};
use haul_shared::media::{Codec, Fallback, Format, Quality};

use crate::container::{Container, VideoCodec};
use crate::ytdlp::{Info, Live, SiteFormat};

pub use offer::{Offer, Stream, Track};
pub use settle::{Cut, Plan, Seen, Sound, settle};

/// What to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Take {
    /// One stream, with whatever is in it.
    One(String),
    /// Picture and sound apart, to be merged.
    Pair {
        /// Its picture is used; sound in it is not.
        video: String,
        /// Its sound is used.
        audio: String,
    },
}

impl Take {
    /// The format ids, the picture first.
    #[must_use]
    pub fn ids(&self) -> Vec<&str> {
        match self {
            Self::One(id) => vec![id],
            Self::Pair { video, audio } => vec![video, audio],
        }
    }
}

/// The choice, as far as it can be made before a byte is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// What to fetch.
    pub take: Take,
    /// What will come out; none: only the file can tell.
    pub container: Option<Container>,
    /// Will sound be coded anew, as far as the site says? What it keeps silent about may have to be. Picture is coded anew
    /// for an exact clip only.
    pub transcodes: bool,
    /// The rung asked for; none for sound.
    pub asked: Option<Quality>,
    /// The rung that the site promises; none for sound, and when the site does not say.
    pub got: Option<Quality>,
    /// Sound must be in the result, for the site says that there is some.
    pub promises_audio: bool,
    /// Why this one, for operators.
    pub reason: Reason,
}

impl Selection {
    /// What is fetched, the picture first.
    pub fn formats<'i>(&self, info: &'i Info) -> impl Iterator<Item = &'i SiteFormat> {
        self.take.ids().into_iter().filter_map(|id| info.formats.iter().find(|format| format.format_id == id))
    }
}

/// Why a choice was made. `Display` is a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Everything as asked.
    AsAsked,
    /// The site does not say what it has; the file will tell.
    Unknown,
    /// No stream is as large as asked.
    Smaller,
    /// No stream is as small as asked.
    Larger,
    /// The asked container can't hold what there is.
    OtherContainer,
    /// The asked codec is not offered.
    OtherCodec,
    /// The only sound comes with a picture.
    SoundOfVideo,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsAsked => "the best stream that is as asked",
            Self::Unknown => "the site does not describe its streams, the file will be judged",
            Self::Smaller => "nothing as large as asked, the largest below it",
            Self::Larger => "nothing at or below the asked size, the smallest above it",
            Self::OtherContainer => "no streams fit the asked container, mkv holds them as they are",
            Self::OtherCodec => "the asked codec is not offered in this size",
            Self::SoundOfVideo => "no stream with sound alone, taken from a small one with a picture",
        })
    }
}

/// Chooses from what yt-dlp found.
///
/// # Errors
/// `live_not_supported`, `not_yet_available`, `drm_protected` when every stream is protected, `format_unavailable` when
/// nothing is left, or when nothing is exactly as asked and the request is strict.
pub fn select(info: &Info, spec: &DownloadSpec) -> Result<Selection, Failure> {
    choose(&Offer::of(info), spec)
}

/// Chooses from an offer; see [`select`].
///
/// # Errors
/// As there.
pub fn choose(offer: &Offer, spec: &DownloadSpec) -> Result<Selection, Failure> {
    match offer.live {
        Live::No => {}
        Live::Now if spec.live_seconds.is_some() => {}
        Live::Now => return Err(Failure::new(FailureKind::LiveNotSupported, "the medium is live")),
        Live::Upcoming => return Err(Failure::new(FailureKind::NotYetAvailable, "the broadcast has not begun")),
    }
    let playable = |stream: &&Stream| stream.video.is_possible() || stream.audio.is_possible();
    let (locked, open): (Vec<_>, Vec<_>) = offer.streams.iter().filter(playable).partition(|stream| stream.has_drm);
    if open.is_empty() {
        return Err(if locked.is_empty() {
            Failure::new(FailureKind::FormatUnavailable, "the site lists no stream with picture or sound")
        } else {
            Failure::new(FailureKind::DrmProtected, "every stream is protected")
        });
    }
    // the original of a site that has only sound is that sound
    let no_picture = !open.iter().any(|stream| stream.video.is_possible());
    if spec.format.is_audio() || (spec.format == Format::Original && no_picture) {
        select_audio(&open, spec)
    } else {
        select_video(&open, spec)
    }
}

fn select_audio(streams: &[&Stream], spec: &DownloadSpec) -> Result<Selection, Failure> {
    let container = Container::of_format(spec.format);
    let fits = |stream: &Stream| container.is_none_or(|c| stream.audio.fits(|codec| c.holds_audio(codec)));
    let sound = |stream: &Stream, reason| Selection {
        take: Take::One(stream.id.clone()),
        container: container.or(stream.file.map(Container::without_picture)),
        transcodes: container.is_some_and(|container| is_coded_anew(stream, container)),
        asked: None,
        got: None,
        // of a plain file that is only guessed
        promises_audio: stream.is_audio_only() || stream.is_muxed(),
        reason,
    };
    let alone = streams.iter().filter(|stream| stream.is_audio_only());
    if let Some(best) = alone.max_by_key(|stream| rank::sound(stream, fits(stream))) {
        let reason = if best.audio == Track::Unknown { Reason::Unknown } else { Reason::AsAsked };
        return Ok(sound(best, reason));
    }
    // nobody should fetch a 2160p picture for 128 kbit/s of sound
    let with_picture = streams.iter().filter(|stream| stream.audio.is_possible());
    match with_picture.max_by_key(|stream| rank::sound_with_picture(stream)) {
        Some(best) if best.is_muxed() => Ok(sound(best, Reason::SoundOfVideo)),
        Some(best) => Ok(sound(best, Reason::Unknown)),
        None => Err(Failure::new(FailureKind::FormatUnavailable, "no stream has sound")),
    }
}

/// Does a container not hold the sound of a stream as it is? Where the site does not say how that is coded, it is as usual
/// in such a file, and where nothing is usual it does not.
fn is_coded_anew(stream: &Stream, container: Container) -> bool {
    let codec = stream.audio.codec().or_else(|| stream.like?.usual_sound());
    codec.is_none_or(|codec| !container.holds_audio(codec))
}

/// A stream with a picture, and how it stands to the request.
struct Candidate<'a> {
    stream: &'a Stream,
    /// Sound of its own to be added, if the stream has none.
    audio: Option<&'a Stream>,
    size: Size,
    fits: bool,
    codec_as_asked: bool,
}

/// How the picture stands to the asked quality; the greatest is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Size {
    TooLarge,
    Unknown,
    /// At or below it.
    Within,
}

fn select_video(streams: &[&Stream], spec: &DownloadSpec) -> Result<Selection, Failure> {
    let container = Container::of_format(spec.format);
    let sounds: Vec<&Stream> = streams.iter().copied().filter(|stream| stream.is_audio_only()).collect();
    let candidates: Vec<Candidate<'_>> = streams
        .iter()
        .filter(|stream| stream.video.is_possible())
        .map(|stream| Candidate::of(stream, &sounds, spec, container))
        .filter(|candidate| spec.fallback == Fallback::Nearest || candidate.is_exact(spec))
        .collect();
    let Some(best) = candidates.iter().max_by_key(|candidate| rank::picture(candidate, spec.format)) else {
        let detail = match spec.fallback {
            Fallback::Nearest => "no stream has a picture",
            Fallback::Strict => "no stream is exactly as asked",
        };
        return Err(Failure::new(FailureKind::FormatUnavailable, detail));
    };
    Ok(best.selection(spec, container))
}

impl<'a> Candidate<'a> {
    fn of(stream: &'a Stream, sounds: &[&'a Stream], spec: &DownloadSpec, container: Option<Container>) -> Self {
        let holds = |sound: &Stream| container.is_none_or(|c| sound.audio.fits(|codec| c.holds_audio(codec)));
        // sound that a site keeps silent about may be missing (a master playlist without CODECS): the separate one is sure
        let audio = (!stream.is_muxed()).then(|| {
            sounds.iter().copied().max_by_key(|sound| rank::sound_for_picture(sound, holds(sound), spec.format))
        });
        let audio = audio.flatten();
        let video_fits = container.is_none_or(|c| stream.video.fits(|codec| c.holds_video(codec)));
        Self {
            stream,
            audio,
            size: Size::of(stream.short_side(), spec.quality),
            fits: video_fits && holds(audio.unwrap_or(stream)),
            codec_as_asked: stream.video.fits(|codec| is_codec(spec.codec, codec)),
        }
    }

    /// Nothing is known that is not as asked.
    fn is_exact(&self, spec: &DownloadSpec) -> bool {
        let rung_is_asked = match (self.stream.short_side(), spec.quality) {
            (Some(pixels), Quality::AtMost(_)) => Quality::of_short_side(pixels) == spec.quality,
            (None, _) | (_, Quality::Best) => true,
        };
        self.fits && self.codec_as_asked && rung_is_asked && self.size != Size::TooLarge
    }

    fn selection(&self, spec: &DownloadSpec, container: Option<Container>) -> Selection {
        let got = self.stream.short_side().map(Quality::of_short_side);
        let open = !self.is_described() || got.is_none();
        let reason = match self.size {
            _ if !self.fits => Reason::OtherContainer,
            _ if !self.codec_as_asked => Reason::OtherCodec,
            Size::TooLarge => Reason::Larger,
            _ if open => Reason::Unknown,
            _ if spec.quality != Quality::Best && got != Some(spec.quality) => Reason::Smaller,
            _ => Reason::AsAsked,
        };
        Selection {
            take: match self.audio {
                Some(audio) => Take::Pair { video: self.stream.id.clone(), audio: audio.id.clone() },
                None => Take::One(self.stream.id.clone()),
            },
            container: if self.fits { self.outcome(spec, container) } else { Some(Container::Mkv) },
            transcodes: false,
            asked: Some(spec.quality),
            got,
            promises_audio: self.audio.is_some() || self.stream.is_muxed(),
            reason,
        }
    }

    /// Where its sound comes from.
    fn sound(&self) -> &Stream {
        self.audio.unwrap_or(self.stream)
    }

    /// Does the site say how all of it is coded?
    fn is_described(&self) -> bool {
        self.stream.video != Track::Unknown && self.sound().audio != Track::Unknown
    }

    /// What comes of streams that are not known not to fit; none: only the file can tell.
    fn outcome(&self, spec: &DownloadSpec, asked: Option<Container>) -> Option<Container> {
        match (asked, self.audio) {
            (Some(asked), _) => {
                // a strict request gets it or nothing, and what is like such a file fits into one
                let is_such = |stream: &Stream| stream.like.is_some_and(|file| file.is_kind_of(asked));
                let is_sure = spec.fallback == Fallback::Strict || asked == Container::Mkv || self.is_described();
                (is_sure || (is_such(self.stream) && is_such(self.sound()))).then_some(asked)
            }
            (None, None) => self.stream.file,
            (None, Some(audio)) => {
                let own = self.stream.file.filter(|_| self.is_described())?;
                Some(settle::together(Some(own), (self.stream.video.codec(), audio.audio.codec())))
            }
        }
    }
}

impl Size {
    /// Lines that a coder may add to fill its last block: 1088 for 1080.
    const PADDING: u32 = 8;

    fn of(short_side: Option<u32>, quality: Quality) -> Self {
        match (short_side, quality) {
            (_, Quality::Best) => Self::Within,
            (None, Quality::AtMost(_)) => Self::Unknown,
            (Some(pixels), Quality::AtMost(rung)) if pixels <= u32::from(rung) + Self::PADDING => Self::Within,
            (Some(_), Quality::AtMost(_)) => Self::TooLarge,
        }
    }
}

/// Is this the codec that a request names?
fn is_codec(asked: Codec, is: VideoCodec) -> bool {
    match asked {
        Codec::Any => true,
        Codec::H264 => is == VideoCodec::H264,
        Codec::H265 => is == VideoCodec::H265,
        Codec::Vp9 => is == VideoCodec::Vp9,
        Codec::Av1 => is == VideoCodec::Av1,
    }
}

/// The codecs that players of a format know best come last.
fn familiarity(format: Format, codec: Track<VideoCodec>) -> u8 {
    use VideoCodec::{Av1, H264, H265, Other, Vp8, Vp9};
    let order = match format {
        Format::Mp4 => [Other, Vp8, Vp9, Av1, H265, H264],
        _ => [Other, Vp8, H264, H265, Vp9, Av1],
    };
    match codec {
        Track::Known(codec) => order.iter().position(|c| *c == codec).map_or(0, |at| at as u8),
        Track::Absent | Track::Unknown => 0,
    }
}

#[cfg(test)]
mod tests;
