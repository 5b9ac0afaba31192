//! The simulation: small cases first, each run for real and on paper, then what it says of fleets that nobody has here.
//!
//! What a call of Redis costs, alone and in a crowd, how often an API looks for who follows a job, and what a job takes beside
//! its transfer is measured once, before the cases, and used for all of them alike. How busy the same calls make Redis when
//! they are mixed and many is measured as well, and held against what is said on paper of it. What was measured last is kept
//! in `measured.json`, so that predictions need no measurement.
//!
//! What it all means is in `docs/SCALING.md`, whose tables are what this prints, in their order.

mod calibrate;
mod cases;
mod desk;
mod fleets;
mod follow;
mod limits;
mod measure;
mod prices;
mod report;
mod shard;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use haul_tests::sim::{Call, Cost, Costs, Draw, Follow, Outcome, Service, simulate};
use serde::{Deserialize, Serialize};

use calibrate::Calibration;
use cases::{Bytes, Case};
use measure::{Aside, Figures, Job, Theatre};
use report::Verdict;

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
    /// What each call costs Redis that comes alone.
    costs: BTreeMap<String, Cost>,
    /// Microseconds of its processor that each costs in a crowd.
    crowded_us: BTreeMap<String, f64>,
    /// Microseconds that Redis takes in a second in which it is asked nothing.
    idle_us: f64,
    /// How far between the two calls lie, at shares of a core that grow.
    warmth: Vec<(f64, f64)>,
    /// Looks and questions of an API, for each change of a job that is followed.
    looks: f64,
    peeks: f64,
    /// Bytes per second of a download that is held to [`cases::RATE`].
    bytes_per_second: f64,
    /// Seconds that jobs took beside that.
    fixed_seconds: Vec<f64>,
}

/// Measures and simulates what is asked for.
///
/// # Errors
/// When a part does not start, or a case on paper lies too far from the measured one.
pub async fn run(plan: Plan) -> Result<()> {
    let is_all = !(plan.measure || plan.predict || plan.prices);
    let mut measured: Measured = serde_json::from_str(MEASURED).context("measured.json")?;
    let mut verdict = Verdict::default();
    if is_all || plan.measure {
        let mut theatre = Theatre::open().await?;
        let (calibration, aside);
        (calibration, measured, aside) = calibrated(&mut theatre).await?;
        report::calibration(&measured);
        let mut levels = calibration.levels(&fleets::mix(&plan.knobs.knowing(&measured), plan.seed)).await?;
        measured.warmth = shard::warmth(&levels, &measured.costs());
        levels.push(shard::drained().await?);
        for case in cases::all() {
            let (real, jobs) = theatre.run(&case, aside).await?;
            let paper = on_paper(&case, theatre.bytes(), &measured, plan.seed);
            verdict.case(&case, &real, &paper, jobs.len());
        }
        verdict.levels(&levels, &measured.costs());
        verdict.tell();
        if let Some(path) = &plan.keep {
            keep(path, &measured)?;
        }
    }
    if is_all || plan.predict {
        let knobs = plan.knobs.knowing(&measured);
        let fleets = fleets::run(&knobs, &measured, plan.seed);
        limits::run(&knobs, &measured, &fleets);
    }
    if is_all || plan.prices {
        prices::run(&plan.knobs.knowing(&measured), &measured, plan.seed)?;
    }
    ensure!(
        verdict.far.is_empty(),
        "farther than {:.0} % from what was measured: {}",
        NEAR * 100.0,
        verdict.far.join("; ")
    );
    Ok(())
}

/// What Redis spends on each call while one worker with three slots, as many as in no case, is at work beside it; what its jobs
/// take; and how often an API looks.
async fn calibrated(theatre: &mut Theatre) -> Result<(Calibration, Measured, Aside)> {
    let usual = cases::all().swap_remove(0);
    let followed = Case { name: "followed alone", slots: 1, jobs: 2, sizes: &[2], ..usual.clone() };
    let (calls, jobs) = theatre.follow(&followed).await?;
    let follow = calls.per_change(&jobs);
    let mut calibration = Calibration::open().await?;
    let case = Case { name: "calibration", slots: 3, jobs: 180, ..usual };
    let set = theatre.set(&case).await?;
    let (found, (_, jobs)) = tokio::try_join!(calibration.run(), theatre.play(&case, set, Aside::default()))?;
    let bytes_per_second = slope(&jobs);
    let fixed = |job: &Job| (job.took - job.bytes as f64 / bytes_per_second).max(0.0);
    let word = |call: Call| call.word().to_owned();
    let measured = Measured {
        date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        machine: machine(),
        costs: Call::ALL.into_iter().map(|call| (word(call), found.alone[call as usize])).collect(),
        crowded_us: Call::ALL.into_iter().map(|call| (word(call), found.crowded_us[call as usize])).collect(),
        idle_us: found.idle_us,
        warmth: Vec::new(),
        looks: follow.looks,
        peeks: follow.peeks,
        bytes_per_second,
        fixed_seconds: jobs.iter().map(fixed).collect(),
    };
    Ok((calibration, measured, Aside { idle_us: found.idle_us, glance_us: found.glance_us }))
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

fn on_paper(case: &Case, bytes: Bytes, measured: &Measured, seed: u64) -> Figures {
    let (service, costs) = (measured.service(), measured.costs());
    let mut sum = Figures { wait_by_client: vec![0.0; case.weights.len()], ..Figures::default() };
    let part = 1.0 / HISTORIES as f64;
    for history in 0..HISTORIES {
        let plan = case.plan(&service, measured.follow(), seed + history);
        let seen: Outcome = simulate(&plan, Box::new(case.orders(bytes).into_iter()));
        sum.makespan += seen.makespan.as_secs_f64() * part;
        sum.wait_mean += seen.waits.mean() * part;
        sum.wait_p95 += seen.waits.at(0.95) * part;
        for (client, waited) in seen.waited_by_client.iter().enumerate() {
            let jobs = case.orders(bytes).iter().filter(|order| order.client == client).count();
            sum.wait_by_client[client] += waited / jobs as f64 * part;
        }
        // of the programs looks at regions are not counted, and what a look asks inside its script is
        sum.calls += (seen.ledger.calls() - seen.ledger.count(Call::Lanes) + seen.ledger.count(Call::Look)) * part;
        let idle = Cost { cpu_us: costs.idle_us() * seen.makespan.as_secs_f64(), ..Cost::default() };
        sum.cost = sum.cost + (seen.ledger.cost(&costs) + idle * -1.0) * part;
        sum.puts += seen.puts as f64 * part;
    }
    sum
}

impl Measured {
    fn costs(&self) -> Costs {
        let crowded = |call: Call| self.crowded_us.get(call.word()).copied().unwrap_or_default();
        let alone = |call: Call| self.costs.get(call.word()).copied().unwrap_or_default();
        Costs::of(self.idle_us, self.warmth.clone(), |call| (alone(call), crowded(call)))
    }

    fn follow(&self) -> Follow {
        Follow { looks: self.looks, peeks: self.peeks, ..Follow::default() }
    }

    fn service(&self) -> Service {
        Service {
            fixed_seconds: Draw::Observed(self.fixed_seconds.clone()),
            bytes_per_second: Draw::Fixed(self.bytes_per_second),
            coding_ratio: 0.0,
            // the site offers each as one file, which the relay passes on as it comes
            relayed: 1.0,
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
