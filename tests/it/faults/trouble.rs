//! Jobs that nobody wants any more, and sites that refuse for a while.

use super::*;

#[tokio::test]
async fn a_shared_run_goes_on_until_the_last_who_wanted_it_has_left() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let worker = house.worker(&[]).await?;
    let wanted = request(&house.origin.spoilt(SLOW, "/progressive.mp4"), json!({}));
    let (one, other) = (house.order(&wanted).await?, house.order(&wanted).await?);
    house.is_fetching(&other).await?;
    let programs = worker.descendants();
    assert_eq!(house.ask(Method::DELETE, &one, &Value::Null).await?.status, 202);
    assert_eq!(house.outcome(&one).await?, "cancelled");
    // it has been heard of since
    let before = house.is_fetching(&other).await?["progress"]["downloaded_bytes"].as_u64();
    house.until(&other, |view| view["progress"]["downloaded_bytes"].as_u64() > before).await?;
    assert!(!alive(&programs).is_empty());

    assert_eq!(house.ask(Method::DELETE, &other, &Value::Null).await?.status, 202);
    let took = until("its programs end", async || worker.programs().is_empty()).await?;
    assert!(took < Duration::from_secs(5), "the contract's bound: {took:?}");
    assert_eq!(house.outcome(&other).await?, "cancelled");
    until("scratch is empty", async || house.scratch_files() == 0).await?;
    assert_eq!(house.stored(), 0);
    audit(&house.redis).await
}

#[tokio::test]
async fn a_site_that_refuses_three_times_costs_three_attempts_and_the_fourth_completes() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_MAX_ATTEMPTS", "4")]).await?;
    let _worker = house.quick_worker(&[("HAUL_RETRIES", "0")]).await?;
    let job = house.order(&request(&house.origin.spoilt(Fault::Status(503, 3), "/progressive.mp4"), json!({}))).await?;
    let view = house.end(&job).await?;
    assert_eq!((&view["status"], &view["attempt"]), (&json!("completed"), &json!(4)), "{view}");
    assert_eq!(house.stored(), 1);
    audit(&house.redis).await
}

/// A pipe takes 64 KiB that nobody reads; a write of more waits for ever.
#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_no_request() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let (_unread, full) = std::io::pipe()?;
    let api = house.another_api_telling(&[("HAUL_LOG", "info")], || Ok(full.try_clone()?.into())).await?;
    for _ in 0..1000 {
        let answer = send(house.request(&api, Method::GET, "/nothing")).await?;
        assert_eq!(answer.status, 404);
    }
    Ok(())
}
