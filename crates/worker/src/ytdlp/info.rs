//! What yt-dlp says about a medium, as far as we use it.
//!
//! Everything in it comes from a stranger's page: texts are cut, lists are bounded, wrong types are absent.
//!
//! Not here: which of the formats are taken (`select`).

use haul_shared::media::{MediaInfo, Quality};
use haul_shared::metadata::{Chapter, Entry, MediaFormat, Metadata, Subtitle};
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::captions::{self, Caption};
use super::command::ENTRIES;
use super::place::Place;
use super::value::{self, Fields, ID, TITLE, WORD};
use crate::container::Container;
use crate::origin::Asker;

const FORMATS: usize = 1000;
const LANGUAGES: usize = 500;
const CHAPTERS: usize = 1000;

/// One medium, or a list of them.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "the fields are those of yt-dlp's info dictionary")]
pub struct Info {
    pub id: Option<String>,
    pub extractor: Option<String>,
    /// Which file of yt-dlp's has an extractor for the host that was asked, and not for any host (`plugin.py`).
    pub own_extractor: Option<String>,
    pub title: Option<String>,
    pub uploader: Option<String>,
    pub duration_seconds: Option<f64>,
    pub live: Live,
    pub availability: Option<String>,
    pub thumbnail_url: Option<String>,
    pub webpage_url: Option<String>,
    /// `YYYY-MM-DD`.
    pub upload_date: Option<String>,
    pub formats: Vec<SiteFormat>,
    pub subtitles: Vec<Subtitle>,
    /// Those of [`Self::subtitles`] that can be made use of.
    pub captions: Vec<Caption>,
    pub chapters: Vec<Chapter>,
    /// `None`: it is no list.
    pub entries: Option<Vec<Entry>>,
    /// It was found in a list that has others, as far as anybody has counted.
    pub is_of_list: bool,
}

/// Where it is in its life as a broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Live {
    /// It is no broadcast, or one that has ended.
    #[default]
    No,
    /// It will begin.
    Upcoming,
    /// It goes on now.
    Now,
}

/// One format of a medium, as the site offers it. Bitrates in kbit/s, sizes in bytes and pixels.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "the fields are those of yt-dlp's info dictionary")]
pub struct SiteFormat {
    pub format_id: String,
    pub ext: String,
    pub protocol: String,
    pub container: Option<String>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub fps: Option<f64>,
    pub video: Track,
    pub audio: Track,
    pub total_kbps: Option<f64>,
    pub video_kbps: Option<f64>,
    pub audio_kbps: Option<f64>,
    pub size_bytes: Option<u64>,
    /// [`Self::size_bytes`] is computed from a bitrate.
    pub size_is_a_guess: bool,
    pub language: Option<String>,
    pub language_preference: Option<f64>,
    pub quality: Option<f64>,
    pub preference: Option<f64>,
    pub note: Option<String>,
    pub audio_channels: Option<u64>,
    pub dynamic_range: Option<String>,
    pub has_drm: bool,
    /// `None`: it has no address.
    pub place: Option<Place>,
}

/// Is there a picture, is there sound, and how is it coded?
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Track {
    /// The site says that there is none.
    Absent,
    /// Nobody says; a plain file is most likely both.
    #[default]
    Unknown,
    /// As the site spells it: `avc1.64001f`, `opus`, ...
    Codec(String),
}

impl Track {
    fn of(fields: &Fields<'_>, name: &str) -> Self {
        match fields.text(name, WORD) {
            None => Self::Unknown,
            Some(codec) if codec == "none" => Self::Absent,
            Some(codec) => Self::Codec(codec),
        }
    }

    /// The codec, when it is known.
    #[must_use]
    pub fn codec(&self) -> Option<&str> {
        match self {
            Self::Codec(codec) => Some(codec),
            Self::Absent | Self::Unknown => None,
        }
    }

    /// Is it there, or could it be?
    #[must_use]
    pub fn may_be(&self) -> bool {
        *self != Self::Absent
    }
}

