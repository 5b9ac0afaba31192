//! Where a format is, and what has to be said when asking for it.
//!
//! Only what can be asked for without knowing the site: whoever needs more than an address, headers and cookies has
//! [`Place::quirks`], and yt-dlp asks.

use hyper::HeaderMap;
use hyper::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, HeaderValue, RANGE, TE, TRANSFER_ENCODING,
    UPGRADE,
};
use jiff::Timestamp;
use url::Url;

use super::value::{self, Fields};
use crate::origin::{Asker, Cookies};

/// Characters of the longest address; some are signed at length.
const ADDRESS: usize = 8192;
const HEADERS: usize = 50;
/// Fragments that are kept of a format: one more than anybody takes.
const FRAGMENTS: usize = 20_001;

/// Said by whoever asks, and by nobody for him.
const OURS: [HeaderName; 9] =
    [ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, RANGE, TE, TRANSFER_ENCODING, UPGRADE];
/// Yt-dlp's words to itself begin with these.
const PRIVATE: [&str; 2] = ["ytdl-", "youtubedl-"];
/// These would be asked for by somebody else, in another way, or not whole.
const ODD: [&str; 3] = ["ytdl-request-proxy", "host", "range"];
/// What an extractor hides behind the `#` of an address.
const SMUGGLED: &str = "__youtubedl_smuggle=";

/// What of yt-dlp's dictionary only yt-dlp can follow.
const QUIRKS: [&str; 9] = [
    "request_data",
    "impersonate",
    "extra_param_to_segment_url",
    "extra_param_to_key_url",
    "hls_aes",
    "hls_media_playlist_data",
    "format_index",
    "section_start",
    "section_end",
];

/// Where a format is. `Debug` shows neither address nor cookie.
#[derive(Clone, PartialEq)]
pub struct Place {
    /// Of the file, or of the playlist or manifest.
    pub url: Url,
    /// Without cookies, without yt-dlp's private ones, and without those that belong to a connection.
    pub headers: HeaderMap,
    /// For those hosts that they are meant for.
    pub cookies: Cookies,
    /// What the addresses of [`Self::fragments`] are relative to.
    pub fragment_base: Option<Url>,
    /// Of a static DASH manifest, in order: an address, and how many seconds it plays. Else empty.
    pub fragments: Vec<(Box<str>, Option<f64>)>,
    /// Only yt-dlp knows how this is fetched.
    pub quirks: bool,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("fragments", &self.fragments.len()).finish_non_exhaustive()
    }
}

impl Place {
    /// `None`: it has no address that can be read.
    pub(super) fn of(fields: &Fields<'_>, now: Timestamp) -> Option<Self> {
        let headers = fields.entries("http_headers", HEADERS).filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            let is_private = PRIVATE.iter().any(|private| name.as_str().starts_with(private));
            let is_public = !OURS.contains(&name) && !is_private;
            Some((name, HeaderValue::from_str(&value::string(value)?).ok()?)).filter(|_| is_public)
        });
        let fragment = |fragment: Fields<'_>| {
            let address = fragment.whole_text("url", ADDRESS).or_else(|| fragment.whole_text("path", ADDRESS))?;
            Some((address.into(), fragment.number("duration")))
        };
        let fragments: Vec<_> = fields.list("fragments", FRAGMENTS).map_while(fragment).collect();
        let cookies = fields.whole_text("cookies", ADDRESS).and_then(|cookies| Cookies::read(&cookies));
        // what was left out here is missing there
        let is_cut = fields.length("fragments") != fragments.len() || (fields.has("cookies") && cookies.is_none());
        let is_odd = |name: &str| ODD.iter().any(|odd| name.eq_ignore_ascii_case(odd));
        let url = address(fields, "url")?;
        let quirks = [
            is_cut,
            QUIRKS.iter().any(|name| fields.has(name)) || fields.is_true("is_from_start"),
            fields.entries("http_headers", HEADERS).any(|(name, _)| is_odd(&name)),
            // short answers are what everybody asks for here
            fields.entries("downloader_options", HEADERS).any(|(name, _)| name != "http_chunk_size"),
            fields.number("available_at").is_some_and(|at| at > now.as_second() as f64),
            url.fragment().is_some_and(|behind| behind.contains(SMUGGLED)),
        ];
        Some(Self {
            url,
            headers: headers.collect(),
            cookies: cookies.unwrap_or_default(),
            fragment_base: address(fields, "fragment_base_url"),
            fragments,
            quirks: quirks.contains(&true),
        })
    }
}

