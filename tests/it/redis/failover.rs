//! The whole service over a primary that dies and a replica that a sentinel puts in its place.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use haul_tests::house::{DOWNLOADS, House, Store, request};
use haul_tests::processes::until;
use haul_tests::sentinel::{MASTER, Watched};
use reqwest::Method;
use serde_json::json;

/// Asks for another medium than ever before; its path, or `None` when it was refused as a refusal has to be.
async fn ask(house: &House, n: usize) -> Result<Option<String>> {
    let order = request(&house.origin.url(&format!("/silent.mp4?n={n}")), json!({}));
    let answer = house.ask(Method::POST, DOWNLOADS, &order).await?;
    if answer.status == 202 {
        return Ok(Some(format!("{DOWNLOADS}/{}", answer.json()["id"].as_str().context("an id")?)));
    }
    ensure!(answer.told() == "503 service_unavailable", "{}", answer.told());
    let wait: u64 = answer.header("retry-after").parse().context("a refusal says when to come back")?;
    ensure!(wait > 0);
    Ok(None)
}

#[tokio::test]
async fn no_accepted_job_is_lost_with_the_primary_and_the_service_goes_on() -> Result<()> {
    let mut watched = Watched::start().await?;
    let urls = watched.urls();
    let settings = [
        ("HAUL_REDIS_URL", urls.as_str()),
        ("HAUL_REDIS_SENTINEL", MASTER),
        ("HAUL_DURABILITY", "replica"),
        ("HAUL_SLOTS", "2"),
    ];
    let house = House::open(Store::Disk, &settings).await?;
    let _worker = house.worker(&[]).await?;

    let (mut accepted, mut asked) = (BTreeMap::new(), 0);
    let mut order = async |accepted: &mut BTreeMap<usize, String>| {
        asked += 1;
        let taken = ask(&house, asked).await?;
        let is_taken = taken.is_some();
        accepted.extend(taken.map(|job| (asked, job)));
        Ok::<_, anyhow::Error>(is_taken)
    };
    for _ in 0..6 {
        ensure!(order(&mut accepted).await?, "there is a replica");
    }
    watched.primary.kill()?;
    ensure!(!order(&mut accepted).await?, "nobody can keep it");
    until("the API answers from the replica", async || {
        let first = accepted.values().next().map_or("", String::as_str);
        house.get(first).await.is_ok_and(|answer| answer.status == 200)
    })
    .await?;
    ensure!(!order(&mut accepted).await?, "the new primary has no replica yet");

    // the old one comes back as a replica of the new one
    watched.primary.restart().await?;
    until("orders are taken again", async || order(&mut accepted).await.unwrap_or(false)).await?;
    for job in accepted.values() {
        ensure!(house.outcome(job).await? == "completed", "{job}");
    }
    Ok(())
}

#[tokio::test]
async fn what_no_replica_has_is_refused() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_DURABILITY", "replica")]).await?;
    ensure!(ask(&house, 0).await?.is_none());
    assert_eq!(house.get("/readyz").await?.status, 200, "results can still be fetched");
    Ok(())
}
