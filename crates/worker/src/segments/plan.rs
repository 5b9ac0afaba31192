//! What is to be fetched of one stream, in order.
//!
//! Not here: where it stands (`hls`, `source`), how it is fetched (`lane`).

use std::sync::Arc;

use url::Url;

use super::NotHere;
use crate::origin::{Unfit, is_address};

/// Segments of one stream at most: eleven hours of two seconds each. More are yt-dlp's to keep in memory.
pub(super) const MOST_SEGMENTS: usize = 20_000;
/// One address, and a line of a playlist, in bytes; some are signed at length.
pub(super) const LONGEST_ADDRESS: usize = 8 << 10;
/// All addresses of one stream, in bytes.
const MOST_ADDRESSES: usize = 8 << 20;

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
    pub(super) key: Arc<Url>,
    pub(super) iv: [u8; 16],
}

/// The addresses of one stream while they are read. A base can make each of many short names a long one, and all of them
/// are held in memory.
pub(crate) struct Addresses<'a> {
    base: &'a Url,
    bytes: usize,
}

impl<'a> Addresses<'a> {
    /// Those that stand in what was found here.
    pub(crate) fn of(base: &'a Url) -> Self {
        Self { base, bytes: 0 }
    }

    /// Where a name leads. Another scheme than http or https is nobody's.
    pub(crate) fn join(&mut self, name: &str) -> Result<Url, NotHere> {
        let url = self.base.join(name).ok().filter(is_address).ok_or(Unfit::Address)?;
        let length = url.as_str().len();
        self.bytes += length;
        if length > LONGEST_ADDRESS || self.bytes > MOST_ADDRESSES { Err(NotHere::TooMany) } else { Ok(url) }
    }
}
