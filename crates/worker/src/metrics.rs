//! What Prometheus sees of a worker: the only place where the names of its metrics are spelled.
//!
//! One registry per process, never the global one. Labels come from closed sets, never from input. What all workers
//! have done together (`haul_jobs_total`, `haul_leases_lost_total`, depths, storage) is told by the API, from the store.

use std::time::Duration;

use haul_shared::job::{FailureKind, Stage};
use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::sandbox::Tier;
use crate::thumbnails::Fate;
use crate::way::Way;
use crate::webhooks::Fate as MessageFate;

/// Seconds; from a small file to a long film.
const STAGE_BUCKETS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];

/// Seconds; from a free slot to a line of hours.
const WAIT_BUCKETS: &[f64] = &[0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0];

/// The metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    build: IntGaugeVec,
    failures: IntCounterVec,
    retries: IntCounterVec,
    lost: IntCounter,
    stages: HistogramVec,
    queue_wait: Histogram,
    running: IntGauge,
    slots: IntGauge,
    disk_free: IntGauge,
    downloaded: IntCounter,
    uploaded: IntCounter,
    deliveries: IntCounterVec,
    thumbnails: IntCounterVec,
    webhooks: IntCounterVec,
    version_skew: IntCounter,
    pool: IntGaugeVec,
    sandbox: IntGaugeVec,
}

impl Metrics {
    /// All metrics, at zero.
    ///
    /// # Panics
    /// When a name is not one that Prometheus takes, or comes twice.
    #[must_use]
    pub fn new(slots: usize, ytdlp_version: &str) -> Self {
        let metrics = Self {
            registry: Registry::new(),
            build: gauges("haul_build_info", "What runs here.", &["version", "ytdlp"]),
            failures: counters("haul_job_failures_total", "Downloads that have failed.", "code"),
            retries: counters("haul_job_retries_total", "Attempts at downloads that are followed by another.", "code"),
            lost: counter("haul_jobs_lost_total", "Jobs given up because somebody else had them, or they were gone."),
            stages: HistogramVec::new(
                HistogramOpts::new("haul_stage_duration_seconds", "Time in a stage that ended well.")
                    .buckets(STAGE_BUCKETS.to_vec()),
                &["stage"],
            )
            .expect(VALID),
            queue_wait: Histogram::with_opts(
                HistogramOpts::new("haul_queue_wait_seconds", "Time in line before an attempt.")
                    .buckets(WAIT_BUCKETS.to_vec()),
            )
            .expect(VALID),
            running: IntGauge::new("haul_jobs_running", "Jobs under way.").expect(VALID),
            slots: IntGauge::new("haul_worker_slots", "Jobs that may be under way at once.").expect(VALID),
            disk_free: IntGauge::new("haul_worker_disk_free_bytes", "Bytes free for scratch.").expect(VALID),
            downloaded: counter("haul_downloaded_bytes_total", "Bytes of media fetched."),
            deliveries: IntCounterVec::new(
                Opts::new(
                    "haul_deliveries_total",
                    "Results by the way of their bytes, and why it was not a quicker one.",
                ),
                &["way", "reason"],
            )
            .expect(VALID),
            uploaded: counter("haul_uploaded_bytes_total", "Bytes of results stored."),
            thumbnails: counters("haul_thumbnails_total", "Thumbnails that were to come.", "fate"),
            webhooks: counters("haul_webhooks_total", "Attempts to send a webhook.", "result"),
            version_skew: counter(
                "haul_spec_version_skew_total",
                "Jobs handed back because their orders are newer than this worker.",
            ),
            sandbox: gauges("haul_worker_sandbox", "1 for the tier of the sandbox that programs run in.", &["tier"]),
            pool: gauges("haul_redis_pool_connections", "Connections to Redis.", &["state"]),
        };
        metrics.runs_with(ytdlp_version);
        // A series that is not there until it is counted hides its first count from `increase()`.
        for kind in FailureKind::ALL {
            metrics.failures.with_label_values(&[kind.code()]);
            if kind.is_retryable() {
                metrics.retries.with_label_values(&[kind.code()]);
            }
        }
        for (way, reason) in Way::all().map(Way::words) {
            metrics.deliveries.with_label_values(&[way, reason]);
        }
        for stage in Stage::ALL {
            metrics.stages.with_label_values(&[stage.word()]);
        }
        for fate in Fate::ALL {
            metrics.thumbnails.with_label_values(&[fate.word()]);
        }
        for fate in MessageFate::ALL {
            metrics.webhooks.with_label_values(&[fate.word()]);
        }
        metrics.slots.set(i64::try_from(slots).unwrap_or(i64::MAX));
        metrics.register(metrics.build.clone());
        metrics.register(metrics.failures.clone());
        metrics.register(metrics.retries.clone());
        metrics.register(metrics.deliveries.clone());
        metrics.register(metrics.lost.clone());
        metrics.register(metrics.stages.clone());
        metrics.register(metrics.running.clone());
        metrics.register(metrics.slots.clone());
        metrics.register(metrics.disk_free.clone());
        metrics.register(metrics.downloaded.clone());
        metrics.register(metrics.uploaded.clone());
        metrics.register(metrics.queue_wait.clone());
        metrics.register(metrics.thumbnails.clone());
        metrics.register(metrics.webhooks.clone());
        metrics.register(metrics.version_skew.clone());
        metrics.register(metrics.pool.clone());
        metrics.register(metrics.sandbox.clone());
        metrics
    }

