//! How far a download of several streams is: each counts by its weight, and the sum never says more than is known.
//!
//! Whoever fetches a stream reports what it has ([`Report`]): bytes, their exact number where it is known, segments and how
//! many there are where bytes are a guess, and the end. Streams may come side by side: speed and time left are
//! those of all together, measured here and smoothed. What a program says of its own speed is not believed.
//!
//! Pure but for the clock. What a download is of the whole job is decided elsewhere (`course`).

use std::time::{Duration, Instant};

use crate::ytdlp::{Report, SiteFormat};

/// A change of speed is seen by two thirds after this long.
const SMOOTH: Duration = Duration::from_secs(5);
/// Reports that come closer together are measured together.
const LEAST: Duration = Duration::from_millis(200);
/// Of a download, what has to be there before its size is guessed from it.
const TELLING: f64 = 0.05;

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fetched {
    /// The share that is there, 0 to 1, as far as it is known.
    pub done: f64,
    /// Bytes that are there.
    pub bytes: u64,
    /// Bytes in all, where all streams tell it exactly.
    pub total_bytes: Option<u64>,
    /// The same, or a guess.
    pub likely_bytes: Option<u64>,
    /// Smoothed, in bytes per second.
    pub speed: Option<u64>,
    /// Of the download; `None` while something of it has no end in sight.
    pub seconds_left: Option<f64>,
}

/// Adds up the reports on the streams of one download.
#[derive(Debug)]
pub struct Meter {
    streams: Vec<Measured>,
    speed: Pace,
    /// Of the share that is done, per second.
    share: Pace,
}

/// One stream to be fetched.
#[derive(Debug)]
struct Measured {
    format_id: String,
    /// Its share of the whole.
    weight: f64,
    /// How much of it is there, 0 to 1.
    fraction: f64,
    fetched_bytes: u64,
    /// Its exact size.
    total_bytes: Option<u64>,
    /// Its size, or a guess.
    likely_bytes: Option<u64>,
    /// Something has come, and nothing says how much there is.
    is_endless: bool,
}

impl Meter {
    /// Nothing of these has been fetched. They are weighed by their sizes when all have one, else by their bitrates:
    /// bytes and kilobits are not to be compared.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share, shown in tenths of a percent")]
    pub fn of(formats: &[&SiteFormat]) -> Self {
        let sizes: Option<Vec<u64>> = formats.iter().map(|format| format.size_bytes).collect();
        let rates = || formats.iter().map(|format| format.total_kbps.unwrap_or_default()).collect();
        let weights: Vec<f64> = sizes.map_or_else(rates, |sizes| sizes.iter().map(|bytes| *bytes as f64).collect());
        let measured = |(format, weight): (&&SiteFormat, f64)| Measured {
            format_id: format.format_id.clone(),
            weight: weight.max(1.0),
            fraction: 0.0,
            fetched_bytes: 0,
            total_bytes: format.size_bytes.filter(|_| !format.size_is_a_guess),
            likely_bytes: format.size_bytes,
            is_endless: false,
        };
        let began = Instant::now();
        let pace = Pace { at: began, value: 0.0, rate: None };
        Self { streams: formats.iter().zip(weights).map(measured).collect(), speed: pace, share: pace }
    }

    /// Takes in a report. One on a stream that was not asked for counts for the first that is unfinished.
    pub fn heard(&mut self, report: &Report) -> Fetched {
        self.heard_at(report, Instant::now())
    }

    #[expect(clippy::cast_precision_loss, reason = "a share, shown in tenths of a percent")]
    fn heard_at(&mut self, report: &Report, now: Instant) -> Fetched {
        let by_id = self.streams.iter().position(|stream| stream.format_id == report.format_id);
        let at = by_id.or_else(|| self.streams.iter().position(|stream| stream.fraction < 1.0));
        if let Some(stream) = at.and_then(|at| self.streams.get_mut(at)) {
            stream.heard(report);
        }
        self.speed.heard(now, self.fetched_bytes() as f64);
        // of segments, the share moves with whole ones only: what comes between says nothing of its pace
        let done = self.done();
        if done > self.share.value {
            self.share.heard(now, done);
        }
        self.fetched()
    }

    /// Bytes fetched so far.
    #[must_use]
    pub fn fetched_bytes(&self) -> u64 {
        self.streams.iter().map(|stream| stream.fetched_bytes).sum()
    }

    fn done(&self) -> f64 {
        let weight: f64 = self.streams.iter().map(|stream| stream.weight).sum();
        let done: f64 = self.streams.iter().map(|stream| stream.weight * stream.fraction).sum();
        if weight > 0.0 { done / weight } else { 0.0 }
    }

    #[expect(clippy::cast_precision_loss, reason = "bytes of a download, for display")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of bytes")]
    fn fetched(&self) -> Fetched {
        let (bytes, done) = (self.fetched_bytes(), self.done());
        let total: Option<u64> = self.streams.iter().map(|stream| stream.total_bytes).sum();
        let total = total.filter(|total| *total >= bytes);
        let by_share = (done > TELLING).then(|| (bytes as f64 / done) as u64);
        let announced = || self.streams.iter().map(|stream| stream.likely_bytes).sum::<Option<u64>>();
        let likely = total.or(by_share).or_else(announced).map(|likely| likely.max(bytes));
        let speed = self.speed.rate.map(|rate| rate as u64);
        let is_endless = self.streams.iter().any(|stream| stream.is_endless);
        let left = |left: f64, rate: Option<f64>| rate.filter(|rate| *rate > 0.0).map(|rate| left / rate);
        let seconds_left = match total {
            Some(total) => left((total - bytes) as f64, self.speed.rate),
            None if is_endless => None,
            None => left(1.0 - done, self.share.rate),
        };
        Fetched { done, bytes, total_bytes: total, likely_bytes: likely, speed, seconds_left }
    }
}

