//! What Prometheus sees of a worker: the only place where the names of its metrics are spelled, but for those that APIs have
//! too (`shared::metrics`), and those of a part that counts for itself (`guard`, `ytdlp`).
//!
//! Labels come from closed sets, never from input. What all workers have done together (`haul_jobs_total`,
//! `haul_leases_lost_total`, depths, storage) is told by the API, from the store.

use std::time::Duration;

use haul_shared::job::{FailureKind, Stage, StateKind};
use haul_shared::metrics::{
    Registry, catch_up, counter, counters, gauge, gauges, histogram, histograms, job_failures, signed,
};
use haul_shared::redis::Server;
use haul_shared::storage::Storage;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::sandbox::Tier;
use crate::thumbnails::Fate;
use crate::way::Way;
use crate::webhooks::Fate as MessageFate;

/// Seconds; from a small file to a long film.
const STAGE_BUCKETS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];

/// Seconds; from a free slot to a line of hours.
const WAIT_BUCKETS: &[f64] = &[0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0];

/// Seconds; from a small file on a fast line, a second, to the most that an attempt has by default.
const JOB_BUCKETS: &[f64] = &[0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0];

/// Seconds; from a receiver on loopback to one that never answers.
const WEBHOOK_BUCKETS: &[f64] = &[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0];

/// What becomes of a job that a worker has: its status then, as clients see it.
const ENDS: [StateKind; 4] = [StateKind::Completed, StateKind::Failed, StateKind::Cancelled, StateKind::Queued];

/// The metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    build: IntGaugeVec,
    failures: IntCounterVec,
    retries: IntCounterVec,
    lost: IntCounter,
    stages: HistogramVec,
    jobs: HistogramVec,
    queue_wait: Histogram,
    running: IntGauge,
    slots: IntGauge,
    disk_free: IntGauge,
    disk_least: IntGauge,
    downloaded: IntCounter,
    uploaded: IntCounter,
    deliveries: IntCounterVec,
    thumbnails: IntCounterVec,
    webhooks: IntCounterVec,
    webhook_duration: HistogramVec,
    version_skew: IntCounter,
    sandbox: IntGaugeVec,
}

impl Metrics {
    /// All metrics, at zero.
    ///
    /// # Panics
    /// When a name is not one that Prometheus takes, or comes twice.
    #[must_use]
    pub fn new(slots: usize, ytdlp_version: &str) -> Self {
        let all = Registry::new();
        let lost = counter("haul_jobs_lost_total", "Jobs given up because somebody else had them, or they were gone.");
        let skew = counter(
            "haul_spec_version_skew_total",
            "Jobs handed back because their orders are newer than this worker.",
        );
        let (retried, delivered) = (
            "Attempts at downloads that are followed by another.",
            "Results by the way of their bytes, and why it was not a quicker one.",
        );
        let (staged, had, waited) = (
            "Time in a stage that ended well.",
            "Time in which a worker had a job, by the status that the job had then.",
            "Time in line before an attempt.",
        );
        let (tier, least) = (
            "1 for the tier of the sandbox that programs run in.",
            "With fewer bytes free for scratch no download is taken.",
        );
        let metrics = Self {
            build: all.add(gauges("haul_build_info", "What runs here.", &["version", "ytdlp"])),
            failures: all.add(job_failures()),
            retries: all.add(counters("haul_job_retries_total", retried, &["code"])),
            lost: all.add(lost),
            stages: all.add(histograms("haul_stage_duration_seconds", staged, &["stage"], STAGE_BUCKETS)),
            jobs: all.add(histograms("haul_job_duration_seconds", had, &["status"], JOB_BUCKETS)),
            queue_wait: all.add(histogram("haul_queue_wait_seconds", waited, WAIT_BUCKETS)),
            running: all.add(gauge("haul_jobs_running", "Jobs under way.")),
            slots: all.add(gauge("haul_worker_slots", "Jobs that may be under way at once.")),
            disk_free: all.add(gauge("haul_worker_disk_free_bytes", "Bytes free for scratch.")),
            disk_least: all.add(gauge("haul_worker_disk_min_free_bytes", least)),
            downloaded: all.add(counter("haul_downloaded_bytes_total", "Bytes of media fetched.")),
            uploaded: all.add(counter("haul_uploaded_bytes_total", "Bytes of results stored.")),
            deliveries: all.add(counters("haul_deliveries_total", delivered, &["way", "reason"])),
            thumbnails: all.add(counters("haul_thumbnails_total", "Thumbnails that were to come.", &["fate"])),
            webhooks: all.add(counters("haul_webhooks_total", "Attempts to send a webhook.", &["result"])),
            webhook_duration: all.add(histograms(
                "haul_webhook_duration_seconds",
                "Time of an attempt to send a webhook.",
                &["result"],
                WEBHOOK_BUCKETS,
            )),
            version_skew: all.add(skew),
            sandbox: all.add(gauges("haul_worker_sandbox", tier, &["tier"])),
            registry: all,
        };
        metrics.runs_with(ytdlp_version);
        metrics.slots.set(signed(slots));
        metrics.begin();
        metrics
    }