    /// This yt-dlp is the one that is run, from now on.
    pub fn runs_with(&self, ytdlp_version: &str) {
        self.build.reset();
        self.build.with_label_values(&[env!("CARGO_PKG_VERSION"), ytdlp_version]).set(1);
    }

    /// Shows what a part of the worker counts, too.
    ///
    /// # Panics
    /// When it is shown already.
    pub fn show(&self, collectors: impl IntoIterator<Item = Box<dyn Collector>>) {
        for collector in collectors {
            self.registry.register(collector).expect(VALID);
        }
    }

    /// Programs run in a sandbox of this tier.
    pub fn confines_by(&self, tier: Tier) {
        for one in Tier::ALL {
            self.sandbox.with_label_values(&[one.word()]).set(i64::from(one == tier));
        }
    }

    fn register(&self, collector: impl Collector + 'static) {
        self.registry.register(Box::new(collector)).expect(VALID);
    }

    /// A job ended without a result.
    pub fn failed(&self, kind: FailureKind) {
        self.failures.with_label_values(&[kind.code()]).inc();
    }

    /// An attempt ended, and another follows.
    pub fn retried(&self, kind: FailureKind) {
        self.retries.with_label_values(&[kind.code()]).inc();
    }

    /// The lease of a job was lost while this worker was at it.
    pub fn lost(&self) {
        self.lost.inc();
    }

    /// A stage ended well.
    pub fn finished(&self, stage: Stage, took: Duration) {
        self.stages.with_label_values(&[stage.word()]).observe(took.as_secs_f64());
    }

    /// A result was delivered.
    pub fn delivered(&self, way: Way) {
        let (way, reason) = way.words();
        self.deliveries.with_label_values(&[way, reason]).inc();
    }

    /// Bytes of media were fetched.
    pub fn downloaded(&self, bytes: u64) {
        self.downloaded.inc_by(bytes);
    }

    /// Bytes of a result were stored.
    pub fn uploaded(&self, bytes: u64) {
        self.uploaded.inc_by(bytes);
    }

    /// A thumbnail came, or will not.
    pub fn thumbnail(&self, fate: Fate) {
        self.thumbnails.with_label_values(&[fate.word()]).inc();
    }

    /// A message was sent, or could not be.
    pub fn message(&self, fate: MessageFate) {
        self.webhooks.with_label_values(&[fate.word()]).inc();
    }

    /// A download was taken from the line in which it stood so long.
    pub fn waited(&self, waited: Duration) {
        self.queue_wait.observe(waited.as_secs_f64());
    }

    /// So many bytes are free for scratch.
    pub fn disk(&self, free_bytes: u64) {
        self.disk_free.set(i64::try_from(free_bytes).unwrap_or(i64::MAX));
    }

    /// A job was handed back because this worker is too old for it.
    pub fn met_newer_order(&self) {
        self.version_skew.inc();
    }

    /// All of them in Prometheus' text format 0.0.4, with what is under way now.
    #[must_use]
    pub fn text(&self, running: usize, (used, idle): (usize, usize)) -> Vec<u8> {
        self.running.set(i64::try_from(running).unwrap_or(i64::MAX));
        self.pool.with_label_values(&["used"]).set(i64::try_from(used).unwrap_or(i64::MAX));
        self.pool.with_label_values(&["idle"]).set(i64::try_from(idle).unwrap_or(i64::MAX));
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("memory can be written to");
        text
    }
}

const VALID: &str = "names are valid and come once";

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect(VALID)
}

fn counters(name: &str, help: &str, label: &str) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), &[label]).expect(VALID)
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    IntGaugeVec::new(Opts::new(name, help), labels).expect(VALID)
}
