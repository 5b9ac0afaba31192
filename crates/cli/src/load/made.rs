//! What a run finds and leaves: jobs to ask for before it, and none of its own after it.

use std::time::Duration;

use futures::StreamExt as _;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::bench::Bench;
use super::mix::Scenario;
use crate::client::Client;
use crate::error::Error;
use crate::patience::Patience;
use crate::wire::{Job, List};

/// Jobs of a page of the list.
const PAGE: &str = "100";

/// How many are deleted at once.
const AT_ONCE: usize = 8;

/// How long a service is waited for that is away or says that it is too much.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long all of it may take; then it is said how to find the rest.
const MOST: Duration = Duration::from_secs(600);

/// Before asking again for what is being cancelled.
const STOPPING: Duration = Duration::from_millis(200);

/// Looks whether the service is there, and finds jobs for those who will ask for some; where there are none, one is made.
///
/// # Errors
/// When the service can't be reached, refuses, or has no jobs and no address to make one of is known.
pub async fn prepare(bench: &Bench, has_addresses: bool) -> Result<(), Error> {
    let client = &bench.client;
    client.ask(Method::GET, client.below(&["healthz"]), HeaderMap::new(), None, client.timeout()).await?;
    if !bench.mix.has(Scenario::Status) {
        return Ok(());
    }
    let list: List = client.call(Method::GET, &["downloads"]).query("limit", PAGE).send().await?.read()?;
    for job in &list.downloads {
        bench.knows(job.id, bench.turn(Scenario::Status));
    }
    if !list.downloads.is_empty() {
        return Ok(());
    }
    if !has_addresses {
        return Err(Error::Usage("there are no downloads to ask for; --url says what to order".to_owned()));
    }
    let turn = bench.turn(Scenario::Submit);
    let made: Job = client.call(Method::POST, &["downloads"]).json(bench.order(turn)).send().await?.read()?;
    bench.knows(made.id, turn);
    Ok(())
}

/// Cancels and deletes every job of this run, by their tag: also those whose answers never came. Tells how many.
///
/// # Errors
/// When some are left.
pub async fn remove(client: &Client, tag: &str) -> Result<u64, Error> {
    let late = || client.away(format!("not all were deleted within {} s", MOST.as_secs()));
    timeout(MOST, remove_all(client, tag)).await.unwrap_or_else(|_| Err(late()))
}

async fn remove_all(client: &Client, tag: &str) -> Result<u64, Error> {
    let mut deleted = 0;
    loop {
        let (mut met, mut gone, mut cursor) = (0, 0, None);
        loop {
            let ask = async || {
                let list = client.call(Method::GET, &["downloads"]).query("tag", tag).query("limit", PAGE);
                list.query_if("cursor", cursor.as_deref()).send().await?.read::<List>()
            };
            let list = Patience::of(PATIENCE).insist(ask).await?;
            met += list.downloads.len();
            let ways = futures::stream::iter(list.downloads).map(|job| delete(client, job.id));
            let ended: Vec<Result<bool, Error>> = ways.buffer_unordered(AT_ONCE).collect().await;
            for is_gone in ended {
                gone += u64::from(is_gone?);
            }
            match list.next_cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        deleted += gone;
        if met == 0 {
            return Ok(deleted);
        }
        if gone == 0 {
            sleep(STOPPING).await;
        }
    }
}

/// Is it gone? Otherwise it is being cancelled.
async fn delete(client: &Client, id: Uuid) -> Result<bool, Error> {
    let path = ["downloads", &id.to_string()];
    match Patience::of(PATIENCE).insist(async || client.call(Method::DELETE, &path).send().await).await {
        Ok(answer) => Ok(answer.status == StatusCode::NO_CONTENT),
        Err(Error::Refused(problem)) if problem.status == 404 => Ok(true),
        Err(error) => Err(error),
    }
}
