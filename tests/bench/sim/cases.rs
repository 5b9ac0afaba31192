//! The small cases: few enough to be run for real, with the programs as they are shipped, and again on paper.
//!
//! What a case has (workers, orders, a kill) is said once, here, and used for both. The work is the same in all but one: files of
//! three sizes at a rate that each download is held to (`HAUL_RATE_LIMIT`), so that what a job takes is known beforehand.

use std::time::Duration;

use haul_tests::sim::{Draw, Faults, Follow, Limits, Order, Plan, Service, WorkerPlan, random};

/// Bytes per second of each download.
pub const RATE: u32 = 4_000_000;

/// Megabytes of the files: the first go up in one request, the last in parts.
pub const SIZES: [f64; 4] = [4.0, 8.0, 16.0, 48.0];

/// Their bytes.
pub type Bytes = [u64; SIZES.len()];

/// `HAUL_LEASE` of the cases: the shortest for which a busy machine is no lost worker.
pub const LEASE: Duration = Duration::from_secs(10);

/// A case.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// Workers.
    pub workers: usize,
    /// Slots of each.
    pub slots: u32,
    /// Jobs.
    pub jobs: usize,
    /// Orders per second; none: all at once.
    pub per_second: Option<f64>,
    /// Which of the sizes its files have, in turns.
    pub sizes: &'static [usize],
    /// Weights of the clients, who order in turns.
    pub weights: &'static [u32],
    /// When the last worker is killed.
    pub kill: Option<Duration>,
    /// Every client follows its jobs.
    pub is_followed: bool,
}

/// One worker of three slots, as many as in no case: it is at work beside calls that are measured by themselves.
pub const BESIDE: Case = Case { name: "one worker of 3 slots, at work", slots: 3, ..USUAL };

/// One job after the other, each followed.
pub const FOLLOWED: Case = Case { name: "followed alone", slots: 1, jobs: 2, sizes: &[2], ..USUAL };

const USUAL: Case = Case {
    name: "",
    workers: 1,
    slots: 2,
    jobs: 30,
    per_second: None,
    sizes: &[0, 1, 2],
    weights: &[1],
    kill: None,
    is_followed: false,
};

/// All of them.
#[must_use]
pub fn all() -> Vec<Case> {
    vec![
        Case { name: "burst, 1 worker x 2 slots", ..USUAL },
        Case { name: "burst, 1 x 2, each job followed", jobs: 20, is_followed: true, ..USUAL },
        Case { name: "stream, 2 x 4", workers: 2, slots: 4, jobs: 60, per_second: Some(4.0), ..USUAL },
        Case { name: "weights 3 and 1, 1 x 4", slots: 4, jobs: 40, weights: &[3, 1], ..USUAL },
        Case { name: "one of three killed, 3 x 2", workers: 3, jobs: 42, kill: Some(Duration::from_secs(8)), ..USUAL },
        Case { name: "burst, 3 x 4", workers: 3, slots: 4, jobs: 96, ..USUAL },
        Case { name: "large files, 1 x 4", slots: 4, jobs: 6, sizes: &[3], ..USUAL },
    ]
}

impl Case {
    /// Its orders: the same in reality and on paper. `bytes` are the real ones of the sizes.
    #[must_use]
    pub fn orders(&self, bytes: Bytes) -> Vec<Order> {
        let (mut random, mut at) = (random(self.jobs as u64), 0.0);
        let order = |number: usize| {
            at += self.per_second.map_or(0.0, |rate| Draw::Exponential(1.0 / rate).draw(&mut random));
            let client = number % self.weights.len();
            Order {
                at: Duration::from_secs_f64(at),
                client,
                weight: self.weights[client],
                region: 0,
                site: 0,
                // not in step with the clients
                bytes: bytes[self.sizes[(number / self.weights.len()) % self.sizes.len()]],
                is_low: false,
                is_coded: false,
                is_followed: self.is_followed,
                is_told: false,
            }
        };
        (0..self.jobs).map(order).collect()
    }

    /// Its fleet.
    #[must_use]
    pub fn plan(&self, service: &Service, follow: Follow, seed: u64) -> Plan {
        let worker = |egress| WorkerPlan { slots: self.slots, regions: vec![0], egress, coding: 1 };
        Plan {
            seed,
            workers: (0..self.workers).map(worker).collect(),
            apis: 1,
            limits: Limits { client_running: None, queue: None, site_running: None, lease: LEASE, ..Limits::default() },
            service: service.clone(),
            faults: Faults {
                kills: self.kill.map(|at| (at, self.workers - 1)).into_iter().collect(),
                ..Faults::default()
            },
            follow,
            round_trip: Duration::from_millis(1),
            horizon: None,
            warm_up: Duration::ZERO,
        }
    }
}
