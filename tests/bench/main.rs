//! bench: how fast the queue, the API and the downloads are, each figure beside a floor or a rival that was measured in the
//! same run.
//!
//! A table for people goes to standard error, one line of JSON per figure to standard output. Every benchmark starts a
//! Redis of its own and the programs as they are shipped; what they are and what the figures mean is in
//! `docs/BENCHMARKS.md`. The programs that nobody ships (a worker whose jobs are nothing, the floors of the API) are this
//! same program in another role.

mod against;
mod engine;
mod figures;
mod floor;
mod load;
mod memory;
mod noop;
mod others;
mod queue;
mod roles;
mod sim;
mod stage;
mod start;
mod status;
mod submit;
mod watchers;

use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Benchmarks of Haul.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    what: What,
    /// cargo adds this when it runs the program
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// No-op jobs per second and the time from submit to start, against EVALSHA and BullMQ
    Queue(Plan),
    /// Polling a job's status against a bare handler that does one GET of Redis
    Status(Plan),
    /// Submitting a job against a bare handler that runs the same script once
    Submit(Plan),
    /// Bytes of Redis per queued and per finished job
    Memory(Plan),
    /// Memory and processor of an API on which ten thousand follow downloads
    Watchers(Plan),
    /// Starts of programs in each tier of the sandbox, against the launcher alone
    Start,
    /// Downloads from POST to link, against what others do with the same media
    Engine(engine::Plan),
    /// One big file through the guard and the sandbox, against the same without
    Guarded(engine::guarded::Plan),
    /// A fleet on paper: small cases beside real ones, then 1 to 1,000 workers, and what they cost
    Sim(sim::Plan),
    /// Side by side with FastAPI, RQ and boto3, and with the queues of RQ, Celery and BullMQ: one run, one page
    Against(against::Plan),
    /// All of them but the engine, the big file, the starts, the simulation and the rivals side by side
    All(Plan),
    /// A part of a benchmark, started by it
    #[command(hide = true, subcommand)]
    Role(roles::Role),
}

/// How much is measured.
#[derive(Debug, Clone, clap::Args)]
struct Plan {
    /// Finished jobs that are present meanwhile; several levels are measured one after the other
    #[arg(long, value_delimiter = ',', default_value = "0,100000")]
    finished: Vec<u64>,
    /// Rounds, each of which measures Haul and its floor once
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load per round, of Haul and of its floor each
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Connections that ask at once
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Jobs at once, of a worker
    #[arg(long, default_value_t = 64)]
    slots: usize,
    #[command(flatten)]
    programs: others::Programs,
}

impl Plan {
    fn window(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

fn main() -> Result<()> {
    match Cli::parse().what {
        What::Role(role) => role.run(),
        What::Queue(plan) => measure(async { queue::run(&plan).await }),
        What::Status(plan) => measure(async { status::run(&plan).await }),
        What::Submit(plan) => measure(async { submit::run(&plan).await }),
        What::Memory(_) => measure(memory::run()),
        What::Watchers(_) => measure(watchers::run()),
        What::Start => measure(start::run()),
        What::Engine(plan) => measure(engine::run(plan)),
        What::Guarded(plan) => measure(engine::guarded::run(&plan)),
        What::Sim(plan) => measure(sim::run(plan)),
        What::Against(plan) => measure(against::run(plan)),
        What::All(plan) => measure(async {
            queue::run(&plan).await?;
            status::run(&plan).await?;
            submit::run(&plan).await?;
            memory::run().await?;
            watchers::run().await
        }),
    }
}

/// On one thread: who makes the load should take as little as it can of what is measured.
fn measure(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
