//! Is a file as long as its own structure says?
//!
//! A container whose index is in front claims its full duration however short it was cut, and ffmpeg makes a flawless
//! shorter file of it. Sizes that the container states are compared with the file's own: cheap, and nothing is decoded.
//! Containers that state no sizes (mp3, flac, raw aac, flv) are left to the time stamps (`packets`).

use std::io::{self, Read, Seek, SeekFrom};

use crate::container::Container;

/// Boxes that are walked through before the rest is taken on trust.
const MOST_BOXES: usize = 200_000;
/// No page of Ogg is longer (RFC 3533 §6).
const LONGEST_OGG_PAGE: u64 = 65_307;
/// Bytes of a packet of a transport stream.
pub(super) const TS_PACKET: u64 = 188;
/// Where a segment of Matroska has begun, and said how long it is.
pub(super) const HEAD_BYTES: usize = 4096;

/// Does the file end before its structure does?
///
/// # Errors
/// When the file can't be read.
pub fn is_cut(mut file: impl Read + Seek, container: Container) -> io::Result<bool> {
    let length = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    match container {
        Container::Mp4 | Container::M4a => boxes(file, length),
        Container::Webm | Container::Mkv => segment(file, length),
        Container::Wav | Container::Avi => riff(file, length),
        Container::Ogg => last_page(file, length),
        Container::MpegTs => Ok(!length.is_multiple_of(TS_PACKET)),
        Container::Mp3 | Container::Aac | Container::Flac | Container::Flv => Ok(false),
    }
}

/// Was the duration that the container states written by who made it? Otherwise ffprobe guesses it from the size.
///
/// # Errors
/// When the file can't be read.
pub fn states_duration(mut file: impl Read + Seek, container: Container) -> io::Result<bool> {
    match container {
        Container::Aac => Ok(false),
        Container::Mp3 => {
            file.rewind()?;
            let mut tag = [0; 10];
            let read = read_up_to(&mut file, &mut tag)?;
            file.seek(SeekFrom::Start(if tag.starts_with(b"ID3") { 10 + id3_size(&tag[..read]) } else { 0 }))?;
            // the first frame is no sound but a table, under one of three names
            let mut frame = [0; 256];
            let read = read_up_to(&mut file, &mut frame)?;
            Ok(frame[..read].windows(4).any(|word| [b"Xing", b"Info", b"VBRI"].iter().any(|name| word == *name)))
        }
        _ => Ok(true),
    }
}

/// Bytes of an ID3v2 tag behind its head of ten (id3.org, ID3v2.4 §3.1).
pub(super) fn id3_size(head: &[u8]) -> u64 {
    head.get(6..10).map_or(0, |size| size.iter().fold(0, |sum, byte| (sum << 7) | u64::from(byte & 0x7f)))
}

/// ISO 14496-12 §4.2: every box begins with its size.
fn boxes(mut file: impl Read + Seek, length: u64) -> io::Result<bool> {
    let mut at = 0;
    for _ in 0..MOST_BOXES {
        let left = length - at;
        if left < 8 {
            return Ok(left > 0);
        }
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 8];
        file.read_exact(&mut head)?;
        let [a, b, c, d, kind @ ..] = head;
        if kind.iter().any(|byte| !(b' '..=b'~').contains(byte)) {
            // no box begins here: some came short, so that the one before reached into the next; or it is padding
            return Ok(head != [0; 8] || !only_zeros(file)?);
        }
        let size = match u32::from_be_bytes([a, b, c, d]) {
            // up to the end of the file
            0 => return Ok(false),
            1 if left < 16 => return Ok(true),
            1 => {
                let mut large = [0; 8];
                file.read_exact(&mut large)?;
                u64::from_be_bytes(large)
            }
            size => u64::from(size),
        };
        if size < 8 || size > left {
            return Ok(true);
        }
        at += size;
    }
    Ok(false)
}

fn only_zeros(mut file: impl Read) -> io::Result<bool> {
    let mut piece = [0; 64 << 10];
    loop {
        match read_up_to(&mut file, &mut piece)? {
            0 => return Ok(true),
            read if piece[..read].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

/// RFC 8794 §11 and RFC 9559 §4.4: the header, then one segment, which may leave its size open.
pub(super) fn segment(mut file: impl Read, length: u64) -> io::Result<bool> {
    let mut head = [0; HEAD_BYTES];
    let read = read_up_to(&mut file, &mut head)?;
    let head = &head[..read];
    let Some((header, size_length)) = head.get(4..).and_then(variable_int) else { return Ok(true) };
    let Some(segment_at) = header.and_then(|size| usize::try_from(size).ok()).map(|size| 4 + size_length + size) else {
        return Ok(false);
    };
    let Some(rest) = head.get(segment_at..) else { return Ok(false) };
    if !rest.starts_with(b"\x18\x53\x80\x67") {
        return Ok(rest.len() < 4);
    }
    match variable_int(&rest[4..]) {
        Some((Some(size), size_length)) => Ok((segment_at + 4 + size_length) as u64 + size > length),
        Some((None, _)) => Ok(false),
        None => Ok(true),
    }
}

/// A size of EBML and its own length; none if all its bits are set, which means unknown.
fn variable_int(bytes: &[u8]) -> Option<(Option<u64>, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    if length > 8 {
        return None;
    }
    let mask = (1_u64 << (7 * length)) - 1;
    let raw = bytes.get(..length)?.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let value = raw & mask;
    Some(((value != mask).then_some(value), length))
}

/// The size in the head of the file counts all that follows it; 0 and the highest are written by streams.
fn riff(mut file: impl Read + Seek, length: u64) -> io::Result<bool> {
    let mut head = [0; 8];
    if read_up_to(&mut file, &mut head)? < head.len() {
        return Ok(true);
    }
    let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    Ok(size != 0 && size != u32::MAX && u64::from(size) + 8 > length)
}

/// RFC 3533 §6: the last page tells its own length.
fn last_page(mut file: impl Read + Seek, length: u64) -> io::Result<bool> {
    let from = length.saturating_sub(2 * LONGEST_OGG_PAGE);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.take(2 * LONGEST_OGG_PAGE).read_to_end(&mut end)?;
    let Some(at) = end.windows(4).rposition(|word| word == b"OggS") else { return Ok(true) };
    let page = &end[at..];
    let Some(&segments) = page.get(26) else { return Ok(true) };
    let Some(lacing) = page.get(27..27 + usize::from(segments)) else { return Ok(true) };
    let whole = 27 + lacing.len() + lacing.iter().map(|size| usize::from(*size)).sum::<usize>();
    Ok(whole > page.len())
}

fn read_up_to(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read(&mut buffer[read..])? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_that_reaches_into_the_next_is_no_padding() {
        let whole = b"\0\0\0\x0cftypisom\0\0\0\x10mdatwhole-so".to_vec();
        let padded = [&whole[..], &[0; 100]].concat();
        // the first sound says 16 bytes and has 8; what follows is taken for its rest
        let short = b"\0\0\0\x0cftypisom\0\0\0\x18mdathalf-so-\0\0\0\x18mdat\0\0\0\0\0\0\0\0sounding".to_vec();
        for (file, cut) in [(whole, false), (padded, false), (short, true)] {
            assert_eq!(is_cut(io::Cursor::new(&file), Container::Mp4).unwrap(), cut, "{}", file.escape_ascii());
        }
    }
}
