//! What is counted of the runs of yt-dlp.

use std::time::Duration;

use haul_shared::metrics::{counter, counters, gauge, histograms};
use prometheus::core::Collector;
use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge};

/// Seconds; from a look at a single file on loopback by a warm extractor, some 40 ms, to the most that one has.
const BUCKETS: &[f64] = &[0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// How a run was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By a child of a warm extractor.
    Warm,
    /// By the plain command line.
    Plain,
}

impl Way {
    const ALL: [Self; 2] = [Self::Warm, Self::Plain];

    fn word(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Plain => "plain",
        }
    }
}

/// Why a warm extractor gave way to a fresh one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It had served its number of jobs.
    Served,
    /// yt-dlp is another one now.
    Changed,
    /// It did not answer.
    Deaf,
    /// It had ended by itself.
    Died,
    /// A child of it could not put on what confines a job.
    Unconfined,
}

impl Why {
    const ALL: [Self; 5] = [Self::Served, Self::Changed, Self::Deaf, Self::Died, Self::Unconfined];

    /// As a label, and in a log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Changed => "changed",
            Self::Deaf => "deaf",
            Self::Died => "died",
            Self::Unconfined => "unconfined",
        }
    }
}

/// The counters; a clone counts into the same.
#[derive(Debug, Clone)]
pub struct Counts {
    runs: IntCounterVec,
    duration: HistogramVec,
    replaced: IntCounterVec,
    up: IntGauge,
    unknown: IntCounter,
}

impl Default for Counts {
    fn default() -> Self {
        let (looked, gave_way) =
            ("Runs of yt-dlp that looked at an address.", "Warm extractors that gave way to a fresh one.");
        let took = "Time of a run of yt-dlp that looked at an address.";
        let counts = Self {
            runs: counters("haul_extractions_total", looked, &["way"]),
            duration: histograms("haul_extraction_duration_seconds", took, &["way", "result"], BUCKETS),
            replaced: counters("haul_extractors_replaced_total", gave_way, &["reason"]),
            up: gauge("haul_extractors", "Warm extractors that take jobs."),
            unknown: counter("haul_extractor_unknown_errors_total", "Errors of yt-dlp that have no code yet."),
        };
        // a series that is not there until it is counted hides its first count from `increase()`
        for way in Way::ALL {
            counts.runs.with_label_values(&[way.word()]);
            for found in [true, false] {
                counts.duration.with_label_values(&[way.word(), result(found)]);
            }
        }
        for why in Why::ALL {
            counts.replaced.with_label_values(&[why.word()]);
        }
        counts
    }
}

fn result(found: bool) -> &'static str {
    if found { "found" } else { "failed" }
}

impl Counts {
    /// What a registry of metrics takes.
    #[must_use]
    pub fn collectors(&self) -> [Box<dyn Collector>; 5] {
        let Self { runs, duration, replaced, up, unknown } = self.clone();
        [Box::new(runs), Box::new(duration), Box::new(replaced), Box::new(up), Box::new(unknown)]
    }

    /// Looks at an address, so far.
    #[must_use]
    pub fn runs(&self, way: Way) -> u64 {
        self.runs.with_label_values(&[way.word()]).get()
    }

    /// Warm extractors replaced, so far.
    #[must_use]
    pub fn replaced(&self, why: Why) -> u64 {
        self.replaced.with_label_values(&[why.word()]).get()
    }

    /// Warm extractors that take jobs now.
    #[must_use]
    pub fn up(&self) -> i64 {
        self.up.get()
    }

    /// Errors without a code, so far.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.unknown.get()
    }

    pub(super) fn ran(&self, way: Way) {
        self.runs.with_label_values(&[way.word()]).inc();
    }

    /// A run has looked, has found something or failed, and took so long.
    pub(super) fn looked(&self, way: Way, found: bool, took: Duration) {
        self.duration.with_label_values(&[way.word(), result(found)]).observe(took.as_secs_f64());
    }

    pub(super) fn gave_way(&self, why: Why) {
        self.replaced.with_label_values(&[why.word()]).inc();
    }

    pub(super) fn rose(&self) {
        self.up.inc();
    }

    pub(super) fn fell(&self) {
        self.up.dec();
    }

    pub(super) fn met_unknown(&self) {
        self.unknown.inc();
    }
}
