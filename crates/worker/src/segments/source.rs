//! Which formats of a site are streams of segments that may be fetched here.

use hyper::HeaderMap;
use url::Url;

use super::NotHere;
use super::plan::Addresses;
use crate::origin::{Cookies, Unfit};
use crate::ytdlp::{Place, SiteFormat};

/// Where a stream is, and what is sent when asking for any part of it.
#[derive(Clone)]
pub struct Source {
    /// Its playlist, or its manifest.
    pub url: Url,
    /// As yt-dlp names them, without its private ones.
    pub headers: HeaderMap,
    /// Each for the hosts that it is meant for.
    pub cookies: Cookies,
    /// What is there.
    pub manifest: Manifest,
}

/// Neither the URL nor a cookie is shown.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

/// Where the segments of a stream are named.
#[derive(Clone)]
pub enum Manifest {
    /// In an HLS media playlist, which is still to be read.
    Playlist,
    /// Here, by yt-dlp (DASH), the initialisation first: where each is, and how many seconds it plays.
    Fragments(Vec<(Url, Option<f64>)>),
}

impl Source {
    /// A format as yt-dlp found it.
    ///
    /// # Errors
    /// Why it is yt-dlp's to fetch.
    pub fn of(format: &SiteFormat) -> Result<Self, NotHere> {
        let place = format.place.as_ref().ok_or(Unfit::Address)?;
        if place.quirks || format.has_drm {
            return Err(NotHere::Quirks);
        }
        let manifest = match format.protocol.as_str() {
            "m3u8" | "m3u8_native" => Manifest::Playlist,
            "http_dash_segments" => Manifest::Fragments(fragments(place)?),
            _ => return Err(NotHere::Protocol),
        };
        let Place { url, headers, cookies, .. } = place.clone();
        Ok(Self { url, headers, cookies, manifest })
    }
}

fn fragments(place: &Place) -> Result<Vec<(Url, Option<f64>)>, NotHere> {
    let mut addresses = Addresses::of(place.fragment_base.as_ref().unwrap_or(&place.url));
    place.fragments.iter().map(|(name, seconds)| Ok((addresses.join(name)?, *seconds))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fault: a long base made each of many short names an address of its own length.
    #[test]
    fn many_fragments_at_long_addresses_are_too_many() {
        let base = |length: usize| format!("https://cdn.example/{}/", "a".repeat(length)).parse().ok();
        let of = |length: usize| {
            let place = Place {
                url: "https://cdn.example/list.mpd".parse().expect("an address"),
                headers: HeaderMap::new(),
                cookies: Cookies::default(),
                fragment_base: base(length),
                fragments: vec![("1".into(), Some(2.0)); 20_000],
                quirks: false,
            };
            let (protocol, place) = ("http_dash_segments".to_owned(), Some(place));
            Source::of(&SiteFormat { protocol, place, ..SiteFormat::default() }).map(|_| ())
        };
        assert_eq!((of(9), of(600)), (Ok(()), Err(NotHere::TooMany)));
    }
}
