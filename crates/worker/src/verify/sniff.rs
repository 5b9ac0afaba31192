//! What a file is by its first bytes, before any program looks at it.
//!
//! Only containers that we know pass. Playlists and other texts that name further files are what this is for: a
//! demuxer that guesses by content would open what they name. So would one that reads texts within an AVI (`GAB2`), whose
//! demuxer is guessed: an AVI that shows a text in its first [`WINDOW`] is
//! none that we take. One further behind is left to the allow list of ffmpeg's inputs.

use super::structure;
use crate::container::Container;

/// How much of a file is looked at, in bytes.
pub const WINDOW: usize = 4096;

const TS_PACKET: usize = 188;

/// The container, or none if it is none that we take.
#[must_use]
pub fn sniff(head: &[u8]) -> Option<Container> {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    if at(0, b"ID3") {
        return Some(after_id3(head));
    }
    let boxes: [&[u8]; 7] = [b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"wide"];
    if boxes.iter().any(|name| at(4, name)) {
        return Some(Container::Mp4);
    }
    if at(0, b"\x1a\x45\xdf\xa3") {
        let webm = head[..head.len().min(64)].windows(4).any(|word| word == b"webm");
        return Some(if webm { Container::Webm } else { Container::Mkv });
    }
    if at(0, b"RIFF") {
        return match head.get(8..12) {
            Some(b"WAVE") => Some(Container::Wav),
            Some(b"AVI ") => (!has_text(head)).then_some(Container::Avi),
            _ => None,
        };
    }
    for (magic, container) in [(&b"OggS"[..], Container::Ogg), (b"fLaC", Container::Flac), (b"FLV\x01", Container::Flv)]
    {
        if at(0, magic) {
            return Some(container);
        }
    }
    if head.len() > 2 * TS_PACKET && [0, 1, 2].iter().all(|packet| head[packet * TS_PACKET] == 0x47) {
        return Some(Container::MpegTs);
    }
    frame(head)
}

/// Does the head of an AVI name a stream of texts (`strh` with the type `txts`), or does one begin in it?
fn has_text(head: &[u8]) -> bool {
    head.windows(4).any(|word| word == b"txts" || word == b"GAB2")
}

/// A raw stream of frames: MPEG audio layer III, or AAC with ADTS headers.
fn frame(head: &[u8]) -> Option<Container> {
    let &[0xff, second, third, ..] = head else { return None };
    let layer = (second >> 1) & 0b11;
    match (second >> 4, layer) {
        (0xf, 0b00) => Some(Container::Aac),
        // sync, a version that exists, layer III, a bitrate and a sample rate that exist
        _ if second >= 0xe0
            && layer == 0b01
            && (second >> 3) & 0b11 != 0b01
            && third >> 4 != 0xf
            && (third >> 2) & 0b11 != 0b11 =>
        {
            Some(Container::Mp3)
        }
        _ => None,
    }
}

/// What follows the tag; a tag that is longer than the window is in front of an mp3.
fn after_id3(head: &[u8]) -> Container {
    let size = usize::try_from(structure::id3_size(head)).unwrap_or(usize::MAX - 10);
    let rest = head.get(10 + size..).unwrap_or_default();
    if rest.starts_with(b"fLaC") { Container::Flac } else { frame(rest).unwrap_or(Container::Mp3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_playlists_are_no_media() {
        let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///x'/></svg>";
        for text in [
            &b"#EXTM3U\n#EXTINF:8,\nother.ts\n"[..],
            b"ffconcat version 1.0\nfile other.mp4\n",
            b"<?xml version=\"1.0\"?><MPD/>",
            b"<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\">",
            b"<!doctype html><title>x</title>",
            b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
            b"\xef\xbb\xbf#EXTM3U",
            b"\xff\xfe#\0E\0X\0",
            b"RIFF\0\0\0\0WEBP",
            b"RIFF\0\0\0\0AVI LISThdrlLISTstrlstrh8\0\0\0txts",
            b"RIFF\0\0\0\0AVI LISTmovi00txGAB2\0#EXTM3U",
            b"\x89PNG\r\n\x1a\n",
            svg,
            b"",
            b"G",
            b"\xff",
        ] {
            assert_eq!(sniff(text), None, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_tag_is_looked_behind() {
        let mut aac = b"ID3\x04\0\0\0\0\0\x05xxxxx".to_vec();
        aac.extend([0xff, 0xf1, 0x50, 0x80]);
        assert_eq!(sniff(&aac), Some(Container::Aac));
        assert_eq!(sniff(b"ID3\x04\0\0\x7f\x7f\x7f\x7f"), Some(Container::Mp3));
    }
}