impl Measured {
    fn heard(&mut self, report: &Report) {
        let fraction = report.fraction();
        self.is_endless = fraction.is_none();
        self.fraction = fraction.unwrap_or(self.fraction);
        self.fetched_bytes = report.downloaded_bytes.unwrap_or(self.fetched_bytes);
        self.total_bytes = report.total_bytes.or(self.total_bytes);
        self.likely_bytes = self.total_bytes.or(self.likely_bytes);
        if report.finished {
            self.total_bytes = Some(self.fetched_bytes);
        }
    }
}

/// How fast something grows, smoothed.
#[derive(Debug, Clone, Copy)]
struct Pace {
    at: Instant,
    value: f64,
    rate: Option<f64>,
}

impl Pace {
    fn heard(&mut self, now: Instant, value: f64) {
        let since = now.saturating_duration_since(self.at);
        if since < LEAST {
            return;
        }
        let newest = ((value - self.value) / since.as_secs_f64()).max(0.0);
        let weight = 1.0 - (-since.as_secs_f64() / SMOOTH.as_secs_f64()).exp();
        self.rate = Some(self.rate.map_or(newest, |rate| rate + weight * (newest - rate)));
        (self.at, self.value) = (now, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(format_id: &str, downloaded: u64, total: Option<u64>) -> Report {
        Report {
            format_id: format_id.into(),
            downloaded_bytes: Some(downloaded),
            total_bytes: total,
            ..Report::default()
        }
    }

    fn segments(format_id: &str, downloaded: u64, index: u64, count: u64) -> Report {
        let (fragment_index, fragment_count) = (Some(index), Some(count));
        Report { fragment_index, fragment_count, ..report(format_id, downloaded, None) }
    }

    fn format(id: &str, size_bytes: Option<u64>, total_kbps: Option<f64>) -> SiteFormat {
        SiteFormat { format_id: id.into(), size_bytes, total_kbps, ..SiteFormat::default() }
    }

    /// Fault: the bytes of one were weighed against the kilobits of the other.
    #[test]
    fn one_size_alone_is_no_weight() {
        let mut meter = Meter::of(&[&format("v", Some(1 << 30), Some(900.0)), &format("a", None, Some(100.0))]);
        assert_eq!(meter.heard(&Report { finished: true, ..report("v", 1 << 30, None) }).done, 0.9);
    }

    /// Fault: of two streams that came side by side, the speed of one was shown.
    #[test]
    fn streams_count_by_weight_and_their_speed_is_that_of_all() {
        let mut meter = Meter::of(&[&format("v", Some(900), None), &format("a", Some(100), None)]);
        let began = meter.speed.at;
        let after = |seconds: u64| began + Duration::from_secs(seconds);
        let fetched = meter.heard_at(&report("v", 450, Some(900)), after(1));
        assert_eq!((fetched.done, fetched.bytes, fetched.total_bytes), (0.45, 450, Some(1000)));
        assert_eq!((fetched.speed, fetched.seconds_left.map(f64::round)), (Some(450), Some(1.0)));
        // of a second of silence, a fifth is believed
        let fetched = meter.heard_at(&report("a", 0, Some(100)), after(2));
        assert_eq!(fetched.speed, Some(368));
        let fetched = meter.heard_at(&report("a", 100, Some(100)), after(2));
        assert_eq!((fetched.done, fetched.bytes), (0.55, 550));
    }

    #[test]
    fn segments_count_where_bytes_are_a_guess() {
        let mut meter = Meter::of(&[&format("v", None, Some(900.0)), &format("a", None, Some(100.0))]);
        let began = meter.speed.at;
        let half = meter.heard_at(&segments("v", 5000, 5, 10), began + Duration::from_secs(9));
        assert_eq!((half.done, half.total_bytes, half.likely_bytes), (0.45, None, Some(11_111)));
        assert_eq!(half.seconds_left.map(f64::round), Some(11.0));
    }

    /// Fault: while a segment was under way, the share seemed to stand still, and the time left grew without end.
    #[test]
    fn time_left_does_not_grow_while_a_segment_is_under_way() {
        let mut meter = Meter::of(&[&format("v", None, None)]);
        let began = meter.speed.at;
        let after = |halves: u64| began + Duration::from_millis(500 * halves);
        let reports = 1..120;
        let left =
            reports.filter_map(|at| meter.heard_at(&segments("v", 1000 * at, at / 40, 5), after(at)).seconds_left);
        let longest = left.fold(0.0, f64::max);
        assert!((80.0..=100.0).contains(&longest), "{longest} s");
    }

    #[test]
    fn what_is_not_known_is_not_shown() {
        let mut meter = Meter::of(&[&format("v", None, Some(9.0)), &format("a", None, Some(1.0))]);
        let later = meter.speed.at + Duration::from_secs(3);
        let fetched = meter.heard_at(&report("v", 450, None), later);
        assert_eq!((fetched.total_bytes, fetched.seconds_left, fetched.done), (None, None, 0.0));
        assert_eq!(fetched.speed, Some(150), "but what is known is");
        let done = meter.heard_at(&Report { finished: true, ..report("v", 900, None) }, later);
        assert_eq!((done.done, done.total_bytes), (0.9, None));
    }
}
