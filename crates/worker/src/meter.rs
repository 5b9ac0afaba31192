//! How far a download of several streams is: each counts by its weight, and the sum never says more than is known.
//!
//! Pure. That the percentage of a job never falls is held elsewhere (`board`): a site's estimates do.

use haul_shared::job::{Progress, Stage};

use crate::ytdlp::{Report, SiteFormat};

/// Adds up the reports on the streams of one download.
#[derive(Debug)]
pub struct Meter {
    streams: Vec<Measured>,
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
        };
        Self { streams: formats.iter().zip(weights).map(measured).collect() }
    }

    /// Takes in a report. One on a stream that was not asked for counts for the first that is unfinished.
    pub fn heard(&mut self, report: &Report) -> Progress {
        let by_id = self.streams.iter().position(|stream| stream.format_id == report.format_id);
        let at = by_id.or_else(|| self.streams.iter().position(|stream| stream.fraction < 1.0));
        if let Some(stream) = at.and_then(|at| self.streams.get_mut(at)) {
            stream.fraction = report.fraction().unwrap_or(stream.fraction);
            stream.fetched_bytes = report.downloaded_bytes.unwrap_or(stream.fetched_bytes);
            stream.total_bytes = report.total_bytes.or(stream.total_bytes);
            if report.finished {
                stream.total_bytes = Some(stream.fetched_bytes);
            }
        }
        self.progress(report.speed, report.eta_seconds)
    }

    /// Bytes fetched so far.
    #[must_use]
    pub fn fetched_bytes(&self) -> u64 {
        self.streams.iter().map(|stream| stream.fetched_bytes).sum()
    }

    fn progress(&self, speed: Option<u64>, eta_of_stream: Option<u64>) -> Progress {
        let weight: f64 = self.streams.iter().map(|stream| stream.weight).sum();
        let done: f64 = self.streams.iter().map(|stream| stream.weight * stream.fraction).sum();
        let fetched = self.fetched_bytes();
        let total: Option<u64> = self.streams.iter().map(|stream| stream.total_bytes).sum();
        let unfinished = self.streams.iter().filter(|stream| stream.fraction < 1.0).count();
        let eta = match (total, speed) {
            (Some(total), Some(speed)) if speed > 0 => Some(total.saturating_sub(fetched) / speed),
            // What the program says is about its present stream: true of the whole only when that is the last.
            _ if unfinished <= 1 => eta_of_stream,
            _ => None,
        };
        Progress {
            downloaded_bytes: Some(fetched),
            total_bytes: total.filter(|total| *total >= fetched),
            speed_bytes_per_second: speed,
            eta_seconds: eta,
            ..Progress::at(Stage::Download, if weight > 0.0 { done / weight } else { 0.0 })
        }
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
            speed: Some(100),
            eta_seconds: Some(7),
            ..Report::default()
        }
    }

    fn format(id: &str, size_bytes: Option<u64>, total_kbps: Option<f64>) -> SiteFormat {
        SiteFormat { format_id: id.into(), size_bytes, total_kbps, ..SiteFormat::default() }
    }

    /// Fault: the bytes of one were weighed against the kilobits of the other.
    #[test]
    fn one_size_alone_is_no_weight() {
        let mut meter = Meter::of(&[&format("v", Some(1 << 30), Some(900.0)), &format("a", None, Some(100.0))]);
        let progress = meter.heard(&Report { finished: true, ..report("v", 1 << 30, None) });
        assert_eq!(progress.percent, Progress::at(Stage::Download, 0.9).percent);
    }

    #[test]
    fn streams_count_by_weight() {
        let mut meter = Meter::of(&[&format("v", Some(900), None), &format("a", Some(100), None)]);
        let progress = meter.heard(&report("v", 450, Some(900)));
        assert_eq!(progress.percent, Progress::at(Stage::Download, 0.45).percent);
        assert_eq!(
            (progress.downloaded_bytes, progress.total_bytes, progress.eta_seconds),
            (Some(450), Some(1000), Some(5))
        );
        let progress = meter.heard(&report("a", 100, Some(100)));
        assert_eq!(progress.percent, Progress::at(Stage::Download, 0.55).percent);
    }

    #[test]
    fn what_is_not_known_is_not_shown() {
        let mut meter = Meter::of(&[&format("v", None, Some(9.0)), &format("a", None, Some(1.0))]);
        let progress = meter.heard(&report("v", 450, None));
        assert_eq!((progress.total_bytes, progress.eta_seconds), (None, None));
        assert_eq!(progress.percent, Progress::at(Stage::Download, 0.0).percent);
        // Of the last stream, the program's own estimate is that of the whole.
        meter.heard(&Report { finished: true, ..report("v", 900, None) });
        assert_eq!(meter.heard(&report("a", 1, None)).eta_seconds, Some(7));
    }
}
