//! A media playlist (RFC 8216) as a plan.
//!
//! Whatever is not known to leave the bytes as they stand is yt-dlp's: better twice refused than once silently wrong.

use std::sync::Arc;
use std::time::Duration;

use hls_m3u8::tags::{ExtXKey, ExtXMap};
use hls_m3u8::types::{ByteRange, DecryptionKey, EncryptionMethod, KeyFormat};
use hls_m3u8::{Decryptable as _, MediaPlaylist};
use url::Url;

use super::NotHere;
use super::plan::{Addresses, Cipher, LONGEST_ADDRESS, MOST_SEGMENTS, Plan, Segment};

/// A playlist of text, in bytes.
pub(super) const LONGEST_PLAYLIST: usize = 4 << 20;
/// A playlist, in lines: a segment may well have four tags.
const MOST_LINES: usize = 10 * MOST_SEGMENTS;
/// Of one segment, in seconds: past this it is no statement about media.
const LONGEST_SEGMENT: f64 = 86_400.0;

/// Tags that the parser does not know, and that change nothing of the bytes: marks of advertising, hints, Twitch's clock.
const HARMLESS: [&str; 11] = [
    "#EXT-X-ALLOW-CACHE",
    "#EXT-X-ASSET",
    "#EXT-X-BITRATE",
    "#EXT-X-CUE",
    "#EXT-X-SCTE35",
    "#EXT-X-SERVER-CONTROL",
    "#EXT-X-SPLICEPOINT-SCTE35",
    "#EXT-X-TWITCH-",
    "#EXT-OATCLS-SCTE35",
    "#EXT-X-DATERANGE",
    "#EXT-X-CONTENT-IDENTIFIER",
];
/// Remarks by which yt-dlp leaves out advertising.
const ADVERTISING: [&str; 2] = ["#ANVATO-SEGMENT-INFO", "#UPLYNK-SEGMENT"];

/// Reads the playlist that was found at `base`.
pub(super) fn plan(text: &str, base: &Url) -> Result<Plan, NotHere> {
    scan(text)?;
    let mut builder = MediaPlaylist::builder();
    // many are wrong about their longest segment, which means nothing here
    builder.allowable_excess_duration(Duration::from_secs(LONGEST_SEGMENT as u64));
    let playlist = builder.parse(text).map_err(|_| NotHere::Playlist)?;
    if !playlist.has_end_list {
        return Err(NotHere::Live);
    }
    if playlist.unknown.iter().any(|tag| !HARMLESS.iter().any(|known| tag.starts_with(known))) {
        return Err(NotHere::Tags);
    }
    let mut segments = Vec::new();
    let (mut addresses, mut keys) = (Addresses::of(base), Keys::default());
    let (mut seconds, mut map): (f64, Option<&ExtXMap<'_>>) = (0.0, None);
    for segment in playlist.segments.values() {
        if segment.has_discontinuity {
            return Err(NotHere::Discontinuity);
        }
        if let Some(found) = segment.map.as_ref().filter(|found| map != Some(*found)) {
            if !segments.is_empty() {
                return Err(NotHere::Discontinuity);
            }
            map = Some(found);
            segments.push(initialisation(found, &mut addresses)?);
        }
        seconds += segment.duration.duration().as_secs_f64();
        segments.push(Segment {
            url: addresses.join(segment.uri())?,
            range: segment.byte_range.map(|range| bytes(*range)).transpose()?,
            cipher: keys.cipher(&segment.keys, &mut addresses)?,
        });
    }
    if segments.is_empty() {
        return Err(NotHere::Playlist);
    }
    Ok(Plan { segments, seconds: Some(seconds) })
}

/// What the parser would choke on, or not see.
fn scan(text: &str) -> Result<(), NotHere> {
    let (mut segments, mut lines) = (0, 0);
    for line in text.lines().map(str::trim) {
        lines += 1;
        if line.len() > LONGEST_ADDRESS || lines > MOST_LINES {
            return Err(NotHere::TooMany);
        }
        // the parser keeps one key of every format for each segment
        if line.starts_with("#EXT-X-KEY:") {
            let key = ExtXKey::try_from(line).map_err(|_| NotHere::Playlist)?;
            if key.as_ref().is_some_and(|key| !is_plain(key)) {
                return Err(NotHere::Cipher);
            }
        }
        if let Some(rest) = line.strip_prefix("#EXTINF:") {
            segments += 1;
            let seconds = rest.split(',').next().and_then(|seconds| seconds.trim().parse::<f64>().ok());
            if !seconds.is_some_and(|seconds| (0.0..=LONGEST_SEGMENT).contains(&seconds)) {
                return Err(NotHere::Playlist);
            }
        }
        if ADVERTISING.iter().any(|remark| line.starts_with(remark)) {
            return Err(NotHere::Tags);
        }
        if line.starts_with("#EXT-X-STREAM-INF") || line.starts_with("#EXT-X-I-FRAMES-ONLY") {
            return Err(NotHere::Playlist);
        }
    }
    if segments > MOST_SEGMENTS { Err(NotHere::TooMany) } else { Ok(()) }
}

/// It is encrypted by the keys before it, if there are any; one behind it is for segments.
fn initialisation(map: &ExtXMap<'_>, addresses: &mut Addresses<'_>) -> Result<Segment, NotHere> {
    if !map.keys().is_empty() {
        return Err(NotHere::Cipher);
    }
    Ok(Segment { url: addresses.join(map.uri())?, range: map.range().map(bytes).transpose()?, cipher: None })
}

/// The key of the segment before, which most share.
#[derive(Default)]
struct Keys<'a>(Option<(&'a str, Arc<Url>)>);

