//! What clients see of metadata.

use haul_shared::metadata::{Chapter, Entry, MediaFormat, Metadata, Subtitle};
use serde::Serialize;
use utoipa::ToSchema;

/// What is known of a medium, or of a playlist.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetadataView {
    id: Option<String>,
    extractor: Option<String>,
    title: Option<String>,
    uploader: Option<String>,
    duration_seconds: Option<f64>,
    is_live: bool,
    thumbnail_url: Option<String>,
    webpage_url: Option<String>,
    #[schema(format = "date")]
    upload_date: Option<String>,
    formats: Vec<FormatView>,
    /// The rungs of the quality ladder that it really has, highest first.
    qualities: Vec<String>,
    subtitles: Vec<SubtitleView>,
    chapters: Vec<ChapterView>,
    /// Of a playlist, at most 100.
    entries: Vec<EntryView>,
}

/// One stream that the site offers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FormatView {
    format_id: String,
    ext: String,
    width: Option<u32>,
    height: Option<u32>,
    fps: Option<f64>,
    vcodec: Option<String>,
    acodec: Option<String>,
    bitrate_kbps: Option<f64>,
    size_bytes: Option<u64>,
    protocol: String,
}

/// A language in which subtitles exist.
#[derive(Debug, Serialize, ToSchema)]
struct SubtitleView {
    language: String,
    name: Option<String>,
    automatic: bool,
}

/// A chapter; seconds from the start.
#[derive(Debug, Serialize, ToSchema)]
struct ChapterView {
    title: Option<String>,
    start: f64,
    end: Option<f64>,
}

/// An entry of a playlist.
#[derive(Debug, Serialize, ToSchema)]
struct EntryView {
    url: Option<String>,
    title: Option<String>,
    duration_seconds: Option<f64>,
}

impl MetadataView {
    pub(super) fn of(metadata: Metadata) -> Self {
        Self {
            id: metadata.id,
            extractor: metadata.extractor,
            title: metadata.title,
            uploader: metadata.uploader,
            duration_seconds: metadata.duration_seconds,
            is_live: metadata.is_live,
            thumbnail_url: metadata.thumbnail_url,
            webpage_url: metadata.webpage_url,
            upload_date: metadata.upload_date,
            formats: metadata.formats.into_iter().map(FormatView::of).collect(),
            qualities: metadata.qualities,
            subtitles: metadata.subtitles.into_iter().map(SubtitleView::of).collect(),
            chapters: metadata.chapters.into_iter().map(ChapterView::of).collect(),
            entries: metadata.entries.into_iter().map(EntryView::of).collect(),
        }
    }
}

impl FormatView {
    pub(super) fn of(format: MediaFormat) -> Self {
        let MediaFormat { format_id, ext, width, height, fps, vcodec, acodec, bitrate_kbps, size_bytes, protocol } =
            format;
        Self { format_id, ext, width, height, fps, vcodec, acodec, bitrate_kbps, size_bytes, protocol }
    }
}

impl SubtitleView {
    fn of(Subtitle { language, name, automatic }: Subtitle) -> Self {
        Self { language, name, automatic }
    }
}

impl ChapterView {
    fn of(Chapter { title, start, end }: Chapter) -> Self {
        Self { title, start, end }
    }
}

impl EntryView {
    fn of(Entry { url, title, duration_seconds }: Entry) -> Self {
        Self { url, title, duration_seconds }
    }
}
