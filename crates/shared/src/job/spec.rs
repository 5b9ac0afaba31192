//! What a worker is told to do: everything that changes the bytes of the result, and nothing else.

use serde::{Deserialize, Serialize};

use crate::media::{Codec, Fallback, Format, Quality};
use crate::source::SourceUrl;

/// The order of one run. Stored as JSON; a worker that meets a `v` it does not know hands the job back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum JobSpec {
    /// Make a file.
    Download(DownloadSpec),
    /// Find out what is at an address.
    Metadata {
        /// Where.
        url: SourceUrl,
    },
}

/// The order of a download.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DownloadSpec {
    /// Where the medium is.
    pub url: SourceUrl,
    /// What the result shall be.
    pub format: Format,
    /// How large a picture.
    pub quality: Quality,
    /// Preferred codec.
    pub codec: Codec,
    /// What to do when the medium has not what was asked.
    pub fallback: Fallback,
    /// For lossy audio formats, 32-320.
    pub audio_bitrate_kbps: u16,
    /// Write title, artist and date into the file.
    pub embed_metadata: bool,
    /// Write chapters into the file.
    pub embed_chapters: bool,
    /// Which entry, when the URL is a playlist; from 1.
    pub playlist_index: u32,
}
