//! What a run finds and leaves: jobs to ask for before it, and none of its own after it.

use std::time::Duration;

use futures::StreamExt as _;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use tokio::time::{Instant, sleep, timeout};
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

/// Before asking again for what was ordered and is not there.
const COMING: Duration = Duration::from_millis(500);

/// Looks whether the service is there, and shows what will be asked for: jobs to those who ask for some, and, unless that stays,
/// the list by which is found what was ordered. Where there are no jobs, one is made.
///
/// # Errors
/// When the service can't be reached, refuses, or has no jobs and no address to make one of is known.
pub async fn prepare(bench: &Bench, has_addresses: bool, keeps: bool) -> Result<(), Error> {
    let client = &bench.client;
    client.ask(Method::GET, client.below(&["healthz"]), HeaderMap::new(), None, client.timeout()).await?;
    let asks_for_jobs = bench.mix.has(Scenario::Status);
    if !asks_for_jobs && (keeps || !bench.mix.orders()) {
        return Ok(());
    }
    let list: List = client.call(Method::GET, &["downloads"]).query("limit", PAGE).send().await?.read()?;
    if !asks_for_jobs {
        return Ok(());
    }
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
    bench.orders();
    let answer = client.call(Method::POST, &["downloads"]).json(bench.order(turn)).send().await;
    match &answer {
        Ok(_) => bench.order_ends(true),
        Err(error) if !error.may_be_taken() => bench.order_ends(false),
        Err(_) => {}
    }
    bench.knows(answer?.read::<Job>()?.id, turn);
    Ok(())
}

/// Cancels and deletes every job of this run, by their tag: also those whose answers never came. Tells how many.
///
/// # Errors
/// When some are left.
pub async fn remove(bench: &Bench) -> Result<u64, Error> {
    timeout(MOST, remove_those_to_come(bench)).await.unwrap_or_else(|_| Err(late()))
}

fn late() -> Error {
    Error::Unfinished(format!("not all were deleted within {} s", MOST.as_secs()))
}

/// An order without answer may become a job after the others are gone: it has as long as its answer would have had.
async fn remove_those_to_come(bench: &Bench) -> Result<u64, Error> {
    let (client, began) = (&bench.client, Instant::now());
    let mut deleted = remove_all(client, &bench.tag).await?;
    while bench.unanswered() > 0 && deleted < bench.ordered() && began.elapsed() < client.timeout() {
        sleep(COMING).await;
        deleted += remove_all(client, &bench.tag).await?;
    }
    Ok(deleted)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    #[test]
    fn a_service_that_does_not_delete_in_time_is_not_said_to_be_away() {
        assert_eq!(
            (late().to_string().as_str(), late().exit()),
            ("not all were deleted within 600 s", Exit::Unreachable)
        );
    }
}
