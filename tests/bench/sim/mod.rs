//! The simulation: small cases first, each run for real and on paper, then what it says of fleets that nobody has here.
//!
//! What a call of Redis costs and what a job takes beside its transfer is measured once, before the cases, and used for all of
//! them alike. Two things are taken from the service itself: how often an API looks for who follows a job ([`Follow`]), and how
//! much more of its processor Redis needs for calls that come now and then than for one after the other
//! (`Measured::redis_cpu_factor`), with which the cases are not judged. What was measured last is kept in `measured.json`, so
//! that predictions need no measurement.
//!
//! [`Follow`]: haul_tests::sim::Follow
//! What it all means is in `docs/SCALING.md`, whose tables are what this prints.

mod calibrate;
mod cases;
mod fleets;
mod limits;
mod measure;
mod prices;
mod report;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use haul_tests::sim::{Call, Cost, Costs, Draw, Outcome, Service, simulate};
use serde::{Deserialize, Serialize};

use cases::Case;
use measure::{Figures, Job, Theatre};

/// Histories of a case on paper, whose figures are averaged: chance is not what a case is about.
const HISTORIES: u64 = 20;

/// How far a small case may lie from the measured one.
const NEAR: f64 = 0.2;

/// What was measured last.
const MEASURED: &str = include_str!("measured.json");

/// What is simulated.
#[derive(Debug, Clone, clap::Args)]
pub struct Plan {
    /// Only the small cases, measured and on paper
    #[arg(long, conflicts_with_all = ["predict", "prices"])]
    measure: bool,
    /// Only the predictions, from what was measured last
    #[arg(long, conflicts_with = "prices")]
    predict: bool,
    /// Only what one pays, from what was measured last
    #[arg(long)]
    prices: bool,
    /// Writes what was measured to this file, in the form of `measured.json`
    #[arg(long, value_name = "FILE")]
    keep: Option<std::path::PathBuf>,
    /// What chance follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    knobs: fleets::Knobs,
}

/// What was measured before anything is simulated.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    /// When, and on what.
    date: String,
    machine: String,
    /// What each call costs Redis.
    costs: BTreeMap<String, Cost>,
    /// Bytes per second of a download that is held to [`cases::RATE`].
    bytes_per_second: f64,
    /// Seconds that jobs took beside that.
    fixed_seconds: Vec<f64>,
    /// What the processor of Redis did in the case with the most round trips per second, to what the same calls cost one after the
    /// other: a call that comes alone finds cold caches, and wakes somebody up. Calls that come closer together cost less: it is
    /// on the safe side.
    redis_cpu_factor: f64,
}

/// Measures and simulates what is asked for.
///
/// # Errors
/// When a part does not start, or a case on paper lies too far from the measured one.
pub async fn run(plan: Plan) -> Result<()> {
    let is_all = !(plan.measure || plan.predict || plan.prices);
    let mut measured: Measured = serde_json::from_str(MEASURED).context("measured.json")?;
    let mut far = Vec::new();
    if is_all || plan.measure {
        let mut theatre = Theatre::open().await?;
        measured = calibrated(&mut theatre).await?;
        report::calibration(&measured);
        let mut busiest = 0.0;
        for case in cases::all() {
            let (real, jobs) = theatre.run(&case).await?;
            let paper = on_paper(&case, theatre.bytes(), &measured, plan.seed);
            far.extend(report::case(&case, &real, &paper, jobs.len()));
            if real.calls / real.makespan > busiest {
                busiest = real.calls / real.makespan;
                measured.redis_cpu_factor = real.cost.cpu_us / paper.cost.cpu_us;
            }
        }
        report::redis_cpu(busiest, measured.redis_cpu_factor);
        if let Some(path) = &plan.keep {
            keep(path, &measured)?;
        }
    }
    if is_all || plan.predict {
        fleets::run(&plan.knobs, &measured, plan.seed);
        limits::run(&plan.knobs, &measured, plan.seed);
    }
    if is_all || plan.prices {
        prices::run(&plan.knobs, &measured, plan.seed)?;
    }
    ensure!(far.is_empty(), "farther than {:.0} % from what was measured: {}", NEAR * 100.0, far.join("; "));
    Ok(())
}

