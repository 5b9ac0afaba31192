//! `haul stats` and `haul usage`: how the service is, and what the caller has of it.

use reqwest::Method;

use super::show;
use crate::client::Client;
use crate::error::{Error, Exit};
use crate::screen::Screen;

const STATS_FIRST: [&str; 12] = [
    "jobs",
    "queue_wait_seconds",
    "stage_seconds",
    "regions",
    "queues",
    "workers",
    "id",
    "region",
    "status",
    "slots",
    "running",
    "depth",
];

const USAGE_FIRST: [&str; 7] =
    ["name", "stored_bytes", "delivered_bytes_today", "bytes_per_day", "resets_at", "queued", "running"];

/// Shows queues, workers, and how long things take.
///
/// # Errors
/// When the server does not tell.
pub async fn stats(client: &Client, screen: &Screen) -> Result<Exit, Error> {
    show(screen, &client.call(Method::GET, &["stats"]).send().await?, &STATS_FIRST)?;
    Ok(Exit::Done)
}

/// Shows downloads by status, and bytes.
///
/// # Errors
/// When the server does not tell.
pub async fn usage(client: &Client, screen: &Screen) -> Result<Exit, Error> {
    show(screen, &client.call(Method::GET, &["usage"]).send().await?, &USAGE_FIRST)?;
    Ok(Exit::Done)
}
