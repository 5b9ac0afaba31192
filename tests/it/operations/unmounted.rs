//! A disk of results that was not mounted when a process started: it finds an empty folder where they should be.

use haul_tests::house::{DOWNLOADS, House, Store, request};
use haul_tests::site::send;
use reqwest::Method;
use serde_json::json;

use super::*;

/// Fault: whatever was asked for there was taken for lost, and made anew for who ordered it when the disk was back.
#[tokio::test]
async fn an_api_that_started_without_its_disk_takes_nothing_for_lost() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let wanted = request(&house.origin.url("/progressive.mp4"), json!({}));
    let first = house.order(&wanted).await?;
    assert_eq!(house.outcome(&first).await?, "completed");

    let bare = tempfile::tempdir()?;
    let dir = bare.path().to_str().context("a path")?;
    let api = house.another_api(&[("HAUL_DATA_DIR", dir)]).await?;
    let content = send(house.request(&api, Method::GET, &format!("{first}/content"))).await?;
    assert_eq!(content.told(), "503 service_unavailable");
    let again = send(house.request(&api, Method::POST, DOWNLOADS).json(&wanted)).await?;
    assert_eq!(again.status, 200, "it is handed out unseen");

    let again = house.ask(Method::POST, DOWNLOADS, &wanted).await?;
    assert_eq!(again.status, 200, "who has the disk has it all");
    house.fetch(&first).await?;
    Ok(())
}
