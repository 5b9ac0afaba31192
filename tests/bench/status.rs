//! Polling a job's status against a bare handler that does one `GET` of Redis and sends the value, which has the bytes of
//! the API's answer.

use std::sync::Arc;

use anyhow::Result;
use redis::AsyncCommands as _;

use crate::Plan;
use crate::figures::{begin, compare, in_turns, remark};
use crate::load::{Request, Until, per_second};
use crate::roles::Part;
use crate::stage::Stage;

/// Jobs that are polled, each by its own share of the connections: a third waits in line, a third runs, a third is done.
const JOBS: usize = 48;

/// Measures.
///
/// # Errors
/// When a part does not do what it should.
pub async fn run(plan: &Plan) -> Result<()> {
    begin("status: GET /api/v1/downloads/{id}, requests per second");
    for &finished in &plan.finished {
        let stage = Stage::with_finished(finished).await?;
        let paths = jobs(&stage).await?;
        let (mut floor_keys, mut redis) = (Vec::new(), stage.redis.connection().await?);
        for path in &paths {
            let body = get(&format!("http://{}{path}", stage.api())).await?;
            let key = format!("bench-{}", floor_keys.len());
            redis.set::<_, _, ()>(&key, body).await?;
            floor_keys.push(format!("/get/{key}"));
        }
        let mut floor = Part::start(&["floor", "--redis", &stage.redis.url()]).await?;
        let floor_address = floor.line().await?.parse()?;
        let (api, until) = (stage.api(), Until::Elapsed(plan.window()));
        let (ours, floors) = in_turns(
            plan.rounds,
            async || per_second(api, plan.connections, until, gets(paths.clone())).await,
            async || per_second(floor_address, plan.connections, until, gets(floor_keys.clone())).await,
        )
        .await?;
        compare(&format!("status, {finished} finished jobs"), ours.median(), floors.median(), ">= 0.70");
        remark(&format!("noise: {:.0} % of Haul, {:.0} % of the floor", ours.noise() * 100.0, floors.noise() * 100.0));
    }
    Ok(())
}

/// Jobs in the states that are polled most, and their paths.
async fn jobs(stage: &Stage) -> Result<Vec<String>> {
    let mut paths = stage.queue_some(0..JOBS / 3).await?;
    stage.finish_jobs(paths.len() as u64).await?;
    paths.extend(stage.queue_some(JOBS / 3..JOBS).await?);
    stage.lease_jobs(JOBS / 3).await?;
    Ok(paths)
}

async fn get(url: &str) -> Result<Vec<u8>> {
    let http = reqwest::Client::builder().timeout(std::time::Duration::from_secs(10)).build()?;
    Ok(http.get(url).send().await?.error_for_status()?.bytes().await?.to_vec())
}

/// Each connection polls one of these paths.
#[must_use]
pub fn gets(paths: Vec<String>) -> Arc<Request> {
    let requests: Vec<Vec<u8>> =
        paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nhost: haul\r\n\r\n").into_bytes()).collect();
    Arc::new(move |connection, _, to: &mut Vec<u8>| {
        to.extend_from_slice(&requests[connection as usize % requests.len()]);
    })
}
