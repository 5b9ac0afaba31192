//! Which bytes of a result are kept to be looked at when they are gone: of an mp4, all but most of its media data.
//!
//! An mp4 says in its other boxes when each packet is shown, how long it is and where it lies; ffprobe reads media data
//! only from the beginning, to learn how it is coded. So the copy that is looked at has a hole there, and is the same to it
//! (test: ffprobe_says_the_same_of_a_file_with_holes). Any other container is kept whole.
//!
//! Pure: bytes go in as they come, ranges of them come out.

use std::ops::Range;

use super::boxes::{Boxes, Part};
use crate::container::Container;

/// Media data that is kept, from the first box that has any.
const KEPT: usize = 1 << 20;

/// How much of a result is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// As much as tells what it is.
    Outline,
    /// Everything.
    Whole,
}

/// Follows the boxes of a file whose bytes come in order.
#[derive(Debug)]
pub struct Outline {
    /// `None`: everything is kept.
    boxes: Option<Boxes>,
    /// Media data that is still to be kept.
    allowance: usize,
    left_out: u64,
}

impl Outline {
    /// Before the first byte of a file of this container.
    #[must_use]
    pub fn of(container: Container, keep: Keep) -> Self {
        let is_followed = matches!((container, keep), (Container::Mp4 | Container::M4a, Keep::Outline));
        Self { boxes: is_followed.then(Boxes::new), allowance: KEPT, left_out: 0 }
    }

    /// Bytes that were left out so far.
    #[must_use]
    pub fn left_out_bytes(&self) -> u64 {
        self.left_out
    }

    /// Takes in the next bytes of the file; which of them are kept, in order.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Range<usize>> {
        let (mut kept, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let rest = &bytes[at..];
            let (part, taken) = self.boxes.as_mut().map_or((Part::Rest, rest.len()), |boxes| boxes.step(rest));
            let keeps = if part == Part::Media { taken.min(self.allowance) } else { taken };
            if part == Part::Media {
                self.allowance -= keeps;
            }
            self.left_out += (taken - keeps) as u64;
            add(&mut kept, at..at + keeps);
            at += taken;
        }
        kept
    }
}

fn add(ranges: &mut Vec<Range<usize>>, next: Range<usize>) {
    match ranges.last_mut() {
        _ if next.is_empty() => {}
        Some(last) if last.end == next.start => last.end = next.end,
        _ => ranges.push(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(kind: &[u8], length: usize) -> Vec<u8> {
        [&u32::try_from(length + 8).unwrap().to_be_bytes()[..], kind, &vec![b'.'; length]].concat()
    }

    fn large(kind: &[u8], length: usize) -> Vec<u8> {
        [&1_u32.to_be_bytes()[..], kind, &(length as u64 + 16).to_be_bytes(), &vec![b'.'; length]].concat()
    }

    /// The bytes that are left out when they come so many at a time.
    fn left_out(file: &[u8], at_a_time: usize) -> Vec<Range<usize>> {
        let mut outline = Outline::of(Container::Mp4, Keep::Outline);
        let (mut out, mut at) = (Vec::new(), 0);
        for bytes in file.chunks(at_a_time) {
            let mut from = at;
            for kept in outline.take(bytes) {
                add(&mut out, from..at + kept.start);
                from = at + kept.end;
            }
            add(&mut out, from..at + bytes.len());
            at += bytes.len();
        }
        assert_eq!(outline.left_out_bytes(), out.iter().map(|hole| hole.len() as u64).sum::<u64>());
        out
    }

    #[test]
    fn only_media_data_behind_its_beginning_is_left_out() {
        const M: usize = KEPT;
        let (ftyp, moov) = (plain(b"ftyp", 24), plain(b"moov", 5_000));
        let front = ftyp.len() + moov.len();
        let to_the_end = [&0_u32.to_be_bytes()[..], b"mdat", &vec![b'.'; 2 * M]].concat();
        let fragments = |size| [plain(b"moof", 100), plain(b"mdat", size)].concat();
        for (name, file, holes) in [
            ("index in front", [&ftyp[..], &moov, &plain(b"mdat", 2 * M)].concat(), vec![(front + 8 + M, M)]),
            ("index behind", [&ftyp[..], &plain(b"mdat", M + 9), &moov].concat(), vec![(32 + 8 + M, 9)]),
            ("large size", [&ftyp[..], &large(b"mdat", M + 7), &moov].concat(), vec![(32 + 16 + M, 7)]),
            ("large box", [&large(b"moov", 3 * M)[..], &plain(b"mdat", 9)].concat(), vec![]),
            ("up to the end", [&ftyp[..], &to_the_end].concat(), vec![(32 + 8 + M, M)]),
            (
                "fragments",
                [&ftyp[..], &moov, &fragments(M), &plain(b"free", 0), &fragments(50), &fragments(70)].concat(),
                vec![(front + 116 + M + 8 + 116, 50), (front + 116 + M + 8 + 116 + 50 + 116, 70)],
            ),
            ("zeros behind", [&ftyp[..], &[0; 3 * M]].concat(), vec![]),
            ("a size that can't be", [&ftyp[..], b"\0\0\0\x07mdat", &vec![b'.'; 2 * M]].concat(), vec![]),
        ] {
            let holes: Vec<_> = holes.into_iter().map(|(from, length)| from..from + length).collect();
            for at_a_time in [13, 65_536, usize::MAX] {
                assert_eq!(left_out(&file, at_a_time), holes, "{name}, {at_a_time} at a time");
            }
        }
    }

    #[test]
    fn other_containers_are_kept_whole() {
        let file = plain(b"mdat", 3 << 20);
        for (container, keep) in [(Container::Webm, Keep::Outline), (Container::Mp4, Keep::Whole)] {
            let mut outline = Outline::of(container, keep);
            assert_eq!(outline.take(&file).first(), Some(&(0..file.len())));
            assert_eq!(outline.left_out_bytes(), 0);
        }
    }
}
