//! What Prometheus sees of an API: the only place where the names of its metrics are spelled.
//!
//! One registry per process, never the global one, so that two APIs in one test do not add up. Labels come from
//! closed sets. What only the store knows (depth of queues, jobs by status) is read at the scrape.

use std::time::Duration;

use axum::http::StatusCode;
use haul_shared::egress::Denied;
use haul_shared::ids::Region;
use haul_shared::job::StateKind;
use haul_shared::media::Priority;
use haul_shared::store::{Deferral, Stats};
use prometheus::{
    Encoder as _, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::limits::Class;
use crate::metadata::Origin;

/// Seconds; from a cache hit to a long poll.
const REQUEST_BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    regions: Vec<Region>,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    rate_limited: IntCounterVec,
    metadata_cache: IntCounterVec,
    results_reused: IntCounter,
    egress_denied: IntCounterVec,
    queue_depth: IntGaugeVec,
    queue_oldest: GaugeVec,
    region_workers: IntGaugeVec,
    jobs: IntCounterVec,
    leases_lost: IntCounter,
    repairs: IntCounter,
    jobs_deferred: IntCounterVec,
    breakers_open: IntGauge,
    pool: IntGaugeVec,
    storage: IntGauge,
    orphans: IntCounter,
}

impl Metrics {
    /// All metrics, at zero. Of the regions that jobs may go to, a queue is shown also when it is empty.
    ///
    /// # Panics
    /// When a name is not one that Prometheus takes, or comes twice.
    #[must_use]
    pub fn new(regions: &[Region]) -> Self {
        let registry = Registry::new();
        let make = Maker(&registry);
        let build = make.gauges("haul_build_info", "What runs here.", &["version", "ytdlp"]);
        // the API starts no program
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), "none"]).set(1);
        let request_duration = HistogramVec::new(
            HistogramOpts::new("haul_http_request_duration_seconds", "Time to the head of the answer.")
                .buckets(REQUEST_BUCKETS.to_vec()),
            &["method", "route"],
        );
        let request_duration = make.registered(request_duration);
        let metrics = Self {
            regions: regions.to_vec(),
            requests: make.counters("haul_http_requests_total", "Requests answered.", &["method", "route", "status"]),
            request_duration,
            rate_limited: make.counters("haul_rate_limited_total", "Requests refused by a limit.", &["class"]),
            metadata_cache: make.counters("haul_metadata_cache_total", "Metadata and plans asked for.", &["result"]),
            results_reused: make.registered(IntCounter::new(
                "haul_results_reused_total",
                "Downloads answered with a result that existed.",
            )),
            egress_denied: make.counters("haul_egress_denied_total", "Addresses refused.", &["reason"]),
            queue_depth: make.gauges("haul_queue_depth", "Jobs waiting.", &["region", "priority"]),
            queue_oldest: make.registered(GaugeVec::new(
                Opts::new("haul_queue_oldest_seconds", "Age of the oldest waiting job."),
                &["region"],
            )),
            region_workers: make.gauges("haul_region_workers", "Live workers that serve a region.", &["region"]),
            jobs: make.counters("haul_jobs_total", "Jobs ended, over all processes.", &["status"]),
            leases_lost: make
                .registered(IntCounter::new("haul_leases_lost_total", "Leases that ran out, over all processes.")),
            repairs: make.registered(IntCounter::new(
                "haul_queue_repairs_total",
                "Lists and counters of the queue that were wrong and put right.",
            )),
            jobs_deferred: make.counters(
                "haul_jobs_deferred_total",
                "Jobs put off for the sake of their site, over all processes.",
                &["reason"],
            ),
            breakers_open: make.registered(IntGauge::new(
                "haul_site_breakers_open",
                "Sites that are left alone because job after job failed there.",
            )),
            pool: make.gauges("haul_redis_pool_connections", "Connections to Redis.", &["state"]),
            storage: make.registered(IntGauge::new("haul_storage_bytes", "Bytes of results in the store.")),
            orphans: make.registered(IntCounter::new(
                "haul_orphans_removed_total",
                "Objects that no record led to, removed by all workers.",
            )),
            registry,
        };
        metrics.begin();
        metrics
    }

    /// Makes the series of all labels that are known: one that is not there until it is counted hides its first count
    /// from `increase()`.
    fn begin(&self) {
        for class in Class::ALL {
            self.rate_limited.with_label_values(&[class.word()]);
        }
        for origin in Origin::ALL {
            self.metadata_cache.with_label_values(&[origin.word()]);
        }
        for denied in Denied::ALL {
            self.egress_denied.with_label_values(&[denied.word()]);
        }
        for state in StateKind::ALL.into_iter().filter(|state| state.is_end()) {
            self.jobs.with_label_values(&[state.word()]);
        }
        for reason in Deferral::ALL {
            self.jobs_deferred.with_label_values(&[reason.word()]);
        }
        self.empty_queues();
        self.refresh_pool((0, 0));
    }

    fn empty_queues(&self) {
        for region in &self.regions {
            for priority in [Priority::Normal, Priority::Low] {
                self.queue_depth.with_label_values(&[region.as_str(), priority_word(priority)]).set(0);
            }
            self.queue_oldest.with_label_values(&[region.as_str()]).set(0.0);
            self.region_workers.with_label_values(&[region.as_str()]).set(0);
        }
    }

    /// A request was answered.
    pub fn saw_request(&self, method: &str, route: &str, status: StatusCode, took: Duration) {
        self.requests.with_label_values(&[method, route, status.as_str()]).inc();
        self.request_duration.with_label_values(&[method, route]).observe(took.as_secs_f64());
    }

    /// A request was refused by the limit of this class.
    pub fn saw_rate_limit(&self, class: Class) {
        self.rate_limited.with_label_values(&[class.word()]).inc();
    }

    /// Metadata was asked for, and came from there.
    pub fn saw_metadata(&self, origin: Origin) {
        self.metadata_cache.with_label_values(&[origin.word()]).inc();
    }

    /// A finished result was handed out again.
    pub fn saw_reuse(&self) {
        self.results_reused.inc();
    }

    /// An address was refused when it was asked for, for this reason.
    pub fn saw_egress_denied(&self, reason: Denied) {
        self.egress_denied.with_label_values(&[reason.word()]).inc();
    }

    /// Hits, and all answers, of the metadata cache of this process.
    #[must_use]
    pub fn metadata_answers(&self) -> (u64, u64) {
        let of = |origin: Origin| self.metadata_cache.with_label_values(&[origin.word()]).get();
        let hits = of(Origin::Hit) + of(Origin::Stale);
        (hits, hits + of(Origin::Miss))
    }

    /// Takes over what the store says. Pool: connections in use, and idle.
    pub fn refresh(&self, stats: &Stats, pool: (usize, usize)) {
        self.queue_depth.reset();
        self.queue_oldest.reset();
        self.region_workers.reset();
        self.empty_queues();
        for queue in &stats.queues {
            let region = queue.region.as_str();
            self.queue_depth.with_label_values(&[region, priority_word(queue.priority)]).set(signed(queue.depth));
            let oldest = self.queue_oldest.with_label_values(&[region]);
            oldest.set(oldest.get().max(queue.oldest.unwrap_or_default().as_secs_f64()));
        }
        for region in stats.workers.iter().flat_map(|worker| &worker.regions) {
            self.region_workers.with_label_values(&[region.as_str()]).inc();
        }
        for state in StateKind::ALL.into_iter().filter(|state| state.is_end()) {
            let ended = stats.jobs.get(&state).copied().unwrap_or_default();
            catch_up(&self.jobs.with_label_values(&[state.word()]), ended);
        }
        catch_up(&self.leases_lost, stats.leases_lost);
        catch_up(&self.repairs, stats.repairs);
        for reason in Deferral::ALL {
            let deferred = stats.deferred.get(&reason).copied().unwrap_or_default();
            catch_up(&self.jobs_deferred.with_label_values(&[reason.word()]), deferred);
        }
        self.breakers_open.set(signed(stats.breakers.len() as u64));
        self.storage.set(signed(stats.stored_bytes));
        catch_up(&self.orphans, stats.orphans.swept.removed);
        self.refresh_pool(pool);
    }

    fn refresh_pool(&self, (used, idle): (usize, usize)) {
        self.pool.with_label_values(&["used"]).set(signed(used as u64));
        self.pool.with_label_values(&["idle"]).set(signed(idle as u64));
    }

    /// All metrics in Prometheus' text format, and its content type.
    #[must_use]
    pub fn text(&self) -> (&'static str, Vec<u8>) {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("memory takes all bytes");
        ("text/plain; version=0.0.4; charset=utf-8", text)
    }
}

