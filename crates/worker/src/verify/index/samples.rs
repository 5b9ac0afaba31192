//! Where and when the samples of a track are, by its tables (ISO 14496-12, 8.6 to 8.7).

use std::ops::Range;
use std::slice::ChunksExact;

use super::TRIFLE;
use super::boxes::{Boxes, Bytes};

/// Of one track: a day at 50 pictures a second.
const MOST: u32 = 5_000_000;

/// The tables of a track.
pub(super) struct Samples<'a> {
    /// Ticks of a second.
    scale: f64,
    edit: Edit,
    samples: u32,
    durations: Runs<'a>,
    /// From when it is decoded to when it is shown.
    delays: Option<Runs<'a>>,
    sizes: Sizes<'a>,
    chunks: Chunks<'a>,
    samples_of_chunks: ChunksExact<'a, u8>,
}

impl<'a> Samples<'a> {
    /// With the edits of the track, if it has any, and the ticks of a second in them.
    pub(super) fn read(tables: &Boxes<'a>, scale: u32, edits: Option<(&[u8], u32)>) -> Option<Self> {
        let (samples, sizes) = Sizes::read(tables.only(b"stsz")?)?;
        let delays = match tables.at_most_one(b"ctts")? {
            Some(delays) => Some(Runs::read(delays)?),
            None => None,
        };
        let mut samples_of_chunks = Bytes(tables.only(b"stsc")?);
        samples_of_chunks.version(0)?;
        Some(Self {
            scale: scale.into(),
            edit: edits.map_or(Some(Edit::default()), |(edits, movie_scale)| Edit::read(edits, movie_scale))?,
            samples: Some(samples).filter(|samples| (1..=MOST).contains(samples))?,
            durations: Runs::read(tables.only(b"stts")?)?,
            delays,
            sizes,
            chunks: Chunks::read(tables)?,
            samples_of_chunks: samples_of_chunks.rows(12)?,
        })
    }

    /// Tells when each sample is shown and how long it lasts, in seconds and in the order of decoding. The rate on which
    /// all of them lie, if they have one; `None`: something does not fit.
    pub(super) fn follow(self, media: &[Range<u64>], mut hear: impl FnMut(f64, f64)) -> Option<Option<f64>> {
        self.are_in(media)?;
        let Self { scale, edit, samples, mut durations, mut delays, .. } = self;
        let (mut decoded, mut beat) = (0_u64, 0);
        for sample in 0..samples {
            let duration = durations.next()?;
            // versions differ in the sign; nobody means more than a day
            let delay = match &mut delays {
                Some(delays) => i64::from(delays.next()?.cast_signed()),
                None => 0,
            };
            let shown = i64::try_from(decoded).ok()? + delay;
            hear(edit.waits + (shown as f64 / scale) - edit.leaves_out as f64 / scale, f64::from(duration) / scale);
            if sample + 1 < samples {
                beat = gcd(beat, duration);
            }
            decoded += u64::from(duration);
        }
        let is_over = durations.next().is_none() && delays.is_none_or(|mut delays| delays.next().is_none());
        let shows = (decoded as f64 - edit.leaves_out as f64) / scale;
        let fits = edit.leaves_out as f64 / scale <= TRIFLE
            && edit.shows.is_none_or(|seconds| (seconds - shows).abs() <= TRIFLE);
        (is_over && fits).then(|| (beat > 0).then(|| scale / f64::from(beat)))
    }

    /// Does every sample lie in media data, and is there a place for each of them?
    fn are_in(&self, media: &[Range<u64>]) -> Option<()> {
        let mut runs = self.samples_of_chunks.clone().map(|row| {
            let mut row = Bytes(row);
            (row.u32().unwrap_or_default(), row.u32().unwrap_or_default(), row.u32().unwrap_or_default())
        });
        let (first, mut in_each, described_by) = runs.next()?;
        let mut next = runs.next();
        if first != 1 || described_by != 1 {
            return None;
        }
        let mut sample = 0_u32;
        for (chunk, from) in (1..).zip(self.chunks.clone()) {
            if let Some((first, samples, described_by)) = next.filter(|(first, ..)| *first == chunk) {
                (in_each, next) = (samples, runs.next());
                let in_order = next.is_none_or(|(after, ..)| after > first);
                if described_by != 1 || !in_order {
                    return None;
                }
            }
            let end = sample.checked_add(in_each).filter(|end| in_each > 0 && *end <= self.samples)?;
            let bytes: u64 = (sample..end).map(|sample| self.sizes.of(sample)).sum();
            let to = from.checked_add(bytes)?;
            media.iter().find(|data| data.start <= from && to <= data.end)?;
            sample = end;
        }
        (sample == self.samples && next.is_none()).then_some(())
    }
}

