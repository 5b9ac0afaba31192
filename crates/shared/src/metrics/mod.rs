//! What is measured by the API and by workers alike, under the same names, and how it is shown to Prometheus.
//!
//! Decides the registry of one process, what it tells of the process itself ([`Registry::new`]), and what is measured of
//! calls to Redis ([`RedisCalls`]) and to the store of results ([`StorageCalls`]). Labels come from closed sets, never from
//! input.
//!
//! Not here: what only one of them measures (`api::metrics`, `worker::metrics`).

mod calls;
mod process;

use std::sync::{Mutex, PoisonError};

pub(crate) use calls::{Operation, Reason};
pub use calls::{RedisCalls, Role, StorageCalls};

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder as _, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, TextEncoder,
};

use crate::redis::Server;
use crate::storage::Storage;
use process::Runtime;

/// The type of [`Registry::text`]: Prometheus' text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const VALID: &str = "names are valid and come once";

/// The metrics of one process. Never the global one: two processes in one test would add up.
#[derive(Debug)]
pub struct Registry {
    all: prometheus::Registry,
    redis_up: IntGauge,
    pool: IntGaugeVec,
    pool_size: IntGauge,
    scrape: Mutex<()>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// What every process of ours tells: of itself, of its runtime, of its connections to Redis.
    ///
    /// # Panics
    /// Never: the names are valid and come once.
    #[must_use]
    pub fn new() -> Self {
        let registry = Self {
            all: prometheus::Registry::new(),
            redis_up: gauge(
                "haul_redis_up",
                "1 when the Redis of the queue answered at this scrape and takes writes, else 0.",
            ),
            pool: gauges("haul_redis_pool_connections", "Connections to the Redis of the queue.", &["state"]),
            pool_size: gauge("haul_redis_pool_max_connections", "Connections that the pool may have."),
            scrape: Mutex::new(()),
        };
        let Self { redis_up, pool, pool_size, .. } = &registry;
        let own: [Box<dyn Collector>; 5] = [
            Box::new(ProcessCollector::for_self()),
            Box::new(Runtime::new()),
            Box::new(redis_up.clone()),
            Box::new(pool.clone()),
            Box::new(pool_size.clone()),
        ];
        registry.show(own);
        registry.tell_redis(false, (0, 0));
        registry
    }

    /// Shows a metric, and returns it.
    ///
    /// # Panics
    /// When one of its name is shown already.
    #[must_use]
    pub fn add<M: Collector + Clone + 'static>(&self, metric: M) -> M {
        self.all.register(Box::new(metric.clone())).expect(VALID);
        metric
    }

    /// Shows what a part of the process counts for itself.
    ///
    /// # Panics
    /// When it is shown already.
    pub fn show(&self, collectors: impl IntoIterator<Item = Box<dyn Collector>>) {
        for collector in collectors {
            self.all.register(collector).expect(VALID);
        }
    }

    /// Shows what is measured of calls to these, once.
    ///
    /// # Panics
    /// When it is shown already.
    pub fn show_calls(&self, (queue, cache): (&Server, &Server), storage: &Storage) {
        self.pool_size.set(signed(queue.pool_size()));
        self.show(queue.calls().collectors());
        if !cache.is(queue) {
            self.show(cache.calls().collectors());
        }
        self.show(storage.calls().collectors());
    }

    /// Whether the Redis of the queue has just answered and takes writes, and its connections: in use, idle.
    pub fn tell_redis(&self, is_up: bool, (used, idle): (usize, usize)) {
        self.redis_up.set(i64::from(is_up));
        self.pool.with_label_values(&["used"]).set(signed(used));
        self.pool.with_label_values(&["idle"]).set(signed(idle));
    }

    /// All of them, as [`CONTENT_TYPE`], after `take_over` has set those that are looked up for a scrape. One scrape after the
    /// other: of two at once each would add to the sums of the other, or tell them half made.
    ///
    /// # Panics
    /// Never: memory takes all bytes.
    #[must_use]
    pub fn text(&self, take_over: impl FnOnce()) -> Vec<u8> {
        let _one_at_a_time = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        take_over();
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.all.gather(), &mut text).expect("memory takes all bytes");
        text
    }
}

/// A count as a gauge has it.
#[must_use]
pub fn signed(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// Takes over a count that is kept elsewhere and may begin anew: what is told never falls. Only within [`Registry::text`]: two at
/// once would both add what is missing.
pub fn catch_up(counter: &IntCounter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}

/// Downloads that have failed, by code, without any series yet. A worker counts what it gives up, and whoever finds that a
/// download has lost worker after worker counts that ([`JobStore::failed_as_lost`](crate::store::JobStore::failed_as_lost)).
#[must_use]
pub fn job_failures() -> IntCounterVec {
    counters("haul_job_failures_total", "Downloads that have failed.", &["code"])
}

/// A counter of one series. This, and what follows, panics when the name is none that Prometheus takes.
#[must_use]
pub fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect(VALID)
}

/// Counters by these labels.
#[must_use]
pub fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), labels).expect(VALID)
}

/// A gauge of one series, in whole numbers.
#[must_use]
pub fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect(VALID)
}

/// Gauges by these labels, in whole numbers.
#[must_use]
pub fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    IntGaugeVec::new(Opts::new(name, help), labels).expect(VALID)
}

/// Gauges of seconds by these labels.
#[must_use]
pub fn seconds(name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    GaugeVec::new(Opts::new(name, help), labels).expect(VALID)
}

/// A histogram of one series, with these upper bounds.
#[must_use]
pub fn histogram(name: &str, help: &str, buckets: &[f64]) -> Histogram {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())).expect(VALID)
}

/// Histograms by these labels, with these upper bounds.
#[must_use]
pub fn histograms(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels).expect(VALID)
}
