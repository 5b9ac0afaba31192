//! With which segment each playlist of a live stream begins, so that picture and sound begin at the same moment.
//!
//! The same number in two playlists need not be the same moment (RFC 8216 §4.3.3.2): the clock tells, where there is one;
//! else a number is believed only where the lists also end together.

use super::{Segment, Window};

/// Where a player would begin: so many segments before the newest (RFC 8216 §6.3.3).
const FROM_EDGE: usize = 3;
/// So much earlier or later, in seconds, sound is still together with its picture.
const TOGETHER: f64 = 0.1;

/// The numbers of the first segments, in the order of the playlists; `None`: nothing tells which belong together.
#[must_use]
pub fn starts(windows: &[Window]) -> Option<Vec<u64>> {
    let [one, others @ ..] = windows else { return Some(Vec::new()) };
    let edge = one.segments.len().saturating_sub(FROM_EDGE);
    if others.is_empty() {
        // where there is none yet, the first that comes
        return Some(vec![one.segments.get(edge).map_or(0, |segment| segment.number)]);
    }
    let from_edge = (0..=edge).rev().filter(|at| *at < one.segments.len());
    from_edge.map(|at| &one.segments[at..]).find_map(|rest| {
        let matching = others.iter().map(|other| same_moment(rest, &other.segments));
        std::iter::once(Some(rest[0].number)).chain(matching).collect()
    })
}

/// Which of the others begins when the first of these does.
fn same_moment(rest: &[Segment], others: &[Segment]) -> Option<u64> {
    let first = &rest[0];
    if let Some(begins) = first.begins.filter(|_| others.iter().any(|other| other.begins.is_some())) {
        let is_then = |other: &&Segment| other.begins.is_some_and(|then| (then - begins).abs() <= TOGETHER);
        return others.iter().find(is_then).map(|other| other.number);
    }
    let at = others.iter().position(|other| other.number == first.number)?;
    let plays = |segments: &[Segment]| segments.iter().map(|segment| segment.seconds).sum::<f64>();
    let apart = (plays(rest) - plays(&others[at..])).abs();
    (apart <= first.seconds / 2.0).then_some(first.number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::read;

    /// A playlist of so many segments of two seconds from this number on, the first of which begins at this second.
    fn window(first: u64, segments: usize, begins: Option<f64>) -> Window {
        let clock = begins.map(|second| format!("#EXT-X-PROGRAM-DATE-TIME:2026-11-21T10:00:{second:06.3}+00:00\n"));
        let segments = "#EXTINF:2,\na\n".repeat(segments);
        let text = format!("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:{first}\n{}{segments}", clock.unwrap_or_default());
        read(&text, &"https://site.example/list.m3u8".parse().unwrap()).unwrap()
    }

    /// Fault: the same number was taken for the same moment.
    #[test]
    fn picture_and_sound_begin_at_the_same_moment_or_not_at_all() {
        let clock = |second: f64| Some(second);
        for (windows, expected) in [
            (vec![window(7, 6, None)], Some(vec![10])),
            (vec![window(7, 2, None)], Some(vec![7])),
            (vec![window(7, 0, None)], Some(vec![0])),
            // numbers of their own, and a sound that is a little behind
            (vec![window(7, 6, clock(10.0)), window(900, 6, clock(8.05))], Some(vec![10, 904])),
            // the sound has not come as far
            (vec![window(7, 6, clock(10.0)), window(7, 3, clock(9.0))], None),
            (vec![window(7, 6, clock(10.0)), window(7, 3, clock(8.0))], Some(vec![8, 9])),
            (vec![window(7, 6, clock(10.0)), window(7, 6, clock(40.0))], None),
            // without a clock
            (vec![window(7, 6, None), window(8, 5, clock(10.0))], Some(vec![10, 10])),
            (vec![window(7, 6, None), window(7, 5, None)], None),
            (vec![window(7, 6, None), window(900, 6, None)], None),
        ] {
            assert_eq!(starts(&windows), expected, "{windows:?}");
        }
    }
}
