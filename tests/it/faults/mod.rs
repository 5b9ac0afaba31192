//! What dies, sleeps, lies or fills up while jobs go on: nothing that was accepted is lost, and nothing happens twice.
//!
//! `docs/TESTING.md` names, for each failure that queues are known for, the tests that keep it away.

mod leases;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use haul_tests::house::{DOWNLOADS, House, Store, request};
use haul_tests::origin::Fault;
use haul_tests::processes::{self, alive, until};
use haul_tests::proxy::{Asked, Loss, Proxy};
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