impl Place {
    /// Who asks for something that belongs to this format.
    pub(crate) fn asker(&self) -> Asker {
        Asker::of(self.url.clone(), self.headers.clone(), self.cookies.clone())
    }
}

fn address(fields: &Fields<'_>, name: &str) -> Option<Url> {
    fields.whole_text(name, ADDRESS).and_then(|text| Url::parse(&text).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::value::raw;
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).expect("a time")
    }

    #[test]
    fn what_is_of_one_host_is_not_told_to_another() {
        // Fault: of a live stream all segments were asked for with the cookies of its playlist, wherever they were.
        let format = json!({
            "url": "https://site.example/live.m3u8", "http_headers": {"Authorization": "Basic eA==", "Referer": "r"},
            "cookies": "s=1; Domain=site.example; Path=/; c=2; Domain=.cdn.example; Path=/",
        });
        let place = Place::of(&Fields::of(&raw(&format)).expect("an object"), now()).expect("a place");
        for (url, said) in [
            ("https://site.example/1.ts", [Some("s=1"), Some("Basic eA=="), Some("r")]),
            ("https://a.cdn.example/1.ts", [Some("c=2"), None, Some("r")]),
            ("https://other.example/1.ts", [None, None, Some("r")]),
            // Fault: what lies beside a medium was asked for with both over plain http, too.
            ("http://site.example/1.ts", [Some("s=1"), None, Some("r")]),
            ("https://site.example:8443/1.ts", [Some("s=1"), None, Some("r")]),
        ] {
            let headers = place.asker().headers_for(&Url::parse(url).expect("an address"));
            let value = |name: &str| headers.get(name).map(|value| value.to_str().expect("text"));
            assert_eq!(["cookie", "authorization", "referer"].map(value), said, "{url}");
        }
    }

    #[test]
    fn headers_are_those_of_the_site_and_neither_ours_nor_yt_dlp_s() {
        let format = json!({
            "url": "https://cdn.example/list.mpd?t=1", "fragment_base_url": "https://cdn.example/a/",
            "http_headers": {"User-Agent": "Mozilla", "Referer": "https://site.example/", "Cookie": "a=1",
                             "ytdl-socks-proxy": "p", "Youtubedl-No-Compression": "1", "Accept-Encoding": "gzip",
                             "bad name": "x", "Number": 1},
            "cookies": "s=1; Domain=.cdn.example; Path=/", "available_at": 1,
            "downloader_options": {"http_chunk_size": 10_485_760},
            "fragments": [{"path": "i.mp4"}, {"url": "https://other.example/1", "duration": 2.5}],
        });
        let place = Place::of(&Fields::of(&raw(&format)).expect("an object"), now()).expect("a place");
        let mut names: Vec<_> = place.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["referer", "user-agent"]);
        assert!(place.cookies.of(&place.url).is_some_and(|cookies| cookies == "s=1") && !place.quirks);
        let expected = [("i.mp4".into(), None), ("https://other.example/1".into(), Some(2.5))];
        assert_eq!(place.fragments, expected);
        assert!(!format!("{place:?}").contains("cdn"));
        for odd in [
            json!({"url": "https://cdn.example/", "impersonate": "chrome"}),
            json!({"url": "https://cdn.example/", "request_data": "a=b"}),
            json!({"url": "https://cdn.example/", "available_at": 4_000_000_000_u64}),
            json!({"url": "https://cdn.example/", "http_headers": {"Range": "bytes=0-9"}}),
            json!({"url": "https://cdn.example/", "http_headers": {"Ytdl-Request-Proxy": "http://p"}}),
            json!({"url": "https://cdn.example/", "downloader_options": {"ffmpeg_args": ["-x"]}}),
            json!({"url": "https://cdn.example/#__youtubedl_smuggle=%7B%7D"}),
            json!({"url": "https://cdn.example/", "fragments": [{"path": "i.mp4"}, null]}),
            json!({"url": "https://cdn.example/", "fragments": [{"path": "i.mp4"}, {"url": 3}]}),
            json!({"url": "https://cdn.example/", "cookies": "s".repeat(ADDRESS + 1)}),
        ] {
            assert!(
                Place::of(&Fields::of(&raw(&odd)).expect("an object"), now()).is_some_and(|place| place.quirks),
                "{odd}"
            );
        }
        assert_eq!(Place::of(&Fields::of(&raw(&json!({"url": "no address"}))).expect("an object"), now()), None);
    }
}
