//! What a plain mp4 says of itself, read without a program: starting one takes longer than all else that a small file
//! needs.
//!
//! It only ever says yes. A file of which anything is unknown, unusual, or wrong gets no answer here, and ffprobe is
//! asked, whose word then counts: fragments, edits that cut, other codecs than H.264 and AAC, other tracks than picture
//! and sound, covers, sizes that contradict each other, samples outside of the media data, time without samples
//! (test: a_plain_mp4_is_judged_as_ffprobe_would_and_anything_else_is_left_to_it).
//!
//! Boxes and tables are those of ISO 14496-12. Not here: whether what is said is good enough (`verify`).

mod boxes;
mod coding;
mod samples;

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use crate::container::Container;
use crate::ffmpeg::probe::{Audio, Probe, Video};
use boxes::{Boxes, Bytes};
use coding::Coding;
use samples::Samples;

use super::packets::Timeline;

/// Of a file, on its outermost level.
const MOST_BOXES: usize = 64;
/// Bytes of an index, which is held in memory; an hour has some two million.
const LARGEST: u64 = 8 << 20;
const MOST_TRACKS: usize = 16;
/// The box of a cover.
const COVER: &[u8] = b"covr";
/// Seconds without a sample that are left to ffprobe to judge.
const PAUSE: f64 = 0.5;
/// Seconds by which what an edit shows may differ from what there is, and that it may leave out of the beginning: what
/// coders need to start with.
const TRIFLE: f64 = 0.5;

/// What a file says, as ffprobe would.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// What there is.
    pub probe: Probe,
    /// When it is shown.
    pub timeline: Timeline,
}

/// Reads what a file of this container says of itself; `None`: ffprobe is to be asked.
///
/// # Errors
/// When the file can't be read.
pub fn read(file: impl Read + Seek, container: Container) -> io::Result<Option<Index>> {
    if !matches!(container, Container::Mp4 | Container::M4a) {
        return Ok(None);
    }
    Ok(outermost(file)?.and_then(|(movie, media)| index(&movie, &media)))
}

/// The only `moov` of a file, and where its media data is.
type Outermost = (Vec<u8>, Vec<Range<u64>>);

fn outermost(mut file: impl Read + Seek) -> io::Result<Option<Outermost>> {
    let length = file.seek(SeekFrom::End(0))?;
    let (mut movie, mut media, mut at) = (None, Vec::new(), 0);
    for _ in 0..MOST_BOXES {
        if at == length {
            return Ok(movie.map(|movie| (movie, media)));
        }
        file.seek(SeekFrom::Start(at))?;
        let mut head = Vec::with_capacity(16);
        (&mut file).take(16).read_to_end(&mut head)?;
        let Some((kind, head_bytes, size)) = boxes::head(&head, length - at) else { return Ok(None) };
        let body = at + head_bytes..at + size;
        match &kind {
            b"moov" if movie.is_none() && size <= LARGEST => {
                file.seek(SeekFrom::Start(body.start))?;
                let mut bytes = Vec::new();
                (&mut file).take(body.end - body.start).read_to_end(&mut bytes)?;
                movie = Some(bytes);
            }
            // the last two may hold a cover
            b"moov" | b"moof" | b"meta" | b"udta" => return Ok(None),
            b"mdat" => media.push(body),
            _ => {}
        }
        at += size;
    }
    Ok(None)
}

fn index(movie: &[u8], media: &[Range<u64>]) -> Option<Index> {
    // ffmpeg counts a cover among the streams, from where it meets it: numbers of ours would mean other streams to it
    if movie.windows(COVER.len()).any(|word| word == COVER) {
        return None;
    }
    let movie = Boxes::of(movie)?;
    let (scale, length) = times(movie.only(b"mvhd")?)?;
    if movie.has(b"mvex") {
        return None;
    }
    let (mut video, mut audio) = (None, None);
    let (mut timeline, mut start) = (Timeline::of(Container::Mp4), f64::INFINITY);
    for (number, track) in movie.all(b"trak").enumerate() {
        let number = u32::try_from(number).ok().filter(|number| (*number as usize) < MOST_TRACKS)?;
        let track = Track::read(track, scale)?;
        let rate = track.samples.follow(media, |time, duration| timeline.add(number, time, duration))?;
        if timeline.hole(number) > PAUSE {
            return None;
        }
        // what coders need to start with is not shown
        start = start.min(timeline.begin_of(number)?.max(0.0));
        match track.coding {
            Coding::H264 { width, height } if video.is_none() => {
                video = Some(Video::new(number, "h264".to_owned(), (width, height), rate).ok()?);
            }
            Coding::Aac { channels } if audio.is_none() => {
                audio = Some(Audio::new(number, "aac".to_owned(), channels));
            }
            Coding::H264 { .. } | Coding::Aac { .. } => {}
        }
    }
    if video.is_none() && audio.is_none() {
        return None;
    }
    let duration = (length > 0).then(|| length as f64 / f64::from(scale));
    Some(Index { probe: Probe { start, duration, video, audio }, timeline })
}

/// Ticks of a second, and how many of them something takes: what `mvhd` and `mdhd` have alike.
fn times(body: &[u8]) -> Option<(u32, u64)> {
    let mut body = Bytes(body);
    let is_long = body.version(1)? == 1;
    body.skip(if is_long { 16 } else { 8 })?;
    let scale = body.u32().filter(|scale| *scale > 0)?;
    Some((scale, if is_long { body.u64()? } else { body.u32()?.into() }))
}

/// One track: how it is coded, and where and when its samples are.
struct Track<'a> {
    coding: Coding,
    samples: Samples<'a>,
}

impl<'a> Track<'a> {
    fn read(body: &'a [u8], movie_scale: u32) -> Option<Self> {
        let track = Boxes::of(body)?;
        let media = Boxes::of(track.only(b"mdia")?)?;
        let (scale, _) = times(media.only(b"mdhd")?)?;
        let mut handler = Bytes(media.only(b"hdlr")?);
        handler.skip(8)?;
        let kind = handler.take(4)?;
        let information = Boxes::of(media.only(b"minf")?)?;
        let tables = Boxes::of(information.only(b"stbl")?)?;
        let coding = Coding::read(tables.only(b"stsd")?, kind)?;
        let edits = match track.at_most_one(b"edts")? {
            Some(edits) => Boxes::of(edits)?.at_most_one(b"elst")?,
            None => None,
        };
        let samples = Samples::read(&tables, scale, edits.map(|edits| (edits, movie_scale)))?;
        Some(Self { coding, samples })
    }
}
