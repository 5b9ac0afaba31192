//! The playlist of a live stream (RFC 8216), at one moment: which segments it has, and whether more will come.
//!
//! Pure. What would have to be understood and is not is an error: bytes that are not what they seem to be make no
//! recording. Not here: fetching (`pipeline::live`), streams that have an end (`segments`).

mod start;

use std::sync::Arc;

use jiff::Timestamp;
use url::Url;

use crate::segments::{Addresses, NotHere};

pub use start::starts;

/// Segments of one list; a live one has a handful.
const MOST_SEGMENTS: usize = 20_000;

/// A list of segments at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// The longest that a segment plays, in seconds (`EXT-X-TARGETDURATION`).
    pub target: f64,
    /// In order.
    pub segments: Vec<Segment>,
    /// No more will come (`EXT-X-ENDLIST`).
    pub ended: bool,
}

/// A part of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Its number in the stream (`EXT-X-MEDIA-SEQUENCE` and on).
    pub number: u64,
    /// Where it is.
    pub url: Url,
    /// How long it plays, in seconds.
    pub seconds: f64,
    /// When it begins by the clock of the stream (`EXT-X-PROGRAM-DATE-TIME`), in seconds since 1970.
    pub begins: Option<f64>,
    /// What has to stand before it (`EXT-X-MAP`).
    pub map: Option<Arc<Url>>,
    /// Something else begins with it (`EXT-X-DISCONTINUITY`).
    pub breaks: bool,
}

/// Why a list can't be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotFollowed {
    /// Not a list of segments.
    #[error("not a playlist of segments")]
    Unreadable,
    /// It names more, or at greater length, than is held in memory here.
    #[error("the playlist is too long")]
    TooLong,
    /// It leads where the web is not.
    #[error("an address has a form of its own")]
    Address,
    /// Its segments are encrypted.
    #[error("the segments are encrypted")]
    Encrypted,
    /// Its segments are ranges of one file.
    #[error("the segments are ranges of a file")]
    Ranges,
}

/// Reads a list that was found at `base`.
///
/// # Errors
/// [`NotFollowed`].
pub fn read(text: &str, base: &Url) -> Result<Window, NotFollowed> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    if lines.next().map(|line| line.trim_start_matches('\u{feff}')) != Some("#EXTM3U") {
        return Err(NotFollowed::Unreadable);
    }
    let mut window = Window { target: 0.0, segments: Vec::new(), ended: false };
    let mut addresses = Addresses::of(base);
    let (mut first, mut seconds, mut map, mut breaks) = (0_u64, None, None, false);
    // as it was said, and as it goes on
    let (mut said, mut clock): (Option<f64>, Option<f64>) = (None, None);
    for line in lines {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-TARGETDURATION" => window.target = number(value)?,
            "#EXT-X-MEDIA-SEQUENCE" => first = value.trim().parse().map_err(|_| NotFollowed::Unreadable)?,
            "#EXTINF" => seconds = Some(number(value.split(',').next().unwrap_or_default())?),
            "#EXT-X-KEY" if !value.contains("METHOD=NONE") => return Err(NotFollowed::Encrypted),
            "#EXT-X-BYTERANGE" => return Err(NotFollowed::Ranges),
            "#EXT-X-MAP" if value.contains("BYTERANGE") => return Err(NotFollowed::Ranges),
            "#EXT-X-MAP" => {
                let name = attribute(value, "URI").ok_or(NotFollowed::Unreadable)?;
                map = Some(Arc::new(address(name, &mut addresses)?));
            }
            "#EXT-X-PROGRAM-DATE-TIME" => said = value.trim().parse().ok().map(since_1970),
            "#EXT-X-DISCONTINUITY" => breaks = true,
            "#EXT-X-ENDLIST" => window.ended = true,
            "#EXT-X-STREAM-INF" => return Err(NotFollowed::Unreadable),
            _ if line.starts_with('#') => {}
            _ if window.segments.len() == MOST_SEGMENTS => return Err(NotFollowed::TooLong),
            _ => {
                let number = first.checked_add(window.segments.len() as u64);
                // and there is a number for the next one
                let number = number.filter(|number| *number < u64::MAX).ok_or(NotFollowed::Unreadable)?;
                let seconds = seconds.take().ok_or(NotFollowed::Unreadable)?;
                let begins = said.take().or(clock.filter(|_| !breaks));
                clock = begins.map(|begins| begins + seconds);
                let url = address(line, &mut addresses)?;
                let segment = Segment { number, url, seconds, begins, map: map.clone(), breaks };
                window.segments.push(segment);
                breaks = false;
            }
        }
    }
    Ok(window)
}

