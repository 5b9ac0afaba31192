//! What a completed job made.

use serde::{Deserialize, Serialize};

use crate::storage::ObjectKey;

/// Which way the bytes took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// yt-dlp fetched them.
    Ytdlp,
}

/// A verified result in the store. Sizes in bytes, durations in seconds, picture in pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// Where it is.
    pub object: ObjectKey,
    /// The title as a file name stem, cleaned; a ticket's own `filename` wins over it.
    pub stem: String,
    /// File name extension, from a closed list.
    pub extension: String,
    /// Its size.
    pub size_bytes: u64,
    /// From our own look at the file, from a closed list.
    pub content_type: String,
    /// SHA-256 of the bytes, 64 lower-case hex digits.
    pub sha256: String,
    /// How long it plays.
    pub duration_seconds: Option<f64>,
    /// Of the picture.
    pub width: Option<u32>,
    /// Of the picture.
    pub height: Option<u32>,
    /// As ffprobe names it.
    pub vcodec: Option<String>,
    /// As ffprobe names it.
    pub acodec: Option<String>,
    /// The format's name, as a request has it.
    pub container: String,
    /// The rung asked for; none for audio.
    pub asked: Option<String>,
    /// The rung that the picture stands on; none for audio.
    pub got: Option<String>,
    /// Which way the bytes took.
    pub delivery: Delivery,
}
