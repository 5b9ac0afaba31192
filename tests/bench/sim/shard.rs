//! How much one Redis carries: calls as simulated jobs have them, at several rates, and jobs that are nothing through a worker.
//!
//! What calls cost was measured of each kind by itself, alone and in a crowd (`calibrate`); what a mixture of them costs at a
//! rate between is not taken from that on trust, but held against it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use haul_tests::redis::Redis;
use haul_tests::sim::{Call, Calls, Costs, Draw, Outcome, random};
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, sleep_until};

use super::calibrate::spent;
use super::desk::{Desk, PROGRAMS};
use crate::roles::Part;
use crate::{queue, stage};

/// Calls per second; none: as many as one thread can make.
const RATES: [Option<f64>; 8] =
    [Some(10.0), Some(100.0), Some(300.0), Some(1000.0), Some(2000.0), Some(4000.0), Some(16_000.0), None];

/// How long each is kept up.
const WINDOW: Duration = Duration::from_secs(10);

/// Jobs that are there at every step before the first call, and tokens: none is asked for in vain.
const STOCK: usize = 200;
const TOKENS: usize = 50_000;

/// Jobs that are nothing, and how many at once.
const JOBS: u64 = 10_000;
const SLOTS: u64 = 64;

/// One Redis for a while.
#[derive(Debug, Clone)]
pub struct Level {
    /// What was asked of it.
    pub name: String,
    /// Calls of each kind per second.
    pub calls: Calls,
    /// Round trips per second.
    pub per_second: f64,
    /// Jobs per second.
    pub jobs: f64,
    /// Share of a core.
    pub busy: f64,
}

/// How many calls of each kind a simulated job comes to, of those that a desk can make: with one job in each heartbeat.
#[must_use]
pub fn mix(seen: &Outcome) -> Vec<(Call, f64)> {
    const MADE: [Call; 15] = [
        Call::Submit,
        Call::Leased,
        Call::Lease,
        Call::Pop,
        Call::Beat,
        Call::Look,
        Call::Peek,
        Call::Reserve,
        Call::Complete,
        Call::Thumbnail,
        Call::Fail,
        Call::Announce,
        Call::Tend,
        Call::Trial,
        Call::Lanes,
    ];
    let jobs = seen.ledger.count(Call::Submit);
    let per_job = |call: Call| {
        let count = match call {
            Call::Lease => seen.ledger.count(Call::Lease) - seen.ledger.count(Call::Leased),
            Call::Beat => seen.ledger.count(Call::Beaten),
            other => seen.ledger.count(other),
        };
        (call, count.max(0.0) / jobs)
    };
    MADE.map(per_job).into()
}

/// How busy such calls make Redis at several rates: at times left to chance, but for what follows another at once.
///
/// # Errors
/// When one fails.
pub async fn levels(desk: &Desk, info: &mut MultiplexedConnection, mix: &[(Call, f64)]) -> Result<Vec<Level>> {
    desk.stock(2 * STOCK).await?;
    for (call, jobs) in [(Call::Submit, STOCK), (Call::Reserve, STOCK), (Call::Complete, STOCK / 2)] {
        for at in 0..jobs {
            desk.make(call, at).await?;
        }
    }
    let mut levels = Vec::new();
    for rate in RATES {
        desk.give_tokens(TOKENS).await?;
        levels.push(level(desk, info, mix, rate).await?);
    }
    Ok(levels)
}

/// Is it a level that says how far between what they cost alone and in a crowd calls lie? The others are there to prove what is
/// said of rates between.
#[must_use]
pub fn is_taken(level: usize) -> bool {
    level.is_multiple_of(2)
}

/// How far between the calls of those levels lie.
#[must_use]
pub fn warmth(levels: &[Level], costs: &Costs) -> Vec<(f64, f64)> {
    let point = |level: &Level| {
        let alone_us = costs.all_us(&level.calls, 0.0);
        let crowded_us: f64 = Call::ALL.map(|call| costs.crowded_us(call) * level.calls[call as usize]).iter().sum();
        let saved_us = costs.idle_us() + alone_us - level.busy * 1e6;
        (level.busy, saved_us / (alone_us - crowded_us))
    };
    levels.iter().enumerate().filter(|(at, _)| is_taken(*at)).map(|(_, level)| point(level)).collect()
}