/// The word of a priority, as requests have it.
#[must_use]
pub fn priority_word(priority: Priority) -> &'static str {
    match priority {
        Priority::Normal => "normal",
        Priority::Low => "low",
    }
}

/// Takes over a count of the store, which may have been emptied: what is told never falls.
fn catch_up(counter: &IntCounter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Makes metrics and registers them in the same step.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.registered(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.registered(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn registered<M: prometheus::core::Collector + Clone + 'static>(&self, metric: prometheus::Result<M>) -> M {
        let metric = metric.expect("a good name");
        self.0.register(Box::new(metric.clone())).expect("a name that comes once");
        metric
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_the_store_never_fall() {
        let metrics = Metrics::new(&["eu".parse().unwrap()]);
        let mut stats = Stats {
            jobs: [(StateKind::Completed, 7)].into(),
            leases_lost: 3,
            repairs: 2,
            deferred: [(Deferral::SiteFull, 2)].into(),
            ..Stats::default()
        };
        metrics.refresh(&stats, (0, 0));
        stats.jobs.insert(StateKind::Completed, 5);
        metrics.refresh(&stats, (1, 2));
        let text = String::from_utf8(metrics.text().1).unwrap();
        assert!(text.contains("haul_jobs_total{status=\"completed\"} 7"), "{text}");
        assert!(text.contains("haul_leases_lost_total 3"), "{text}");
        assert!(text.contains("haul_queue_repairs_total 2"), "{text}");
        assert!(text.contains("haul_jobs_deferred_total{reason=\"site_full\"} 2"), "{text}");
        assert!(text.contains("haul_redis_pool_connections{state=\"idle\"} 2"), "{text}");
    }
}
