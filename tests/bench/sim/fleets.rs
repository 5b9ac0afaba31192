//! Fleets that nobody has here: 1 to 1,000 workers in up to ten regions, each with a day of its own.

use std::time::Duration;

use haul_tests::sim::{
    Call, Demand, Draw, Faults, Follow, Limits, Outcome, Plan, Profile, Service, WorkerPlan, poisson, simulate,
};

use super::Measured;
use super::report::{number, row, table};
use super::shard;

/// Regions at most.
const REGIONS: usize = 10;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: f64 = 60.0;

/// Coding takes so much longer than fetching.
const CODING: f64 = 2.0;

/// What is assumed of the world and can be turned; none of it was measured here. What else is assumed stands in `profiles` and `day`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Knobs {
    /// `HAUL_SLOTS`
    #[arg(long, default_value_t = 2)]
    pub slots: u32,
    /// Share of the slots that is at work on average over a day
    #[arg(long, default_value_t = 0.5)]
    pub busy: f64,
    /// How far a region's day swings: its peak is this much above its mean
    #[arg(long, default_value_t = 0.6)]
    pub swing: f64,
    /// Seconds of a job that do not depend on its size, half of them less
    #[arg(long, default_value_t = 3.0)]
    pub fixed: f64,
    /// Megabytes per second that a site gives a download, half of them less
    #[arg(long, default_value_t = 6.0)]
    pub rate: f64,
    /// Share of attempts that fail on the way
    #[arg(long, default_value_t = 0.05)]
    pub transient: f64,
    /// Share of jobs that can't be had
    #[arg(long, default_value_t = 0.05)]
    pub permanent: f64,
    /// Hours that a worker lives on average before it is lost without a word
    #[arg(long, default_value_t = 168.0)]
    pub life: f64,
    /// Share of the jobs that are followed, change by change
    #[arg(long, default_value_t = 0.5)]
    pub followed: f64,
    /// Share of the results that go up as they come, in parts of 5 MiB: the relay, `streaming`. The others are files, in parts of 8 MiB
    #[arg(long, default_value_t = 0.25)]
    pub relayed: f64,
    /// Hours that are looked at, after one of warming up
    #[arg(long, default_value_t = 24)]
    pub hours: u32,
    /// How often an API looks for who follows: measured, not assumed
    #[arg(skip)]
    pub follow: Follow,
}

/// How a fleet is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Fleet {
    /// Workers.
    pub workers: usize,
    /// Regions.
    pub regions: usize,
    /// A worker without work in its region helps the next.
    pub helps: bool,
    /// Workers behind one address.
    pub behind_one: usize,
}

impl Fleet {
    /// So many workers, in as many regions as there can be.
    #[must_use]
    pub fn of(workers: usize) -> Self {
        Self { workers, regions: REGIONS.min(workers), helps: false, behind_one: 1 }
    }
}

/// What people download: what they watch (the usual assumption), videos of a platform drawn at random, and lectures.
#[must_use]
pub fn profiles(knobs: &Knobs) -> [Profile; 3] {
    let watched = Profile {
        name: "watched: median 4 min, mean 7 min",
        plays_seconds: Draw::LogNormal { median: 240.0, sigma: 1.1 },
        // 1080p as sites send it: 2.5 Mbit/s
        bytes_per_second: Draw::LogNormal { median: 312_500.0, sigma: 0.4 },
        coded: 0.1,
        followed: knobs.followed,
        told: 0.1,
        low: 0.1,
        sites: 6,
    };
    let plays =
        |name, median, sigma| Profile { name, plays_seconds: Draw::LogNormal { median, sigma }, ..watched.clone() };
    [
        watched.clone(),
        // the median is known, the mean of 615 s assumed: sigma^2 = 2 ln(615 / 64)
        plays("random sample: median 64 s, mean 10 min", 64.0, 2.127),
        plays("lectures: median 45 min", 2700.0, 0.6),
    ]
}

impl Knobs {
    /// With what is not assumed.
    #[must_use]
    pub fn knowing(self, measured: &Measured) -> Self {
        Self { follow: measured.follow(), ..self }
    }

    /// How long work takes.
    #[must_use]
    pub fn service(&self) -> Service {
        Service {
            fixed_seconds: Draw::LogNormal { median: self.fixed, sigma: 0.5 },
            bytes_per_second: Draw::LogNormal { median: self.rate * 1e6, sigma: 0.8 },
            coding_ratio: CODING,
            relayed: self.relayed,
        }
    }

