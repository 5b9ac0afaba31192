//! What is simulated: a fleet, its limits, the work and the faults. The usual values are those of the programs.

use std::time::Duration;

use haul_shared::job::RetryPolicy;

use super::draw::Draw;

/// A fleet and what happens to it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What chance follows from.
    pub seed: u64,
    /// The workers.
    pub workers: Vec<WorkerPlan>,
    /// API processes, each with its ticks.
    pub apis: u32,
    /// What clients and sites may.
    pub limits: Limits,
    /// How long work takes.
    pub service: Service,
    /// What goes wrong.
    pub faults: Faults,
    /// How clients follow their jobs.
    pub follow: Follow,
    /// From a call of Redis to its answer.
    pub round_trip: Duration,
    /// When to stop looking, if there is an end; without, when all have ended.
    pub horizon: Option<Duration>,
    /// What happens before is not counted: the fleet begins empty, as no fleet is.
    pub warm_up: Duration,
}

/// A worker.
#[derive(Debug, Clone)]
pub struct WorkerPlan {
    /// `HAUL_SLOTS`.
    pub slots: u32,
    /// `HAUL_REGION` of a worker, by number, in order of preference.
    pub regions: Vec<usize>,
    /// `HAUL_EGRESS_NAME`, by number.
    pub egress: usize,
    /// Media that it codes at once: half of its processors.
    pub coding: u32,
}

/// Limits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `HAUL_CLIENT_RUNNING_LIMIT`.
    pub client_running: Option<u32>,
    /// `HAUL_QUEUE_LIMIT`.
    pub queue: Option<u64>,
    /// `HAUL_SITE_RUNNING_LIMIT`.
    pub site_running: Option<u32>,
    /// `HAUL_MAX_ATTEMPTS`.
    pub attempts: u32,
    /// Lost leases after which a job has failed.
    pub poison: u32,
    /// `HAUL_LEASE`.
    pub lease: Duration,
    /// Between attempts.
    pub retry: RetryPolicy,
}

/// How long work takes.
#[derive(Debug, Clone)]
pub struct Service {
    /// Seconds of an attempt that do not depend on size: extraction, verification, the last call of the store.
    pub fixed_seconds: Draw,
    /// Bytes per second at which a medium comes, and goes on into the bucket.
    pub bytes_per_second: Draw,
    /// Seconds of coding per second of fetching, of jobs that are coded.
    pub coding_ratio: f64,
    /// Share of the results that go up as they come (the relay, `streaming`), not from a file.
    pub relayed: f64,
}

/// What goes wrong.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Workers that are killed, by number, and never come back.
    pub kills: Vec<(Duration, usize)>,
    /// How long a worker lives on average before it dies without a word; it is there again after `down`.
    pub mean_life: Option<Duration>,
    /// How long it is gone.
    pub down: Duration,
    /// Share of attempts that fail on the way and are tried again.
    pub transient: f64,
    /// Share of jobs that can't be had: they fail with their extraction.
    pub permanent: f64,
}

/// How clients follow their jobs: each change of one is looked at by so many calls.
#[derive(Debug, Clone, Copy)]
pub struct Follow {
    /// Looks at the record.
    pub looks: f64,
    /// Questions whether it has changed.
    pub peeks: f64,
    /// Between two of them while a job stands in line.
    pub in_line: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            client_running: Some(4),
            queue: Some(10_000),
            site_running: Some(32),
            attempts: 4,
            poison: 3,
            lease: Duration::from_secs(30),
            retry: RetryPolicy::default(),
        }
    }
}

impl Default for Follow {
    // a long poll that is made again at each change: read from MONITOR, of the API that the followed case is run with
    fn default() -> Self {
        Self { looks: 1.0, peeks: 4.0, in_line: Duration::from_secs(5) }
    }
}
