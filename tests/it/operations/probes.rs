//! What it takes to be asked for one's health, all day.

use haul_tests::house::{House, Store, request};
use haul_tests::processes::until;
use haul_tests::s3::{Call, Fault};
use haul_tests::site::send;
use reqwest::Method;
use serde_json::json;

use super::*;

/// Fault: each look at a worker's health was a write that is paid for; in a small service, more of them than of results.
#[tokio::test]
async fn a_worker_that_is_watched_looks_at_its_bucket_and_writes_to_it_after_a_failure() -> Result<()> {
    let house = House::open(Store::S3, &[]).await?;
    let worker = house.worker(&[("HAUL_RETRIES", "0")]).await?;
    let s3 = house.s3.as_ref().context("a bucket")?;
    let status = async || Some(send(house.request(&worker, Method::GET, "/readyz")).await.ok()?.status.as_u16());
    assert_eq!(status().await, Some(200));
    let (writes, looks) = (s3.counts().seen(Call::Put), s3.counts().seen(Call::Head));
    until("it is looked at again", async || status().await == Some(200) && s3.counts().seen(Call::Head) > looks + 1)
        .await?;
    assert_eq!(s3.counts().seen(Call::Put), writes);

    // one that answers with a fault is found out by the look, and what takes nothing by who needs it
    for (call, fault, medium) in
        [(Call::Head, 503, None), (Call::Put, 403, Some("/progressive.mp4")), (Call::Put, 507, Some("/portrait.mp4"))]
    {
        s3.fail(call, usize::MAX, Fault::Refused(fault));
        s3.fail(Call::Put, usize::MAX, Fault::Refused(fault));
        if let Some(medium) = medium {
            house.order(&request(&house.origin.url(medium), json!({}))).await?;
        }
        until("it is not ready", async || status().await == Some(503)).await?;
        let writes = s3.counts().done(Call::Put);
        s3.recover();
        until("it is ready again", async || status().await == Some(200)).await?;
        assert!(s3.counts().done(Call::Put) > writes, "{fault}: it was written to");
    }
    Ok(())
}
