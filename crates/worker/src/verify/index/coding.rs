//! How a track is coded: H.264 (ISO 14496-15) and AAC (ISO 14496-1 and -3), of which the plainest forms only.

use super::boxes::{Boxes, Bytes};

/// Of an entry for a picture, before its boxes (ISO 14496-12, 12.1.3).
const PICTURE: usize = 78;
/// The same for sound (12.2.3).
const SOUND: usize = 28;

/// How a track is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    H264 { width: u32, height: u32 },
    Aac { channels: u32 },
}

impl Coding {
    /// Reads the only description (`stsd`) of a track of this handler.
    pub(super) fn read(body: &[u8], handler: &[u8]) -> Option<Self> {
        let mut body = Bytes(body);
        body.version(0)?;
        if body.u32()? != 1 {
            return None;
        }
        let entries = Boxes::of(body.0)?;
        match handler {
            b"vide" => h264(Bytes(entries.only(b"avc1")?)),
            b"soun" => aac(Bytes(entries.only(b"mp4a")?)),
            _ => None,
        }
    }
}

/// The size that the container states, where the coded pictures have it.
fn h264(entry: Bytes<'_>) -> Option<Coding> {
    let (mut sizes, mut rest) = (entry, entry);
    sizes.skip(24)?;
    let (width, height) = (u32::from(sizes.u16()?), u32::from(sizes.u16()?));
    rest.skip(PICTURE)?;
    let mut configuration = Bytes(Boxes::of(rest.0)?.only(b"avcC")?);
    // version, profile, compatibility, level, length of lengths, number of parameter sets
    let [1, _, _, _, _, sets] = configuration.take(6)? else { return None };
    if sets & 0x1f != 1 {
        return None;
    }
    let length = configuration.u16()?;
    let coded = picture_size(configuration.take(length.into())?)?;
    (coded == (width, height)).then_some(Coding::H264 { width, height })
}

fn aac(mut entry: Bytes<'_>) -> Option<Coding> {
    // QuickTime has versions of this
    let [0, 0, 0, 0, 0, 0, _, _, 0, 0, ..] = *entry.take(SOUND)? else { return None };
    let mut stream = Bytes(Boxes::of(entry.0)?.only(b"esds")?);
    stream.version(0)?;
    let mut stream = descriptor(&mut stream, 3)?;
    stream.skip(2)?;
    if stream.u8()? != 0 {
        return None;
    }
    let mut decoder = descriptor(&mut stream, 4)?;
    let is_aac = *decoder.take(13)?.first()? == 0x40;
    let mut specific = descriptor(&mut decoder, 5)?;
    let bits = specific.u16()?;
    let (kind, channels) = (bits >> 11, u32::from(bits >> 3) & 0xf);
    // the profile that all know, and channels that need no description
    (is_aac && kind == 2 && (1..=7).contains(&channels))
        .then_some(Coding::Aac { channels: if channels == 7 { 8 } else { channels } })
}

/// The content of a descriptor with this tag (ISO 14496-1, 8.3.3).
fn descriptor<'a>(bytes: &mut Bytes<'a>, tag: u8) -> Option<Bytes<'a>> {
    if bytes.u8()? != tag {
        return None;
    }
    let mut length = 0_usize;
    for _ in 0..4 {
        let byte = bytes.u8()?;
        length = (length << 7) | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return bytes.take(length).map(Bytes);
        }
    }
    None
}

/// Width and height by a sequence parameter set (ITU-T H.264, 7.3.2.1.1), of pictures in 4:2:0.
fn picture_size(set: &[u8]) -> Option<(u32, u32)> {
    let (unit, set) = set.split_first()?;
    if unit & 0x1f != 7 {
        return None;
    }
    let mut bits = Bits { bytes: &unescaped(set), at: 0 };
    let profile = bits.take(8)?;
    bits.take(16)?;
    bits.number()?;
    match profile {
        66 | 77 | 88 => {}
        100 | 110 => {
            let is_420 = bits.number()? == 1;
            // depths, a bit for lossless coding, and matrices of its own
            let (_, _, _) = (bits.number()?, bits.number()?, bits.take(1)?);
            if !is_420 || bits.take(1)? == 1 {
                return None;
            }
        }
        _ => return None,
    }
    bits.number()?;
    match bits.number()? {
        0 => _ = bits.number()?,
        2 => {}
        _ => return None,
    }
    bits.number()?;
    bits.take(1)?;
    let (columns, rows) = (bits.number()? + 1, bits.number()? + 1);
    let fields = 2 - bits.take(1)?;
    if fields == 2 {
        bits.take(1)?;
    }
    bits.take(1)?;
    let (mut cut_columns, mut cut_rows) = (0, 0);
    if bits.take(1)? == 1 {
        cut_columns = 2 * (bits.number()? + bits.number()?);
        cut_rows = 2 * fields * (bits.number()? + bits.number()?);
    }
    let size = |blocks: u32, cut: u32| blocks.checked_mul(16)?.checked_sub(cut);
    Some((size(columns, cut_columns)?, size(rows.checked_mul(fields)?, cut_rows)?))
}

/// Without the bytes that keep it from looking like a start (7.4.1).
fn unescaped(unit: &[u8]) -> Vec<u8> {
    let (mut plain, mut zeros) = (Vec::with_capacity(unit.len()), 0);
    for &byte in unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        plain.push(byte);
    }
    plain
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// So many bits, at most 32, as a number.
    fn take(&mut self, bits: u32) -> Option<u32> {
        let mut number = 0;
        for _ in 0..bits {
            let byte = self.bytes.get(self.at / 8)?;
            number = (number << 1) | u32::from((byte >> (7 - self.at % 8)) & 1);
            self.at += 1;
        }
        Some(number)
    }

    /// An Exp-Golomb code (9.1), of which no sane one here has more than 16 bits.
    fn number(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > 16 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.take(zeros)?)
    }
}