/// What Redis spends on each call, and what jobs take one worker with three slots: as many as in no case.
async fn calibrated(theatre: &mut Theatre) -> Result<Measured> {
    let costs = calibrate::run().await?;
    let case = Case { name: "calibration", slots: 3, jobs: 36, ..cases::all().swap_remove(0) };
    let (_, jobs) = theatre.run(&case).await?;
    let bytes_per_second = slope(&jobs);
    let fixed = |job: &Job| (job.took - job.bytes as f64 / bytes_per_second).max(0.0);
    Ok(Measured {
        date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        machine: machine(),
        costs: Call::ALL.into_iter().map(|call| (call.word().to_owned(), costs.one(call))).collect(),
        bytes_per_second,
        fixed_seconds: jobs.iter().map(fixed).collect(),
        redis_cpu_factor: 1.0,
    })
}

/// Bytes per second, of the line of least squares through how long jobs of different sizes took.
fn slope(jobs: &[Job]) -> f64 {
    let count = jobs.len() as f64;
    let mean = |of: fn(&Job) -> f64| jobs.iter().map(of).sum::<f64>() / count;
    let (bytes, took) = (mean(|job| job.bytes as f64), mean(|job| job.took));
    let both: f64 = jobs.iter().map(|job| (job.bytes as f64 - bytes) * (job.took - took)).sum();
    let own: f64 = jobs.iter().map(|job| (job.bytes as f64 - bytes).powi(2)).sum();
    own / both
}

fn on_paper(case: &Case, bytes: [u64; 3], measured: &Measured, seed: u64) -> Figures {
    let (service, costs) = (measured.service(), measured.costs_in_a_row());
    let mut sum = Figures { wait_by_client: vec![0.0; case.weights.len()], ..Figures::default() };
    let part = 1.0 / HISTORIES as f64;
    for history in 0..HISTORIES {
        let plan = case.plan(&service, seed + history);
        let seen: Outcome = simulate(&plan, Box::new(case.orders(bytes).into_iter()));
        sum.makespan += seen.makespan.as_secs_f64() * part;
        sum.wait_mean += seen.waits.mean() * part;
        sum.wait_p95 += seen.waits.at(0.95) * part;
        for (client, waited) in seen.waited_by_client.iter().enumerate() {
            let jobs = case.orders(bytes).iter().filter(|order| order.client == client).count();
            sum.wait_by_client[client] += waited / jobs as f64 * part;
        }
        // looks at regions are left out of what is counted of the programs
        sum.calls += (seen.ledger.calls() - seen.ledger.count(Call::Lanes)) * part;
        sum.cost = sum.cost + seen.ledger.cost(&costs) * part;
        sum.puts += seen.puts as f64 * part;
    }
    sum
}

impl Measured {
    /// What calls cost that come as those of a fleet do.
    fn costs(&self) -> Costs {
        let costs = self.costs_in_a_row();
        Costs::of(|call| Cost { cpu_us: costs.one(call).cpu_us * self.redis_cpu_factor, ..costs.one(call) })
    }

    /// What calls cost that are made one after the other.
    fn costs_in_a_row(&self) -> Costs {
        Costs::of(|call| self.costs.get(call.word()).copied().unwrap_or_default())
    }

    fn service(&self) -> Service {
        Service {
            fixed_seconds: Draw::Observed(self.fixed_seconds.clone()),
            bytes_per_second: Draw::Fixed(self.bytes_per_second),
            coding_ratio: 0.0,
            // their files go up in one request each
            relayed: 0.0,
        }
    }
}

fn keep(path: &Path, measured: &Measured) -> Result<()> {
    std::fs::write(path, serde_json::to_string_pretty(measured)? + "\n").with_context(|| path.display().to_string())
}

/// What it ran on: processors, and how they call themselves.
fn machine() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("?", |(_, name)| name);
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{count} x {name}, load {}, {profile} build", load.split(' ').next().unwrap_or("?"))
}