impl SiteFormat {
    fn of(fields: &Fields<'_>) -> Option<Self> {
        let exact = fields.whole("filesize").filter(|size| *size > 0);
        let format = Self {
            // a NUL would end an argument
            format_id: fields.text("format_id", ID).filter(|id| !id.contains('\0'))?,
            ext: fields.text("ext", WORD).unwrap_or_default(),
            protocol: fields.text("protocol", WORD).unwrap_or_default(),
            container: fields.text("container", WORD),
            width: fields.pixels("width"),
            height: fields.pixels("height"),
            fps: fields.number("fps").filter(|fps| *fps > 0.0),
            video: Track::of(fields, "vcodec"),
            audio: Track::of(fields, "acodec"),
            total_kbps: fields.number("tbr"),
            video_kbps: fields.number("vbr"),
            audio_kbps: fields.number("abr"),
            size_bytes: exact.or_else(|| fields.whole("filesize_approx").filter(|size| *size > 0)),
            size_is_a_guess: exact.is_none(),
            language: fields.text("language", WORD),
            language_preference: fields.rank("language_preference"),
            quality: fields.rank("quality"),
            preference: fields.rank("preference"),
            note: fields.text("format_note", TITLE),
            audio_channels: fields.whole("audio_channels"),
            dynamic_range: fields.text("dynamic_range", WORD),
            // `true`, or `"maybe"`, which yt-dlp tries
            has_drm: fields.is_true("has_drm"),
            place: Place::of(fields, Timestamp::now()),
        };
        // storyboards are formats to yt-dlp, without picture and sound
        (format.video.may_be() || format.audio.may_be()).then_some(format)
    }

    /// Of everything in it, as far as the site says.
    #[must_use]
    pub fn kbps(&self) -> Option<f64> {
        let parts = match (self.video_kbps, self.audio_kbps) {
            (None, None) => None,
            (video, audio) => Some(video.unwrap_or(0.0) + audio.unwrap_or(0.0)),
        };
        self.total_kbps.or(parts)
    }

    /// What kind of file holds what it holds, as a rule: segments of HLS are like mp4, whatever they come in.
    #[must_use]
    pub fn like(&self) -> Option<Container> {
        Container::of_extension(&self.ext)
    }

    /// What kind of file it comes in, as far as the site says.
    #[must_use]
    pub fn file(&self) -> Option<Container> {
        self.like().filter(|_| ["http", "https", "http_dash_segments"].contains(&self.protocol.as_str()))
    }

    /// The rung of the ladder, when the picture's size is known.
    #[must_use]
    pub fn quality_rung(&self) -> Option<Quality> {
        let short = match (self.width, self.height) {
            (Some(width), Some(height)) => width.min(height),
            (_, height) => height?,
        };
        self.video.may_be().then(|| Quality::of_short_side(short))
    }
}

impl Info {
    /// Reads what yt-dlp says; `None`: it says nothing that can be read.
    #[must_use]
    pub fn read(value: &RawValue) -> Option<Self> {
        Fields::of(value).map(|fields| Self::of(&fields))
    }

    /// Reads the same, and of a list its first entry; `None` also when there is none.
    pub(super) fn read_entry(value: &RawValue) -> Option<Self> {
        let mut fields = Fields::of(value)?;
        let (own_extractor, mut is_of_list) = (own_extractor(&fields), false);
        // a list may stand in a list
        for _ in 0..3 {
            if !fields.has("entries") {
                break;
            }
            is_of_list |= fields.whole("playlist_count") != Some(1);
            fields = fields.list("entries", 1).next()?;
        }
        (!fields.has("entries")).then(|| Self { own_extractor, is_of_list, ..Self::of(&fields) })
    }

    fn of(fields: &Fields<'_>) -> Self {
        let mut formats: Vec<_> = fields.list("formats", FORMATS).filter_map(|f| SiteFormat::of(&f)).collect();
        if formats.is_empty() && fields.has("url") && !fields.has("entries") {
            // the only format stands in the dictionary itself
            formats.extend(SiteFormat::of(fields));
        }
        let entries = fields.has("entries").then(|| fields.list("entries", ENTRIES).map(|e| entry(&e)).collect());
        Self {
            id: fields.text("id", ID),
            extractor: fields.text("extractor", WORD),
            own_extractor: None,
            title: fields.text("title", TITLE),
            uploader: fields.text("uploader", TITLE).or_else(|| fields.text("channel", TITLE)),
            duration_seconds: fields.number("duration"),
            live: live(fields),
            availability: fields.text("availability", WORD),
            thumbnail_url: fields.link("thumbnail"),
            webpage_url: fields.link("webpage_url"),
            upload_date: fields.text("upload_date", WORD).and_then(|date| with_dashes(&date)),
            formats,
            subtitles: languages(fields, "subtitles", false)
                .chain(languages(fields, "automatic_captions", true))
                .collect(),
            captions: captions::captions(fields),
            chapters: fields.list("chapters", CHAPTERS).filter_map(|c| chapter(&c)).collect(),
            entries,
            is_of_list: false,
        }
    }