impl<'a> Keys<'a> {
    fn cipher(&mut self, keys: &'a [ExtXKey<'_>], addresses: &mut Addresses<'_>) -> Result<Option<Cipher>, NotHere> {
        let key = match keys.iter().filter_map(ExtXKey::as_ref).collect::<Vec<_>>()[..] {
            [] => return Ok(None),
            [key] => key,
            _ => return Err(NotHere::Cipher),
        };
        let iv = key.iv.to_slice().ok_or(NotHere::Cipher)?;
        let address = match &self.0 {
            Some((name, address)) if name == key.uri() => Arc::clone(address),
            Some(_) | None => Arc::new(addresses.join(key.uri())?),
        };
        self.0 = Some((key.uri(), Arc::clone(&address)));
        Ok(Some(Cipher { key: address, iv }))
    }
}

/// The key lies open at its address.
fn is_plain(key: &DecryptionKey<'_>) -> bool {
    key.method == EncryptionMethod::Aes128 && matches!(key.format, None | Some(KeyFormat::Identity))
}

/// First and last byte. Without a beginning it is the first of all, as yt-dlp has it; the parser has filled in the rest.
fn bytes(range: ByteRange) -> Result<(u64, u64), NotHere> {
    let (first, end) = (range.start().unwrap_or_default(), range.end());
    if first < end { Ok((first as u64, end as u64 - 1)) } else { Err(NotHere::Playlist) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Unfit;

    fn read(body: &str) -> Result<Plan, NotHere> {
        let base = Url::parse("https://cdn.example/a/list.m3u8?t=1").expect("an address");
        plan(&format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{body}"), &base)
    }

    fn refused(body: &str) -> NotHere {
        read(&format!("{body}\n#EXT-X-ENDLIST\n")).expect_err(body)
    }

    #[test]
    fn segments_stand_in_order_with_their_ranges_and_the_initialisation_once() {
        let plan = read(
            "#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"10@5\"\n#EXTINF:2.5,\n#EXT-X-BYTERANGE:100@15\nx.mp4\n\
             #EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"10@5\"\n#EXTINF:1.5,title\n#EXT-X-BYTERANGE:50\nx.mp4\n\
             #EXTINF:1,\n/y.mp4\n#EXT-X-ENDLIST\n",
        )
        .expect("a playlist");
        let shown: Vec<_> = plan.segments.iter().map(|s| (s.url.path().to_owned(), s.range)).collect();
        let expected = [
            ("/a/i.mp4".to_owned(), Some((5, 14))),
            ("/a/x.mp4".to_owned(), Some((15, 114))),
            ("/a/x.mp4".to_owned(), Some((115, 164))),
            ("/y.mp4".to_owned(), None),
        ];
        assert_eq!(shown, expected);
        assert_eq!(plan.seconds, Some(5.0));
    }

    #[test]
    fn the_vector_is_that_of_the_key_or_the_number_of_the_segment() {
        let plan = read(
            "#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:2,\n0\n#EXTINF:2,\n1\n\
             #EXT-X-KEY:METHOD=AES-128,URI=\"//other.example/k\",IV=0x000000000000000000000000000000ff\n#EXTINF:2,\n2\n\
             #EXT-X-KEY:METHOD=NONE\n#EXTINF:2,\n3\n#EXT-X-ENDLIST\n",
        )
        .expect("a playlist");
        let shown = plan.segments.iter().map(|segment| {
            let cipher = segment.cipher.as_ref()?;
            Some((cipher.key.as_str(), u128::from_be_bytes(cipher.iv)))
        });
        let expected = [
            Some(("https://cdn.example/a/k", 7)),
            Some(("https://cdn.example/a/k", 8)),
            Some(("https://other.example/k", 255)),
            None,
        ];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }

    /// Fault: the initialisation was judged by the key that came after it.
    #[test]
    fn an_initialisation_is_encrypted_by_a_key_before_it_only() {
        let (key, map) = ("#EXT-X-KEY:METHOD=AES-128,URI=\"k\"", "#EXT-X-MAP:URI=\"i\"\n");
        let segment = "#EXTINF:2,\n0\n";
        let plan = read(&format!("{map}{key}\n{segment}#EXT-X-ENDLIST\n")).expect("a playlist");
        assert_eq!(plan.segments.iter().map(|s| s.cipher.is_some()).collect::<Vec<_>>(), [false, true]);
        assert_eq!(refused(&format!("{key}\n{map}#EXT-X-KEY:METHOD=NONE\n{segment}")), NotHere::Cipher);
    }

    /// Fault: each segment had the address of its key for itself, and could be far longer than its name.
    #[test]
    fn a_small_playlist_is_not_much_more_in_memory() {
        let segments = "#EXTINF:2,\n0\n".repeat(MOST_SEGMENTS);
        let key = |uri: &str| format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{uri}\"\n");
        let long = "k".repeat(LONGEST_ADDRESS - 200);
        let plan = read(&format!("{}{segments}#EXT-X-ENDLIST\n", key(&long))).expect("a playlist");
        let keys: Vec<_> = plan.segments.iter().filter_map(|s| s.cipher.as_ref()).map(|c| &c.key).collect();
        assert!(keys.len() == MOST_SEGMENTS && keys.iter().all(|other| Arc::ptr_eq(other, keys[0])));
        let formats = (0..2000).map(|n| format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k\",KEYFORMAT=\"{n}\"\n"));
        for (body, reason) in [
            (key(&"k".repeat(LONGEST_ADDRESS)) + &segments, NotHere::TooMany),
            (format!("#{}\n{segments}", "x".repeat(LONGEST_ADDRESS)), NotHere::TooMany),
            ((key(&long) + "#EXTINF:2,\n0\n" + &key("k") + "#EXTINF:2,\n0\n").repeat(2000), NotHere::TooMany),
            (formats.collect::<String>() + &segments, NotHere::Cipher),
        ] {
            assert_eq!(refused(&body), reason, "{}", &body[..99]);
        }
        let path = "a".repeat(LONGEST_ADDRESS);
        for (base, reason) in [(&path[..], NotHere::TooMany), (&path[..600], NotHere::TooMany)] {
            let base = Url::parse(&format!("https://cdn.example/{base}/list.m3u8")).expect("an address");
            let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{segments}#EXT-X-ENDLIST\n");
            assert_eq!(super::plan(&text, &base), Err(reason));
        }
    }

    #[test]
    fn what_could_change_the_bytes_is_not_taken() {
        let segment = "#EXTINF:2,\n0.ts\n";
        for (body, reason) in [
            (format!("{segment}#EXT-X-DISCONTINUITY\n{segment}"), NotHere::Discontinuity),
            (format!("#EXT-X-MAP:URI=\"a\"\n{segment}#EXT-X-MAP:URI=\"b\"\n{segment}"), NotHere::Discontinuity),
            (format!("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n{segment}"), NotHere::Cipher),
            (format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k\",KEYFORMAT=\"com.apple\"\n{segment}"), NotHere::Cipher),
            (format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-MAP:URI=\"a\"\n{segment}"), NotHere::Cipher),
            (format!("#EXT-X-KEY:METHOD=AES-128,URI=\"file:///k\"\n{segment}"), Unfit::Address.into()),
            (format!("#EXT-X-GAP\n{segment}"), NotHere::Tags),
            (format!("#EXT-X-DEFINE:NAME=\"x\",VALUE=\"y\"\n{segment}"), NotHere::Tags),
            (format!("#UPLYNK-SEGMENT:x,ad\n{segment}"), NotHere::Tags),
            ("#EXTINF:2,\nfile:///etc/passwd".to_owned(), Unfit::Address.into()),
            ("#EXTINF:2,\ndata:video/mp4;base64,AAAA".to_owned(), Unfit::Address.into()),
            ("#EXTINF:-1,\n0.ts".to_owned(), NotHere::Playlist),
            ("#EXT-X-STREAM-INF:BANDWIDTH=1\n0.m3u8".to_owned(), NotHere::Playlist),
            (String::new(), NotHere::Playlist),
            (segment.repeat(MOST_SEGMENTS + 1), NotHere::TooMany),
        ] {
            assert_eq!(refused(&body), reason, "{}", &body[..body.len().min(99)]);
        }
        assert_eq!(read(segment), Err(NotHere::Live));
    }
}
