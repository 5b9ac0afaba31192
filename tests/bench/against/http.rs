//! The web side alone: a job's status, metadata that are known, a new job; 64 connections that ask again as soon as they are
//! answered. Nobody works on the jobs meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::Field;
use super::stack::Workers;
use super::table::{Better, Table};
use crate::engine::ours::{Haul, asked};
use crate::figures::Rounds;
use crate::load::{Request, Until, drive};
use crate::stage::{DOWNLOADS, Stage, address, write_post};
use crate::status::gets;

/// Connections that ask at once.
const CONNECTIONS: usize = 64;

/// Jobs that are polled, and addresses whose metadata are asked for.
const MANY: usize = 48;

/// One kind of request, of ours and of the stack.
type Sides = (&'static str, [(SocketAddr, Arc<Request>); 2]);

/// Measures.
///
/// # Errors
/// When a part does not do what it should.
pub async fn run(field: &mut Field) -> Result<Table> {
    let title = format!("HTTP, {CONNECTIONS} connections");
    let mut table = Table::of(&title, ["Haul, one process", "FastAPI, a process per core"]);
    let stage = Stage::with_finished(0).await?;
    let stack = field.stack(Workers::None, false).await?;
    let folder = field.scene.fresh("haul")?;
    let haul = Haul::start(&field.scene.endpoint(false), &folder, &[]).await?;
    let (web, api, known) = (stack.address(), stage.api(), haul.api().address());

    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build()?;
    let post = async |path: &str, url: &str| -> Result<Value> {
        asked(http.post(format!("http://{web}{path}")).json(&json!({ "url": url }))).await
    };
    let (mut theirs, mut media) = (Vec::new(), Vec::new());
    for number in 0..MANY as u64 {
        let job = post("/downloads", &address(400_000_000_000 + number)).await?;
        theirs.push(format!("/downloads/{}", job["id"].as_str().context("a job has an id")?));
        let url = field.scene.address(&field.small.path, false);
        haul.metadata(&url).await?;
        post("/metadata", &url).await?;
        media.push(url);
    }
    let ours = stage.queue_some(0..MANY).await?;
    let media: Arc<[String]> = media.into();
    // no address comes twice: that would be a share in a run that goes on already
    let next = Arc::new(AtomicU64::new(500_000_000_000));
    let all: [Sides; 3] = [
        ("status of a job", [(api, gets(ours)), (web, gets(theirs))]),
        ("metadata that are known", [(known, asks("/api/v1/metadata", &media)), (web, asks("/metadata", &media))]),
        ("submit a job", [(api, submits(DOWNLOADS, &next)), (web, submits("/downloads", &next))]),
    ];
    let until = Until::Elapsed(field.plan.window());
    for (what, sides) in all {
        let [mut rates, mut slowest] = [const { [const { Rounds::new() }; 2] }; 2];
        // the first turn finds everything cold, and does not count
        for round in 0..=field.plan.rounds {
            for (side, (address, request)) in sides.iter().enumerate() {
                let answers = drive(*address, CONNECTIONS, until, Arc::clone(request)).await?;
                if round > 0 {
                    rates[side].add(answers.per_second);
                    slowest[side].add(answers.ms.at(0.99));
                }
            }
        }
        table.row(&format!("{what}: requests/s"), Better::More, rates.into());
        table.row(&format!("{what}: p99, ms"), Better::Less, slowest.into());
    }
    Ok(table)
}

/// Each connection asks for the same address over and over.
fn asks(path: &'static str, urls: &Arc<[String]>) -> Arc<Request> {
    let urls = Arc::clone(urls);
    Arc::new(move |connection, _, to: &mut Vec<u8>| write_post(to, path, "", &urls[connection as usize % urls.len()]))
}

/// Each asks for another address.
fn submits(path: &'static str, next: &Arc<AtomicU64>) -> Arc<Request> {
    let next = Arc::clone(next);
    Arc::new(move |_, _, to: &mut Vec<u8>| write_post(to, path, "", &address(next.fetch_add(1, Ordering::Relaxed))))
}
