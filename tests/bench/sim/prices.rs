//! What one person pays a month: the fleet that a simulated day asks for, times what lists say (`prices.toml`).

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::Measured;
use super::fleets::{Fleet, Knobs, profiles};
use super::report::{number, row, table};

/// Downloads a month.
const MONTHS: [f64; 3] = [10_000.0, 100_000.0, 1_000_000.0];

const DAYS: f64 = 30.0;

/// `HAUL_RESULT_TTL`, in days.
const KEPT: f64 = 1.0;

/// What it takes of a bucket, a day, to be asked for one's health every ten seconds: a worker looks each time and writes every
/// five minutes, the API looks and reads.
const WORKER_LOOKS: f64 = 8640.0;
const WORKER_WRITES: f64 = 288.0;
const API_READS: f64 = 2.0 * 8640.0;

/// 95 of 100 jobs are to begin within these seconds.
const WAIT: f64 = 60.0;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prices {
    date: String,
    dollars_per_euro: f64,
    machine: Machine,
    redis: Redis,
    buckets: Vec<Bucket>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Machine {
    euros_per_month: f64,
    slots: u32,
    traffic_gb: f64,
    euros_per_gb_over: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Redis {
    dollars_per_month: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bucket {
    name: String,
    dollars_per_gb_month: f64,
    dollars_per_million_writes: f64,
    dollars_per_million_reads: f64,
    dollars_per_gb_out: f64,
    free_gb_month: f64,
    free_million_writes: f64,
    free_million_reads: f64,
    free_gb_out: f64,
}

/// A month.
#[derive(Debug)]
struct Month {
    downloads: f64,
    workers: usize,
    wait: f64,
    gb: f64,
    million_writes: f64,
    redis: f64,
}

/// The tables.
///
/// # Errors
/// When `prices.toml` cannot be read.
pub fn run(knobs: &Knobs, measured: &Measured, seed: u64) -> Result<()> {
    let prices: Prices = toml::from_str(include_str!("prices.toml")).context("prices.toml")?;
    // a whole month, so that nothing has to be scaled
    let knobs = Knobs { slots: prices.machine.slots, hours: 24 * DAYS as u32, ..*knobs };
    let months: Vec<Month> = MONTHS.into_iter().map(|downloads| month(&knobs, measured, downloads, seed)).collect();

    let columns =
        ["Downloads a month", "Workers", "95 of 100 wait less than", "Through the bucket", "Writes", "Redis, one core"];
    table(&format!("What it takes; prices of {}", prices.date), &columns);
    for month in &months {
        row(&[
            number(month.downloads),
            month.workers.to_string(),
            format!("{} s", number(month.wait)),
            format!("{} GB", number(month.gb)),
            format!("{} million", number(month.million_writes)),
            format!("{:.3} %", month.redis * 100.0),
        ]);
    }
    let columns = [
        "Downloads a month",
        "Machines",
        "Traffic over",
        "Bucket: kept",
        "writes",
        "reads",
        "out",
        "A month",
        "A thousand downloads",
    ];
    for bucket in &prices.buckets {
        table(&format!("With {}", bucket.name), &columns);
        for month in &months {
            bill(&prices, bucket, month);
        }
    }
    eprintln!("\nSomebody else's Redis: $ {} more.", number(prices.redis.dollars_per_month));
    Ok(())
}

/// The smallest fleet in one region with which jobs begin soon enough.
fn month(knobs: &Knobs, measured: &Measured, downloads: f64, seed: u64) -> Month {
    let [watched, ..] = profiles(knobs);
    // so many results: some orders end without one
    let per_second = downloads / DAYS / 86_400.0 / (1.0 - knobs.permanent);
    let least = (per_second * knobs.mean_seconds(&watched) / f64::from(knobs.slots)).ceil() as usize;
    let mut workers = least.max(1);
    loop {
        let seen = knobs.day(Fleet { regions: 1, ..Fleet::of(workers) }, &watched, per_second, seed);
        let wait = seen.waits.at(0.95);
        if wait > WAIT || seen.refused > 0 {
            workers += 1;
            continue;
        }
        let seconds = seen.looked_at.as_secs_f64() + 3600.0;
        return Month {
            downloads: seen.completed as f64,
            workers,
            wait,
            gb: seen.stored_bytes / 1e9,
            million_writes: (seen.puts + workers as f64 * WORKER_WRITES * DAYS) / 1e6,
            redis: seen.ledger.cost(&measured.costs()).cpu_us / 1e6 / seconds,
        };
    }
}

fn bill(prices: &Prices, bucket: &Bucket, month: &Month) {
    let machine = &prices.machine;
    // API and Redis live beside a lone worker, and on a machine of their own beside several
    let machines = month.workers + usize::from(month.workers > 1);
    let euro = prices.dollars_per_euro;
    let over = |used: f64, free: f64| (used - free).max(0.0);
    let kept_gb = month.gb / DAYS * KEPT;
    let million_reads = (month.downloads + (month.workers as f64 * WORKER_LOOKS + API_READS) * DAYS) / 1e6;
    let parts = [
        (format!("{machines} x € {}", machine.euros_per_month), machines as f64 * machine.euros_per_month * euro),
        (
            format!("{} GB", number(over(month.gb, machine.traffic_gb * month.workers as f64))),
            over(month.gb, machine.traffic_gb * month.workers as f64) * machine.euros_per_gb_over * euro,
        ),
        (
            format!("{} GB x {}", number(over(kept_gb, bucket.free_gb_month)), bucket.dollars_per_gb_month),
            over(kept_gb, bucket.free_gb_month) * bucket.dollars_per_gb_month,
        ),
        (
            format!(
                "{} M x {}",
                number(over(month.million_writes, bucket.free_million_writes)),
                bucket.dollars_per_million_writes
            ),
            over(month.million_writes, bucket.free_million_writes) * bucket.dollars_per_million_writes,
        ),
        (
            format!(
                "{} M x {}",
                number(over(million_reads, bucket.free_million_reads)),
                bucket.dollars_per_million_reads
            ),
            over(million_reads, bucket.free_million_reads) * bucket.dollars_per_million_reads,
        ),
        (
            format!("{} GB x {}", number(over(month.gb, bucket.free_gb_out)), bucket.dollars_per_gb_out),
            over(month.gb, bucket.free_gb_out) * bucket.dollars_per_gb_out,
        ),
    ];
    let sum: f64 = parts.iter().map(|(_, dollars)| dollars).sum();
    let mut cells = vec![number(month.downloads)];
    cells.extend(parts.into_iter().map(|(how, dollars)| format!("{how} = $ {dollars:.2}")));
    cells.extend([format!("**$ {sum:.2}**"), format!("$ {:.2}", sum / month.downloads * 1000.0)]);
    row(&cells);
}
