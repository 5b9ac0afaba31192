//! A site that turns everybody away: its jobs wait, and nobody else's.

use haul_tests::origin::Origin;
use haul_tests::processes::until;

use super::*;

/// Enough to open a breaker.
const JOBS: usize = 12;

async fn open_breakers(house: &House) -> Result<Value> {
    Ok(house.get("/api/v1/stats").await?.json()["site_breakers"].clone())
}

#[tokio::test]
async fn a_site_that_turns_everybody_away_is_left_alone_and_others_are_not() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.quick_worker(&[("HAUL_SLOTS", "6"), ("HAUL_EGRESS_NAME", "way-out")]).await?;
    let bad = Origin::start().await;
    bad.turn_away(Some(429));
    let mut turned_away = Vec::new();
    for number in 0..JOBS {
        let url = bad.url(&format!("{MEDIA}?{number}"));
        turned_away.push(house.order(&request(&url, json!({}))).await?);
    }
    until("the breaker opens", async || open_breakers(&house).await.is_ok_and(|all| all != json!([]))).await?;
    let breaker = open_breakers(&house).await?[0].clone();
    assert_eq!(
        (&breaker["site"], &breaker["egress"], &breaker["code"]),
        (&json!(bad.address().to_string()), &json!("way-out"), &json!("site_rate_limited"))
    );

    // those that were under way end, the others are put off
    let views = async |field: &str| {
        let mut values = Vec::new();
        for job in &turned_away {
            values.push(house.get(job).await?.json()[field].clone());
        }
        anyhow::Ok(values)
    };
    until("all of them wait", async || {
        let waits = views("next_attempt_at").await;
        waits.is_ok_and(|waits| waits.iter().all(|due| !due.is_null()))
    })
    .await?;
    let (attempts, hits) = (views("attempt").await?, bad.all_hits());
    assert!(hits < 3 * JOBS, "{hits} requests before it was left alone");
    let other = house.order(&request(&house.origin.url(MEDIA), json!({}))).await?;
    assert_eq!(house.end(&other).await?["status"], "completed");
    if open_breakers(&house).await?[0]["open_until"] == breaker["open_until"] {
        assert_eq!((views("attempt").await?, bad.all_hits()), (attempts, hits), "none was begun, none was asked for");
    }

    bad.turn_away(None);
    for job in &turned_away {
        let view = house.end(job).await?;
        assert_eq!(view["status"], "completed", "{view}");
    }
    assert_eq!(open_breakers(&house).await?, json!([]));
    let metrics = String::from_utf8(house.get("/metrics").await?.body)?;
    assert!(metrics.contains("haul_site_breakers_open 0"), "{metrics}");
    let deferred =
        metrics.lines().find_map(|line| line.strip_prefix("haul_jobs_deferred_total{reason=\"site_shut\"} "));
    assert!(deferred.is_some_and(|count| count != "0"), "{metrics}");
    assert!(!metrics.contains(&bad.address().to_string()), "a site is no label");
    Ok(())
}
