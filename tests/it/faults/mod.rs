//! What dies, sleeps, lies or fills up while jobs go on: nothing that was accepted is lost, and nothing happens twice.
//!
//! `docs/TESTING.md` names, for each failure that queues are known for, the tests that keep it away.

mod chaos;
mod deaths;
mod drain;
mod leases;
mod many;
mod server;
mod trouble;
mod uploads;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use haul_tests::house::{DOWNLOADS, House, Store, request};
use haul_tests::origin::{Fault, Origin};
use haul_tests::processes::{alive, until};
use haul_tests::proxy::{Asked, Loss, Proxy};
use haul_tests::redis::Redis;
use haul_tests::site::send;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

/// The shortest lease that a heartbeat of one second allows.
const LEASE: Duration = Duration::from_secs(3);

/// Slow enough that nothing here ever gets to its end by itself.
const SLOW: Fault = Fault::Throttle(20_000);

/// Slow enough to be caught in the middle, quick enough to end.
const UNHURRIED: Fault = Fault::Throttle(60_000);

/// As a variable.
const SHORT_LEASE: (&str, &str) = ("HAUL_LEASE", "3s");

/// Where none may be lost, on a machine that stands still for a moment.
const LONGER_LEASE: (&str, &str) = ("HAUL_LEASE", "6s");

/// So many addresses of the same medium: to the service they are different things.
fn addresses(origin: &Origin, fault: Option<Fault>, count: usize) -> Vec<Value> {
    let path = |n: usize| format!("/progressive.mp4?n={n}");
    let url = |n| fault.map_or_else(|| origin.url(&path(n)), |fault| origin.spoilt(fault, &path(n)));
    (0..count).map(|n| request(&url(n), json!({}))).collect()
}

/// Orders all of them at once.
async fn order_all(house: &House, requests: &[Value]) -> Result<Vec<String>> {
    futures::future::try_join_all(requests.iter().map(|request| house.order(request))).await
}

/// Recounts every list and counter of the queue from the records of its jobs.
async fn audit(redis: &Redis) -> Result<()> {
    let audit = redis::Script::new(include_str!("../store/audit.lua"));
    let wrong: Vec<String> = audit.arg("haul1:{0}:").invoke_async(&mut redis.connection().await?).await?;
    ensure!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}
