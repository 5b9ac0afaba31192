//! How much of the front of a file may change until ffmpeg has ended: what lies behind it can be sent while the rest is
//! made.
//!
//! Matroska has its duration there, and what else is known last. An mp4 has its index there, if room is left for it
//! (ffmpeg: `-moov_size`). That room has to be known before the first packet, so it is a guess: generous where that costs
//! next to nothing, and none where too little is known. What is left over becomes a box named `free`. Where it is too small,
//! ffmpeg writes its index over the beginning of the media data (`shape::mend` puts that right).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::container::Container;
use crate::scratch::off_runtime;

/// A smaller result is stored about as fast when it is whole, in bytes.
const LEAST: u64 = 32 << 20;
/// In a Matroska file, beside what it says in front of its picture and its sound.
const OF_MATROSKA: u64 = 1 << 20;
/// The front is held back until the end, and an index that is larger is read by ffprobe, which takes longer than is gained.
const MOST: u64 = 16 << 20;
/// Bytes of the tables for one picture: its length, its shift, its chunk, and what changes from one to the next. Measured:
/// 12 to 16 with pictures that are shown in another order than they are decoded in.
const OF_PICTURE: f64 = 18.0;
/// The same of a packet of sound; and how many of them come in a second: AAC at 48 kHz has 47, Opus 50. Measured: 10 to 14.
const OF_SOUND: f64 = 16.0;
const SOUNDS: f64 = 50.0;
/// Bytes of what every index has, and of a chapter in it, as text and as a sample.
const FIXED: u64 = 16 << 10;
const OF_CHAPTER: u64 = 512;
/// What is left over wherever it may be: so many bytes, or this part of a large result.
const SPARE: u64 = 256 << 10;
const SPARE_SHARE: u64 = 400;

/// How an mp4 came out that room was left in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// It is whole, with its index in front.
    InFront,
    /// The index was larger than its room, and lies over the beginning of the media data.
    Overflows,
}

/// What is known of a result before it is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contents {
    /// How long it will play, in seconds.
    pub seconds: f64,
    /// Pictures per second; 0 without a picture.
    pub rate: f64,
    /// It has sound.
    pub has_sound: bool,
    /// How large it will be, in bytes.
    pub bytes: u64,
    /// Bytes of its cover, tags and subtitles.
    pub texts_bytes: u64,
    /// How many chapters it has.
    pub chapters: u64,
}

/// So many bytes of it may change until it is made, if it is worth it and can be told; of an mp4 they are the room that is
/// to be left.
#[must_use]
pub fn of(container: Container, contents: &Contents) -> Option<u64> {
    let front = match container {
        Container::Mp4 | Container::M4a => of_index(contents)?,
        Container::Webm | Container::Mkv => contents.texts_bytes.checked_add(OF_MATROSKA)?,
        _ => return None,
    };
    (contents.bytes >= LEAST && front <= MOST.min(contents.bytes / 8)).then_some(front)
}

fn of_index(contents: &Contents) -> Option<u64> {
    let Contents { seconds, rate, has_sound, bytes, texts_bytes, chapters } = *contents;
    let sounds = if has_sound { SOUNDS } else { 0.0 };
    let tables = (seconds * (rate * OF_PICTURE + sounds * OF_SOUND)).max(0.0) as u64;
    let needs = tables.checked_add(FIXED)?.checked_add(texts_bytes)?.checked_add(chapters.checked_mul(OF_CHAPTER)?)?;
    let spare = needs.min(SPARE.max(bytes / SPARE_SHARE));
    needs.checked_add(spare).filter(|_| seconds > 0.0)
}

/// Was an index written that its room was too small for? ffmpeg writes it last of all.
///
/// # Errors
/// When it can't be read.
pub(super) async fn is_too_small(file: PathBuf, room: u64) -> io::Result<bool> {
    let front = off_runtime(move || Front::read(File::open(file)?)).await?;
    Ok(front.is_some_and(|front| !front.fits(room)))
}

/// How an mp4 begins: with a box that names its kind, and then its index (ISO 14496-12, 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Front {
    /// Where the index begins.
    pub index_at: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
}

impl Front {
    /// `None`: there is something else in front, or nothing yet, or it is no longer than that.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(mut file: impl Read + Seek) -> io::Result<Option<Self>> {
        let mut head = |at: u64| -> io::Result<(u64, [u8; 4])> {
            let mut head = [0; 8];
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut head)?;
            let [a, b, c, d, kind @ ..] = head;
            Ok((u32::from_be_bytes([a, b, c, d]).into(), kind))
        };
        let mut front = || -> io::Result<Option<Self>> {
            let (index_at, kind) = head(0)?;
            if &kind != b"ftyp" {
                return Ok(None);
            }
            let (index_bytes, kind) = head(index_at)?;
            Ok((&kind == b"moov").then_some(Self { index_at, index_bytes }))
        };
        match front() {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            front => front,
        }
    }

    /// What is left over must hold the head of a box.
    fn fits(self, room: u64) -> bool {
        self.index_bytes + 8 <= room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    fn room(seconds: f64, rate: f64, bytes: u64) -> Option<u64> {
        let contents = Contents { seconds, rate, has_sound: true, bytes, texts_bytes: 0, chapters: 0 };
        of(Container::Mp4, &contents)
    }

    #[test]
    fn room_is_left_for_more_than_an_index_needs_and_little_is_wasted() {
        // (seconds, pictures per second, bytes of the result), and what ffmpeg 5.1 writes
        for (seconds, rate, bytes, needs) in
            [(60.0, 30.0, 40 * MB, 65_560), (400.0, 30.0, 300 * MB, 437_000), (3600.0, 25.0, 250 * MB, 3_600_000)]
        {
            let room = room(seconds, rate, bytes).unwrap();
            assert!(room > needs * 5 / 4, "{room} for {needs}");
            assert!(room - needs < (bytes / 100).max(400_000), "{room} for {needs}");
        }
    }

    #[test]
    fn no_room_is_left_in_what_is_small_or_has_an_index_out_of_proportion() {
        for (seconds, rate, bytes) in
            [(60.0, 30.0, 20 * MB), (0.0, 30.0, 400 * MB), (80_000.0, 60.0, 9_000 * MB), (f64::NAN, 30.0, 400 * MB)]
        {
            assert_eq!(room(seconds, rate, bytes), None, "{seconds} s at {rate}, {bytes} bytes");
        }
        let cover =
            Contents { seconds: 60.0, rate: 30.0, has_sound: true, bytes: 64 * MB, texts_bytes: 0, chapters: 9 };
        for container in [Container::Mp4, Container::Mkv] {
            let with = of(container, &Contents { texts_bytes: 2 * MB, ..cover }).unwrap();
            assert!(with >= of(container, &cover).unwrap() + 2 * MB);
            assert_eq!(of(container, &Contents { texts_bytes: u64::MAX, ..cover }), None);
            assert_eq!(of(container, &Contents { bytes: 20 * MB, ..cover }), None);
        }
        assert_eq!(of(Container::Flac, &cover), None);
    }
}
