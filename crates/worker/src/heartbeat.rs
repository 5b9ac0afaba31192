//! The heartbeat: renews every lease and writes progress, in a task of its own that waits for Redis only.
//!
//! A third of a lease may pass without an answer before it is worth a warning. Jobs go on meanwhile: their leases
//! may be taken back, but as long as nobody else began, the next beat takes them up again.

use std::time::{Duration, Instant};

use haul_shared::config::sections::HEARTBEAT;
use haul_shared::store::{JobStore, Pulse};
use tokio::time::MissedTickBehavior;

use crate::board::Board;

/// Beats until it is dropped.
pub async fn run(store: &JobStore, board: &Board, lease: Duration) {
    let mut tick = tokio::time::interval(HEARTBEAT);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answered = Instant::now();
    let mut warned = false;
    loop {
        tick.tick().await;
        let beats = board.beats();
        if beats.is_empty() {
            answered = Instant::now();
            continue;
        }
        match store.heartbeat(&beats).await {
            Ok(pulses) => {
                if pulses.iter().all(Option::is_some) {
                    if warned {
                        tracing::info!("redis answers again: {} leases renewed", beats.len());
                    }
                    (answered, warned) = (Instant::now(), false);
                } else if answered.elapsed() > lease / 3 && !warned {
                    warned = true;
                    tracing::warn!("no lease of a shard could be renewed for a third of its length");
                }
                for (beat, pulse) in beats.iter().zip(pulses).filter_map(|(beat, pulse)| Some((beat, pulse?))) {
                    if pulse == Pulse::Gone {
                        tracing::error!(job.id = %beat.lease.job, "job {} is gone from redis: was it emptied?", beat.lease.job);
                    }
                    board.heard(&beat.lease, pulse);
                }
            }
            Err(error) if answered.elapsed() > lease / 3 && !warned => {
                warned = true;
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "no lease could be renewed for a third of its length"
                );
            }
            Err(_) => {}
        }
    }
}