/// What of a track is shown (8.6.6), in seconds and, as far as its own samples are counted, its ticks.
#[derive(Default, Clone, Copy)]
struct Edit {
    waits: f64,
    leaves_out: i64,
    /// All, where it says nothing.
    shows: Option<f64>,
}

impl Edit {
    /// Time in which nothing is shown, if any, and then one part at its own pace.
    fn read(body: &[u8], movie_scale: u32) -> Option<Self> {
        let mut body = Bytes(body);
        let is_long = body.version(1)? == 1;
        let mut rows = body.rows(if is_long { 20 } else { 12 })?.map(|row| {
            let mut row = Bytes(row);
            let (length, from) = if is_long {
                (row.u64()?, row.u64()?.cast_signed())
            } else {
                (row.u32()?.into(), row.u32()?.cast_signed().into())
            };
            // 16.16
            (row.u32()? == 1 << 16).then_some((length as f64 / f64::from(movie_scale), from))
        });
        let mut edit = Self::default();
        let (mut length, mut from) = rows.next()??;
        if from == -1 {
            edit.waits = length;
            (length, from) = rows.next()??;
        }
        edit.leaves_out = from;
        edit.shows = (length > 0.0).then_some(length);
        (from >= 0 && rows.next().is_none()).then_some(edit)
    }
}

/// A value for each sample, told as often as it stands in a row (`stts`, `ctts`).
#[derive(Clone)]
struct Runs<'a> {
    rows: ChunksExact<'a, u8>,
    left: u32,
    value: u32,
}

impl<'a> Runs<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        let mut body = Bytes(body);
        body.version(1)?;
        Some(Self { rows: body.rows(8)?, left: 0, value: 0 })
    }

    fn next(&mut self) -> Option<u32> {
        while self.left == 0 {
            let mut row = Bytes(self.rows.next()?);
            (self.left, self.value) = (row.u32()?, row.u32()?);
        }
        self.left -= 1;
        Some(self.value)
    }
}

/// How long each sample is, in bytes (`stsz`).
enum Sizes<'a> {
    Same(u32),
    Each(&'a [u8]),
}

impl<'a> Sizes<'a> {
    fn read(body: &'a [u8]) -> Option<(u32, Self)> {
        let mut body = Bytes(body);
        body.version(0)?;
        let same = body.u32()?;
        if same > 0 {
            return Some((body.u32()?, Self::Same(same)));
        }
        let samples = body.u32()?;
        Some((samples, Self::Each(body.take(usize::try_from(samples).ok()?.checked_mul(4)?)?)))
    }

    fn of(&self, sample: u32) -> u64 {
        match self {
            Self::Same(bytes) => u64::from(*bytes),
            Self::Each(table) => {
                let at = sample as usize * 4;
                table.get(at..).and_then(|row| Bytes(row).u32()).unwrap_or(u32::MAX).into()
            }
        }
    }
}

/// Where each chunk begins (`stco`, `co64`).
#[derive(Clone)]
struct Chunks<'a> {
    rows: ChunksExact<'a, u8>,
    is_long: bool,
}

impl<'a> Chunks<'a> {
    fn read(tables: &Boxes<'a>) -> Option<Self> {
        let (short, long) = (tables.at_most_one(b"stco")?, tables.at_most_one(b"co64")?);
        let is_long = short.is_none();
        let mut body = Bytes(short.xor(long)?);
        body.version(0)?;
        Some(Self { rows: body.rows(if is_long { 8 } else { 4 })?, is_long })
    }
}

impl Iterator for Chunks<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let mut row = Bytes(self.rows.next()?);
        if self.is_long { row.u64() } else { row.u32().map(u64::from) }
    }
}

fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
