//! Redis that stops answering for longer than a lease, while two hundred jobs run.

use haul_tests::processes::until;
use rustix::process::Signal;

use super::*;

const LEASE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn two_hundred_running_jobs_outlive_a_redis_that_stands_still_for_longer_than_their_leases() -> Result<()> {
    let bench = Bench::with(|settings| settings.lease = LEASE).await?;
    for n in 0..200 {
        bench.submit("a", &format!("https://example.com/{n}")).await?;
    }
    let mut claims = bench.claims();
    let mut all = Vec::new();
    while all.len() < 200 {
        all.extend(claims.take(32).await?);
        // they must not run out before the last one is there
        bench.store.heartbeat(&beats(&all)).await?;
    }
    let (store, beating) = (bench.store.clone(), beats(&all));
    let heart = tokio::spawn(async move {
        let mut tick = tokio::time::interval(LEASE / 4);
        loop {
            tick.tick().await;
            let _unanswered = store.heartbeat(&beating).await;
        }
    });
    let keepers = [tokio::spawn(bench.store.clone().look_after()), tokio::spawn(bench.store.clone().look_after())];

    bench.redis.signal(Signal::STOP)?;
    passes(Duration::from_secs(5)).await?;
    bench.redis.signal(Signal::CONT)?;
    passes(3 * LEASE).await?;
    heart.abort();
    assert_eq!(bench.store.heartbeat(&beats(&all)).await?, vec![Some(Pulse::Ok); 200]);
    let mut connection = bench.redis.connection().await?;
    let reaped: Option<u64> =
        redis::cmd("HGET").arg("haul1:{0}:count").arg("reaped").query_async(&mut connection).await?;
    assert_eq!(reaped, None);
    keepers.iter().for_each(tokio::task::JoinHandle::abort);
    for leased in &all {
        assert_eq!(bench.store.complete(&leased.lease, &artifact(leased), &[]).await?, Done::Completed);
    }
    assert!(bench.traces().await?.iter().all(|left| *left == 0));
    Ok(())
}

fn beats(all: &[Leased]) -> Vec<Beat> {
    all.iter().map(|leased| beat(leased, 1.0)).collect()
}

async fn passes(time: Duration) -> Result<()> {
    let began = std::time::Instant::now();
    until("time passes", async || began.elapsed() >= time).await.map(drop)
}
