//! Where a download is done, and where it goes when nobody is there.

use std::time::Duration;

use jiff::Timestamp;

use super::*;

const FALLBACK: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_download_of_a_region_without_workers_is_done_by_another_after_its_time_and_not_before() -> Result<()> {
    let regions = [("HAUL_REGION", "eu"), ("HAUL_REGIONS", "eu,asia,us"), ("HAUL_REGION_FALLBACK", "3s")];
    let house = House::open(Store::Disk, &regions).await?;
    let _us = house.worker(&[("HAUL_REGION", "us")]).await?;
    let moved = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    let (result, _) = proven(&house, &moved).await?;
    assert_eq!(result["container"], "mp4");
    let view = house.get(&moved).await?.json();
    assert_eq!((&view["region"], &view["request"]["region"]), (&json!("us"), &json!("eu")));
    let time = |field: &str| view[field].as_str().unwrap_or_default().parse::<Timestamp>();
    assert!(Duration::try_from(time("started_at")?.duration_since(time("created_at")?))? >= FALLBACK, "{view}");

    // once somebody is there, nothing goes away
    let _eu = house.worker(&[("HAUL_REGION", "eu,us")]).await?;
    let stays = house.order(&request(&house.origin.url("/progressive.mp4?n=2"), json!({}))).await?;
    proven(&house, &stays).await?;
    assert_eq!(house.get(&stays).await?.json()["region"], "eu");
    Ok(())
}
