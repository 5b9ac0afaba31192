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
}
