//! Submitting a job against a bare handler that runs the same script once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

use crate::Plan;
use crate::figures::{begin, compare, in_turns, remark};
use crate::load::{Request, Until, per_second};
use crate::roles::Part;
use crate::stage::{DOWNLOADS, Stage, address, write_post};

/// Measures.
///
/// # Errors
/// When a part does not do what it should.
pub async fn run(plan: &Plan) -> Result<()> {
    begin("submit: POST /api/v1/downloads, requests per second");
    for &finished in &plan.finished {
        let stage = Stage::with_finished(finished).await?;
        let mut floor = Part::start(&["floor", "--redis", &stage.redis.url()]).await?;
        let floor_address = floor.line().await?.parse()?;
        let (api, until) = (stage.api(), Until::Elapsed(plan.window()));
        // no address comes twice: that would be a share in a run that goes on already
        let next = Arc::new(AtomicU64::new(900_000_000_000));
        let (ours, floors) = in_turns(
            plan.rounds,
            async || per_second(api, plan.connections, until, submits(&next)).await,
            async || per_second(floor_address, plan.connections, until, posts(&next)).await,
        )
        .await?;
        compare(&format!("submit, {finished} finished jobs"), ours.median(), floors.median(), ">= 0.60");
        remark(&format!("noise: {:.0} % of Haul, {:.0} % of the floor", ours.noise() * 100.0, floors.noise() * 100.0));
    }
    Ok(())
}

fn submits(next: &Arc<AtomicU64>) -> Arc<Request> {
    let next = Arc::clone(next);
    Arc::new(move |_, _, to: &mut Vec<u8>| {
        write_post(to, DOWNLOADS, "", &address(next.fetch_add(1, Ordering::Relaxed)));
    })
}

fn posts(next: &Arc<AtomicU64>) -> Arc<Request> {
    let next = Arc::clone(next);
    Arc::new(move |connection, _, to: &mut Vec<u8>| {
        let url = address(next.fetch_add(1, Ordering::Relaxed));
        let head = format!("POST /submit/{connection} HTTP/1.1\r\nhost: haul\r\n");
        to.extend_from_slice(format!("{head}content-length: {}\r\n\r\n{url}", url.len()).as_bytes());
    })
}
