//! A store that refuses the key of an API: taken away, or its rights.

use std::fs::File;

use haul_tests::house::{House, Store, request};
use haul_tests::processes::until;
use haul_tests::s3::{Call, Fault};
use haul_tests::site::send;
use reqwest::Method;
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_store_that_refuses_the_key_is_unavailable_to_clients_and_told_to_operators_once() -> Result<()> {
    let house = House::open(Store::S3, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let job = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    assert_eq!(house.outcome(&job).await?, "completed");
    let (content, thumbnail) = (format!("{job}/content"), format!("{job}/thumbnail"));
    assert_eq!(house.thumbnail(&job).await?.status, 200);

    let log = tempfile::NamedTempFile::new()?;
    let api = house.another_api_telling(&[], || Ok(File::options().append(true).open(log.path())?.into())).await?;
    let get = async |path: &str| send(house.request(&api, Method::GET, path)).await;
    let s3 = house.s3.as_ref().context("a bucket")?;
    s3.fail(Call::Get, usize::MAX, Fault::Refused(403));
    // Fault: they were answered `500`, each with a line in the log
    let asked = [&content, &thumbnail, &content, &content, &content];
    for path in asked {
        let answer = get(path).await?;
        assert_eq!(answer.told(), "503 service_unavailable", "{path}");
        assert!(answer.header("retry-after").parse::<u64>()? >= 1);
    }
    let ready = get("/readyz").await?;
    assert_eq!(
        (ready.status.as_u16(), ready.json()),
        (503, json!({"status": "not_ready", "redis": "ok", "storage": "failed"}))
    );
    assert_eq!(get(&format!("{job}/link")).await?.status, 200, "it is made without the store");

    // lines are written behind what they tell of
    until("it is told", async || fs::read_to_string(log.path()).is_ok_and(|told| told.contains("haul-api doctor")))
        .await?;
    let told = fs::read_to_string(log.path())?;
    let refusals =
        told.lines().filter(|line| line.contains("refuses to give an object") && line.contains("haul-api doctor"));
    // more than one only where a minute went by meanwhile
    assert!((1..asked.len()).contains(&refusals.count()), "{told}");
    assert!(!told.lines().any(|line| line.contains("request ") && line.contains(" failed")), "of one request: {told}");

    s3.recover();
    for path in [&content, "/readyz"] {
        assert_eq!(get(path).await?.status, 200, "{path}");
    }
    Ok(())
}
