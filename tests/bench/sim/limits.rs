//! Where each part is full, and what to turn then: arithmetic over what one job costs in a simulated day.

use haul_tests::sim::{Call, Costs, Outcome};

use super::Measured;
use super::fleets::{Fleet, Knobs, profiles};
use super::report::{number, row, table};

/// What a shard may be kept busy with: as much again is left for a burst, a rewrite of its file, and an audit.
const CORE: f64 = 0.5;

/// What Amazon promises of each partition of a bucket's names, per second.
const WRITES: f64 = 3500.0;
const READS: f64 = 5500.0;

/// `HAUL_SITE_RUNNING_LIMIT`.
const SITE: f64 = 32.0;

/// A line of 1 Gbit/s, either way.
const LINE: f64 = 125e6;

/// Fleets whose calls a shard is filled with.
const FLEETS: [usize; 2] = [50, 1000];

/// The table, of days that were simulated.
pub fn run(knobs: &Knobs, measured: &Measured, fleets: &[(Fleet, Outcome)]) {
    let [watched, ..] = profiles(knobs);
    let (costs, mean) = (measured.costs(), knobs.mean_seconds(&watched));
    let of = |workers: usize| fleets.iter().find(|(fleet, _)| fleet.workers == workers).map(|(_, seen)| seen);
    let Some(seen) = of(FLEETS[0]) else { return };
    let beat = (costs.one_us(Call::Beaten, CORE) + costs.one_us(Call::Beat, CORE) / f64::from(knobs.slots)) / 1e6;
    let puts = seen.puts / seen.completed as f64;
    let bytes = seen.stored_bytes / seen.completed as f64;
    let day = 86_400.0;

    table("Where it is full", &["Part", "What fills it", "One job", "Full at", "That is, a day", "What to turn then"]);
    let line = |part: &str, what: String, one: String, full: String, per_second: f64, turn: &str| {
        row(&[part.to_owned(), what, one, full, format!("{} downloads", number(per_second * day)), turn.to_owned()]);
    };
    for workers in FLEETS {
        let Some(seen) = of(workers) else { continue };
        let cpu = per_job(seen, &costs, CORE);
        let shard = (CORE * 1e6 - costs.idle_us()) / cpu;
        line(
            &format!("A shard of Redis, with the calls of {workers} workers"),
            format!("{:.0} % of a core", CORE * 100.0),
            format!("{} µs ({} if each call came alone)", number(cpu), number(per_job(seen, &costs, 0.0))),
            format!("{} jobs/s, {} slots", number(shard), number(shard * mean)),
            shard,
            "`HAUL_QUEUE_SHARDS` before the first job, each shard on a node of a Cluster",
        );
    }
    let slots = CORE / beat;
    line(
        "its heartbeats alone",
        "a beat per second".to_owned(),
        format!("{} µs per slot and second", number(beat * 1e6)),
        format!("{} slots", number(slots)),
        slots / mean,
        "the same; more slots per worker share calls",
    );
    line(
        "A partition of the bucket, writing",
        format!("{WRITES:.0} writes/s"),
        format!("{puts:.1} writes"),
        format!("{} jobs/s", number(WRITES / puts)),
        WRITES / puts,
        "nothing: names are random below `m/`, so that partitions can be split; ask for it before a launch",
    );
    line(
        "the same, reading",
        format!("{READS:.0} reads/s"),
        "1 read".to_owned(),
        format!("{} reads/s", number(READS)),
        READS,
        "the same: signed links open under no other name, so that no CDN helps",
    );
    line(
        "An address at one site",
        format!("{SITE:.0} jobs at once"),
        format!("{mean:.1} s"),
        format!("{} jobs an hour", number(SITE / mean * 3600.0)),
        SITE / mean,
        "more addresses: `HAUL_EGRESS_NAME` for each, `HAUL_PROXY`; or `HAUL_SITE_RUNNING_LIMIT`, if the site allows it",
    );
    line(
        "A worker's line",
        "1 Gbit/s each way".to_owned(),
        format!("{} MB each way", number(bytes / 1e6)),
        format!("{} slots", number(LINE / (bytes / mean))),
        LINE / bytes,
        "more machines before more `HAUL_SLOTS`",
    );
    let disk = 40e9;
    let largest = watched.bytes_per_second.mean() * 3.0 * 3600.0;
    line(
        "A worker's disk",
        "40 GB".to_owned(),
        format!("{} GB of three hours, twice while it is made", number(largest / 1e9)),
        format!("{} slots of such jobs", number(disk / (2.0 * largest))),
        disk / (2.0 * largest) / knobs.seconds_of(largest, 0.0),
        "`HAUL_MIN_FREE_DISK` keeps jobs away before; `streaming`, a larger volume, `HAUL_MAX_FILE_SIZE`",
    );
    let memory = 1e9;
    let record = 1843.0;
    line(
        "Memory of Redis",
        "1 GB of records".to_owned(),
        format!("{record:.0} bytes for `HAUL_JOB_TTL` (48 h)"),
        format!("{} records", number(memory / record)),
        memory / record / (2.0 * day),
        "`HAUL_JOB_TTL`, or more memory",
    );
}

/// Microseconds of a shard that is so busy, for each result of that day.
fn per_job(seen: &Outcome, costs: &Costs, busy: f64) -> f64 {
    let jobs = seen.completed as f64 * seen.ledger.count(Call::Submit) / seen.accepted as f64;
    costs.all_us(&seen.ledger.counts(), busy) / jobs
}
