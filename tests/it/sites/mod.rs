//! How sites are treated that ask for patience, or give only trouble.

mod attempts;
mod breaker;
mod retry_after;

use std::time::Duration;

use anyhow::{Context as _, Result};
use haul_tests::house::{DOWNLOADS, House, Store, request};
use haul_tests::origin::{Fault, Wait};
use reqwest::Method;
use serde_json::{Value, json};

const MEDIA: &str = "/progressive.mp4";

/// Until when a job waits, from now.
fn wait_of(job: &Value) -> Result<Duration> {
    let due: jiff::Timestamp = job["next_attempt_at"].as_str().context("it waits")?.parse()?;
    Ok(Duration::try_from(due.duration_since(jiff::Timestamp::now())).unwrap_or_default())
}

/// The path of an address of the site.
fn path_of(url: &str) -> Result<String> {
    Ok(url::Url::parse(url)?.path().to_owned())
}