    /// Seconds of a slot per job on average, coding included.
    #[must_use]
    pub fn mean_seconds(&self, profile: &Profile) -> f64 {
        self.seconds_of(profile.mean_bytes(), profile.coded)
    }

    /// Seconds of a slot for jobs of so many bytes on average, of which this share is coded.
    #[must_use]
    pub fn seconds_of(&self, bytes: f64, coded: f64) -> f64 {
        // the mean of what is divided by a log-normal rate
        let fetching = bytes / (self.rate * 1e6) * (0.8_f64 * 0.8 / 2.0).exp();
        self.service().fixed_seconds.mean() + fetching * (1.0 + coded * CODING)
    }

    /// A fleet's day, with so many orders per second in all.
    #[must_use]
    pub fn day(&self, fleet: Fleet, profile: &Profile, per_second: f64, seed: u64) -> Outcome {
        let worker = |number: usize| {
            let region = number % fleet.regions;
            let next = fleet.helps.then_some((region + 1) % fleet.regions).filter(|next| *next != region);
            WorkerPlan {
                slots: self.slots,
                regions: std::iter::once(region).chain(next).collect(),
                egress: number / fleet.behind_one,
                coding: 1,
            }
        };
        let warm_up = HOUR;
        let end = warm_up + HOUR * self.hours;
        let plan = Plan {
            seed,
            workers: (0..fleet.workers).map(worker).collect(),
            apis: 1 + (fleet.workers / 50) as u32,
            limits: Limits::default(),
            service: self.service(),
            faults: Faults {
                kills: Vec::new(),
                mean_life: Some(HOUR.mul_f64(self.life)),
                down: Duration::from_secs(60),
                transient: self.transient,
                permanent: self.permanent,
            },
            follow: self.follow,
            round_trip: Duration::from_millis(2),
            horizon: Some(end),
            warm_up,
        };
        let demand = Demand {
            per_second: vec![per_second / fleet.regions as f64; fleet.regions],
            swing: self.swing,
            clients: 1000,
        };
        simulate(&plan, poisson(demand, profile.clone(), end, seed))
    }

    /// Orders per second that keep so many workers as busy as they are to be.
    #[must_use]
    pub fn orders(&self, workers: usize, profile: &Profile) -> f64 {
        self.busy * workers as f64 * f64::from(self.slots) / self.mean_seconds(profile)
    }
}

/// Calls as a job of fifty workers has them.
#[must_use]
pub fn mix(knobs: &Knobs, seed: u64) -> Vec<(Call, f64)> {
    let [watched, ..] = profiles(knobs);
    shard::mix(&knobs.day(Fleet::of(50), &watched, knobs.orders(50, &watched), seed))
}

/// All tables; returns the days of fleets of different sizes.
pub fn run(knobs: &Knobs, measured: &Measured, seed: u64) -> Vec<(Fleet, Outcome)> {
    let [watched, random, lectures] = profiles(knobs);
    let mean = knobs.mean_seconds(&watched);
    eprintln!("\nPredictions: {knobs:?}; {}; a job keeps a slot for {mean:.1} s on average", watched.name);
    waits_table("A day of fleets");
    let fleets: Vec<(Fleet, Outcome)> = [1, 10, 50, 200, 1000]
        .map(Fleet::of)
        .map(|fleet| (fleet, knobs.day(fleet, &watched, knobs.orders(fleet.workers, &watched), seed)))
        .into();
    for (fleet, seen) in &fleets {
        waits(&format!("{} in {}", fleet.workers, fleet.regions), knobs, *fleet, seen);
    }
    asks(&fleets, knobs, measured);

    let fifty = Fleet::of(50);
    let orders = knobs.orders(50, &watched);
    waits_table("Fifty workers, laid out otherwise");
    let lays = [
        ("ten regions, each on its own", fifty),
        ("each helps the next", Fleet { helps: true, ..fifty }),
        ("one region", Fleet { regions: 1, ..fifty }),
        ("one region, all behind one address", Fleet { regions: 1, behind_one: 50, ..fifty }),
    ];
    for (name, fleet) in lays {
        waits(name, knobs, fleet, &knobs.day(fleet, &watched, orders, seed));
    }
    waits_table("Fifty workers in ten regions, busier");
    for busy in [0.4, 0.5, 0.55, 0.6, 0.65] {
        let knobs = Knobs { busy, ..*knobs };
        let name = format!("{:.0} % on average, {:.0} % at the peak", busy * 100.0, busy * (1.0 + knobs.swing) * 100.0);
        waits(&name, &knobs, fifty, &knobs.day(fifty, &watched, knobs.orders(50, &watched), seed));
    }
    waits_table("Fifty workers in ten regions, other media, as busy");
    for profile in [watched, random, lectures] {
        waits(profile.name, knobs, fifty, &knobs.day(fifty, &profile, knobs.orders(50, &profile), seed));
    }
    fleets
}