    /// Makes the series of all labels that are known: one that is not there until it is counted hides its first count
    /// from `increase()`.
    fn begin(&self) {
        for kind in FailureKind::ALL {
            self.failures.with_label_values(&[kind.code()]);
            if kind.is_retryable() {
                self.retries.with_label_values(&[kind.code()]);
            }
        }
        for (way, reason) in Way::all().map(Way::words) {
            self.deliveries.with_label_values(&[way, reason]);
        }
        for stage in Stage::ALL {
            self.stages.with_label_values(&[stage.word()]);
        }
        for end in ENDS {
            self.jobs.with_label_values(&[end.word()]);
        }
        for fate in Fate::ALL {
            self.thumbnails.with_label_values(&[fate.word()]);
        }
        for fate in MessageFate::ALL {
            self.webhooks.with_label_values(&[fate.word()]);
            self.webhook_duration.with_label_values(&[fate.word()]);
        }
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
        self.registry.show(collectors);
    }

    /// Shows what is measured of calls to these, once.
    ///
    /// # Panics
    /// When it is shown already.
    pub fn show_calls(&self, redis: (&Server, &Server), storage: &Storage) {
        self.registry.show_calls(redis, storage);
    }

    /// With fewer bytes free for scratch no download is taken.
    pub fn needs_disk(&self, least_bytes: u64) {
        self.disk_least.set(signed(least_bytes));
    }

    /// Programs run in a sandbox of this tier.
    pub fn confines_by(&self, tier: Tier) {
        for one in Tier::ALL {
            self.sandbox.with_label_values(&[one.word()]).set(i64::from(one == tier));
        }
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

    /// A message was sent, or could not be; it took so long.
    pub fn message(&self, fate: MessageFate, took: Duration) {
        self.webhooks.with_label_values(&[fate.word()]).inc();
        self.webhook_duration.with_label_values(&[fate.word()]).observe(took.as_secs_f64());
    }

    /// A download was had for so long, and has this status now; `Queued`: it is tried again, by whomever.
    pub fn had(&self, status: StateKind, took: Duration) {
        self.jobs.with_label_values(&[status.word()]).observe(took.as_secs_f64());
    }

    /// A download was taken from the line in which it stood so long.
    pub fn waited(&self, waited: Duration) {
        self.queue_wait.observe(waited.as_secs_f64());
    }

    /// So many bytes are free for scratch.
    pub fn disk(&self, free_bytes: u64) {
        self.disk_free.set(signed(free_bytes));
    }

    /// A job was handed back because this worker is too old for it.
    pub fn met_newer_order(&self) {
        self.version_skew.inc();
    }

    /// All of them as text, with the downloads that are under way now, and with those that have failed since this process began
    /// because worker after worker was lost with them, if it was this one that found out. Redis: whether it has just answered,
    /// and its connections: in use, idle.
    #[must_use]
    pub fn text(&self, running: usize, failed_as_lost: u64, is_redis_up: bool, pool: (usize, usize)) -> Vec<u8> {
        self.registry.text(|| {
            self.running.set(signed(running));
            catch_up(&self.failures.with_label_values(&[FailureKind::WorkerLost.code()]), failed_as_lost);
            self.registry.tell_redis(is_redis_up, pool);
        })
    }
}