async fn level(desk: &Desk, info: &mut MultiplexedConnection, mix: &[(Call, f64)], rate: Option<f64>) -> Result<Level> {
    let (mut random, mut under_way, mut made) = (random(1), FuturesUnordered::new(), 0);
    let (mut credits, mut counts) = (vec![0.0; mix.len()], [0.0; Call::ALL.len()]);
    let weights: f64 = mix.iter().map(|(_, weight)| weight).sum();
    let by_themselves: f64 = mix.iter().filter(|(call, _)| !Desk::follows(*call)).map(|(_, weight)| weight).sum();
    let (began, before) = (Instant::now(), spent(info).await?);
    let mut due = began;
    while due < began + WINDOW {
        tokio::select! {
            biased;
            Some(call) = under_way.next() => { call?; continue; }
            () = until(due), if under_way.len() < 2 * PROGRAMS => {}
        }
        // whose turn it is: each as often as its share says, and evenly
        for (credit, (_, weight)) in credits.iter_mut().zip(mix) {
            *credit += weight / weights;
        }
        let next =
            (0..mix.len()).max_by(|one, other| credits[*one].total_cmp(&credits[*other])).context("a mixture")?;
        credits[next] -= 1.0;
        let call = mix[next].0;
        for (part, count) in Desk::parts(call) {
            counts[part as usize] += count;
        }
        under_way.push(desk.make(call, made));
        made += 1;
        due = match rate {
            None => Instant::now(),
            Some(_) if Desk::follows(call) => due,
            Some(rate) => {
                due + Duration::from_secs_f64(Draw::Exponential(weights / by_themselves / rate).draw(&mut random))
            }
        };
    }
    while let Some(call) = under_way.next().await {
        call?;
    }
    let busy = (spent(info).await?.cpu_us - before.cpu_us) / 1e6;
    let seconds = began.elapsed().as_secs_f64();
    let name = rate.map_or("as many as one program can make".to_owned(), |rate| format!("{rate:.0} calls a second"));
    let jobs = counts[Call::Submit as usize] / seconds;
    let calls = counts.map(|count| count / seconds);
    Ok(Level { name, calls, per_second: made as f64 / seconds, jobs, busy: busy / seconds })
}

/// The runtime's clock ticks once in a millisecond: what is due sooner is waited for with open eyes.
async fn until(due: Instant) {
    const TICK: Duration = Duration::from_millis(2);
    if due > Instant::now() + TICK {
        sleep_until(due - TICK).await;
    }
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
}

/// Jobs that are nothing, through one worker process of many slots, as in the benchmark of the queue.
///
/// # Errors
/// When a part does not do what it should.
pub async fn drained() -> Result<Level> {
    let redis = Redis::start().await?;
    let mut info = redis.connection().await?;
    queue::queue(&stage::store(&redis.url())?, JOBS, 0).await?;
    let (slots, jobs) = (SLOTS.to_string(), JOBS.to_string());
    let mut worker = Part::start(&["worker", "--redis", &redis.url(), "--slots", &slots, "--jobs", &jobs]).await?;
    let (scripts, before) = (redis.carried_out("evalsha").await?, spent(&mut info).await?);
    worker.go().await?;
    let seconds = worker.number().await?;
    let busy = (spent(&mut info).await?.cpu_us - before.cpu_us) / 1e6 / seconds;
    let scripts = (redis.carried_out("evalsha").await? - scripts) as f64 / seconds;
    let jobs = JOBS as f64 / seconds;
    let mut calls = [0.0; Call::ALL.len()];
    // a second of beats is a few calls, and counted as some that ask
    for (call, count) in [(Call::Leased, jobs), (Call::Complete, jobs), (Call::Lease, scripts - jobs)] {
        calls[call as usize] = count;
    }
    Ok(Level {
        name: "jobs that are nothing, one worker of 64 slots".to_owned(),
        calls,
        per_second: scripts,
        jobs,
        busy,
    })
}
