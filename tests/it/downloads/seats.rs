//! Originals that have to wait until others have come.

use haul_tests::ranges::{RangeOrigin, TAG};

use super::relay::large;
use super::*;

/// Fault: a job that waited for a seat at a busy host had `stalled`.
#[tokio::test]
async fn more_connections_than_a_host_is_to_bear_wait_and_nobody_stalls() -> Result<()> {
    const JOBS: usize = 12;
    let settings = [("HAUL_MAX_ATTEMPTS", "1"), ("HAUL_SLOTS", "12"), ("HAUL_SILENCE_TIMEOUT", "5s")];
    let house = House::open(Store::Disk, &settings).await?;
    let _worker = house.worker(&[]).await?;
    let served = large(10)?;
    // a piece takes 6 s
    let origin = RangeOrigin::start(move |asked| {
        let answer = asked.served(&served, TAG).with("Content-Type", "video/mp4");
        if asked.range.is_some() { answer.rate(180_000) } else { answer }
    });
    let origin = origin.await;
    let mut jobs = Vec::new();
    for number in 0..JOBS {
        let order = request(&origin.url(&format!("/{number}.mp4")), json!({ "format": "original" }));
        jobs.push(house.order(&order).await?);
    }
    for job in jobs {
        let view = house.end(&job).await?;
        assert_eq!((&view["status"], &view["result"]["delivery"]), (&json!("completed"), &json!("relay")), "{view}");
    }
    let most = origin.asked().iter().map(|asked| asked.open).max();
    assert!(most >= Some(32), "{most:?} connections: nobody had to wait");
    Ok(())
}