    /// Who asks for what belongs to the medium: whoever asks for its best format, with cookies that go only where each of
    /// them is meant to go.
    #[must_use]
    pub fn asker(&self) -> Asker {
        self.formats.iter().rev().find_map(|format| format.place.as_ref()).map(Place::asker).unwrap_or_default()
    }

    /// What a job shows.
    #[must_use]
    pub fn media(&self) -> MediaInfo {
        MediaInfo {
            title: self.title.clone(),
            uploader: self.uploader.clone(),
            duration_seconds: self.duration_seconds,
            webpage_url: self.webpage_url.clone(),
            extractor: self.extractor.clone(),
            is_of_list: self.is_of_list,
        }
    }

    /// What is shown without downloading.
    #[must_use]
    pub fn into_metadata(self) -> Metadata {
        let mut rungs: Vec<_> = self.formats.iter().filter_map(SiteFormat::quality_rung).collect();
        rungs.sort_by_key(|rung| match rung {
            Quality::Best => 0,
            Quality::AtMost(pixels) => u16::MAX - pixels,
        });
        rungs.dedup();
        Metadata {
            id: self.id,
            extractor: self.extractor,
            title: self.title,
            uploader: self.uploader,
            duration_seconds: self.duration_seconds,
            is_live: self.live == Live::Now,
            thumbnail_url: self.thumbnail_url,
            webpage_url: self.webpage_url,
            upload_date: self.upload_date,
            formats: self.formats.into_iter().map(SiteFormat::into_shown).collect(),
            qualities: rungs.iter().map(ToString::to_string).collect(),
            subtitles: self.subtitles,
            chapters: self.chapters,
            entries: self.entries.unwrap_or_default(),
        }
    }
}

impl SiteFormat {
    /// As it is shown.
    pub(crate) fn into_shown(self) -> MediaFormat {
        MediaFormat {
            vcodec: self.video.codec().map(str::to_owned),
            acodec: self.audio.codec().map(str::to_owned),
            bitrate_kbps: self.total_kbps.or(self.video_kbps).or(self.audio_kbps),
            format_id: self.format_id,
            ext: self.ext,
            width: self.width,
            height: self.height,
            fps: self.fps,
            size_bytes: self.size_bytes,
            protocol: self.protocol,
        }
    }
}

/// It becomes a word of a record.
fn own_extractor(fields: &Fields<'_>) -> Option<String> {
    let name = fields.text("own_extractor", WORD)?;
    let is_word = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_word.then_some(name)
}

fn live(fields: &Fields<'_>) -> Live {
    match fields.text("live_status", WORD).as_deref() {
        Some("is_upcoming") => Live::Upcoming,
        Some("is_live") => Live::Now,
        Some(_) => Live::No,
        None if fields.is_true("is_live") => Live::Now,
        None => Live::No,
    }
}

fn entry(fields: &Fields<'_>) -> Entry {
    Entry {
        url: fields.link("webpage_url").or_else(|| fields.link("url")),
        title: fields.text("title", TITLE),
        duration_seconds: fields.number("duration"),
    }
}

fn chapter(fields: &Fields<'_>) -> Option<Chapter> {
    let start = fields.number("start_time")?;
    Some(Chapter {
        title: fields.text("title", TITLE),
        start,
        end: fields.number("end_time").filter(|end| *end >= start),
    })
}

fn languages<'a>(fields: &Fields<'a>, name: &str, automatic: bool) -> impl Iterator<Item = Subtitle> + use<'a> {
    let tracks = fields.entries(name, LANGUAGES).filter(|(language, _)| *language != "live_chat");
    tracks.map(move |(language, tracks)| Subtitle {
        language: language.chars().take(WORD).collect(),
        name: value::objects(tracks, 1).next().and_then(|track| track.text("name", TITLE)),
        automatic,
    })
}

/// `20261120` as `2026-11-20`.
fn with_dashes(date: &str) -> Option<String> {
    let is_date = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
    is_date.then(|| format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..]))
}

#[cfg(test)]
mod tests;
