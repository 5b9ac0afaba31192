//! Processes that are killed or told to stop while a download is under way.

use rustix::process::Signal;

use super::*;

/// Slow enough to be caught in the middle, quick enough to end.
const UNHURRIED: Fault = Fault::Throttle(60_000);

#[tokio::test]
async fn a_killed_worker_takes_its_programs_along_and_another_one_completes_its_job() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_LEASE", "3s")]).await?;
    let mut first = house.worker(&[]).await?;
    let job = house.order(&request(&house.origin.spoilt(UNHURRIED, "/progressive.mp4"), json!({}))).await?;
    let view = house.is_fetching(&job).await?;
    assert_eq!((&view["attempt"], view["worker"].is_string()), (&json!(1), true));
    let programs = first.descendants();
    assert!(!programs.is_empty() && house.scratch_files() > 0);

    first.kill()?;
    processes::until("the programs die with their worker", async || processes::alive(&programs).is_empty()).await?;
    assert!(house.scratch_files() > 0, "nobody could remove it");

    let _second = house.worker(&[]).await?;
    assert_eq!(house.scratch_files(), 0, "the next start sweeps what the dead has left");
    proven(&house, &job).await?;
    let view = house.get(&job).await?.json();
    assert_eq!(view["attempt"], 1, "a lost worker is no failed attempt: {view}");
    assert_eq!(house.stored(), 1);
    Ok(())
}

#[tokio::test]
async fn ids_answer_again_when_a_killed_api_is_back() -> Result<()> {
    let mut house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let done = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    proven(&house, &done).await?;
    let running = house.order(&request(&house.origin.spoilt(UNHURRIED, "/progressive.mp4"), json!({}))).await?;
    house.is_fetching(&running).await?;
    house.replace_api().await?;
    proven(&house, &done).await?;
    proven(&house, &running).await?;
    Ok(())
}

#[tokio::test]
async fn what_was_accepted_survives_the_death_of_redis_and_the_worker_goes_on() -> Result<()> {
    let mut house = House::open(Store::Disk, &[("HAUL_SLOTS", "1")]).await?;
    let _worker = house.worker(&[]).await?;
    let running = house.order(&request(&house.origin.spoilt(UNHURRIED, "/progressive.mp4"), json!({}))).await?;
    let waiting = house.order(&request(&house.origin.url("/silent.mp4"), json!({}))).await?;
    house.is_fetching(&running).await?;
    house.redis.kill()?;
    assert_eq!(house.get("/readyz").await?.status, 503);
    assert_eq!(house.get("/healthz").await?.status, 200);
    let refused = house.ask(Method::POST, DOWNLOADS, &request(&house.origin.url("/portrait.mp4"), json!({}))).await?;
    assert_eq!(refused.told(), "503 service_unavailable");
    house.redis.restart().await?;
    proven(&house, &running).await?;
    proven(&house, &waiting).await?;
    let view = house.get(&running).await?.json();
    assert_eq!(view["attempt"], 1, "{view}");
    Ok(())
}

#[tokio::test]
async fn a_worker_told_to_stop_finishes_and_told_twice_hands_back() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "1"), ("HAUL_SHUTDOWN_GRACE", "2m")]).await?;
    let mut first = house.worker(&[]).await?;
    let short = house.order(&request(&house.origin.spoilt(UNHURRIED, "/progressive.mp4"), json!({}))).await?;
    house.is_fetching(&short).await?;
    let endless = house.order(&request(&house.origin.spoilt(SLOW, "/progressive.mp4"), json!({}))).await?;
    first.signal(Signal::TERM)?;
    assert!(first.ended().await?.success());
    assert_eq!(house.get(&short).await?.json()["status"], "completed");
    assert_eq!(house.get(&endless).await?.json()["status"], "queued");

    let mut second = house.worker(&[]).await?;
    house.is_fetching(&endless).await?;
    let programs = second.descendants();
    second.signal(Signal::TERM)?;
    processes::until("the worker has heard it", async || !second.says_ready().await).await?;
    second.signal(Signal::TERM)?;
    assert!(second.ended().await?.success());
    let view = house.get(&endless).await?.json();
    assert_eq!((&view["status"], &view["attempt"]), (&json!("queued"), &json!(0)), "{view}");
    assert!(processes::alive(&programs).is_empty());
    assert_eq!(house.scratch_files(), 0);
    Ok(())
}
