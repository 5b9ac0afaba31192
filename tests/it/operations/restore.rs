//! A Redis that is lost, and one that takes its place with the files that were copied before.

use haul_tests::house::{House, Store, request};
use haul_tests::origin::Fault;
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_redis_restored_from_a_copy_goes_on_with_what_it_holds_and_knows_nothing_of_later() -> Result<()> {
    let mut house = House::open(Store::Disk, &[("HAUL_SLOTS", "1"), ("HAUL_LEASE", "3s")]).await?;
    let worker = house.worker(&[]).await?;
    let done = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    assert_eq!(house.outcome(&done).await?, "completed");
    let slow = house.origin.spoilt(Fault::Throttle(100_000), "/progressive.mp4");
    let running = house.order(&request(&slow, json!({}))).await?;
    house.is_fetching(&running).await?;
    let waiting = house.order(&request(&house.origin.url("/silent.mp4"), json!({}))).await?;

    let copy = house.redis.copied().await?;
    // the one that ran then has ended when the copy takes its place, and nobody holds its lease
    for job in [&running, &waiting] {
        assert_eq!(house.outcome(job).await?, "completed");
    }
    let later = house.order(&request(&house.origin.url("/portrait.mp4"), json!({}))).await?;
    assert_eq!((house.outcome(&later).await?.as_str(), house.stored()), ("completed", 4));
    house.redis.kill()?;
    house.redis.restore(&copy).await?;

    assert_eq!(house.fetch(&done).await?.answer.header("content-type"), "video/mp4");
    assert_eq!(house.get(&later).await?.told(), "404 not_found");
    for job in [&running, &waiting] {
        let view = house.end(job).await?;
        assert_eq!((&view["status"], &view["attempt"]), (&json!("completed"), &json!(1)), "{view}");
        house.fetch(job).await?;
    }
    let again = house.order(&request(&house.origin.url("/portrait.mp4"), json!({}))).await?;
    assert_eq!(house.outcome(&again).await?, "completed");
    assert_eq!(house.metric(&house.api, "haul_queue_repairs_total").await?, 0.0);
    // what the three were the first time is known to nobody, and goes with the look for orphans
    assert_eq!(house.stored(), 7);
    drop(worker);
    Ok(())
}
