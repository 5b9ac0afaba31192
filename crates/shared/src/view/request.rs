//! The words of a download request, as types: kept with the job, and shown as `request`.
//!
//! Reading one back takes a default for what is missing, so that a record of an older version stays readable, and
//! what is at its default need not be kept. A default is for ever, therefore.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::ids::Region;
use crate::media::{self, Codec, Fallback, Format, Priority, Quality, USUAL_AUDIO_BITRATE_KBPS};

/// A download request with all defaults filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DownloadRequest {
    /// Where the medium is: http or https, at most 2048 characters.
    #[schema(max_length = 2048, example = "https://media.example/talk")]
    pub url: String,
    /// What the result shall be.
    #[serde(default)]
    #[schema(value_type = String, default = "mp4", example = "mp4", pattern = "^(mp4|webm|mkv|original|mp3|m4a|opus|flac|wav)$")]
    pub format: Format,
    /// At most this picture size, by its short side.
    #[serde(default)]
    #[schema(value_type = String, default = "best", example = "1080p", pattern = "^(best|4320p|2160p|1440p|1080p|720p|480p|360p|240p|144p)$")]
    pub quality: Quality,
    /// The preferred video codec.
    #[serde(default)]
    #[schema(value_type = String, default = "any", example = "any", pattern = "^(any|h264|h265|vp9|av1)$")]
    pub codec: Codec,
    /// `strict`: fail with `format_unavailable` rather than give less.
    #[serde(default)]
    #[schema(value_type = String, default = "nearest", example = "nearest", pattern = "^(nearest|strict)$")]
    pub fallback: Fallback,
    /// Of lossy audio formats.
    #[serde(default = "default_bitrate")]
    #[schema(minimum = 32, maximum = 320)]
    pub audio_bitrate_kbps: u16,
    /// Only this part.
    #[serde(default)]
    pub clip: Option<Clip>,
    /// Subtitles to fetch.
    #[serde(default)]
    pub subtitles: Option<Subtitles>,
    /// Write title, artist and date into the file.
    #[serde(default = "yes")]
    pub embed_metadata: bool,
    /// Write the picture that stands for the medium into the file, where the container can hold one.
    #[serde(default)]
    pub embed_thumbnail: bool,
    /// Write chapters into the file.
    #[serde(default = "yes")]
    pub embed_chapters: bool,
    /// Segments to mark or leave out; null in a request is none.
    #[serde(default)]
    #[schema(value_type = Option<SponsorBlock>)]
    pub sponsorblock: SponsorBlock,
    /// Which entry, when the URL is a playlist.
    #[serde(default = "first")]
    #[schema(minimum = 1, maximum = 100_000)]
    pub playlist_index: u32,
    /// Made sooner, and so that it can be played while it is fetched.
    #[serde(default)]
    pub streaming: bool,
    /// Record a live stream, from now on, up to this long; without it such a stream is refused.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 86_400)]
    pub live_seconds: Option<u32>,
    /// Suggested name, without extension.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100)]
    pub filename: Option<String>,
    /// In which queue.
    #[serde(default)]
    #[schema(value_type = String, default = "normal", example = "normal", pattern = "^(normal|low)$")]
    pub priority: Priority,
    /// Where it is fetched; the API's own region when it is left out.
    #[serde(default)]
    #[schema(value_type = String, example = "default")]
    pub region: Option<Region>,
    /// Whom to tell when it ends. Needs a secret to sign with: the caller's key has one, or the service.
    #[serde(default)]
    pub webhook: Option<Webhook>,
    /// The client's own name for it.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    pub external_id: Option<String>,
    /// Words to find it by.
    #[serde(default)]
    #[schema(max_items = 10)]
    pub tags: Vec<String>,
    /// How long the result is kept, in seconds; as long as the service keeps any when it is left out.
    #[serde(default)]
    #[schema(minimum = 60)]
    pub expires_in: u64,
}

