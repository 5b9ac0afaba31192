//! What is counted of the runs of yt-dlp.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};

const VALID: &str = "names are valid";

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
    replaced: IntCounterVec,
    up: IntGauge,
    unknown: IntCounter,
}

impl Default for Counts {
    fn default() -> Self {
        let vec = |name, help, label| IntCounterVec::new(Opts::new(name, help), &[label]).expect(VALID);
        let counts = Self {
            runs: vec("haul_extractions_total", "Runs of yt-dlp that looked at an address.", "way"),
            replaced: vec("haul_extractors_replaced_total", "Warm extractors that gave way to a fresh one.", "reason"),
            up: IntGauge::new("haul_extractors", "Warm extractors that take jobs.").expect(VALID),
            unknown: IntCounter::new("haul_extractor_unknown_errors_total", "Errors of yt-dlp that have no code yet.")
                .expect(VALID),
        };
        // a series that is not there until it is counted hides its first count from `increase()`
        for way in Way::ALL {
            counts.runs.with_label_values(&[way.word()]);
        }
        for why in Why::ALL {
            counts.replaced.with_label_values(&[why.word()]);
        }
        counts
    }
}

impl Counts {
    /// What a registry of metrics takes.
    #[must_use]
    pub fn collectors(&self) -> [Box<dyn Collector>; 4] {
        let Self { runs, replaced, up, unknown } = self.clone();
        [Box::new(runs), Box::new(replaced), Box::new(up), Box::new(unknown)]
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
