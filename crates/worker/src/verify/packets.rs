//! The time stamps of all packets: where each stream ends, and where something is missing in its middle.
//!
//! Pure: lines of ffprobe go in, [`Timeline`] says what they mean.

use std::collections::BTreeMap;

use crate::container::Container;

/// No file of ours has more streams.
const MOST_STREAMS: usize = 64;
/// Seconds; where an advertisement was cut in, segments have another clock (ffmpeg: `-dts_delta_threshold`).
const JUMP: f64 = 10.0;

/// What the packets of a file say, in seconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Timeline {
    streams: BTreeMap<u32, Line>,
    /// A large jump is a new clock, not a hole.
    may_jump: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Line {
    first: f64,
    /// Of the packet that is shown last.
    end: f64,
    packets: u64,
    /// The longest time without a packet.
    hole: f64,
    /// Added to the file's own stamps since their last jump.
    offset: f64,
}

impl Timeline {
    /// Empty, for a file of this container.
    #[must_use]
    pub fn of(container: Container) -> Self {
        Self { streams: BTreeMap::new(), may_jump: container == Container::MpegTs }
    }

    /// Takes in `stream_index=0|pts_time=1.5|dts_time=1.46|duration_time=0.04`. Other lines mean nothing.
    pub fn take(&mut self, line: &str) {
        let (mut stream, mut shown, mut decoded, mut duration) = (None, None, None, 0.0);
        for (key, value) in line.split('|').filter_map(|field| field.split_once('=')) {
            match key {
                "stream_index" => stream = value.parse().ok(),
                "pts_time" => shown = finite(value),
                "dts_time" => decoded = finite(value),
                "duration_time" => duration = finite(value).unwrap_or(0.0),
                _ => {}
            }
        }
        if let (Some(stream), Some(time)) = (stream, shown.or(decoded)) {
            self.add(stream, time, duration);
        }
    }

    /// Takes in a packet of a stream: when it is shown, and for how long, in seconds.
    pub(super) fn add(&mut self, stream: u32, time: f64, duration: f64) {
        if self.streams.len() >= MOST_STREAMS && !self.streams.contains_key(&stream) {
            return;
        }
        let line =
            self.streams.entry(stream).or_insert(Line { first: time, end: time, packets: 0, hole: 0.0, offset: 0.0 });
        let mut time = time + line.offset;
        if self.may_jump && (time - line.end).abs() > JUMP {
            line.offset += line.end - time;
            time = line.end;
        }
        // pictures come in the order of decoding: a step back is one of those, a step ahead of them all may be a hole
        line.hole = line.hole.max(time - line.end);
        line.first = line.first.min(time);
        line.end = line.end.max(time + step(duration, line));
        line.packets += 1;
    }

    /// From the first packet of any stream to the end of the last; none without packets.
    #[must_use]
    pub fn duration(&self) -> Option<f64> {
        let first = self.streams.values().map(|line| line.first).reduce(f64::min)?;
        let end = self.streams.values().map(|line| line.end).reduce(f64::max)?;
        Some(end - first)
    }

    /// How long one stream plays; none if it has no packets.
    #[must_use]
    pub fn duration_of(&self, stream: u32) -> Option<f64> {
        self.streams.get(&stream).map(|line| line.end - line.first)
    }

    /// When the first packet of a stream is shown; none if it has no packets.
    #[must_use]
    pub fn begin_of(&self, stream: u32) -> Option<f64> {
        self.streams.get(&stream).map(|line| line.first)
    }

    /// The longest time of a stream without a packet.
    #[must_use]
    pub fn hole(&self, stream: u32) -> f64 {
        self.streams.get(&stream).map_or(0.0, |line| line.hole)
    }

    /// Do its pictures, the longest hole left out, come at this rate? Then the hole is no still picture.
    #[must_use]
    pub fn is_clockwork(&self, stream: u32, rate: f64) -> bool {
        self.streams.get(&stream).is_some_and(|line| {
            let played = line.end - line.first - line.hole;
            let expected = played * rate;
            line.packets > 10 && (line.packets as f64 - expected).abs() <= (expected * 0.02).max(2.0)
        })
    }
}

/// A packet's own duration; mp4 stretches it up to the next packet, which would hide a hole.
fn step(duration: f64, line: &Line) -> f64 {
    let mean = if line.packets < 2 { duration } else { (line.end - line.first) / line.packets as f64 };
    duration.min(4.0 * mean.max(0.01))
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|seconds: &f64| seconds.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(times: impl Iterator<Item = f64>, duration: f64) -> Timeline {
        let mut timeline = Timeline::default();
        times.for_each(|time| timeline.take(&format!("stream_index=0|pts_time={time}|duration_time={duration}")));
        timeline
    }

    #[test]
    fn a_missing_middle_is_a_hole_between_steady_pictures() {
        let pictures = (0..200).filter(|frame| !(50..100).contains(frame)).map(|frame| f64::from(frame) / 25.0);
        let timeline = timeline(pictures, 0.04);
        assert!((timeline.hole(0) - 2.0).abs() < 0.01, "{timeline:?}");
        assert!(timeline.is_clockwork(0, 25.0));
        assert!((timeline.duration().unwrap() - 8.0).abs() < 0.01);
    }

    #[test]
    fn slides_that_stand_for_long_are_no_clockwork() {
        let slides =
            timeline([0.0, 0.04, 0.08, 9.0, 12.5, 12.54, 30.0, 31.0, 40.0, 44.0, 45.0, 60.0].into_iter(), 0.04);
        assert!(!slides.is_clockwork(0, 25.0));
    }

    #[test]
    fn the_order_of_decoding_is_no_hole() {
        let order = [0.0, 0.12, 0.04, 0.08, 0.24, 0.16, 0.2, 0.36, 0.28, 0.32];
        let timeline = timeline(order.into_iter(), 0.04);
        assert!(timeline.hole(0) < 0.2, "{timeline:?}");
        assert!((timeline.duration().unwrap() - 0.4).abs() < 1e-9);
    }

    #[test]
    fn another_clock_is_no_hole_in_a_transport_stream() {
        let mut timeline = Timeline::of(Container::MpegTs);
        for start in [90_000, 10, 500] {
            for frame in 0..100 {
                let time = f64::from(start) + f64::from(frame) * 0.04;
                timeline.take(&format!("stream_index=0|pts_time={time}|duration_time=0.04"));
            }
        }
        assert!((timeline.duration().unwrap() - 12.0).abs() < 0.1, "{timeline:?}");
        assert!(timeline.hole(0) < 0.1);
    }

    #[test]
    fn other_lines_mean_nothing() {
        let mut timeline = Timeline::default();
        for line in
            ["", "N/A", "stream_index=0|pts_time=N/A|dts_time=N/A|duration_time=0.1", "stream_index=x|pts_time=1"]
        {
            timeline.take(line);
        }
        assert_eq!((timeline.duration(), timeline.duration_of(0)), (None, None));
    }
}
