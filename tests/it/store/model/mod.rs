//! Any actions in any order, through the real scripts and through a plain model of the queue, from workers that may be
//! stale. After each step both must have said the same, every ticket must show the same, `audit.lua` recounts every list and
//! counter from the jobs' records, and the store's own audit must find nothing to repair. At the end nothing is left.
//!
//! Each test tries 256 sequences, or as many as `PROPTEST_CASES` says; the one on a cluster an eighth of them. One that fails is shrunk and printed.
//!
//! A new action is a [`steps::Step`], what it does to the model ([`part`], [`work`]), and to the store ([`pair`]).

mod line;
mod pair;
mod part;
mod queue;
mod relocate;
mod run;
mod shown;
mod steps;
mod work;

use std::num::NonZeroU32;

use haul_shared::config::Rate;
use haul_shared::ids::Shard;
use haul_shared::job::{Action, Fingerprint};
use haul_shared::store::Lane;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use self::run::Given;
use super::*;

/// Steps of a sequence at most.
const LENGTH: usize = 60;

/// Jobs that may wait on a shard.
const ROOM: u32 = 6;

/// Where jobs are sent; workers prefer the first.
const REGIONS: [&str; 2] = ["default", "elsewhere"];

/// Submissions that the client with a rate has.
const RATE: u32 = 4;

#[test]
fn whatever_happens_in_whatever_order_the_store_does_as_the_model_says() -> Result<()> {
    try_sequences(Bench::with(|settings| settings.queue_limit = Some(ROOM)), 1)
}

#[test]
fn whatever_happens_on_three_shards_the_store_does_as_the_model_says() -> Result<()> {
    let three = |settings: &mut StoreSettings| {
        settings.shards = Shards::new(3).expect("more than none");
        settings.queue_limit = Some(ROOM);
    };
    try_sequences(Bench::with(three), 1)
}

#[test]
fn whatever_happens_on_a_cluster_the_store_does_as_the_model_says() -> Result<()> {
    try_sequences(Bench::in_cluster(|settings| settings.queue_limit = Some(ROOM)), 8)
}

/// One of so many of the sequences that are asked for.
fn try_sequences(bench: impl Future<Output = Result<Bench>>, one_of: u32) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bench = runtime.block_on(bench)?;
    let shards = bench.settings.shards;
    let sequence = |steps: Vec<steps::Step>| {
        runtime.block_on(async {
            let mut pair = pair::Pair::new(&bench, shards, Some(ROOM)).await?;
            for step in &steps {
                pair.take(step).await?;
                pair.compare().await?;
            }
            pair.drain().await
        })
    };
    let cases = (Config::default().cases / one_of).max(1);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&proptest::collection::vec(steps::step(), 1..LENGTH), |steps| {
        sequence(steps).map_err(|error: anyhow::Error| TestCaseError::fail(error.to_string()))
    });
    outcome.map_err(|failure| anyhow::anyhow!("{failure}"))
}

fn region(nth: usize) -> Region {
    REGIONS[nth].parse().expect("a region")
}

fn lane(region: &str, priority: Priority) -> Lane {
    Lane { kind: Kind::Download, region: region.parse().expect("a region"), priority }
}

fn lane_of(order: &Submission) -> Lane {
    lane(order.region.as_str(), order.priority)
}

/// Progress is sent in whole percent here.
fn percent(progress: Progress) -> u8 {
    progress.percent as u8
}
