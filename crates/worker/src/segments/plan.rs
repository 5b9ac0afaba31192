//! What is to be fetched of one stream, in order.
//!
//! Not here: where it stands (`hls`, `dash`), how it is fetched (`lane`).

use url::Url;

/// Segments of one stream at most: eleven hours of two seconds each. More are yt-dlp's to keep in memory.
pub(super) const MOST_SEGMENTS: usize = 20_000;

/// One stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// An initialisation first, if there is one.
    pub(super) segments: Vec<Segment>,
    /// All of them together, in seconds; `None`: not every one says.
    pub(super) seconds: Option<f64>,
}

/// Some bytes in their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) url: Url,
    /// First and last byte; `None`: all.
    pub(super) range: Option<(u64, u64)>,
    pub(super) cipher: Option<Cipher>,
}

impl Segment {
    /// All of what is there, as it is.
    pub(super) fn whole(url: Url) -> Self {
        Self { url, range: None, cipher: None }
    }
}

/// AES-128 in CBC over the whole segment, padded as PKCS #7 has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cipher {
    /// Where the sixteen bytes of the key are.
    pub(super) key: Url,
    pub(super) iv: [u8; 16],
}