impl DownloadRequest {
    /// Nothing but defaults. Region and life are the service's and stay unsaid.
    #[must_use]
    pub fn of_url(url: String) -> Self {
        Self {
            url,
            format: Format::default(),
            quality: Quality::default(),
            codec: Codec::default(),
            fallback: Fallback::default(),
            audio_bitrate_kbps: default_bitrate(),
            clip: None,
            subtitles: None,
            embed_metadata: yes(),
            embed_thumbnail: false,
            embed_chapters: yes(),
            sponsorblock: SponsorBlock::default(),
            playlist_index: first(),
            streaming: false,
            live_seconds: None,
            filename: None,
            priority: Priority::default(),
            region: None,
            webhook: None,
            external_id: None,
            tags: Vec::new(),
            expires_in: 0,
        }
    }

    /// As it is kept: what differs from the defaults.
    #[must_use]
    pub fn stored(&self) -> Vec<u8> {
        static DEFAULTS: LazyLock<Map<String, Value>> =
            LazyLock::new(|| DownloadRequest::of_url(String::new()).fields());
        let mut fields = self.fields();
        fields.retain(|name, value| DEFAULTS.get(name) != Some(value));
        serde_json::to_vec(&fields).expect("values are JSON")
    }

    /// Reads what [`Self::stored`] wrote, of this version or an older one.
    ///
    /// # Errors
    /// It is no request that this version knows.
    pub fn read(stored: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(stored)
    }

    fn fields(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => unreachable!("a request has only plain fields"),
        }
    }
}

fn default_bitrate() -> u16 {
    USUAL_AUDIO_BITRATE_KBPS
}

fn yes() -> bool {
    true
}

fn first() -> u32 {
    1
}

/// A part of a medium, in seconds, which count to the millisecond.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Clip {
    /// From here.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 10_000_000)]
    pub start: f64,
    /// To here; to the end when absent, or beyond it.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 10_000_000)]
    pub end: Option<f64>,
    /// Between key frames as well: the picture is coded anew where it must be. Otherwise the clip begins at the last
    /// key frame at or before its start.
    #[serde(default)]
    pub exact: bool,
}

impl Clip {
    /// As a worker is told.
    #[must_use]
    pub fn wanted(&self) -> media::Clip {
        media::Clip { start: self.start, end: self.end, exact: self.exact }
    }
}

/// Which subtitles, and where to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Subtitles {
    /// Languages as tags of BCP 47, each of which is wanted.
    #[schema(min_items = 1, max_items = 20)]
    pub languages: Vec<String>,
    /// Also those that a machine made, where nobody wrote any.
    #[serde(default)]
    pub automatic: bool,
    /// Where to.
    #[serde(default)]
    pub mode: SubtitleMode,
}

impl Subtitles {
    /// As a worker is told.
    #[must_use]
    pub fn wanted(&self) -> media::Subtitles {
        let mode = match self.mode {
            SubtitleMode::Embed => media::SubtitleMode::Embed,
            SubtitleMode::Sidecar => media::SubtitleMode::Sidecar,
        };
        media::Subtitles { languages: self.languages.clone(), automatic: self.automatic, mode }
    }
}

/// Where subtitles go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SubtitleMode {
    /// Into the file, where its container holds texts; else beside it.
    #[default]
    Embed,
    /// Beside it.
    Sidecar,
}

/// Segments that SponsorBlock knows of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct SponsorBlock {
    /// Make chapters of these.
    #[serde(default)]
    pub mark: Vec<String>,
    /// Leave these out.
    #[serde(default)]
    pub remove: Vec<String>,
}

impl SponsorBlock {
    /// As a worker is told.
    #[must_use]
    pub fn wanted(&self) -> media::SponsorBlock {
        let kinds = |words: &[String]| words.iter().filter_map(|word| media::SegmentKind::of_word(word)).collect();
        media::SponsorBlock { mark: kinds(&self.mark), remove: kinds(&self.remove) }
    }
}

/// Whom to tell when it ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Webhook {
    /// http or https, at most 2048 characters.
    #[schema(max_length = 2048, example = "https://hooks.example/haul")]
    pub url: String,
}