fn waits_table(title: &str) {
    let columns = [
        "",
        "Downloads a day",
        "At work",
        "Wait p50, s",
        "p95",
        "p99",
        "Attempts per job",
        "Lost with workers",
        "Put off for a site",
        "Refused",
    ];
    table(title, &columns);
}

fn waits(name: &str, knobs: &Knobs, fleet: Fleet, seen: &Outcome) {
    let slots = fleet.workers as f64 * f64::from(knobs.slots);
    let days = seen.looked_at.as_secs_f64() / 86_400.0;
    let jobs = seen.attempts as f64 / seen.accepted.max(1) as f64;
    row(&[
        name.to_owned(),
        number(seen.completed as f64 / days),
        format!("{:.0} %", seen.mean_at_work / slots * 100.0),
        number(seen.waits.at(0.5)),
        number(seen.waits.at(0.95)),
        number(seen.waits.at(0.99)),
        format!("{jobs:.2}"),
        seen.lost.to_string(),
        seen.put_off.to_string(),
        seen.refused.to_string(),
    ]);
}

/// What the fleets ask of Redis and of the bucket.
fn asks(fleets: &[(Fleet, Outcome)], knobs: &Knobs, measured: &Measured) {
    let columns = [
        "Workers",
        "Round trips/s",
        "Commands/s",
        "Peak minute",
        "KB/s in",
        "KB/s out",
        "One core of Redis",
        "Peak minute",
        "Bucket writes/s",
        "GB stored a day",
        "GB fetched a day",
    ];
    table("What they ask of Redis and of the bucket", &columns);
    for (fleet, seen) in fleets {
        let seconds = seen.looked_at.as_secs_f64();
        // the first hour, in which the fleet was filling up, is left out
        let minutes = seen.ledger.minutes(&measured.costs()).split_off(60);
        let minutes = &minutes[..minutes.len().min(knobs.hours as usize * 60)];
        let mean = |of: fn(&haul_tests::sim::Cost) -> f64| minutes.iter().map(of).sum::<f64>() / seconds;
        let peak = |of: fn(&haul_tests::sim::Cost) -> f64| minutes.iter().map(of).fold(0.0, f64::max) / MINUTE;
        let calls = seen.ledger.calls() / (seconds + HOUR.as_secs_f64());
        let days = seconds / 86_400.0;
        row(&[
            fleet.workers.to_string(),
            number(calls),
            number(mean(|cost| cost.commands)),
            number(peak(|cost| cost.commands)),
            number(mean(|cost| cost.in_bytes) / 1e3),
            number(mean(|cost| cost.out_bytes) / 1e3),
            format!("{:.2} %", mean(|cost| cost.cpu_us) / 1e4),
            format!("{:.2} %", peak(|cost| cost.cpu_us) / 1e4),
            number(seen.puts / seconds),
            number(seen.stored_bytes / 1e9 / days),
            number(seen.fetched_bytes / 1e9 / days),
        ]);
    }
    let (_, largest) = &fleets[fleets.len() - 1];
    table("Of whom, with the most workers", &["Call", "Per second", "Share of Redis's processor"]);
    let (costs, calls) = (measured.costs(), largest.ledger.counts());
    let seconds = largest.looked_at.as_secs_f64() + HOUR.as_secs_f64();
    let busy = costs.busy(&calls.map(|count| count / seconds));
    let share = |us_per_second: f64| format!("{:.1} %", us_per_second / 1e6 / busy * 100.0);
    for call in Call::ALL {
        let per_second = calls[call as usize] / seconds;
        let us = costs.one_us(call, busy) * per_second;
        row(&[format!("`{}`", call.word()), number(per_second), share(us)]);
    }
    row(&["what it does by itself".to_owned(), String::new(), share(costs.idle_us())]);
}