fn number(text: &str) -> Result<f64, NotFollowed> {
    let number: Option<f64> = text.trim().parse().ok();
    number.filter(|number| number.is_finite() && *number >= 0.0).ok_or(NotFollowed::Unreadable)
}

fn since_1970(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

fn address(name: &str, addresses: &mut Addresses<'_>) -> Result<Url, NotFollowed> {
    addresses.join(name).map_err(|error| match error {
        NotHere::TooMany => NotFollowed::TooLong,
        _ => NotFollowed::Address,
    })
}

/// A quoted value of a list of attributes.
fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = list.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let base = Url::parse("https://site.example/live/list.m3u8").unwrap();
        match read(text, &base) {
            Ok(window) => {
                let one = |segment: &Segment| {
                    let map = if segment.map.is_some() { "+" } else { "" };
                    let breaks = if segment.breaks { "/" } else { "" };
                    format!("{breaks}{}{map} {} {}", segment.number, segment.seconds, segment.url.path())
                };
                let all: Vec<String> = window.segments.iter().map(one).collect();
                format!("{}{} {}", all.join(", "), if window.ended { "." } else { " ..." }, window.target)
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_list_is_read_or_refused() {
        for (lines, expected) in [
            (
                "#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:2.0,\na.ts\n#EXTINF:1.5,x\n/b.ts",
                "7 2 /live/a.ts, 8 1.5 /b.ts ... 2",
            ),
            (
                "#EXT-X-MAP:URI=\"i.mp4\"\n#EXTINF:1,\na\n#EXT-X-DISCONTINUITY\n#EXTINF:1,\nb\n#EXT-X-ENDLIST",
                "0+ 1 /live/a, /1+ 1 /live/b. 0",
            ),
            ("#EXT-X-KEY:METHOD=NONE\n#EXTINF:1,\na", "0 1 /live/a ... 0"),
            ("#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:1,\na", "the segments are encrypted"),
            ("#EXT-X-BYTERANGE:10@0\n#EXTINF:1,\na", "the segments are ranges of a file"),
            ("#EXT-X-STREAM-INF:BANDWIDTH=1\nb.m3u8", "not a playlist of segments"),
            ("#EXTINF:inf,\na", "not a playlist of segments"),
            ("#EXTINF:1,\nfile:///a", "an address has a form of its own"),
            ("#EXT-X-MEDIA-SEQUENCE:18446744073709551615\n#EXTINF:1,\na", "not a playlist of segments"),
            ("a", "not a playlist of segments"),
        ] {
            assert_eq!(shown(&format!("#EXTM3U\n{lines}\n")), expected, "{lines}");
        }
        assert_eq!(shown("<html>"), "not a playlist of segments");
    }

    /// Fault: each segment had the address of what stands before it for itself, and could be far longer than its name.
    #[test]
    fn a_small_list_is_not_much_more_in_memory() {
        let segments = "#EXTINF:1,\na\n".repeat(MOST_SEGMENTS);
        let base = |length: usize| Url::parse(&format!("https://site.example/{}/", "a".repeat(length))).unwrap();
        let window = read(&format!("#EXTM3U\n#EXT-X-MAP:URI=\"i\"\n{segments}"), &base(9)).unwrap();
        let maps: Vec<_> = window.segments.iter().filter_map(|segment| segment.map.as_ref()).collect();
        assert!(maps.len() == MOST_SEGMENTS && maps.iter().all(|map| Arc::ptr_eq(map, maps[0])));
        for length in [600, 9000] {
            assert_eq!(read(&format!("#EXTM3U\n{segments}"), &base(length)), Err(NotFollowed::TooLong));
        }
        let long = "#EXT-X-MAP:URI=\"".to_owned() + &"a".repeat(9000);
        assert_eq!(read(&format!("#EXTM3U\n{long}\"\n{segments}"), &base(9)), Err(NotFollowed::TooLong));
    }
}
