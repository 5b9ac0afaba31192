//! A bucket that fails, hangs or crawls while a result is on its way into it.

use haul_tests::media;
use haul_tests::s3::{Call, Fault as Refusal, S3};

use super::*;

fn s3(house: &House) -> &S3 {
    house.s3.as_ref().expect("a bucket")
}

#[tokio::test]
async fn an_upload_that_is_refused_is_sent_again_within_the_attempt() -> Result<()> {
    let house = House::open(Store::S3, &[SHORT_LEASE]).await?;
    let _worker = house.worker(&[]).await?;
    s3(&house).fail(Call::Put, 2, Refusal::Refused(500));
    let job = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    let view = house.end(&job).await?;
    assert_eq!((&view["status"], &view["attempt"]), (&json!("completed"), &json!(1)), "{view}");
    assert_eq!(house.fetch(&job).await?.link["sha256"], view["result"]["sha256"]);
    assert_eq!(house.stored(), 1);
    Ok(())
}

#[tokio::test]
async fn while_a_bucket_is_away_jobs_spend_no_attempt_but_that_in_which_this_was_found_out() -> Result<()> {
    // One worker went on taking jobs, until each had spent its attempts on a bucket that was away for a minute.
    let house = House::open(Store::S3, &[LONGER_LEASE, ("HAUL_MAX_ATTEMPTS", "2"), ("HAUL_SLOTS", "1")]).await?;
    let worker = house.worker(&[]).await?;
    s3(&house).fail(Call::Put, usize::MAX, Refusal::Refused(503));
    let url = house.origin.url("/progressive.mp4");
    let mut jobs = Vec::new();
    for nth in 0..3 {
        jobs.push(house.order(&request(&format!("{url}?{nth}"), json!({}))).await?);
    }
    let first = house.until(&jobs[0], |view| !view["next_attempt_at"].is_null()).await?;
    assert_eq!(first["attempt"], 1, "{first}");
    let asked = s3(&house).counts().seen(Call::Put);
    s3(&house).wait_until(|counts| counts.seen(Call::Put) > asked).await;
    for job in &jobs[1..] {
        let view = house.get(job).await?.json();
        assert_eq!((&view["status"], &view["attempt"]), (&json!("queued"), &json!(0)), "{view}");
    }

    s3(&house).recover();
    for job in &jobs {
        assert_eq!(house.end(job).await?["status"], "completed");
    }
    assert_eq!(house.metric(&worker, "haul_jobs_lost_total").await?, 0.0);
    audit(&house.redis).await
}

#[tokio::test]
async fn an_upload_that_hangs_keeps_its_lease_until_the_attempts_time_is_over_and_leaves_nothing() -> Result<()> {
    let variables = [LONGER_LEASE, ("HAUL_JOB_TIMEOUT", "20s"), ("HAUL_MAX_ATTEMPTS", "1"), ("HAUL_SLOTS", "2")];
    let house = House::open(Store::S3, &variables).await?;
    let worker = house.worker(&[]).await?;
    let folder = tempfile::tempdir()?;
    let large = std::fs::read(media::repeated(folder.path(), "large.mkv", 45))?;
    assert!(large.len() > 17 << 20, "sent in parts: {} bytes", large.len());
    house.origin.put("/large.mkv", large);
    for call in [Call::Put, Call::UploadPart] {
        s3(&house).fail(call, usize::MAX, Refusal::Silence);
    }
    let whole = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    let parts = house.order(&request(&house.origin.url("/large.mkv"), json!({ "format": "original" }))).await?;
    until("both are on their way", async || {
        let counts = s3(&house).counts();
        counts.seen(Call::Put) > 0 && counts.seen(Call::UploadPart) > 0
    })
    .await?;
    for job in [&whole, &parts] {
        assert_eq!(house.outcome(job).await?, "timeout");
    }
    s3(&house).wait_until(|counts| counts.done(Call::AbortMultipart) == 1).await;
    assert_eq!(s3(&house).orphans(), Vec::<std::path::PathBuf>::new());
    assert_eq!((house.stored(), house.scratch_files()), (0, 0));
    assert_eq!(house.metric(&worker, "haul_jobs_lost_total").await?, 0.0);
    assert_eq!(house.metric(&house.api, "haul_leases_lost_total").await?, 0.0);
    audit(&house.redis).await
}

#[tokio::test]
async fn an_upload_that_crawls_keeps_its_lease_until_the_attempts_time_is_over() -> Result<()> {
    let house =
        House::open(Store::S3, &[LONGER_LEASE, ("HAUL_JOB_TIMEOUT", "15s"), ("HAUL_MAX_ATTEMPTS", "1")]).await?;
    let endpoint = &s3(&house).endpoint;
    let address = endpoint.socket_addrs(|| None)?.first().copied().context("an address")?;
    let road = Proxy::to(address).await;
    let worker = house.worker(&[("HAUL_S3_ENDPOINT", &format!("http://{}", road.address()))]).await?;
    road.crawl(1000);
    let job = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    house.until(&job, |view| view["stage"] == "upload").await?;
    assert_eq!(house.outcome(&job).await?, "timeout");
    assert_eq!(house.stored(), 0);
    assert_eq!(house.metric(&worker, "haul_jobs_lost_total").await?, 0.0);
    assert_eq!(house.metric(&house.api, "haul_leases_lost_total").await?, 0.0);
    audit(&house.redis).await
}
