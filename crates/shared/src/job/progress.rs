//! How far a running job is.

use serde::{Deserialize, Serialize};

/// The steps that a client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Finding out what is at the address.
    Extract,
    /// Fetching the bytes.
    Download,
    /// Merging, converting, tagging.
    Process,
    /// Checking that the file is what it should be.
    Verify,
    /// Putting it into the store.
    Upload,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Self; 5] = [Self::Extract, Self::Download, Self::Process, Self::Verify, Self::Upload];

    /// The word of the contract, of metrics, and of Redis.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Extract => "extract",
            Self::Download => "download",
            Self::Process => "process",
            Self::Verify => "verify",
            Self::Upload => "upload",
        }
    }
}

/// What is known of a running job's progress. Sizes in bytes, speeds in bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Where it is.
    pub stage: Stage,
    /// Of the whole job; never falls within an attempt, below 100 until the job is completed.
    pub percent: f64,
    /// Bytes fetched.
    pub downloaded_bytes: Option<u64>,
    /// Bytes to fetch, where known or well estimated.
    pub total_bytes: Option<u64>,
    /// Speed of the download, smoothed over the last seconds.
    pub speed_bytes_per_second: Option<u64>,
    /// Seconds left of the whole job.
    pub eta_seconds: Option<u64>,
}

impl Progress {
    /// Before the first report.
    #[must_use]
    pub fn start() -> Self {
        Self::at(Stage::Extract, 0.0)
    }

    /// So much of the whole, in a stage, with nothing else known.
    #[must_use]
    pub fn at(stage: Stage, percent: f64) -> Self {
        Self {
            stage,
            percent,
            downloaded_bytes: None,
            total_bytes: None,
            speed_bytes_per_second: None,
            eta_seconds: None,
        }
    }

    /// What there is to remember of it: stage, percentage and bytes in a few characters, the first of them the stage's.
    #[must_use]
    pub fn short(&self) -> String {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let (stage, bytes, all) = (self.stage.word(), number(self.downloaded_bytes), number(self.total_bytes));
        format!("{} {} {bytes} {all}", &stage[..1], shown_percent(self.percent))
    }

    /// Reads what [`Progress::short`] says; `None`: it is something else.
    #[must_use]
    pub fn of_short(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let letter = words.next()?;
        let stage = Stage::ALL.into_iter().find(|stage| stage.word()[..1] == *letter)?;
        let percent = words.next().and_then(|percent| percent.parse().ok()).unwrap_or(0.0);
        let mut bytes = || words.next().and_then(|bytes| bytes.parse().ok());
        Some(Self { downloaded_bytes: bytes(), total_bytes: bytes(), ..Self::at(stage, percent) })
    }
}

/// A percentage as clients see it, with one decimal: a hundredth is no news, and would make every answer a new one.
#[must_use]
pub fn shown_percent(percent: f64) -> f64 {
    (percent * 10.0).floor() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_of_progress_is_read_back() {
        for stage in Stage::ALL {
            let known =
                Progress { downloaded_bytes: Some(7), total_bytes: Some(1 << 40), ..Progress::at(stage, 41.57) };
            assert_eq!(Progress::of_short(&known.short()), Some(Progress { percent: 41.5, ..known }), "{known:?}");
            let unknown = Progress::at(stage, 0.0);
            assert_eq!(Progress::of_short(&unknown.short()), Some(unknown));
        }
        assert_eq!(Progress::of_short("e"), Some(Progress::start()), "before anything was heard");
        assert_eq!((Progress::of_short(""), Progress::of_short("x 1 - -")), (None, None));
    }
}
