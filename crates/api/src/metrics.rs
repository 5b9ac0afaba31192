//! What Prometheus sees of an API: the only place where the names of its metrics are spelled, but for those that workers
//! have too (`shared::metrics`).
//!
//! Labels come from closed sets. What only the store knows (depth of queues, jobs by status) is read at the scrape, and is the
//! same on every API: it is never added up over them.

use std::time::Duration;

use axum::http::StatusCode;
use haul_shared::egress::Denied;
use haul_shared::ids::Region;
use haul_shared::job::{FailureKind, StateKind};
use haul_shared::media::Priority;
use haul_shared::metrics::{
    Registry, catch_up, counter, counters, gauge, gauges, histograms, job_failures, seconds, signed,
};
use haul_shared::redis::Server;
use haul_shared::rollout::Verdict;
use haul_shared::storage::Storage;
use haul_shared::store::{Deferral, Stats};
use prometheus::{GaugeVec, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::limits::Class;
use crate::metadata::Origin;

/// Seconds; from a status, below a millisecond also under load, to a long poll.
const REQUEST_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

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
    region_slots: IntGaugeVec,
    region_running: IntGaugeVec,
    jobs: IntCounterVec,
    failures: IntCounterVec,
    leases_lost: IntCounter,
    repairs: IntCounter,
    jobs_deferred: IntCounterVec,
    breakers_open: IntGauge,
    extractor_trials: IntGaugeVec,
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
        let all = Registry::new();
        let build = all.add(gauges("haul_build_info", "What runs here.", &["version", "ytdlp"]));
        // the API starts no program
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), "none"]).set(1);
        let requests = counters("haul_http_requests_total", "Requests answered.", &["method", "route", "status"]);
        let request_duration = histograms(
            "haul_http_request_duration_seconds",
            "Time to the head of the answer.",
            &["method", "route"],
            REQUEST_BUCKETS,
        );
        let reused = counter("haul_results_reused_total", "Downloads answered with a result that existed.");
        let oldest = seconds("haul_queue_oldest_seconds", "Age of the oldest waiting job.", &["region"]);
        let region_workers = gauges("haul_region_workers", "Live workers that serve a region.", &["region"]);
        let region_slots = gauges("haul_region_slots", "Slots of the live workers that serve a region.", &["region"]);
        let under_way = "Jobs under way, of whichever region, on the live workers that serve a region.";
        let lost = counter("haul_leases_lost_total", "Leases that ran out, over all processes.");
        let repairs =
            counter("haul_queue_repairs_total", "Lists and counters of the queue that were wrong and put right.");
        let deferred = "Jobs put off for the sake of their site, over all processes.";
        let breakers = "Sites that are left alone because job after job failed there.";
        let trials =
            "Verdicts on the yt-dlp that is on trial: one for each site where it was tried, one for all others.";
        let orphans = "Objects that no record led to, removed by all workers.";
        let metrics = Self {
            regions: regions.to_vec(),
            requests: all.add(requests),
            request_duration: all.add(request_duration),
            rate_limited: all.add(counters("haul_rate_limited_total", "Requests refused by a limit.", &["class"])),
            metadata_cache: all.add(counters(
                "haul_metadata_cache_total",
                "Metadata and plans asked for.",
                &["result"],
            )),
            results_reused: all.add(reused),
            egress_denied: all.add(counters("haul_egress_denied_total", "Addresses refused.", &["reason"])),
            queue_depth: all.add(gauges("haul_queue_depth", "Jobs waiting.", &["region", "priority"])),
            queue_oldest: all.add(oldest),
            region_workers: all.add(region_workers),
            region_slots: all.add(region_slots),
            region_running: all.add(gauges("haul_region_running", under_way, &["region"])),
            jobs: all.add(counters("haul_jobs_total", "Jobs ended, over all processes.", &["status"])),
            failures: all.add(job_failures()),
            leases_lost: all.add(lost),
            repairs: all.add(repairs),
            jobs_deferred: all.add(counters("haul_jobs_deferred_total", deferred, &["reason"])),
            breakers_open: all.add(gauge("haul_site_breakers_open", breakers)),
            extractor_trials: all.add(gauges("haul_extractor_trials", trials, &["verdict"])),
            storage: all.add(gauge("haul_storage_bytes", "Bytes of results in the store.")),
            orphans: all.add(counter("haul_orphans_removed_total", orphans)),
            registry: all,
        };
        metrics.begin();
        metrics
    }

    /// Shows what is measured of calls to these, once.
    ///
    /// # Panics
    /// When it is shown already.
    pub fn show_calls(&self, redis: (&Server, &Server), storage: &Storage) {
        self.registry.show_calls(redis, storage);
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
        for verdict in Verdict::ALL {
            self.extractor_trials.with_label_values(&[verdict.word()]);
        }
        self.failures.with_label_values(&[FailureKind::WorkerLost.code()]);
        self.empty_queues();
    }

    fn empty_queues(&self) {
        for region in &self.regions {
            for priority in [Priority::Normal, Priority::Low] {
                self.queue_depth.with_label_values(&[region.as_str(), priority_word(priority)]).set(0);
            }
            self.queue_oldest.with_label_values(&[region.as_str()]).set(0.0);
            for gauge in self.of_regions() {
                gauge.with_label_values(&[region.as_str()]).set(0);
            }
        }
    }

    /// What is told of the workers of a region: how many, their slots, and how many of these have a job.
    fn of_regions(&self) -> [&IntGaugeVec; 3] {
        [&self.region_workers, &self.region_slots, &self.region_running]
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

    /// Takes over what the store says.
    fn refresh(&self, stats: &Stats) {
        self.queue_depth.reset();
        self.queue_oldest.reset();
        for gauge in self.of_regions() {
            gauge.reset();
        }
        self.empty_queues();
        for queue in &stats.queues {
            let region = queue.region.as_str();
            self.queue_depth.with_label_values(&[region, priority_word(queue.priority)]).set(signed(queue.depth));
            let oldest = self.queue_oldest.with_label_values(&[region]);
            oldest.set(oldest.get().max(queue.oldest.unwrap_or_default().as_secs_f64()));
        }
        for worker in &stats.workers {
            let has = [1, signed(worker.slots), signed(worker.running)];
            for region in &worker.regions {
                for (gauge, more) in self.of_regions().into_iter().zip(has) {
                    gauge.with_label_values(&[region.as_str()]).add(more);
                }
            }
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
        for verdict in Verdict::ALL {
            let count = stats.trial.as_ref().map_or(0, |trial| trial.verdicts().filter(|it| *it == verdict).count());
            self.extractor_trials.with_label_values(&[verdict.word()]).set(signed(count));
        }
        self.storage.set(signed(stats.stored_bytes));
        catch_up(&self.orphans, stats.orphans.swept.removed);
    }

    /// All metrics as text, with what the store has just said; those of it stay what they were where it has said nothing, and then
    /// its Redis is told to be down. So many downloads have failed since this process began, because worker after worker was
    /// lost with them, and it was this one that found out: an API ends none otherwise. Connections to Redis: in use, idle.
    #[must_use]
    pub fn text(&self, stats: Option<&Stats>, failed_as_lost: u64, pool: (usize, usize)) -> Vec<u8> {
        self.registry.text(|| {
            if let Some(stats) = stats {
                self.refresh(stats);
            }
            catch_up(&self.failures.with_label_values(&[FailureKind::WorkerLost.code()]), failed_as_lost);
            self.registry.tell_redis(stats.is_some(), pool);
        })
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

#[cfg(test)]
mod tests {
    use haul_shared::store::WorkerInfo;
    use jiff::Timestamp;

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
        let _ = metrics.text(Some(&stats), 0, (1, 2));
        stats.jobs.insert(StateKind::Completed, 5);
        let text = String::from_utf8(metrics.text(Some(&stats), 0, (1, 2))).unwrap();
        assert!(text.contains("haul_jobs_total{status=\"completed\"} 7"), "{text}");
        assert!(text.contains("haul_leases_lost_total 3"), "{text}");
        assert!(text.contains("haul_queue_repairs_total 2"), "{text}");
        assert!(text.contains("haul_jobs_deferred_total{reason=\"site_full\"} 2"), "{text}");
        assert!(text.contains("haul_redis_pool_connections{state=\"idle\"} 2"), "{text}");
    }

    /// Fault: of two scrapes at once each emptied the sums of the other, or added to them.
    #[test]
    fn each_of_many_scrapes_at_once_counts_all_once() {
        let metrics = Metrics::new(&["eu".parse().unwrap()]);
        let worker = WorkerInfo {
            id: "1".to_owned(),
            regions: metrics.regions.clone(),
            slots: 4,
            running: 1,
            disk_full: false,
            version: "1".to_owned(),
            ytdlp: "1".to_owned(),
            sandbox: None,
            started: Timestamp::UNIX_EPOCH,
        };
        let stats = Stats { workers: vec![worker; 50], leases_lost: 3, ..Stats::default() };
        let told_once = [
            "haul_region_workers{region=\"eu\"} 50",
            "haul_region_slots{region=\"eu\"} 200",
            "haul_leases_lost_total 3",
        ];
        let scrape = || String::from_utf8(metrics.text(Some(&stats), 0, (1, 2))).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let text = scrape();
                        for line in told_once {
                            assert!(text.lines().any(|told| told == line), "{line}: {text}");
                        }
                    }
                });
            }
        });
    }
}
