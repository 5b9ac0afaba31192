//! What is known of a medium without downloading it, and the cache of it.
//!
//! Cached metadata is for display only; it is never given to a program again. Two levels: memory of the API
//! process (`api::metadata`), then Redis ([`MetadataCache`]), where workers write what they found, refusals included. Pictures
//! and plans have the second only.

mod cache;
mod picture;
mod plan;

pub use cache::{KEPT_FOR, MetadataCache, refusal_life};
pub use picture::{KeptPicture, LARGEST_PICTURE, Picture};
pub use plan::DownloadPlan;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cookies::Cookies;
use crate::job::FailureKind;
use crate::source::SourceUrl;

/// What is looked at: an address, as it shows itself with these cookies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Look {
    /// Where.
    pub url: SourceUrl,
    /// What was found with somebody's cookies is for nobody else.
    pub cookies: Cookies,
    /// Of a list, from which entry on its entries are told; 1, unless somebody wants those beyond the first hundred.
    pub first: u32,
}

/// The metadata of the contract.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the contract")]
pub struct Metadata {
    pub id: Option<String>,
    pub extractor: Option<String>,
    pub title: Option<String>,
    pub uploader: Option<String>,
    pub duration_seconds: Option<f64>,
    pub is_live: bool,
    pub thumbnail_url: Option<String>,
    pub webpage_url: Option<String>,
    /// `YYYY-MM-DD`.
    pub upload_date: Option<String>,
    pub formats: Vec<MediaFormat>,
    /// The rungs of the ladder that it really has, highest first.
    pub qualities: Vec<String>,
    pub subtitles: Vec<Subtitle>,
    pub chapters: Vec<Chapter>,
    /// Of a playlist, at most 100, from where the look began; empty otherwise.
    pub entries: Vec<Entry>,
}

/// One stream that the site offers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the contract")]
pub struct MediaFormat {
    pub format_id: String,
    pub ext: String,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub fps: Option<f64>,
    pub vcodec: Option<String>,
    pub acodec: Option<String>,
    pub bitrate_kbps: Option<f64>,
    pub size_bytes: Option<u64>,
    pub protocol: String,
}

/// A language in which subtitles exist.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the contract")]
pub struct Subtitle {
    pub language: String,
    pub name: Option<String>,
    pub automatic: bool,
}

/// A chapter; times in seconds from the start.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the contract")]
pub struct Chapter {
    pub title: Option<String>,
    pub start: f64,
    pub end: Option<f64>,
}

/// An entry of a playlist.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the contract")]
pub struct Entry {
    pub url: Option<String>,
    pub title: Option<String>,
    pub duration_seconds: Option<f64>,
}

/// What a worker found, or why it found nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding<T = Metadata> {
    /// It is there.
    Found(Box<T>),
    /// It is not, and asking again soon gives the same answer.
    Refused {
        /// Why.
        kind: FailureKind,
        /// How long the site asked to be left alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Duration>,
    },
}

/// A finding with its age.
#[derive(Debug, Clone, PartialEq)]
pub struct Cached<T = Metadata> {
    /// What was found.
    pub finding: Finding<T>,
    /// How long ago.
    pub age: Duration,
    /// Older than its time: to be shown while it is asked again.
    pub stale: bool,
}
