//! Workers that sleep past their lease, and come back to a job that somebody else has.

use super::*;

#[tokio::test]
async fn a_worker_that_slept_past_its_lease_ends_its_programs_and_changes_nothing() -> Result<()> {
    let house = House::open(Store::Disk, &[SHORT_LEASE]).await?;
    let road = Proxy::to(house.origin.address()).await;
    let sleeper = house.worker(&[]).await?;
    let job =
        house.order(&request(&format!("http://{}/{UNHURRIED}/progressive.mp4", road.address()), json!({}))).await?;
    let slept_by = house.is_fetching(&job).await?["worker"].clone();
    let programs = sleeper.programs();
    // its programs are not asleep: what they fetch must not come to an end meanwhile
    road.strand();
    sleeper.signal(Signal::STOP)?;
    let asleep = std::time::Instant::now();

    let _other = house.worker(&[]).await?;
    let view = house.end(&job).await?;
    assert_eq!((&view["status"], &view["attempt"]), (&json!("completed"), &json!(1)), "{view}");
    until("two leases pass", async || asleep.elapsed() > 2 * LEASE).await?;
    assert!(!alive(&programs).is_empty(), "they have slept with nobody to end them");

    sleeper.signal(Signal::CONT)?;
    let took = until("its programs end", async || alive(&programs).is_empty()).await?;
    // by themselves they would give up the stranded road later
    assert!(took < Duration::from_secs(12), "{took:?}");
    until("its scratch is gone", async || house.scratch_files() == 0).await?;
    let after = house.get(&job).await?.json();
    assert_eq!(after, view, "nothing has changed, and {slept_by} is not named again");
    assert_eq!(house.stored(), 1);
    assert_eq!(house.metric(&sleeper, "haul_jobs_lost_total").await?, 1.0);
    Ok(())
}

#[tokio::test]
async fn a_result_that_comes_after_another_one_is_refused_and_removed() -> Result<()> {
    let house = House::open(Store::Disk, &[SHORT_LEASE]).await?;
    let wire = Proxy::to_redis(house.redis.address()).await;
    let late = house.worker(&[("HAUL_REDIS_URL", &wire.redis_url())]).await?;
    // what it made is in the store, and it is about to say so
    wire.lose(Asked::Script("complete"), 0, Loss::Held);
    let job = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    until("the result is on its way", async || wire.lost() == 1).await?;
    assert_eq!((house.stored(), &house.get(&job).await?.json()["status"]), (1, &json!("running")));

    let other = house.worker(&[]).await?;
    let view = house.end(&job).await?;
    assert_eq!(view["status"], "completed", "{view}");
    assert_eq!(house.stored(), 2);
    wire.pass();
    until("the late one removes what it made", async || house.stored() == 1).await?;
    assert_eq!(house.get(&job).await?.json(), view);
    let fetched = house.fetch(&job).await?;
    assert_eq!(fetched.link["sha256"], view["result"]["sha256"]);
    for (worker, lost) in [(&late, 1.0), (&other, 0.0)] {
        assert_eq!(house.metric(worker, "haul_jobs_lost_total").await?, lost);
    }
    Ok(())
}
